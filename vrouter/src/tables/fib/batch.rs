//! Lookups of a burst, side by side.

use std::hint::select_unpredictable;

use super::Bits;
use super::fan::Fan;
use super::list::List;
use super::node::Node;

/// How many addresses go down the trie at once: as many misses as a core has in flight, and more.
const LANES: usize = 64;

/// Writes the longest route that holds each address to the answer at the same place; leaves it alone where there is none.
pub(super) struct Burst<'a, A: Bits, V> {
    pub(super) top: &'a Node<A, V>,
    pub(super) addresses: &'a [A],
    pub(super) answers: &'a mut [Option<(u8, V)>],
}

impl<A: Bits, V: Copy + Default + Eq> flowtable::Kernel for Burst<'_, A, V> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        for (addresses, answers) in self.addresses.chunks(LANES).zip(self.answers.chunks_mut(LANES)) {
            match self.top {
                Node::Fan(top) => descend(top, addresses, answers),
                Node::List(list) => list.lookup_all::<LANES>(addresses, answers),
            }
        }
    }
}

/// At most [`LANES`] of them.
#[inline(always)]
fn descend<A: Bits, V: Copy + Default + Eq>(top: &Fan<A, V>, addresses: &[A], answers: &mut [Option<(u8, V)>]) {
    let mut fans = [top; LANES];
    let mut lanes = [0; LANES];
    lanes.iter_mut().enumerate().for_each(|(at, lane)| *lane = at as u8);
    let mut lists: [Option<(u8, &List<A, V>)>; LANES] = [None; LANES];
    let mut listed = 0;
    let mut best = [(0, V::default()); LANES];
    let mut open = addresses.len();
    let nothing = top.run(A::ZERO);
    while open > 0 {
        let mut runs = [nothing; LANES];
        for at in 0..open {
            let run = fans[at].run(addresses[usize::from(lanes[at])]);
            flowtable::prefetch(run);
            runs[at] = run;
        }
        for at in 0..open {
            fans[at].below(runs[at]).into_iter().for_each(flowtable::prefetch);
        }
        let mut left = 0;
        for at in 0..open {
            let (fan, run, lane) = (fans[at], runs[at], lanes[at]);
            let place = usize::from(lane);
            if !fan.holds(addresses[place]) {
                continue;
            }
            // No branch: whether a fan on the way has a route is hard to predict, and known only when its line has come.
            best[place] = select_unpredictable(run.length > 0, (run.length, run.value), best[place]);
            match fan.below(run) {
                None => {}
                Some(Node::Fan(fan)) => {
                    flowtable::prefetch(&**fan);
                    (fans[left], lanes[left]) = (fan, lane);
                    left += 1;
                }
                Some(Node::List(list)) => {
                    list.prefetch();
                    lists[listed] = Some((lane, list));
                    listed += 1;
                }
            }
        }
        open = left;
    }
    for (answer, &(length, next_hop)) in answers.iter_mut().zip(&best) {
        if length > 0 {
            *answer = Some((length, next_hop));
        }
    }
    for (lane, list) in lists[..listed].iter().flatten() {
        ask(list, addresses[usize::from(*lane)], &mut answers[usize::from(*lane)]);
    }
}

#[inline(always)]
fn ask<A: Bits, V: Copy>(list: &List<A, V>, address: A, answer: &mut Option<(u8, V)>) {
    if let Some(found) = list.lookup(address) {
        *answer = Some(found);
    }
}
