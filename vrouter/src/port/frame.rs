//! One frame: a window of bytes in a larger room.

use std::num::NonZeroU8;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::packet::checksum::IpChecksum;
use crate::packet::ether;
use crate::packet::offload::{self, Undone};

/// Bytes of room that a heap frame has, headroom included, if that is enough; a DPDK mempool is made with the same unless said otherwise.
pub const ROOM: usize = 2048 + HEADROOM;
/// The same of a frame that is larger: what a window's 16 bits reach.
pub const LARGE_ROOM: usize = u16::MAX as usize;
/// Bytes before a received frame: enough for every encapsulation (DPDK's default).
pub const HEADROOM: usize = 128;

/// A window of bytes with headroom. Owns its memory; dropping it gives the memory back.
pub struct Frame {
    store: Store,
    start: u16,
    len: u16,
    /// What the device says of the received IPv4 header's checksum.
    pub rx_ip_checksum: IpChecksum,
    /// Set: the outer IPv4 header, which begins there and has 20 bytes, holds checksum 0, and the port's `tx` completes it (in the
    /// device where it can, else by [`Frame::finish_outer_checksum`]).
    pub tx_ip_checksum: Option<NonZeroU8>,
    /// What the sender left undone of a frame that holds one packet, or what the port's `tx` is to do or leave to its device.
    pub undone: Undone,
}

/// Where the bytes are.
pub enum Store {
    /// The virtual wire's and the slow path's frames.
    Heap(HeapRoom),
    /// A DPDK buffer.
    #[cfg(feature = "dpdk")]
    Mbuf(ffi::Mbuf),
}

/// A heap frame's memory. Dropped, it goes back to the [`Rooms`](super::Rooms) that it is of, or is freed when it is of none.
pub struct HeapRoom(Option<Box<Room>>);

/// The bytes, and while a frame uses them where they go back to.
pub(super) struct Room {
    pub bytes: Box<[u8]>,
    pub home: Option<Arc<ArrayQueue<Box<Room>>>>,
}

impl Room {
    /// A room of its own for a frame of this length; `None`: no room is so large.
    pub fn fitting(len: usize) -> Option<Box<Room>> {
        let bytes = [ROOM, LARGE_ROOM].into_iter().find(|room| HEADROOM + len <= *room)?;
        // zeroed pages are the system's until they are written
        Some(Box::new(Room { bytes: vec![0; bytes].into_boxed_slice(), home: None }))
    }
}

impl HeapRoom {
    pub(super) fn of(room: Box<Room>) -> HeapRoom {
        HeapRoom(Some(room))
    }

    /// All of it, headroom included.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |room| &room.bytes[..])
    }

    /// The same, to write.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut().map_or(&mut [], |room| &mut room.bytes[..])
    }
}

impl Drop for HeapRoom {
    fn drop(&mut self) {
        let Some(mut room) = self.0.take() else { return };
        if let Some(home) = room.home.take() {
            // it has a place for every room that was made
            let _ = home.push(room);
        }
    }
}

/// The frame has no room for the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no headroom")]
pub struct NoHeadroom;

impl Frame {
    /// A heap frame of its own with these bytes after [`HEADROOM`], or nothing when they don't fit. Not on a worker, nor to be
    /// given to one: it is freed where it is dropped.
    pub fn from_bytes(bytes: &[u8]) -> Option<Frame> {
        let mut frame = Frame::on_heap(HeapRoom::of(Room::fitting(bytes.len())?));
        frame.fill(bytes).then_some(frame)
    }

    /// An empty frame in this room.
    pub fn on_heap(room: HeapRoom) -> Frame {
        Frame::new(Store::Heap(room), HEADROOM as u16, 0)
    }

    /// The window `start..start + len` of `store`; the port that makes it vouches for the bounds.
    pub fn new(store: Store, start: u16, len: u16) -> Frame {
        Frame { store, start, len, rx_ip_checksum: IpChecksum::Unknown, tx_ip_checksum: None, undone: Undone::NOTHING }
    }

    /// Puts these bytes after [`HEADROOM`] in place of what was there; false when they don't fit.
    pub fn fill(&mut self, bytes: &[u8]) -> bool {
        self.fill_with(bytes, &[])
    }

    /// The same of two parts.
    pub(super) fn fill_with(&mut self, head: &[u8], body: &[u8]) -> bool {
        let len = head.len() + body.len();
        let Some(room) = self.room_mut().get_mut(HEADROOM..HEADROOM + len) else { return false };
        room[..head.len()].copy_from_slice(head);
        room[head.len()..].copy_from_slice(body);
        (self.start, self.len) = (HEADROOM as u16, len as u16);
        (self.rx_ip_checksum, self.tx_ip_checksum, self.undone) = (IpChecksum::Unknown, None, Undone::NOTHING);
        true
    }

    /// The same from blocks, of which the frame has the first `len` bytes; whole blocks are copied, without a call. What does not fit is left out.
    #[inline]
    pub fn copy_blocks<const N: usize>(&mut self, blocks: &[[u8; N]], len: usize) {
        let places = self.room_mut()[HEADROOM..].as_chunks_mut().0;
        places.iter_mut().zip(blocks).for_each(|(place, block)| *place = *block);
        (self.start, self.len) = (HEADROOM as u16, len.min(blocks.len() * N).min(ROOM - HEADROOM) as u16);
        (self.rx_ip_checksum, self.tx_ip_checksum, self.undone) = (IpChecksum::Unknown, None, Undone::NOTHING);
    }

    /// The frame from its Ethernet header on.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let window = usize::from(self.start)..usize::from(self.start) + usize::from(self.len);
        match &self.store {
            Store::Heap(room) => &room.bytes()[window],
            #[cfg(feature = "dpdk")]
            Store::Mbuf(mbuf) => &mbuf.room()[window],
        }
    }

    /// The same, to write.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let window = usize::from(self.start)..usize::from(self.start) + usize::from(self.len);
        &mut self.room_mut()[window]
    }

    /// Bytes in the window.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Where the window begins in the room.
    pub fn start(&self) -> u16 {
        self.start
    }

    /// Takes `strip` bytes off the front and puts `header` there instead.
    #[inline]
    pub fn replace_front(&mut self, strip: usize, header: &[u8]) -> Result<(), NoHeadroom> {
        let body = usize::from(self.start) + strip.min(self.len());
        let start = body.checked_sub(header.len()).ok_or(NoHeadroom)?;
        self.room_mut()[start..body].copy_from_slice(header);
        self.len = (usize::from(self.start) + self.len() - start) as u16;
        self.start = start as u16;
        Ok(())
    }

    /// The `N` bytes of room that begin `before` bytes before the window's byte `at`, to write headers there; what they then are,
    /// [`Frame::set_front`] says. `None`: the room does not reach so far.
    #[inline(always)]
    pub fn around<const N: usize>(&mut self, at: usize, before: usize) -> Option<&mut [u8; N]> {
        let from = (usize::from(self.start) + at).checked_sub(before)?;
        self.room_mut().get_mut(from..)?.first_chunk_mut()
    }

    /// Makes the window the `header` bytes before its byte `at`, and the `body` bytes behind, which were in it before. The headers are
    /// within what [`Frame::around`] gave.
    #[inline(always)]
    pub fn set_front(&mut self, at: u16, header: u16, body: u16) {
        debug_assert!(at + body <= self.len && header <= self.start + at, "a window that leaves what was there");
        (self.start, self.len) = (self.start + at - header, header + body);
    }

    /// Cuts the window to at most `len` bytes (drops Ethernet padding).
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len.try_into().unwrap_or(u16::MAX));
    }

    /// Computes the IPv4 header checksum that [`Frame::tx_ip_checksum`] asks for, in software.
    pub fn finish_outer_checksum(&mut self) {
        let Some(l3) = self.tx_ip_checksum.take() else { return };
        let Some(header) = self.bytes_mut().get_mut(usize::from(l3.get())..) else { return };
        let Some(header) = header.first_chunk_mut::<20>() else { return };
        header[10..12].fill(0);
        let sum = crate::packet::checksum::of(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    /// Puts in the checksum that the sender left undone; the L3 packet begins at `l3`. A large segment is still one.
    pub fn complete(&mut self, l3: usize) {
        if self.undone.is_any() {
            offload::complete(self.bytes_mut().get_mut(l3..).unwrap_or_default());
        }
        if self.undone == Undone::CHECKSUM {
            self.undone = Undone::NOTHING;
        }
    }

    /// Does in software what is left undone of a frame that goes on a wire: checksums. False: it is a large segment, which no wire takes.
    #[inline]
    pub fn finish(&mut self) -> bool {
        self.finish_outer_checksum();
        if self.undone.is_any() {
            let l3 = ether::packet_of(self.bytes());
            self.complete(l3);
        }
        !self.undone.is_any()
    }

    /// Gives the memory to whoever sends or keeps it.
    pub fn into_store(self) -> Store {
        self.store
    }

    #[inline]
    fn room_mut(&mut self) -> &mut [u8] {
        match &mut self.store {
            Store::Heap(room) => room.bytes_mut(),
            #[cfg(feature = "dpdk")]
            Store::Mbuf(mbuf) => mbuf.room_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_replaced_within_the_room() {
        let mut frame = Frame::from_bytes(b"oldbody").unwrap();
        frame.replace_front(3, b"longer ").unwrap();
        assert_eq!(frame.bytes(), b"longer body");
        frame.replace_front(7, b"").unwrap();
        assert_eq!(frame.bytes(), b"body");
        assert_eq!(frame.replace_front(0, &[0; HEADROOM + 4]), Err(NoHeadroom));
        assert_eq!(frame.bytes(), b"body");
        frame.truncate(2);
        assert_eq!(frame.bytes(), b"bo");
    }

    #[test]
    fn what_does_not_fit_is_no_frame() {
        assert!(Frame::from_bytes(&[0; ROOM - HEADROOM]).is_some());
        let large = Frame::from_bytes(&[7; LARGE_ROOM - HEADROOM]).unwrap();
        assert_eq!(large.bytes(), [7; LARGE_ROOM - HEADROOM]);
        assert!(Frame::from_bytes(&[0; LARGE_ROOM - HEADROOM + 1]).is_none());
    }
}
