//! The one door to atomics: the standard library's, or loom's under `--cfg loom`.

#[cfg(all(not(loom), planted_race))]
pub(crate) use planted::AtomicU64;
#[cfg(all(not(loom), not(planted_race)))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(loom)]
pub(crate) use under_loom::AtomicU64;

/// One turn of a wait for a writer that holds a lock for a few dozen instructions. After many turns that writer has lost its
/// core, and ours may be the one it waits for: give it away.
#[cfg(not(loom))]
pub(crate) fn wait(turns: &mut u32) {
    *turns += 1;
    if turns.is_multiple_of(512) { std::thread::yield_now() } else { std::hint::spin_loop() }
}

/// loom wants to know that nothing happens here until another thread moves.
#[cfg(loom)]
pub(crate) fn wait(_turns: &mut u32) {
    loom::thread::yield_now();
}

/// loom 0.7 remembers only the last access to an atomic when it looks for operations whose order matters: a thread that loads a
/// word before it stores to it hides that its store races with other threads' loads before, and loom then tries next to no
/// interleavings (6 of `update` beside `find`). So each operation here is preceded by a store to a companion that nobody reads:
/// all operations on one word are then in conflict with each other. It is relaxed and orders nothing.
#[cfg(loom)]
mod under_loom {
    use super::Ordering;
    use loom::sync::atomic::AtomicU64 as Word;

    pub(crate) struct AtomicU64 {
        word: Word,
        turn: Word,
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> AtomicU64 {
            AtomicU64 { word: Word::new(value), turn: Word::new(0) }
        }

        fn word(&self) -> &Word {
            self.turn.store(0, Ordering::Relaxed);
            &self.word
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.word().load(order)
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            self.word().store(value, order);
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.word().compare_exchange(current, new, success, failure)
        }

        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            self.word().fetch_add(value, order)
        }

        pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
            self.word().fetch_sub(value, order)
        }
    }
}

/// The fault that `scripts/check san` plants to show that the thread sanitizer would see one: relaxed stores are plain ones.
#[cfg(all(not(loom), planted_race))]
mod planted {
    use super::Ordering;

    #[repr(transparent)]
    pub(crate) struct AtomicU64(std::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> AtomicU64 {
            AtomicU64(std::sync::atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            match order {
                // SAFETY: the pointer is to a live word. That others read it meanwhile is the fault.
                Ordering::Relaxed => unsafe { self.0.as_ptr().write(value) },
                order => self.0.store(value, order),
            }
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.0.compare_exchange(current, new, success, failure)
        }

        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_add(value, order)
        }

        pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_sub(value, order)
        }
    }
}
