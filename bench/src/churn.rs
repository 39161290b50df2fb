//! Random route changes at a pace: puts, changes and withdrawals in batches of a few, of several VRFs. Most are beneath no flow; some are those
//! of flows that are there, which go by one tunnel or another.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vrouter::api::v1;

use crate::changes::{self, OWNER, begin, in_force, key, route_by, tunnel, withdraw};
use crate::control::{Batch, Batches, Client, Error};
use crate::random::Random;

/// Of a batch, at most.
const MOST: u64 = 16;
/// Batches that wait for their answer.
const AHEAD: usize = 8;
/// Routes that may be there, of the tenant's VRF and of each of the others.
const OF_TENANT: u64 = 8192;
const OF_OTHERS: u64 = 128;
/// Routes of flows that are there, /26 each, from 21.0.0.0 on; and one change of so many is one of them.
const TOUCHED: u64 = 160;
const TOUCHES_ONE_OF: u64 = 10;
/// What of these goes by: remotes that only they lead to.
const WAYS: [[u8; 4]; 2] = [[172, 31, 2, 2], [172, 31, 2, 3]];
/// Between two looks at how long a batch takes to be in force.
const SAMPLE: Duration = Duration::from_millis(50);

/// What is asked for.
pub struct Wanted {
    /// The VRF of the flows.
    pub vrf: String,
    /// The others.
    pub others: Vec<String>,
    /// Changes a second.
    pub rate: f64,
    /// How long.
    pub length: Duration,
    /// The same changes for the same seed.
    pub seed: u64,
}

/// A route that may be there.
struct Place {
    key: v1::RouteKey,
    ways: Vec<[u8; 4]>,
    /// The way that it goes, while it is there.
    now: Option<[u8; 4]>,
}

/// The places of routes, and what has been done to them.
struct Places {
    random: Random,
    /// Those of flows first.
    places: Vec<Place>,
    done: Done,
}

#[derive(Default)]
struct Done {
    puts: u64,
    changes: u64,
    withdrawals: u64,
    touched: u64,
}

impl Places {
    fn new(wanted: &Wanted) -> Places {
        let touched = (0..TOUCHED).map(|at| (wanted.vrf.as_str(), 21 << 24 | (at as u32) << 6, 26, WAYS.to_vec()));
        let mut random = Random(wanted.seed);
        let mut places: Vec<_> = touched
            .map(|(vrf, address, length, ways)| Place { key: key(vrf, address, length), ways, now: None })
            .collect();
        let others = wanted.others.iter().map(|vrf| (vrf.as_str(), OF_OTHERS));
        for (vrf, count) in std::iter::once((wanted.vrf.as_str(), OF_TENANT)).chain(others) {
            // spaced so that no two are one route
            places.extend((0..count as u32).map(|at| {
                let length = 24 + random.below(9) as u8;
                let ways = (0..3).map(|_| [172, 31, 1, random.draw() as u8]).collect();
                Place { key: key(vrf, 30 << 24 | at << 8, length), ways, now: None }
            }));
        }
        Places { random, places, done: Done::default() }
    }

    /// One change of one of them.
    fn change(&mut self) -> v1::Change {
        let Places { random, places, done } = self;
        let touches = random.below(TOUCHES_ONE_OF) == 0;
        let at = if touches { random.below(TOUCHED) } else { TOUCHED + random.below(places.len() as u64 - TOUCHED) };
        done.touched += u64::from(touches);
        let place = &mut places[at as usize];
        if place.now.is_some() && random.below(3) == 0 {
            done.withdrawals += 1;
            place.now = None;
            return withdraw(&place.key);
        }
        *(if place.now.is_some() { &mut done.changes } else { &mut done.puts }) += 1;
        let others: Vec<_> = place.ways.iter().copied().filter(|&way| Some(way) != place.now).collect();
        let way = others.get(random.below(others.len() as u64) as usize).copied().unwrap_or(place.ways[0]);
        place.now = Some(way);
        route_by(&place.key, tunnel(way))
    }

    /// So few of them.
    fn batch(&mut self) -> Batch {
        let count = 1 + self.random.below(MOST);
        let changes: Vec<_> = (0..count).map(|_| self.change()).collect();
        Batch::new(OWNER, &changes)
    }
}

/// Changes as long as is wanted. What was found.
///
/// # Errors
/// A batch is refused, or the daemon goes.
pub async fn churn(call: Batches, looks: Client, wanted: &Wanted) -> Result<Value, Error> {
    let mut places = Places::new(wanted);
    let (batches, wait) = tokio::sync::watch::channel(None);
    let looking = tokio::spawn(sampled(looks, wait));
    let start = begin();
    let mut pace = Pace { call, start, sent: Vec::new(), answered: Vec::new(), made: 0 };
    let mut asked = 0;
    while start.elapsed() < wanted.length {
        if pace.sent.len() < AHEAD && f64::from(asked) < start.elapsed().as_secs_f64() * wanted.rate {
            let batch = places.batch();
            asked += batch.changes as u32;
            pace.send(&batch).await;
            continue;
        }
        if pace.sent.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            // who looks has ended when a look fails, and says why
            _ = batches.send(Some(pace.answer().await?));
        }
    }
    while !pace.sent.is_empty() {
        pace.answer().await?;
    }
    let (seconds, Pace { made, answered, .. }) = (start.elapsed().as_secs_f64(), pace);
    drop(batches);
    let in_force = looking.await??;
    let Done { puts, changes, withdrawals, touched } = places.done;
    Ok(json!({
        "changes": made, "seconds": seconds, "per_second": made as f64 / seconds, "wanted_per_second": wanted.rate, "batches": answered.len(),
        "puts": puts, "changed": changes, "withdrawals": withdrawals, "of_flows": touched,
        "answered_us": changes::spread(answered), "in_force_us": changes::spread(in_force),
    }))
}

/// Batches under way.
struct Pace {
    call: Batches,
    start: Instant,
    /// When each was sent, and its changes.
    sent: Vec<(Instant, u64)>,
    answered: Vec<Duration>,
    made: u64,
}

impl Pace {
    async fn send(&mut self, batch: &Batch) {
        self.sent.push((Instant::now(), batch.changes as u64));
        self.call.send(batch).await;
    }

    /// The oldest one's generation, and when it was sent.
    async fn answer(&mut self) -> Result<(u64, Instant), Error> {
        let generation = self.call.answer().await?;
        let (sent, changes) = if self.sent.is_empty() { (self.start, 0) } else { self.sent.remove(0) };
        self.answered.push(sent.elapsed());
        self.made += changes;
        Ok((generation, sent))
    }
}

/// Of a batch now and then, how long it took until every worker forwarded by it.
async fn sampled(
    mut looks: Client,
    mut batches: tokio::sync::watch::Receiver<Option<(u64, Instant)>>,
) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    while batches.changed().await.is_ok() {
        let last = *batches.borrow_and_update();
        if let Some((generation, sent)) = last {
            in_force(&mut looks, generation).await?;
            times.push(sent.elapsed());
        }
        tokio::time::sleep(SAMPLE).await;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use v1::change::Op;

    fn wanted(seed: u64) -> Wanted {
        Wanted { vrf: "red".into(), others: vec!["t0".into(), "t1".into()], rate: 1.0, length: Duration::ZERO, seed }
    }

    #[test]
    fn the_same_seed_makes_the_same_changes() {
        let all = |seed| {
            let mut places = Places::new(&wanted(seed));
            (0..1000).map(|_| places.change()).collect::<Vec<_>>()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }

    #[test]
    fn no_change_is_refused_and_each_changes_something() {
        let mut places = Places::new(&wanted(1));
        let (mut there, keys) =
            (HashSet::new(), places.places.iter().map(|place| format!("{:?}", place.key)).collect::<HashSet<_>>());
        assert_eq!(keys.len(), places.places.len(), "two places of one route");
        for _ in 0..50_000 {
            match places.change().op.expect("an operation") {
                Op::Delete(key) => assert!(there.remove(&format!("{key:?}")), "{key:?} is not there"),
                Op::Put(object) => {
                    let Some(v1::object::Kind::Route(route)) = object.kind else { unreachable!("a route") };
                    let key = v1::ObjectKey { kind: route.key.map(v1::object_key::Kind::Route) };
                    there.insert(format!("{key:?}"));
                }
                Op::Create(object) => unreachable!("{object:?}"),
            }
        }
        let Done { puts, changes, withdrawals, touched } = places.done;
        assert_eq!(puts + changes + withdrawals, 50_000);
        assert!([puts, changes, withdrawals].iter().all(|&count| count > 5_000) && (4_000..6_000).contains(&touched));
    }
}
