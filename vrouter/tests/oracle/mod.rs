//! The reference model: a small, slow forwarder that says what a vRouter must do. It shares no line with the product: its headers are
//! read and written by its own code and smoltcp, its tables are maps and vectors that are searched from end to end.
//!
//! How to hold a product against it (one vRouter, at rest between two events):
//!
//! ```text
//! let mut oracle = Oracle::new(&ports, start_ms);       in phase with the control thread's rounds, each 100 ms from its start on
//! oracle.apply(yaml)?                                   the text that the product accepted; refusals are not modelled
//! oracle.delete("route", "red 10.1.1.20/32 operator")?  kinds and keys: see `delete`
//! oracle.link(port, up)                                 a port's link goes or comes; the product has seen it
//! let outcome = oracle.advance(now, &came);             at each step of the clock, of 100 ms, before what happens at that time:
//!                                                       timers (requests, probes, holds given up, ageing)
//! let outcome = oracle.receive(port, &frame, now, &came);
//! ```
//!
//! First the event happens to the product and everything that it sends until it is at rest is collected: that is `came`. The model
//! looks into it where the product may choose (the UDP source port and the flow label of a tunnel, the way of a flow by `ecmp`, the moments of probes and router advertisements), takes a
//! choice that is allowed, keeps to it for the life of the flow, and says in `Outcome::sent` exactly what must have come. So the
//! caller compares bytes: `sent` and `came` are equal as multisets. A choice that is not allowed is not taken, and so differs. With an
//! empty `came` the model chooses for itself.
//!
//! Where a choice does not show at once, an `Oracle` gives up (panics with `unmodelled: ...`); `Worlds` goes on with all that may be.
//!
//! Several frames of one burst: `Worlds::receive_burst`, in the order in which the product's worker takes them, with all that came.
//!
//! Out of the model, so keep away from it or provoke it apart: refusals of configurations, budgets (set them high), full flow tables
//! and eviction, full rings, device counters. A text that names what is not known here is an error; an event that cannot be judged panics
//! with `unmodelled: ...`.
//!
//! Time is in milliseconds and does not go back. The product looks for idle flows over ten seconds: a flow that may or may not be
//! gone is in limbo. Move the clock to `settled_at()` (in steps of 100 ms, the product polled in each) before the next frame.
#![allow(dead_code)] // each test takes the part that it needs

mod acl;
mod assembly;
mod bfd;
mod branches;
mod bridge;
mod carried;
mod choice;
mod config;
mod ecmp;
mod emit;
mod exception;
mod flood;
mod flows;
mod forward;
mod fragments;
mod given_bridge;
mod given_hop_groups;
mod given_router;
mod headers;
mod language;
mod learning;
mod lifetimes;
mod links;
mod mss;
mod neighbours;
mod offload;
mod quotas;
mod redirect;
mod router;
mod slow_path;
mod split;
mod texts;
mod which;
mod worlds;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use choice::{Choice, Free};
use config::Config;
use ecmp::{ByFields, ByHash, Script};
use flows::Pair;
use forward::Key;
use links::Seen;
use neighbours::Entry;
use router::Router;
#[allow(unused_imports)]
pub use worlds::Worlds;

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
    pub state: &'static str,
    /// "forward" or a drop reason; `None`: no packet of this direction came since the last change, so an old verdict may be there.
    pub verdict: Option<&'static str>,
    pub reverse_verdict: Option<&'static str>,
    pub packets: u64,
    pub bytes: u64,
    pub reverse_packets: u64,
    pub reverse_bytes: u64,
    /// The name of the way that this direction has; "" where its route has one way, with spaces where the way has no name. `None`: not
    /// seen since the last change, or open.
    pub way: Option<String>,
    pub reverse_way: Option<String>,
    /// In limbo: idle too long, perhaps not yet removed.
    pub may_be_gone: bool,
}

/// A station that a bridge learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    pub bridge: String,
    pub mac: [u8; 6],
    /// It stays where it is.
    pub held: bool,
    /// In limbo: silent for so long that it may be forgotten.
    pub may_be_gone: bool,
}

/// One vRouter.
#[derive(Clone)]
pub struct Oracle {
    ports: Vec<Port>,
    config: Config,
    flows: Vec<Pair>,
    entries: BTreeMap<(u32, IpAddr), Entry>,
    /// By tenant VIF.
    routers: BTreeMap<u32, Router>,
    /// UDP source ports and flow labels that the product chose, by flow.
    chosen: BTreeMap<Key, Choice>,
    /// Ways that the product chose for packets without a flow.
    by_hash: BTreeMap<ByHash, String>,
    /// And for new flows, by what their group looks at.
    by_fields: RefCell<ByFields>,
    /// Ways through the underlay that flows were seen to have.
    seen: Seen,
    /// Neighbours that gateways and tunnels need, but for static ones; and those of them that were given up and did not answer since.
    needed: BTreeSet<(u32, IpAddr)>,
    lost: BTreeSet<(u32, IpAddr)>,
    /// Ports without a link.
    without_link: BTreeSet<usize>,
    /// Sessions of BFD that have failed.
    failed: BTreeSet<String>,
    /// Features of what was done to it, for the next outcome.
    noted: BTreeSet<&'static str>,
    script: RefCell<Script>,
    buckets: quotas::Buckets,
    now: u64,
    /// When timers were looked at last.
    looked: u64,
    /// Changes of the configuration so far, learnt neighbours included.
    changes: u64,
    /// Events so far; a burst is one.
    events: u64,
    /// When lifetimes were set last.
    lifetimes_since: u64,
    came: Vec<Sent>,
    outcome: Outcome,
    pieces: fragments::Pieces,
    /// Outer packets in fragments.
    partial: Vec<assembly::Partial>,
    /// Payload of the segments into which the frame at hand is to be cut.
    large: Option<usize>,
    /// Senders of frames of bridges, in the order in which they came.
    sightings: Vec<(u32, headers::Mac, learning::Place)>,
    /// Packets of ours, by VRF, while a burst goes on: they come back to the worker behind all of it.
    behind: Option<Vec<(u32, Vec<u8>, Free)>>,
}

impl Oracle {
    /// A vRouter without objects.
    pub fn new(ports: &[Port], now_ms: u64) -> Oracle {
        Oracle {
            ports: ports.to_vec(),
            config: Config::new(),
            flows: Vec::new(),
            entries: BTreeMap::new(),
            routers: BTreeMap::new(),
            chosen: BTreeMap::new(),
            by_hash: BTreeMap::new(),
            by_fields: RefCell::default(),
            seen: Seen::new(),
            needed: BTreeSet::new(),
            lost: BTreeSet::new(),
            without_link: BTreeSet::new(),
            failed: BTreeSet::new(),
            noted: BTreeSet::new(),
            script: RefCell::default(),
            buckets: quotas::Buckets::new(),
            now: now_ms,
            looked: now_ms,
            changes: 0,
            events: 0,
            lifetimes_since: now_ms,
            came: Vec::new(),
            outcome: Outcome::default(),
            pieces: fragments::Pieces::default(),
            partial: Vec::new(),
            large: None,
            sightings: Vec::new(),
            behind: None,
        }
    }

    /// Puts the objects of a network text, as of owner "operator". Errors: text that is not of the language.
    pub fn apply(&mut self, yaml: &str) -> Result<(), String> {
        let before = (self.config.settings.lifetimes, self.config.ageings());
        language::apply(&mut self.config, &self.ports, yaml)?;
        if self.config.settings.lifetimes != before.0 {
            self.lifetimes_since = self.now;
        }
        if self.config.ageings() != before.1 {
            self.config.ageing_since = self.now;
        }
        self.changed();
        Ok(())
    }

    /// Deletes an object. Kinds and keys: vrf NAME, vif NAME, route "VRF PREFIX [OWNER]", neighbour "VIF ADDRESS", vni NUMBER,
    /// label NUMBER, acl NAME, group NAME, next_hop_group NAME, bfd_session NAME, bridge NAME, fdb "BRIDGE MAC".
    pub fn delete(&mut self, kind: &str, key: &str) -> Result<(), String> {
        let config = &mut self.config;
        let words: Vec<&str> = key.split(' ').collect();
        let number = || key.parse::<u32>().map_err(|_| format!("{key} is no number"));
        let there = match (kind, &words[..]) {
            ("vrf", [name]) => {
                let vrf = config.vrf_named(name)?.id;
                config.vrfs.remove(&vrf).is_some()
            }
            ("vif", [name]) => {
                let vif = config.vif_named(name)?.id;
                config.neighbours.retain(|(of, _), _| *of != vif);
                config.vifs.remove(&vif).is_some()
            }
            ("route", [vrf, prefix, owner @ ..]) => {
                let owner = owner.first().copied().unwrap_or("operator").to_owned();
                let key = (config.vrf_named(vrf)?.id, language::prefix(prefix)?, owner);
                config.routes.remove(&key).is_some()
            }
            ("neighbour", [vif, address]) => {
                let key = (config.vif_named(vif)?.id, language::address(address)?);
                config.neighbours.remove(&key).is_some()
            }
            ("next_hop_group", [name]) => {
                let group = config.hop_group_named(name)?;
                config.hop_groups.remove(&group).is_some()
            }
            ("bfd_session", [name]) => config.bfd.remove(*name).is_some(),
            ("bridge", [name]) => {
                let bridge = config.bridge_named(name)?.id;
                config.bridges.remove(&bridge).is_some()
            }
            ("fdb", [bridge, mac]) => {
                let key = (config.bridge_named(bridge)?.id, language::mac(mac)?);
                config.fdb.remove(&key).is_some()
            }
            ("vni", [_]) => config.vnis.remove(&number()?).is_some(),
            ("label", [_]) => config.labels.remove(&number()?).is_some(),
            ("acl", [name]) => config.acls.remove(*name).is_some(),
            ("group", [name]) => config.groups.remove(*name).is_some(),
            _ => return Err(format!("delete {kind} {key}: not understood")),
        };
        self.changed();
        if there { Ok(()) } else { Err(format!("no {kind} {key}")) }
    }

    fn changed(&mut self) {
        self.changes += 1;
        self.config.forget_stations();
        self.lose_sessions();
        // the seed of the product's hash is a setting
        self.by_hash.clear();
        self.by_fields.take();
        self.lose_next_hops();
        self.lose_names();
        self.want_neighbours();
    }

    /// A frame comes in by a port. The clock was moved here by `advance` before.
    pub fn receive(&mut self, port: usize, frame: &[u8], now_ms: u64, came: &[Sent]) -> Outcome {
        assert!(now_ms == self.now, "the clock is at {}, not at {now_ms}: advance first", self.now);
        self.choosing(came, |oracle| {
            oracle.enter(port, frame);
            oracle.learn_stations();
        })
    }

    /// A frame of a burst, perhaps its last one.
    fn enter_in_burst(&mut self, port: usize, frame: &[u8], last: bool) {
        self.behind.get_or_insert_default();
        self.enter(port, frame);
        if last {
            self.learn_stations();
            let behind = self.behind.take().unwrap_or_default();
            behind.into_iter().for_each(|(vrf, packet, free)| self.originate(vrf, &packet, free));
        }
    }

    /// The clock is here: does what is due. A change of the configuration shows in the same way, after 100 ms at most.
    pub fn advance(&mut self, now_ms: u64, came: &[Sent]) -> Outcome {
        assert!(now_ms >= self.now, "the clock goes back from {} to {now_ms}", self.now);
        self.choosing(came, |oracle| oracle.pass(now_ms))
    }

    fn pass(&mut self, now_ms: u64) {
        self.now = now_ms;
        self.outcome.features.append(&mut self.noted);
        if now_ms >= self.looked + 100 {
            self.looked = now_ms;
            self.neighbours_due();
            self.release_elsewhere();
            self.routers_due();
        }
        self.fragments_due();
        self.partial_due();
        self.age();
        self.age_stations();
    }

    /// The first time from now on when no flow is in limbo, nor a station that was learnt, if no packet comes until then.
    pub fn settled_at(&self) -> u64 {
        let mut at = self.limbo_ends(self.now);
        while let Some(later) = self.stations_settle(at) {
            at = self.limbo_ends(later);
        }
        at
    }

    /// The flows, in no order that matters.
    pub fn flows(&self) -> Vec<Flow> {
        let mut rows = self.flow_rows();
        for (row, pair) in rows.iter_mut().zip(&self.flows).filter(|(_, pair)| pair.judged_after == self.changes) {
            row.way = ecmp::name(pair.halves[0].kept.as_ref(), row.verdict);
            row.reverse_way = ecmp::name(pair.halves[1].kept.as_ref(), row.reverse_verdict);
        }
        rows
    }

    /// The stations that bridges learnt, in no order that matters.
    pub fn stations(&self) -> Vec<Station> {
        self.learnt_stations()
    }

    fn feature(&mut self, name: &'static str) {
        self.outcome.features.insert(name);
    }

    /// Ends a packet that entered by this VIF; none: a packet of ours.
    fn drop(&mut self, entered: Option<u32>, reason: &'static str) {
        self.feature(reason);
        self.outcome.drops.push(Drop { vif: self.config.vif_name(entered), reason });
    }
}
