//! Plain routes that follow each other, made together: first each is read and checked, in their order; then those of each VRF are given
//! the numbers of their next hops, and made by address, so that they go through the table from one end to the other.
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

/// Changes of one family of so many are sorted digit by digit; fewer are sorted faster by comparing them.
const MANY: usize = 2048;

/// Routes that follow each other in a batch.
pub(in crate::model) struct Run<'a> {
    /// The batch's.
    owner: &'a str,
    /// By place, and places by name.
    vrfs: Vec<OfVrf>,
    places: HashMap<&'a str, u32>,
    /// Tunnels by place, and the other way round.
    tunnels: Vec<Hop>,
    numbers: HashMap<Hop, u32>,
    /// Next hops are places of tunnels.
    v4: Vec<Change<u32>>,
    v6: Vec<Change<u128>>,
    /// Each time that another one follows: it has one user more until the end.
    owners: Vec<u32>,
    last_vrf: Option<(&'a str, u32)>,
    last_owner: Option<&'a str>,
    refused: bool,
}

struct OfVrf {
    vrf: VrfId,
    /// May have tunnels.
    tenant: bool,
}

impl<'a> Run<'a> {
    /// Without any. The routes are this owner's unless they say whose they are.
    pub fn new(owner: &'a str) -> Run<'a> {
        Run {
            owner,
            vrfs: Vec::new(),
            places: HashMap::new(),
            tunnels: Vec::new(),
            numbers: HashMap::new(),
            v4: Vec::new(),
            v6: Vec::new(),
            owners: Vec::new(),
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
        let name = route.vrf();
        let vrf = match self.last_vrf {
            Some((same, at)) if same == name => at,
            _ => self.place(state, name)?,
        };
        self.last_vrf = Some((name, vrf));
        let prefix = route::prefix_of(route)?;
        let (verb, length) = (route.verb(), prefix.length);
        let owner = self.owner(state, route, verb)?;
        let (mut preference, mut next_hop) = (0, NextHopId(0));
        if verb != Verb::Delete {
            let tenant = self.vrfs[vrf as usize].tenant;
            let tunnel = route.tunnel().filter(|_| tenant && !read::is_link_local(prefix))?;
            preference = route::preference(route.preference());
            next_hop = NextHopId(self.tunnel(route::tunnel(state, tunnel.remote, Some(&tunnel.encap)).ok()?));
        }
        match prefix.address {
            IpAddr::V4(address) => {
                let address = address.to_bits();
                self.v4.push(Change { vrf, address, length, verb, owner, preference, next_hop });
            }
            IpAddr::V6(address) => {
                let address = address.to_bits();
                self.v6.push(Change { vrf, address, length, verb, owner, preference, next_hop });
            }
        }
        Some(())
    }

    fn place(&mut self, state: &State, name: &'a str) -> Option<u32> {
        if let Some(at) = self.places.get(name) {
            return Some(*at);
        }
        let vrf = state.vrf(name).ok()?.id;
        let at = self.vrfs.len() as u32;
        self.vrfs.push(OfVrf { vrf, tenant: state.fabric_use(vrf).is_none() });
        self.places.insert(name, at);
        Some(at)
    }

    fn tunnel(&mut self, hop: Hop) -> u32 {
        *self.numbers.entry(hop).or_insert_with(|| {
            self.tunnels.push(hop);
            self.tunnels.len() as u32 - 1
        })
    }

    fn owner(&mut self, state: &mut State, route: &PlainRoute<'a>, verb: Verb) -> Option<u32> {
        let given = route.owner();
        if let (true, Some(number)) = (self.last_owner == Some(given), self.owners.last()) {
            return Some(*number);
        }
        let name = if given.is_empty() { self.owner } else { read::name(given).ok()? };
        if name == route::VIF_OWNER || verb == Verb::Delete && state.owners.number(name).is_none() {
            return None;
        }
        let number = state.owners.take(name, |name| name.into())?;
        self.owners.push(number);
        self.last_owner = Some(given);
        Some(number)
    }

    /// Makes all of them; false: none, they are to be made one after the other.
    pub fn make(mut self, state: &mut State) -> bool {
        let mark = state.journal.len();
        let made = !self.refused && state.owners.used() <= state.limits.owners && self.make_all(state);
        if !made {
            state.rollback_to(mark);
        }
        self.owners.iter().for_each(|owner| state.owners.release(*owner));
        made
    }

    /// False: one was refused, or there might be too many of something for a while. Then some may be made.
    fn make_all(&mut self, state: &mut State) -> bool {
        sort(&mut self.v4, |changes| {
            let low = |change: &Change<u32>| u64::from(change.address) << 8 | u64::from(change.length);
            radsort::sort_by_key(changes, |change| u64::from(change.vrf) << 40 | low(change));
        });
        sort(&mut self.v6, |changes| {
            // each leaves those in order that are alike
            radsort::sort_by_key(changes, |change| change.length);
            radsort::sort_by_key(changes, |change| change.address);
            radsort::sort_by_key(changes, |change| change.vrf);
        });
        state.journal.reserve(self.v4.len() + self.v6.len());
        let mut taken = Taken::new(&self.tunnels, state.hops.used());
        // whatever comes first, there are no more than if all that are new came before any goes
        let mut most = state.offers - state.neighbours.len();
        let (mut v4, mut v6) = (&mut self.v4[..], &mut self.v6[..]);
        let made = self.vrfs.iter().enumerate().all(|(place, of)| {
            let (own4, own6);
            (own4, v4) = split(std::mem::take(&mut v4), place as u32);
            (own6, v6) = split(std::mem::take(&mut v6), place as u32);
            if !(taken.resolve(state, of.vrf, own4) && taken.resolve(state, of.vrf, own6)) {
                return false;
            }
            let new = VrfRun::new(state, of.vrf).make(own4, own6);
            most += new.unwrap_or_default();
            new.is_some() && most <= state.limits.routes
        });
        taken.held.iter().for_each(|next_hop| state.hops.release(*next_hop));
        made
    }
}

/// By VRF, address and length; several of one prefix stay in their order.
fn sort<A: Copy + Ord>(changes: &mut [Change<A>], by_digits: impl FnOnce(&mut [Change<A>])) {
    if changes.len() < MANY {
        changes.sort_by_key(|change| (change.vrf, change.address, change.length));
    } else {
        by_digits(changes);
    }
}

/// Those of the VRF at this place, which come first, and the others.
fn split<A>(changes: &mut [Change<A>], place: u32) -> (&mut [Change<A>], &mut [Change<A>]) {
    let own = changes.iter().position(|change| change.vrf != place).unwrap_or(changes.len());
    changes.split_at_mut(own)
}

/// Numbers of tunnels in VRFs.
struct Taken<'a> {
    tunnels: &'a [Hop],
    /// By tunnel: its last VRF, and its number there.
    numbers: Vec<Option<(VrfId, NextHopId)>>,
    /// They have a user more until the end.
    held: Vec<u32>,
    /// How many there may be at once, whatever comes first.
    most: usize,
}

impl<'a> Taken<'a> {
    /// With so many that are there.
    fn new(tunnels: &'a [Hop], there: usize) -> Taken<'a> {
        Taken { tunnels, numbers: vec![None; tunnels.len()], held: Vec::new(), most: there }
    }

    /// Gives those of a VRF their next hops. False: of these there might be too many.
    fn resolve<A>(&mut self, state: &mut State, vrf: VrfId, changes: &mut [Change<A>]) -> bool {
        let before = state.hops.used();
        for change in changes.iter_mut().filter(|change| change.verb != Verb::Delete) {
            let tunnel = change.next_hop.0 as usize;
            change.next_hop = match self.numbers[tunnel] {
                Some((same, next_hop)) if same == vrf => next_hop,
                _ => {
                    let Ok(next_hop) = state.take_hop(vrf, self.tunnels[tunnel]) else { return false };
                    self.numbers[tunnel] = Some((vrf, next_hop));
                    self.held.push(next_hop.0);
                    next_hop
                }
            };
        }
        self.most += state.hops.used() - before;
        self.most - state.neighbours.len() <= state.limits.next_hops
    }
}

/// Those of one VRF while they are made: the counts of its routes, and the journal.
struct VrfRun<'s> {
    vrf: VrfId,
    state: &'s mut State,
    changed: ChangedRoutes,
    refused: bool,
    /// Offers that were not there.
    new: usize,
    /// Offers through tunnels that are no more, by their owners.
    gone: Vec<(u32, usize)>,
}

impl<'s> VrfRun<'s> {
    fn new(state: &'s mut State, vrf: VrfId) -> VrfRun<'s> {
        let changed = state.dirty.routes.remove(&vrf).unwrap_or_default();
        VrfRun { vrf, state, changed, refused: false, new: 0, gone: Vec::new() }
    }

    /// Makes them, sorted; how many offers are new. `None`: one was refused, and some may be made.
    fn make(mut self, v4: &[Change<u32>], v6: &[Change<u128>]) -> Option<usize> {
        let mut table = self.state.routes.remove(&self.vrf).unwrap_or_default();
        self.take_on(v4);
        self.take_on(v6);
        self.changed.v4.reserve(v4.len());
        table.apply_v4(v4, |change, turned| self.note(change, Ipv4Addr::from_bits(change.address).into(), turned));
        table.apply_v6(v6, |change, turned| self.note(change, Ipv6Addr::from_bits(change.address).into(), turned));
        self.settle(table)
    }

    /// Counts all that are put, before any is: those that come to nothing are taken off again.
    fn take_on<A>(&mut self, changes: &[Change<A>]) {
        let mut puts = 0;
        for same in changes.chunk_by(|a, b| a.owner == b.owner) {
            let own = same.iter().filter(|change| change.verb != Verb::Delete);
            let count = own.map(|change| self.state.hops.retain(change.next_hop.0)).count();
            self.state.owners.retain_by(same[0].owner, count as u32);
            puts += count;
        }
        let of = self.state.of_vrf.entry(self.vrf).or_default();
        of.routes += puts;
        of.tenant_routes += puts;
        self.state.offers += puts;
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
        match old {
            Some((_, next_hop)) => self.is_gone(change.owner, next_hop),
            None => self.new += 1,
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

    /// Gives the table back.
    fn settle(self, table: RouteTable) -> Option<usize> {
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
        (!self.refused).then_some(self.new)
    }
}
