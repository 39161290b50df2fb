//! Numbers, addresses and names as texts have them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::config::Prefix;
use super::headers::Mac;

pub fn protocol(text: &str) -> Result<u8, String> {
    let names = BTreeMap::from([
        ("icmp", 1),
        ("tcp", 6),
        ("udp", 17),
        ("gre", 47),
        ("esp", 50),
        ("icmpv6", 58),
        ("sctp", 132),
        ("udplite", 136),
    ]);
    names.get(text).copied().or(text.parse().ok()).ok_or(format!("protocol {text}"))
}

pub fn optional<T>(text: &Option<String>, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    text.as_deref().filter(|text| !text.is_empty()).map(read).transpose()
}

pub fn prefix(text: &str) -> Result<Prefix, String> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = self::address(address)?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Ok(whole), |length| length.parse::<u8>().map_err(|_| format!("prefix {text}")))?;
    Ok(Prefix { address, length })
}

pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text} is no address"))
}

pub fn v4(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("{text} is no IPv4 address"))
}

pub fn v6(text: &str) -> Result<Ipv6Addr, String> {
    text.parse().map_err(|_| format!("{text} is no IPv6 address"))
}

pub fn mac(text: &str) -> Result<Mac, String> {
    let bytes: Vec<u8> = text.split([':', '-']).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes.try_into().map_err(|_| format!("{text} is no MAC address"))
}
