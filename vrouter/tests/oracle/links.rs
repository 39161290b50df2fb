//! Links that come and go, and the ways of tunnels through the underlay where there are several.
//!
//! Which way a flow has is the product's free choice among those that serve. But it is a function of the flow, the ways and those that
//! serve, such that a way that goes takes its own flows with it and no others, and has them back when it comes: whatever was seen
//! of a flow bounds what it may do later, while the route is not stated anew.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Oracle;
use super::config::{Hop, Path, Vif, Which};
use super::forward::{Arrived, Key, Way};

/// That a flow had a way through the underlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The ways of the route.
    ways: u32,
    /// Those that served.
    serving: Vec<bool>,
    /// The one of the flow, by its place.
    way: usize,
}

/// Of each flow through a tunnel.
pub type Seen = BTreeMap<(Hop, Key), Vec<Sighting>>;

impl Oracle {
    /// A port's link goes or comes; at the time that the clock shows.
    pub fn link(&mut self, port: usize, up: bool) {
        let news = if up { self.without_link.remove(&port) } else { self.without_link.insert(port) };
        if news {
            self.noted.insert(if up { "link_back" } else { "link_lost" });
            self.changes += 1;
            self.want_neighbours();
        }
    }

    pub(super) fn has_link(&self, vif: &Vif) -> bool {
        !self.without_link.contains(&super::branches::device(vif.port))
    }

    /// Whether one of several ways of a flow has no link.
    pub(super) fn has_path_without_link(&self, (place, tuple): Key) -> bool {
        let hop =
            self.vrf_of(place).and_then(|vrf| self.config.resolve(vrf, tuple.destination).ok()).map(|(_, hop, _)| hop);
        let Some(Which::Paths(number)) = hop.map(|hop| hop.which) else { return false };
        let lost = |way: &Path| matches!(way.which, Which::Vif { vif, .. } if !self.has_link(&self.config.vifs[&vif]));
        self.config.paths[&number].iter().any(lost)
    }

    /// Whether a gateway can be sent by: its neighbour is known, and there is a link.
    pub(super) fn is_live(&self, vrf: u32, gateway: IpAddr) -> bool {
        let vif = self.config.connected(vrf, gateway);
        let there = |vif: &Vif| self.has_link(vif) && self.config.neighbours.contains_key(&(vif.id, gateway));
        vif.is_some_and(there) && !self.has_failed(vrf, gateway, false)
    }

    /// Whether a gateway is asked for: it has a link, and did not answer yet; who was given up is asked again when a packet waits.
    pub(super) fn is_asked(&self, vrf: u32, way: &Path) -> bool {
        let Which::Gateway(gateway) = way.which else { return false };
        let vif = self.config.connected(vrf, gateway);
        let silent = |vif: &Vif| self.has_link(vif) && !self.config.neighbours.contains_key(&(vif.id, gateway));
        vif.is_some_and(silent) && !self.has_failed(vrf, gateway, false)
    }

    /// Whether a next hop of the underlay leads on to this far end: to who is live, or may still answer.
    pub(super) fn leads(&self, vrf: u32, which: Which, remote: IpAddr) -> bool {
        let to = |vif: &Vif, address: IpAddr| {
            let key = (vif.id, address);
            !self.has_failed(vrf, address, false)
                && self.has_link(vif)
                && (self.config.neighbours.contains_key(&key) || !self.lost.contains(&key))
        };
        match which {
            Which::Paths(number) => self.config.paths[&number].iter().any(|way| self.leads(vrf, way.which, remote)),
            Which::Gateway(gateway) => self.config.connected(vrf, gateway).is_some_and(|vif| to(vif, gateway)),
            Which::Connected(vif) => self.config.vifs.get(&vif).is_some_and(|vif| to(vif, remote)),
            Which::Neighbour(vif, address) => self.config.vifs.get(&vif).is_some_and(|vif| to(vif, address)),
            _ => false,
        }
    }

    /// The next hops of the routes towards a far end, the most specific one first, up to the one that leads on or says where to stop.
    pub(super) fn underlay_routes(&self, remote: IpAddr) -> Vec<Hop> {
        let Some(underlay) = self.config.settings.underlay else { return Vec::new() };
        let (mut hops, mut length) = (Vec::new(), u8::MAX);
        while let Some((shorter, hop)) = self.config.route_shorter_than(length, underlay, remote) {
            hops.push(hop);
            length = shorter;
            let stops = matches!(hop.which, Which::Drop | Which::Receive | Which::Vif { .. } | Which::Vrf(_));
            if stops || self.leads(underlay, hop.which, remote) {
                break;
            }
        }
        hops
    }

    /// The next hop in the underlay towards a tunnel's far end: of the most specific route that leads on, else of the most specific.
    pub(super) fn underlay(&self, remote: IpAddr) -> Option<Hop> {
        let underlay = self.config.settings.underlay?;
        let hops = self.underlay_routes(remote);
        let leading = hops.last().filter(|hop| self.leads(underlay, hop.which, remote));
        leading.or(hops.first()).copied()
    }

    /// The VIFs of all ways towards a tunnel's far end, where there are several.
    pub(super) fn vifs_of_ways(&self, remote: IpAddr) -> Vec<&Vif> {
        let via = self.underlay(remote).filter(|_| self.config.settings.vtep_towards(remote).is_some());
        let Some(Hop { vrf, which: Which::Paths(number) }) = via else { return Vec::new() };
        let vif = |way: &Path| match way.which {
            Which::Gateway(gateway) => self.config.connected(vrf, gateway),
            _ => None,
        };
        self.config.paths[&number].iter().filter_map(vif).collect()
    }

    /// What waits for one of several gateways goes on when it has another now.
    pub(super) fn release_elsewhere(&mut self) {
        let keys: Vec<_> = self.entries.keys().copied().collect();
        for key in keys {
            for (mut arrived, hop) in self.take_held(key) {
                let waits = match hop.which {
                    // nobody looks after what no route leads to any more
                    Which::Tunnel { .. } if !self.config.is_in_use(hop) => true,
                    Which::Tunnel { remote, .. } if self.vifs_of_ways(remote).len() > 1 => {
                        let way = self.way_of_tunnel(hop, remote, &mut arrived);
                        matches!(way, Way::Asked { vif, neighbour } if (vif.id, neighbour) == key)
                    }
                    _ => true,
                };
                if waits {
                    self.hold_on(key, arrived, hop);
                } else {
                    self.feature("released_elsewhere");
                    self.release(arrived, hop);
                }
            }
        }
    }

    /// The underlay's next hop for a packet through this tunnel, one way of several if there are several; `None`: no route.
    pub(super) fn underlay_way(&mut self, tunnel: Hop, remote: IpAddr, arrived: &mut Arrived) -> Option<Hop> {
        let via = self.underlay(remote)?;
        if self.underlay_routes(remote).first() != Some(&via) {
            self.feature("underlay_less_specific");
        }
        let Which::Paths(number) = via.which else { return Some(via) };
        let ways = self.config.paths[&number].clone();
        self.feature("underlay_several");
        if self.config.are_shared(number) {
            self.feature("underlay_of_group");
        }
        let serving = self.serving(via.vrf, &ways);
        if !ways.iter().any(|way| self.is_up(via.vrf, way)) {
            self.feature("underlay_none_live");
        }
        let key = arrived.key.map(|key| (tunnel, key));
        let of_flow = key.and_then(|key| self.seen.get(&key)).cloned().unwrap_or_default();
        let seen = [of_flow, arrived.seen.clone()].concat();
        let seen: Vec<Sighting> = seen.into_iter().filter(|one| one.ways == number).collect();
        let allowed: Vec<usize> =
            (0..ways.len()).filter(|way| serving[*way] && may_be(*way, &serving, &seen)).collect();
        assert!(!allowed.is_empty(), "nothing explains the ways that this flow was seen to have: {seen:?}");
        let way = allowed[self.choice(allowed.len())];
        self.feature_of_underlay(way, &serving, &seen);
        let sighting = Sighting { ways: number, serving, way };
        if !seen.contains(&sighting) {
            match key {
                Some(key) => self.seen.entry(key).or_default().push(sighting),
                None => arrived.seen.push(sighting),
            }
        }
        let Path { which, .. } = ways[way];
        Some(Hop { vrf: via.vrf, which })
    }

    fn feature_of_underlay(&mut self, way: usize, serving: &[bool], seen: &[Sighting]) {
        let Some(Sighting { way: last, .. }) = seen.last() else { return };
        match () {
            () if way == *last => self.feature("underlay_kept"),
            () if serving[*last] => self.feature("underlay_back"),
            () => self.feature("underlay_left"),
        }
    }

    /// Takes out what another run of the same events saw otherwise.
    pub(super) fn unsee(&mut self, other: &Oracle) {
        self.seen.retain(|key, seen| {
            let others = other.seen.get(key);
            seen.retain(|one| others.is_some_and(|others| others.contains(one)));
            !seen.is_empty()
        });
    }
}

/// Whether a flow may have this way: it did not have another that serves now, when this one served as well.
fn may_be(way: usize, serving: &[bool], seen: &[Sighting]) -> bool {
    seen.iter().all(|then| way == then.way || !then.serving[way] || !serving[then.way])
}
