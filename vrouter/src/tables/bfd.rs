//! Whom BFD packets are exchanged with.

use std::net::IpAddr;

use crate::ids::VrfId;
use crate::packet::bfd::{Diagnostic, State};

/// Whose life a session watches: a neighbour on a link of a fabric VRF, or a host some hops away. One session each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watched {
    pub vrf: VrfId,
    pub remote: IpAddr,
    pub multihop: bool,
}

/// A session as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// Another one's whenever a session is made.
    pub id: u32,
    /// Our end, of the remote's family.
    pub local: IpAddr,
    /// Packets that come with a smaller TTL or hop limit are not the peer's (RFC 5881, section 5; RFC 5883, section 4).
    pub least_ttl: u8,
    /// Milliseconds between our packets at least, and between the peer's.
    pub min_tx: u32,
    pub min_rx: u32,
    /// Our packets that the peer may miss.
    pub multiplier: u8,
    /// The peer is told that we do not watch.
    pub admin_down: bool,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BfdStand {
    pub state: State,
    pub diagnostic: Diagnostic,
    /// It was up, and ended otherwise than by someone's will: there is no way to whom it watches.
    pub failed: bool,
}
