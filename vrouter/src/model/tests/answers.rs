//! What a model and its snapshot answer, in words without numbers, so that two models can be compared.

use std::net::IpAddr;

use crate::ids::{BridgeId, NextHopId, PortIndex, Tags, VifId};
use crate::model::Model;
use crate::tables::acl::{Acl, Redirect, Tuple};
use crate::tables::{DecapTarget, NextHopKind, Snapshot, Tunnel, Underlay, Vif, Vrf, Way};

const ADDRESSES: [&str; 19] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.254",
    "10.0.1.1",
    "10.0.1.7",
    "10.1.0.1",
    "10.1.2.3",
    "10.2.0.1",
    "172.16.0.1",
    "172.16.0.2",
    "172.16.0.3",
    "8.8.8.8",
    "fd00::1",
    "fd00::2",
    "fd01::1",
    "fd0f::1",
    "fd0f::7",
    "fd0f::9",
];

/// Everything that forwarding asks, asked at the addresses that tests use.
pub(crate) fn answers(model: &Model) -> Vec<String> {
    let snapshot = model.snapshot();
    let name = |vif: VifId| model.vif_name(vif).map(|name| name.to_string());
    let mut answers = vec![
        format!("vtep {:?} router {}", snapshot.local.vtep, snapshot.local.router_mac),
        format!("underlay {:?}", snapshot.local.underlay.and_then(|vrf| model.vrf_name(vrf))),
        format!("{:?} {} {}", snapshot.lifetimes, snapshot.tcp_strict, snapshot.punts_per_second),
        format!("ports {:?}", snapshot.ports.iter().map(|port| port.vif.and_then(name)).collect::<Vec<_>>()),
        format!(
            "needed {:?}",
            model.needed_neighbours().into_iter().map(|(vif, a)| (name(vif), a)).collect::<Vec<_>>()
        ),
        format!("used {:?}", model.used()),
        format!("next hops {}", snapshot.next_hops.count()),
    ];
    for (id, row) in snapshot.vrfs.iter() {
        assert_eq!(id, row.id.index());
        vrf(model, &snapshot, row, &mut answers);
    }
    for (id, row) in snapshot.vifs.iter() {
        assert_eq!(id, row.id.index());
        vif(model, row, &mut answers);
    }
    let bridge_name = |id: BridgeId| snapshot.bridges.row(id.index()).map(|bridge| bridge.name.clone());
    for (id, row) in snapshot.bridges.iter() {
        assert_eq!(id, row.id.index());
        answers.push(format!("bridge {} {:?} {}", row.name, model.vrf_name(row.vrf), row.stations()));
        let port = |(vif, next_hop): &(VifId, NextHopId)| (name(*vif), next_hop_row(model, &snapshot, *next_hop));
        let mut ports: Vec<_> = row.ports.iter().map(port).collect();
        ports.sort();
        let vteps: Vec<_> = row.vteps.iter().map(|vtep| next_hop_row(model, &snapshot, *vtep)).collect();
        let floods = (row.floods_unknown, row.floods_per_second);
        answers.push(format!("everybody {} {ports:?} {vteps:?} {floods:?}", row.name));
        let guests = super::random::GUESTS.iter().map(|guest| guest.parse().unwrap());
        let pairs: Vec<_> = guests.map(|guest: IpAddr| (guest, row.pair(guest))).collect();
        answers.push(format!("pairs {} {} {pairs:?}", row.name, row.suppresses));
        for (mac, next_hop) in row.iter() {
            answers.push(format!("station {} {mac} {}", row.name, next_hop_row(model, &snapshot, next_hop)));
        }
    }
    for (vni, target) in snapshot.vnis.iter() {
        answers.push(format!("vni {vni} {:?} {:?}", model.vrf_name(target.vrf), target.bridge.map(bridge_name)));
    }
    for (label, target) in snapshot.labels.iter() {
        answers.push(match target {
            DecapTarget::Bridge(bridge) => format!("label {label} bridge {:?}", bridge_name(*bridge)),
            DecapTarget::Vrf(vrf) => format!("label {label} vrf {:?}", model.vrf_name(*vrf)),
            DecapTarget::Vif { vrf, next_hop } => {
                format!("label {label} {:?} {}", model.vrf_name(*vrf), next_hop_row(model, &snapshot, *next_hop))
            }
        });
    }
    answers.sort();
    answers
}

fn vrf(model: &Model, snapshot: &Snapshot, row: &Vrf, answers: &mut Vec<String>) {
    let name = &row.name;
    answers.push(format!("vrf {name} {} {} {:?}", row.flows, row.proxy_by_default_route, row.allowed_vteps));
    let tenant = snapshot.tenants.row(row.tenant.index());
    answers.push(format!("vrf {name} {:?} {tenant:?}", row.tunnel_quota));
    answers.push(format!("vrf {name} v4 {} v6 {}", row.v4.len(), row.v6.len()));
    for address in ADDRESSES {
        let route = row.route(address.parse().unwrap());
        let route = route.map(|(length, id)| (length, next_hop_row(model, snapshot, id)));
        answers.push(format!("vrf {name} route {address} {route:?}"));
    }
    verdicts(model, &format!("vrf {name} acl"), row.acl.as_deref(), answers);
}

fn vif(model: &Model, row: &Vif, answers: &mut Vec<String>) {
    let name = &row.name;
    answers.push(format!(
        "vif {name} {:?} {} {:?}",
        row.kind,
        way_out(model, &model.snapshot(), row.port),
        model.vrf_name(row.vrf)
    ));
    answers.push(format!("vif {name} {} {} {} {:?}", row.mac, row.our_mac, row.mtu, row.addresses));
    let gateways = (row.gateway_v4, row.gateway_v6, row.gateway_link_local);
    answers.push(format!("vif {name} {gateways:?} {:?} {:?}", row.advertise, row.quota));
    for address in ADDRESSES.into_iter().chain(["fe80::77"]) {
        let address: IpAddr = address.parse().unwrap();
        answers
            .push(format!("vif {name} source {address} {:?}", row.sources.as_ref().map(|set| set.contains(address))));
    }
    let service = row.service.map(|next_hop| next_hop_row(model, &model.snapshot(), next_hop));
    answers.push(format!("vif {name} service {service:?}"));
    verdicts(model, &format!("vif {name} from"), row.from_vif.as_deref(), answers);
    verdicts(model, &format!("vif {name} to"), row.to_vif.as_deref(), answers);
}

fn verdicts(model: &Model, whose: &str, acl: Option<&Acl>, answers: &mut Vec<String>) {
    let Some(acl) = acl else { return answers.push(format!("{whose} none")) };
    for (source, destination) in ADDRESSES.iter().zip(ADDRESSES.iter().rev()).chain(ADDRESSES.iter().zip(&ADDRESSES)) {
        for (protocol, ports, icmp) in
            [(6, Some((1000, 80)), None), (17, Some((53, 4000)), None), (1, None, Some((8, 0)))]
        {
            let [source, destination] = [source, destination].map(|address| address.parse::<IpAddr>().unwrap());
            if source.is_ipv4() != destination.is_ipv4() {
                continue;
            }
            let judgement = acl.judge(&Tuple { source, destination, protocol, ports, icmp });
            let to = match acl.redirect(&judgement) {
                None => String::new(),
                Some(Redirect::Vrf(vrf)) => format!(" by vrf {:?}", model.vrf_name(vrf)),
                Some(Redirect::Vif(vif)) => format!(" by vif {:?}", model.vif_name(vif)),
            };
            answers.push(format!("{whose} {} {source} {destination} {protocol} {judgement:?}{to}", acl.name));
        }
    }
}

/// A port as people name it: the numbers of sub-interfaces depend on what there was before.
fn way_out(model: &Model, snapshot: &Snapshot, port: PortIndex) -> String {
    let Some(branch) = snapshot.branches.of(port) else {
        assert!(port.index() < snapshot.ports.len(), "a sub-interface that is not there");
        return port.to_string();
    };
    let Tags { outer, inner } = branch.tags;
    let found = snapshot.branches.find(branch.port, outer, inner).map(|(vif, _)| vif);
    assert_eq!(found, Some(branch.vif));
    format!("{:?} of {} {outer} {inner:?}", model.vif_name(branch.vif), branch.port)
}

fn next_hop_row(model: &Model, snapshot: &Snapshot, id: NextHopId) -> String {
    let name = |vif: VifId| model.vif_name(vif).map(|name| name.to_string());
    let text = model.next_hop_text(id);
    let row = snapshot.next_hops.row(id.index()).expect("a route's next hop has a row");
    let mtu = row.mtu;
    match &row.kind {
        NextHopKind::Drop => format!("{text}: drop {mtu}"),
        NextHopKind::Group(group) => {
            let name = |member: &crate::tables::Member| snapshot.member_names.row(member.id.index()).unwrap();
            let member = |member: &crate::tables::Member| {
                let way = next_hop_row(model, snapshot, member.next_hop);
                format!("{} {} {} {} [{way}]", name(member), member.weight, member.up, member.backup)
            };
            format!("{text}: group {mtu} {:?}", group.members().iter().map(member).collect::<Vec<_>>())
        }
        NextHopKind::Vrf(other) => format!("{text}: vrf {:?}", model.vrf_name(*other)),
        NextHopKind::Receive => format!("{text}: receive {mtu}"),
        NextHopKind::Vif { vif, port, dst_mac, src_mac } => {
            let port = way_out(model, snapshot, *port);
            format!("{text}: {:?} {port} {dst_mac} {src_mac} {mtu}", name(*vif))
        }
        NextHopKind::Bridged { vif, port } => {
            format!("{text}: bridged {:?} {} {mtu}", name(*vif), way_out(model, snapshot, *port))
        }
        NextHopKind::Fabric(underlay) => format!("{text}: {} {mtu}", underlay_text(model, underlay)),
        NextHopKind::Tunnel(tunnel) => format!(
            "{text}: {:?} {} {} {:?} {:?} {mtu}",
            model.vrf_name(tunnel.vrf),
            tunnel.local,
            tunnel.remote,
            tunnel.encap,
            ways_text(model, tunnel)
        ),
    }
}

fn ways_text(model: &Model, tunnel: &Tunnel) -> Vec<String> {
    let text =
        |(way, share): (&Way, usize)| format!("{share} {} {:?}", underlay_text(model, &way.underlay), way.template);
    tunnel.ways.all().map(text).collect()
}

fn underlay_text(model: &Model, underlay: &Underlay) -> String {
    let on = |vif: VifId, neighbour: Option<IpAddr>| format!("{:?} {neighbour:?}", model.vif_name(vif));
    match underlay {
        Underlay::Resolved(to) => format!("{} {} {} {}", on(to.vif, None), to.port, to.dst_mac, to.src_mac),
        Underlay::Resolving { vif, neighbour } => format!("resolving {}", on(*vif, *neighbour)),
        Underlay::NoRoute => "no route".into(),
    }
}
