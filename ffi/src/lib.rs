//! DPDK behind a few owned types. Nothing here knows what a route is; nothing outside this crate calls DPDK.
//!
//! | type | whose | threads |
//! |---|---|---|
//! | [`Eal`] | the proof that the EAL runs | any |
//! | [`Mempool`] | a handle to memory that lives as long as the process | any |
//! | [`Mbuf`] | one buffer, given back on drop | moves between threads |
//! | [`Device`] | control side of a started port | any; calls serialise on one lock |
//! | [`RxQueue`], [`TxQueue`] | one queue of a device | one worker's, moved there once |
//! | `Classifier` (feature `acl`) | rules that DPDK compiled | one's |
//! | `Hash` (feature `hash`) | DPDK's hash table | one's |
//! | `Prefixes4`, `Prefixes6` (feature `fib`) | DPDK's longest-prefix tables | one's |
//! | [`LcoreRegistration`] | a worker's number, which gives it mempool caches | stays in its thread |
//!
//! Invariants that the SAFETY comments lean on:
//! - **eal**: an [`Eal`] exists only after `rte_eal_init` succeeded. `rte_eal_cleanup` is never called, so EAL memory is never
//!   unmapped: a pool, and every mbuf of it, stays mapped until the process ends. (Files are no concern: memory is
//!   anonymous or unlinked unless [`EalConfig::in_memory`] is off.)
//! - **mbuf**: an [`Mbuf`] points to a direct, single-segment mbuf with reference count 1 that no one else holds. It is made
//!   from `rte_pktmbuf_alloc` or from a burst that was checked; a PMD takes it over in `tx_burst` for exactly the mbufs it
//!   says it sent.
//! - **queue**: a queue handle is made once per started queue, is not `Sync` and not `Clone`, so at most one thread polls a
//!   queue; it holds the device, which is stopped and closed only when the last handle is gone.

#[cfg(feature = "acl")]
mod classifier;
mod device;
mod eal;
mod files;
#[cfg(feature = "hash")]
mod hash;
mod lcore;
mod mbuf;
mod mempool;
#[cfg(feature = "fib")]
mod prefixes;
mod queue;
mod start;
#[allow(clippy::undocumented_unsafe_blocks)]
mod sys;
mod xdp;

#[cfg(feature = "acl")]
pub use classifier::{Classifier, ClassifierError, ClassifierRule, Packed};
pub use device::{Counters, Device, DeviceConfig, DeviceError, Offloads};
pub use eal::{Eal, EalConfig, EalError, Memory, pci_address};
pub use files::{close_on_exec, inherited};
#[cfg(feature = "hash")]
pub use hash::{HASH_BURST, Hash, HashKey};
pub use lcore::{LcoreError, LcoreRegistration, register_thread};
pub use mbuf::{LeftUndone, Lengths, Mbuf, RxChecksum};
pub use mempool::{Mempool, MempoolConfig, MempoolError};
#[cfg(feature = "fib")]
pub use prefixes::{NO_PREFIX, Prefixes4, Prefixes6};
pub use queue::{Guest, QueuePair, RxBurst, RxQueue, TxQueue};

/// Bytes that a pool's fresh mbuf leaves free before its data (DPDK's compiled-in headroom).
pub const HEADROOM: usize = sys::VR_HEADROOM as usize;

/// Ethernet devices that this DPDK was built for.
pub const MOST_PORTS: u32 = sys::VR_MOST_PORTS;

/// The time stamp counter of this core: cycles that pass at one rate on all cores. Any thread.
#[inline]
pub fn cycles() -> u64 {
    // SAFETY: reads a counter.
    unsafe { sys::vr_cycles() }
}

/// Cycles that [`cycles`] counts in a second, as the EAL measured it at its start.
pub fn cycles_hertz(_eal: &Eal) -> u64 {
    // SAFETY: reads a number that the EAL has set, as `_eal` proves.
    unsafe { sys::vr_cycles_hertz() }
}

/// The text for a DPDK or libc error number, positive or negative.
fn error_text(errno: i32) -> String {
    let errno = errno.checked_abs().unwrap_or(i32::MAX);
    // SAFETY: rte_strerror takes any number and returns a NUL-terminated text that is constant or the calling thread's own.
    let text = unsafe { std::ffi::CStr::from_ptr(sys::rte_strerror(errno)) };
    format!("{} (errno {errno})", text.to_string_lossy())
}

/// rte_errno of this thread.
fn last_errno() -> i32 {
    // SAFETY: reads a thread-local integer.
    unsafe { sys::vr_errno() }
}
