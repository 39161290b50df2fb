//! One packet buffer.

use std::ptr::NonNull;
use std::sync::OnceLock;

use crate::sys;

/// How an mbuf goes back to its pool: known from the first pool on. So a program that opens no device, though it has code that could drop frames
/// of one, is linked without DPDK and runs where there is none.
static FREE: OnceLock<unsafe extern "C" fn(*mut sys::vr_mbuf)> = OnceLock::new();

/// There is a pool: mbufs can be given back from now on. Before the first mbuf.
pub(crate) fn there_is_a_pool() {
    FREE.get_or_init(|| sys::vr_mbuf_free);
}

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

/// What the sender of a packet, or we, leave undone in it, for whoever gets it next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftUndone {
    Nothing,
    /// The checksum of TCP, UDP or SCTP.
    Checksum,
    /// That of TCP, in a segment that is to be cut into ones with so much payload.
    Segments(u16),
}

/// Where the headers of a packet are that somebody else completes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Up to 127.
    pub l2: u8,
    /// Up to 511.
    pub l3: u16,
    pub l4: u8,
    pub v6: bool,
    /// Of TCP; else UDP's.
    pub tcp: bool,
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

    /// Where the IPv4 header begins whose checksum was left to the device.
    pub fn tx_ip_checksum(&self) -> Option<u8> {
        let fields = self.fields();
        let asked = fields.ol_flags & sys::VR_MBUF_TX_IPV4_CKSUM == sys::VR_MBUF_TX_IPV4_CKSUM;
        asked.then_some((fields.tx_offload & ((1 << sys::VR_TX_L3_LEN_SHIFT) - 1)) as u8)
    }

    /// What the packet's sender left undone, or of a packet that was to be sent, what was left to the device.
    pub fn left_undone(&self) -> LeftUndone {
        let fields = self.fields();
        let segment = (fields.tx_offload >> sys::VR_TX_SEGMENT_SHIFT) as u16;
        if fields.ol_flags & (sys::VR_MBUF_RX_LRO | sys::VR_MBUF_TX_TCP_SEG) != 0 {
            return LeftUndone::Segments(segment);
        }
        let received = fields.ol_flags & sys::VR_MBUF_RX_L4_CKSUM_MASK == sys::VR_MBUF_RX_L4_CKSUM_NONE;
        let to_send = fields.ol_flags & sys::VR_MBUF_TX_L4_MASK != 0;
        if received || to_send { LeftUndone::Checksum } else { LeftUndone::Nothing }
    }

    /// Leaves this to the device, whose peer takes it.
    pub fn leave_undone(&mut self, what: LeftUndone, lengths: Lengths) {
        let Lengths { l2, l3, l4, v6, tcp } = lengths;
        let family = if v6 { sys::VR_MBUF_TX_IPV6 } else { sys::VR_MBUF_TX_IPV4 };
        let (flags, segment) = match what {
            LeftUndone::Nothing => return,
            LeftUndone::Checksum if tcp => (sys::VR_MBUF_TX_TCP_CKSUM, 0),
            LeftUndone::Checksum => (sys::VR_MBUF_TX_UDP_CKSUM, 0),
            LeftUndone::Segments(each) => (sys::VR_MBUF_TX_TCP_SEG | sys::VR_MBUF_TX_TCP_CKSUM, each),
        };
        let fields = self.fields_mut();
        fields.ol_flags |= family | flags;
        fields.tx_offload = u64::from(l2)
            | u64::from(l3) << sys::VR_TX_L3_LEN_SHIFT
            | u64::from(l4) << sys::VR_TX_L4_LEN_SHIFT
            | u64::from(segment) << sys::VR_TX_SEGMENT_SHIFT;
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
        // there is no mbuf without a pool
        if let Some(free) = FREE.get() {
            // SAFETY: the owner gives its mbuf up; any thread may.
            unsafe { free(self.0.as_ptr()) }
        }
    }
}
