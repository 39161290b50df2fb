//! Further tunnels, byte by byte.

use crate::bed::{Bed, RA, RA2, UP};

const BY_GRE: &str = r#"
routes:
  - {vrf: red, prefix: 10.1.1.22/32, via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: red, prefix: "fd01::22/128", via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
"#;

#[test]
fn labels_travel_in_gre() {
    let mut bed = Bed::new();
    bed.apply(BY_GRE);
    for name in ["gre4", "gre6", "gre4.odd", "gre4.fits"] {
        bed.pass(RA, name, UP, &format!("{name}.wire"));
    }
    bed.told(RA, "gre4.big", "mtu_exceeded", &["gre4.big.told"]);
    bed.pass(UP, "gre4.back", RA, "gre4.back.out");
    bed.pass(UP, "gre6.back", RA, "gre6.back.out");
    for name in ["gre4.back.key", "gre4.back.sequence", "gre4.back.checksum", "gre4.back.all", "gre.ignored-bits"] {
        bed.pass(UP, name, RA, "gre4.back.out");
    }
    for name in ["gre4.vif", "gre6.vif"] {
        bed.pass(UP, name, RA2, &format!("{name}.out"));
    }
    bed.pass(UP, "gre4.back.checksum-odd", RA, "gre4.back.checksum-odd.out");
}

#[test]
fn bad_gre_is_dropped_by_reason() {
    let mut bed = Bed::new();
    for (name, reason) in [
        ("gre.version", "gre_header"),
        ("gre.routing", "gre_header"),
        ("gre.bit4", "gre_header"),
        ("gre.bit5", "gre_header"),
        ("gre.short", "gre_header"),
        ("gre.short-options", "gre_header"),
        ("gre.checksum-wrong", "gre_checksum"),
        ("gre.payload-wrong", "gre_checksum"),
        ("gre.ethernet", "gre_protocol"),
        ("gre.ipv4", "gre_protocol"),
        ("gre.no-label", "mpls_header"),
        ("gre.deep", "mpls_header"),
        ("gre.label-unknown", "label_unknown"),
        ("gre.inner-version", "ethertype_unknown"),
    ] {
        bed.dropped(UP, name, reason);
    }
}
