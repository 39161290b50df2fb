//! Code for several levels of processor in one program, chosen while it runs; exported safe.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What code may be compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What the compiler was told.
    Baseline = 1,
    /// x86-64-v3 (AVX2, BMI1, BMI2, LZCNT, MOVBE, POPCNT).
    V3 = 2,
}

/// The level in use; 0: not looked yet.
static LEVEL: AtomicU8 = AtomicU8::new(0);

impl Level {
    /// The one in use: the highest that the processor has, or what [`Level::limit`] left. Any thread.
    #[inline]
    pub fn current() -> Level {
        match LEVEL.load(Relaxed) {
            0 => Level::limit(Level::V3),
            2 => Level::V3,
            _ => Level::Baseline,
        }
    }

    /// Uses the highest level that the processor has, but none above this one; which it is. For tests and measurements: all levels
    /// compute the same.
    pub fn limit(most: Level) -> Level {
        let level = if is_v3() { most } else { Level::Baseline };
        // relaxed: whoever still reads another level runs another copy of the same code
        LEVEL.store(level as u8, Relaxed);
        level
    }

    /// Its name, as `limit` is told by people.
    pub fn name(self) -> &'static str {
        match self {
            Level::Baseline => "baseline",
            Level::V3 => "x86-64-v3",
        }
    }

    /// The level with this name.
    pub fn named(name: &str) -> Option<Level> {
        [Level::Baseline, Level::V3].into_iter().find(|level| level.name() == name)
    }
}

/// A piece of work that is compiled for each level. `run`, and what it calls, should be `#[inline(always)]`: what is not inlined is
/// compiled for the baseline.
pub trait Kernel {
    type Out;
    fn run(self) -> Self::Out;
}

/// Runs it at the level in use. Any thread.
#[inline]
pub fn at_level<K: Kernel>(kernel: K) -> K::Out {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    if Level::current() == Level::V3 {
        // SAFETY: the level is V3 only where `is_v3` has found all that the function is compiled for.
        return unsafe { v3(kernel) };
    }
    kernel.run()
}

#[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe,popcnt")]
fn v3<K: Kernel>(kernel: K) -> K::Out {
    kernel.run()
}

#[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
fn is_v3() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("movbe") && has!("popcnt")
}

#[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
fn is_v3() -> bool {
    false
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Popcount(u64);

    impl Kernel for Popcount {
        type Out = u32;
        fn run(self) -> u32 {
            self.0.count_ones()
        }
    }

    #[test]
    fn every_level_computes_the_same_and_has_a_name() {
        for level in [Level::Baseline, Level::V3] {
            assert!(Level::limit(level) <= level);
            assert_eq!(at_level(Popcount(0xf0f0)), 8);
            assert_eq!(Level::named(level.name()), Some(level));
        }
        assert_eq!(Level::named("x86-64-v9"), None);
    }
}
