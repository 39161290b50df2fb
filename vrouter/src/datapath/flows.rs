//! Lookup, and the slow path: a hit that is still valid gives its action; everything else is decided on the snapshot.

use flowtable::{Entry, FlowTable, Half, Handle, InsertError, NOWHERE, Notes, Packet};

use super::classify::Classified;
use super::counters::Counters;
use super::decide::{Answer, Verdict, leave, lost};
use super::foresee::{Foreseen, ask_for_room, asked, take_back};
use super::fragments::{self, Heads};
use super::lifetime::{self, state_bits};
use super::named::{NO_HOP, Named, is_error, key_of};
use super::packet_mode;
use super::punt::{Budget, Why};
use super::quota::{Accounts, Owner, Purse, Rate};
use super::room::Eviction;
use super::route_hits::RouteHits;
use super::table::{Decided, FlowKey, Flows};
use super::victims::Culprit;
use super::{Fate, Work};
use crate::drops::DropReason;
use crate::ids::{Context, Generation, MemberId, NextHopId, Place, Tick, VrfId};
use crate::packet::transport::tcp;
use crate::packet::tuple::protocol;
use crate::port::BURST;
use crate::tables::{Group, Kept, Snapshot};

/// What a half has that never had a next hop.
pub(super) const NONE: Kept = Kept { member: MemberId(0), next_hop: NO_HOP };

/// What the stages of one burst share.
pub struct Lookup<'a> {
    pub snapshot: &'a Snapshot,
    pub flows: &'a FlowTable,
    pub notes: &'a Notes,
    /// The heads that it decided.
    pub heads: &'a mut Heads,
    pub accounts: &'a Accounts,
    pub counters: &'a Counters,
    /// Its index.
    pub worker: usize,
    pub routes: &'a RouteHits,
    pub now: Tick,
    /// New flows, by [`Work::charge`].
    pub budgets: &'a mut [Budget],
    pub budget: u32,
    pub eviction: &'a mut Eviction,
    /// How many decisions were made.
    pub decided: &'a mut u32,
    /// Packets of flows that forward, of which something changed since they were decided.
    pub outdated: &'a mut u32,
    /// Who paid last.
    pub payer: (Context, Purse<'a>),
}

/// Gives every classified frame its key and hash, and touches its bucket; frames of packet-mode VRFs are decided at once.
pub fn prepare(snapshot: &Snapshot, flows: &FlowTable, burst: &mut [Work]) {
    for work in burst.iter_mut().filter(|work| matches!(work.fate, Fate::Pending)) {
        let Some(found) = &work.classified else { continue };
        let key = key_of(found);
        if let Some(key) = &key {
            work.hash = flows.hash(key);
        }
        work.key = key;
        work.fate = match packet_mode::fate(snapshot, found, key.as_ref()) {
            Some(fate) => fate,
            None if key.is_none() => Fate::Drop(DropReason::IcmpErrorNoFlow, Culprit::Frame),
            None => Fate::Pending,
        };
        if fragments::is_later(found) {
            // it has no ports: its head's key is found out in order
            work.key = None;
        }
        if let (Fate::Pending, Some(key)) = (&work.fate, &work.key) {
            flows.prefetch(key, work.hash);
        }
    }
}

/// Finds the entries of all frames that are pending: asks for all of them first. Returns the newest stamp: a worker whose snapshot is older
/// takes the current one before it acts.
pub fn lookup(flows: &FlowTable, burst: &mut [Work]) -> u64 {
    let mut newest = 0;
    for burst in burst.chunks_mut(BURST) {
        let mut candidates = [NOWHERE; BURST];
        for (work, candidate) in burst.iter().zip(&mut candidates) {
            if let (Fate::Pending, Some(key)) = (work.fate, &work.key) {
                *candidate = flows.candidate(key, work.hash);
            }
        }
        for (work, &candidate) in burst.iter_mut().zip(&candidates) {
            if let (Fate::Pending, Some(key)) = (work.fate, &work.key) {
                work.found = flows.find_at(key, work.hash, candidate);
                newest = work.found.map_or(newest, |(_, entry)| newest.max(entry.stamp));
            }
        }
    }
    Decided(newest).generation()
}

impl<'a> Lookup<'a> {
    /// Decides every frame that is pending, in order.
    pub fn decide_all(&mut self, burst: &mut [Work]) {
        let is_new = |work: &Work| matches!(work.fate, Fate::Pending) && work.found.is_none();
        for burst in burst.chunks_mut(BURST) {
            if burst.iter().any(is_new) {
                self.decide_foreseen(burst);
            } else {
                burst.iter_mut().for_each(|work| self.decide_in_turn(work, None));
            }
        }
    }

    /// Of a burst in which some have no flow: these are decided first.
    fn decide_foreseen(&mut self, burst: &mut [Work]) {
        let mut foreseen = [const { None }; BURST];
        for (work, foreseen) in burst.iter().zip(&mut foreseen) {
            if let (Fate::Pending, None, Some(found), Some(key)) = (work.fate, work.found, &work.classified, &work.key)
            {
                let may = self.admit(found).is_ok() && self.may_decide(found, work.charge);
                *self.decided += u32::from(may);
                let hashed = (key, work.hash);
                let decide = || Foreseen::decided(self.snapshot, self.flows, found, hashed, self.counting());
                *foreseen = may.then(decide);
            }
        }
        ask_for_room(self.flows, &foreseen);
        for (work, foreseen) in burst.iter_mut().zip(&foreseen) {
            self.decide_in_turn(work, foreseen.as_ref());
            if let (Some(foreseen), Some(found), Some(key)) = (foreseen, &work.classified, &work.key)
                && !foreseen.is_taken()
            {
                take_back(self.snapshot, found, key, self.counting());
            }
        }
    }

    fn decide_in_turn(&mut self, work: &mut Work, foreseen: Option<&Foreseen>) {
        match (work.fate, &work.classified, &work.key) {
            (Fate::Pending, Some(found), _) if found.packet.fragment => self.decide_fragment(work, foreseen),
            (Fate::Pending, Some(found), Some(key)) => work.fate = self.decide_one(found, key, work, foreseen),
            (_, Some(found), _) if found.packet.fragment => self.pass_head(found, work),
            _ => {}
        }
    }

    pub(super) fn decide_one(
        &mut self,
        found: &Classified,
        key: &FlowKey,
        work: &Work,
        foreseen: Option<&Foreseen>,
    ) -> Fate {
        match self.fate(found, key, work, foreseen) {
            Fate::Forward(next_hop) if is_error(found) => self.error_way(found, next_hop),
            fate => fate,
        }
    }

    /// An ICMP error to who began the flow, or answers it, goes the flow's way, if it came as its packets do: bridged or routed.
    fn error_way(&self, found: &Classified, next_hop: NextHopId) -> Fate {
        let row = self.snapshot.next_hops.row(next_hop.index());
        match found.named(false) {
            Named::Bridged(Some(station)) => return Fate::Forward(station),
            _ if row.is_none_or(|row| !row.kind.takes_frames()) => return Fate::Forward(next_hop),
            _ => {}
        }
        let choose = |group: &Group| self.snapshot.choose(group, &found.packet.ends());
        let way = self.snapshot.resolve(found.vrf, found.packet.destination, choose, |_, _| {});
        match way.map_err(lost) {
            Err((reason, vrf)) => Fate::Drop(reason, Culprit::Vrf(vrf)),
            Ok(way) => match leave(self.snapshot, way.next_hop) {
                Err(reason) => Fate::Drop(reason, Culprit::NextHop(way.next_hop)),
                Ok(None) => Fate::Punt(Why::ForUs(found.vrf)),
                Ok(Some(_)) => Fate::Forward(way.next_hop),
            },
        }
    }

    fn fate(&mut self, found: &Classified, key: &FlowKey, work: &Work, foreseen: Option<&Foreseen>) -> Fate {
        // a packet before this one in the burst may have installed the flow; or moved it, which an ICMP error does not notice by counting
        let before = work.found.filter(|_| !is_error(found));
        let Some((handle, entry)) = before.or_else(|| self.flows.find(key, work.hash)) else {
            self.counters.worker.flow_misses.add(1);
            return self.set_up(found, key, work.charge, foreseen);
        };
        self.counters.worker.flow_hits.add(1);
        if let Some(fate) = self.hit(found, key, (handle, &entry), work.charge) {
            return fate;
        }
        // or have ended it, to set it up anew
        let again = self.flows.find(key, work.hash);
        let fate = again.and_then(|(handle, entry)| self.hit(found, key, (handle, &entry), work.charge));
        fate.unwrap_or_else(|| self.miss(found, key, work.charge))
    }

    /// The fate of a packet of this flow; `None`: the flow is gone meanwhile, or decided anew.
    fn hit(
        &mut self,
        found: &Classified,
        key: &FlowKey,
        (handle, entry): (Handle, &Entry),
        charge: usize,
    ) -> Option<Fate> {
        if let Some(closing) = self.reopens(found, key, handle, entry) {
            self.end(key, closing);
            return Some(self.miss(found, key, charge));
        }
        if self.is_valid(found, key, entry) {
            // not if a packet before this one in the burst, or another worker, had it decided anew since it was looked up
            let (bytes, bits) = (u32::from(found.packet.length), state_bits(found.packet.tcp_flags()));
            let stands =
                is_error(found) || self.flows.touch_decided(key, handle, entry.half(), bytes, self.now.0, bits);
            return stands.then_some(Fate::Forward(NextHopId(entry.next_hop)));
        }
        *self.outdated += u32::from(entry.verdict == 0);
        let pair = self.flows.pair_of(key, handle)?;
        Some(self.revalidate(found, key, pair, charge))
    }

    /// Counts a packet to the flow that has just been decided. (An ICMP error is neither traffic of the flow that it quotes nor an answer
    /// to it.)
    pub(super) fn use_entry(
        &self,
        found: &Classified,
        key: &FlowKey,
        handle: Handle,
        verdict: u8,
        next_hop: NextHopId,
    ) -> Fate {
        if !is_error(found) {
            let bits = state_bits(found.packet.tcp_flags());
            self.flows.touch(key, handle, u32::from(found.packet.length), self.now.0, bits);
        }
        match verdict.checked_sub(1).and_then(DropReason::numbered) {
            None => Fate::Forward(next_hop),
            Some(reason) => Fate::Drop(reason, Culprit::NextHop(next_hop)),
        }
    }

    /// The entry forwards, and nothing that the decision rests on has changed since it was made. (A refusal is decided again for each
    /// packet, as that of a packet without a flow is: what may lift it need not be in the entry.)
    fn is_valid(&self, found: &Classified, key: &FlowKey, entry: &Entry) -> bool {
        if entry.verdict != 0 {
            return false;
        }
        let place = match found.place {
            Place::Vif(vif) => self.snapshot.vifs.row(vif.index()).map(|vif| vif.stamp),
            Place::Tunnel(_) => Some(Generation(0)),
        };
        let vrf = self.snapshot.vrfs.row(found.vrf.index());
        let next_hop = self.snapshot.next_hops.row(entry.next_hop as usize).map(|row| Generation(row.last()));
        let (Some(place), Some(vrf), Some(next_hop)) = (place, vrf, next_hop) else { return false };
        let decided = Decided(entry.stamp).generation();
        let same_way = is_error(found) || found.named(entry.initiator) == Named::of(entry);
        let routes_stand = decided >= vrf.stamp.0 || decided >= self.routed_since(vrf.id, key, entry.initiator);
        decided >= place.max(vrf.base).max(next_hop).0 && routes_stand && same_way
    }

    /// When the routes that this direction's decision rests on may have changed last: that to its destination, and for answers also that of
    /// what they answer.
    fn routed_since(&self, vrf: VrfId, key: &FlowKey, initiator: bool) -> u64 {
        let (tuple, _) = key.parts();
        let stripes = &self.snapshot.stripes;
        let there = stripes.last(vrf, tuple.destination);
        if initiator { there } else { there.max(stripes.last(vrf, tuple.source)) }
    }

    /// A new SYN on a connection that is closing is a new flow (RFC 9293, section 3.6.1): the pair that gives way to it. (Another handle
    /// than the one given when a packet before this one in the burst has moved the flow.)
    fn reopens(&self, found: &Classified, key: &FlowKey, handle: Handle, entry: &Entry) -> Option<Handle> {
        let flags = found.packet.tcp_flags();
        let may = flags & (tcp::SYN | tcp::ACK) == tcp::SYN && entry.packets > 0;
        let pair = may.then(|| self.flows.pair_of(key, handle))??;
        lifetime::state(&pair).is_closing().then_some(pair.handle)
    }

    /// A packet without a flow: judged by its own tuple, and both halves installed.
    pub(super) fn miss(&mut self, found: &Classified, key: &FlowKey, charge: usize) -> Fate {
        self.set_up(found, key, charge, None)
    }

    /// Whether a packet may have a flow at all.
    fn admit(&self, found: &Classified) -> Result<(), DropReason> {
        if is_error(found) {
            return Err(DropReason::IcmpErrorNoFlow);
        }
        let opens = found.packet.tcp_flags() & (tcp::SYN | tcp::ACK) == tcp::SYN;
        let strict = self.snapshot.tcp_strict && found.packet.protocol == protocol::TCP;
        if strict && !opens { Err(DropReason::TcpNotSyn) } else { Ok(()) }
    }

    /// Who pays for what enters, or is held, there: the same for most packets of a burst.
    #[inline]
    fn purse(&mut self, place: Place) -> Purse<'a> {
        let context = Context::from(place);
        if self.payer.0 != context {
            self.payer = (context, Purse::of(self.snapshot, place));
        }
        self.payer.1
    }

    /// Whether a decision about a packet without a flow is within the bounds of whom it is charged to.
    fn may_decide(&mut self, found: &Classified, charge: usize) -> bool {
        let purse = self.purse(found.place);
        self.accounts.has(&purse, Rate::NewFlows, self.now) && self.budgets[charge].may_have(self.now)
    }

    /// Ends a flow pair, unless it has ended.
    pub(super) fn end(&self, key: &FlowKey, handle: Handle) {
        self.flows.end(self.accounts, key, handle);
    }

    fn set_up(&mut self, found: &Classified, key: &FlowKey, charge: usize, foreseen: Option<&Foreseen>) -> Fate {
        if let Err(reason) = self.admit(found) {
            return Fate::Drop(reason, Culprit::Frame);
        }
        let purse = self.purse(found.place);
        if !self.accounts.take(&purse, Rate::NewFlows, self.now) {
            return Fate::Drop(DropReason::NewFlowQuota, Culprit::Frame);
        }
        if !self.budgets[charge].take(self.budget, self.now) {
            return Fate::Drop(DropReason::FlowBudget, Culprit::Frame);
        }
        let now;
        let foreseen = match foreseen {
            Some(foreseen) => foreseen,
            None => {
                *self.decided += 1;
                let hashed = (key, self.flows.hash(key));
                now = Foreseen::decided(self.snapshot, self.flows, found, hashed, self.counting());
                &now
            }
        };
        let answer = &foreseen.answer;
        foreseen.take();
        self.judge_by_shadow(|| asked(found, key), answer);
        let next_hop = match answer.forward {
            Verdict::Local => return Fate::Punt(Why::ForUs(found.vrf)),
            Verdict::Drop(DropReason::NoRoute) => {
                return Fate::DropAndTell(DropReason::NoRoute, answer.culprit, Why::NoRoute(found.vrf));
            }
            Verdict::Drop(reason) => return Fate::Drop(reason, answer.culprit),
            Verdict::Forward(next_hop) => next_hop,
        };
        let set = state_bits(found.packet.tcp_flags());
        let first = Packet { bytes: found.packet.length.into(), now: self.now.0, set };
        match self.install(key, foreseen, [found.named(true), found.answers()], Some(first)) {
            Ok(_) => Fate::Forward(next_hop),
            Err(reason) => Fate::Drop(reason, Culprit::Frame),
        }
    }

    /// Installs the pair of a decision; room is made by eviction. A pair that has its reverse key already is stale and gives way when the
    /// answers' route leads to this initiator; else the packet is from a wrong place, goes its way, and gets no flow (`Ok(None)`). The first
    /// packet, if there is one, is counted to it.
    pub(super) fn install(
        &mut self,
        key: &FlowKey,
        foreseen: &Foreseen,
        named: [Named; 2],
        first: Option<Packet>,
    ) -> Result<Option<Handle>, DropReason> {
        let Foreseen { answer, reverse, hashes, .. } = foreseen;
        let context = key.context();
        let halves = (self.half(answer, 0, NONE), self.half(answer, 1, named[1].kept(NONE)));
        let purse = self.purse(answer.owner);
        let foreign = || answer.reverse_exit != Some(context.into());
        let mut refused = DropReason::FlowTableFull;
        for _ in 0..4 {
            if let Err(scope) = self.accounts.hold(&purse) {
                // who gets no flow takes nobody's place
                if foreign() && self.flows.find(reverse, hashes[1]).is_some() {
                    return Ok(None);
                }
                self.make_way(key, &purse, scope)?;
                refused = DropReason::FlowQuota;
                continue;
            }
            let Owner(owner) = purse.owner;
            let pair = ((key, halves.0), (reverse, halves.1));
            let installed = self.flows.insert(pair.0, pair.1, *hashes, owner, self.now.0, first);
            if installed.is_err() {
                self.accounts.release(purse.owner);
            }
            match installed {
                Err(InsertError::Exists(handle)) => {
                    if let Some(Packet { bytes, now, set }) = first {
                        self.flows.touch(key, handle, bytes, now, set);
                    }
                    return Ok(Some(handle));
                }
                Ok(handle) => {
                    self.accounts.began(purse.owner, key.is_wide(), handle);
                    for (half, named) in [handle, handle.partner()].into_iter().zip(named) {
                        if named != Named::Routed {
                            self.flows.set_state(key, half, named.bits());
                        }
                    }
                    return Ok(Some(handle));
                }
                Err(InsertError::ReverseTaken(_)) if foreign() => return Ok(None),
                Err(InsertError::ReverseTaken(stale)) => self.end(reverse, stale),
                Err(InsertError::Full) => {
                    self.evict(key, purse.owner)?;
                    refused = DropReason::FlowTableFull;
                }
            }
        }
        Err(refused)
    }

    /// One direction's verdict (0: the initiator's) as an entry holds it; a drop keeps the next hop whose change may lift it, and the
    /// member, with which the flow then goes on.
    pub(super) fn half(&self, answer: &Answer, direction: usize, before: Kept) -> Half {
        let (next_hop, member, verdict) = match [answer.forward, answer.reverse][direction] {
            Verdict::Forward(next_hop) => (next_hop, answer.members[direction], 0),
            Verdict::Drop(reason) => (before.next_hop, before.member, reason as u8 + 1),
            Verdict::Local => (before.next_hop, before.member, DropReason::LocalUnanswered as u8 + 1),
        };
        Half { stamp: Decided::new(self.snapshot.generation, member).0, next_hop: next_hop.0, verdict }
    }
}
