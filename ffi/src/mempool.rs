//! Pools of packet buffers.

use std::ffi::CString;
use std::ptr::NonNull;

use crate::mbuf::there_is_a_pool;
use crate::{Eal, HEADROOM, Mbuf, sys};

/// What a pool is made with.
#[derive(Clone, Copy, Debug)]
pub struct MempoolConfig<'a> {
    /// At most 25 bytes, unique in the process.
    pub name: &'a str,
    /// Buffers in all.
    pub size: u32,
    /// Buffers that each registered thread may keep for itself, at most 512.
    pub cache: u32,
    /// Bytes of each buffer, headroom included.
    pub room: u16,
}

/// A handle to a pool. The pool lives until the process ends, so that no mbuf can outlive it. Any thread.
#[derive(Clone, Copy, Debug)]
pub struct Mempool {
    raw: NonNull<sys::rte_mempool>,
    size: u32,
    room: u16,
}

// SAFETY: the pool's operations are thread-safe (multi-producer, multi-consumer ring; a cache belongs to one lcore number, and
// a number to one thread), and the pool is never freed.
unsafe impl Send for Mempool {}
// SAFETY: as above.
unsafe impl Sync for Mempool {}

/// Why there is no pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    /// The name cannot be used.
    #[error("mempool name {0:?} is empty, longer than 25 bytes or holds a NUL")]
    Name(String),
    /// A buffer must hold the headroom and something more.
    #[error("mempool room {0}: must exceed the headroom")]
    Room(u16),
    /// DPDK refused.
    #[error("mempool {name}: {size} buffers of {room} bytes, cache {cache}: {reason}")]
    Create {
        /// Its name.
        name: String,
        /// Buffers.
        size: u32,
        /// Bytes each.
        room: u16,
        /// Per-thread cache.
        cache: u32,
        /// DPDK's reason.
        reason: String,
    },
}

impl Mempool {
    /// Makes a pool. Control thread, at start.
    pub fn create(_eal: &Eal, config: &MempoolConfig) -> Result<Mempool, MempoolError> {
        let MempoolConfig { name, size, cache, room } = *config;
        let bad_name = || MempoolError::Name(name.to_owned());
        let c_name = CString::new(name).ok().filter(|_| (1..=25).contains(&name.len())).ok_or_else(bad_name)?;
        if usize::from(room) <= HEADROOM {
            return Err(MempoolError::Room(room));
        }
        // SAFETY: the EAL runs; the name is NUL-terminated and copied by DPDK.
        let raw = unsafe { sys::vr_pool_create(c_name.as_ptr(), size, cache, room) };
        there_is_a_pool();
        NonNull::new(raw).map(|raw| Mempool { raw, size, room }).ok_or_else(|| MempoolError::Create {
            name: name.to_owned(),
            size,
            room,
            cache,
            reason: crate::error_text(crate::last_errno()),
        })
    }

    /// A fresh buffer with an empty window after the headroom, or nothing when the pool is empty. Any thread.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool is never freed and its operations are thread-safe.
        let raw = NonNull::new(unsafe { sys::vr_mbuf_alloc(self.raw.as_ptr()) })?;
        // SAFETY: a fresh mbuf is direct, single-segment, with reference count 1, and nobody else's.
        Some(unsafe { Mbuf::own(raw) })
    }

    /// Appends so many fresh buffers, or none when the pool has not all of them; as far as `mbufs` has capacity (it never grows). Any thread.
    #[inline]
    pub fn alloc_bulk(&self, mbufs: &mut Vec<Mbuf>, count: usize) {
        let old = mbufs.len();
        let count = (mbufs.capacity() - old).min(count).min(usize::from(u16::MAX)) as u16;
        // Mbuf is transparent over the pointer that is written.
        let slots = mbufs.spare_capacity_mut().as_mut_ptr().cast::<*mut sys::vr_mbuf>();
        // SAFETY: as in `alloc`; `slots` has room for `count` pointers.
        let failed = unsafe { sys::vr_mbuf_alloc_bulk(self.raw.as_ptr(), slots, count) };
        if failed == 0 {
            // SAFETY: `count` slots hold fresh mbufs, which keep invariant **mbuf** as in `alloc`; they are within the capacity.
            unsafe { mbufs.set_len(old + usize::from(count)) };
        }
    }

    /// Buffers in all.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Bytes of each buffer, headroom included.
    pub fn room(&self) -> u16 {
        self.room
    }

    /// Buffers in the pool and its caches. Exact when nobody takes or returns one meanwhile. Walks all caches: not for workers.
    pub fn available(&self) -> u32 {
        // SAFETY: reads counters of a pool that is never freed.
        unsafe { sys::rte_mempool_avail_count(self.raw.as_ptr()) }
    }

    /// Buffers that somebody holds: devices' rings, workers, queues. Exact when at rest.
    pub fn in_use(&self) -> u32 {
        self.size.saturating_sub(self.available())
    }

    pub(crate) fn raw(&self) -> *mut sys::rte_mempool {
        self.raw.as_ptr()
    }
}
