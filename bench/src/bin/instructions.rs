//! Instructions per packet of each scenario, counted by callgrind: noise cannot move them. The gate compares them with the figures in
//! bench/instructions.json.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use bench::budget::{self, Budget};
use bench::pipeline::Pipeline;
use bench::scenarios::{self, Scenario};
use clap::{Parser, Subcommand};
use flowtable::Level;
use serde::{Deserialize, Serialize};
use vrouter::port::BURST;

/// Flows of a steady scenario; each is met before counting begins.
const FLOWS: usize = 1_000;
/// Of new flows: pairs that the table has room for, so many that a search evicts a full batch as it does in a large table; and flows, so
/// many that each was evicted before it is met again.
const ROOM: u32 = 32_768;
const NEW_FLOWS: usize = 163_840;
/// Bursts of the two runs whose difference counts: it leaves out what comes before and after.
const SHORT: usize = 100;
const LONG: usize = 500;
/// A scenario fails that takes so much more than the last figure set down.
const TOLERANCE: f64 = 0.03;
/// All scenarios fail when they take so much more than the first figures, on average.
const DRIFT: f64 = 0.10;
/// Of a packet's instructions that may be of no step.
const MOST_REST: f64 = 0.1;
/// What the C library may not use: its copies are to take one path on every machine.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM";
const LEVEL: &str = "x86-64-v3; the C library without AVX, ERMS and FSRM";

/// Instructions per packet, counted by valgrind's callgrind and held to figures in the tree.
#[derive(Parser)]
struct Args {
    /// The figures
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json"))]
    figures: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Compare with the figures; fails when a scenario takes 3 % more, or all together 10 % more than at first
    Check,
    /// Set down what is counted now
    Write {
        /// Why figures rise (or fall): stands beside each that moved by more than 0.5 %
        #[arg(long)]
        why: String,
    },
    /// Tell which step of the packet's path takes how many
    Budget {
        /// Of these scenarios; default: all
        scenarios: Vec<String>,
        /// As JSON: scenarios, each with its steps
        #[arg(long)]
        json: bool,
    },
    /// Run one scenario for so many bursts; what callgrind is put on
    #[command(hide = true)]
    Run { scenario: String, bursts: usize },
}

/// The file: each scenario's figures, the first one first.
#[derive(Default, Serialize, Deserialize)]
struct Figures {
    level: String,
    scenarios: BTreeMap<String, Vec<Figure>>,
}

#[derive(Serialize, Deserialize)]
struct Figure {
    /// Per packet, the bench's own ports included.
    instructions: f64,
    why: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.what {
        What::Run { scenario, bursts } => run(&scenario, bursts),
        What::Budget { scenarios, json } => tell_budget(&scenarios, json),
        What::Check => check(&args.figures),
        What::Write { why } => write(&args.figures, &why),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Warms up, then moves the bursts that count. Any drop fails, and any packet that took another way than the scenario's.
fn run(name: &str, bursts: usize) -> Result<(), String> {
    let scenario = Scenario::named(name).ok_or_else(|| format!("no scenario {name}"))?;
    // valgrind knows no wider one, and shows what the processor has otherwise
    if Level::limit(Level::V3) != Level::V3 {
        return Err(format!("figures are of {}, which this processor has not", Level::V3.name()));
    }
    let (flows, room) = if scenario.new_flows { (NEW_FLOWS, ROOM) } else { (FLOWS, 1 << 12) };
    let packets = (0..flows).map(|flow| scenario.packet(flow)).collect();
    let (network, candidate) = (scenario.network(), scenario.candidate());
    let mut pipeline = Pipeline::with_shadow((&network, candidate.as_deref()), scenario.side(), packets, room);
    let warm = if scenario.new_flows { 2 * ROOM as usize } else { FLOWS };
    (0..warm.div_ceil(BURST)).for_each(|_| {
        pipeline.burst();
    });
    let (sent, (hits, misses)) = (pipeline.sent(), pipeline.hits_and_misses());
    (0..bursts).for_each(|_| {
        pipeline.burst();
    });
    let offered = (bursts * BURST) as u64;
    let (more_hits, more_misses) = (pipeline.hits_and_misses().0 - hits, pipeline.hits_and_misses().1 - misses);
    let wanted = match (scenario.flows, scenario.new_flows) {
        (false, _) => (0, 0),
        (true, false) => (offered, 0),
        (true, true) => (0, offered),
    };
    if pipeline.sent() - sent != offered || pipeline.dropped() != 0 || (more_hits, more_misses) != wanted {
        let dropped = pipeline.dropped();
        return Err(format!(
            "{name}: of {offered} packets {} sent, {dropped} dropped, {more_hits} hits, {more_misses} misses",
            pipeline.sent() - sent
        ));
    }
    Ok(())
}

fn check(path: &Path) -> Result<(), String> {
    let figures = read(path)?;
    let (mut bad, mut drift) = (Vec::new(), 0.0);
    println!("{:<24} {:>8} {:>8} {:>8} {:>8}", "", "first", "figure", "now", "");
    for scenario in scenarios::ALL {
        let name = scenario.name;
        let known = figures.scenarios.get(name).and_then(|list| Some((list.first()?, list.last()?)));
        let Some((first, last)) = known else {
            return Err(format!("{name} has no figure: set it down with `instructions write --why ...`"));
        };
        let now = per_packet(name)?;
        let more = now / last.instructions - 1.0;
        drift += now / first.instructions - 1.0;
        println!(
            "{name:<24} {:>8.1} {:>8.1} {now:>8.1} {:>+7.1} %",
            first.instructions,
            last.instructions,
            more * 100.0
        );
        if more > TOLERANCE {
            bad.push(format!("{name} takes {:.1} % more than its figure", more * 100.0));
        }
    }
    let drift = drift / scenarios::ALL.len() as f64;
    println!("{:<24} {:>+7.1} % since the first figures, on average", "drift", drift * 100.0);
    if drift > DRIFT {
        bad.push(format!("drifted by {:.1} % since the first figures", drift * 100.0));
    }
    if bad.is_empty() { Ok(()) } else { Err(bad.join("\n")) }
}

fn write(path: &Path, why: &str) -> Result<(), String> {
    let mut figures = if path.exists() { read(path)? } else { Figures::default() };
    figures.level = LEVEL.into();
    figures.scenarios.retain(|name, _| Scenario::named(name).is_some());
    for scenario in scenarios::ALL {
        let now = (per_packet(scenario.name)? * 10.0).round() / 10.0;
        let list = figures.scenarios.entry(scenario.name.into()).or_default();
        let moved = list.last().is_none_or(|last| (now / last.instructions - 1.0).abs() > 0.005);
        println!("{:<24} {now:>8.1}{}", scenario.name, if moved { "" } else { "  as before" });
        if moved {
            list.push(Figure { instructions: now, why: why.into() });
        }
    }
    let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
    std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Figures, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let figures: Figures = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    match figures.scenarios.iter().find(|(_, list)| list.iter().any(|figure| figure.why.trim().is_empty())) {
        Some((name, _)) => Err(format!("{}: {name} has a figure without its reason", path.display())),
        None => Ok(figures),
    }
}

/// Instructions that one packet more takes.
fn per_packet(scenario: &str) -> Result<f64, String> {
    let nowhere = Path::new("/dev/null");
    let more = counted(scenario, LONG, nowhere)? - counted(scenario, SHORT, nowhere)?;
    Ok(more as f64 / ((LONG - SHORT) * BURST) as f64)
}

fn tell_budget(names: &[String], json: bool) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| Scenario::named(name).is_none()) {
        return Err(format!("{unknown}: no such scenario"));
    }
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let steps: Vec<&str> = budget::STEPS.iter().map(|(step, _)| *step).chain(["rest"]).collect();
    let mut told = BTreeMap::new();
    for name in scenarios::ALL.iter().map(|scenario| scenario.name).filter(|name| is_wanted(name)) {
        let (long, short) = (steps_of(name, LONG)?, steps_of(name, SHORT)?);
        let per_packet =
            |step: usize| ((long[step] - short[step]) / ((LONG - SHORT) * BURST) as f64 * 10.0).round().max(0.0) / 10.0;
        let costs: Vec<(&str, f64)> = steps.iter().enumerate().map(|(at, step)| (*step, per_packet(at))).collect();
        let all: f64 = costs.iter().map(|(_, cost)| cost).sum();
        if costs.last().is_some_and(|(_, rest)| *rest > all * MOST_REST) {
            return Err(format!("{name}: much is of no step; have the files of steps other names now? {costs:?}"));
        }
        told.insert(name, costs);
    }
    if json {
        println!("{}", serde_json::to_string(&told).map_err(|error| error.to_string())?);
        return Ok(());
    }
    println!("{:<24} {:>9} {}", "", "all", steps.iter().map(|step| format!("{step:>9}")).collect::<Vec<_>>().join(" "));
    for (name, costs) in told {
        let costs: Vec<f64> = costs.into_iter().map(|(_, cost)| cost).collect();
        let each: Vec<String> = costs.iter().map(|cost| format!("{cost:>9.1}")).collect();
        println!("{name:<24} {:>9.1} {}", costs.iter().sum::<f64>(), each.join(" "));
    }
    Ok(())
}

/// Instructions of a whole run by step.
fn steps_of(scenario: &str, bursts: usize) -> Result<Budget, String> {
    let path = std::env::temp_dir().join(format!("callgrind.{}.{scenario}.{bursts}", std::process::id()));
    let counted = counted(scenario, bursts, &path);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    let _ = std::fs::remove_file(&path);
    counted?;
    budget::read(&text?).ok_or_else(|| format!("{scenario}: callgrind wrote nothing"))
}

/// Instructions of a whole run under callgrind.
fn counted(scenario: &str, bursts: usize, out: &Path) -> Result<i64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(own)
        .args(["run", scenario, &bursts.to_string()])
        .env("GLIBC_TUNABLES", TUNABLES)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{scenario} under callgrind: {said}"));
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    collected.and_then(|count| count.parse().ok()).ok_or_else(|| format!("callgrind counted nothing: {said}"))
}
