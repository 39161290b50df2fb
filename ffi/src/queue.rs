//! Receive and transmit queues: what a worker polls.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::device::Started;
use crate::{Mbuf, Mempool, sys};

/// The two queues of one number.
#[derive(Debug)]
pub struct QueuePair {
    /// Receives.
    pub rx: RxQueue,
    /// Transmits.
    pub tx: TxQueue,
}

/// A receive queue. One thread's at a time: may be moved, not shared. Keeps its device running.
#[derive(Debug)]
pub struct RxQueue {
    device: Arc<Started>,
    queue: u16,
    large: Option<Mempool>,
    one_thread: PhantomData<Cell<()>>,
}

/// A transmit queue. One thread's at a time: may be moved, not shared. Keeps its device running.
#[derive(Debug)]
pub struct TxQueue {
    device: Arc<Started>,
    queue: u16,
    one_thread: PhantomData<Cell<()>>,
}

/// What a guest has said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guest {
    /// It is there, and takes frames from this queue.
    pub polls: bool,
    /// It takes TCP segments over IPv4 that are larger than its link's.
    pub tso4: bool,
    /// The same over IPv6.
    pub tso6: bool,
}

/// What one `rx_burst` brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxBurst {
    /// Buffers appended.
    pub received: usize,
    /// Packets of several segments (or in borrowed memory) for which there was no buffer that is large enough, which were given back.
    pub multi_segment: usize,
}

impl QueuePair {
    /// # Safety
    /// The queue is set up and started on `device`, and this is its only handle ever.
    pub(crate) unsafe fn new(device: &Arc<Started>, queue: u16, large: Option<Mempool>) -> QueuePair {
        let (device, one_thread) = (device.clone(), PhantomData);
        QueuePair {
            rx: RxQueue { device: device.clone(), queue, large, one_thread },
            tx: TxQueue { device, queue, one_thread },
        }
    }
}

impl RxQueue {
    /// Appends what the device has, at most `limit` and as far as `mbufs` has capacity (it never grows). Never blocks. Some
    /// drivers give nothing below a limit of 4.
    #[inline]
    pub fn rx_burst(&mut self, mbufs: &mut Vec<Mbuf>, limit: usize) -> RxBurst {
        let old = mbufs.len();
        let spare = (mbufs.capacity() - old).min(limit).min(usize::from(u16::MAX)) as u16;
        if spare == 0 {
            return RxBurst::default();
        }
        // Mbuf is transparent over the pointer that the PMD writes.
        let slots = mbufs.spare_capacity_mut().as_mut_ptr().cast::<*mut sys::vr_mbuf>();
        // SAFETY: invariant **queue** (this thread alone polls it, the device runs); `slots` has room for `spare` pointers.
        let got = unsafe { sys::vr_rx_burst(self.device.port, self.queue, slots, spare) };
        let mut kept = 0;
        for index in 0..usize::from(got) {
            // SAFETY: the PMD wrote non-null pointers to the first `got` slots and gave those mbufs to us; `kept <= index`.
            unsafe {
                let mut raw = *slots.add(index);
                if !usable(&*raw) {
                    raw = gathered(raw, self.large.as_ref());
                }
                if !raw.is_null() {
                    *slots.add(kept) = raw;
                    kept += 1;
                }
            }
        }
        // SAFETY: the first `kept` spare slots hold mbufs that keep invariant **mbuf**, as `usable` checked.
        unsafe { mbufs.set_len(old + kept) };
        RxBurst { received: kept, multi_segment: usize::from(got) - kept }
    }
}

impl TxQueue {
    /// Sends from the front of `mbufs`; what the device does not take stays there. Returns how many it took. Never blocks
    /// longer than the driver does.
    #[inline]
    pub fn tx_burst(&mut self, mbufs: &mut Vec<Mbuf>) -> usize {
        let count = mbufs.len().min(usize::from(u16::MAX)) as u16;
        let slots = mbufs.as_mut_ptr().cast::<*mut sys::vr_mbuf>();
        // SAFETY: invariant **queue**; `slots` holds `count` pointers to mbufs that we own.
        let sent = usize::from(unsafe { sys::vr_tx_burst(self.device.port, self.queue, slots, count) });
        let left = mbufs.len() - sent;
        // SAFETY: the PMD took over the first `sent` mbufs, so they are moved out without being dropped; the rest move to the
        // front. Both ranges lie within the vector.
        unsafe {
            let front = mbufs.as_mut_ptr();
            std::ptr::copy(front.add(sent), front, left);
            mbufs.set_len(left);
        }
        sent
    }

    /// What the guest on the other side takes of this queue; absent: the peer is no guest.
    #[inline]
    pub fn guest(&self) -> Option<Guest> {
        if !self.device.guest {
            return None;
        }
        // SAFETY: reads two atomics of a port whose number is below the bound of their array.
        let bits = unsafe { sys::vr_guest(self.device.port, self.queue) };
        let has = |bit: u32| bits & bit != 0;
        Some(Guest { polls: has(sys::VR_GUEST_QUEUE), tso4: has(sys::VR_GUEST_TSO4), tso6: has(sys::VR_GUEST_TSO6) })
    }

    /// Whether the device completes IPv4 header checksums ([`Mbuf::request_tx_ip_checksum`]).
    pub fn completes_ip_checksum(&self) -> bool {
        self.device.offloads.tx_ip_checksum
    }
}

/// One buffer with the bytes of a packet in several or in borrowed memory, which are given back; null: there was none that is large enough.
///
/// # Safety
/// `raw` is a packet's first mbuf, and nobody else's.
#[cold]
unsafe fn gathered(raw: *mut sys::vr_mbuf, large: Option<&Mempool>) -> *mut sys::vr_mbuf {
    // SAFETY: the pool is never freed, or there is none; the caller gives the packet up.
    unsafe { sys::vr_mbuf_gather(large.map_or(std::ptr::null_mut(), Mempool::raw), raw) }
}

/// Whether an mbuf is one that [`Mbuf`] may own.
#[inline]
fn usable(mbuf: &sys::vr_mbuf) -> bool {
    mbuf.nb_segs == 1 && mbuf.refcnt == 1 && mbuf.ol_flags & sys::VR_MBUF_NOT_DIRECT == 0
}

const _: () = assert!(size_of::<Mbuf>() == size_of::<*mut sys::vr_mbuf>() && size_of::<Option<NonNull<u8>>>() == 8);
