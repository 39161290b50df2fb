//! BFD sessions: who is watched, and whether that is known to have failed, which is told from outside; and packets that are no peer's word.

use std::net::IpAddr;

use serde::Deserialize;

use super::Oracle;
use super::config::{Config, Vif, Which};
use super::forward::Key;
use super::headers::{self, Packet, Reason};
use super::language::address;

/// A session in the network language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenSession {
    name: String,
    vrf: String,
    remote: String,
    #[serde(default)]
    multihop: bool,
    min_ttl: Option<u8>,
    #[serde(default)]
    #[serde(rename = "min_tx")]
    _min_tx: Option<u32>,
    #[serde(default)]
    #[serde(rename = "multiplier")]
    _multiplier: Option<u32>,
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    vrf: u32,
    remote: IpAddr,
    multihop: bool,
    least_ttl: u8,
}

pub fn put(config: &mut Config, given: GivenSession) -> Result<(), String> {
    let vrf = config.vrf_named(&given.vrf)?.id;
    let least_ttl = if given.multihop { given.min_ttl.unwrap_or(254) } else { 255 };
    let session = Session { vrf, remote: address(&given.remote)?, multihop: given.multihop, least_ttl };
    config.bfd.insert(given.name, session);
    Ok(())
}

impl Oracle {
    /// A session fails, or is up again. What is not there, or has no end here, is nobody's.
    pub fn session(&mut self, name: &str, failed: bool) {
        let Some(session) = self.config.bfd.get(name).copied().filter(|session| self.end_of(session).is_some()) else {
            return;
        };
        let news = if failed { self.failed.insert(name.into()) } else { self.failed.remove(name) };
        if news {
            self.noted.insert(match (session.multihop, failed) {
                (false, true) => "bfd_neighbour_failed",
                (false, false) => "bfd_neighbour_back",
                (true, true) => "bfd_far_end_failed",
                (true, false) => "bfd_far_end_back",
            });
            self.changes += 1;
            self.want_neighbours();
        }
    }

    /// Sessions that are gone, or whose end is, have not failed.
    pub(super) fn lose_sessions(&mut self) {
        let failed = std::mem::take(&mut self.failed);
        let there = |name: &String| self.config.bfd.get(name).is_some_and(|session| self.end_of(session).is_some());
        self.failed = failed.into_iter().filter(there).collect();
    }

    pub(super) fn has_failed(&self, vrf: u32, remote: IpAddr, multihop: bool) -> bool {
        let is = |name: &String| {
            let session = self.config.bfd.get(name);
            session.is_some_and(|one| (one.vrf, one.remote, one.multihop) == (vrf, remote, multihop))
        };
        self.failed.iter().any(is)
    }

    /// Whether a tunnel's far end is known to be gone.
    pub(super) fn is_far_end_gone(&self, remote: IpAddr) -> bool {
        self.config.settings.underlay.is_some_and(|underlay| self.has_failed(underlay, remote, true))
    }

    /// Whether some way of a flow is down for a session's sake.
    pub(super) fn has_path_that_failed_of(&self, (place, tuple): Key) -> bool {
        let hop = self.vrf_of(place).and_then(|vrf| self.config.resolve(vrf, tuple.destination).ok());
        let Some(Which::Paths(number)) = hop.map(|(_, hop, _)| hop.which) else { return false };
        let gone = |which: Which| matches!(which, Which::Tunnel { remote, .. } if self.is_far_end_gone(remote));
        self.config.paths[&number].iter().any(|way| gone(way.which))
    }

    /// Our end of a session: the address that is nearest on its link, or the VTEP.
    fn end_of(&self, session: &Session) -> Option<IpAddr> {
        let settings = &self.config.settings;
        if session.multihop {
            return settings.vtep_towards(session.remote).filter(|_| settings.underlay == Some(session.vrf));
        }
        let vif = self.config.connected(session.vrf, session.remote)?;
        let bits = |address: IpAddr| match address {
            IpAddr::V4(four) => u128::from(u32::from(four)),
            IpAddr::V6(six) => u128::from(six),
        };
        let subnet = vif.subnets.iter().filter(|subnet| subnet.holds(session.remote)).max_by_key(|one| one.length)?;
        let ours = vif.addresses.iter().filter(|address| subnet.holds(**address));
        ours.min_by_key(|ours| bits(**ours) ^ bits(session.remote)).copied()
    }

    /// A packet to one of the two ports of BFD, if it comes from the peer of a session of ours to its end: what is wrong with it.
    pub(super) fn bfd_packet(&mut self, vif: &Vif, packet: &Packet) -> Option<Reason> {
        let multihop = match packet.tuple.destination_port {
            3784 => false,
            4784 => true,
            _ => return None,
        };
        if packet.tuple.protocol != 17 || packet.fragment {
            return None;
        }
        let of = |one: &&Session| (one.vrf, one.remote, one.multihop) == (vif.vrf, packet.source(), multihop);
        let session = self.config.bfd.values().find(of)?;
        if self.end_of(session) != Some(packet.destination()) {
            return None;
        }
        if packet.ttl < session.least_ttl {
            return Some("bfd_ttl");
        }
        let datagram = &packet.bytes[packet.payload..];
        let payload = &datagram[8..usize::from(headers::be16(datagram, 4))];
        Some(wrong_with(payload))
    }
}

/// RFC 5880, section 6.8.6. The discriminators that the tests send are none of ours.
fn wrong_with(payload: &[u8]) -> Reason {
    let Some(&[first, flags, multiplier, length]) = payload.first_chunk() else { return "bfd_malformed" };
    let words = |at: usize| payload.get(at..at + 4) == Some(&[0; 4]);
    let authenticated = flags & 4 != 0;
    let least = if authenticated { 26 } else { 24 };
    let state = flags >> 6;
    if payload.len() < 24
        || first >> 5 != 1
        || length < least
        || usize::from(length) > payload.len()
        || multiplier == 0
        || flags & 1 != 0
        || words(4)
        || words(8) && state > 1
    {
        return "bfd_malformed";
    }
    if authenticated {
        return "bfd_authenticated";
    }
    assert!(!words(8), "unmodelled: a peer that begins a session");
    "bfd_no_session"
}
