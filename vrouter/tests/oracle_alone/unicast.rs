//! Tenants' unicast, byte by byte.

use crate::bed::{BA, Bed, RA, RA2, UP, frame, is_frame};
use crate::oracle::Sent;

#[test]
fn tenants_packets_are_encapsulated() {
    let mut bed = Bed::new();
    for name in ["udp4.vxlan", "udp6.vxlan", "udp4.mpls", "udp6.mpls", "odd4", "options4", "extension6", "ttl4.2"] {
        bed.pass(RA, name, UP, &format!("{name}.wire"));
        bed.pass(RA, name, UP, &format!("{name}.wire"));
    }
    for name in ["udp4.blue", "udp6.blue"] {
        bed.pass(BA, name, UP, &format!("{name}.wire"));
    }
    bed.pass(RA, "padded4", UP, "odd4.wire");
    for name in ["fits4.vxlan", "fits4.mpls", "sctp.out", "gre.out", "ping4.out", "ping6.out"] {
        bed.pass(RA, name, UP, &format!("{name}.wire"));
    }
    for name in ["fragment4.first", "fragment4.later", "fragment6.first", "fragment6.later"] {
        bed.pass(RA, name, UP, &format!("{name}.wire"));
    }
    for n in 0..64 {
        bed.pass(RA, &format!("quiet.{n}"), UP, &format!("quiet.{n}.wire"));
        bed.pass(UP, &format!("quiet.{n}.back"), RA, &format!("quiet.{n}.back.out"));
    }
}

#[test]
fn tunnelled_packets_are_delivered() {
    let mut bed = Bed::new();
    for name in ["udp4.vxlan.back", "udp6.vxlan.back", "udp4.mpls.back", "udp6.mpls.back", "ping4.in", "ping6.in"] {
        bed.pass(UP, name, RA, &format!("{name}.out"));
        bed.pass(UP, name, RA, &format!("{name}.out"));
    }
    bed.pass(UP, "udp4.blue.back", BA, "udp4.blue.back.out");
    bed.pass(UP, "udp4.outer-checksum", RA, "udp4.outer-checksum.out");
    bed.pass(UP, "udp4.reserved-bits", RA, "udp4.outer-checksum.out");
    for name in ["label.vif", "label.vif6", "ra2.answered"] {
        bed.pass(UP, name, RA2, &format!("{name}.out"));
    }
    bed.pass(UP, "outer.options", RA, "outer.out");
    bed.pass(UP, "outer.padded", RA, "outer.out");
}

#[test]
fn local_vifs_reach_each_other() {
    let mut bed = Bed::new();
    for name in ["local4", "local6"] {
        bed.pass(RA, name, RA2, &format!("{name}.out"));
        bed.pass(RA2, &format!("{name}.back"), RA, &format!("{name}.back.out"));
    }
    assert_eq!(bed.oracle.flows().len(), 2);
    assert!(bed.oracle.flows().iter().all(|flow| flow.reverse_place == "vif ra2"));
}

#[test]
fn packet_mode_keeps_no_flows() {
    let mut bed = Bed::new();
    bed.apply("vrfs: [{name: red, flows: off}]");
    for name in ["udp4.vxlan", "udp6.mpls", "tcp.out.A"] {
        bed.pass(RA, name, UP, &format!("{name}.wire"));
    }
    bed.pass(UP, "udp6.mpls.back", RA, "udp6.mpls.back.out");
    bed.pass(RA, "local4", RA2, "local4.out");
    bed.pass(UP, "label.vif", RA2, "label.vif.out");
    bed.pass(RA, "echo4.gateway", RA, "echo4.gateway.reply");
    bed.told(RA, "no-route4", "no_route", &["no-route4.error"]);
    bed.told(RA, "ttl4.1", "ttl_expired", &["ttl4.1.error"]);
    assert_eq!(bed.oracle.flows(), []);
}

#[test]
fn a_source_port_is_chosen_once_for_a_flow_within_its_range() {
    let mut bed = Bed::new();
    let with = |port: u16| {
        let mut bytes = frame("udp4.vxlan.wire");
        bytes[34..36].copy_from_slice(&port.to_be_bytes());
        Sent { port: UP, bytes }
    };
    let mut put = |came: u16| {
        let sent = bed.oracle.receive(RA, &frame("udp4.vxlan"), bed.now, &[with(came)]).sent;
        u16::from_be_bytes([sent[0].bytes[34], sent[0].bytes[35]])
    };
    assert_eq!(put(55_555), 55_555);
    assert_eq!(put(60_000), 55_555);
    let mut bed = Bed::new();
    let sent = bed.oracle.receive(RA, &frame("udp4.vxlan"), bed.now, &[with(49_151)]).sent;
    assert_ne!(sent, [with(49_151)]);
}

/// Whatever leaves A for B is, for the model in B's place, what B's tenant must get.
#[test]
fn what_a_sends_b_delivers() {
    let names = ["udp4.vxlan", "udp6.vxlan", "udp4.mpls", "udp6.mpls"];
    assert!(names.iter().all(|name| is_frame(&format!("{name}.out"))));
    for name in names {
        let mut bed = Bed::new();
        let sent = bed.put(RA, name).sent.remove(0).bytes;
        // the inner packet as it is on the wire, to B's tenant, its TTL one less
        let inner = if name.contains("vxlan") { 14 + 20 + 8 + 8 + 14 } else { 14 + 20 + 8 + 4 };
        let out = frame(&format!("{name}.out"));
        let (before, after) = (&sent[inner..], &out[14..]);
        assert_eq!(before.len(), after.len());
        let ttl = if before[0] >> 4 == 4 { 8 } else { 7 };
        assert_eq!(before[ttl], after[ttl] + 1);
        assert_eq!(before[20..], after[20..]);
    }
}
