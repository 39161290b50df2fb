//! Every drop reason, provoked with bytes from scapy.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::frames::frame;
use super::lab::{Lab, Setup, scenario};
use super::network::{self, RA, UP};

#[test]
fn bad_tenant_frames_are_dropped_by_reason() {
    scenario("bad-tenant", Lab::a, |lab| {
        use DropReason::*;
        let table = [
            ("bad.short", FrameTooShort),
            ("bad.not-ours", MacNotOurs),
            ("bad.broadcast", Multicast),
            ("bad.multicast", Multicast),
            ("bad.multicast6", Multicast),
            ("bad.vlan", EthertypeUnknown),
            ("bad.llc", EthertypeUnknown),
            ("bad.mac-spoofed", MacSpoofed),
            ("bad.version", Ipv4Header),
            ("bad.header-length", Ipv4Header),
            ("bad.header-truncated", Ipv4Header),
            ("bad.checksum", Ipv4Checksum),
            ("bad.length", IpLength),
            ("bad.length-small", IpLength),
            ("bad6.truncated", Ipv6Header),
            ("bad6.version", Ipv6Header),
            ("bad6.length", IpLength),
            ("bad6.extension", Ipv6Header),
            ("bad6.chain", Ipv6Header),
            ("bad.udp-truncated", TransportHeader),
            ("bad.udp-length", TransportHeader),
            ("bad.tcp-truncated", TransportHeader),
            ("bad.tcp-offset", TransportHeader),
            ("bad.icmp-truncated", TransportHeader),
            ("bad.icmp-quote", TransportHeader),
            ("bad.source-loopback", SourceSpoofed),
            ("bad.source-zero", SourceSpoofed),
            ("bad.source-multicast", SourceSpoofed),
            ("bad.source-itself", SourceSpoofed),
            ("bad.source-other", SourceSpoofed),
            ("bad6.source-other", SourceSpoofed),
            ("bad6.source-loopback", SourceSpoofed),
            ("fragment4.tiny", FragmentTooShort),
            ("fragment4.tcp-offset-1", FragmentTooShort),
            ("fragment6.tiny", FragmentTooShort),
            ("arp.forged-sender", ArpInvalid),
            ("arp.forged-source", MacSpoofed),
            ("arp.forged-mac", ArpInvalid),
            ("arp.truncated", ArpInvalid),
            ("arp.unicast-elsewhere", MacNotOurs),
            ("nd.hop-limit", NdInvalid),
            ("nd.forged-source", NdInvalid),
            ("nd.forged-option", NdInvalid),
            ("udp4.gateway", LocalUnanswered),
        ];
        for (name, reason) in table {
            lab.dropped(RA, name, reason);
        }
        assert!(lab.rig().flows(Default::default()).is_empty());
        lab.dropped((0, 5), "udp4.vxlan", NoVif);
    });
}

#[test]
fn what_has_a_flow_is_asked_for_its_mac_and_its_ethertype_all_the_same() {
    scenario("drops-in-a-flow", Lab::a, |lab| {
        (0..2).for_each(|_| lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire"));
        // the same flow, from rb's MAC
        lab.dropped(RA, "bad.mac-spoofed", DropReason::MacSpoofed);
        let mut other = frame("bad.mac-spoofed").to_vec();
        other[6..12].copy_from_slice(&frame("udp4.vxlan")[6..12]);
        other[12..14].copy_from_slice(&[0x88, 0xb5]);
        lab.dropped_bytes(RA, &other, DropReason::EthertypeUnknown, "no IP, though it looks like the flow's");
        assert_eq!(lab.rig().flow().packets, 2);
    });
}

#[test]
fn bad_fabric_frames_are_dropped_by_reason() {
    scenario("bad-fabric", Lab::a, |lab| {
        use DropReason::*;
        let table = [
            ("bad.short", FrameTooShort),
            ("fabric.not-for-us", NotForUs),
            ("fabric.mac", MacNotOurs),
            ("fabric.broadcast", Multicast),
            ("fabric.ethertype", EthertypeUnknown),
            ("fabric.source", SourceSpoofed),
            ("fabric.udp-unknown", LocalUnanswered),
            ("fabric.tcp", LocalUnanswered),
            ("fabric.udp-length", TransportHeader),
            ("vxlan.truncated", VxlanHeader),
            ("vxlan.no-i-bit", VxlanHeader),
            ("vxlan.vni-unknown", VniUnknown),
            ("vxlan.inner-short", FrameTooShort),
            ("vxlan.inner-mac", InnerMacNotOurs),
            ("vxlan.inner-arp-mac", InnerMacNotOurs),
            ("vxlan.inner-broadcast", Multicast),
            ("vxlan.inner-vlan", EthertypeUnknown),
            ("vxlan.inner-truncated", IpLength),
            ("vxlan.inner-length", IpLength),
            ("vxlan.inner-checksum", Ipv4Checksum),
            ("vxlan.inner-source", SourceSpoofed),
            ("mpls.truncated", MplsHeader),
            ("mpls.deep", MplsHeader),
            ("mpls.label-unknown", LabelUnknown),
            ("mpls.inner-empty", EthertypeUnknown),
            ("mpls.inner-version", EthertypeUnknown),
            ("mpls.inner-multicast", Multicast),
            ("mpls.inner-truncated", Ipv4Header),
            ("nd.label", NeighbourNotOurs),
            ("error4.in", IcmpErrorNoFlow),
            ("underlay.conflict", ArpInvalid),
            ("underlay.stranger-says", NeighbourNotOurs),
        ];
        for (name, reason) in table {
            lab.dropped(UP, name, reason);
        }
        assert!(lab.rig().flows(Default::default()).is_empty());
    });
}

/// What comes out of tunnels is told by the VRF that it was for, in which it may be another tenant's than what came before by the same port.
#[test]
fn drops_are_told_by_vrf() {
    scenario("drops-by-vrf", Lab::a, |lab| {
        lab.apply("acls: [{name: nothing, rules: []}]\nvrfs: [{name: red, acl: nothing}, {name: gone, acl: nothing}]");
        lab.apply("labels: [{label: 2000, vrf: gone}]\nroutes: [{vrf: gone, prefix: 10.1.1.10/32, via: {vif: ba}}]");
        (0..3).for_each(|_| lab.dropped(UP, "udp4.vxlan.back", DropReason::AclVrf));
        (0..2).for_each(|_| lab.dropped(UP, "udp4.blue.back", DropReason::AclVrf));
        lab.dropped(RA, "udp4.vxlan", DropReason::AclVrf);
        // for nobody, as far as is known
        lab.dropped(UP, "vxlan.vni-unknown", DropReason::VniUnknown);
        lab.dropped((0, 5), "udp4.vxlan", DropReason::NoVif);
        let told = |lab: &mut Lab| {
            let rows = lab.rig().stats().drops.into_iter();
            let mut rows: Vec<_> = rows.map(|row| (row.reason, row.vif, row.vrf, row.packets)).collect();
            rows.sort();
            rows
        };
        let row =
            |reason: &str, vif: &str, vrf: &str, packets| (reason.to_owned(), vif.to_owned(), vrf.to_owned(), packets);
        let others = [
            row("acl_vrf", "ra", "red", 1),
            row("acl_vrf", "up0", "gone", 2),
            row("acl_vrf", "up0", "red", 3),
            row("no_vif", "", "", 1),
            row("vni_unknown", "up0", "underlay", 1),
        ];
        assert_eq!(told(lab), others);
        let victims = |lab: &mut Lab, vif: &str, vrf: &str| {
            let filter = v1::VictimsRequest { vif: vif.into(), vrf: vrf.into(), ..v1::VictimsRequest::default() };
            let victims = lab.rig().ask(|reply| Request::Victims { filter, reply }).unwrap().victims;
            assert!(victims.iter().all(|row| row.vrf == vrf));
            victims.len()
        };
        assert_eq!((victims(lab, "up0", "red"), victims(lab, "", "red"), victims(lab, "", "gone")), (3, 4, 2));
        // of a VRF that is no more nobody's name is told
        lab.apply("labels: [{label: 2000, vrf: blue}]");
        let prefix = Some(v1::Prefix { address: vec![10, 1, 1, 10], length: 32 });
        lab.rig().delete(Key::Route(v1::RouteKey { vrf: "gone".into(), prefix, owner: String::new() }));
        lab.rig().delete(Key::Vrf("gone".into()));
        let [a, _, c, d, e] = others;
        assert_eq!(told(lab), [a, c, row("acl_vrf", "up0", "underlay", 2), d, e]);
    });
}

#[test]
fn only_allowed_vteps_send_into_a_vrf() {
    scenario("vteps", Lab::a, |lab| {
        lab.apply("vrfs: [{name: red, allowed_vteps: [10.0.0.2, 10.0.0.3]}]");
        lab.dropped(UP, "vxlan.other-vtep", DropReason::VtepNotAllowed);
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    });
}

#[test]
fn a_full_wire_refuses_and_counts() {
    let small = |workers| Lab::one(workers, &Setup { room: 2, network: network::a(), ..Setup::default() });
    scenario("tx-refused", small, |lab| {
        for _ in 0..2 * lab.rig().workers.len() {
            lab.pass_silently(RA, "udp4.vxlan");
        }
        lab.counts_drop(RA, super::frames::frame("udp4.vxlan"), DropReason::TxRefused, "a third frame");
        lab.take(UP);
    });
}
