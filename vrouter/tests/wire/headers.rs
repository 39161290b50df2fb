//! How outer and inner headers follow each other: ECN, DSCP, MPLS TTL and TC.

use vrouter::drops::DropReason;
use vrouter::packet::checksum;

use super::frames::frame;
use super::lab::{Lab, scenario};
use super::network::{RA, UP};

const FAMILIES: [u8; 2] = [4, 6];

fn a(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(
        r#"
routes:
  - {vrf: red, prefix: 10.1.1.22/32, via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: red, prefix: "fd01::22/128", via: {mpls_gre: {remote: 10.0.0.2, label: 1001}}}
"#,
    );
    lab
}

fn set(lab: &mut Lab, headers: &str) {
    lab.apply(&format!("settings: {{underlay_vrf: underlay, vtep: 10.0.0.1, tunnel_headers: {{{headers}}}}}"));
}

/// Each family by each of these tunnels.
fn each(tunnels: &[&str], check: impl Fn(u8, &str)) {
    FAMILIES.iter().for_each(|&family| tunnels.iter().for_each(|by| check(family, by)));
}

#[test]
fn ecn_leaves_a_tunnel_as_rfc_6040_says() {
    scenario("ecn-decap", a, |lab| {
        for family in FAMILIES {
            for by in ["vxlan", "mpls", "gre"] {
                for (inner, outer) in (0..16).map(|n| (n / 4, n % 4)) {
                    let name = format!("ecn.{family}.{by}.{inner}.{outer}");
                    if (inner, outer) == (0, 3) {
                        lab.dropped(UP, &name, DropReason::EcnForbidden);
                    } else {
                        lab.pass(UP, &name, RA, &format!("{name}.out"));
                    }
                }
            }
        }
    });
}

#[test]
fn ecn_enters_a_tunnel_in_normal_mode() {
    scenario("ecn-encap", a, |lab| {
        for headers in ["", "dscp: pipe, outer_dscp: 10"] {
            set(lab, headers);
            for family in FAMILIES {
                for by in ["vxlan", "mpls", "gre"] {
                    for ecn in 0..4 {
                        let name = format!("ecn.{family}.{by}.{ecn}");
                        lab.pass(RA, &name, UP, &format!("{name}.wire"));
                    }
                }
            }
        }
    });
}

#[test]
fn dscp_is_one_for_both_headers_unless_the_tunnel_is_a_pipe() {
    scenario("dscp", a, |lab| {
        let lab = std::cell::RefCell::new(lab);
        let headers = [
            ("", "uniform", "uniform"),
            ("dscp: pipe, outer_dscp: 46", "pipe", "pipe"),
            ("dscp: pipe", "pipe0", "pipe"),
            ("dscp: uniform", "uniform", "uniform"),
        ];
        for (headers, out, back) in headers {
            set(&mut lab.borrow_mut(), headers);
            each(&["vxlan", "mpls", "gre"], |family, by| {
                let (name, lab) = (format!("dscp.{family}.{by}"), &mut lab.borrow_mut());
                lab.pass(RA, &name, UP, &format!("{name}.{out}.wire"));
                lab.pass(UP, &format!("{name}.in"), RA, &format!("{name}.in.{back}.out"));
            });
        }
    });
}

#[test]
fn a_pipe_leaves_the_default_class_alone() {
    scenario("dscp-default", a, |lab| {
        set(lab, "dscp: pipe");
        let mut expedited = frame("udp4.vxlan.back").to_vec();
        expedited[15] = 46 << 2;
        expedited[24..26].fill(0);
        let sum = checksum::of(&expedited[14..34]);
        expedited[24..26].copy_from_slice(&sum.to_be_bytes());
        for _ in 0..2 {
            lab.put_bytes(UP, &expedited);
            lab.run();
            lab.expect(&[(RA, "udp4.vxlan.back.out")]);
        }
    });
}

#[test]
fn a_label_has_its_own_ttl_or_that_of_its_packet() {
    scenario("mpls-ttl", a, |lab| {
        let lab = std::cell::RefCell::new(lab);
        for (headers, model) in [("", "pipe"), ("mpls_ttl: uniform", "uniform"), ("mpls_ttl: pipe", "pipe")] {
            set(&mut lab.borrow_mut(), headers);
            each(&["mpls", "gre"], |family, by| {
                let (name, lab) = (format!("ttl.{family}.{by}"), &mut lab.borrow_mut());
                lab.pass(RA, &name, UP, &format!("{name}.{model}.wire"));
                for ttl in [5, 200, 2] {
                    lab.pass(UP, &format!("{name}.{ttl}.in"), RA, &format!("{name}.{ttl}.in.{model}.out"));
                }
                for ttl in [0, 1] {
                    let name = format!("{name}.{ttl}.in");
                    if model == "uniform" {
                        lab.counts_drop(UP, frame(&name), DropReason::TtlExpired, &name);
                        lab.discard();
                    } else {
                        lab.pass(UP, &name, RA, &format!("ttl.{family}.{by}.5.in.pipe.out"));
                    }
                }
            });
        }
    });
}

#[test]
fn a_label_s_traffic_class_is_zero_the_dscp_s_or_a_mark_of_congestion() {
    scenario("mpls-tc", a, |lab| {
        let lab = std::cell::RefCell::new(lab);
        for (headers, model) in [("", "pipe"), ("mpls_tc: uniform", "uniform"), ("mpls_congestion_marked: 3", "marked")]
        {
            set(&mut lab.borrow_mut(), headers);
            each(&["mpls", "gre"], |family, by| {
                let (name, lab) = (format!("tc.{family}.{by}"), &mut lab.borrow_mut());
                lab.pass(RA, &format!("{name}.ce"), UP, &format!("{name}.ce.{model}.wire"));
                if model != "marked" {
                    for ecn in ["not", "ect", "ce"] {
                        lab.pass(UP, &format!("{name}.{ecn}.in"), RA, &format!("{name}.{ecn}.in.pipe.out"));
                    }
                    return;
                }
                lab.pass(RA, &format!("{name}.ect"), UP, &format!("{name}.ect.marked.wire"));
                lab.dropped(UP, &format!("{name}.not.in"), DropReason::EcnForbidden);
                for ecn in ["ect", "ce"] {
                    lab.pass(UP, &format!("{name}.{ecn}.in"), RA, &format!("{name}.{ecn}.in.marked.out"));
                }
            });
        }
    });
}
