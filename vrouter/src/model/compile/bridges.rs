//! Rows of bridges, with where their stations are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::HashMap;

use crate::ids::{BridgeId, Mac, VifId};
use crate::model::change::place_of;
use crate::model::learning::ageing;
use crate::model::records::{self, Hop, Whose};
use crate::model::state::{Dirty, State};
use crate::tables::{Bridge, Pair, Snapshot};

/// Frames to everybody that one VIF may send in a second unless given.
const FLOODS_PER_SECOND: u32 = 1000;

/// Makes the rows of the bridges that changed, or of which stations came, went or moved. Flows need no notice: each bridged packet names its
/// station, and is judged anew where that is elsewhere.
pub(super) fn compile(state: &State, dirty: &Dirty, next: &mut Snapshot) {
    let mut moved: HashMap<BridgeId, Vec<Mac>> = HashMap::new();
    for &(bridge, mac) in &dirty.stations {
        moved.entry(bridge).or_default().push(mac);
    }
    for &bridge in &dirty.bridges {
        moved.entry(bridge).or_default();
    }
    let mut renamed: HashMap<BridgeId, Vec<IpAddr>> = HashMap::new();
    for &(bridge, address) in &dirty.pairs {
        moved.entry(bridge).or_default();
        renamed.entry(bridge).or_default().push(address);
    }
    if !dirty.bridges.is_empty() {
        next.learns = state.bridges.values().any(|bridge| bridge.learning);
    }
    for (id, macs) in moved {
        let Some(record) = state.bridge_by_id.get(&id) else {
            next.bridges.set(id.index(), None);
            continue;
        };
        let new = || Arc::new(Bridge::new(id, record.name.clone(), record.vrf));
        let mut row = next.bridges.shared(id.index()).cloned().unwrap_or_else(new);
        let changed = Arc::make_mut(&mut row);
        changed.vrf = record.vrf;
        (changed.floods_unknown, changed.ip_only) = (record.flood_unknown, record.ip_only);
        (changed.learns, changed.ageing) = (record.learning, ageing(record));
        changed.floods_per_second = match record.floods_per_second {
            0 => FLOODS_PER_SECOND,
            given => given,
        };
        if *changed.vteps != *record.vteps {
            changed.vteps = record.vteps.clone().into();
        }
        let vifs = state.of_bridge.get(&id).into_iter().flat_map(|of| &of.vifs);
        let port = |vif: &VifId| Some((*vif, state.hop_id(record.vrf, Hop::Bridged(*vif))?));
        let ports: Vec<_> = vifs.filter_map(port).collect();
        if *changed.ports != *ports {
            changed.ports = ports.into();
        }
        for mac in macs {
            // a VIF's own MAC is where the VIF is
            let own = state.stations.get(&(id, mac)).map(|&(_, next_hop)| next_hop);
            let given = state.fdb.get(&(id, mac));
            changed.set_station(mac, own.or(given.map(|entry| entry.next_hop)));
            changed.set_sticky(mac, given.filter(|entry| entry.sticky).map(|entry| own.unwrap_or(entry.next_hop)));
            let seen = state.learnt.get(&(id, mac));
            changed.set_learnt(mac, seen.and_then(|learnt| place_of(state, record, learnt.at)));
        }
        pairs(state, record, changed, renamed.remove(&id).unwrap_or_default());
        next.bridges.set(id.index(), Some(row));
    }
}

/// Makes anew whose the addresses are that changed hands; all of them when suppression was turned on or off. Turned off, nothing is known.
fn pairs(state: &State, record: &records::Bridge, row: &mut Bridge, renamed: Vec<IpAddr>) {
    let id = record.id;
    if record.suppress_off {
        row.forget_pairs();
        return;
    }
    if !std::mem::replace(&mut row.suppresses, true) {
        let (first, last) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)));
        for ((_, address), whose) in state.pairs.range((id, first)..=(id, last)) {
            row.set_pair(*address, whose.first().map(|whose| pair(state, id, *whose)));
        }
        return;
    }
    for address in renamed {
        let whose = state.pairs.get(&(id, address)).and_then(|whose| whose.first());
        row.set_pair(address, whose.map(|whose| pair(state, id, *whose)));
    }
}

fn pair(state: &State, bridge: BridgeId, (entry, mac): Whose) -> Pair {
    let router = entry && state.fdb.get(&(bridge, mac)).is_some_and(|entry| entry.router);
    Pair { mac, router }
}
