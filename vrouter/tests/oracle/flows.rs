//! Flows: each packet is judged by what is configured now, the ACLs for the pair's initiator, the route for each direction.
//!
//! The model asks again for every packet. A product that remembers must come to the same.

use std::net::IpAddr;

use super::config::{GONE, Hop, Kind, Which, is_link_local};
use super::ecmp::Kept;
use super::forward::{Arrived, Fate, Key, Place};
use super::headers::{Reason, Tuple, Upper};
use super::quotas::{Holder, What};
use super::redirect::Gone;
use super::slow_path::Problem;
use super::{Flow, Oracle};

const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What happens to one direction.
pub type Verdict = Result<Hop, Reason>;

/// One direction's entry.
#[derive(Clone, Debug)]
pub struct Half {
    pub key: Key,
    pub verdict: Verdict,
    /// The way that it had last.
    pub kept: Option<Kept>,
    /// TCP flags seen.
    flags: u8,
    packets: u64,
    bytes: u64,
    last_seen: u64,
    /// The event of its first packet.
    first_in: u64,
    /// The number of changes made before its last packet.
    after: u64,
}

#[derive(Clone, Debug)]
pub struct Pair {
    /// The initiator's direction, then the answers'.
    pub halves: [Half; 2],
    pub holder: Holder,
    /// Who said last by which next hops both go.
    named: [Named; 2],
    /// The number of changes made before it was judged last.
    pub judged_after: u64,
    /// The event in which it was judged last.
    judged_in: u64,
    /// Packets of one burst were judged in different ways: which verdict is noted is up to the worker, until the next burst.
    mixed: bool,
}

/// Who says by which next hop a direction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Routed,
    /// A label that names its VIF.
    Label(Hop),
    /// The station that its frames are for, if it is known.
    Bridged(Option<Hop>),
}

/// A decision about a flow as its initiator sends it.
#[derive(Clone)]
struct Decision {
    forward: Verdict,
    reverse: Verdict,
    /// The ways of both.
    kept: [Option<Kept>; 2],
    /// The place where the initiator's packets leave.
    exit: Place,
    /// The place where the answers leave.
    answers_leave: Option<Place>,
    /// A rule sent it elsewhere than its route: what the model calls that.
    sent: Option<&'static str>,
    /// A service began it.
    from_service: bool,
}

pub(super) enum Leave {
    ForUs,
    At(Place, u32, Option<u32>),
}

impl Pair {
    pub fn state(&self) -> &'static str {
        let [forward, reverse] = &self.halves;
        let (either, both) = (forward.flags | reverse.flags, forward.flags & reverse.flags);
        match forward.key.1.protocol {
            6 => match () {
                () if either & RST != 0 || both & FIN != 0 => "closing",
                () if both & ACK != 0 => "established",
                () => "opening",
            },
            _ if reverse.packets > 0 => "answered",
            _ => "unanswered",
        }
    }

    pub fn is_v6(&self) -> bool {
        self.halves[0].key.1.source.is_ipv6()
    }

    pub fn last_seen(&self) -> u64 {
        self.halves[0].last_seen.max(self.halves[1].last_seen)
    }

    /// Those that it has, however it came by them.
    pub(super) fn next_hops(&mut self) -> impl Iterator<Item = &mut Hop> {
        let kept = self.halves.iter_mut().filter_map(|half| half.kept.as_mut()).map(|kept| &mut kept.hop);
        kept.chain(self.named.iter_mut().filter_map(|named| match named {
            Named::Label(hop) | Named::Bridged(Some(hop)) => Some(hop),
            Named::Routed | Named::Bridged(None) => None,
        }))
    }
}

impl Oracle {
    /// What becomes of a tenant's packet.
    pub(super) fn decide(&mut self, arrived: &mut Arrived) -> Fate {
        if let Some(fate) = self.packet_mode(arrived) {
            self.feature("packet_mode");
            // of no use here, but its VRF may have flows when others of its packet come
            if self.heads(arrived).is_some() && arrived.key.is_some() {
                self.remember_head(arrived, &fate);
            }
            return fate;
        }
        if arrived.packet.tuple.later
            && let Some(fate) = self.as_its_head(arrived)
        {
            return fate;
        }
        let fate = self.decide_flow(arrived);
        if self.heads(arrived).is_some() && arrived.key.is_some() {
            self.remember_head(arrived, &fate);
        }
        fate
    }

    fn decide_flow(&mut self, arrived: &mut Arrived) -> Fate {
        let Some(key) = arrived.key else { return Fate::Drop("icmp_error_no_flow") };
        let Some((at, side)) = self.find(key) else { return self.judge_as_new(arrived) };
        let pair = &self.flows[at];
        let opens = arrived.packet.flags() & (SYN | ACK) == SYN;
        // a worker may see the counts of a flow as they were when the burst came
        let counted = |half: &Half| half.packets > 0 && (half.first_in < self.events || self.choice(2) == 0);
        if opens && pair.state() == "closing" && counted(&pair.halves[side]) {
            self.feature("tcp_reopened");
            self.forget(at);
            return self.judge_as_new(arrived);
        }
        let fate = self.judge_pair(arrived, at, side);
        self.error_way(arrived, fate)
    }

    /// VRFs without flows: by routes alone.
    fn packet_mode(&mut self, arrived: &Arrived) -> Option<Fate> {
        if self.config.vrfs[&arrived.vrf].flows {
            return None;
        }
        let (vrf, destination) = (arrived.vrf, arrived.packet.destination());
        let vrfs = self.config.vrfs.clone();
        let has_flows = |vrf: &u32| vrfs[vrf].flows;
        if arrived.fixed.is_none() && self.passes(vrf, destination).iter().any(has_flows) {
            return None;
        }
        let hop = match arrived.fixed.map_or_else(|| self.config.resolve(vrf, destination), |hop| Ok((0, hop, vec![])))
        {
            Ok((_, hop, _)) => {
                let tuple = arrived.key.map(|(_, tuple)| (tuple, matches!(arrived.packet.upper, Upper::Error { .. })));
                self.path_by_hash(hop, tuple)
            }
            Err("no_route") => return Some(Fate::Tell("no_route", Problem::NoRoute)),
            Err(reason) => return Some(Fate::Drop(reason)),
        };
        if let Which::Vif { vif, .. } = hop.which
            && has_flows(&self.config.vifs[&vif].vrf)
        {
            return None;
        }
        match self.leave(hop) {
            Err(reason) => Some(Fate::Drop(reason)),
            Ok(Leave::ForUs) => Some(Fate::Local),
            Ok(Leave::At(..)) if !hop.which.takes_frames() && has_link_local(&arrived.packet.tuple) => {
                Some(Fate::Drop("source_spoofed"))
            }
            Ok(Leave::At(..)) => Some(Fate::Forward(hop)),
        }
    }

    /// The VRFs in which a destination is looked up, whether or not anything comes of it.
    fn passes(&self, vrf: u32, destination: IpAddr) -> Vec<u32> {
        let mut passed = vec![vrf];
        while let Some((_, Hop { which: Which::Vrf(next), .. })) =
            self.config.route(passed[passed.len() - 1], destination)
            && passed.len() < 8
        {
            passed.push(next);
        }
        passed
    }

    fn judge_as_new(&mut self, arrived: &Arrived) -> Fate {
        let (Upper::Flow { flags }, Some(key)) = (arrived.packet.upper, arrived.key) else {
            return Fate::Drop("icmp_error_no_flow");
        };
        let opens = flags & (SYN | ACK) == SYN;
        if self.config.settings.tcp_strict && key.1.protocol == 6 && !opens {
            return Fate::Drop("tcp_not_syn");
        }
        if let Err(reason) = self.spend(arrived.place, What::NewFlows) {
            return Fate::Drop(reason);
        }
        let named = [arrived.named(0), arrived.answers()];
        let decision = match self.judge(arrived.place, arrived.vrf, key.1, named, ([None; 2], [true, false])) {
            Some(decision) => decision,
            None => return Fate::Local,
        };
        match decision.forward {
            Err("no_route") => Fate::Tell("no_route", Problem::NoRoute),
            Err(reason) => Fate::Drop(reason),
            Ok(hop) => {
                match self.install(key, &decision, named) {
                    Err(reason) => return Fate::Drop(reason),
                    Ok(Some(at)) => {
                        self.feature("flow_new");
                        decision.sent.into_iter().for_each(|sent| self.feature(sent));
                        if decision.from_service {
                            self.feature("flow_from_service");
                        }
                        self.count(at, 0, arrived);
                    }
                    Ok(None) => self.feature("reverse_key_in_use"),
                }
                Fate::Forward(hop)
            }
        }
    }

    /// A new pair; a pair that has its reverse key gives way if answers lead to this initiator, else there is none. Err: its holder may
    /// have no more.
    fn install(&mut self, key: Key, decision: &Decision, named: [Named; 2]) -> Result<Option<usize>, Reason> {
        let reverse = (decision.exit, key.1.turned());
        let mut decision = decision.clone();
        if self.find(reverse).is_some() {
            decision = self.settled(key, &decision, named);
            if decision.answers_leave != Some(key.0) {
                return Ok(None);
            }
        }
        // who began it holds it, or if it came by a tunnel the VIF that it goes to
        let of = match (key.0, decision.exit) {
            (Place::Tunnel(_), exit @ Place::Vif(_)) => exit,
            (place, _) => place,
        };
        let holder = self.holder(of);
        self.make_room(of, key.1.source.is_ipv6(), |oracle| {
            let taken = oracle.find(reverse);
            taken.inspect(|(taken, _)| {
                oracle.feature("reverse_key_gives_way");
                oracle.forget(*taken);
            });
            taken.is_some()
        })?;
        if let Some(way) = decision.kept[0].as_ref().filter(|way| !way.name.is_empty()) {
            let tunnel = matches!(way.hop.which, Which::Tunnel { .. });
            self.feature(if tunnel { "path_of_tunnels" } else { "path_of_vifs" });
            if self.config.is_of_group(&way.name, way.hop) {
                self.feature("path_of_group");
            }
            if self.met_by_fields() {
                self.feature("path_by_fields");
            }
            if self.config.is_backup(&way.name, way.hop.which) {
                self.feature("path_backup");
            }
            if self.has_path_that_failed_of(key) {
                self.feature("path_that_failed");
            }
            if self.has_path_without_link(key) {
                self.feature("path_without_link");
            }
        }
        let half = |key, verdict, kept: &Option<Kept>| Half {
            key,
            verdict,
            kept: kept.clone(),
            flags: 0,
            packets: 0,
            bytes: 0,
            last_seen: self.now,
            first_in: 0,
            after: self.changes,
        };
        let halves =
            [half(key, decision.forward, &decision.kept[0]), half(reverse, decision.reverse, &decision.kept[1])];
        self.flows.push(Pair {
            halves,
            holder,
            named,
            judged_after: self.changes,
            judged_in: self.events,
            mixed: false,
        });
        Ok(Some(self.flows.len() - 1))
    }

    /// The same decision, in which the way of answers is no longer open.
    fn settled(&self, key: Key, decision: &Decision, named: [Named; 2]) -> Decision {
        let had = [decision.kept[0].as_ref(), None];
        let vrf = self.vrf_of(key.0).expect("a place that was judged");
        match decision.kept[1].as_ref().is_some_and(|way| way.open) {
            true => self.judge(key.0, vrf, key.1, named, (had, [true; 2])).expect("not for us"),
            false => decision.clone(),
        }
    }

    /// A packet of a pair that is there.
    fn judge_pair(&mut self, arrived: &mut Arrived, at: usize, side: usize) -> Fate {
        let pair = self.flows[at].clone();
        let (place, tuple) = pair.halves[0].key;
        let Some(vrf) = self.vrf_of(place) else {
            self.feature("flow_place_gone");
            self.forget(at);
            return self.judge_as_new(arrived);
        };
        // an error may come by another label than the flow that it quotes
        let error = matches!(arrived.packet.upper, Upper::Error { .. });
        let mut named = pair.named;
        if !error {
            named[side] = arrived.named(side);
            // nothing leads where the other's station was, but this frame comes from it
            if let (Named::Bridged(Some(Hop { vrf: GONE, .. })), other @ Named::Bridged(Some(_))) =
                (named[1 - side], arrived.answers())
            {
                named[1 - side] = other;
            }
        }
        if side == 1 && !error {
            self.met_asymmetry(named);
        }
        let had = [pair.halves[0].kept.as_ref(), pair.halves[1].kept.as_ref()];
        let Some(decision) = self.judge(place, vrf, tuple, named, (had, [side == 0, side == 1])) else {
            self.forget(at);
            return self.judge_as_new(arrived);
        };
        let denied = decision.forward.is_err();
        if !denied && decision.exit != pair.halves[1].key.0 {
            return self.move_pair(arrived, at, decision, named);
        }
        let reverse = if denied { decision.forward } else { decision.reverse };
        if self.changes != pair.judged_after {
            self.feature("flow_after_change");
        }
        let (events, pair) = (self.events, &mut self.flows[at]);
        let other = (pair.halves[0].verdict, pair.halves[1].verdict) != (decision.forward, reverse);
        pair.mixed = pair.judged_in == events && (pair.mixed || other);
        pair.judged_in = events;
        pair.judged_after = self.changes;
        pair.named = named;
        (pair.halves[0].verdict, pair.halves[1].verdict) = (decision.forward, reverse);
        let (mut moved, mut within) = (false, false);
        // the next hop that a label names stands also while the flow is refused
        for (half, named) in pair.halves.iter_mut().zip(named) {
            if let (true, Named::Label(hop) | Named::Bridged(Some(hop)), Some(kept)) = (denied, named, &mut half.kept) {
                kept.hop = hop;
            }
        }
        for (half, kept) in pair.halves.iter_mut().zip(decision.kept) {
            moved |= matches!((&half.kept, &kept), (Some(old), Some(new)) if old.name != new.name && !old.open);
            within |= matches!((&half.kept, &kept), (Some(old), Some(new)) if old != new && !old.open && self.config.is_of_group(&new.name, new.hop));
            half.kept = kept.or(half.kept.take());
        }
        let seen = [(moved, "path_left"), (within, "path_changed_in_group")];
        seen.into_iter().filter(|(seen, _)| *seen).for_each(|(_, name)| self.feature(name));
        self.count(at, side, arrived);
        self.feature(if side == 0 { "flow_forward" } else { "flow_reverse" });
        self.fate_of(at, side)
    }

    fn met_asymmetry(&mut self, named: [Named; 2]) {
        match named {
            [Named::Routed, Named::Bridged(Some(_))] => self.feature("routed_and_answered_by_frame"),
            [Named::Bridged(Some(_)), Named::Routed] => self.feature("frame_answered_by_routing"),
            _ => {}
        }
    }

    /// The initiator's packets leave elsewhere now: answers are expected from there.
    fn move_pair(&mut self, arrived: &Arrived, at: usize, decision: Decision, named: [Named; 2]) -> Fate {
        self.feature("flow_moved");
        let old = self.forget(at);
        let at = match self.install(old.halves[0].key, &decision, named) {
            Ok(Some(at)) => at,
            Ok(None) => return self.judge_as_new(arrived),
            Err(reason) => return Fate::Drop(reason),
        };
        for side in [0, 1] {
            let (half, was) = (&mut self.flows[at].halves[side], &old.halves[side]);
            (half.flags, half.packets, half.bytes) = (was.flags, was.packets, was.bytes);
        }
        let Some(side) = self.flows[at].halves.iter().position(|half| Some(half.key) == arrived.key) else {
            return self.judge_as_new(arrived);
        };
        self.count(at, side, arrived);
        self.fate_of(at, side)
    }

    fn fate_of(&self, at: usize, side: usize) -> Fate {
        match self.flows[at].halves[side].verdict {
            Ok(hop) => Fate::Forward(hop),
            Err("no_route") if side == 0 => Fate::Tell("no_route", Problem::NoRoute),
            Err(reason) => Fate::Drop(reason),
        }
    }

    /// Errors are neither traffic of the flow that they quote nor answers to it.
    fn count(&mut self, at: usize, side: usize, arrived: &Arrived) {
        let Upper::Flow { flags } = arrived.packet.upper else { return self.feature("icmp_error_of_flow") };
        let (now, changes) = (self.now, self.changes);
        let events = self.events;
        let half = &mut self.flows[at].halves[side];
        if half.packets == 0 {
            half.first_in = events;
        }
        half.flags |= flags & (SYN | FIN | RST | ACK);
        half.packets += 1;
        half.bytes += arrived.packet.bytes.len() as u64;
        (half.last_seen, half.after) = (now, changes);
        let state = self.flows[at].state();
        self.feature(state);
        if arrived.packet.tuple.later {
            self.feature("later_fragment");
        }
        let way = self.flows[at].halves[side].kept.as_ref();
        if way.is_some_and(|way| !way.name.is_empty() && !way.open) {
            self.feature(if side == 0 { "path_named" } else { "path_of_answers_named" });
        }
    }

    /// The decision for both directions; `None`: for us. `shows`: the directions whose ways must be chosen now.
    fn judge(
        &self,
        place: Place,
        vrf: u32,
        tuple: Tuple,
        [forward, answers]: [Named; 2],
        (had, shows): ([Option<&Kept>; 2], [bool; 2]),
    ) -> Option<Decision> {
        let refused = |reason, exit| {
            let kept = [None, None];
            let (sent, from_service) = (None, false);
            let (forward, reverse) = (Err(reason), Err(reason));
            Some(Decision { forward, reverse, kept, exit, answers_leave: None, sent, from_service })
        };
        let first = match forward {
            Named::Label(Hop { vrf: GONE, .. }) | Named::Bridged(Some(Hop { vrf: GONE, .. })) => Err("next_hop_gone"),
            Named::Label(hop) | Named::Bridged(Some(hop)) => Ok((hop, vec![vrf])),
            Named::Bridged(None) => Err("unknown_unicast"),
            Named::Routed => self.config.resolve(vrf, tuple.destination).map(|(_, hop, passed)| (hop, passed)),
        };
        let choose = |hop| self.path_of_flow(hop, Some(tuple), had[0], shows[0]);
        let gone = match self.go(place, vrf, tuple, (first, forward), choose) {
            Gone::ForUs => return None,
            Gone::Refused(reason, exit) => return refused(reason, exit),
            Gone::Away(gone) => gone,
        };
        let (way, (exit, exit_vrf)) = (gone.way, gone.exit);
        let (hop, sent) = (way.hop, gone.sent);
        let service = |vif: u32| self.config.vifs[&vif].service;
        let from_service = matches!(place, Place::Vif(vif) if service(vif));
        // back from where it was sent, or from a service, it goes on as it would have come
        let back_in = if sent.is_some() || gone.exit_vif.is_some_and(service) { vrf } else { exit_vrf };
        let back = match answers {
            Named::Bridged(None) => Err("unknown_unicast"),
            Named::Bridged(Some(Hop { vrf: GONE, .. })) => Err("next_hop_gone"),
            Named::Bridged(Some(hop)) => Ok(self.path_of_flow(hop, None, None, true)),
            Named::Routed | Named::Label(_) if from_service => {
                let Place::Vif(vif) = place else { panic!("a service is a VIF") };
                let hop = Hop { vrf, which: Which::Vif { vif, mac: None } };
                Ok(self.path_of_flow(hop, None, None, true))
            }
            Named::Routed | Named::Label(_) => {
                let route = self.config.resolve(back_in, tuple.source);
                route.map(|(_, hop, _)| self.path_of_answers(hop, place, had[1], shows[1]))
            }
        };
        let back = back.map(|way| {
            let left = self.leave(way.hop);
            (way, left)
        });
        let (reverse, answers_leave, back) = match back {
            Ok((_, Ok(Leave::ForUs))) => (Err("no_route"), None, None),
            Err(reason) | Ok((_, Err(reason))) => (Err(reason), None, None),
            Ok((way, Ok(Leave::At(exit, ..)))) => (Ok(way.hop), Some(exit), Some(way)),
        };
        Some(Decision { forward: Ok(hop), reverse, kept: [Some(way), back], exit, answers_leave, sent, from_service })
    }

    /// What becomes of a packet by a route's next hop.
    pub(super) fn unless_lost(&self, hop: Hop) -> Fate {
        match self.leave(hop) {
            Err(reason) => Fate::Drop(reason),
            Ok(Leave::ForUs) => Fate::Local,
            Ok(Leave::At(..)) => Fate::Forward(hop),
        }
    }

    /// The place, VRF and tenant VIF by which a next hop leaves.
    pub(super) fn leave(&self, hop: Hop) -> Result<Leave, Reason> {
        match hop.which {
            Which::Drop => Err("route_drop"),
            Which::Receive => Ok(Leave::ForUs),
            Which::Vif { vif, .. } | Which::Bridged(vif) => {
                let vif = self.config.vifs.get(&vif).ok_or("next_hop_gone")?;
                assert!(vif.kind == Kind::Tenant, "a route to a fabric VIF");
                Ok(Leave::At(Place::Vif(vif.id), vif.vrf, Some(vif.id)))
            }
            Which::Tunnel { .. } => Ok(Leave::At(Place::Tunnel(hop.vrf), hop.vrf, None)),
            // tenants' packets do not leave into the bare underlay
            Which::Gateway(_) | Which::Connected(_) | Which::Neighbour(..) => Err("no_route"),
            Which::Vrf(_) | Which::Paths(_) | Which::Group(_) => panic!("a route that was not followed"),
        }
    }

    pub(super) fn vrf_of(&self, place: Place) -> Option<u32> {
        match place {
            Place::Vif(vif) => self.config.vifs.get(&vif).map(|vif| vif.vrf),
            Place::Tunnel(vrf) => self.config.vrfs.get(&vrf).map(|vrf| vrf.id),
        }
    }

    fn find(&self, key: Key) -> Option<(usize, usize)> {
        let halves =
            self.flows.iter().enumerate().flat_map(|(at, pair)| [(at, 0, &pair.halves[0]), (at, 1, &pair.halves[1])]);
        let (at, side, _) = halves.into_iter().find(|(.., half)| half.key == key)?;
        assert!(self.now < self.ends(&self.flows[at]), "unmodelled: a packet of a flow in limbo; see `settled_at`");
        Some((at, side))
    }

    /// Removes a pair, and what was chosen for it.
    pub(super) fn forget(&mut self, at: usize) -> Pair {
        let pair = self.flows.remove(at);
        for half in &pair.halves {
            self.chosen.remove(&half.key);
            self.seen.retain(|(_, key), _| *key != half.key);
        }
        pair
    }

    pub(super) fn flow_rows(&self) -> Vec<Flow> {
        let place = |place| match place {
            Place::Vif(vif) => format!("vif {}", self.config.vif_name(Some(vif))),
            Place::Tunnel(vrf) => {
                format!("tunnel {}", self.config.vrfs.get(&vrf).map(|vrf| &*vrf.name).unwrap_or_default())
            }
        };
        let row = |pair: &Pair| {
            let [forward, reverse] = &pair.halves;
            let verdict = |half: &Half| {
                let sure = half.after == pair.judged_after && !pair.mixed;
                sure.then(|| half.verdict.err().unwrap_or("forward"))
            };
            let tuple = forward.key.1;
            Flow {
                place: place(forward.key.0),
                reverse_place: place(reverse.key.0),
                source: tuple.source,
                destination: tuple.destination,
                protocol: tuple.protocol,
                source_port: tuple.source_port,
                destination_port: tuple.destination_port,
                state: pair.state(),
                verdict: verdict(forward),
                reverse_verdict: verdict(reverse),
                packets: forward.packets,
                bytes: forward.bytes,
                reverse_packets: reverse.packets,
                reverse_bytes: reverse.bytes,
                way: None,
                reverse_way: None,
                may_be_gone: self.ends(pair) <= self.now,
            }
        };
        self.flows.iter().map(row).collect()
    }
}

/// Link-local addresses are for us only (RFC 4291, section 2.5.6).
pub(super) fn has_link_local(tuple: &Tuple) -> bool {
    is_link_local(tuple.source) || is_link_local(tuple.destination)
}
