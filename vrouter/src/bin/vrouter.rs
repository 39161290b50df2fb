//! The daemon.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use vrouter::api::config::Config;
use vrouter::daemon;

/// Debug builds end when a worker allocates.
#[cfg(debug_assertions)]
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;

/// Multi-tenant overlay vRouter on DPDK.
///
/// Exit codes: 0 stopped by SIGTERM or SIGINT; 1 failed while running; 2 wrong arguments; 3 the configuration is
/// refused; 4 memory, devices, threads or the state directory cannot be had; 5 another daemon serves the socket or uses
/// the state directory; 6 the state directory is damaged.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// The configuration (YAML): workers, ports, limits, who may do what, what is kept of privileges, the file in which flows outlive the
    /// daemon, and the state that exists at once
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Judge the configuration, print its limits with their memory, and end
    #[arg(long)]
    check_config: bool,
    /// Where the model is kept, so that it outlives the daemon; instead of the configuration's `state_dir`
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Read and check the state directory, print what it holds, change nothing, and end. No daemon may use it meanwhile
    #[arg(long)]
    check_state: bool,
    /// Do not forward: what one port receives leaves by the next one, of the ports in pairs, as it is. What ports and threads cost, which
    /// measurements subtract. Ports cannot come or go
    #[arg(long)]
    only_move: bool,
}

const REFUSED: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // a worker never dies quietly: a panic anywhere ends the process
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let cores: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let mut config = match Config::read(&arguments.config, &cores) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("vrouter: {error}");
            return ExitCode::from(REFUSED);
        }
    };
    config.state_dir = arguments.state_dir.or(config.state_dir);
    match (arguments.check_config, arguments.check_state) {
        (true, _) => check(&config),
        (_, true) => check_state(&config),
        _ => run(&config, arguments.only_move),
    }
}

fn check_state(config: &Config) -> ExitCode {
    let Some(folder) = &config.state_dir else {
        eprintln!("vrouter: no state directory is given: neither --state-dir nor state_dir");
        return ExitCode::from(REFUSED);
    };
    let recovered = match daemon::ledger::check(folder) {
        Ok(Some(recovered)) => recovered,
        Ok(None) => {
            println!("{}: nothing was ever kept here", folder.display());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("vrouter: {error}");
            return ExitCode::from(error.exit_code());
        }
    };
    let image = &recovered.image;
    println!(
        "generations up to {}, {} batches, {} of them since the snapshot",
        image.generation, image.batches, recovered.batches
    );
    for (kind, count) in image.counts() {
        println!("{kind:<16} {count:>12}");
    }
    for (owner, it) in &image.unconfirmed {
        println!("generation {} of owner {owner} waits to be confirmed", it.generation);
    }
    if let Some((file, cut)) = recovered.cut() {
        println!(
            "{file}: {} bytes from byte {} on were being written, and will be cut off",
            cut.to - cut.from,
            cut.from
        );
    }
    ExitCode::SUCCESS
}

fn check(config: &Config) -> ExitCode {
    if let Err(error) = daemon::check_names(config) {
        eprintln!("vrouter: {error}");
        return ExitCode::from(REFUSED);
    }
    let (limits, huge) = match daemon::limits(config).and_then(|limits| Ok((limits, daemon::huge_page_mib(config)?))) {
        Ok(costs) => costs,
        Err(error) => {
            eprintln!("vrouter: limits: {error}");
            return ExitCode::from(REFUSED);
        }
    };
    println!("{:<16} {:>12} {:>10}", "limit", "value", "MiB");
    for limit in limits {
        println!("{:<16} {:>12} {:>10.1}", limit.name, limit.value, limit.bytes as f64 / f64::from(1 << 20));
    }
    if huge > 0 {
        println!(
            "\nhuge pages: {huge} MiB, for eal.memory_mb and the flow table: vm.nr_hugepages should be at least {}",
            huge / 2
        );
    }
    ExitCode::SUCCESS
}

#[cfg(feature = "dpdk")]
fn run(config: &Config, only_move: bool) -> ExitCode {
    let work = if only_move { daemon::Work::Move } else { daemon::Work::Forward };
    let Err(error) = daemon::run(config, work) else { return ExitCode::SUCCESS };
    eprintln!("vrouter: {error}");
    ExitCode::from(error.exit_code())
}

#[cfg(not(feature = "dpdk"))]
fn run(_: &Config, _: bool) -> ExitCode {
    eprintln!("vrouter: built without DPDK (feature dpdk): it can check configurations only");
    ExitCode::from(4)
}
