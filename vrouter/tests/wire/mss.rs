//! What TCP announces through tunnels as its largest segment, byte by byte.

use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{RA, RA2, UP};

const OFF: &str = "settings: {underlay_vrf: underlay, vtep: 10.0.0.1, mss_clamp: false}";

fn each(mut check: impl FnMut(&str, [u16; 6])) {
    for (name, most) in [("mss4", 1410), ("mss6", 1390)] {
        check(name, [most + 50, most + 1, most, most - 1, u16::MAX, 0]);
    }
}

#[test]
fn a_syn_announces_what_fits_the_tunnel() {
    scenario("mss-out", Lab::a, |lab| {
        each(|name, sizes| {
            for size in sizes {
                lab.pass(RA, &format!("{name}.{size}"), UP, &format!("{name}.{size}.wire"));
            }
            for kind in ["mpls", "syn-ack", "odd", "behind-options", "ack", "ended"] {
                lab.pass(RA, &format!("{name}.{kind}"), UP, &format!("{name}.{kind}.wire"));
                lab.pass(RA, &format!("{name}.{kind}"), UP, &format!("{name}.{kind}.wire"));
            }
        });
    });
}

#[test]
fn what_a_far_end_announces_fits_the_tunnel_back() {
    scenario("mss-in", Lab::a, |lab| {
        each(|name, sizes| {
            for size in sizes {
                lab.pass(UP, &format!("{name}.{size}.back"), RA, &format!("{name}.{size}.back.out"));
            }
            for kind in ["mpls", "odd"] {
                lab.pass(UP, &format!("{name}.{kind}.back"), RA, &format!("{name}.{kind}.back.out"));
            }
        });
    });
}

#[test]
fn a_small_tenant_s_mtu_counts_as_well() {
    scenario("mss-small", Lab::a, |lab| {
        lab.apply(r#"vifs: [{name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1", mtu: 1449}]"#);
        lab.pass(UP, "mss4.1410.back", RA, "mss4.1409.back.out");
        lab.pass(UP, "mss6.1390.back", RA, "mss6.1389.back.out");
    });
}

#[test]
fn without_the_setting_it_is_as_sent() {
    scenario("mss-off", Lab::a, |lab| {
        lab.apply(OFF);
        each(|name, [large, ..]| {
            for kind in [&*large.to_string(), "odd"] {
                lab.pass(RA, &format!("{name}.{kind}"), UP, &format!("{name}.{kind}.as-sent.wire"));
                lab.pass(UP, &format!("{name}.{kind}.back"), RA, &format!("{name}.{kind}.back.as-sent"));
            }
        });
    });
}

#[test]
fn between_vifs_it_is_as_sent() {
    scenario("mss-local", Lab::a, |lab| {
        each(|name, _| lab.pass(RA, &format!("{name}.local"), RA2, &format!("{name}.local.out")));
    });
}

#[test]
fn what_is_malformed_goes_as_it_is() {
    scenario("mss-bad", Lab::a, |lab| {
        for name in ["length-0", "length-1", "length-beyond", "mss-of-3", "mss-cut", "kind-alone"] {
            lab.pass(RA, &format!("mss.bad.{name}"), UP, &format!("mss.bad.{name}.wire"));
        }
        lab.pass(RA, "mss.wrong-sum", UP, "mss.wrong-sum.wire");
        lab.pass(RA, "mss.fragment", UP, "mss.fragment.wire");
        // options that the segment has not: never read
        lab.dropped(RA, "bad.tcp-offset", DropReason::TransportHeader);
    });
}
