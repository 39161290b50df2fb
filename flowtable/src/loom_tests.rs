//! Every interleaving (with a few preemptions) and every stale value that the memory model allows, on the smallest tables.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p flowtable --release --lib loom
//! ```

use std::sync::Arc;

use loom::thread;

use crate::counting::{Counter, Sections};
use crate::key::Secrets;
use crate::layout::Parts;
use crate::region::Region;
use crate::{Entry, Half, Handle, InsertError, Key, Packet, Pair, Standing};

type Pairs = crate::Pairs<1>;

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.max_branches = 20_000;
    builder.check(body);
}

fn table(pairs: u32) -> Arc<Pairs> {
    let parts = Parts::new::<1>(0, pairs);
    let region = Arc::new(Region::heap(parts.end() * 64).expect("memory"));
    let pairs = Pairs::open(&region, parts, Secrets::new(1), &Sections::new()).expect("laid out");
    pairs.free.reset();
    Arc::new(pairs)
}

/// Flow `n`'s two keys are 2n and 2n + 1.
fn key(n: u64) -> Key<1> {
    Key { words: [n], tag: 6 }
}

/// Everything in an entry follows from its key and the number of its updates, which is in the stamp too.
fn half(key: u64, update: u64) -> Half {
    Half { stamp: key << 8 | update, next_hop: (key << 8 | update) as u32, verdict: (key << 4 | update) as u8 }
}

/// In the stamp of what was counted.
const STAMPED: u64 = 1 << 63;

fn whole(of: u64, entry: &Entry) {
    let decided = Half { stamp: entry.stamp & !STAMPED, ..entry.half() };
    assert_eq!(decided, half(of, entry.stamp & 0xff), "torn: {entry:?}");
    assert_eq!(
        (entry.owner, entry.initiator, decided.stamp >> 8),
        ((of / 2) as u32, of % 2 == 0, of),
        "foreign: {entry:?}"
    );
}

fn whole_pair(pair: &Pair<1>) {
    let (forward, reverse) = (pair.forward.0.words[0], pair.reverse.0.words[0]);
    assert_eq!((forward + 1, pair.created), (reverse, forward as u32 / 2));
    whole(forward, &pair.forward.1);
    whole(reverse, &pair.reverse.1);
}

fn insert(pairs: &Pairs, n: u64) -> Result<Handle, InsertError> {
    let (a, b) = (2 * n, 2 * n + 1);
    pairs.insert((&key(a), half(a, 0)), (&key(b), half(b, 0)), n as u32, n as u32)
}

fn find(pairs: &Pairs, n: u64) -> Option<(Handle, Entry)> {
    let found = pairs.find(&key(n), pairs.hash(&key(n)));
    found.inspect(|(_, entry)| whole(n, entry))
}

/// Runs two threads beside each other, then looks at what is left.
fn race<A: 'static, B: 'static>(
    pairs: &Arc<Pairs>,
    a: impl FnOnce(&Pairs) -> A + 'static,
    b: impl FnOnce(&Pairs) -> B,
) -> (A, B) {
    let other = Arc::clone(pairs);
    let a = thread::spawn(move || a(&other));
    let b = b(pairs);
    (a.join().expect("no panic"), b)
}

#[test]
fn a_reader_meets_removal_and_another_flow_in_the_same_place() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        assert!(pairs.touch(handle.partner(), 40, 3, 2) && pairs.touch(handle.partner(), 40, 3, 2));
        let (_, found) = race(
            &pairs,
            move |pairs| {
                assert!(pairs.remove(handle));
                let next = insert(pairs, 2).expect("room");
                assert!(pairs.touch(next.partner(), 60, 9, 1));
            },
            |pairs| find(pairs, 3),
        );
        if let Some((_, entry)) = found {
            assert_eq!((entry.packets, entry.bytes, entry.state, entry.last_seen), (2, 80, 2, 3), "the next flow's");
        }
        assert!(find(&pairs, 2).is_none() && find(&pairs, 4).is_some() && find(&pairs, 5).is_some());
    });
}

#[test]
fn what_one_reader_found_another_that_it_tells_finds_too() {
    model(|| {
        let pairs = table(1);
        let (writer, reader) = (Arc::clone(&pairs), Arc::clone(&pairs));
        let writer = thread::spawn(move || assert!(insert(&writer, 1).is_ok()));
        let found = thread::spawn(move || find(&reader, 3)).join().expect("no panic");
        assert!(found.is_none() || find(&pairs, 3).is_some());
        writer.join().expect("no panic");
    });
}

#[test]
fn a_reader_of_a_pair_meets_removal_and_another_flow_in_the_same_place() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        race(
            &pairs,
            move |pairs| {
                assert!(pairs.remove(handle));
                assert!(insert(pairs, 2).is_ok());
            },
            |pairs| pairs.pair(0).inspect(whole_pair),
        );
        whole_pair(&pairs.pair(0).expect("there"));
    });
}

#[test]
fn one_flow_set_up_from_opposite_ends_is_one_pair() {
    model(|| {
        let pairs = table(2);
        let back = |pairs: &Pairs| pairs.insert((&key(3), half(3, 0)), (&key(2), half(2, 0)), 1, 1);
        let (a, b) = race(&pairs, back, |pairs| insert(pairs, 1));
        let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
        assert_eq!(lost, Err(InsertError::Exists(won.expect("one of them").partner())));
        let at = |n| pairs.find(&key(n), pairs.hash(&key(n))).expect("found").0;
        assert_eq!(at(2), at(3).partner());
        assert_eq!(pairs.used(), 1);
    });
}

#[test]
fn two_flows_in_one_bucket_both_get_in_and_the_last_pair_goes_to_one() {
    for room in [2, 1] {
        model(move || {
            let pairs = table(room);
            let (a, b) = race(&pairs, |pairs| insert(pairs, 1), |pairs| insert(pairs, 2));
            assert_eq!(u32::from(a.is_ok()) + u32::from(b.is_ok()), room);
            assert!([a, b].iter().all(|done| done.is_ok() || *done == Err(InsertError::Full)));
            for n in [2, 3] {
                assert_eq!((find(&pairs, n).is_some(), find(&pairs, n + 2).is_some()), (a.is_ok(), b.is_ok()));
            }
        });
    }
}

#[test]
fn flows_whose_buckets_cross_do_not_wait_for_each_other_for_ever() {
    let (a, b) = {
        let first = |n: u64| Secrets::new(1).hash(&key(n)) >> 63;
        let crossing = |from: u64| (10..99).find(|n| first(2 * n) == from && first(2 * n + 1) != from).expect("some");
        (crossing(0), crossing(1))
    };
    model(move || {
        let pairs = table(3);
        assert_eq!(pairs.buckets.len(), 2);
        let (one, other) = race(&pairs, move |pairs| insert(pairs, a), move |pairs| insert(pairs, b));
        assert!(one.is_ok() && other.is_ok());
        assert!([2 * a, 2 * a + 1, 2 * b, 2 * b + 1].iter().all(|&n| find(&pairs, n).is_some()));
    });
}

#[test]
fn a_packet_is_counted_to_its_pair_or_not_at_all() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        let (ended, counted) = race(
            &pairs,
            move |pairs| {
                let ended = pairs.take(handle.partner()).expect("there");
                assert!(insert(pairs, 2).is_ok());
                ended
            },
            move |pairs| pairs.touch(handle, 60, 9, 1),
        );
        let (packets, bytes) = (u64::from(counted), u64::from(counted) * 60);
        assert_eq!((ended.forward.1.packets, ended.forward.1.bytes), (packets, bytes));
        let next = find(&pairs, 4).expect("there").1;
        assert_eq!((next.packets, next.bytes, next.state, next.last_seen), (0, 0, 0, 2));
    });
}

#[test]
fn two_threads_count_one_direction_exactly() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        let (a, b) = race(
            &pairs,
            move |pairs| pairs.touch(handle, 60, 8, 1) && pairs.clear_state(handle, 1),
            move |pairs| pairs.touch(handle, 40, 9, 2),
        );
        let entry = find(&pairs, 2).expect("there").1;
        assert!(a && b);
        assert_eq!((entry.packets, entry.bytes, entry.last_seen, entry.state), (2, 100, 9, 2));
    });
}

#[test]
fn an_update_reaches_its_pair_or_nobody() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        let (_, updated) = race(
            &pairs,
            move |pairs| {
                let ended = pairs.take(handle).expect("there");
                whole_pair(&ended);
                assert!(insert(pairs, 2).is_ok());
                ended
            },
            move |pairs| pairs.update(handle, half(2, 1)),
        );
        let entry = find(&pairs, 4).expect("there").1;
        assert_eq!(entry.stamp & 0xff, 0, "updated: {updated}");
    });
}

#[test]
fn a_reader_meets_an_update_and_a_packet() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        let (done, found) = race(
            &pairs,
            move |pairs| pairs.update(handle, half(2, 1)) && pairs.touch(handle, 60, 9, 1),
            |pairs| find(pairs, 2),
        );
        assert!(done && found.is_some(), "an entry that stays is found");
        let entry = find(&pairs, 2).expect("there").1;
        assert_eq!((entry.half(), entry.packets), (half(2, 1), 1));
    });
}

#[test]
fn a_packet_counts_only_by_the_decision_that_it_was_judged_by() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        let (_, entry) = find(&pairs, 2).expect("there");
        let (updated, counted) = race(
            &pairs,
            move |pairs| pairs.update(handle, half(2, 1)).then(|| pairs.touch_decided(handle, half(2, 1), 60, 9, 1)),
            |pairs| pairs.touch_decided(handle, entry.half(), 40, 9, 1),
        );
        assert_eq!(updated, Some(true));
        let entry = find(&pairs, 2).expect("there").1;
        assert_eq!((entry.packets, entry.bytes), (1 + u64::from(counted), 60 + 40 * u64::from(counted)));
    });
}

/// Of flow 1's answers, whose entry is the second one.
fn forwards(update: u64) -> Half {
    Half { verdict: 0, ..half(3, update) }
}

/// Counts answers of flow 1, each a section of its own.
fn count(pairs: &Pairs, counter: &mut Counter, bytes: u32) -> Option<Half> {
    let packet = Packet { bytes, now: 9, set: 1 };
    let (section, stands) = (&mut counter.section(), |standing: &mut Standing| {
        let seen = Half { stamp: standing.half.stamp & !STAMPED, ..standing.half };
        standing.half.stamp |= STAMPED;
        Some(seen)
    });
    let own = pairs.try_count(1, &key(3), packet, section, stands);
    let counted = own.unwrap_or_else(|| pairs.count(1, &key(3), packet, section, stands));
    counted.inspect(|half| assert_eq!(*half, forwards(half.stamp & 0xff), "torn"))
}

fn with_flow_1() -> (Arc<Pairs>, Handle) {
    let pairs = table(1);
    let handle = insert(&pairs, 1).expect("room");
    assert!(pairs.update(handle.partner(), forwards(0)));
    (pairs, handle)
}

#[test]
fn a_packet_that_is_found_and_counted_at_once_counts_by_what_it_saw() {
    model(|| {
        let (pairs, handle) = with_flow_1();
        let [mut one, mut other] = [Counter::new(&pairs.sections), Counter::new(&pairs.sections)];
        let ((first, updated, ended), counted) = race(
            &pairs,
            move |pairs| {
                let first = count(pairs, &mut one, 60).is_some();
                (first, pairs.update(handle.partner(), forwards(1)), pairs.take(handle))
            },
            move |pairs| count(pairs, &mut other, 40),
        );
        assert!(first && updated);
        // whoever ended the pair sees what was counted before, and nothing was after
        let (reverse, counted) = (ended.expect("it was there").reverse.1, u64::from(counted.is_some()));
        assert_eq!((reverse.packets, reverse.bytes), (1 + counted, 60 + 40 * counted));
    });
}

#[test]
fn what_its_own_thread_counts_without_a_lock_is_seen_by_whoever_ends_the_pair() {
    model(|| {
        let (pairs, handle) = with_flow_1();
        let mut counter = Counter::new(&pairs.sections);
        assert!(count(&pairs, &mut counter, 60).is_some(), "its own from now on");
        let (ended, counted) = race(
            &pairs,
            move |pairs| {
                let updated = pairs.update(handle.partner(), forwards(1));
                let ended = pairs.take(handle);
                assert!(updated && insert(pairs, 2).is_ok());
                ended
            },
            move |pairs| [40, 20].map(|bytes| u64::from(count(pairs, &mut counter, bytes).is_some())),
        );
        let reverse = ended.expect("it was there").reverse.1;
        assert!(counted[0] >= counted[1]);
        assert_eq!(
            (reverse.packets, reverse.bytes),
            (1 + counted[0] + counted[1], 60 + 40 * counted[0] + 20 * counted[1])
        );
        let next = find(&pairs, 5).expect("there").1;
        assert_eq!((next.packets, next.bytes, next.state), (0, 0, 0));
    });
}

#[test]
fn two_threads_that_count_one_direction_count_exactly_whosever_it_was() {
    for first in [false, true] {
        model(move || {
            let (pairs, handle) = with_flow_1();
            let [mut one, mut other] = [Counter::new(&pairs.sections), Counter::new(&pairs.sections)];
            if first {
                assert!(count(&pairs, &mut one, 1000).is_some());
            }
            let (_, _) = race(
                &pairs,
                move |pairs| assert!([60, 50].iter().all(|&bytes| count(pairs, &mut one, bytes).is_some())),
                move |pairs| assert!([40, 30].iter().all(|&bytes| count(pairs, &mut other, bytes).is_some())),
            );
            let entry = pairs.entry(handle.partner()).expect("there");
            let before = u64::from(first);
            assert_eq!((entry.packets, entry.bytes, entry.state), (4 + before, 180 + 1000 * before, 1));
        });
    }
}

#[test]
#[should_panic(expected = "torn")]
fn a_reader_without_the_check_is_caught() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        race(
            &pairs,
            move |pairs| pairs.update(handle, half(2, 1)),
            |pairs| {
                let place = pairs.place(pairs.hash(&key(2)));
                let (_, entry) = pairs.find_in::<false>(&key(2), place).expect("there");
                whole(2, &entry);
            },
        );
    });
}

#[test]
fn a_flow_that_stays_is_found_beside_others_that_come_and_go() {
    model(|| {
        let pairs = table(2);
        let other = insert(&pairs, 1).expect("room");
        insert(&pairs, 2).expect("room");
        let (_, found) = race(
            &pairs,
            move |pairs| {
                assert!(pairs.remove(other));
                assert!(insert(pairs, 3).is_ok());
            },
            |pairs| find(pairs, 4),
        );
        assert!(found.is_some());
    });
}

#[test]
fn eviction_takes_both_halves_beside_a_reader() {
    model(|| {
        let pairs = table(1);
        insert(&pairs, 1).expect("room");
        let (evicted, (forward, reverse)) =
            race(&pairs, |pairs| pairs.evict(&mut 0, 1, |_| Some(1)), |pairs| (find(pairs, 2), find(pairs, 3)));
        assert!(evicted);
        if let (Some((there, _)), Some((back, _))) = (forward, reverse) {
            assert_eq!(there.partner(), back);
        }
        assert!(find(&pairs, 2).is_none() && find(&pairs, 3).is_none() && pairs.pair(0).is_none());
        assert_eq!((pairs.used(), pairs.counters().evicted), (0, 1));
    });
}

#[test]
fn ageing_spares_a_pair_that_a_packet_just_reached() {
    model(|| {
        let pairs = table(1);
        let handle = insert(&pairs, 1).expect("room");
        let (aged, counted) = race(
            &pairs,
            |pairs| pairs.age(&mut 0, 1, |pair| pair.reverse.packets == 0),
            move |pairs| pairs.touch(handle.partner(), 60, 9, 0),
        );
        assert_eq!(aged == 1, !counted, "removed, or counted");
        assert_eq!(find(&pairs, 3).is_some(), counted);
    });
}

#[test]
fn one_of_two_removals_wins() {
    model(|| {
        let pairs = table(2);
        let handle = insert(&pairs, 1).expect("room");
        let (a, b) = race(&pairs, move |pairs| pairs.remove(handle), move |pairs| pairs.remove(handle.partner()));
        assert!(a != b);
        assert_eq!((pairs.used(), pairs.free.take(0).is_some(), pairs.free.take(0).is_some()), (0, true, true));
        assert_eq!(pairs.free.take(0), None);
    });
}

#[test]
fn no_pair_is_given_out_twice() {
    model(|| {
        let pairs = table(3);
        let (mine, kept) = race(
            &pairs,
            |pairs| pairs.free.take(0).expect("one"),
            |pairs| {
                let (first, second) = (pairs.free.take(0).expect("one"), pairs.free.take(0).expect("one"));
                pairs.free.give(first);
                second
            },
        );
        let last = pairs.free.take(0).expect("one");
        let mut all = [mine, kept, last];
        all.sort_unstable();
        assert_eq!((all, pairs.free.take(0)), ([0, 1, 2], None));
    });
}

#[test]
fn pairs_that_are_given_back_together_go_to_one_each() {
    model(|| {
        let pairs = table(3);
        let [first, second] = [0, 1].map(|_| pairs.free.take(0).expect("one"));
        let (_, mine) = race(
            &pairs,
            move |pairs| pairs.free.give_all([first, second].into_iter()),
            |pairs| {
                let mine = pairs.free.take(0).expect("one");
                pairs.free.give(mine);
                pairs.free.take(0).expect("one")
            },
        );
        let mut all = [mine, pairs.free.take(0).expect("one"), pairs.free.take(0).expect("one")];
        all.sort_unstable();
        assert_eq!((all, pairs.free.take(0)), ([0, 1, 2], None));
    });
}

#[test]
fn an_eviction_or_a_removal_wins() {
    model(|| {
        let pairs = table(2);
        let handle = insert(&pairs, 1).expect("room");
        let (evicted, removed) =
            race(&pairs, |pairs| pairs.evict(&mut 0, 1, |_| Some(1)), move |pairs| pairs.remove(handle));
        assert!(evicted != removed);
        assert!(find(&pairs, 2).is_none() && find(&pairs, 3).is_none());
        assert_eq!((pairs.used(), pairs.free.take(0).is_some(), pairs.free.take(0).is_some()), (0, true, true));
        assert_eq!(pairs.free.take(0), None);
    });
}
