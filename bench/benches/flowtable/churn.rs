//! Lookups on core 1 while a thread on core 0 removes and inserts entries at a steady pace.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flowtable::{Narrow, Pairs};

use crate::BURST;
use crate::contestants::{Contestant, Ours, each};
use crate::keys::{Keys, flow, half};
use crate::rounds::median;

/// Entries a second that leave, and as many that come.
const ENTRIES: u64 = 1_000_000;
/// Bursts between two looks at the clock.
const STRETCH: usize = 64;
/// Quiet and busy spells, in turns.
const SPELLS: usize = 20;
/// Between two spurts of the one that removes and inserts.
const PAUSE: Duration = Duration::from_micros(100);
const SPELL: Duration = Duration::from_millis(100);

/// What the reader saw besides.
#[derive(Default)]
struct Seen {
    torn: u64,
    found: u64,
    missed: u64,
}

/// The slow-down of lookups among so many pairs, of which any may be gone for a moment.
pub fn beside(count: u32, broken: &mut Vec<String>) {
    let ours = Ours::filled(count);
    let keys = Keys::random(count, 0);
    let (busy, stop, churned) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let mut seen = Seen::default();
    let (mut quiet_times, mut busy_times, mut busy_seconds) = (Vec::new(), Vec::new(), 0.0);
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let pin = |at: usize| cores.get(at).is_some_and(|core| core_affinity::set_for_current(*core));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(0);
            churn(ours.0.narrow(), count, &busy, &stop, &churned);
        });
        pin(1);
        let mut cursor = 0;
        for spell in 0..SPELLS {
            busy.store(spell % 2 == 1, Relaxed);
            let start = Instant::now();
            while start.elapsed() < SPELL {
                let before = Instant::now();
                for _ in 0..STRETCH {
                    let end = cursor + BURST;
                    look(ours.0.narrow(), &keys.list[cursor..end], &mut seen);
                    cursor = end % keys.list.len();
                }
                let times = if spell % 2 == 1 { &mut busy_times } else { &mut quiet_times };
                times.push(before.elapsed().as_secs_f64() / (STRETCH * BURST) as f64);
            }
            busy_seconds += if spell % 2 == 1 { start.elapsed().as_secs_f64() } else { 0.0 };
        }
        stop.store(true, Relaxed);
    });
    let (quiet, busy) = (1.0 / median(&mut quiet_times), 1.0 / median(&mut busy_times));
    let slower = 1.0 - busy / quiet;
    let pace = churned.into_inner() as f64 / busy_seconds;
    println!(
        "churn: {:>8} entries, {:.2} M/s removed and as many inserted beside: {:.1} M/s instead of {:.1}, {:.1} % slower; {} torn; {} of {} \
         keys were just gone",
        2 * count,
        pace / 1e6,
        busy / 1e6,
        quiet / 1e6,
        slower * 100.0,
        seen.torn,
        seen.missed,
        seen.missed + seen.found
    );
    let name = ours.name();
    if slower > 0.15 {
        broken.push(format!("churn, {} entries: {name} is {:.1} % slower, 15 is the most", 2 * count, slower * 100.0));
    }
    if seen.torn > 0 {
        broken.push(format!("churn, {} entries: {} torn reads", 2 * count, seen.torn));
    }
}

/// One burst, all of whose entries are judged.
fn look(pairs: &Pairs<2>, keys: &[Narrow], seen: &mut Seen) {
    each(pairs, keys, |key, found| {
        let Some((_, entry)) = found else {
            seen.missed += 1;
            return;
        };
        let n = entry.stamp & 0xffff_ffff;
        let whole = entry.half() == half(n, entry.stamp >> 32) && flow(n)[usize::from(!entry.initiator)] == *key;
        seen.found += 1;
        seen.torn += u64::from(!whole);
    });
}

/// Removes each pair and inserts it with another stamp, round and round.
fn churn(pairs: &Pairs<2>, count: u32, busy: &AtomicBool, stop: &AtomicBool, churned: &AtomicU64) {
    let (mut n, mut update, mut began, mut done) = (0, 1, Instant::now(), 0);
    while !stop.load(Relaxed) {
        std::thread::sleep(PAUSE);
        if !busy.load(Relaxed) {
            (began, done) = (Instant::now(), 0);
            continue;
        }
        let due = (began.elapsed().as_micros() as u64 * ENTRIES / 2) / 1_000_000;
        // who was away for long does not make up for all of it
        done = done.max(due.saturating_sub(ENTRIES / 200));
        while done < due {
            let [forward, reverse] = flow(n);
            let (handle, _) = pairs.find(&forward, pairs.hash(&forward)).expect("only we remove");
            assert!(pairs.remove(handle), "only we remove");
            pairs.insert((&forward, half(n, update)), (&reverse, half(n, update)), 0, 0).expect("there was room");
            // a step that visits all pairs in an order that is not that of the table
            n = (n + 7_919) % u64::from(count);
            update = (update + u64::from(n < 7_919)) & 0xffff_ffff;
            churned.fetch_add(2, Relaxed);
            done += 1;
        }
    }
}
