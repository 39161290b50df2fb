//! One packet buffer.

use std::ptr::NonNull;

use crate::sys;

/// An owned buffer of one segment; drop gives it back to its pool. May move between threads.
#[derive(Debug)]
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::vr_mbuf>);

// SAFETY: nobody else holds the mbuf (invariant **mbuf**), and returning it to its pool is thread-safe.
unsafe impl Send for Mbuf {}

/// A device's word about a received IPv4 header checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// It did not look.
    Unknown,
    /// Verified.
    Good,
    /// Wrong.
    Bad,
}

impl Mbuf {
    /// Takes over an mbuf.
    ///
    /// # Safety
    /// `raw` is direct, single-segment, of reference count 1, and nobody else's.
    #[inline]
    pub(crate) unsafe fn own(raw: NonNull<sys::vr_mbuf>) -> Mbuf {
        Mbuf(raw)
    }

    /// Gives all of them back to their pools.
    #[inline]
    pub fn free_bulk(mbufs: &mut Vec<Mbuf>) {
        let mut left = mbufs.len();
        // SAFETY: no element is a value any more before its pointer is given away: nothing is dropped twice.
        unsafe { mbufs.set_len(0) };
        let mut slots = mbufs.as_mut_ptr().cast::<*mut sys::vr_mbuf>();
        while left > 0 {
            let count = left.min(usize::from(u16::MAX));
            // SAFETY: `slots` leads to `left` pointers to mbufs whose owner gave them up above (Mbuf is transparent over them); any thread
            // may free them. The next `count` of them are passed over.
            slots = unsafe {
                sys::vr_mbuf_free_bulk(slots, count as u16);
                slots.add(count)
            };
            left -= count;
        }
    }

    /// The whole data room, headroom included.
    #[inline]
    pub fn room(&self) -> &[u8] {
        let fields = self.fields();
        // SAFETY: buf_addr..+buf_len is the mbuf's own memory, mapped for ever and written by none but the owner; the EAL
        // hands memory out zeroed, so every byte is initialised. The borrow of self keeps writers away.
        unsafe { std::slice::from_raw_parts(fields.buf_addr.cast::<u8>(), usize::from(fields.buf_len)) }
    }

    /// The same, to write.
    #[inline]
    pub fn room_mut(&mut self) -> &mut [u8] {
        let fields = self.fields();
        // SAFETY: as in `room`; the exclusive borrow of self makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(fields.buf_addr.cast::<u8>(), usize::from(fields.buf_len)) }
    }

    /// Where the window begins in the room.
    #[inline]
    pub fn data_off(&self) -> u16 {
        self.fields().data_off
    }

    /// Bytes in the window.
    #[inline]
    pub fn data_len(&self) -> u16 {
        self.fields().data_len
    }

    /// The hash that the device computed for queue selection; 0 when it did not.
    #[inline]
    pub fn rss_hash(&self) -> u32 {
        self.fields().rss
    }

    /// What the device says of the received IPv4 header's checksum.
    #[inline]
    pub fn rx_ip_checksum(&self) -> RxChecksum {
        match self.fields().ol_flags & sys::VR_MBUF_RX_IP_CKSUM_MASK {
            sys::VR_MBUF_RX_IP_CKSUM_GOOD => RxChecksum::Good,
            sys::VR_MBUF_RX_IP_CKSUM_BAD => RxChecksum::Bad,
            // No flag, or "header damaged but checksum fits", which software then judges.
            _ => RxChecksum::Unknown,
        }
    }

    /// Makes `start..start + len` of the room what is sent, and clears all offload requests.
    ///
    /// # Panics
    /// When the window leaves the room: the caller's mistake.
    #[inline]
    pub fn set_window(&mut self, start: u16, len: u16) {
        let fields = self.fields_mut();
        assert!(u32::from(start) + u32::from(len) <= u32::from(fields.buf_len), "the window leaves the mbuf's room");
        fields.data_off = start;
        fields.data_len = len;
        fields.pkt_len = u32::from(len);
        fields.ol_flags = 0;
    }

    /// Asks the device to complete the IPv4 header checksum, which the frame holds as 0. Lengths in bytes.
    #[inline]
    pub fn request_tx_ip_checksum(&mut self, l2_len: u8, l3_len: u8) {
        let fields = self.fields_mut();
        fields.ol_flags |= sys::VR_MBUF_TX_IPV4_CKSUM;
        fields.tx_offload = u64::from(l2_len) | u64::from(l3_len) << sys::VR_TX_L3_LEN_SHIFT;
    }

    #[inline]
    fn fields(&self) -> &sys::vr_mbuf {
        // SAFETY: invariant **mbuf**; vr_mbuf shows a prefix of rte_mbuf (asserted when the shim is compiled).
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn fields_mut(&mut self) -> &mut sys::vr_mbuf {
        // SAFETY: as in `fields`, and self is borrowed exclusively.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the owner gives its mbuf up; any thread may.
        unsafe { sys::vr_mbuf_free(self.0.as_ptr()) }
    }
}
