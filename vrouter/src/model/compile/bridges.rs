//! Rows of bridges, with where their stations are.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::ids::{BridgeId, Mac, VifId};
use crate::model::records::Hop;
use crate::model::state::{Dirty, State};
use crate::tables::{Bridge, Snapshot};

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
    for (id, macs) in moved {
        let Some(record) = state.bridge_by_id.get(&id) else {
            next.bridges.set(id.index(), None);
            continue;
        };
        let new = || Arc::new(Bridge::new(id, record.name.clone(), record.vrf));
        let mut row = next.bridges.shared(id.index()).cloned().unwrap_or_else(new);
        let changed = Arc::make_mut(&mut row);
        changed.vrf = record.vrf;
        changed.floods_unknown = record.flood_unknown;
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
            changed.set_station(mac, own.or(state.fdb.get(&(id, mac)).map(|entry| entry.next_hop)));
        }
        next.bridges.set(id.index(), Some(row));
    }
}
