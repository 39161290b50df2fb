//! The fabric in a VLAN.

use crate::bed::{Bed, RA, UP};

const UPLINK: &str = "{name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1], subnets: [10.0.0.0/24]";

#[test]
fn every_frame_of_the_fabric_has_the_tag() {
    let mut bed = Bed::new();
    bed.dropped(UP, "tagged.udp4.vxlan.back", "ethertype_unknown");
    bed.apply(&format!("vifs: [{UPLINK}, vlan: 100}}]"));
    for name in ["udp4.vxlan", "udp6.vxlan", "udp4.mpls", "udp6.mpls"] {
        bed.pass(RA, name, UP, &format!("tagged.{name}.wire"));
        bed.pass(UP, &format!("tagged.{name}.back"), RA, &format!("{name}.back.out"));
        bed.pass(UP, &format!("tagged.{name}.back.prio"), RA, &format!("{name}.back.out"));
    }
    for name in ["udp4.vxlan.back", "tagged.other", "tagged.zero", "tagged.arp.other", "tagged.short"] {
        bed.dropped(UP, name, "vlan_unknown");
    }
    bed.dropped(UP, "tagged.twice", "ethertype_unknown");
    bed.pass(UP, "tagged.arp", UP, "tagged.arp.reply");
    bed.pass(UP, "tagged.echo", UP, "tagged.echo.reply");
    bed.pass(RA, "tagged.fits", UP, "tagged.fits.wire");
    bed.told(RA, "tagged.big", "mtu_exceeded", &["tagged.big.told"]);
    bed.oracle.delete("neighbour", "up0 10.0.0.2").unwrap();
    let asked = bed.advance(100);
    bed.expect(&asked, &[(UP, "tagged.who-has-b")], "asked");
}
