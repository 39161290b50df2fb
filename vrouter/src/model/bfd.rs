//! BFD sessions: how they stand, and changes of them, as those in [`super::journal`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Model;
use super::journal::{Undo, replace, take_number};
use super::list::address;
use super::records::{Bfd, Hop, Prefix};
use super::refusal::Reason;
use super::state::State;
use crate::api::v1;
use crate::ids::{NextHopId, VrfId};
use crate::packet::bfd;
use crate::tables::{BfdStand, Watched};

impl State {
    /// A number for a new session.
    pub fn number_bfd(&mut self, name: &str) -> Result<u32, Reason> {
        if let Some(given) = self.given.bfd_sessions.get(name) {
            return Ok(*given);
        }
        self.journal.push(Undo::NextBfd(self.next_bfd));
        take_number(&mut self.next_bfd)
    }

    /// Sets or clears a session. Whether one has failed is a matter of the ways to its peer.
    pub fn set_bfd(&mut self, name: Arc<str>, new: Option<Arc<Bfd>>) {
        let old = replace(&mut self.bfd, name.clone(), new.clone());
        for (session, by) in new.iter().map(|session| (session, 1)).chain(old.iter().map(|session| (session, -1))) {
            let sessions = &mut self.of_vrf.entry(session.watched.vrf).or_default().bfd_sessions;
            *sessions = sessions.strict_add_signed(by);
            self.drop_unused_vrf(session.watched.vrf);
            if session.stand.failed {
                self.dirty.ways.insert(session.watched);
            }
        }
        if let Some(old) = &old {
            self.bfd_by_watched.remove(&old.watched);
        }
        if let Some(new) = new {
            self.bfd_by_watched.insert(new.watched, new);
        }
        self.dirty.bfd = true;
        self.journal.push(Undo::Bfd(name, old));
    }

    /// Whether the session that watches this host has failed.
    pub fn has_failed(&self, watched: &Watched) -> bool {
        self.bfd_by_watched.get(watched).is_some_and(|session| session.stand.failed)
    }

    /// Whether a next hop of the underlay leads to a neighbour whose session has failed; on a connected subnet that is the far end itself.
    pub fn is_cut(&self, way: NextHopId, remote: Option<IpAddr>) -> bool {
        if self.bfd.is_empty() {
            return false;
        }
        let Some((vrf, hop)) = self.hop(way) else { return false };
        let neighbour = match hop {
            Hop::Gateway(address) | Hop::Neighbour(_, address) => Some(address),
            Hop::Connected(_) => remote,
            _ => None,
        };
        neighbour.is_some_and(|remote| self.has_failed(&Watched { vrf, remote, multihop: false }))
    }

    /// Our end of a session, if it is there.
    pub fn bfd_end(&self, watched: &Watched, given: Option<IpAddr>) -> Option<IpAddr> {
        let &Watched { vrf, remote, multihop } = watched;
        let of_link = || {
            let link = self.connected(vrf, remote)?;
            let bits = |address: IpAddr| match address {
                IpAddr::V4(address) => u128::from(address.to_bits()),
                IpAddr::V6(address) => address.to_bits(),
            };
            let subnet =
                link.subnets.iter().filter(|subnet| subnet.holds(remote)).max_by_key(|subnet| subnet.length)?;
            let ours = link.addresses.iter().copied().filter(|address| subnet.holds(*address));
            ours.min_by_key(|ours| bits(*ours) ^ bits(remote))
        };
        let vtep = || match remote {
            _ if self.settings.underlay != Some(vrf) => None,
            IpAddr::V4(_) => self.settings.vtep.map(IpAddr::V4),
            IpAddr::V6(_) => self.settings.vtep_v6.map(IpAddr::V6),
        };
        let end = match given {
            Some(given) => Some(given),
            None if multihop => vtep(),
            None => of_link(),
        };
        end.filter(|end| self.is_own(vrf, *end) && (multihop || self.connected(vrf, remote).is_some()))
    }

    /// Whether an address is that of a fabric VIF in this VRF.
    pub fn is_own(&self, vrf: VrfId, address: IpAddr) -> bool {
        matches!(self.implicit_at(vrf, address, None), Some((_, Hop::Receive)))
    }

    /// The next hops of the underlay whose way a session watches, and the prefix of the tunnels that it does.
    pub fn watched_ways(&self, watched: &Watched) -> (Vec<NextHopId>, Prefix) {
        let &Watched { vrf, remote, multihop } = watched;
        let link = self.connected(vrf, remote).filter(|_| !multihop);
        let hops = link.map(|vif| [Hop::Neighbour(vif.id, remote), Hop::Gateway(remote)]);
        let ways = hops.into_iter().flatten().filter_map(|hop| self.hop_id(vrf, hop));
        (ways.collect(), Prefix::host(remote))
    }
}

impl Model {
    /// Notes how sessions stand, as changes of them. `None`: nothing changed, or they are gone.
    pub fn bfd(&mut self, stands: &BTreeMap<Watched, BfdStand>) -> Option<Arc<crate::tables::Snapshot>> {
        let mut news = false;
        for (watched, &stand) in stands {
            let old = self.state.bfd_by_watched.get(watched).filter(|session| session.stand != stand);
            if let Some(old) = old.cloned() {
                news = true;
                self.state.set_bfd(old.name.clone(), Some(Arc::new(Bfd { stand, ..Bfd::clone(&old) })));
            }
        }
        news.then(|| self.publish(""))
    }

    /// Whom the session with this name watches.
    pub fn watched(&self, name: &str) -> Option<Watched> {
        Some(self.state.bfd.get(name)?.watched)
    }
}

/// A state's name.
pub fn state_name(state: bfd::State) -> &'static str {
    match state {
        bfd::State::AdminDown => "admin_down",
        bfd::State::Down => "down",
        bfd::State::Init => "init",
        bfd::State::Up => "up",
    }
}

/// A session as the contract has it.
pub(super) fn told(state: &State, session: &Bfd) -> v1::BfdSession {
    let Watched { vrf, remote, multihop } = session.watched;
    v1::BfdSession {
        name: session.name.to_string(),
        vrf: state.vrf_name(vrf),
        remote: address(remote),
        multihop,
        local: session.local.map(address).unwrap_or_default(),
        min_tx: Some(session.min_tx),
        min_rx: Some(session.min_rx),
        multiplier: Some(session.multiplier.into()),
        min_ttl: if multihop { session.least_ttl.into() } else { 0 },
        admin_down: session.admin_down,
        state: state_name(session.stand.state).into(),
        diagnostic: session.stand.diagnostic.name().into(),
        failed: session.stand.failed,
        live: None,
    }
}
