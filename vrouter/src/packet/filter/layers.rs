//! Where the layers of a frame begin that a filter looks at: the frame itself, and what is behind tags and in tunnels.

use super::super::tunnel::{GENEVE_ETHERNET, GENEVE_PORT, GRE_MPLS, MPLS_PORT, VXLAN_PORT};
use super::super::tuple::protocol::{GRE, SCTP, TCP, UDP};
use super::super::{be32, ether};
use super::{MOST_STEPS, Step, Versions, word};

pub const IPV4: u16 = ether::IPV4;
pub const IPV6: u16 = ether::IPV6;
pub const ARP: u16 = ether::ARP;
pub const RARP: u16 = 0x8035;
/// Tags: 802.1Q, 802.1ad, and what came before that.
const TAGS: [u16; 3] = [ether::VLAN, ether::SERVICE_VLAN, 0x9100];
/// IPv6's fragment header.
const FRAGMENT: u8 = 44;
/// Tags before a tunnel's outer header that are passed.
const UNDERLAY_TAGS: usize = 2;
/// Labels of a stack that are gone through.
const LABELS: usize = 4;

/// One Ethernet frame, or one packet in a tunnel that carries no Ethernet header.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Where its Ethernet header begins, if it has one.
    link: Option<usize>,
    pub ethertype: u16,
    /// Where what is behind its header begins.
    pub l3: usize,
}

/// All layers of a frame, as far as they are there.
pub struct Layers<'a> {
    pub frame: &'a [u8],
    layers: [Option<Layer>; MOST_STEPS + 1],
    /// The VLAN, VNI or label of the step behind each.
    steps: [Option<u32>; MOST_STEPS],
}

impl<'a> Layers<'a> {
    pub fn of(frame: &'a [u8], steps: &[Step]) -> Layers<'a> {
        let mut all = Layers { frame, layers: [None; MOST_STEPS + 1], steps: [None; MOST_STEPS] };
        all.layers[0] = Layer::ethernet(frame, 0);
        for (at, step) in steps.iter().enumerate().take(MOST_STEPS) {
            let Some(layer) = all.layers[at] else { break };
            let Some((number, next)) = layer.behind(frame, *step) else { break };
            (all.steps[at], all.layers[at + 1]) = (Some(number), next);
        }
        all
    }

    pub fn layer(&self, at: usize) -> Option<&Layer> {
        self.layers.get(at)?.as_ref()
    }

    /// The number of the step behind this layer.
    pub fn step(&self, at: usize) -> Option<u32> {
        *self.steps.get(at)?
    }
}

impl Layer {
    fn ethernet(frame: &[u8], at: usize) -> Option<Layer> {
        let ethertype = word(frame, at + 12)?;
        Some(Layer { link: Some(at), ethertype, l3: at + ether::HEADER })
    }

    /// A bare packet, or a frame, as its first bits say.
    fn in_label(frame: &[u8], at: usize) -> Option<Layer> {
        let ethertype = match frame.get(at)? >> 4 {
            4 => IPV4,
            6 => IPV6,
            _ => return Layer::ethernet(frame, at),
        };
        Some(Layer { link: None, ethertype, l3: at })
    }

    /// Destination and source MAC.
    pub fn link<'a>(&self, frame: &'a [u8]) -> Option<[&'a [u8; 6]; 2]> {
        let at = self.link?;
        let mac = |at: usize| frame.get(at..)?.first_chunk::<6>();
        Some([mac(at)?, mac(at + 6)?])
    }

    /// Source and destination of an IPv6 packet.
    pub fn ends6<'a>(&self, frame: &'a [u8]) -> Option<(&'a [u8; 16], &'a [u8; 16])> {
        let end = |at: usize| frame.get(self.l3 + at..)?.first_chunk::<16>();
        if self.ethertype == IPV6 { Some((end(8)?, end(24)?)) } else { None }
    }

    /// As libpcap: of IPv6 the next header, or the one behind a fragment header.
    pub fn has_protocol(&self, frame: &[u8], of: Versions, number: u8) -> bool {
        let at = |at: usize| frame.get(self.l3 + at).copied();
        match self.ethertype {
            IPV4 if of != Versions::V6 => at(9) == Some(number),
            IPV6 if of != Versions::V4 => match at(6) {
                Some(next) => next == number || next == FRAGMENT && at(40) == Some(number),
                None => false,
            },
            _ => false,
        }
    }

    /// Source and destination port of a packet of this protocol, or of one that has ports; none of later fragments.
    pub fn ports(&self, frame: &[u8], protocol: Option<u8>) -> Option<(u16, u16)> {
        let (found, at) = self.transport(frame)?;
        let has = protocol.map_or(matches!(found, TCP | UDP | SCTP), |wanted| wanted == found);
        if has { Some((word(frame, at)?, word(frame, at + 2)?)) } else { None }
    }

    /// The protocol, and where its header begins. None of later fragments, nor behind IPv6's extension headers.
    fn transport(&self, frame: &[u8]) -> Option<(u8, usize)> {
        match self.ethertype {
            IPV4 => {
                let first = word(frame, self.l3 + 6)? & 0x1fff == 0;
                let length = usize::from(frame.get(self.l3)? & 0xf) * 4;
                let protocol = *frame.get(self.l3 + 9)?;
                first.then_some((protocol, self.l3 + length))
            }
            IPV6 => Some((*frame.get(self.l3 + 6)?, self.l3 + 40)),
            _ => None,
        }
    }

    /// The number of such a step, if it is there, and the layer behind it, as far as that is.
    fn behind(&self, frame: &[u8], step: Step) -> Option<(u32, Option<Layer>)> {
        if step == Step::Vlan {
            let (tag, layer) = self.tagged(frame)?;
            return Some((u32::from(tag & 0xfff), layer));
        }
        // the underlay may have tags, which a tunnel does not mind
        let mut outer = *self;
        for _ in 0..UNDERLAY_TAGS {
            let Some((_, Some(next))) = outer.tagged(frame) else { break };
            outer = next;
        }
        match step {
            Step::Vlan => None,
            Step::Vxlan => {
                let at = outer.datagram(frame, VXLAN_PORT)?;
                let header = frame.get(at..at + 8).filter(|header| header[0] & 0x08 != 0)?;
                Some((be32(header, 4) >> 8, Layer::ethernet(frame, at + 8)))
            }
            Step::Geneve => {
                let at = outer.datagram(frame, GENEVE_PORT)?;
                let header = frame.get(at..at + 8).filter(|header| header[0] & 0xc0 == 0)?;
                let inner = at + 8 + usize::from(header[0] & 0x3f) * 4;
                let layer = match word(header, 2)? {
                    GENEVE_ETHERNET => Layer::ethernet(frame, inner),
                    ethertype => Some(Layer { link: None, ethertype, l3: inner }),
                };
                Some((be32(header, 4) >> 8, layer))
            }
            Step::Mpls => outer.labelled(frame),
        }
    }

    /// The tag that is here, and what is behind it.
    fn tagged(&self, frame: &[u8]) -> Option<(u16, Option<Layer>)> {
        if !TAGS.contains(&self.ethertype) {
            return None;
        }
        let tag = word(frame, self.l3)?;
        let layer = word(frame, self.l3 + 2).map(|ethertype| Layer { ethertype, l3: self.l3 + ether::TAG, ..*self });
        Some((tag, layer))
    }

    /// Where the payload of a UDP datagram to this port begins.
    fn datagram(&self, frame: &[u8], port: u16) -> Option<usize> {
        let (protocol, at) = self.transport(frame)?;
        (protocol == UDP && word(frame, at + 2)? == port).then_some(at + 8)
    }

    /// The first label of a stack in UDP or GRE, and what is behind the last one.
    fn labelled(&self, frame: &[u8]) -> Option<(u32, Option<Layer>)> {
        let mut at = match self.transport(frame)? {
            (UDP, at) if word(frame, at + 2)? == MPLS_PORT => at + 8,
            (GRE, at) => {
                let (flags, kind) = (word(frame, at)?, word(frame, at + 2)?);
                // checksum, key and sequence number take four bytes each
                let optional = (flags & 0xb000).count_ones() as usize * 4;
                (kind == GRE_MPLS).then_some(at + 4 + optional)?
            }
            _ => return None,
        };
        let entry = |at: usize| frame.get(at..at + 4).map(|bytes| be32(bytes, 0));
        let first = entry(at)? >> 12;
        for _ in 0..LABELS {
            let Some(label) = entry(at) else { break };
            at += 4;
            if label & 0x100 != 0 {
                return Some((first, Layer::in_label(frame, at)));
            }
        }
        Some((first, None))
    }
}
