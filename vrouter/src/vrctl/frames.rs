//! Frames to explain: in hex, or of a capture.

use std::path::Path;

use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use vrouter::api::position::FileError;
use vrouter::api::text::address_bytes;
use vrouter::api::v1;
use vrouter::packet::checksum::IpChecksum;
use vrouter::packet::{ether, ip};

/// The magic number of pcapng's first block.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// A frame of a capture.
pub struct Captured {
    pub bytes: Vec<u8>,
    /// Bytes that it had.
    pub length: usize,
}

/// Bytes in hex; spaces, colons and line ends are ignored.
pub fn of_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<_> = text.chars().filter(|one| !one.is_whitespace() && *one != ':').collect();
    if !digits.len().is_multiple_of(2) {
        return Err(format!("--hex: {} digits are no whole bytes", digits.len()));
    }
    let byte = |pair: &[char]| {
        let digit = |at: usize| pair[at].to_digit(16).ok_or_else(|| format!("--hex: {:?} is no digit", pair[at]));
        Ok((digit(0)? << 4 | digit(1)?) as u8)
    };
    digits.chunks(2).map(byte).collect()
}

/// The frames of a file, pcap or pcapng, of Ethernet alone.
pub fn of_capture(path: &Path) -> Result<Vec<Captured>, FileError> {
    let file = path.display().to_string();
    let wrong = |reason: String| FileError { file: file.clone(), position: None, field: String::new(), reason };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let frames = if bytes.starts_with(&PCAPNG) { of_pcapng(&bytes) } else { of_pcap(&bytes) };
    frames.map_err(wrong)
}

fn of_pcap(bytes: &[u8]) -> Result<Vec<Captured>, String> {
    let mut reader = PcapReader::new(bytes).map_err(|error| format!("no capture: {error}"))?;
    let link = reader.header().datalink;
    if link != DataLink::ETHERNET {
        return Err(format!("a capture of {link:?}, not of Ethernet"));
    }
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| format!("frame {}: {error}", frames.len() + 1))?;
        frames.push(Captured { bytes: packet.data.into_owned(), length: packet.orig_len as usize });
    }
    Ok(frames)
}

fn of_pcapng(bytes: &[u8]) -> Result<Vec<Captured>, String> {
    let mut reader = PcapNgReader::new(bytes).map_err(|error| format!("no capture: {error}"))?;
    let mut frames = Vec::new();
    let mut links = Vec::new();
    while let Some(block) = reader.next_block() {
        let at = frames.len() + 1;
        match block.map_err(|error| format!("frame {at}: {error}"))? {
            // a section's interfaces are its own
            Block::SectionHeader(_) => links.clear(),
            Block::InterfaceDescription(interface) => links.push(interface.linktype),
            Block::EnhancedPacket(packet) => {
                let link = links.get(packet.interface_id as usize);
                if link != Some(&DataLink::ETHERNET) {
                    return Err(format!("frame {at}: of {link:?}, not of Ethernet"));
                }
                frames.push(Captured { bytes: packet.data.into_owned(), length: packet.original_len as usize });
            }
            _ => {}
        }
    }
    Ok(frames)
}

/// What is asked of a frame that enters at some place; or why nothing can be asked.
pub fn request_of(frame: &[u8], captured_of: usize) -> Result<v1::ExplainRequest, String> {
    if captured_of > frame.len() {
        return Err(format!("captured are only {} of {captured_of} bytes", frame.len()));
    }
    let dropped = |reason: vrouter::drops::DropReason| format!("dropped ({}): {}", reason.name(), reason.meaning());
    let header = ether::read(frame).map_err(dropped)?;
    let (mut kind, mut at) = (header.ethertype, ether::HEADER);
    // tags are taken off where a frame enters
    for _ in 0..2 {
        if ![ether::VLAN, ether::SERVICE_VLAN].contains(&kind) {
            break;
        }
        let tag = frame.get(at..at + ether::TAG).ok_or("dropped (frame_too_short): it ends within a tag")?;
        (kind, at) = (u16::from_be_bytes([tag[2], tag[3]]), at + ether::TAG);
    }
    let l3 = &frame[at..];
    let packet = match kind {
        ether::IPV4 => ip::read4(l3, IpChecksum::Unknown),
        ether::IPV6 => ip::read6(l3),
        ether::ARP => return Err("ARP: the slow path answers it, or its bridge carries it".into()),
        other => return Err(format!("EtherType {other:#06x}: no IP, which a bridge alone carries")),
    };
    let packet = packet.map_err(dropped)?;
    let Some(tuple) = packet.tuple() else {
        return Err("an ICMP error, which goes as the flow that it quotes, or neighbour discovery".into());
    };
    if tuple.fragment {
        return Err("a later fragment: it goes as the first one of its packet".into());
    }
    let icmp = tuple.icmp();
    Ok(v1::ExplainRequest {
        source: address_bytes(tuple.source),
        destination: address_bytes(tuple.destination),
        protocol: tuple.protocol.into(),
        source_port: tuple.source_port.into(),
        destination_port: if icmp.is_some() { 0 } else { tuple.destination_port.into() },
        icmp_type: icmp.map(|(kind, _)| kind.into()),
        icmp_code: icmp.map(|(_, code)| code.into()),
        length: packet.length.into(),
        // IPv4's bit of "Don't Fragment" (RFC 791, section 3.1)
        may_be_cut: kind == ether::IPV4 && l3[6] & 0x40 == 0,
        destination_mac: header.destination.0.to_vec(),
        source_mac: header.source.0.to_vec(),
        ..v1::ExplainRequest::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_with_whatever_is_between_its_digits() {
        assert_eq!(of_hex("00:5e 00\n01 Ab").unwrap(), [0, 0x5e, 0, 1, 0xab]);
        assert_eq!(of_hex("0").unwrap_err(), "--hex: 1 digits are no whole bytes");
        assert_eq!(of_hex("0g").unwrap_err(), "--hex: 'g' is no digit");
    }

    #[test]
    fn what_is_no_question_says_what_it_is() {
        let frame = |kind: [u8; 2], rest: &[u8]| [&[2; 12][..], &kind, rest].concat();
        let told = |frame: &[u8]| request_of(frame, frame.len()).unwrap_err();
        assert!(told(&[0; 13]).starts_with("dropped (frame_too_short)"));
        assert!(told(&frame([8, 6], &[0; 28])).starts_with("ARP"));
        assert!(told(&frame([0x88, 0xcc], &[])).starts_with("EtherType 0x88cc"));
        assert!(told(&frame([8, 0], &[0x45; 20])).starts_with("dropped ("));
        assert!(told(&frame([0x81, 0], &[0, 7])).contains("within a tag"));
        assert_eq!(request_of(&[0; 60], 1500).unwrap_err(), "captured are only 60 of 1500 bytes");
    }
}
