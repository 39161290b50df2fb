//! FIB: 1,000,000 IPv4 and 200,000 IPv6 routes of the lengths that the Internet has, and small tables. Lookups a second, one by one
//! and in bursts, beside what memory allows; what one change costs while a clone is kept, as a snapshot keeps one; bytes a route.
//! Prints a table. DPDK's rte_fib (DIR-24-8) and rte_fib6 (trie) of the same routes are asked the same, on ordinary pages.
//!
//! Destinations are an address of each route, shuffled, so that none repeats. Rates are of stretches so short that another process
//! seldom falls into one: of each the fastest over the rounds.

use std::hint::black_box;
use std::time::Instant;

use bench::random::Random;
use bench::routes;
use vrouter::ids::NextHopId;
use vrouter::tables::fib::Bits;

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

const BURST: usize = 64;
const STRETCH: usize = 32 * BURST;
const ROUNDS: usize = 11;
const CHANGES: usize = 20_000;

fn main() {
    println!("{:<22} {:>9} {:>11} {:>9} {:>13}", "routes", "single M/s", "batched M/s", "fill M/s", "bytes a route");
    for count in [100, 10_000, 1_000_000] {
        lookups("IPv4", &routes::v4(count));
    }
    lookups("IPv6", &routes::v6(200_000));
    reference::lookups(&routes::v4(1_000_000), &routes::v6(200_000));
    println!("two dependent random lines, in batches: {:.1} M/s", probe());
    println!("one change, us p50 / p99, and to drop the version before:");
    changes("IPv4", &routes::v4(1_000_000));
    changes("IPv6", &routes::v6(200_000));
}

fn lookups<A: Bits>(family: &str, table: &[(A, u8, NextHopId)]) {
    let before = ALLOCATOR.allocated();
    let start = Instant::now();
    let fib = routes::fib(table);
    let fill = table.len() as f64 / start.elapsed().as_secs_f64() / 1e6;
    let bytes = (ALLOCATOR.allocated() - before) as f64 / table.len() as f64;
    let destinations = routes::destinations(table);
    let single = rate(&destinations, |burst| {
        burst.iter().for_each(|&address| {
            black_box(fib.lookup(address));
        });
    });
    let mut answers = [None; BURST];
    let batched = rate(&destinations, |burst| {
        fib.lookup_batch(burst, &mut answers[..burst.len()]);
        black_box(&answers);
    });
    let title = format!("{family} {}", table.len());
    println!("{title:<22} {single:>9.1} {batched:>11.1} {fill:>9.2} {bytes:>13.1}");
}

/// DPDK's tables of the same routes, asked the same.
#[cfg(feature = "dpdk")]
mod reference {
    use std::hint::black_box;

    use ffi::{Eal, EalConfig, Prefixes4, Prefixes6};
    use vrouter::ids::NextHopId;

    use crate::{BURST, rate, routes};

    /// Groups of 256 entries: enough for these tables.
    const GROUPS: [u32; 2] = [1 << 17, 1 << 20];

    pub fn lookups(v4: &[(u32, u8, NextHopId)], v6: &[(u128, u8, NextHopId)]) {
        let prefix = format!("vr-bench-fib-{}", std::process::id());
        let config = EalConfig { log_level: Some("error".into()), ..EalConfig::no_huge(&prefix, 3000) };
        let eal = Eal::init(&config).unwrap_or_else(|error| panic!("{error}"));
        let mut numbers = [0; BURST];
        let mut table =
            Prefixes4::create(&eal, v4.len() as u32, GROUPS[0]).unwrap_or_else(|error| panic!("rte_fib: {error}"));
        v4.iter().for_each(|&(address, length, next_hop)| {
            assert!(table.insert(address, length, next_hop.0), "rte_fib is full")
        });
        let ours = routes::fib(v4);
        let destinations = routes::destinations(v4);
        let batched = rate(&destinations, |burst| {
            table.lookup(burst, &mut numbers[..burst.len()]);
            black_box(&numbers);
        });
        for burst in destinations.chunks(BURST).take(1000) {
            table.lookup(burst, &mut numbers[..burst.len()]);
            let same = burst
                .iter()
                .zip(numbers)
                .all(|(&to, number)| ours.lookup(to).map(|(_, hop)| u64::from(hop.0)) == Some(number));
            assert!(same, "rte_fib finds other routes");
        }
        println!("{:<22} {:>9} {batched:>11.1}", format!("rte_fib, IPv4 {}", v4.len()), "");
        let mut table =
            Prefixes6::create(&eal, v6.len() as u32, GROUPS[1]).unwrap_or_else(|error| panic!("rte_fib6: {error}"));
        v6.iter().for_each(|&(address, length, next_hop)| {
            assert!(table.insert(address, length, next_hop.0), "rte_fib6 is full")
        });
        let destinations: Vec<[u8; 16]> = routes::destinations(v6).iter().map(|to| to.to_be_bytes()).collect();
        let batched = rate(&destinations, |burst| {
            table.lookup(burst, &mut numbers[..burst.len()]);
            black_box(&numbers);
        });
        println!("{:<22} {:>9} {batched:>11.1}", format!("rte_fib6, IPv6 {}", v6.len()), "");
    }
}

/// Without DPDK there is none.
#[cfg(not(feature = "dpdk"))]
mod reference {
    use vrouter::ids::NextHopId;

    pub fn lookups(_: &[(u32, u8, NextHopId)], _: &[(u128, u8, NextHopId)]) {}
}

/// Million a second, in bursts.
fn rate<T>(asked: &[T], mut ask: impl FnMut(&[T])) -> f64 {
    let mut fastest = vec![f64::INFINITY; asked.len().div_ceil(STRETCH)];
    for _ in 0..ROUNDS {
        for (stretch, fastest) in asked.chunks(STRETCH).zip(&mut fastest) {
            let start = Instant::now();
            stretch.chunks(BURST).for_each(|burst| ask(black_box(burst)));
            *fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    asked.len() as f64 / fastest.iter().sum::<f64>() / 1e6
}

/// What memory allows: a random line of some MiB names a random line of as many as a table of 1,000,000 routes has.
fn probe() -> f64 {
    const FIRST: u64 = 5 << 14;
    const SECOND: u64 = 16 << 14;
    let mut random = Random(3);
    let mut lines = |count: u64| -> Vec<[u32; 16]> {
        (0..count).map(|_| std::array::from_fn(|_| random.below(SECOND) as u32)).collect()
    };
    let (first, second) = (lines(FIRST), lines(SECOND));
    let asked: Vec<(u32, u8)> = (0..1 << 20).map(|_| (random.below(FIRST) as u32, random.below(16) as u8)).collect();
    let mut sum = 0_u32;
    let rate = rate(&asked, |burst| {
        let mut named = [0; BURST];
        burst.iter().for_each(|&(line, _)| flowtable::prefetch(&first[line as usize]));
        for (named, &(line, word)) in named.iter_mut().zip(burst) {
            *named = first[line as usize][usize::from(word)] as usize;
            flowtable::prefetch(&second[*named]);
        }
        named[..burst.len()].iter().for_each(|&line| sum = sum.wrapping_add(second[line][0]));
    });
    black_box(sum);
    rate
}

fn changes<A: Bits>(family: &str, table: &[(A, u8, NextHopId)]) {
    let full = routes::fib(table);
    // Each is taken out and put in again, with another next hop.
    let of = |title: &str, routes: &[(A, u8)]| {
        let (mut fib, mut kept) = (full.clone(), full.clone());
        let (mut made, mut dropped) = (Vec::new(), Vec::new());
        for at in 0..CHANGES {
            let (address, length) = routes[at / 2 % routes.len()];
            let start = Instant::now();
            if at % 2 == 0 {
                fib.remove(address, length);
            } else {
                fib.insert(address, length, NextHopId(at as u32));
            }
            made.push(start.elapsed().as_secs_f64() * 1e6);
            let start = Instant::now();
            kept.clone_from(&fib);
            dropped.push(start.elapsed().as_secs_f64() * 1e6);
        }
        let [made, dropped] = [made, dropped].map(|mut times| {
            times.sort_by(f64::total_cmp);
            format!("{:.1} / {:.1}", times[times.len() / 2], times[times.len() * 99 / 100])
        });
        println!("{family} {title:<20} {made:>14} {dropped:>14}");
    };
    let own: Vec<_> = table.iter().map(|&(address, length, _)| (address, length)).filter(|route| route.1 > 8).collect();
    let mut random = Random(5);
    let mut shuffled = own.clone();
    (1..shuffled.len()).for_each(|at| shuffled.swap(at, random.below(at as u64 + 1) as usize));
    of("the table's lengths", &shuffled);
    let short: Vec<_> =
        (0..=8).flat_map(|length| own.iter().take(20).map(move |&(address, _)| (address, length))).collect();
    of("/0 to /8", &short);
}
