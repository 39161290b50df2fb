//! Refusals of bridges and of where their stations are.

use super::*;
use crate::api::v1::fdb_entry::Target as At;
use crate::api::v1::frame_tunnel::Encap;

fn bridge(name: &str, vrf: &str) -> v1::Change {
    put(Kind::Bridge(Box::new(v1::Bridge { name: name.into(), vrf: vrf.into(), ..Default::default() })))
}

fn station(bridge: &str, mac: [u8; 6], at: At) -> v1::Change {
    let key = v1::FdbKey { bridge: bridge.into(), mac: mac.into() };
    put(Kind::FdbEntry(v1::FdbEntry { key: Some(key), target: Some(at), ..Default::default() }))
}

fn behind(remote: &str, encap: Encap) -> At {
    At::Tunnel(v1::FrameTunnel { remote: ip(remote), encap: Some(encap), leaf: false })
}

/// One more than there are in the network, in a bridge of its own.
pub(super) fn one_station() -> Vec<v1::Change> {
    vec![bridge("x", "red"), station("x", ONE, behind("10.0.0.2", Encap::Vni(5000)))]
}

/// The same with an address.
pub(super) fn one_address() -> Vec<v1::Change> {
    let key = Some(v1::FdbKey { bridge: "x".into(), mac: ONE.into() });
    let (target, addresses) = (Some(behind("10.0.0.2", Encap::Vni(5000))), vec![ip("10.1.1.1")]);
    vec![bridge("x", "red"), put(Kind::FdbEntry(v1::FdbEntry { key, target, addresses, ..Default::default() }))]
}

const FDB: &str = "fdb lan 02:00:00:00:09:01";
const ONE: [u8; 6] = [2, 0, 0, 0, 9, 1];

/// The network with bridge lan of red, of which red1 is a port, and a station.
fn bridged() -> Vec<v1::Change> {
    vec![
        bridge("lan", "red"),
        put(Kind::Vif(Box::new(v1::Vif { bridge: "lan".into(), ..vif("red1", 1, "red", &["192.168.0.11"]) }))),
        station("lan", ONE, behind("10.0.0.9", Encap::Vni(5000))),
    ]
}

fn refused(change: v1::Change, object: &str, field: &str, reason: &str) {
    let mut model = model_with(&bridged());
    let before = (model.list(v1::Kind::All, ""), model.used());
    let refused = refusal(&mut model, "", std::slice::from_ref(&change));
    assert_eq!((&*refused.object, &*refused.field), (object, field), "{refused:?} for {change:?}");
    assert!(refused.reason.contains(reason), "{refused:?} for {change:?}");
    assert_eq!((model.list(v1::Kind::All, ""), model.used()), before);
}

#[test]
fn bridges_are_of_tenants_and_stay_while_they_are_used() {
    refused(bridge("b?", "red"), "bridge b?", "name", "1 to 63");
    refused(bridge("dmz", "x"), "bridge dmz", "vrf", "no VRF x");
    refused(bridge("dmz", "underlay"), "bridge dmz", "vrf", "of the fabric");
    refused(bridge("lan", "blue"), "bridge lan", "vrf", "still referred to by VIF red1");
    refused(delete(Key::Bridge("lan".into())), "bridge lan", "", "still referred to by VIF red1");
    refused(delete(Key::Bridge("x".into())), "bridge x", "", "does not exist");
    refused(
        create(Kind::Bridge(Box::new(v1::Bridge { name: "lan".into(), vrf: "red".into(), ..Default::default() }))),
        "bridge lan",
        "",
        "exists",
    );
    let mut model = model_with(&[bridge("dmz", "blue"), station("dmz", ONE, behind("10.0.0.9", Encap::Vni(1)))]);
    let gone = refusal(&mut model, "", &[delete(Key::Bridge("dmz".into()))]);
    assert!(gone.reason.contains("1 FDB entries"), "{gone:?}");
    let vni = v1::Vni { vni: 3, bridge: "dmz".into(), ..Default::default() };
    for (made, reason) in
        [(Kind::Vni(vni), "1 VNIs"), (Kind::Label(label(33, Target::Bridge("dmz".into()))), "1 labels")]
    {
        let mut model = model_with(&[bridge("dmz", "blue"), put(made)]);
        let gone = refusal(&mut model, "", &[delete(Key::Bridge("dmz".into()))]);
        assert!(gone.reason.contains(reason), "{gone:?}");
    }
    let mut model = model_with(&[put(Kind::Vrf(vrf("green"))), bridge("dmz", "green")]);
    let gone = refusal(&mut model, "", &[delete(Key::Vrf("green".into()))]);
    assert!(gone.reason.contains("1 bridges"), "{gone:?}");
}

#[test]
fn ports_of_bridges() {
    let red1 = || v1::Vif { bridge: "lan".into(), ..vif("red1", 1, "red", &["192.168.0.11"]) };
    let of = |bridge: &str| v1::Vif { bridge: bridge.into(), ..red1() };
    refused(put(Kind::Vif(Box::new(of("x")))), "vif red1", "bridge", "no bridge x");
    let blue = v1::Vif { bridge: "lan".into(), ..vif("blue1", 2, "blue", &["192.168.0.11", "fd00::11"]) };
    refused(put(Kind::Vif(Box::new(blue))), "vif blue1", "bridge", "bridge lan is of VRF red");
    refused(put(Kind::Vif(Box::new(v1::Vif { bridge: "lan".into(), ..uplink() }))), "vif up0", "bridge", "of VRF red");
    let twin = v1::Vif { mac: red1().mac, bridge: "lan".into(), ..vif("red2", 3, "red", &[]) };
    refused(put(Kind::Vif(Box::new(twin))), "vif red2", "mac", "MAC address of VIF red1 in this bridge");
    let unlabelled = delete(Key::Label(1001));
    let mut model = model_with(&[bridged(), vec![unlabelled, station("lan", [2; 6], At::Vif("red1".into()))]].concat());
    let leaves = refusal(&mut model, "", &[put(Kind::Vif(Box::new(of(""))))]);
    assert_eq!((&*leaves.field, &*leaves.reason), ("bridge", "still referred to by 1 FDB entries"));
    let gone = refusal(&mut model, "", &[delete(Key::Vif("red1".into()))]);
    assert_eq!((&*gone.field, &*gone.reason), ("", "still referred to by 1 FDB entries"));
}

#[test]
fn stations() {
    let at = |encap| behind("10.0.0.9", encap);
    refused(station("x", ONE, at(Encap::Vni(1))), "fdb x 02:00:00:00:09:01", "key.bridge", "no bridge x");
    let group = [3, 0, 0, 0, 9, 1];
    refused(station("lan", group, at(Encap::Vni(1))), "fdb lan 03:00:00:00:09:01", "key.mac", "a group or zero MAC");
    let gateway = [0, 0, 0x5e, 0, 1, 0];
    refused(station("lan", gateway, at(Encap::Vni(1))), "fdb lan 00:00:5e:00:01:00", "key.mac", "the gateway's own");
    let router = [2, 10, 0, 0, 1, 1];
    refused(station("lan", router, at(Encap::Vni(1))), "fdb lan 02:0a:00:00:01:01", "key.mac", "our router MAC");
    refused(station("lan", ONE, At::Vif("x".into())), FDB, "vif", "no VIF x");
    refused(station("lan", ONE, At::Vif("blue1".into())), FDB, "vif", "VIF blue1 is no port of bridge lan");
    refused(station("lan", ONE, at(Encap::Vni(1 << 24))), FDB, "tunnel.vni", "0 to 16777215");
    refused(station("lan", ONE, at(Encap::Geneve(1 << 24))), FDB, "tunnel.geneve", "0 to 16777215");
    refused(station("lan", ONE, at(Encap::MplsOverUdp(15))), FDB, "tunnel.mpls_over_udp", "16 to 1048575");
    refused(station("lan", ONE, at(Encap::MplsOverGre(1 << 20))), FDB, "tunnel.mpls_over_gre", "16 to 1048575");
    refused(
        station("lan", ONE, behind("10.0.0.1", Encap::Vni(1))),
        FDB,
        "tunnel.remote",
        "10.0.0.1 is our own address",
    );
    refused(station("lan", ONE, behind("224.0.0.1", Encap::Vni(1))), FDB, "tunnel.remote", "no address of one host");
    refused(station("lan", ONE, behind("fd0f::1", Encap::Vni(1))), FDB, "tunnel.remote", "needs vtep_v6");
    let key = || Some(v1::FdbKey { bridge: "lan".into(), mac: ONE.into() });
    let aimless = |target| put(Kind::FdbEntry(v1::FdbEntry { key: key(), target, ..Default::default() }));
    refused(aimless(None), FDB, "target", "is missing");
    let called = |addresses: &[&str]| {
        let target = Some(At::Vif("red1".into()));
        let addresses = addresses.iter().map(|address| ip(address)).collect();
        put(Kind::FdbEntry(v1::FdbEntry { key: key(), target, addresses, ..Default::default() }))
    };
    refused(called(&["10.1.1.1", "224.0.0.1"]), FDB, "addresses[1]", "no address of one host");
    refused(called(&["10.1.1.1", "fd01::1", "10.1.1.1"]), FDB, "addresses[2]", "given twice");
    refused(called(&["10.1.1.1"; 257]), FDB, "addresses", "at most 256");
    let nothing = v1::FrameTunnel { remote: ip("10.0.0.9"), encap: None, leaf: false };
    refused(aimless(Some(At::Tunnel(nothing))), FDB, "tunnel.encap", "is missing");
    let other = v1::FdbKey { bridge: "lan".into(), mac: vec![2; 6] };
    refused(delete(Key::FdbEntry(other)), "fdb lan 02:02:02:02:02:02", "", "does not exist");
    refused(put(Kind::FdbEntry(v1::FdbEntry::default())), "fdb", "key", "is missing");
}

#[test]
fn what_is_learnt_is_not_written() {
    let target = Some(At::Vif("red1".into()));
    let entry = |learnt, pinned| {
        let key = Some(v1::FdbKey { bridge: "lan".into(), mac: ONE.into() });
        put(Kind::FdbEntry(v1::FdbEntry { key, target: target.clone(), learnt, pinned, ..Default::default() }))
    };
    refused(entry(true, true), FDB, "learnt", "cannot be written");
    refused(entry(false, true), FDB, "pinned", "cannot be written");
    let with = |change: fn(&mut v1::Bridge)| {
        let mut bridge = v1::Bridge { name: "lan".into(), vrf: "red".into(), learning: true, ..Default::default() };
        change(&mut bridge);
        put(Kind::Bridge(Box::new(bridge)))
    };
    refused(with(|bridge| bridge.ageing = 1_000_001), "bridge lan", "ageing", "0 to 1000000");
    refused(with(|bridge| bridge.learn_limit = 65_537), "bridge lan", "learn_limit", "0 to 65536");
}

#[test]
fn leaves_are_of_bridges() {
    let leaf = v1::Vif { leaf: true, ..vif("red1", 1, "red", &["192.168.0.11"]) };
    refused(put(Kind::Vif(Box::new(leaf))), "vif red1", "leaf", "needs a bridge");
}

#[test]
fn vteps_of_bridges() {
    let with = |remotes: &[&str]| {
        let vtep = |remote: &&str| v1::FrameTunnel { remote: ip(remote), encap: Some(Encap::Vni(5000)), leaf: false };
        let vteps = remotes.iter().map(vtep).collect();
        put(Kind::Bridge(Box::new(v1::Bridge { name: "lan".into(), vrf: "red".into(), vteps, ..Default::default() })))
    };
    refused(with(&["10.0.0.9", "10.0.0.1"]), "bridge lan", "vteps[1].remote", "10.0.0.1 is our own address");
    refused(with(&["10.0.0.9", "10.0.0.8", "10.0.0.9"]), "bridge lan", "vteps[2]", "given twice");
    refused(with(&["fd0f::1"]), "bridge lan", "vteps[0].remote", "needs vtep_v6");
    let fast = v1::Bridge { name: "lan".into(), vrf: "red".into(), floods_per_second: 1_000_001, ..Default::default() };
    refused(put(Kind::Bridge(Box::new(fast))), "bridge lan", "floods_per_second", "0 to 1000000");
}

#[test]
fn vnis_and_labels_of_bridges() {
    let vni = |vrf: &str, bridge: &str| put(Kind::Vni(v1::Vni { vni: 5, vrf: vrf.into(), bridge: bridge.into() }));
    refused(vni("", "x"), "vni 5", "bridge", "no bridge x");
    refused(vni("red", "lan"), "vni 5", "bridge", "exactly one of vrf and bridge");
    refused(put(Kind::Label(label(16, Target::Bridge("x".into())))), "label 16", "bridge", "no bridge x");
}

#[test]
fn settings_leave_stations_alone() {
    let with = |change: fn(&mut v1::Settings)| {
        let mut settings = settings();
        change(&mut settings);
        put(Kind::Settings(Box::new(settings)))
    };
    refused(with(|settings| settings.gateway_mac = ONE.into()), "settings", "gateway_mac", "FDB entries");
    refused(with(|settings| settings.router_mac = ONE.into()), "settings", "router_mac", "FDB entries");
    let other = v1::Vif { addresses: vec![ip("10.0.0.1"), ip("10.0.0.9")], ..uplink() };
    let mut model = model_with(&[bridged(), vec![put(Kind::Vif(Box::new(other)))]].concat());
    let refused = refusal(&mut model, "", &[with(|settings| settings.vtep = ip("10.0.0.9"))]);
    assert_eq!(
        (&*refused.field, &*refused.reason),
        ("vtep", "still referred to by bridges or FDB entries by tunnels to it")
    );
}
