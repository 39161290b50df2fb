//! The reference model: a small, slow forwarder that says what a vRouter must do. It shares no line with the product: its headers are
//! read and written by its own code and smoltcp, its tables are maps and vectors that are searched from end to end.
//!
//! How to hold a product against it (one vRouter, at rest between two events):
//!
//! ```text
//! let mut oracle = Oracle::new(&ports, start_ms);
//! oracle.apply(yaml)?                                   the text that the product accepted; refusals are not modelled
//! oracle.delete("route", "red 10.1.1.20/32 operator")?  kinds and keys: see `delete`
//! let outcome = oracle.advance(now, &came);             after each apply, delete and link, and at least each 100 ms of the clock:
//!                                                       timers (requests again, probes, holds given up, ageing)
//! let outcome = oracle.receive(port, &frame, now, &came);
//! ```
//!
//! First the event happens to the product and everything that it sends until it is at rest is collected: that is `came`. The model
//! looks into it where the product may choose (the UDP source port of a tunnel, a later ECMP member, the moment of a probe), takes a
//! choice that is allowed, keeps to it for the life of the flow, and says in `Outcome::sent` exactly what must have come. So the
//! caller compares bytes: `sent` and `came` are equal as multisets. A choice that is not allowed is not taken, and so differs. With an
//! empty `came` the model chooses for itself.
//!
//! Several frames of one burst: call `receive` for each in the order in which the product's worker takes them, each with all that came.
//!
//! Out of the model, so keep away from it or provoke it apart: refusals of configurations, budgets (set them high), full flow tables
//! and eviction, full rings and full holds, device counters. What is not modelled yet panics with `unmodelled: ...`.
//!
//! Time is in milliseconds and does not go back. The product looks for idle flows over ten seconds: a flow that may or may not be
//! gone is in limbo. Move the clock to `settled_at()` (in steps of 100 ms, the product polled in each) before the next frame.
#![allow(dead_code)] // each test takes the part that it needs

use std::collections::BTreeSet;
use std::net::IpAddr;

/// A port as the product was started with it; its place in the slice is its number.
#[derive(Clone, Debug)]
pub struct Port {
    pub name: String,
    pub mac: [u8; 6],
    /// L3 bytes.
    pub mtu: u16,
}

/// A frame that left by a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    pub port: usize,
    pub bytes: Vec<u8>,
}

/// A counted drop, as in the contract's `DropCount`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drop {
    /// The VIF where it entered; "" for packets of none.
    pub vif: String,
    pub reason: &'static str,
}

/// What an event leads to until everything is at rest.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In no order that matters, but for frames of one flow.
    pub sent: Vec<Sent>,
    pub drops: Vec<Drop>,
    /// Names of the features that took part, for hit counts.
    pub features: BTreeSet<&'static str>,
}

/// A pair of flows, as in the contract's `Flow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// "vif NAME" or "tunnel VRF".
    pub place: String,
    pub reverse_place: String,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
    /// Later fragments.
    pub fragments: bool,
    pub state: &'static str,
    /// "forward" or a drop reason; `None`: no packet of this direction came since the last change, so an old verdict may be there.
    pub verdict: Option<&'static str>,
    pub reverse_verdict: Option<&'static str>,
    pub packets: u64,
    pub bytes: u64,
    pub reverse_packets: u64,
    pub reverse_bytes: u64,
    /// In limbo: idle too long, perhaps not yet removed.
    pub may_be_gone: bool,
}

/// One vRouter.
pub struct Oracle {
    ports: Vec<Port>,
    now: u64,
}

impl Oracle {
    /// A vRouter without objects.
    pub fn new(ports: &[Port], now_ms: u64) -> Oracle {
        Oracle { ports: ports.to_vec(), now: now_ms }
    }

    /// Puts the objects of a network text, as of owner "operator". Errors: text that is not of the language.
    pub fn apply(&mut self, yaml: &str) -> Result<(), String> {
        panic!("unmodelled: apply {yaml}")
    }

    /// Deletes an object. Kinds and keys: vrf NAME, vif NAME, route "VRF PREFIX OWNER", neighbour "VIF ADDRESS", vni NUMBER,
    /// label NUMBER, acl NAME, group NAME.
    pub fn delete(&mut self, kind: &str, key: &str) -> Result<(), String> {
        panic!("unmodelled: delete {kind} {key}")
    }

    /// A port's link goes or comes.
    pub fn link(&mut self, port: usize, up: bool) {
        panic!("unmodelled: link of port {port} up {up}")
    }

    /// A frame comes in by a port.
    pub fn receive(&mut self, port: usize, frame: &[u8], now_ms: u64, came: &[Sent]) -> Outcome {
        panic!("unmodelled: {} bytes on port {port} at {now_ms}, {} came", frame.len(), came.len())
    }

    /// The clock is here: does what is due.
    pub fn advance(&mut self, now_ms: u64, came: &[Sent]) -> Outcome {
        panic!("unmodelled: the time {now_ms} after {}, {} came", self.now, came.len())
    }

    /// The first time from now on when no flow is in limbo, if no packet comes until then.
    pub fn settled_at(&self) -> u64 {
        self.now
    }

    /// The flows, in no order that matters.
    pub fn flows(&self) -> Vec<Flow> {
        Vec::new()
    }
}
