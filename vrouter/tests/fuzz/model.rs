//! Models of a network on the lab's ports, and what must be true of every snapshot.

use std::collections::HashSet;

use vrouter::api::v1;
use vrouter::api::yaml::Network;
use vrouter::ids::{Mac, NextHopId};
use vrouter::model::{Limits, Model, PortInfo};
use vrouter::tables::{DecapTarget, NextHopKind, Snapshot};

pub fn ports() -> Vec<PortInfo> {
    let port = |at: u8| PortInfo {
        name: format!("p{at}"),
        devargs: format!("wire{at}"),
        mac: Mac([0x52, 0, 0, 0, 0x0a, at]),
        mtu: 1500,
        queues: 1,
    };
    (0..crate::lab::PORTS as u8).map(port).collect()
}

/// Few of everything, so that limits are met.
pub const LIMITS: Limits = Limits {
    vrfs: 12,
    vifs: 12,
    routes: 64,
    next_hops: 64,
    paths: 64,
    next_hop_groups: 12,
    bfd_sessions: 3,
    acls: 12,
    acl_rules: 64,
    groups: 12,
    group_prefixes: 64,
    neighbours: 12,
    bridges: 12,
    fdb_entries: 12,
    fdb_addresses: 12,
    learnt: 12,
    vnis: 12,
    labels: 12,
    owners: 4,
    ports: 12,
};

/// The puts of a network.
pub fn changes(yaml: &str) -> Vec<v1::Change> {
    let network = Network::parse("network", yaml).unwrap_or_else(|error| panic!("{error:?}\n{yaml}"));
    network.changes().expect("checked").into_iter().map(|(change, _)| change).collect()
}

pub fn of(yaml: &str) -> Model {
    let mut model = Model::new(LIMITS, ports());
    model.apply("", &changes(yaml)).unwrap_or_else(|refused| panic!("{refused:?}\n{yaml}"));
    model
}

/// Whatever a snapshot's rows name is there, and each row of counters has one VIF.
pub fn check(snapshot: &Snapshot) {
    let next_hop = |hop: NextHopId| assert!(snapshot.next_hops.row(hop.index()).is_some(), "next hop {hop:?} is gone");
    let vrf = |id: vrouter::ids::VrfId| assert!(snapshot.vrfs.row(id.index()).is_some(), "VRF {id:?} is gone");
    let vif = |id: vrouter::ids::VifId| assert!(snapshot.vifs.row(id.index()).is_some(), "VIF {id:?} is gone");
    let mut slots = HashSet::new();
    for (number, row) in snapshot.vifs.iter() {
        assert_eq!(number, row.id.index());
        assert!(slots.insert(row.slot) && row.slot < LIMITS.vifs, "slot {}", row.slot);
        assert!(row.stamp <= snapshot.generation);
        vrf(row.vrf);
    }
    for (number, row) in snapshot.vrfs.iter() {
        assert_eq!(number, row.id.index());
        assert!(row.stamp <= snapshot.generation);
        row.v4.iter().for_each(|(_, _, hop)| next_hop(hop));
        row.v6.iter().for_each(|(_, _, hop)| next_hop(hop));
    }
    for (_, hop) in snapshot.next_hops.iter() {
        assert!(hop.stamp() <= snapshot.generation);
        if let NextHopKind::Vif { vif: to, .. } | NextHopKind::Bridged { vif: to, .. } = hop.kind {
            vif(to);
        }
    }
    snapshot.ports.iter().filter_map(|port| port.vif).for_each(vif);
    snapshot.vnis.values().for_each(|to| vrf(to.vrf));
    let bridge =
        |id: vrouter::ids::BridgeId| assert!(snapshot.bridges.row(id.index()).is_some(), "bridge {id:?} is gone");
    snapshot.bridges.iter().for_each(|(_, row)| vrf(row.vrf));
    snapshot.bridges.iter().flat_map(|(_, row)| row.iter()).for_each(|(_, hop)| next_hop(hop));
    snapshot.vnis.values().filter_map(|to| to.bridge).for_each(bridge);
    snapshot.vifs.iter().filter_map(|(_, row)| row.bridge).for_each(bridge);
    for target in snapshot.labels.values() {
        match *target {
            DecapTarget::Vrf(to) => vrf(to),
            DecapTarget::Bridge(to) => bridge(to),
            DecapTarget::Vif { vrf: of, next_hop: hop } => {
                vrf(of);
                next_hop(hop);
            }
        }
    }
}
