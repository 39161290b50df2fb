//! Contestants take turns.

use std::time::Instant;

use crate::BURST;
use crate::contestants::Contestant;
use crate::keys::Keys;

/// Bursts between two looks at the clock.
const STRETCH: usize = 64;
/// Turns of each.
const ROUNDS: usize = 12;
/// Lookups of one turn, when the list has so many.
const TURN: usize = 1 << 18;

/// What one reached.
pub struct Rates {
    pub name: &'static str,
    pub per_second: f64,
    /// Keys that were found when the whole list was asked.
    pub hits: u64,
}

/// Lookups a second of each.
pub fn rates(contestants: &[&dyn Contestant], keys: &Keys) -> Vec<Rates> {
    let mut found: Vec<(u64, Vec<f64>)> =
        contestants.iter().map(|one| (one.ask(keys, 0..keys.list.len()), Vec::new())).collect();
    let mut at = 0;
    for _ in 0..ROUNDS {
        for (contestant, (_, times)) in contestants.iter().zip(&mut found) {
            let mut cursor = at;
            // the first stretch warms up
            for stretch in 0..1 + TURN / (STRETCH * BURST) {
                let seconds = time(*contestant, keys, &mut cursor);
                times.extend((stretch > 0).then_some(seconds));
            }
        }
        at = (at + TURN) % keys.list.len();
    }
    let named = contestants.iter().zip(found);
    named
        .map(|(one, (hits, mut times))| Rates { name: one.name(), per_second: 1.0 / median(&mut times), hits })
        .collect()
}

/// Seconds a lookup over one stretch.
pub fn time(contestant: &dyn Contestant, keys: &Keys, cursor: &mut usize) -> f64 {
    let start = Instant::now();
    let mut rest = STRETCH * BURST;
    while rest > 0 {
        let end = (*cursor + rest).min(keys.list.len());
        std::hint::black_box(contestant.ask(keys, *cursor..end));
        rest -= end - *cursor;
        *cursor = end % keys.list.len();
    }
    start.elapsed().as_secs_f64() / (STRETCH * BURST) as f64
}

pub fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
