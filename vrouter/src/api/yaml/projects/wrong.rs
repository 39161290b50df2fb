//! What is wrong with sections.

use std::net::IpAddr;

use crate::api::position::{Fault, Position};
use crate::api::text::Prefix;

/// A fault, and which of the files has it.
pub type Refused = (usize, Fault);

/// Why a section is refused, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("{0:?} is no name: 1 to 63 of A-Z, a-z, 0-9, _ and -, without a dot, and not beginning with -")]
    Name(String),
    #[error("its object would be called {0}, which is longer than 63: shorten a name")]
    LongName(String),
    #[error("is already there, at line {} column {}", .0.line, .0.column)]
    Twice(Position),
    #[error("is already there, in another file")]
    TwiceInFiles,
    #[error("there is no {kind} {name}{}", suggestion(.near))]
    Unknown { kind: &'static str, name: String, near: Option<String> },
    #[error("language version {0} is newer than this program, which reads version {1}")]
    Version(u32, u32),
    #[error("is empty: a network needs a pool")]
    NoPool,
    #[error("overlaps with pool {0} of network {1}: pools of a project are apart, as policies may join its networks")]
    PoolsOverlap(Prefix, String),
    #[error("{0} is not an address of {1} that a gateway can have")]
    Gateway(IpAddr, Prefix),
    #[error("{0} is not in the pool")]
    ExcludedOutside(Prefix),
    #[error("{0} is in no pool of network {1}")]
    AddressOutside(IpAddr, String),
    #[error("{0} is no interface's: it is the gateway's, excluded, or the first or last one of its pool")]
    AddressReserved(IpAddr),
    #[error("{0} is that of interface {1}")]
    AddressTaken(IpAddr, String),
    #[error(
        "its name gives it {address}, as it does interface {other}: give one of them addresses{}",
        .free.map(|free| format!(", {free} is free")).unwrap_or_default()
    )]
    AddressByName { address: IpAddr, other: String, free: Option<IpAddr> },
    #[error("its name gives it no address of pool {0}, of which nearly all is excluded: give it addresses")]
    NoAddress(Prefix),
    #[error("{0} is that of interface {1}: give one of them another")]
    MacTaken(crate::ids::Mac, String),
    #[error("interface {0} is already on host {1}")]
    PlacedTwice(String, String),
    #[error("no host has the VTEP of `settings`: say which one this is with `this_host: NAME`")]
    WhichHost,
    #[error(
        "is needed by tunnels to host {host}: give network {network} one, or an entry of `{plain}` with its VRF {vrf}"
    )]
    NoNumber { host: String, network: String, plain: &'static str, vrf: String },
    #[error("is needed by tunnels to host {host}: give the bridge of network {network} one")]
    NoFrameNumber { host: String, network: String },
    #[error("is needed, as the VTEP is an IPv6 address")]
    NoRouterMac,
    #[error("needs `settings` in one of the files, which have quotas of tenants")]
    QuotaWithoutSettings,
    #[error("a prefix stands alone")]
    PrefixAlone,
    #[error("needs protocol tcp, udp, sctp or udplite")]
    NeedsPorts,
    #[error("needs protocol icmp or icmpv6")]
    NeedsIcmp,
    #[error("both prefixes, and the protocol, are of one address family")]
    Family,
    #[error("needs action permit")]
    ChainDenies,
    #[error("is needed with a chain: `{{network: NAME}}`")]
    ChainSide,
    #[error("has no instance")]
    NoInstance,
    #[error("interface {interface} is not in network {network}, which policy {policy} names")]
    ChainNetwork { interface: String, network: String, policy: String },
    #[error("{0} has a bridge, whose frames no chain takes: its sides are two networks then")]
    ChainBridged(String),
    #[error("interfaces {0} and {1} are on different hosts")]
    ChainSplit(String, String),
    #[error(
        "has no instance on this host, where network {network} has interface {interface} whose flows policy {policy} sends by it"
    )]
    ChainElsewhere { network: String, interface: String, policy: String },
    #[error(
        "goes from network {0} to {1}, and policy {2} the other way by a chain: with several hosts answers would miss one of them"
    )]
    ChainsCross(String, String, String),
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!(", did you mean {near}?")).unwrap_or_default()
}

/// The name among these that is nearest to one that is not there: at most two letters apart.
pub fn nearest<'a>(name: &str, all: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let apart = all.into_iter().map(|one| (distance(name, one), one));
    let (apart, one) = apart.min_by_key(|(apart, _)| *apart)?;
    (apart <= 2 && apart < name.len()).then(|| one.to_owned())
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = at;
        row[0] = at + 1;
        for (column, second) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *second);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        assert_eq!(nearest("dbs", ["web", "db", "app"]), Some("db".into()));
        assert_eq!(nearest("frontent", ["backend", "frontend"]), Some("frontend".into()));
        assert_eq!(nearest("x", ["web", "db"]), None);
        assert_eq!(nearest("web", []), None);
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("same", "same")), (3, 3, 0));
    }
}
