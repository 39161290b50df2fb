//! Taking over a region that was sealed: whoever used it has stopped in peace, so that buckets, free lists and locks are as they must be. Only what
//! entries say is gone through, in order.

use std::ops::Range;

use crate::adopt::in_parts;
use crate::entry::{LIVE, WRITING, version};
use crate::free::End;
use crate::pairs::Pairs;
use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;
use crate::{Adopted, Handle, Pair};

impl<const K: usize> Pairs<K> {
    /// Has each pair judged, which goes on as it is then. `None`: something is not as a sealed region has it, or a key was changed; then pairs
    /// that were judged are as they were, or as they were left by the judge, and everything else is to be made anew. Only while nobody else uses the region.
    pub(crate) fn refresh(&self, wanted: &(impl Fn(&mut Pair<K>) -> bool + Sync)) -> Option<Adopted> {
        let broken = AtomicU64::new(0);
        let adopted = in_parts(self.free.pairs, &|part| self.refresh_part(part, wanted, &broken));
        (broken.load(Relaxed) == 0 && adopted.pairs == u64::from(self.used())).then_some(adopted)
    }

    fn refresh_part(&self, part: Range<u32>, wanted: &impl Fn(&mut Pair<K>) -> bool, broken: &AtomicU64) -> Adopted {
        let mut adopted = Adopted::default();
        for pair in part {
            match self.refreshed(pair, wanted) {
                None => {}
                Some(Ok(true)) => adopted.pairs += 1,
                Some(Ok(false)) => adopted.unwanted += 1,
                Some(Err(())) => broken.store(1, Relaxed),
            }
        }
        adopted
    }

    /// `None`: nothing is there. An error: it is not whole, or its keys were changed.
    fn refreshed(&self, pair: u32, wanted: &impl Fn(&mut Pair<K>) -> bool) -> Option<Result<bool, ()>> {
        let (first, second) = (self.slot(2 * pair)?, self.slot(2 * pair + 1)?);
        let [a, b] = [first, second].map(|slot| slot.guard().load(Relaxed));
        if (a | b) & LIVE == 0 {
            return None;
        }
        if a & b & LIVE == 0 || (a | b) & WRITING != 0 || version(a) != version(b) {
            return Some(Err(()));
        }
        let handle = Handle { index: 2 * pair, version: version(a) };
        let (forward, reverse) = (first.read_locked(a), second.read_locked(b));
        let mut judged = Pair { forward, reverse, handle, created: self.free.created(pair) };
        if !wanted(&mut judged) {
            // as it was: unlinked and given back as if a worker did it
            first.restore(handle.version, &forward.0, &forward.1);
            second.restore(handle.version, &reverse.0, &reverse.1);
            return Some(self.end(handle, End::Removed, |_| true).map(|_| false).ok_or(()));
        }
        if judged.forward.0 != forward.0 || judged.reverse.0 != reverse.0 {
            return Some(Err(()));
        }
        first.restore(handle.version, &judged.forward.0, &judged.forward.1);
        second.restore(handle.version, &judged.reverse.0, &judged.reverse.1);
        self.free.write(pair, judged.created, self.free.mark(pair));
        Some(Ok(true))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::adopt::{All, Judge};
    use crate::{Adopted, Config, FlowTable, Half, Key, Narrow, Pair, Region};

    const CONFIG: Config = Config { narrow_pairs: 9000, wide_pairs: 10, seed: 5, time_base: 0 };

    fn key(n: u64) -> Narrow {
        Key { words: [n, 1], tag: 6 }
    }

    /// A table with so many flows, as its user left it.
    fn left(flows: u64, leave: impl Fn(&FlowTable)) -> FlowTable {
        let region = Region::heap(CONFIG.bytes().expect("possible")).expect("memory");
        let table = FlowTable::create(region, &CONFIG).expect("laid out");
        for n in 0..flows {
            let half = |next_hop| Half { stamp: n, next_hop, verdict: 0 };
            table.narrow().insert((&key(2 * n), half(7)), (&key(2 * n + 1), half(8)), 3, 0).expect("room");
        }
        leave(&table);
        FlowTable::lent(Region::from_words(&table.region().to_words()).expect("memory")).expect("ours")
    }

    fn sound(table: &FlowTable, flows: u64, gone: impl Fn(u64) -> bool) {
        let pairs = table.narrow();
        for n in 0..flows {
            let found = [2 * n, 2 * n + 1].map(|n| pairs.find(&key(n), pairs.hash(&key(n))).is_some());
            assert_eq!(found, [!gone(n), !gone(n)], "flow {n}");
        }
        let there = (0..flows).filter(|&n| !gone(n)).count() as u32;
        assert_eq!(pairs.used(), there);
        for n in 0..u64::from(9000 - there) {
            let half = Half::default();
            pairs.insert((&key(100_000 + 2 * n), half), (&key(100_001 + 2 * n), half), 0, 0).expect("room");
        }
        assert_eq!(pairs.age(&mut 0, 9000, |_| true), 9000);
    }

    /// Leaves nothing of what was decided, drops every fourth flow, and moves all if it is to.
    struct Forgetful {
        moves: bool,
    }

    impl Judge for Forgetful {
        fn narrow(&self, pair: &mut Pair<2>) -> bool {
            let flow = pair.forward.0.words[0] / 2;
            for side in [&mut pair.forward, &mut pair.reverse] {
                side.1.stamp = 0;
                side.0.words[1] += u64::from(self.moves);
            }
            !flow.is_multiple_of(4)
        }

        fn wide(&self, _: &mut Pair<5>) -> bool {
            true
        }
    }

    #[test]
    fn a_sealed_table_goes_on_as_it_is_and_what_is_not_wanted_ends() {
        let table = left(8200, |table| table.seal());
        let adopted = table.take_over(&Forgetful { moves: false }, true).expect("ours");
        assert_eq!(adopted, Adopted { pairs: 6150, unwanted: 2050, ..Adopted::default() });
        assert_eq!(table.adopted(), Some(adopted));
        let (_, entry) = table.narrow().find(&key(2), table.narrow().hash(&key(2))).expect("there");
        assert_eq!((entry.stamp, entry.next_hop, entry.owner), (0, 7, 3));
        sound(&table, 8200, |n| n.is_multiple_of(4));
    }

    #[test]
    fn who_takes_over_breaks_the_seal() {
        let table = left(10, |table| table.seal());
        assert_eq!(
            table.region().lines()[0].word(6) ^ table.region().lines()[0].word(5),
            u64::from_le_bytes(*b"flowseal")
        );
        table.take_over(&All, true).expect("ours");
        assert_eq!(table.region().lines()[0].word(6), 0);
    }

    #[test]
    fn what_is_not_as_it_was_sealed_is_made_anew() {
        // sealed by who was wrong: locked buckets, and a pair that is half there
        let table = left(20, |table| {
            table.narrow().slot(5).expect("there").guard().store(0, crate::sync::Ordering::Relaxed);
            table.seal();
        });
        let adopted = table.take_over(&All, true).expect("ours");
        assert_eq!(adopted, Adopted { pairs: 19, odd: 1, ..Adopted::default() });
    }

    #[test]
    fn keys_that_change_are_linked_anew() {
        let table = left(20, |table| table.seal());
        let adopted = table.take_over(&Forgetful { moves: true }, false).expect("ours");
        assert_eq!(adopted, Adopted { pairs: 15, unwanted: 5, ..Adopted::default() });
        let moved = Key { words: [2, 2], tag: 6 };
        assert!(table.narrow().find(&moved, table.narrow().hash(&moved)).is_some());
        assert!(table.narrow().find(&key(2), table.narrow().hash(&key(2))).is_none());
    }
}
