//! How outer and inner headers follow each other.

use crate::bed::{Bed, RA, UP};

const BY: [&str; 6] = ["4.vxlan", "4.mpls", "4.gre", "6.vxlan", "6.mpls", "6.gre"];

fn bed(headers: &str) -> Bed {
    let mut bed = Bed::new();
    bed.apply(
        r#"
routes:
  - {vrf: red, prefix: 10.1.1.22/32, via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: red, prefix: "fd01::22/128", via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
"#,
    );
    bed.apply(&format!("settings: {{underlay_vrf: underlay, vtep: 10.0.0.1, tunnel_headers: {{{headers}}}}}"));
    bed
}

#[test]
fn ecn_follows_rfc_6040() {
    for headers in ["", "dscp: pipe, outer_dscp: 10"] {
        let mut bed = bed(headers);
        for by in BY {
            for ecn in 0..4 {
                bed.pass(RA, &format!("ecn.{by}.{ecn}"), UP, &format!("ecn.{by}.{ecn}.wire"));
            }
        }
    }
    let mut bed = bed("");
    for by in BY {
        for (inner, outer) in (0..16).map(|n| (n / 4, n % 4)) {
            let name = format!("ecn.{by}.{inner}.{outer}");
            if (inner, outer) == (0, 3) {
                bed.dropped(UP, &name, "ecn_forbidden");
            } else {
                bed.pass(UP, &name, RA, &format!("{name}.out"));
            }
        }
    }
}

#[test]
fn dscp_is_uniform_or_the_tunnel_s_own() {
    for (headers, out, back) in
        [("", "uniform", "uniform"), ("dscp: pipe, outer_dscp: 46", "pipe", "pipe"), ("dscp: pipe", "pipe0", "pipe")]
    {
        let mut bed = bed(headers);
        for by in BY {
            bed.pass(RA, &format!("dscp.{by}"), UP, &format!("dscp.{by}.{out}.wire"));
            bed.pass(UP, &format!("dscp.{by}.in"), RA, &format!("dscp.{by}.in.{back}.out"));
        }
    }
}

#[test]
fn labels_have_ttl_and_traffic_class() {
    for (headers, model) in [("", "pipe"), ("mpls_ttl: uniform", "uniform")] {
        let mut bed = bed(headers);
        for by in BY.iter().filter(|by| !by.ends_with("vxlan")) {
            bed.pass(RA, &format!("ttl.{by}"), UP, &format!("ttl.{by}.{model}.wire"));
            for ttl in [5, 200, 2] {
                bed.pass(UP, &format!("ttl.{by}.{ttl}.in"), RA, &format!("ttl.{by}.{ttl}.in.{model}.out"));
            }
            let drops = bed.put(UP, &format!("ttl.{by}.1.in")).drops;
            assert_eq!(drops.iter().any(|drop| drop.reason == "ttl_expired"), model == "uniform");
        }
    }
    for (headers, model) in [("", "pipe"), ("mpls_tc: uniform", "uniform"), ("mpls_congestion_marked: 3", "marked")] {
        let mut bed = bed(headers);
        for by in BY.iter().filter(|by| !by.ends_with("vxlan")) {
            bed.pass(RA, &format!("tc.{by}.ce"), UP, &format!("tc.{by}.ce.{model}.wire"));
            let back = if model == "marked" { "marked" } else { "pipe" };
            for ecn in ["ect", "ce"] {
                bed.pass(UP, &format!("tc.{by}.{ecn}.in"), RA, &format!("tc.{by}.{ecn}.in.{back}.out"));
            }
            if model == "marked" {
                bed.dropped(UP, &format!("tc.{by}.not.in"), "ecn_forbidden");
            }
        }
    }
}
