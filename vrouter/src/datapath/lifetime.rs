//! How long a pair lives, and who goes first when the table is full (design, section 5b).

use flowtable::{Batch, FlowTable, Glance, Outline, Pairs};

use super::quota::{Accounts, Owner, Scope};
use super::table::{FlowKey, FlowPair};
use super::{Shared, Worker};
use crate::ids::Tick;
use crate::packet::transport::tcp;
use crate::packet::tuple::protocol;
use crate::tables::Lifetimes;

/// Bits of an entry's state: what its direction has seen.
mod seen {
    pub const SYN: u16 = 1;
    pub const FIN: u16 = 2;
    pub const RST: u16 = 4;
    pub const ACK: u16 = 8;
}

/// Bit of an initiator's state: a label named its next hop, not a route.
pub const LABELLED: u16 = 16;
/// Bit of a direction's state: its frames are bridged.
pub const BRIDGED: u16 = 32;

/// A pair's phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TCP before both sides have acknowledged.
    Opening,
    Established,
    /// TCP after a reset, or a FIN from both sides.
    Closing,
    /// Other protocols, one-way so far.
    Unanswered,
    Answered,
}

impl State {
    /// For people and programs.
    pub fn name(self) -> &'static str {
        match self {
            State::Opening => "opening",
            State::Established => "established",
            State::Closing => "closing",
            State::Unanswered => "unanswered",
            State::Answered => "answered",
        }
    }

    /// May be re-opened, and goes first when room is needed.
    pub fn is_closing(self) -> bool {
        self == State::Closing
    }
}

/// The state bits that a packet with these TCP flags sets.
#[inline]
pub fn state_bits(flags: u8) -> u16 {
    let bit = |flag: u8, bit: u16| if flags & flag != 0 { bit } else { 0 };
    bit(tcp::SYN, seen::SYN) | bit(tcp::FIN, seen::FIN) | bit(tcp::RST, seen::RST) | bit(tcp::ACK, seen::ACK)
}

/// A pair's phase.
pub fn state(pair: &FlowPair) -> State {
    let (FlowKey::V4(flowtable::Key { tag, .. }) | FlowKey::V6(flowtable::Key { tag, .. })) = pair.forward.0;
    phase(tag, &pair.forward.1.glance(), &pair.reverse.1.glance())
}

#[inline]
fn phase(tag: u16, forward: &Glance, reverse: &Glance) -> State {
    if tag != u16::from(protocol::TCP) {
        return if reverse.packets > 0 { State::Answered } else { State::Unanswered };
    }
    let (either, both) = (forward.state | reverse.state, forward.state & reverse.state);
    if either & seen::RST != 0 || both & seen::FIN != 0 {
        State::Closing
    } else if both & seen::ACK != 0 {
        State::Established
    } else {
        State::Opening
    }
}

fn lifetime(tag: u16, state: State, lifetimes: &Lifetimes) -> u32 {
    let icmp = [u16::from(protocol::ICMP), u16::from(protocol::ICMPV6)].contains(&tag);
    match state {
        State::Opening => lifetimes.tcp_opening,
        State::Established => lifetimes.tcp_established,
        State::Closing => lifetimes.tcp_closing,
        _ if icmp => lifetimes.icmp,
        State::Unanswered => lifetimes.udp_unanswered,
        State::Answered => lifetimes.udp_answered,
    }
}

#[inline]
fn idle(pair: &Outline, now: Tick) -> u32 {
    now.since(Tick(pair.forward.last_seen)).min(now.since(Tick(pair.reverse.last_seen)))
}

impl Worker {
    /// A tenth of a second more: a hundredth of the table is due, shared by the workers.
    pub(super) fn owe_ageing(&mut self, now: Tick) {
        if now != self.now {
            let capacity = self.shared.flows.narrow().capacity().max(self.shared.flows.wide().capacity());
            let due = capacity / (100 * self.shared.workers.len() as u32) + 1;
            self.age_debt = (self.age_debt + due).min(capacity);
            self.now = now;
            self.shared.workers[self.index.index()].victims.set_time(now);
        }
    }

    pub(super) fn age(&mut self) {
        let step = self.age_debt.min(64);
        if step > 0 {
            self.age_debt -= step;
            let lifetimes = &self.snapshot.lifetimes;
            let Shared { flows, accounts, .. } = &*self.shared;
            age(flows, accounts, &mut self.age_cursors, step, lifetimes, self.now);
        }
    }
}

/// Scans up to `budget` pairs of each family from the cursors and removes what has been idle too long. Any worker.
pub fn age(
    flows: &FlowTable,
    accounts: &Accounts,
    cursors: &mut (u32, u32),
    budget: u32,
    lifetimes: &Lifetimes,
    now: Tick,
) -> u32 {
    let expired =
        |pair: &Outline| idle(pair, now) > lifetime(pair.tag, phase(pair.tag, &pair.forward, &pair.reverse), lifetimes);
    flows.narrow().age_each(&mut cursors.0, budget, expired, |pair| accounts.ended(pair))
        + flows.wide().age_each(&mut cursors.1, budget, expired, |pair| accounts.ended(pair))
}

/// Ranks are a class and the time idle.
const CLASS: u32 = 1 << 30;
/// What goes for any owner's pair ranks from here on.
const ANYBODYS: u32 = 2 * CLASS;

/// What goes first: a closing pair, then an unanswered one, then an answered one; of a class the one idle the longest.
#[inline]
fn rank(pair: &Outline, now: Tick) -> u32 {
    let class = match phase(pair.tag, &pair.forward, &pair.reverse) {
        State::Closing => 3,
        State::Opening | State::Unanswered => 2,
        State::Established | State::Answered => 1,
    };
    class * CLASS + idle(pair, now).min(CLASS - 1)
}

/// Makes room for a pair that `owner` is charged for: a closing pair, else an unanswered one, else the owner's own that is idle the
/// longest; never an answered flow of another VIF. A large table loses several closing and unanswered ones at once, for whom the search is
/// made once: it looks at `budget` pairs from the cursor on. False: nothing may go.
pub fn evict(
    flows: &FlowTable,
    accounts: &Accounts,
    key: &FlowKey,
    (cursor, budget): (&mut u32, u32),
    owner: Owner,
    now: Tick,
) -> bool {
    let rank = |pair: &Outline| {
        let rank = rank(pair, now);
        (rank >= ANYBODYS || owner.shares(Owner(pair.owner), Scope::Own)).then_some(rank)
    };
    fn of<const K: usize>(
        pairs: &Pairs<K>,
        accounts: &Accounts,
        (cursor, budget): (&mut u32, u32),
        rank: impl FnMut(&Outline) -> Option<u32>,
    ) -> bool {
        // at most a thousandth of the table
        let batch = Batch { most: (pairs.capacity() / 1024).clamp(1, Batch::MOST), beside: ANYBODYS };
        pairs.evict_each(cursor, budget, batch, rank, |pair| accounts.ended(pair)) > 0
    }
    match key {
        FlowKey::V4(_) => of(flows.narrow(), accounts, (cursor, budget), rank),
        FlowKey::V6(_) => of(flows.wide(), accounts, (cursor, budget), rank),
    }
}

/// Pairs of one holder that a search for the one to go compares.
const COMPARED: usize = 8;

/// The same among the pairs of one holder, or of its tenant, whose quota is used up: one of them goes, of the next few from the cursor on.
pub fn evict_own(
    flows: &FlowTable,
    accounts: &Accounts,
    (wide, cursor): (bool, &mut u32),
    (owner, scope): (Owner, Scope),
    now: Tick,
) -> bool {
    fn of<const K: usize>(
        pairs: &Pairs<K>,
        accounts: &Accounts,
        places: &[u32],
        (owner, scope): (Owner, Scope),
        now: Tick,
    ) -> bool {
        places.iter().for_each(|&place| pairs.prefetch_pair(place));
        let own = places.iter().filter_map(|&place| pairs.outline(place));
        let own = own.filter(|(_, pair)| owner.shares(Owner(pair.owner), scope));
        let gone = own.max_by_key(|(_, pair)| rank(pair, now)).and_then(|(handle, _)| pairs.take(handle));
        gone.inspect(|pair| accounts.ended(pair)).is_some()
    }
    let mut places = [0; COMPARED];
    let count = accounts.look_for(owner, scope, wide, cursor, &mut places);
    let places = &places[..count];
    if wide {
        of(flows.wide(), accounts, places, (owner, scope), now)
    } else {
        of(flows.narrow(), accounts, places, (owner, scope), now)
    }
}
