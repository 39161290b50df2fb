//! What a bridge learns: a frame came from this station at this place. It is noted once all frames of a burst are forwarded.

use std::net::IpAddr;

use super::Oracle;
use super::config::{Config, Which};
use super::headers::{self, Ether, Mac, Reason};
use super::slow_path::Side;

/// A station that was seen.
#[derive(Clone, Debug)]
pub struct Learnt {
    pub at: Place,
    /// Two have its MAC, it seems: it stays there.
    held: bool,
    moves: u32,
    /// When the first of these moves was.
    since: u64,
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
    /// A frame of a bridge has this sender.
    pub(super) fn sighted(&mut self, bridge: u32, side: &Side, ether: &Ether) {
        let at = match (&side.vif, side.remote) {
            (Some(vif), _) => Place::Vif(vif.id),
            (None, Some(remote)) => Place::Vtep(remote.address),
            (None, None) => return,
        };
        self.sightings.push((bridge, ether.source, at));
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
            let feature = match self.config.learnt.get_mut(&(bridge, mac)) {
                None => {
                    self.config.learnt.insert((bridge, mac), Learnt { at, held: false, moves: 0, since: now });
                    if matches!(at, Place::Vif(_)) { "station_learnt_at_vif" } else { "station_learnt" }
                }
                Some(known) if known.at == at || known.held => continue,
                Some(known) => {
                    if now - known.since > WITHIN {
                        (known.moves, known.since) = (0, now);
                    }
                    known.moves += 1;
                    if known.moves > MOST_MOVES {
                        known.held = true;
                        "station_held"
                    } else {
                        known.at = at;
                        "station_moved"
                    }
                }
            };
            self.feature(feature);
        }
    }

    /// Whether who sends this is a station that is said to be elsewhere, and there alone.
    pub(super) fn check_sticky(&self, bridge: u32, side: &Side, ether: &Ether) -> Result<(), Reason> {
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
