//! One update of a next-hop group that 1, 1,000 and 1,000,000 routes name: the time until the snapshot in which all of them go by the new
//! paths is there. Prints a table; the models take turns, so that they run under the same conditions.

use std::time::Instant;

use bench::groups::{MEMBERS, group, model};

const ROUTES: [u32; 3] = [1, 1_000, 1_000_000];
const TURNS: u32 = 2_000;

fn main() {
    println!("one update of a group of {MEMBERS} paths, of which one changes; {TURNS} turns");
    let mut models = ROUTES.map(model);
    let mut times = [const { Vec::new() }; ROUTES.len()];
    for turn in 1..=TURNS {
        let change = [group(turn)];
        for (model, times) in models.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let snapshot = model.apply("", &change).expect("accepted");
            times.push(start.elapsed().as_nanos() as f64 / 1e3);
            drop(snapshot);
        }
    }
    println!("{:>10} {:>9} {:>9}", "routes", "p50 us", "p99 us");
    let mut medians = Vec::new();
    for (routes, mut times) in ROUTES.into_iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        println!("{routes:>10} {:>9.1} {:>9.1}", at(0.5), at(0.99));
        medians.push(at(0.5));
    }
    println!("1,000,000 routes to 1,000: {:.2}; to 1: {:.2}", medians[2] / medians[1], medians[2] / medians[0]);
}
