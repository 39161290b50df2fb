//! Notes: a bounded table of short-lived words by key, beside the flows. Nobody is promised that a note is still there, but whoever writes
//! many loses his own.
//!
//! A key has one bucket of seven places behind its lock. Writers take the lock; readers take none: a place's guard (odd while it is
//! written) is read before and after its words, which are used when it is the same.

use std::cmp::Reverse;

use crate::sync::{AtomicU64, Ordering, fence, wait};

/// Places of a bucket: with the lock's line eight lines.
const WAYS: usize = 7;
/// Words of the longest key.
const KEY: usize = 5;

/// What is noted about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The caller's: 48 bits.
    pub value: u64,
    /// Whose it is: whose others give way to it first.
    pub owner: u32,
    /// When it was written, in the caller's ticks.
    pub since: u32,
}

/// The table. Any thread.
pub struct Notes {
    buckets: Box<[Bucket]>,
}

#[repr(align(64))]
struct Bucket {
    /// 1 while somebody writes in it.
    lock: AtomicU64,
    places: [Place; WAYS],
}

#[repr(align(64))]
struct Place {
    /// 0: never written; odd: being written.
    guard: AtomicU64,
    key: [AtomicU64; KEY],
    /// Tag (16 bits), and the value below.
    tagged: AtomicU64,
    /// Owner, and since when below.
    whose: AtomicU64,
}

impl Notes {
    /// Notes of a bucket.
    pub const OF_BUCKET: usize = WAYS;

    /// Bytes of a table of so many buckets.
    pub const fn bytes(buckets: usize) -> usize {
        buckets * size_of::<Bucket>()
    }

    /// An empty table of a power of two of buckets.
    pub fn new(buckets: usize) -> Notes {
        assert!(buckets.is_power_of_two(), "{buckets} buckets");
        Notes { buckets: (0..buckets).map(|_| Bucket::new()).collect() }
    }

    /// The note about a key, which is not older than `life`. One that is being written may be missed.
    pub fn find(&self, words: &[u64], tag: u16, hash: u64, (now, life): (u32, u32)) -> Option<Note> {
        let key = padded(words);
        let found = self.bucket(hash).places.iter().find_map(|place| place.read(&key, tag));
        found.filter(|note| is_alive(note, now, life))
    }

    /// Writes what `change` makes of the note about a key, or of none. Where there is no place for a new one another's gives way: one that is
    /// too old, else the owner's oldest, else the oldest of who has the most in the bucket.
    pub fn change(
        &self,
        words: &[u64],
        tag: u16,
        hash: u64,
        (now, life): (u32, u32),
        change: impl FnOnce(Option<Note>) -> Note,
    ) {
        let (key, bucket) = (padded(words), self.bucket(hash));
        let mut turns = 0;
        // acquire: what the last writer in this bucket wrote is seen
        while bucket.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            wait(&mut turns);
        }
        let old = (0..WAYS).find_map(|at| bucket.places[at].read(&key, tag).map(|note| (at, note)));
        let note = change(old.map(|(_, note)| note).filter(|note| is_alive(note, now, life)));
        let at = old.map_or_else(|| bucket.place_for(note.owner, (now, life)), |(at, _)| at);
        bucket.places[at].write(&key, tag, note);
        // release: the next writer sees all of this
        bucket.lock.store(0, Ordering::Release);
    }

    fn bucket(&self, hash: u64) -> &Bucket {
        // the low bits of a hash choose buckets of flows
        &self.buckets[(hash >> 24) as usize & (self.buckets.len() - 1)]
    }
}

fn padded(words: &[u64]) -> [u64; KEY] {
    let mut key = [0; KEY];
    key.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
    key
}

fn is_alive(note: &Note, now: u32, life: u32) -> bool {
    // another thread may be a tick ahead
    let age = now.wrapping_sub(note.since);
    age < life || age > u32::MAX / 2
}

impl Bucket {
    fn new() -> Bucket {
        let word = || AtomicU64::new(0);
        let place = || Place { guard: word(), key: std::array::from_fn(|_| word()), tagged: word(), whose: word() };
        Bucket { lock: word(), places: std::array::from_fn(|_| place()) }
    }

    /// Whose note gives way. The lock is held.
    fn place_for(&self, owner: u32, (now, life): (u32, u32)) -> usize {
        let mut there = [None; WAYS];
        for (at, place) in self.places.iter().enumerate() {
            match place.note().filter(|note| is_alive(note, now, life)) {
                None => return at,
                note => there[at] = note,
            }
        }
        let of = |owner: u32| there.iter().flatten().filter(move |note| note.owner == owner).count();
        let most = there.iter().flatten().map(|note| note.owner).max_by_key(|&owner| of(owner)).unwrap_or(owner);
        let whose = if of(owner) > 0 { owner } else { most };
        let age = |note: &Option<Note>| {
            note.filter(|note| note.owner == whose).map(|note| now.wrapping_sub(note.since) as i32)
        };
        // of those of one tick the one whose place was written least: each has its turn
        let written = |at: usize| Reverse(self.places[at].guard.load(Ordering::Relaxed));
        (0..WAYS).max_by_key(|&at| (age(&there[at]), written(at))).unwrap_or(0)
    }
}

impl Place {
    /// The note, if it is about this key, and nobody writes it just now.
    fn read(&self, key: &[u64; KEY], tag: u16) -> Option<Note> {
        // acquire: the words of this writing, or of a later one, are read behind it
        let guard = self.guard.load(Ordering::Acquire);
        if guard == 0 || guard % 2 == 1 {
            return None;
        }
        let same = key.iter().zip(&self.key).all(|(word, there)| there.load(Ordering::Relaxed) == *word);
        let (tagged, whose) = (self.tagged.load(Ordering::Relaxed), self.whose.load(Ordering::Relaxed));
        // acquire fence: words of a later writing are read only if its odd guard is seen below, as that was stored before its fence
        fence(Ordering::Acquire);
        let whole = self.guard.load(Ordering::Relaxed) == guard;
        (whole && same && (tagged >> 48) as u16 == tag).then(|| Note::unpack(tagged, whose))
    }

    /// Whatever is there. The lock is held.
    fn note(&self) -> Option<Note> {
        let there = self.guard.load(Ordering::Relaxed) != 0;
        there.then(|| Note::unpack(self.tagged.load(Ordering::Relaxed), self.whose.load(Ordering::Relaxed)))
    }

    /// The lock is held.
    fn write(&self, key: &[u64; KEY], tag: u16, note: Note) {
        let guard = self.guard.load(Ordering::Relaxed);
        self.guard.store(guard + 1, Ordering::Relaxed);
        // release fence: whoever reads a word below sees the odd guard when he looks again
        fence(Ordering::Release);
        self.key.iter().zip(key).for_each(|(there, word)| there.store(*word, Ordering::Relaxed));
        self.tagged.store(u64::from(tag) << 48 | note.value, Ordering::Relaxed);
        self.whose.store(u64::from(note.owner) << 32 | u64::from(note.since), Ordering::Relaxed);
        // release: whoever sees the even guard sees these words
        self.guard.store(guard + 2, Ordering::Release);
    }
}

impl Note {
    const VALUE: u64 = (1 << 48) - 1;

    fn unpack(tagged: u64, whose: u64) -> Note {
        Note { value: tagged & Note::VALUE, owner: (whose >> 32) as u32, since: whose as u32 }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LIFE: u32 = 300;

    fn put(notes: &Notes, key: u64, owner: u32, now: u32) {
        notes.change(&[key], 6, 0, (now, LIFE), |_| Note { value: key, owner, since: now });
    }

    fn is_there(notes: &Notes, key: u64, now: u32) -> bool {
        notes.find(&[key], 6, 0, (now, LIFE)).is_some_and(|note| note.value == key)
    }

    #[test]
    fn a_note_is_found_by_its_whole_key_until_it_is_too_old() {
        let notes = Notes::new(1);
        put(&notes, 1, 7, 100);
        assert_eq!(notes.find(&[1], 6, 0, (100, LIFE)), Some(Note { value: 1, owner: 7, since: 100 }));
        assert!(is_there(&notes, 1, 399) && is_there(&notes, 1, 99), "another thread's clock is behind");
        assert!(!is_there(&notes, 1, 400));
        assert_eq!(notes.find(&[1], 17, 0, (100, LIFE)), None);
        assert_eq!(notes.find(&[1, 1], 6, 0, (100, LIFE)), None);
        // what is too old is none to whoever changes it
        notes.change(&[1], 6, 0, (400, LIFE), |old| {
            assert_eq!(old, None);
            Note { value: 2, owner: 7, since: 400 }
        });
        assert_eq!(notes.find(&[1], 6, 0, (400, LIFE)).unwrap().value, 2);
    }

    #[test]
    fn whoever_writes_many_loses_his_own() {
        let notes = Notes::new(1);
        put(&notes, 1000, 1, 0);
        put(&notes, 1001, 2, 0);
        (0..100).for_each(|key| put(&notes, key, 3, 1 + key as u32));
        assert!(is_there(&notes, 1000, 100) && is_there(&notes, 1001, 100));
        assert!((95..100).all(|key| is_there(&notes, key, 100)), "of his own the oldest goes first");
        // of one tick, too
        (200..300).for_each(|key| put(&notes, key, 3, 101));
        assert!(!is_there(&notes, 290, 101) && (295..300).all(|key| is_there(&notes, key, 101)));
        // who has none takes one of who has the most
        put(&notes, 1002, 4, 101);
        assert!([1000, 1001, 1002].iter().all(|&key| is_there(&notes, key, 101)));
        assert_eq!((295..300).filter(|&key| is_there(&notes, key, 101)).count(), 4);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::sync::Arc;

    use super::*;

    /// All of a note follows from its key and its value.
    fn note(key: u64, value: u64) -> Note {
        Note { value: key << 8 | value, owner: (key << 8 | value) as u32, since: 1 }
    }

    fn whole(notes: &Notes, key: u64) -> Option<Note> {
        let found = notes.find(&[key], 6, 0, (1, 10))?;
        assert_eq!((found.value >> 8, found), (key, note(key, found.value & 0xff)), "torn");
        Some(found)
    }

    fn model(body: impl Fn(&Arc<Notes>) + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(2));
        builder.max_branches = 20_000;
        builder.check(move || body(&Arc::new(Notes::new(1))));
    }

    fn put(notes: &Notes, key: u64, value: u64) {
        notes.change(&[key], 6, 0, (1, 10), |_| note(key, value));
    }

    #[test]
    fn loom_a_reader_sees_a_whole_note_or_none() {
        model(|notes| {
            put(notes, 1, 1);
            let other = Arc::clone(notes);
            let writer = loom::thread::spawn(move || put(&other, 1, 2));
            whole(notes, 1);
            writer.join().unwrap();
            assert_eq!(whole(notes, 1), Some(note(1, 2)));
        });
    }

    #[test]
    fn loom_two_writers_make_one_note_of_a_key() {
        model(|notes| {
            let other = Arc::clone(notes);
            let writer = loom::thread::spawn(move || put(&other, 1, 1));
            notes.change(&[1], 6, 0, (1, 10), |old| note(1, old.map_or(2, |old| (old.value & 0xff) + 2)));
            writer.join().unwrap();
            whole(notes, 1).expect("a note");
            let places = notes.buckets[0].places.iter().filter(|place| place.note().is_some());
            assert_eq!(places.count(), 1);
        });
    }
}
