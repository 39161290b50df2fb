//! Bad bytes, and what is refused.

use crate::bed::{Bed, RA, UP};

#[test]
fn bad_tenant_frames_are_dropped_by_reason() {
    let mut bed = Bed::new();
    let table = [
        ("bad.short", "frame_too_short"),
        ("bad.not-ours", "mac_not_ours"),
        ("bad.broadcast", "multicast"),
        ("bad.multicast", "multicast"),
        ("bad.multicast6", "multicast"),
        ("bad.vlan", "ethertype_unknown"),
        ("bad.llc", "ethertype_unknown"),
        ("bad.mac-spoofed", "mac_spoofed"),
        ("bad.version", "ipv4_header"),
        ("bad.header-length", "ipv4_header"),
        ("bad.header-truncated", "ipv4_header"),
        ("bad.checksum", "ipv4_checksum"),
        ("bad.length", "ip_length"),
        ("bad.length-small", "ip_length"),
        ("bad6.truncated", "ipv6_header"),
        ("bad6.version", "ipv6_header"),
        ("bad6.length", "ip_length"),
        ("bad6.extension", "ipv6_header"),
        ("bad6.chain", "ipv6_header"),
        ("bad.udp-truncated", "transport_header"),
        ("bad.udp-length", "transport_header"),
        ("bad.tcp-truncated", "transport_header"),
        ("bad.tcp-offset", "transport_header"),
        ("bad.icmp-truncated", "transport_header"),
        ("bad.icmp-quote", "transport_header"),
        ("bad.source-loopback", "source_spoofed"),
        ("bad.source-zero", "source_spoofed"),
        ("bad.source-multicast", "source_spoofed"),
        ("bad.source-itself", "source_spoofed"),
        ("bad.source-other", "source_spoofed"),
        ("bad6.source-other", "source_spoofed"),
        ("bad6.source-loopback", "source_spoofed"),
        ("fragment4.tiny", "fragment_too_short"),
        ("fragment4.tcp-offset-1", "fragment_too_short"),
        ("fragment6.tiny", "fragment_too_short"),
        ("arp.forged-sender", "arp_invalid"),
        ("arp.forged-source", "mac_spoofed"),
        ("arp.forged-mac", "arp_invalid"),
        ("arp.truncated", "arp_invalid"),
        ("arp.unicast-elsewhere", "mac_not_ours"),
        ("nd.hop-limit", "nd_invalid"),
        ("nd.forged-source", "nd_invalid"),
        ("nd.forged-option", "nd_invalid"),
    ];
    for (name, reason) in table {
        bed.dropped(RA, name, reason);
    }
    assert_eq!(bed.oracle.flows(), []);
    bed.dropped(5, "udp4.vxlan", "no_vif");
}

#[test]
fn bad_fabric_frames_are_dropped_by_reason() {
    let mut bed = Bed::new();
    let table = [
        ("bad.short", "frame_too_short"),
        ("fabric.not-for-us", "not_for_us"),
        ("fabric.mac", "mac_not_ours"),
        ("fabric.broadcast", "multicast"),
        ("fabric.ethertype", "ethertype_unknown"),
        ("fabric.source", "source_spoofed"),
        ("fabric.udp-unknown", "local_unanswered"),
        ("fabric.tcp", "local_unanswered"),
        ("fabric.udp-length", "transport_header"),
        ("vxlan.truncated", "vxlan_header"),
        ("vxlan.no-i-bit", "vxlan_header"),
        ("vxlan.vni-unknown", "vni_unknown"),
        ("vxlan.inner-short", "frame_too_short"),
        ("vxlan.inner-mac", "inner_mac_not_ours"),
        ("vxlan.inner-broadcast", "multicast"),
        ("vxlan.inner-arp-mac", "inner_mac_not_ours"),
        ("vxlan.inner-vlan", "ethertype_unknown"),
        ("vxlan.inner-length", "ip_length"),
        ("vxlan.inner-checksum", "ipv4_checksum"),
        ("vxlan.inner-source", "source_spoofed"),
        ("mpls.truncated", "mpls_header"),
        ("mpls.deep", "mpls_header"),
        ("mpls.label-unknown", "label_unknown"),
        ("mpls.inner-empty", "ethertype_unknown"),
        ("mpls.inner-version", "ethertype_unknown"),
        ("mpls.inner-multicast", "multicast"),
        ("mpls.inner-truncated", "ipv4_header"),
        ("outer.checksum", "ipv4_checksum"),
        ("underlay.conflict", "arp_invalid"),
        ("underlay.stranger-says", "neighbour_not_ours"),
    ];
    for (name, reason) in table {
        bed.dropped(UP, name, reason);
    }
    bed.apply("vrfs: [{name: red, allowed_vteps: [10.0.0.2]}]");
    bed.dropped(UP, "vxlan.other-vtep", "vtep_not_allowed");
}

#[test]
fn routes_may_drop_and_lead_nowhere() {
    let mut bed = Bed::new();
    bed.apply("routes: [{vrf: red, prefix: 10.6.0.0/16, drop: true}]");
    bed.dropped(RA, "to-drop", "route_drop");
    bed.apply(r#"routes: [{vrf: red, prefix: 10.8.0.0/16, via: {mpls_udp: {remote: 198.51.100.9, label: 77}}}]"#);
    bed.dropped(RA, "nowhere", "no_underlay_route");
    bed.dropped(RA, "allowed.source", "source_spoofed");
    bed.ra("allowed_sources: [10.1.1.64/29]");
    bed.pass(RA, "allowed.source", UP, "allowed.source.wire");
}
