//! The cycles that something takes.

/// The time stamp counter of this core, which counts at one rate on all cores: without DPDK nanoseconds. Any thread.
#[cfg(feature = "dpdk")]
#[inline]
pub fn cycles() -> u64 {
    ffi::cycles()
}

/// Nanoseconds since somebody first asked: there is no DPDK to read the time stamp counter. Any thread.
#[cfg(not(feature = "dpdk"))]
pub fn cycles() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}
