//! What a source puts into the last bytes of each frame, where no tunnel moves it: stream, sequence number, time.

/// Bytes of a stamp: two of magic, two of the stream, four of the sequence number, eight of the time; big-endian.
pub const LEN: usize = 16;
const MAGIC: u16 = 0x7652;

/// A stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The source's device and queue: see [`stream`].
    pub stream: u16,
    /// The frame's number in its stream, from 0; wraps.
    pub sequence: u32,
    /// When it was due, in cycles of the time stamp counter.
    pub time: u64,
}

/// The stream of a device's queue: sixteen of each.
pub fn stream(device: u8, queue: u8) -> u16 {
    u16::from(device) << 4 | u16::from(queue)
}

impl Stamp {
    /// As it is in a frame.
    #[inline]
    pub fn bytes(self) -> [u8; LEN] {
        let word = u64::from(MAGIC) << 48 | u64::from(self.stream) << 32 | u64::from(self.sequence);
        (u128::from(word) << 64 | u128::from(self.time)).to_be_bytes()
    }

    /// The stamp of a frame that has one.
    #[inline]
    pub fn read(frame: &[u8]) -> Option<Stamp> {
        let both = u128::from_be_bytes(*frame.last_chunk::<LEN>()?);
        let word = (both >> 64) as u64;
        (word >> 48 == u64::from(MAGIC)).then_some(Stamp {
            stream: (word >> 32) as u16,
            sequence: word as u32,
            time: both as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_from_the_end() {
        let stamp = Stamp { stream: stream(3, 2), sequence: 0x0102_0304, time: 0x1122_3344_5566_7788 };
        let mut frame = vec![0xff; 44];
        frame.extend(stamp.bytes());
        assert_eq!(frame[44..], *b"vR\0\x32\x01\x02\x03\x04\x11\x22\x33\x44\x55\x66\x77\x88");
        assert_eq!(Stamp::read(&frame), Some(stamp));
        frame.push(0);
        assert_eq!(Stamp::read(&frame), None);
        assert_eq!(Stamp::read(b"vR"), None);
    }
}
