//! The neighbour table of the fabric: who is asked for, who answered, and the frames that wait; by ARP (RFC 826, RFC 1122 2.3.2) and
//! by neighbour discovery (RFC 4861, section 7).
//!
//! ```text
//! Incomplete ──reply──▶ Reachable ──3 s before its end──▶ Probing ──reply──▶ Reachable
//!     │ 3 requests to all unanswered ▲                       │ 3 unicast probes unanswered: Forget
//!     ▼                              └──reply── Incomplete ◀─┘
//!   Failed (if wanted: Forget; asked again, ever more seldom; a frame that comes starts over)   else removed
//! ```
//!
//! Who says a MAC unasked (RFC 4861's STALE) is believed, and probed at once.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use smoltcp::wire::ArpOperation;

use super::{Outcome, Output, Punt, emit, nd};
use crate::drops::DropReason;
use crate::ids::{Generation, Mac, Place, VifId};
use crate::packet::ip::is_host;
use crate::tables::{Snapshot, Vif, VifKind};

/// How long an answer is believed (RFC 4861, section 10).
const REACHABLE_MS: u64 = 30_000;
/// Between two requests to one neighbour; also what RFC 1122, 2.3.2.1 allows at most.
const RETRANS_MS: u64 = 1000;
/// Requests in a row.
const TRIES: u32 = 3;
/// Probes of neighbours learnt together start spread over this time.
const SPREAD_MS: u64 = 4096;
/// A failed neighbour that is wanted is asked each `RETRANS_MS << n`, at most this `n`.
const MAX_BACK_OFF: u32 = 5;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Neighbours.
    pub neighbours: usize,
    /// Frames that wait, in all.
    pub held: usize,
    /// Frames that wait for one neighbour; a newer one takes the oldest one's place (RFC 4861, section 7.2.2).
    pub held_per_neighbour: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { neighbours: 4096, held: 1024, held_per_neighbour: 16 }
    }
}

/// A neighbour, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    pub vif: VifId,
    pub address: IpAddr,
    /// Known while reachable or probing.
    pub mac: Option<Mac>,
    pub state: NeighbourState,
    /// Frames that wait for it.
    pub held: usize,
}

/// Where a neighbour stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Asked for, or about to be; nobody answered yet.
    Incomplete,
    Reachable,
    /// Still used, asked again before it expires.
    Probing,
}

/// Why a neighbour cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    #[error("no host can have this address")]
    NoHost,
    #[error("the neighbour table is full")]
    Full,
}

/// A frame that waits, as it was received.
pub(super) struct Held {
    place: Place,
    bytes: Vec<u8>,
}

impl Held {
    pub(super) fn of(punt: &Punt<'_>) -> Held {
        Held { place: punt.place, bytes: punt.frame.to_vec() }
    }

    fn replayed(self) -> Output {
        Output::Replay { bytes: self.bytes }
    }

    fn dropped(self, reason: DropReason) -> Output {
        let vif = if let Place::Vif(vif) = self.place { Some(vif) } else { None };
        Output::Dropped(reason, vif, self.bytes)
    }
}

/// A neighbour: its fabric VIF and address.
pub(super) type Key = (VifId, IpAddr);

/// What a neighbour advertisement says of its target (RFC 4861, section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advert {
    pub(super) mac: Option<Mac>,
    pub(super) solicited: bool,
    pub(super) overrides: bool,
}

/// The table.
pub(super) struct Neighbours {
    limits: Limits,
    entries: BTreeMap<Key, Entry>,
    held: usize,
    /// Nothing is due before.
    next_due: u64,
    /// The snapshot that the entries' VIFs were last checked against.
    generation: Option<Generation>,
}

struct Entry {
    state: State,
    wanted: bool,
    /// When it was last asked.
    asked_at: Option<u64>,
    /// When `state` wants attention.
    due: u64,
    /// When a frame last waited for it.
    used_at: u64,
    hold: VecDeque<Held>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Incomplete { tries: u32 },
    Failed { rounds: u32 },
    Reachable { mac: Mac },
    Probing { mac: Mac, tries: u32 },
}

impl Entry {
    fn new(wanted: bool, due: u64) -> Entry {
        Entry {
            state: State::Incomplete { tries: 0 },
            wanted,
            asked_at: None,
            due,
            used_at: due,
            hold: VecDeque::new(),
        }
    }

    fn mac(&self) -> Option<Mac> {
        match self.state {
            State::Reachable { mac } | State::Probing { mac, .. } => Some(mac),
            State::Incomplete { .. } | State::Failed { .. } => None,
        }
    }

    /// The earliest time at which it may be asked again.
    fn may_ask_at(&self, now: u64) -> u64 {
        self.asked_at.map_or(now, |at| now.max(at + RETRANS_MS))
    }
}

impl Neighbours {
    pub(super) fn new(limits: Limits) -> Neighbours {
        Neighbours { limits, entries: BTreeMap::new(), held: 0, next_due: u64::MAX, generation: None }
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Neighbour> {
        self.entries.iter().map(|(&(vif, address), entry)| Neighbour {
            vif,
            address,
            mac: entry.mac(),
            state: match entry.state {
                State::Incomplete { .. } | State::Failed { .. } => NeighbourState::Incomplete,
                State::Reachable { .. } => NeighbourState::Reachable,
                State::Probing { .. } => NeighbourState::Probing,
            },
            held: entry.hold.len(),
        })
    }

    pub(super) fn want(&mut self, vif: VifId, address: IpAddr) -> Result<Option<Mac>, Unwanted> {
        if let Some(entry) = self.entries.get_mut(&(vif, address)) {
            entry.wanted = true;
            return Ok(entry.mac());
        }
        if !is_host(address) {
            return Err(Unwanted::NoHost);
        }
        if self.entries.len() >= self.limits.neighbours {
            return Err(Unwanted::Full);
        }
        self.entries.insert((vif, address), Entry::new(true, 0));
        self.next_due = 0;
        Ok(None)
    }

    pub(super) fn go_on_with(&mut self, key: Key, mac: Mac, now: u64) {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.limits.neighbours {
            return;
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(false, now));
        if entry.mac().is_none() && entry.hold.is_empty() {
            (entry.state, entry.due) = (State::Probing { mac, tries: 0 }, now);
            self.next_due = self.next_due.min(now);
        }
    }

    pub(super) fn unwant(&mut self, vif: VifId, address: IpAddr) {
        let Some(entry) = self.entries.get_mut(&(vif, address)) else { return };
        entry.wanted = false;
        if entry.mac().is_none() && entry.hold.is_empty() {
            self.entries.remove(&(vif, address));
        }
    }

    /// Holds a frame for a neighbour and asks for it; gives the frame back at once when the neighbour is known.
    pub(super) fn hold(
        &mut self,
        snapshot: &Snapshot,
        key: Key,
        held: Held,
        now: u64,
        out: &mut Vec<Output>,
    ) -> Outcome {
        let Some(vif) = fabric(snapshot, key.0) else { return Outcome::Dropped(DropReason::NextHopGone) };
        if !is_host(key.1) {
            return Outcome::Dropped(DropReason::NeighbourUnresolved);
        }
        if !self.entries.contains_key(&key) && !self.make_room(out) {
            return Outcome::Dropped(DropReason::NeighbourHoldFull);
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(false, now));
        entry.used_at = now;
        if let Some(mac) = entry.mac() {
            // The worker did not see the resolved next hop yet, or the model lost it: say it again.
            out.push(Output::Learn { vif: key.0, address: key.1, mac });
            out.push(held.replayed());
            return Outcome::Held;
        }
        self.next_due = self.next_due.min(entry.due);
        let full = entry.hold.len() >= self.limits.held_per_neighbour || self.held >= self.limits.held;
        match entry.hold.pop_front_if(|_| full) {
            Some(oldest) => out.push(oldest.dropped(DropReason::NeighbourHoldFull)),
            None if full => return Outcome::Dropped(DropReason::NeighbourHoldFull),
            None => self.held += 1,
        }
        entry.hold.push_back(held);
        if let State::Failed { .. } = entry.state {
            (entry.state, entry.due) = (State::Incomplete { tries: 0 }, entry.may_ask_at(now));
        }
        if entry.due <= now && entry.state == (State::Incomplete { tries: 0 }) {
            (entry.state, entry.due) = (State::Incomplete { tries: 1 }, now + RETRANS_MS);
            ask(vif, key.1, None, entry, now, out);
        }
        self.next_due = self.next_due.min(entry.due);
        Outcome::Held
    }

    /// Room for one more neighbour, if need be in place of a resolved one that the model does not want.
    fn make_room(&mut self, out: &mut Vec<Output>) -> bool {
        if self.entries.len() < self.limits.neighbours {
            return true;
        }
        let spare = self.entries.iter().filter(|(_, entry)| !entry.wanted && entry.mac().is_some());
        let Some((&key, _)) = spare.min_by_key(|(_, entry)| entry.used_at) else { return false };
        self.entries.remove(&key);
        out.push(Output::Forget { vif: key.0, address: key.1 });
        true
    }

    /// A neighbour said in ARP what its MAC is. False: nobody asked for it, nothing is learnt.
    pub(super) fn heard(&mut self, key: Key, mac: Mac, now: u64, out: &mut Vec<Output>) -> bool {
        let known = self.entries.contains_key(&key);
        if known {
            self.settle(key, mac, true, now, out);
        }
        known
    }

    /// A neighbour's solicitation told its MAC (RFC 4861, section 7.2.3). False: nobody asked for it, nothing is learnt.
    pub(super) fn mentioned(&mut self, key: Key, mac: Mac, now: u64, out: &mut Vec<Output>) -> bool {
        let Some(entry) = self.entries.get(&key) else { return false };
        if entry.mac() != Some(mac) {
            self.settle(key, mac, false, now, out);
        }
        true
    }

    /// A neighbour advertisement about this neighbour (RFC 4861, section 7.2.5). False: it means nothing to us.
    pub(super) fn advertised(&mut self, key: Key, advert: Advert, now: u64, out: &mut Vec<Output>) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let known = entry.mac();
        let Some(mac) = advert.mac.or(known) else { return false };
        let other = known.is_some_and(|known| known != mac);
        match entry.state {
            State::Reachable { mac } if other && !advert.overrides => {
                // two claim the address: whom we know keeps it, if it is there
                (entry.state, entry.due) = (State::Probing { mac, tries: 0 }, entry.may_ask_at(now));
                self.next_due = self.next_due.min(entry.due);
            }
            _ if other && !advert.overrides => {}
            _ if advert.solicited || known != Some(mac) => self.settle(key, mac, advert.solicited, now, out),
            _ => {}
        }
        true
    }

    /// Notes the MAC of a neighbour that is in the table and lets its frames go. Who was not `confirmed` to be there is probed.
    fn settle(&mut self, key: Key, mac: Mac, confirmed: bool, now: u64, out: &mut Vec<Output>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.mac() != Some(mac) {
            out.push(Output::Learn { vif: key.0, address: key.1, mac });
        }
        if confirmed {
            entry.state = State::Reachable { mac };
            entry.due = now + REACHABLE_MS - RETRANS_MS * u64::from(TRIES) - spread(key.1);
        } else {
            (entry.state, entry.due) = (State::Probing { mac, tries: 0 }, entry.may_ask_at(now));
        }
        self.next_due = self.next_due.min(entry.due);
        self.held -= entry.hold.len();
        out.extend(entry.hold.drain(..).map(Held::replayed));
    }

    /// Lets the frames go of which `goes` says that they need this neighbour no more.
    pub(super) fn release(&mut self, goes: impl Fn(VifId, IpAddr, &[u8]) -> bool, out: &mut Vec<Output>) {
        for (&(vif, address), entry) in &mut self.entries {
            let (gone, stays): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut entry.hold).into_iter().partition(|held| goes(vif, address, &held.bytes));
            entry.hold = stays;
            self.held -= gone.len();
            out.extend(gone.into_iter().map(Held::replayed));
        }
    }

    pub(super) fn tick(&mut self, snapshot: &Snapshot, now: u64, out: &mut Vec<Output>) {
        let seen = self.generation == Some(snapshot.generation);
        if seen && now < self.next_due {
            return;
        }
        self.generation = Some(snapshot.generation);
        let held = &mut self.held;
        self.entries.retain(|&key, entry| {
            let keep = match fabric(snapshot, key.0) {
                Some(vif) if entry.due <= now => act(vif, key.1, entry, now, held, out),
                Some(_) => true,
                None => without_vif(key, entry, now, held, out),
            };
            keep || entry.wanted
        });
        self.next_due = self.entries.values().map(|entry| entry.due).min().unwrap_or(u64::MAX);
    }
}

/// Does what is due for one neighbour; false when it may go.
fn act(vif: &Vif, address: IpAddr, entry: &mut Entry, now: u64, held: &mut usize, out: &mut Vec<Output>) -> bool {
    match entry.state {
        State::Reachable { mac } => {
            (entry.state, entry.due) = (State::Probing { mac, tries: 1 }, now + RETRANS_MS);
            ask(vif, address, Some(mac), entry, now, out);
        }
        State::Probing { mac, tries } if tries < TRIES => {
            (entry.state, entry.due) = (State::Probing { mac, tries: tries + 1 }, now + RETRANS_MS);
            ask(vif, address, Some(mac), entry, now, out);
        }
        // It was there a moment ago: perhaps it has a new MAC, so everybody is asked before it is given up.
        State::Probing { .. } => {
            out.push(Output::Forget { vif: vif.id, address });
            (entry.state, entry.due) = (State::Incomplete { tries: 1 }, now + RETRANS_MS);
            ask(vif, address, None, entry, now, out);
        }
        State::Incomplete { tries } if tries < TRIES => {
            (entry.state, entry.due) = (State::Incomplete { tries: tries + 1 }, now + RETRANS_MS);
            ask(vif, address, None, entry, now, out);
        }
        State::Incomplete { .. } => {
            if entry.wanted {
                out.push(Output::Forget { vif: vif.id, address });
            }
            drop_all(entry, DropReason::NeighbourUnresolved, held, out);
            (entry.state, entry.due) = (State::Failed { rounds: 1 }, now + (RETRANS_MS << 1));
            return entry.wanted;
        }
        State::Failed { rounds } => {
            let rounds = MAX_BACK_OFF.min(rounds + 1);
            (entry.state, entry.due) = (State::Failed { rounds }, now + (RETRANS_MS << rounds));
            ask(vif, address, None, entry, now, out);
        }
    }
    true
}

/// The VIF is gone, or not there yet: nothing can be asked.
fn without_vif((vif, address): Key, entry: &mut Entry, now: u64, held: &mut usize, out: &mut Vec<Output>) -> bool {
    if entry.mac().is_some() {
        out.push(Output::Forget { vif, address });
    }
    drop_all(entry, DropReason::NextHopGone, held, out);
    (entry.state, entry.due) = (State::Incomplete { tries: 0 }, now + RETRANS_MS);
    false
}

fn drop_all(entry: &mut Entry, reason: DropReason, held: &mut usize, out: &mut Vec<Output>) {
    *held -= entry.hold.len();
    out.extend(entry.hold.drain(..).map(|frame| frame.dropped(reason)));
}

/// An ARP request or neighbour solicitation: to everybody, or to the MAC that is known.
fn ask(vif: &Vif, address: IpAddr, mac: Option<Mac>, entry: &mut Entry, now: u64, out: &mut Vec<Output>) {
    // Without an address of ours the request would be a probe, which says we want theirs.
    let bytes = match (address, nearest(vif, address)) {
        (IpAddr::V4(target), Some(IpAddr::V4(ours))) => {
            let (sender, target) = ((vif.our_mac, ours), (Mac::default(), target));
            let request = emit::Arp { operation: ArpOperation::Request, sender, target };
            emit::arp(mac.unwrap_or(Mac::BROADCAST), &request)
        }
        (IpAddr::V6(target), Some(IpAddr::V6(ours))) => nd::solicitation((vif.our_mac, ours), target, mac),
        _ => return,
    };
    entry.asked_at = Some(now);
    out.push(Output::Frame { vif: vif.id, bytes });
}

/// The address of the VIF that shares most leading bits with `neighbour`: the one on its subnet.
fn nearest(vif: &Vif, neighbour: IpAddr) -> Option<IpAddr> {
    let ours = vif.addresses.iter().filter(|address| address.is_ipv4() == neighbour.is_ipv4());
    ours.min_by_key(|ours| bits(**ours) ^ bits(neighbour)).copied()
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Part of [`SPREAD_MS`], by address.
fn spread(address: IpAddr) -> u64 {
    let folded = (0..4).fold(0, |folded, word| folded ^ (bits(address) >> (32 * word)) as u32);
    u64::from(folded.wrapping_mul(0x9e37_79b1) >> 16) % SPREAD_MS
}

fn fabric(snapshot: &Snapshot, vif: VifId) -> Option<&Vif> {
    snapshot.vifs.row(vif.index()).filter(|vif| vif.kind == VifKind::Fabric)
}
