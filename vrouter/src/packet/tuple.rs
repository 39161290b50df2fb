//! What identifies a flow besides its context.

use std::net::IpAddr;

/// IP protocol numbers that have meaning here.
pub mod protocol {
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const GRE: u8 = 47;
    pub const ICMPV6: u8 = 58;
    pub const SCTP: u8 = 132;
    pub const UDPLITE: u8 = 136;
}

/// The 5-tuple of a packet, or what stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowTuple {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// A later fragment, whose head is not known: it has no ports.
    pub fragment: bool,
    /// Source port; ICMP: the identifier of messages that have one, else 0.
    pub source_port: u16,
    /// Destination port; ICMP: type << 8 | code.
    pub destination_port: u16,
}

impl FlowTuple {
    /// The tuple of the answers: ends swapped; for ICMP questions the answer's type. The later fragments of an answer have none, like
    /// those of its question.
    pub fn reversed(self) -> FlowTuple {
        let (source_port, destination_port) = if self.icmp().is_some() {
            (self.source_port, answer_type(self.protocol, self.destination_port))
        } else {
            (self.destination_port, self.source_port)
        };
        FlowTuple { source: self.destination, destination: self.source, source_port, destination_port, ..self }
    }

    /// Ports, where the packet has them.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let has = matches!(self.protocol, protocol::TCP | protocol::UDP | protocol::SCTP | protocol::UDPLITE);
        (has && !self.fragment).then_some((self.source_port, self.destination_port))
    }

    /// ICMP type and code, where the packet has them.
    pub fn icmp(&self) -> Option<(u8, u8)> {
        (self.is_icmp() && !self.fragment).then_some(((self.destination_port >> 8) as u8, self.destination_port as u8))
    }

    fn is_icmp(&self) -> bool {
        matches!((self.protocol, self.source), (protocol::ICMP, IpAddr::V4(_)) | (protocol::ICMPV6, IpAddr::V6(_)))
    }
}

/// The type and code that answers this one: echo (RFC 792, RFC 4443), timestamp; its own answer otherwise.
fn answer_type(protocol: u8, type_code: u16) -> u16 {
    let answer = match (protocol, type_code >> 8) {
        (protocol::ICMP, 8) => 0,
        (protocol::ICMP, 0) => 8,
        (protocol::ICMP, 13) => 14,
        (protocol::ICMP, 14) => 13,
        (protocol::ICMPV6, 128) => 129,
        (protocol::ICMPV6, 129) => 128,
        (_, other) => other,
    };
    answer << 8 | type_code & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_answer_of_the_answer_is_the_question(protocol: u8, a: u16, b: u16, v6: bool, fragment: bool) {
            let (source, destination): (IpAddr, IpAddr) = if v6 {
                ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap())
            } else {
                ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap())
            };
            let tuple = FlowTuple { source, destination, protocol, fragment, source_port: a, destination_port: b };
            prop_assert_eq!(tuple.reversed().reversed(), tuple);
            prop_assert_eq!(tuple.reversed().source, destination);
        }
    }
}
