//! Addresses, prefixes, MAC addresses, protocols and port ranges: as bytes of the contract, and as text for people.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::v1;
pub use crate::ids::Mac;

/// Why text or bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("{0:?} is not an IP address")]
    Address(String),
    #[error("{0:?} is not an IPv4 address")]
    Ipv4(String),
    #[error("{0:?} is not an IPv6 address")]
    Ipv6(String),
    #[error("{0:?} is not a prefix (ADDRESS/LENGTH)")]
    Prefix(String),
    #[error("{0:?}: the prefix length is beyond {1}")]
    PrefixLength(String, u8),
    #[error("{0:?} has bits beyond its length, did you mean {1}?")]
    HostBits(String, Prefix),
    #[error("{0:?} is not a protocol (tcp, udp, icmp, icmpv6, sctp, udplite, gre, esp, or 0 to 255)")]
    Protocol(String),
    #[error("{0:?} is not a port or a range of ports (80, 8000-8099)")]
    Ports(String),
    #[error("{0:?}: the first port is greater than the last")]
    PortsTurned(String),
    #[error("{0} bytes are no IP address (4 or 16)")]
    AddressBytes(usize),
    #[error("{0} bytes are no MAC address (6)")]
    MacBytes(usize),
    #[error("{0} is not a {1}")]
    Number(u32, &'static str),
}

/// The contract's bytes of an address: 4 or 16, network order.
pub fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The address in the contract's bytes.
pub fn address(bytes: &[u8]) -> Result<IpAddr, TextError> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        Ok(Ipv4Addr::from(octets).into())
    } else if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        Ok(Ipv6Addr::from(octets).into())
    } else {
        Err(TextError::AddressBytes(bytes.len()))
    }
}

/// The IPv4 address in the contract's bytes.
pub fn ipv4(bytes: &[u8]) -> Result<Ipv4Addr, TextError> {
    match address(bytes)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(TextError::Ipv4(address.to_string())),
    }
}

/// The IPv6 address in the contract's bytes.
pub fn ipv6(bytes: &[u8]) -> Result<Ipv6Addr, TextError> {
    match address(bytes)? {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(address) => Err(TextError::Ipv6(address.to_string())),
    }
}

/// The MAC address in the contract's bytes.
pub fn mac(bytes: &[u8]) -> Result<Mac, TextError> {
    bytes.try_into().map(Mac).map_err(|_| TextError::MacBytes(bytes.len()))
}

/// An IP prefix whose bits beyond its length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// `address`/`length`; the length in bits is at most 32 or 128, and the bits beyond it are zero.
    pub fn new(address: IpAddr, length: u8) -> Result<Prefix, TextError> {
        let given = || format!("{address}/{length}");
        let (bits, most) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        if length > most {
            return Err(TextError::PrefixLength(given(), most));
        }
        let kept = bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let network = match address {
            IpAddr::V4(_) => Ipv4Addr::from_bits((kept >> 96) as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(kept).into(),
        };
        let prefix = Prefix { address: network, length };
        if kept == bits { Ok(prefix) } else { Err(TextError::HostBits(given(), prefix)) }
    }

    /// The prefix of this length that has the address; a length beyond the address's bits is that of the address alone.
    pub fn around(address: IpAddr, length: u8) -> Prefix {
        match Prefix::new(address, length) {
            Ok(prefix) | Err(TextError::HostBits(_, prefix)) => prefix,
            Err(_) => Prefix::host(address),
        }
    }

    /// The prefix of one address.
    pub fn host(address: IpAddr) -> Prefix {
        Prefix { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The first address.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// In bits.
    pub fn length(self) -> u8 {
        self.length
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = TextError;

    /// `10.1.1.0/24`; an address alone is the prefix of that address.
    fn from_str(text: &str) -> Result<Prefix, TextError> {
        let bad = || TextError::Prefix(text.to_owned());
        let Some((address, length)) = text.split_once('/') else {
            return text.parse().map(Prefix::host).map_err(|_| bad());
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        if length.is_empty() || length.len() > 3 || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        Prefix::new(address, length.parse::<u16>().map_err(|_| bad())?.min(255) as u8)
    }
}

impl From<Prefix> for v1::Prefix {
    fn from(prefix: Prefix) -> v1::Prefix {
        v1::Prefix { address: address_bytes(prefix.address), length: prefix.length.into() }
    }
}

impl TryFrom<&v1::Prefix> for Prefix {
    type Error = TextError;

    fn try_from(prefix: &v1::Prefix) -> Result<Prefix, TextError> {
        Prefix::new(address(&prefix.address)?, prefix.length.min(255) as u8)
    }
}

/// An IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

const PROTOCOLS: [(u8, &str); 8] =
    [(1, "icmp"), (6, "tcp"), (17, "udp"), (47, "gre"), (50, "esp"), (58, "icmpv6"), (132, "sctp"), (136, "udplite")];

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PROTOCOLS.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Protocol {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Protocol, TextError> {
        PROTOCOLS
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(number, _)| *number)
            .or_else(|| decimal(text))
            .map(Protocol)
            .ok_or_else(|| TextError::Protocol(text.to_owned()))
    }
}

impl TryFrom<u32> for Protocol {
    type Error = TextError;

    fn try_from(number: u32) -> Result<Protocol, TextError> {
        u8::try_from(number).map(Protocol).map_err(|_| TextError::Number(number, "protocol"))
    }
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// From `first` to `last`, which is not less.
    pub fn new(first: u16, last: u16) -> Result<Ports, TextError> {
        if first <= last { Ok(Ports { first, last }) } else { Err(TextError::PortsTurned(format!("{first}-{last}"))) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl FromStr for Ports {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Ports, TextError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let bad = || TextError::Ports(text.to_owned());
        Ports::new(decimal(first).ok_or_else(bad)?, decimal(last).ok_or_else(bad)?)
    }
}

impl From<Ports> for v1::PortRange {
    fn from(ports: Ports) -> v1::PortRange {
        v1::PortRange { first: ports.first.into(), last: ports.last.into() }
    }
}

impl TryFrom<&v1::PortRange> for Ports {
    type Error = TextError;

    fn try_from(range: &v1::PortRange) -> Result<Ports, TextError> {
        let port = |number| u16::try_from(number).map_err(|_| TextError::Number(number, "port"));
        Ports::new(port(range.first)?, port(range.last)?)
    }
}

/// Digits alone: no sign, no space.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn prefixes_are_judged() {
        for (text, want) in [
            ("10.1.1.0/24", Ok("10.1.1.0/24")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("::/0", Ok("::/0")),
            ("10.1.1.1", Ok("10.1.1.1/32")),
            ("2001:db8::1", Ok("2001:db8::1/128")),
            ("10.1.1.1/24", Err(r#""10.1.1.1/24" has bits beyond its length, did you mean 10.1.1.0/24?"#)),
            ("10.1.1.0/33", Err(r#""10.1.1.0/33": the prefix length is beyond 32"#)),
            ("::/129", Err(r#""::/129": the prefix length is beyond 128"#)),
            ("::/999", Err(r#""::/255": the prefix length is beyond 128"#)),
            ("10.1.1.0/", Err(r#""10.1.1.0/" is not a prefix (ADDRESS/LENGTH)"#)),
            ("10.1.1.0/+8", Err(r#""10.1.1.0/+8" is not a prefix (ADDRESS/LENGTH)"#)),
            ("10.1.1/24", Err(r#""10.1.1/24" is not a prefix (ADDRESS/LENGTH)"#)),
        ] {
            let got = text.parse::<Prefix>().map(|prefix| prefix.to_string()).map_err(|error| error.to_string());
            assert_eq!(got.as_deref().map_err(String::as_str), want);
        }
    }

    #[test]
    fn ports_and_protocols_are_judged() {
        assert_eq!("80".parse(), Ports::new(80, 80));
        assert_eq!("8000-8099".parse(), Ports::new(8000, 8099));
        assert_eq!("9-8".parse::<Ports>(), Err(TextError::PortsTurned("9-8".into())));
        for bad in ["", "-", "1-", "65536", "+1", "a", "1-2-3"] {
            assert_eq!(bad.parse::<Ports>(), Err(TextError::Ports(bad.into())));
        }
        assert_eq!("tcp".parse(), Ok(Protocol(6)));
        assert_eq!("89".parse(), Ok(Protocol(89)));
        for bad in ["", "TCP", "256", "-1"] {
            assert_eq!(bad.parse::<Protocol>(), Err(TextError::Protocol(bad.into())));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits: u128, v6: bool, length in 0_u8..=128, ports: (u16, u16), protocol: u8) {
            let (address, length) = if v6 {
                (IpAddr::from(Ipv6Addr::from_bits(bits)), length)
            } else {
                (IpAddr::from(Ipv4Addr::from_bits(bits as u32)), length.min(32))
            };
            let prefix = match Prefix::new(address, length) {
                Ok(prefix) | Err(TextError::HostBits(_, prefix)) => prefix,
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
            prop_assert_eq!(Prefix::try_from(&v1::Prefix::from(prefix)), Ok(prefix));
            prop_assert_eq!(super::address(&address_bytes(address)), Ok(address));
            let ports = Ports::new(ports.0.min(ports.1), ports.0.max(ports.1)).unwrap();
            prop_assert_eq!(ports.to_string().parse(), Ok(ports));
            prop_assert_eq!(Ports::try_from(&v1::PortRange::from(ports)), Ok(ports));
            prop_assert_eq!(Protocol(protocol).to_string().parse(), Ok(Protocol(protocol)));
        }
    }
}
