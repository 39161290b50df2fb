//! Neighbours of fabric VIFs: who is asked for, who answered, and the packets that wait (RFC 826; RFC 1122, 2.3.2;
//! RFC 4861, 7).
//!
//! Asked for: three requests to all, a second apart. Answered: believed for 30 s, asked by unicast from 3 s before the end on, three
//! times; the moment may be up to 4.1 s earlier, as the product likes. Silent: everybody is asked again, then given up. What
//! routes need is asked for without end, ever more seldom.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use super::choice::Free;
use super::config::{GONE, Hop, Neighbour, Vif, Which};
use super::forward::Arrived;
use super::headers::{self, Mac, Reason, is_martian};
use super::{Oracle, emit};

const SECOND: u64 = 1000;
const BELIEVED: u64 = 30 * SECOND;
const TRIES: u32 = 3;
/// How much earlier than needed a probe may come.
const SPREAD: u64 = 4096;
/// Packets that wait for one neighbour; a newer one takes the place of the oldest.
const HELD: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Incomplete { tries: u32 },
    Failed { rounds: u32 },
    Reachable { mac: Mac },
    Probing { mac: Mac, tries: u32 },
}

#[derive(Clone, Debug)]
pub struct Entry {
    state: State,
    /// A route needs it.
    wanted: bool,
    asked_at: Option<u64>,
    due: u64,
    held: Vec<(Arrived, Hop)>,
}

impl Entry {
    fn new(due: u64) -> Entry {
        Entry { state: State::Incomplete { tries: 0 }, wanted: false, asked_at: None, due, held: Vec::new() }
    }

    fn mac(&self) -> Option<Mac> {
        match self.state {
            State::Reachable { mac } | State::Probing { mac, .. } => Some(mac),
            State::Incomplete { .. } | State::Failed { .. } => None,
        }
    }
}

impl Oracle {
    /// A packet waits until its neighbour is known.
    pub(super) fn hold(&mut self, vif: &Vif, neighbour: IpAddr, mut arrived: Arrived, hop: Hop) {
        if let Err(reason) = self.spend_waiting(&arrived) {
            return self.drop(arrived.entered, reason);
        }
        if is_martian(neighbour) {
            return self.drop(arrived.entered, "neighbour_unresolved");
        }
        self.feature("held");
        (arrived.ours, arrived.waited) = (true, true);
        let now = self.now;
        let key = (vif.id, neighbour);
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(now));
        if let Some(mac) = entry.mac() {
            // the answer is known; only the routes forgot it
            let changes = self.changes;
            self.learn(key, mac);
            self.release(arrived, hop);
            if self.changes != changes {
                self.release_elsewhere();
            }
            return;
        }
        entry.held.push((arrived, hop));
        let oldest = (entry.held.len() > HELD).then(|| entry.held.remove(0));
        if let State::Failed { .. } = entry.state {
            let may_ask = entry.asked_at.map_or(now, |at| now.max(at + SECOND));
            (entry.state, entry.due) = (State::Incomplete { tries: 0 }, may_ask);
        }
        let ask = entry.due <= now && entry.state == (State::Incomplete { tries: 0 });
        if let Some((oldest, _)) = oldest {
            self.drop(oldest.entered, "neighbour_hold_full");
        }
        if ask {
            self.turn(key, State::Incomplete { tries: 1 }, SECOND);
            self.ask(key, None);
        }
    }

    /// A packet that waited goes on, by the next hop that it waited for.
    pub(super) fn release(&mut self, arrived: Arrived, hop: Hop) {
        self.feature("released");
        match hop.which {
            // its neighbour has a route of its own now
            Which::Connected(_) => match self.config.route(hop.vrf, arrived.packet.destination()) {
                Some((_, hop)) => self.leave_by(arrived, hop),
                None => self.drop(arrived.entered, "no_route"),
            },
            _ => self.leave_by(arrived, hop),
        }
    }

    /// A neighbour said by ARP what its MAC is. False: nobody asked.
    pub(super) fn heard(&mut self, key: (u32, IpAddr), mac: Mac) -> bool {
        let asked = self.entries.contains_key(&key);
        if asked {
            self.settle(key, mac, true);
        }
        asked
    }

    /// A neighbour's solicitation said its MAC (RFC 4861, section 7.2.3). False: nobody asked.
    pub(super) fn mentioned(&mut self, key: (u32, IpAddr), mac: Mac) -> bool {
        let Some(entry) = self.entries.get(&key) else { return false };
        if entry.mac() != Some(mac) {
            self.settle(key, mac, false);
        }
        true
    }

    /// An advertisement about a neighbour (RFC 4861, section 7.2.5; STALE is believed and probed at once). False: it means nothing.
    pub(super) fn advertised_by(
        &mut self,
        key: (u32, IpAddr),
        mac: Option<Mac>,
        solicited: bool,
        overrides: bool,
    ) -> bool {
        let Some(entry) = self.entries.get(&key) else { return false };
        let known = entry.mac();
        let Some(mac) = mac.or(known) else { return false };
        let other = known.is_some() && known != Some(mac);
        if other && !overrides {
            // two claim the address: whom we know keeps it, if it is there
            if let State::Reachable { mac } = entry.state {
                self.feature("neighbour_claimed");
                self.doubt(key, mac);
            }
        } else if solicited || known != Some(mac) {
            self.settle(key, mac, solicited);
        }
        true
    }

    /// A neighbour's MAC is known; who was not confirmed to be there is probed.
    fn settle(&mut self, key: (u32, IpAddr), mac: Mac, confirmed: bool) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let news = entry.mac() != Some(mac);
        let (held, changes) = (std::mem::take(&mut entry.held), self.changes);
        if confirmed {
            self.turn(key, State::Reachable { mac }, BELIEVED - u64::from(TRIES) * SECOND);
        } else {
            self.doubt(key, mac);
        }
        self.feature(if news { "neighbour_learnt" } else { "neighbour_confirmed" });
        if news {
            self.learn(key, mac);
        }
        for (arrived, hop) in held {
            self.release(arrived, hop);
        }
        if self.changes != changes {
            self.release_elsewhere();
        }
    }

    /// Takes away what waits for a neighbour.
    pub(super) fn take_held(&mut self, key: (u32, IpAddr)) -> Vec<(Arrived, Hop)> {
        self.entries.get_mut(&key).map(|entry| std::mem::take(&mut entry.held)).unwrap_or_default()
    }

    /// What goes by a next hop that goes out of use does so in vain, also when a route or a label has the same again: packets that wait,
    /// and flows until they are judged anew.
    pub(super) fn lose_next_hops(&mut self) {
        let held = self.entries.values_mut().flat_map(|entry| &mut entry.held).map(|(_, hop)| hop);
        for hop in held.chain(self.flows.iter_mut().flat_map(super::flows::Pair::next_hops)) {
            if !self.config.is_in_use(*hop) {
                hop.vrf = GONE;
            }
        }
    }

    /// Goes on waiting.
    pub(super) fn hold_on(&mut self, key: (u32, IpAddr), arrived: Arrived, hop: Hop) {
        self.entries.get_mut(&key).expect("it waited there").held.push((arrived, hop));
    }

    /// To be probed as soon as it may be asked again.
    fn doubt(&mut self, key: (u32, IpAddr), mac: Mac) {
        let asked_at = self.entries[&key].asked_at;
        let wait = asked_at.map_or(0, |at| (at + SECOND).saturating_sub(self.now));
        self.turn(key, State::Probing { mac, tries: 0 }, wait);
    }

    /// Notes a neighbour unless a static one is there, or the address is ours.
    fn learn(&mut self, key: (u32, IpAddr), mac: Mac) {
        let Some(vif) = self.config.vifs.get(&key.0) else { return };
        let of_vrf = self.config.vifs.values().filter(|other| other.vrf == vif.vrf);
        let ours = of_vrf.flat_map(|vif| &vif.addresses).any(|address| *address == key.1);
        let fixed = self.config.neighbours.get(&key).is_some_and(|neighbour| !neighbour.learnt);
        if vif.connects(key.1) && !ours && !fixed {
            self.config.neighbours.insert(key, Neighbour { mac, learnt: true });
            self.lost.remove(&key);
            self.changes += 1;
            self.want_neighbours();
        }
    }

    /// After each change: what gateways and tunnels need is asked for, but for what is static.
    pub(super) fn want_neighbours(&mut self) {
        let mut needed = BTreeSet::new();
        let groups = self.config.hop_groups.values().map(|group| (&group.vrf, Which::Paths(group.paths)));
        let routes = self.config.routes.iter().map(|((vrf, ..), route)| (vrf, route.which));
        let routes = routes.chain(groups).flat_map(|(vrf, which)| match which {
            Which::Paths(number) => self.config.paths[&number].iter().map(|way| (vrf, way.which)).collect(),
            which => vec![(vrf, which)],
        });
        let stations = self.config.fdb.iter().map(|((bridge, _), at)| (&self.config.bridges[bridge].vrf, at.which));
        let bridges = self.config.bridges.values();
        let vteps = bridges.flat_map(|bridge| bridge.vteps.iter().map(move |which| (&bridge.vrf, *which)));
        for (vrf, which) in routes.chain(stations).chain(vteps) {
            match which {
                Which::Gateway(gateway) => {
                    needed.extend(self.config.connected(*vrf, gateway).map(|vif| (vif.id, gateway)));
                }
                // also while another route has its place
                Which::Tunnel { remote, .. } => {
                    needed.extend(self.underlay_routes(remote).iter().filter_map(|hop| match hop.which {
                        Which::Connected(vif) | Which::Neighbour(vif, _) => Some((vif, remote)),
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
        needed.retain(|key| self.config.neighbours.get(key).is_none_or(|neighbour| neighbour.learnt));
        for key in &needed {
            if !is_martian(key.1) {
                self.entries.entry(*key).or_insert_with(|| Entry::new(0)).wanted = true;
            }
        }
        self.entries.retain(|key, entry| {
            let unwanted = entry.wanted && !needed.contains(key);
            entry.wanted &= !unwanted;
            !unwanted || entry.mac().is_some() || !entry.held.is_empty()
        });
        self.lost.retain(|key| needed.contains(key));
        self.needed = needed.clone();
        // whose MAC is known is not asked for again: it is a neighbour at once
        let known = |key| Some((key, self.entries.get(&key)?.mac()?));
        let known: Vec<_> = needed.into_iter().filter_map(known).collect();
        for (key, mac) in known {
            if !self.config.neighbours.contains_key(&key) {
                self.learn(key, mac);
            }
        }
    }

    /// A neighbour that is needed was given up.
    fn lose(&mut self, key: (u32, IpAddr)) {
        if self.needed.contains(&key) && self.lost.insert(key) {
            self.feature("neighbour_lost");
            self.changes += 1;
            self.want_neighbours();
        }
    }

    /// Does what is due.
    pub(super) fn neighbours_due(&mut self) {
        let keys: Vec<_> = self.entries.keys().copied().collect();
        for key in keys {
            if !self.config.vifs.contains_key(&key.0) {
                self.give_up(key, "next_hop_gone");
                self.forget_neighbour(key);
                self.entries.remove(&key);
            } else if self.is_due(key) {
                self.due(key);
            }
        }
    }

    fn is_due(&self, key: (u32, IpAddr)) -> bool {
        let entry = &self.entries[&key];
        match entry.state {
            State::Reachable { mac } if self.now + SPREAD >= entry.due && self.now < entry.due => self
                .request(key, Some(mac))
                .is_some_and(|request| self.came.contains(&self.on_wire(request.port, request.bytes).0)),
            _ => entry.due <= self.now,
        }
    }

    fn due(&mut self, key: (u32, IpAddr)) {
        let wanted = self.entries[&key].wanted;
        match self.entries[&key].state {
            State::Reachable { mac } => {
                self.feature("neighbour_probed");
                self.turn(key, State::Probing { mac, tries: 1 }, SECOND);
                self.ask(key, Some(mac));
            }
            State::Probing { mac, tries } if tries < TRIES => {
                self.turn(key, State::Probing { mac, tries: tries + 1 }, SECOND);
                self.ask(key, Some(mac));
            }
            State::Probing { .. } => {
                self.feature("neighbour_forgotten");
                self.turn(key, State::Incomplete { tries: 1 }, SECOND);
                self.forget_neighbour(key);
                self.lose(key);
                self.ask(key, None);
            }
            State::Incomplete { tries } if tries < TRIES => {
                self.turn(key, State::Incomplete { tries: tries + 1 }, SECOND);
                self.ask(key, None);
            }
            State::Incomplete { .. } => {
                self.give_up(key, "neighbour_unresolved");
                self.turn(key, State::Failed { rounds: 1 }, 2 * SECOND);
                if wanted {
                    self.lose(key);
                } else {
                    self.entries.remove(&key);
                }
            }
            State::Failed { rounds } => {
                let rounds = (rounds + 1).min(5);
                self.turn(key, State::Failed { rounds }, SECOND << rounds);
                self.ask(key, None);
            }
        }
    }

    fn turn(&mut self, key: (u32, IpAddr), state: State, after: u64) {
        let due = self.now + after;
        if let Some(entry) = self.entries.get_mut(&key) {
            (entry.state, entry.due) = (state, due);
        }
    }

    fn give_up(&mut self, key: (u32, IpAddr), reason: Reason) {
        for (arrived, _) in self.take_held(key) {
            self.drop(arrived.entered, reason);
        }
    }

    fn forget_neighbour(&mut self, key: (u32, IpAddr)) {
        if self.config.neighbours.get(&key).is_some_and(|neighbour| neighbour.learnt) {
            self.config.neighbours.remove(&key);
            self.changes += 1;
            self.want_neighbours();
        }
    }

    fn ask(&mut self, key: (u32, IpAddr), mac: Option<Mac>) {
        let Some(request) = self.request(key, mac) else { return };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.asked_at = Some(self.now);
        }
        self.feature("neighbour_asked");
        self.send(request.port, request.bytes, Free::default(), None);
    }

    /// A request to all, or to the MAC that is known, from our address that is nearest; none without such.
    fn request(&self, (vif, address): (u32, IpAddr), mac: Option<Mac>) -> Option<super::Sent> {
        let vif = self.config.vifs.get(&vif)?;
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let ours = vif.addresses.iter().filter(|ours| ours.is_ipv4() == address.is_ipv4());
        let ours = *ours.min_by_key(|ours| bits(**ours) ^ bits(address))?;
        let bytes = match (ours, address) {
            (IpAddr::V4(ours), IpAddr::V4(address)) => {
                emit::arp(mac.unwrap_or([0xff; 6]), 1, (vif.mac, ours), ([0; 6], address))
            }
            (IpAddr::V6(ours), IpAddr::V6(address)) => solicitation((vif.mac, ours), address, mac),
            _ => return None,
        };
        Some(super::Sent { port: vif.port, bytes })
    }
}

/// RFC 4861, section 4.3: to the target, or to its solicited-node group (RFC 4291, section 2.7.1; RFC 2464, section 7).
fn solicitation((mac, ours): (Mac, Ipv6Addr), target: Ipv6Addr, known: Option<Mac>) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    let (to_mac, to) = known.map_or(([0x33, 0x33, 0xff, a, b, c], group), |known| (known, target));
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend([1, 1]);
    message.extend(mac);
    let packet = emit::icmp(ours.into(), to.into(), 0, 255, &message);
    emit::ethernet(to_mac, mac, headers::IPV6, &packet)
}
