//! Set-up in a full table, where each new pair needs an eviction, and ageing.

use std::hint::black_box;
use std::time::Instant;

use bench::random::Random;
use flowtable::{Batch, InsertError, Outline, Pairs};

use crate::contestants::Ours;
use crate::keys::{flow, half};
use crate::rounds::median;

/// Calls between two looks at the clock.
const STRETCH: usize = 64;
const STRETCHES: usize = 1000;
/// What one eviction looks at, as the vRouter does.
const SCAN: u32 = 128;
/// Nanoseconds that insertion with eviction may take: 500 cycles of 2.6 GHz.
const MOST_SETUP: f64 = 192.0;
/// Nanoseconds that ageing may take for a pair: a table of 4 M pairs goes round in 10 s by 2 % of a worker.
const MOST_AGEING: f64 = 50.0;

/// A full table of so many pairs.
pub fn full_table(count: u32, broken: &mut Vec<String>) {
    let ours = Ours::filled(count);
    let pairs = ours.0.narrow();
    println!("full table of {count} pairs on {}, ns a pair:", ours.0.region().pages());
    let mut row = |name: &str, found: f64, most: Option<f64>| {
        println!("  {name:<44} {found:>8.1}");
        if let Some(most) = most.filter(|most| found > *most) {
            broken.push(format!("{name}: {found:.0} ns a pair, {most} is the most"));
        }
    };
    row("ageing, nothing expires", ageing(pairs, |pair| pair.forward.last_seen > 1), Some(MOST_AGEING));

    let mut fresh = u64::from(count);
    let mut cursor = Random(3).below(count.into()) as u32;
    let mut evict = |most| {
        let batch = Batch { most, beside: 0 };
        pairs.evict_each(&mut cursor, SCAN, batch, |pair| Some(pair.forward.last_seen), |_| ()) == most
    };
    let mut next = || {
        fresh += 1;
        fresh
    };
    row("evict one", stretches(|| assert!(evict(1))), None);
    row("evict a batch at once, each", stretches(|| assert!(evict(Batch::MOST))) / f64::from(Batch::MOST), None);
    row("insert where there is room", stretches(|| insert(pairs, next()).expect("room")), None);
    while insert(pairs, next()).is_ok() {}
    let mut set_up = |n, most| {
        while let Err(error) = insert(pairs, n) {
            assert!(error == InsertError::Full && evict(most), "{error}");
        }
    };
    row("insert, evict one when full", stretches(|| set_up(next(), 1)), None);
    row("insert, evict a batch when full", stretches(|| set_up(next(), Batch::MOST)), None);
    let burst = stretches_of(4, || {
        let burst: [u64; 32] = std::array::from_fn(|_| next());
        for key in burst.into_iter().flat_map(flow) {
            pairs.prefetch_buckets(pairs.hash(&key));
        }
        burst.into_iter().for_each(|n| set_up(n, Batch::MOST));
    });
    row("the same, asking for a burst's buckets first", burst / 32.0, Some(MOST_SETUP));

    let mut random = Random(5);
    let find = || {
        let key = flow(fresh - random.below(STRETCH as u64 * 1000))[0];
        black_box(pairs.find(&key, pairs.hash(&key)));
    };
    row("find one alone", stretches(find), None);
}

fn insert(pairs: &Pairs<2>, n: u64) -> Result<(), InsertError> {
    let [forward, reverse] = flow(n);
    pairs.insert((&forward, half(n, 0)), (&reverse, half(n, 0)), 0, 0).map(|handle| _ = black_box(handle))
}

fn ageing(pairs: &Pairs<2>, expired: impl Fn(&Outline) -> bool) -> f64 {
    let mut cursor = 0;
    let mut age = || {
        assert_eq!(pairs.age(&mut cursor, 64, &expired), 0);
    };
    stretches_of(8, &mut age) / 64.0
}

/// Median nanoseconds of one.
fn stretches(one: impl FnMut()) -> f64 {
    stretches_of(STRETCH, one)
}

/// The same, of those that take longer.
fn stretches_of(calls: usize, mut one: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..STRETCHES)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| one());
            start.elapsed().as_secs_f64() * 1e9 / calls as f64
        })
        .collect();
    median(&mut times)
}
