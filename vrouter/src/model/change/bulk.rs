//! Plain routes that follow each other, made together: first each is read, checked and given its numbers, in their order; then those of each
//! VRF are made by address, so that they go through the table from one end to the other.
//!
//! What comes of it is what comes of one after the other, or nothing: if one is refused, or a limit might be exceeded on the way, it is for
//! the caller to make them one after the other, and so to find out which and why.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;

use super::route;
use crate::api::{PlainRoute, Verb};
use crate::ids::{NextHopId, VrfId};
use crate::model::journal::Undo;
use crate::model::read;
use crate::model::records::{Hop, Prefix};
use crate::model::routes::{Change, RouteTable, Source, Turned};
use crate::model::state::{ChangedRoutes, State};

/// Changes of one family of so many are sorted digit by digit: where fewer are compared, that is faster.
const MANY: usize = 2048;

/// Routes that follow each other in a batch.
pub(in crate::model) struct Run<'a> {
    /// The batch's.
    owner: &'a str,
    of: Vec<OfVrf>,
    places: HashMap<VrfId, usize>,
    /// Each time that another one follows, with how many are put: it has one user more until the end.
    owners: Vec<(u32, u32)>,
    puts: usize,
    last_vrf: Option<(&'a str, usize)>,
    last_owner: Option<&'a str>,
    refused: bool,
}

struct OfVrf {
    vrf: VrfId,
    /// May have tunnels.
    tenant: bool,
    v4: Vec<Change<u32>>,
    v6: Vec<Change<u128>>,
}

impl<'a> Run<'a> {
    /// Without any. The routes are this owner's unless they say whose they are.
    pub fn new(owner: &'a str) -> Run<'a> {
        Run {
            owner,
            of: Vec::new(),
            places: HashMap::new(),
            owners: Vec::new(),
            puts: 0,
            last_vrf: None,
            last_owner: None,
            refused: false,
        }
    }

    /// Adds the next one.
    #[inline]
    pub fn add(&mut self, state: &mut State, route: &PlainRoute<'a>) {
        if !self.refused && self.read(state, route).is_none() {
            self.refused = true;
        }
    }

    fn read(&mut self, state: &mut State, route: &PlainRoute<'a>) -> Option<()> {
        let at = match self.last_vrf {
            Some((name, at)) if name == route.vrf() => at,
            _ => self.place(state, route.vrf())?,
        };
        let prefix = route::prefix_of(route)?;
        let verb = route.verb();
        let owner = self.owner(state, route, verb)?;
        let of = &mut self.of[at];
        let (mut preference, mut next_hop) = (0, NextHopId(0));
        if verb != Verb::Delete {
            let tunnel = route.tunnel().filter(|_| of.tenant && !read::is_link_local(prefix))?;
            let hop = route::tunnel(state, tunnel.remote, Some(&tunnel.encap)).ok()?;
            preference = route::preference(route.preference());
            next_hop = state.take_hop(of.vrf, hop).ok()?;
            self.puts += 1;
        }
        match prefix.address {
            IpAddr::V4(address) => {
                let address = address.to_bits();
                of.v4.push(Change { address, length: prefix.length, verb, owner, preference, next_hop });
            }
            IpAddr::V6(address) => {
                let address = address.to_bits();
                of.v6.push(Change { address, length: prefix.length, verb, owner, preference, next_hop });
            }
        }
        Some(())
    }

    fn place(&mut self, state: &State, name: &'a str) -> Option<usize> {
        let record = state.vrf(name).ok()?;
        let of = &mut self.of;
        let at = *self.places.entry(record.id).or_insert_with(|| {
            let tenant = state.fabric_use(record.id).is_none();
            of.push(OfVrf { vrf: record.id, tenant, v4: Vec::new(), v6: Vec::new() });
            of.len() - 1
        });
        self.last_vrf = Some((name, at));
        Some(at)
    }

    fn owner(&mut self, state: &mut State, route: &PlainRoute<'a>, verb: Verb) -> Option<u32> {
        let put = u32::from(verb != Verb::Delete);
        let given = route.owner();
        if let (true, Some((number, puts))) = (self.last_owner == Some(given), self.owners.last_mut()) {
            *puts += put;
            return Some(*number);
        }
        let name = if given.is_empty() { self.owner } else { read::name(given).ok()? };
        if name == route::VIF_OWNER {
            return None;
        }
        if put == 0 && state.owners.number(name).is_none() {
            return None;
        }
        let number = state.owners.take(name, |name| name.into())?;
        self.owners.push((number, put));
        self.last_owner = Some(given);
        Some(number)
    }

    /// Makes all of them; false: none, they are to be made one after the other.
    pub fn make(mut self, state: &mut State) -> bool {
        self.refused |= !self.is_within_limits(state);
        let mark = state.journal.len();
        for of in std::mem::take(&mut self.of) {
            if self.refused {
                let puts4 = of.v4.iter().filter(|change| change.verb != Verb::Delete).map(|change| change.next_hop);
                let puts6 = of.v6.iter().filter(|change| change.verb != Verb::Delete).map(|change| change.next_hop);
                puts4.chain(puts6).for_each(|next_hop| state.hops.release(next_hop.0));
            } else {
                self.refused = !of.make(state);
            }
        }
        if self.refused {
            state.rollback_to(mark);
        }
        self.owners.iter().for_each(|(owner, _)| state.owners.release(*owner));
        !self.refused
    }

    /// That no limit is exceeded whatever comes first.
    fn is_within_limits(&self, state: &State) -> bool {
        let (neighbours, limits) = (state.neighbours.len(), &state.limits);
        state.offers - neighbours + self.puts <= limits.routes
            && state.hops.used() - neighbours <= limits.next_hops
            && state.owners.used() <= limits.owners
    }
}

impl OfVrf {
    /// False: one was refused, and some may be made.
    fn make(mut self, state: &mut State) -> bool {
        let mut table = state.routes.remove(&self.vrf).unwrap_or_default();
        let mut changed = state.dirty.routes.remove(&self.vrf).unwrap_or_default();
        changed.v4.reserve(self.v4.len());
        state.journal.reserve(self.v4.len() + self.v6.len());
        let mut ledger = Ledger { vrf: self.vrf, state, changed, refused: false, gone: Vec::new() };
        let key = |change: &Change<u32>| u64::from(change.address) << 8 | u64::from(change.length);
        if self.v4.len() < MANY {
            self.v4.sort_by_key(key);
        } else {
            radsort::sort_by_key(&mut self.v4, key);
        }
        if self.v6.len() < MANY {
            self.v6.sort_by_key(|change| (change.address, change.length));
        } else {
            // each leaves those in order that are alike
            radsort::sort_by_key(&mut self.v6, |change| change.length);
            radsort::sort_by_key(&mut self.v6, |change| change.address);
        }
        ledger.take_on(&self.v4);
        ledger.take_on(&self.v6);
        table.apply_v4(&self.v4, |change, turned| {
            ledger.note(change, Ipv4Addr::from_bits(change.address).into(), turned);
        });
        table.apply_v6(&self.v6, |change, turned| {
            ledger.note(change, Ipv6Addr::from_bits(change.address).into(), turned);
        });
        ledger.settle(table)
    }
}

/// Keeps the counts of a VRF's routes, and the journal.
struct Ledger<'s> {
    vrf: VrfId,
    state: &'s mut State,
    changed: ChangedRoutes,
    refused: bool,
    /// Offers through tunnels that are no more, by their owners.
    gone: Vec<(u32, usize)>,
}

impl Ledger<'_> {
    /// Counts all that are put, before any is: those that come to nothing are taken off again.
    fn take_on<A>(&mut self, changes: &[Change<A>]) {
        let puts = || changes.iter().filter(|change| change.verb != Verb::Delete);
        for same in changes.chunk_by(|a, b| a.owner == b.owner) {
            let count = same.iter().filter(|change| change.verb != Verb::Delete).count();
            self.state.owners.retain_by(same[0].owner, count as u32);
        }
        let of = self.state.of_vrf.entry(self.vrf).or_default();
        of.routes += puts().count();
        of.tenant_routes += puts().count();
        self.state.offers += puts().count();
    }

    #[inline]
    fn note<A>(&mut self, change: &Change<A>, address: IpAddr, turned: Turned) {
        let new = change.offer();
        let (old, left) = match turned {
            Turned::Made(old, left) if old != new => (old, left),
            Turned::Made(..) => return self.came_to_nothing(change.owner, new),
            Turned::Refused => {
                self.refused = true;
                return self.came_to_nothing(change.owner, new);
            }
        };
        if let Some((_, next_hop)) = old {
            self.is_gone(change.owner, next_hop);
        }
        let best = match left {
            [] => None,
            [one] => Some(one.next_hop),
            several => self.state.best_of(several),
        };
        let prefix = Prefix { address, length: change.length };
        self.changed.push(prefix, best);
        self.state.journal.push(Undo::Route(self.vrf, prefix, Source::Owner(change.owner), old));
    }

    /// An offer was counted that is not there.
    fn came_to_nothing(&mut self, owner: u32, offer: Option<(u32, NextHopId)>) {
        if let Some((_, next_hop)) = offer {
            self.is_gone(owner, next_hop);
        }
    }

    fn is_gone(&mut self, owner: u32, next_hop: NextHopId) {
        self.state.offers -= 1;
        match self.state.hop(next_hop) {
            Some((_, Hop::Tunnel { .. })) => match self.gone.last_mut() {
                Some((same, count)) if *same == owner => *count += 1,
                _ => self.gone.push((owner, 1)),
            },
            _ => self.state.count_route(self.vrf, Source::Owner(owner), next_hop, -1),
        }
        self.state.hops.release(next_hop.0);
    }

    /// Gives the table back. False: a change was refused.
    fn settle(self, table: RouteTable) -> bool {
        let gone: usize = self.gone.iter().map(|(_, count)| count).sum();
        for (owner, count) in self.gone {
            self.state.owners.release_by(owner, count as u32);
        }
        let of = self.state.of_vrf.entry(self.vrf).or_default();
        of.routes -= gone;
        of.tenant_routes -= gone;
        self.state.drop_unused_vrf(self.vrf);
        self.state.dirty.routes.insert(self.vrf, self.changed);
        if !table.is_empty() {
            self.state.routes.insert(self.vrf, table);
        }
        !self.refused
    }
}
