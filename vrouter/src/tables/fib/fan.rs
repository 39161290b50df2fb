//! A node of the trie that decides eight bits at once.

use std::ops::Range;

use super::Bits;
use super::node::Node;

/// The routes below one prefix of `base` bits, a multiple of eight, that are at most eight bits longer, and what is below them.
///
/// The eight bits after the base are the *slot*. What an address finds here changes from slot to slot in few places: a *run* is a
/// range of slots that find the same. So a lookup takes two lines of memory, which is why the first of a fan has all that it reads.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Fan<A: Bits, V> {
    /// Bit per slot: a run begins here. Slot 0 begins one.
    starts: [u64; 4],
    runs: Box<[Run<V>]>,
    /// How many runs begin in the words of `starts` before each.
    ranks: [u8; 4],
    pub(super) base: u8,
    /// Bits beyond `base` are zero.
    prefix: A::Stored,
    /// Routes here and below.
    pub(super) len: u32,
    /// By rising slot.
    pub(super) nodes: Box<[Node<A, V>]>,
    /// Sorted.
    pub(super) routes: Box<[Route<V>]>,
}

/// What the addresses of a run find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<V> {
    /// Without meaning where there is no route.
    pub(super) value: V,
    /// Of the longest route of the fan that holds the slot; 0: none.
    pub(super) length: u8,
    /// The place of the node below in `nodes`, or [`NOTHING`]. With one the run is one slot.
    pub(super) child: u16,
}

pub(super) const NOTHING: u16 = u16::MAX;

/// A route that ends in the fan.
#[derive(Clone, Copy)]
pub(super) struct Route<V> {
    /// The first slot of the route, times 16, and the bits after the base: sorted as prefixes are.
    pub(super) key: u16,
    pub(super) value: V,
}

impl<A: Bits, V: Copy + Default + Eq> Fan<A, V> {
    /// One without routes, which nobody may see so.
    pub(super) fn new(address: A, base: u8) -> Self {
        Fan {
            starts: [1, 0, 0, 0],
            runs: Box::new([Run { value: V::default(), length: 0, child: NOTHING }]),
            ranks: [0, 1, 1, 1],
            base,
            prefix: address.masked(base).stored(),
            len: 0,
            nodes: Box::default(),
            routes: Box::default(),
        }
    }

    pub(super) fn prefix(&self) -> A {
        A::loaded(self.prefix)
    }

    /// Whether its prefix holds the address.
    #[inline(always)]
    pub(super) fn holds(&self, address: A) -> bool {
        self.prefix().common(address) >= self.base
    }

    /// What an address finds that the prefix holds.
    #[inline(always)]
    pub(super) fn run(&self, address: A) -> &Run<V> {
        let slot = address.octet(self.base);
        let word = usize::from(slot / 64);
        let here = self.starts[word] << (63 - slot % 64);
        &self.runs[usize::from(self.ranks[word]) + here.count_ones() as usize - 1]
    }

    /// The node below a run.
    #[inline(always)]
    pub(super) fn below(&self, run: &Run<V>) -> Option<&Node<A, V>> {
        // Most have none, and the list of nodes is on a line of its own.
        if run.child == NOTHING { None } else { self.nodes.get(usize::from(run.child)) }
    }

    /// Whether routes of this length end here, if they are longer than the base.
    pub(super) fn ends(&self, length: u8) -> bool {
        length <= self.base + 8
    }

    /// The value of this very prefix, which ends here.
    pub(super) fn exact(&self, address: A, length: u8) -> Option<V> {
        self.place(address, length).ok().map(|at| self.routes[at].value)
    }

    /// Sets a route that the prefix holds and that is longer; returns the value before.
    pub(super) fn insert(&mut self, address: A, length: u8, value: V) -> Option<V> {
        let before = if self.ends(length) {
            let before = match self.place(address, length) {
                Ok(at) => Some(std::mem::replace(&mut self.routes[at].value, value)),
                Err(at) => {
                    let key = self.key(address, length);
                    self.routes = with(&mut self.routes, at, Route { key, value });
                    None
                }
            };
            let longer = |run: Run<V>| if run.length > length { run } else { Run { value, length, ..run } };
            self.repaint(self.slots(address, length), longer);
            before
        } else if let Some(node) = self.nodes.get_mut(usize::from(self.run(address).child)) {
            node.insert(address, length, value)
        } else {
            self.add(address, Node::one(address, length, value));
            None
        };
        self.len += u32::from(before.is_none());
        before
    }

    /// Takes a route out that is here or below.
    pub(super) fn remove(&mut self, address: A, length: u8) {
        self.len -= 1;
        if self.ends(length) {
            if let Ok(at) = self.place(address, length) {
                self.routes = without(&mut self.routes, at);
            }
            let above =
                (self.base + 1..length).rev().find_map(|shorter| Some((shorter, self.exact(address, shorter)?)));
            let (above, value) = above.unwrap_or_default();
            let shorter = |run: Run<V>| if run.length == length { Run { value, length: above, ..run } } else { run };
            self.repaint(self.slots(address, length), shorter);
            return;
        }
        let child = self.run(address).child;
        if self.nodes[usize::from(child)].remove(address, length) {
            self.nodes = without(&mut self.nodes, child.into());
            let slot = usize::from(address.octet(self.base));
            self.repaint(slot..slot + 1, |run| Run { child: NOTHING, ..run });
            for run in self.runs.iter_mut().filter(|run| run.child != NOTHING && run.child > child) {
                run.child -= 1;
            }
        }
    }

    /// Adds what is below a slot that has nothing below.
    pub(super) fn add(&mut self, address: A, node: Node<A, V>) {
        let slot = usize::from(address.octet(self.base));
        let child = self.segments().filter(|(from, _, run)| *from < slot && run.child != NOTHING).count() as u16;
        for run in self.runs.iter_mut().filter(|run| run.child != NOTHING && run.child >= child) {
            run.child += 1;
        }
        self.nodes = with(&mut self.nodes, child.into(), node);
        self.repaint(slot..slot + 1, |run| Run { child, ..run });
    }

    /// The routes that end here, in order: (address, length, value).
    pub(super) fn route(&self, at: usize) -> Option<(A, u8, V)> {
        let Route { key, value } = *self.routes.get(at)?;
        Some((self.prefix().joined(self.base, (key >> 4) as u8), self.base + (key & 15) as u8, value))
    }

    /// What is below, by rising address.
    pub(super) fn nodes(&self) -> &[Node<A, V>] {
        &self.nodes
    }

    /// The only node below, if there is nothing else.
    pub(super) fn only(&self) -> Option<&Node<A, V>> {
        match &*self.nodes {
            [only] if self.routes.is_empty() => Some(only),
            _ => None,
        }
    }

    pub(super) fn key(&self, address: A, length: u8) -> u16 {
        (self.slots(address, length).start as u16) << 4 | u16::from(length - self.base)
    }

    fn place(&self, address: A, length: u8) -> Result<usize, usize> {
        let key = self.key(address, length);
        self.routes.binary_search_by_key(&key, |route| route.key)
    }

    /// Those that a route holds which ends here.
    fn slots(&self, address: A, length: u8) -> Range<usize> {
        let count = 256 >> (length - self.base);
        let first = usize::from(address.octet(self.base)) & !(count - 1);
        first..first + count
    }

    /// All runs, with their first slots and those behind the last ones.
    pub(super) fn segments(&self) -> impl Iterator<Item = (usize, usize, Run<V>)> + '_ {
        let starts = self.starts.iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        });
        let ends = starts.clone().skip(1).chain([256]);
        starts.zip(ends).zip(&self.runs).map(|((from, to), &run)| (from, to, run))
    }

    /// Changes what these slots find, and joins what is the same then.
    fn repaint(&mut self, slots: Range<usize>, change: impl Fn(Run<V>) -> Run<V>) {
        let mut runs = Runs::new(self.runs.len() + 2);
        for (from, to, run) in self.segments() {
            let (first, end) = (from.max(slots.start), to.min(slots.end));
            if first >= end {
                runs.begin(from, run);
                continue;
            }
            if from < first {
                runs.begin(from, run);
            }
            runs.begin(first, change(run));
            if end < to {
                runs.begin(end, run);
            }
        }
        self.take(runs);
    }

    /// Sets what each slot finds: its number, the longest route that holds it and its length (0: none), and the node below it.
    pub(super) fn set_runs(&mut self, slots: impl Iterator<Item = (usize, V, u8, Option<u16>)>) {
        let mut runs = Runs::new(self.runs.len());
        slots.for_each(|(slot, value, length, child)| {
            runs.begin(slot, Run { value, length, child: child.unwrap_or(NOTHING) });
        });
        self.take(runs);
    }

    fn take(&mut self, runs: Runs<V>) {
        self.runs = runs.runs.into_boxed_slice();
        self.starts = runs.starts;
        let mut rank = 0;
        for (before, word) in self.ranks.iter_mut().zip(runs.starts) {
            *before = rank;
            rank = rank.wrapping_add(word.count_ones() as u8);
        }
    }
}

/// Runs that are being made, by rising slot.
struct Runs<V> {
    starts: [u64; 4],
    runs: Vec<Run<V>>,
}

impl<V: Copy + Eq> Runs<V> {
    fn new(count: usize) -> Self {
        Runs { starts: [0; 4], runs: Vec::with_capacity(count) }
    }

    /// A run begins here, unless it is the one before.
    fn begin(&mut self, slot: usize, run: Run<V>) {
        if self.runs.last() != Some(&run) {
            self.starts[slot / 64] |= 1 << (slot % 64);
            self.runs.push(run);
        }
    }
}

fn with<T>(items: &mut Box<[T]>, at: usize, item: T) -> Box<[T]> {
    let mut items = std::mem::take(items).into_vec();
    items.reserve_exact(1);
    items.insert(at, item);
    items.into_boxed_slice()
}

fn without<T>(items: &mut Box<[T]>, at: usize) -> Box<[T]> {
    let mut items = std::mem::take(items).into_vec();
    items.remove(at);
    items.into_boxed_slice()
}
