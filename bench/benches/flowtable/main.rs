//! The flow table beside what the memory allows and beside others' tables: lookups in bursts of 64 among 1 k, 1 M and 10 M entries,
//! with no, half and only misses; lookups while another thread inserts and removes; set-up with eviction in a full table; ageing; adoption by
//! the next process.
//!
//! ```text
//! cargo bench -p bench --bench flowtable -- [--hold] [lookup|churn|setup|adopt]... [ENTRIES]...
//! ```
//!
//! `probe` reads two dependent random lines a lookup, in the same bursts with the same prefetching, from lines as many as the table's
//! buckets and entries: what the memory allows. `one line` reads the first of them alone, as a lookup that finds nothing must. Table, probe
//! and rte_hash lie on reserved huge pages where they are free (as root: `echo 2048 > /proc/sys/vm/nr_hugepages`), else the first two on
//! transparent ones; the first lines say which. DashMap and hashbrown lie on the heap (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1` gives it
//! transparent huge pages) and have no way to look ahead.
//!
//! Contestants take turns. A figure is the median over stretches so short that another process seldom falls into one. `--hold` fails the
//! run when a lookup is below three quarters of the probe or one and a half rte_hash, when churn costs more than 15 % or tears a read,
//! and when set-up with eviction, ageing or adoption takes longer than it may.

mod adopt;
mod churn;
mod contestants;
mod keys;
mod rounds;
mod setup;

use std::process::ExitCode;

use contestants::{Contestant, FirstLine, Hashbrown, Memory, Ours, Probe, Sharded};
use keys::Keys;
use rounds::{Rates, rates};

/// Lookups that are made together.
const BURST: usize = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let sizes: Vec<u32> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1000, 1_000_000, 10_000_000] } else { sizes };
    let all = !["lookup", "churn", "setup", "adopt"].into_iter().any(has);
    let mut broken = Vec::new();
    if all || has("lookup") {
        let memory = Memory::of(sizes.iter().copied().max().unwrap_or_default());
        println!(
            "{:>9} {:>6} {:<10} {:>8} {:>8} {:>8} {:>8}  on",
            "entries", "misses", "by", "M/s", "ns each", "of probe", "of rte"
        );
        sizes.iter().for_each(|&entries| lookups(&memory, entries, &mut broken));
    }
    if all || has("churn") {
        sizes.iter().for_each(|&entries| churn::beside(entries / 2, &mut broken));
    }
    if all || has("setup") {
        setup::full_table(4_000_000, &mut broken);
    }
    if all || has("adopt") {
        adopt::full_table(4_000_000, &mut broken);
    }
    broken.iter().for_each(|broken| println!("not held: {broken}"));
    if has("--hold") && !broken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All contestants with so many entries, in turns.
fn lookups(memory: &Memory, entries: u32, broken: &mut Vec<String>) {
    let pairs = entries / 2;
    let ours = Ours::filled(pairs);
    let probe = Probe::like(pairs);
    let others: [Box<dyn Contestant>; 2] = [Box::new(Sharded::filled(pairs)), Box::new(Hashbrown::filled(pairs))];
    let rte_hash = memory.rte_hash(pairs);
    let first = FirstLine(&probe);
    let mut contestants: Vec<&dyn Contestant> = vec![&probe, &ours];
    contestants.extend(rte_hash.as_deref());
    contestants.push(&first);
    contestants.extend(others.iter().map(AsRef::as_ref));
    for misses in [0, 50, 100] {
        let keys = Keys::random(pairs, misses);
        let found = rates(&contestants, &keys);
        let of = |name: &str| found.iter().find(|rates| rates.name == name).map(|rates| rates.per_second);
        let (probe, rte) = (of("probe").expect("it ran"), of("rte_hash"));
        for (Rates { name, per_second, hits }, contestant) in found.iter().zip(&contestants) {
            let ratio = |to: Option<f64>| to.map_or("-".into(), |to| format!("{:.2}", per_second / to));
            println!(
                "{entries:>9} {misses:>5}% {name:<10} {:>8.1} {:>8.1} {:>8} {:>8}  {}",
                per_second / 1e6,
                1e9 / per_second,
                ratio(Some(probe)),
                ratio(rte),
                contestant.memory()
            );
            let expected = *name == "probe" || *name == "one line" || *hits == keys.hits();
            assert!(expected, "{name} found {hits} of {} keys", keys.hits());
        }
        let ours = of("flowtable").expect("it ran");
        let mut hold = |name: &str, reference: f64, least: f64| {
            if ours < least * reference {
                let ratio = ours / reference;
                broken
                    .push(format!("{entries} entries, {misses} % misses: {ratio:.2} of {name}, {least} is the least"));
            }
        };
        hold("the probe", probe, 0.75);
        rte.into_iter().for_each(|rte| hold("rte_hash", rte, 1.5));
    }
}
