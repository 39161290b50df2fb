//! A fabric port shared with the host's kernel.

use crate::bed::{Bed, RA, UP};

const KERNEL: usize = 4;
const UPLINK: &str = r#"{name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1, "fd0f::1"], subnets: [10.0.0.0/24, "fd0f::/64"]"#;

fn shared(more: &str) -> Bed {
    let mut bed = Bed::new();
    bed.apply(&format!("vifs: [{UPLINK}, exception_port: p4{more}}}]"));
    bed
}

#[test]
fn what_is_for_the_host_passes_as_it_is() {
    let mut bed = shared("");
    for name in ["ssh", "bgp6", "echo", "echo6", "dns", "dns-fragment", "ospf", "too-big"] {
        bed.pass(UP, &format!("exc.{name}"), KERNEL, &format!("exc.{name}"));
    }
    for name in ["underlay.ask-us", "nd6.ask-us", "nd6.dad", "underlay.conflict", "nd6.router-advertisement"] {
        bed.pass(UP, name, KERNEL, name);
    }
    for name in ["ssh.answer", "bgp6.answer", "out.full", "out.garp", "out.rs"].map(|name| format!("exc.{name}")) {
        bed.pass(KERNEL, &name, UP, &name);
    }
}

#[test]
fn the_rest_is_ours_as_ever() {
    let mut bed = shared("");
    bed.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    bed.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
    for (name, reason) in [
        ("vxlan.vni-unknown", "vni_unknown"),
        ("gre.ethernet", "gre_protocol"),
        ("fabric.not-for-us", "not_for_us"),
        ("exc.to-all", "multicast"),
    ] {
        bed.dropped(UP, name, reason);
    }
    // who may not send as us is of no VIF
    for (name, reason) in [("spoofed", "mac_spoofed"), ("over-mtu", "mtu_exceeded"), ("short", "frame_too_short")] {
        let name = format!("exc.out.{name}");
        let outcome = bed.put(KERNEL, &name);
        bed.expect(&outcome, &[], &name);
        let [drop] = &outcome.drops[..] else { panic!("{name}: {:?}", outcome.drops) };
        assert_eq!((&*drop.vif, drop.reason), ("", reason), "{name}");
    }
}

#[test]
fn neighbours_are_learnt_beside_the_kernel() {
    let mut bed = shared("");
    bed.apply(
        r#"routes: [{vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}]"#,
    );
    bed.pass(RA, "to-c.0", UP, "underlay.ask-c");
    let outcome = bed.put(UP, "underlay.c-says");
    bed.expect(&outcome, &[(KERNEL, "underlay.c-says"), (UP, "to-c.0.wire")], "c says");
}

#[test]
fn the_kernel_sees_no_tag() {
    let mut bed = shared(", vlan: 77");
    for name in ["ssh", "bgp6", "ask-us"] {
        bed.pass(UP, &format!("exc.tagged.{name}"), KERNEL, &format!("exc.{name}"));
    }
    for name in ["ssh.answer", "bgp6.answer", "out.full"] {
        bed.pass(KERNEL, &format!("exc.{name}"), UP, &format!("exc.tagged.{name}"));
    }
    bed.dropped(UP, "exc.ssh", "vlan_unknown");
}

#[test]
fn without_the_field_there_is_no_kernel() {
    let mut bed = Bed::new();
    bed.apply(&format!("vifs: [{UPLINK}}}]"));
    let outcome = bed.put(KERNEL, "exc.ssh.answer");
    assert_eq!(outcome.drops.len(), 1);
    assert_eq!((&*outcome.drops[0].vif, outcome.drops[0].reason), ("", "no_vif"));
    bed.dropped(UP, "exc.ssh", "local_unanswered");
    bed.pass(UP, "underlay.ask-us", UP, "underlay.ask-us.reply");
}
