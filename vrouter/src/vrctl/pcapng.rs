//! Captured frames as a pcapng file (draft-ietf-opsawg-pcapng): an interface for each VIF, a comment for each frame.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};
use vrouter::api::v1;

/// Timestamps are in nanoseconds: a power of ten.
const NANOSECONDS: u8 = 9;
/// The direction in a packet's flags.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// What a comment has at most: an option's length is 16 bits.
const COMMENT: usize = 4096;

/// A file being written.
pub struct Pcapng<W: Write> {
    writer: PcapNgWriter<W>,
    /// The interfaces' names, and the frames of each.
    interfaces: Vec<(String, u64)>,
    snaplen: u32,
    filter: String,
    /// Of the last frame.
    time: u64,
}

impl<W: Write> Pcapng<W> {
    /// Begins a file. `snaplen`: bytes of a frame at most, 0: all; `filter`: which frames, for people.
    pub fn begin(out: W, snaplen: u32, filter: &str) -> io::Result<Pcapng<W>> {
        let program = Cow::from(concat!("vrctl ", env!("CARGO_PKG_VERSION")));
        let options = vec![SectionHeaderOption::UserApplication(program)];
        let section = SectionHeaderBlock { endianness: Endianness::Little, options, ..SectionHeaderBlock::default() };
        let writer = PcapNgWriter::with_section_header(out, section).map_err(io_error)?;
        Ok(Pcapng { writer, interfaces: Vec::new(), snaplen, filter: filter.into(), time: 0 })
    }

    /// Writes one frame, and before the first of an interface what that is.
    pub fn put(&mut self, packet: &v1::CapturedPacket) -> io::Result<()> {
        let at = self.interface(if packet.vif.is_empty() { "no-vif" } else { &packet.vif })?;
        self.interfaces[at].1 += 1;
        let mut options = Vec::new();
        let comment = comment(packet);
        if !comment.is_empty() {
            let end = comment.floor_char_boundary(COMMENT);
            options.push(EnhancedPacketOption::Comment(comment[..end].into()));
        }
        match packet.point() {
            v1::CapturePoint::Rx => options.push(EnhancedPacketOption::Flags(INBOUND)),
            v1::CapturePoint::Tx => options.push(EnhancedPacketOption::Flags(OUTBOUND)),
            v1::CapturePoint::Drop => {}
        }
        let block = EnhancedPacketBlock {
            interface_id: at as u32,
            timestamp: Duration::from_nanos(packet.time_ns),
            original_len: packet.length,
            data: packet.data.as_slice().into(),
            options,
        };
        self.time = packet.time_ns;
        self.writer.write_pcapng_block(block).map(drop).map_err(io_error)
    }

    /// What was written is to be seen by who reads.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.get_mut().flush()
    }

    /// Ends the file: what each interface had. What was lost is told of the first one, as nobody knows whose it was.
    pub fn end(mut self, lost: u64) -> io::Result<()> {
        if self.interfaces.is_empty() {
            self.interface("no-vif")?;
        }
        for (interface_id, (_, frames)) in (0..).zip(std::mem::take(&mut self.interfaces)) {
            let of_it = if interface_id == 0 { lost } else { 0 };
            let mut options =
                vec![InterfaceStatisticsOption::IsbIfRecv(frames + of_it), InterfaceStatisticsOption::IsbIfDrop(of_it)];
            if of_it > 0 {
                options.push(InterfaceStatisticsOption::Comment("dropped: of all interfaces".into()));
            }
            // the file has the high word first, the writer the low one
            let block = InterfaceStatisticsBlock { interface_id, timestamp: self.time.rotate_left(32), options };
            self.writer.write_pcapng_block(block).map_err(io_error)?;
        }
        self.flush()
    }

    /// The number of the interface with this name.
    fn interface(&mut self, name: &str) -> io::Result<usize> {
        if let Some(at) = self.interfaces.iter().position(|(known, _)| known == name) {
            return Ok(at);
        }
        let mut options = vec![
            InterfaceDescriptionOption::IfName(name.to_owned().into()),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ];
        if !self.filter.is_empty() {
            // 0: as text
            let filter: Vec<u8> = std::iter::once(0).chain(self.filter.bytes()).collect();
            options.push(InterfaceDescriptionOption::IfFilter(filter.into()));
        }
        let block = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: self.snaplen, options };
        self.writer.write_pcapng_block(block).map_err(io_error)?;
        self.interfaces.push((name.to_owned(), 0));
        Ok(self.interfaces.len() - 1)
    }
}

/// What is known of a frame, for people: "dropped: no_route by vrf red, vrf red, tcp 10.1.1.10:40000 > 10.1.1.20:80".
pub fn comment(packet: &v1::CapturedPacket) -> String {
    let mut parts = Vec::new();
    if packet.point() == v1::CapturePoint::Drop {
        let by = if packet.object.is_empty() { String::new() } else { format!(" by {}", packet.object) };
        parts.push(format!("dropped: {}{by}", packet.reason));
    }
    for (what, text) in [("entered by vif ", &packet.entered), ("vrf ", &packet.vrf), ("", &packet.flow)] {
        if !text.is_empty() {
            parts.push(format!("{what}{text}"));
        }
    }
    parts.join(", ")
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are the draft's, not what the crate reads of its own.
    #[test]
    fn a_file_has_each_interface_before_its_frames_and_ends_with_what_they_had() {
        let mut bytes = Vec::new();
        let mut file = Pcapng::begin(&mut bytes, 96, "tcp").unwrap();
        let packet = |vif: &str, point: v1::CapturePoint, reason: &str| v1::CapturedPacket {
            time_ns: 1 << 40 | 7,
            point: point.into(),
            vif: vif.into(),
            length: 60,
            data: vec![0xab; 5],
            reason: reason.into(),
            object: "vrf red".into(),
            flow: "tcp 10.1.1.10:1 > 10.1.1.20:80".into(),
            ..v1::CapturedPacket::default()
        };
        file.put(&packet("web1", v1::CapturePoint::Drop, "no_route")).unwrap();
        file.put(&packet("web1", v1::CapturePoint::Tx, "")).unwrap();
        file.put(&packet("", v1::CapturePoint::Rx, "")).unwrap();
        file.end(3).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut at, mut blocks) = (0, Vec::new());
        while at < bytes.len() {
            let length = word(at + 4) as usize;
            assert_eq!(word(at + length - 4), length as u32);
            blocks.push((word(at), at));
            at += length;
        }
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6, 1, 6, 5, 5]);
        let of = |at: usize| blocks[at].1;
        // interface, high and low word of the time, bytes here and in the frame
        let head = |at: usize| [8, 12, 16, 20, 24].map(|offset| word(of(at) + offset));
        assert_eq!((head(2), head(5)), ([0, 256, 7, 5, 60], [1, 256, 7, 5, 60]));
        let comment = "dropped: no_route by vrf red, tcp 10.1.1.10:1 > 10.1.1.20:80";
        let option = of(2) + 28 + 8;
        assert_eq!(word(option), (comment.len() as u32) << 16 | 1);
        assert_eq!(&bytes[option + 4..][..comment.len()], comment.as_bytes());
        let statistics = of(6);
        let words: Vec<u32> = (2..11).map(|at| word(statistics + 4 * at)).collect();
        assert_eq!(words, [0, 256, 7, 8 << 16 | 4, 5, 0, 8 << 16 | 5, 3, 0]);
        assert_eq!((word(of(1) + 8), word(of(1) + 12)), (1, 96), "Ethernet, and the snaplen");
    }
}
