//! What senders leave to their NIC: a transport checksum; that, and cutting a TCP segment that is larger than links take (RFC 9293; virtio 1.1,
//! section 5.1.6.2). A frame of these tests says so behind its end.

use std::net::IpAddr;

use super::config::Hop;
use super::forward::Arrived;
use super::headers::{self, Packet, be16};
use super::{Oracle, emit};

/// Behind a frame, before the payload of each segment in two bytes; 0: the checksum alone is left.
pub const MARK: &[u8; 8] = b"LEFT-OUT";

impl Oracle {
    /// The frame with its checksum, if that alone was left. What else is left holds until the frame has gone its way.
    pub(super) fn with_sum(&mut self, frame: Vec<u8>, left: Option<usize>) -> Vec<u8> {
        self.large = left.filter(|each| *each > 0);
        if left != Some(0) {
            return frame;
        }
        self.feature("checksum_completed");
        let (link, packet) = frame.split_at(frame.len().min(14));
        match headers::bare_ip(packet) {
            Ok(read) => [link, &completed(&read), &packet[read.bytes.len()..]].concat(),
            Err(_) => frame,
        }
    }

    /// Bytes of the largest packet that this one leaves as.
    pub(super) fn largest(&self, arrived: &Arrived) -> Option<usize> {
        let each = self.large.filter(|_| !arrived.ours)?;
        let head = head_of(&arrived.packet)?;
        Some(arrived.packet.bytes.len().min(head + each))
    }

    /// A large segment, its TTL taken down already, as segments that go on by themselves.
    pub(super) fn cut(&mut self, whole: &Arrived, hop: Hop, mtu: usize) {
        let (Some(each), Some(head)) = (self.large, head_of(&whole.packet)) else { panic!("no large segment") };
        let (bytes, tcp) = (&whole.packet.bytes, whole.packet.payload);
        let count = (bytes.len() - head).div_ceil(each).max(1);
        self.feature("segments_cut");
        for number in 0..count {
            let from = head + number * each;
            let to = bytes.len().min(from + each);
            let mut one = bytes[..head].to_vec();
            one.extend(&bytes[from..to]);
            let place = u32::from_be_bytes([one[tcp + 4], one[tcp + 5], one[tcp + 6], one[tcp + 7]]);
            one[tcp + 4..tcp + 8].copy_from_slice(&place.wrapping_add((number * each) as u32).to_be_bytes());
            // the last one says FIN and PSH, the first one CWR
            one[tcp + 13] &= if number + 1 == count { 0xff } else { 0xf6 } & if number == 0 { 0xff } else { 0x7f };
            let length = one.len() as u16;
            if one[0] >> 4 == 6 {
                one[4..6].copy_from_slice(&(length - 40).to_be_bytes());
            } else {
                let id = be16(&one, 4).wrapping_add(number as u16);
                one[2..4].copy_from_slice(&length.to_be_bytes());
                one[4..6].copy_from_slice(&id.to_be_bytes());
                emit::seal_ipv4(&mut one);
            }
            let packet = headers::ours(&completed(&headers::ours(&one)));
            let mut next = Arrived { packet, ours: true, ..whole.clone() };
            if let Some(framing) = &mut next.bridged {
                framing.padding.clear();
                self.leave_bridged(next, hop);
            } else if usize::from(length) > mtu {
                self.feature("segments_split");
                self.split(&next, hop, mtu);
            } else {
                self.leave_by(next, hop);
            }
        }
    }
}

/// The frame without its mark, and what that says.
pub(super) fn unmarked(frame: &[u8]) -> (&[u8], Option<usize>) {
    let marked = frame.split_last_chunk::<2>().and_then(|(rest, each)| Some((rest.strip_suffix(MARK)?, each)));
    marked.map_or((frame, None), |(rest, each)| (rest, Some(u16::from_be_bytes(*each).into())))
}

/// Bytes before the payload of TCP.
fn head_of(packet: &Packet) -> Option<usize> {
    let tcp = packet.tuple.protocol == 6 && !packet.fragment;
    tcp.then(|| packet.payload + usize::from(packet.bytes[packet.payload + 12] >> 4) * 4)
}

/// The packet with the checksum of TCP or UDP.
fn completed(packet: &Packet) -> Vec<u8> {
    let mut bytes = packet.bytes.clone();
    let at = match packet.tuple.protocol {
        6 => packet.payload + 16,
        17 => packet.payload + 6,
        _ => return bytes,
    };
    if packet.fragment {
        return bytes;
    }
    bytes[at..at + 2].fill(0);
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let segment = &bytes[packet.payload..];
    let mut summed = [octets(packet.source()), octets(packet.destination())].concat();
    summed.extend((segment.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, packet.tuple.protocol]);
    summed.extend(segment);
    let sum = match !headers::ones_sum(&summed) {
        0 if packet.tuple.protocol == 17 => 0xffff,
        sum => sum,
    };
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}
