//! What a bridge learns: a frame came from this station at this place. It is noted once all frames of a burst are forwarded.

use std::net::IpAddr;

use super::config::{Config, Which};
use super::headers::{self, Ether, Mac, Reason};
use super::slow_path::Side;
use super::{Oracle, Station};

/// A station that was seen.
#[derive(Clone, Debug)]
pub struct Learnt {
    pub at: Place,
    /// Two have its MAC, it seems: it stays there.
    held: bool,
    moves: u32,
    /// When the first of these moves was.
    since: u64,
    /// When it was seen last; and what the product may take for that, which need not note each frame: once in a quarter of the ageing.
    last: u64,
    noted: u64,
}

/// Where stations are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Vif(u32),
    Vtep(IpAddr),
}

/// RFC 7432, section 15.1.
const MOST_MOVES: u32 = 5;
const WITHIN: u64 = 180_000;
/// How late the product may be to forget.
const ROUNDS: u64 = 200;

impl Config {
    /// The way to where stations of a bridge are learnt: a VIF whose MACs are open, or a VTEP of the list.
    pub fn place(&self, bridge: u32, at: Place) -> Option<Which> {
        let bridge = self.bridges.get(&bridge).filter(|bridge| bridge.learning)?;
        match at {
            Place::Vif(vif) => {
                let vif = self.vifs.get(&vif).filter(|vif| vif.bridge == Some(bridge.id) && vif.spoofing_allowed)?;
                Some(Which::Bridged(vif.id))
            }
            Place::Vtep(from) => {
                let there = |vtep: &&Which| matches!(vtep, Which::Tunnel { remote, .. } if *remote == from);
                bridge.vteps.iter().find(there).copied()
            }
        }
    }

    /// From when on a silent station may be forgotten, and from when on it is.
    fn forgotten(&self, bridge: u32, station: &Learnt) -> (u64, u64) {
        let ageing = self.bridges.get(&bridge).map_or(0, |bridge| bridge.ageing);
        (station.noted + ageing, (station.last + ageing).max(self.ageing_since) + ROUNDS)
    }

    /// By bridge.
    pub fn ageings(&self) -> Vec<(u32, u64)> {
        self.bridges.values().map(|bridge| (bridge.id, bridge.ageing)).collect()
    }

    /// Whether it may be known or forgotten.
    fn in_limbo(&self, now: u64) -> impl Iterator<Item = u64> {
        let all = self.learnt.iter().map(|((bridge, _), station)| self.forgotten(*bridge, station));
        all.filter(move |(from, to)| *from <= now && now < *to).map(|(_, to)| to)
    }

    /// What was learnt where nothing is any more, or what was since said otherwise, is forgotten.
    pub fn forget_stations(&mut self) {
        let learnt = std::mem::take(&mut self.learnt);
        let stays = |(key, learnt): &((u32, Mac), Learnt)| {
            self.place(key.0, learnt.at).is_some() && !self.fdb.contains_key(key)
        };
        let kept = learnt.into_iter().filter(stays).collect();
        self.learnt = kept;
    }
}

impl Oracle {
    /// Forgets who was silent for long.
    pub(super) fn age_stations(&mut self) {
        let learnt = std::mem::take(&mut self.config.learnt);
        let is_gone =
            |((bridge, _), station): &((u32, Mac), Learnt)| self.config.forgotten(*bridge, station).1 <= self.now;
        let (gone, there): (Vec<_>, Vec<_>) = learnt.into_iter().partition(is_gone);
        self.config.learnt = there.into_iter().collect();
        for (_, station) in gone {
            self.feature(if station.held { "held_station_forgotten" } else { "station_forgotten" });
        }
    }

    pub(super) fn learnt_stations(&self) -> Vec<Station> {
        let row = |((bridge, mac), learnt): (&(u32, Mac), &Learnt)| Station {
            bridge: self.config.bridges[bridge].name.clone(),
            mac: *mac,
            held: learnt.held,
            may_be_gone: self.config.forgotten(*bridge, learnt).0 <= self.now,
        };
        self.config.learnt.iter().map(row).collect()
    }

    /// When no station is in limbo any more that is in it at this time.
    pub(super) fn stations_settle(&self, at: u64) -> Option<u64> {
        self.config.in_limbo(at).max()
    }

    pub(super) fn stations_are_settled(&self) {
        assert!(
            self.stations_settle(self.now).is_none(),
            "unmodelled: a frame of a bridge while a station is in limbo"
        );
    }

    /// A frame of a bridge has this sender.
    pub(super) fn sighted(&mut self, bridge: u32, side: &Side, ether: &Ether) {
        self.stations_are_settled();
        let at = match (&side.vif, side.remote) {
            (Some(vif), _) => Place::Vif(vif.id),
            (None, Some(remote)) => Place::Vtep(remote.address),
            (None, None) => return,
        };
        if !self.pieces.again {
            self.sightings.push((bridge, ether.source, at));
        }
    }

    /// All frames are forwarded.
    pub(super) fn learn_stations(&mut self) {
        for (bridge, mac, at) in std::mem::take(&mut self.sightings) {
            let settings = &self.config.settings;
            let ours = [settings.gateway_mac, settings.router_mac].contains(&mac);
            let vif = self.config.vifs.values().any(|vif| vif.bridge == Some(bridge) && vif.mac == mac);
            let given = vif || self.config.fdb.contains_key(&(bridge, mac));
            let sound = !headers::is_group(mac) && mac != [0; 6];
            if ours || given || !sound || self.config.place(bridge, at).is_none() {
                continue;
            }
            let now = self.now;
            let quarter = self.config.bridges[&bridge].ageing / 4;
            let feature = match self.config.learnt.get_mut(&(bridge, mac)) {
                None => {
                    self.config
                        .learnt
                        .insert((bridge, mac), Learnt { at, held: false, moves: 0, since: now, last: now, noted: now });
                    if matches!(at, Place::Vif(_)) { "station_learnt_at_vif" } else { "station_learnt" }
                }
                Some(known) if known.at == at => {
                    known.noted = known.noted.max(now.saturating_sub(quarter));
                    known.last = now;
                    continue;
                }
                Some(known) if known.held => continue,
                Some(known) => {
                    if now - known.since > WITHIN {
                        (known.moves, known.since) = (0, now);
                    }
                    known.moves += 1;
                    if known.moves > MOST_MOVES {
                        known.held = true;
                        "station_held"
                    } else {
                        (known.at, known.last, known.noted) = (at, now, now);
                        "station_moved"
                    }
                }
            };
            self.feature(feature);
        }
    }

    /// Whether a bridge has anything to do with a frame: not in the name of a station that is kept elsewhere, and of a kind that it carries.
    pub(super) fn may_enter(&self, bridge: u32, side: &Side, ether: &Ether) -> Result<(), Reason> {
        self.check_sticky(bridge, side, ether)?;
        let ip = [headers::IPV4, headers::IPV6, headers::ARP].contains(&ether.ethertype);
        if self.config.bridges[&bridge].ip_only && !ip { Err("not_ip") } else { Ok(()) }
    }

    /// Whether who sends this is a station that is said to be elsewhere, and there alone.
    fn check_sticky(&self, bridge: u32, side: &Side, ether: &Ether) -> Result<(), Reason> {
        if !self.config.fdb.get(&(bridge, ether.source)).is_some_and(|station| station.sticky) {
            return Ok(());
        }
        let own = self.config.station(bridge, ether.source).map(|hop| hop.which);
        let there = match (own, &side.vif, side.remote) {
            (Some(Which::Bridged(own)), Some(vif), _) => own == vif.id,
            (Some(Which::Tunnel { remote, .. }), None, Some(from)) => remote == from.address,
            _ => false,
        };
        if there { Ok(()) } else { Err("sticky_elsewhere") }
    }
}
