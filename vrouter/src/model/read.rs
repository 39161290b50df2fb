//! Fields of the contract's messages into types, checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::records::Prefix;
use super::refusal::{At, Reason, Refusal};
use crate::api::v1;
use crate::ids::{Label, Mac, Vni};
use crate::packet::ip::is_host;

/// Entries that a repeated field of one object may have, but rules of an ACL and prefixes of a group, which have limits.
pub(crate) const MOST_ENTRIES: usize = 256;

/// An object's name.
pub(crate) fn name(text: &str) -> Result<&str, Reason> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let good = (1..=63).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain);
    if good { Ok(text) } else { Err(Reason::Name) }
}

/// A text for people; may be empty.
pub(crate) fn text(text: &str) -> Result<&str, Reason> {
    if text.len() <= 63 && !text.chars().any(char::is_control) { Ok(text) } else { Err(Reason::Text) }
}

/// What DPDK attaches.
pub(crate) fn devargs(text: &str) -> Result<&str, Reason> {
    let good = (1..=511).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(char::is_control);
    if good { Ok(text) } else { Err(Reason::Devargs) }
}

/// A name that refers to something; empty: to nothing.
pub(crate) fn reference(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// An IPv4 or IPv6 address.
pub(crate) fn address(bytes: &[u8]) -> Result<IpAddr, Reason> {
    match bytes.len() {
        0 => Err(Reason::Missing),
        4 => Ok(IpAddr::from(<[u8; 4]>::try_from(bytes).expect("length checked"))),
        16 => Ok(IpAddr::from(<[u8; 16]>::try_from(bytes).expect("length checked"))),
        got => Err(Reason::Bytes { got, want: "4 or 16" }),
    }
}

/// An IPv4 address of one host.
pub(crate) fn host_v4(bytes: &[u8]) -> Result<Ipv4Addr, Reason> {
    match bytes.len() {
        0 => Err(Reason::Missing),
        4 => match host(bytes)? {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(_) => Err(Reason::Family),
        },
        got => Err(Reason::Bytes { got, want: "4" }),
    }
}

/// An IPv6 address of one host.
pub(crate) fn host_v6(bytes: &[u8]) -> Result<Ipv6Addr, Reason> {
    match bytes.len() {
        0 => Err(Reason::Missing),
        16 => match host(bytes)? {
            IpAddr::V6(address) => Ok(address),
            IpAddr::V4(_) => Err(Reason::Family),
        },
        got => Err(Reason::Bytes { got, want: "16" }),
    }
}

/// An address that one host can have.
pub(crate) fn host(bytes: &[u8]) -> Result<IpAddr, Reason> {
    let address = address(bytes)?;
    if is_host(address) { Ok(address) } else { Err(Reason::NotUnicast(address)) }
}

/// What is read unless the field is empty.
pub(crate) fn unless_empty<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Result<T, Reason>,
) -> Result<Option<T>, Reason> {
    if bytes.is_empty() { Ok(None) } else { read(bytes).map(Some) }
}

/// A MAC address of one station.
pub(crate) fn mac(bytes: &[u8]) -> Result<Mac, Reason> {
    if bytes.is_empty() {
        return Err(Reason::Missing);
    }
    let mac = Mac(bytes.try_into().map_err(|_| Reason::Bytes { got: bytes.len(), want: "6" })?);
    if mac.is_group() || mac == Mac::default() { Err(Reason::MacNotUnicast) } else { Ok(mac) }
}

/// A prefix without host bits.
pub(crate) fn prefix(prefix: &v1::Prefix) -> Result<Prefix, Refusal> {
    prefix_of(&prefix.address, prefix.length)
}

/// The same of its fields.
pub(crate) fn prefix_of(address: &[u8], length: u32) -> Result<Prefix, Refusal> {
    let address = self::address(address).at("address")?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length = number(length, 0, width).at("length")? as u8;
    let clean = Prefix::holding(address, length);
    if clean.address == address { Ok(clean) } else { Err(Reason::HostBits(clean).at("address")) }
}

/// A prefix field that must be there.
pub(crate) fn needed_prefix(given: Option<&v1::Prefix>) -> Result<Prefix, Refusal> {
    prefix(given.ok_or(Reason::Missing).at("")?)
}

/// Within a link-local range, which no route may cover.
pub(crate) fn is_link_local(prefix: Prefix) -> bool {
    matches!(prefix.address, IpAddr::V6(address) if address.is_unicast_link_local() && prefix.length >= 10)
}

/// A number within bounds, both inclusive.
pub(crate) fn number(got: u32, low: u32, high: u32) -> Result<u32, Reason> {
    if (low..=high).contains(&got) {
        return Ok(got);
    }
    Err(Reason::Range { got: got.into(), low: low.into(), high: high.into() })
}

/// 24 bits.
pub(crate) fn vni(got: u32) -> Result<Vni, Reason> {
    number(got, 0, (1 << 24) - 1).map(Vni)
}

/// 20 bits; 0 to 15 are reserved (RFC 3032, section 2.1).
pub(crate) fn label(got: u32) -> Result<Label, Reason> {
    number(got, 16, (1 << 20) - 1).map(Label)
}

/// The entries of a repeated field, each read; a refusal names the index.
pub(crate) fn each<'a, T, U>(
    field: &str,
    entries: &'a [T],
    most: usize,
    mut read: impl FnMut(&'a T) -> Result<U, Refusal>,
) -> Result<Vec<U>, Refusal> {
    if entries.len() > most {
        return Err(Reason::TooMany { got: entries.len(), most }.at(field));
    }
    let one = |(at, entry)| read(entry).map_err(|refusal| refusal.under(&format!("{field}[{at}]")));
    entries.iter().enumerate().map(one).collect()
}

/// Refuses an entry that is there twice.
pub(crate) fn no_twins<T: Ord>(field: &str, entries: &[T]) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    match entries.iter().position(|entry| !seen.insert(entry)) {
        Some(at) => Err(Reason::Twice.at(format!("{field}[{at}]"))),
        None => Ok(()),
    }
}
