//! The model in all the states that the product may be in, as far as its choices have shown.

use super::ecmp::join;
use super::{Oracle, Outcome, Sent};

/// States at most.
const MOST: usize = 48;

/// At least one state. Each collects the outcomes of what happens until [`Worlds::keep`].
#[derive(Clone)]
pub struct Worlds {
    all: Vec<World>,
}

#[derive(Clone)]
struct World {
    oracle: Oracle,
    outcomes: Vec<Outcome>,
}

impl Worlds {
    pub fn new(oracle: Oracle) -> Worlds {
        Worlds { all: vec![World { oracle, outcomes: Vec::new() }] }
    }

    /// Any of them; they have the configuration, the clock and the links in common.
    pub fn oracle(&self) -> &Oracle {
        &self.all[0].oracle
    }

    /// A change: of the configuration, of links.
    pub fn change(&mut self, change: impl Fn(&mut Oracle) -> Result<(), String>) -> Result<(), String> {
        self.all.iter_mut().try_for_each(|world| change(&mut world.oracle))
    }

    /// See [`Oracle::receive`].
    pub fn receive(&mut self, port: usize, frame: &[u8], now_ms: u64, came: &[Sent]) {
        self.receive_burst(port, &[frame], now_ms, came);
    }

    /// The same of several frames, each of which has an outcome. What we say to their senders goes out behind the last of them.
    pub fn receive_burst(&mut self, port: usize, frames: &[&[u8]], now_ms: u64, came: &[Sent]) {
        assert!(now_ms == self.oracle().now, "the clock is at {}, not at {now_ms}: advance first", self.oracle().now);
        for (at, frame) in frames.iter().enumerate() {
            self.happen(came, |oracle| oracle.enter_in_burst(port, frame, at + 1 == frames.len()));
        }
    }

    /// See [`Oracle::advance`].
    pub fn advance(&mut self, now_ms: u64, came: &[Sent]) {
        self.happen(came, |oracle| oracle.pass(now_ms));
    }

    /// When no flow is in limbo in any of them.
    pub fn settled_at(&self) -> u64 {
        self.all.iter().map(|world| world.oracle.settled_at()).max().expect("a world")
    }

    fn happen(&mut self, came: &[Sent], event: impl Fn(&mut Oracle)) {
        let (mut fitting, mut others) = (Vec::<World>::new(), Vec::<World>::new());
        for World { oracle, outcomes } in &self.all {
            // each frame that came is one's only
            let mut left = came.to_vec();
            for sent in outcomes.iter().flat_map(|outcome| &outcome.sent) {
                left.iter().position(|other| other == sent).map(|at| left.swap_remove(at));
            }
            let (after, fits) = oracle.branches(&left, &event);
            for mut oracle in after {
                let outcomes = [&outcomes[..], &[std::mem::take(&mut oracle.outcome)]].concat();
                let worlds = if fits { &mut fitting } else { &mut others };
                let alike = |world: &mut World| is_alike(&world.outcomes, &outcomes) && world.oracle.takes_in(&oracle);
                if !worlds.iter_mut().any(alike) {
                    worlds.push(World { oracle, outcomes });
                }
            }
        }
        self.all = if fitting.is_empty() { others } else { fitting };
        assert!(self.all.len() <= MOST, "unmodelled: too many states");
    }

    /// Ends an event: those go on whose outcomes, one for each thing that happened, and state `fit`. The outcomes of one of them; if
    /// none fits, those of the first, and what `fit` says of it.
    pub fn keep<E>(
        &mut self,
        fit: impl Fn(&Oracle, &[Outcome]) -> Result<(), E>,
    ) -> Result<Vec<Outcome>, (Vec<Outcome>, E)> {
        let (mut kept, mut outcomes, mut unfit) = (Vec::new(), None, None);
        for World { mut oracle, outcomes: its } in std::mem::take(&mut self.all) {
            oracle.events += 1;
            match fit(&oracle, &its) {
                Ok(()) => {
                    outcomes.get_or_insert(its);
                    join(&mut kept, oracle);
                }
                Err(why) => _ = unfit.get_or_insert((World { oracle, outcomes: its }, why)),
            }
        }
        if let Some(outcomes) = outcomes {
            self.all = kept.into_iter().map(|oracle| World { oracle, outcomes: Vec::new() }).collect();
            return Ok(outcomes);
        }
        let (World { oracle, outcomes }, why) = unfit.expect("a world");
        *self = Worlds::new(oracle);
        Err((outcomes, why))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }
}

/// But for the features that took part.
fn is_alike(ones: &[Outcome], others: &[Outcome]) -> bool {
    ones.iter().zip(others).all(|(one, other)| one.sent == other.sent && one.drops == other.drops)
}
