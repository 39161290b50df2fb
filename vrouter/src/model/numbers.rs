//! Numbers that outlive the process: flows know VRFs, VIFs and paths by them, and none is ever another's.

use std::collections::HashMap;

use super::records::{Hop, Port};
use super::state::{Dirty, State};
use crate::api::state::v1 as told;

/// The numbers that objects had in the process before, by name: who is made by that name gets them again.
#[derive(Clone, Default)]
pub(crate) struct Given {
    pub vrfs: HashMap<String, u32>,
    /// With their rows.
    pub vifs: HashMap<String, (u32, usize)>,
    pub bridges: HashMap<String, u32>,
    pub next_hop_groups: HashMap<String, u32>,
    pub bfd_sessions: HashMap<String, u32>,
}

impl Given {
    pub fn of(numbers: &told::Numbers) -> Given {
        let map = |named: &[told::Named]| named.iter().map(|one| (one.name.clone(), one.number)).collect();
        Given {
            vrfs: map(&numbers.vrfs),
            vifs: numbers.vifs.iter().map(|one| (one.name.clone(), (one.number, one.row as usize))).collect(),
            bridges: map(&numbers.bridges),
            next_hop_groups: map(&numbers.next_hop_groups),
            bfd_sessions: map(&numbers.bfd_sessions),
        }
    }
}

impl State {
    /// No number below these is given to anything new.
    pub(super) fn go_on_after(&mut self, next: &told::Next) {
        let numbers = [&mut self.next_vrf, &mut self.next_vif, &mut self.next_bridge, &mut self.next_hop_group];
        for (number, given) in numbers.into_iter().zip([next.vrf, next.vif, next.bridge, next.next_hop_group]) {
            *number = given.max(*number);
        }
        self.next_bfd = next.bfd_session.max(self.next_bfd);
    }

    fn next(&self) -> told::Next {
        told::Next {
            vrf: self.next_vrf,
            vif: self.next_vif,
            bridge: self.next_bridge,
            next_hop_group: self.next_hop_group,
            bfd_session: self.next_bfd,
            path_name: self.path_names.next(),
        }
    }
}

/// The numbers of what a commit touched, but for tenants.
pub(super) fn touched(state: &State, dirty: &Dirty) -> told::Numbers {
    let groups = dirty.hop_groups.iter().filter_map(|next_hop| match state.hop(*next_hop)?.1 {
        Hop::Named(id) => state.hop_group_by_id.get(&id),
        _ => None,
    });
    let vifs = dirty.vifs.iter().filter_map(|id| state.vif_by_id.get(id));
    let bridges = dirty.bridges.iter().filter_map(|id| state.bridge_by_id.get(id));
    let sessions = state.bfd.values().filter(|_| dirty.bfd);
    let names = dirty.path_names.created.iter();
    let ports = dirty.ports.iter().filter_map(|index| state.ports[index.index()].as_deref());
    told::Numbers {
        vrfs: dirty.vrfs.iter().filter_map(|id| state.vrf_by_id.get(id)).map(|it| named(&it.name, it.id.0)).collect(),
        vifs: vifs.map(|it| told::Named { row: it.slot as u32, ..named(&it.name, it.id.0) }).collect(),
        bridges: bridges.map(|it| named(&it.name, it.id.0)).collect(),
        next_hop_groups: groups.map(|it| named(&it.name, it.id.0)).collect(),
        bfd_sessions: sessions.map(|it| named(&it.name, it.id)).collect(),
        path_names: names.filter_map(|number| Some(named(state.path_names.value(*number)?, *number))).collect(),
        path_names_gone: dirty.path_names.removed.iter().map(|(number, _)| *number).collect(),
        tenants: Vec::new(),
        ports: ports.map(device).collect(),
        next: Some(state.next()),
    }
}

/// The numbers of all there is, but for tenants; of each kind in the order of their names.
pub(super) fn all(state: &State) -> told::Numbers {
    let mut path_names: Vec<_> = state.path_names.used_numbers().map(|(number, name)| named(name, number)).collect();
    path_names.sort_unstable_by_key(|one| one.number);
    let mut ports: Vec<_> = state.ports.iter().flatten().map(|port| device(port)).collect();
    ports.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let vifs = state.vifs.values();
    told::Numbers {
        vrfs: state.vrfs.values().map(|it| named(&it.name, it.id.0)).collect(),
        vifs: vifs.map(|it| told::Named { row: it.slot as u32, ..named(&it.name, it.id.0) }).collect(),
        bridges: state.bridges.values().map(|it| named(&it.name, it.id.0)).collect(),
        next_hop_groups: state.hop_groups.values().map(|it| named(&it.name, it.id.0)).collect(),
        bfd_sessions: state.bfd.values().map(|it| named(&it.name, it.id)).collect(),
        path_names,
        path_names_gone: Vec::new(),
        tenants: Vec::new(),
        ports,
        next: Some(state.next()),
    }
}

fn named(name: &str, number: u32) -> told::Named {
    told::Named { name: name.to_owned(), number, row: 0 }
}

fn device(port: &Port) -> told::Device {
    let info = &port.info;
    told::Device {
        name: info.name.clone(),
        devargs: info.devargs.clone(),
        mac: info.mac.0.to_vec(),
        mtu: info.mtu.into(),
        queues: info.queues.into(),
    }
}
