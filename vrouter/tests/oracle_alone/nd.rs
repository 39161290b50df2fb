//! IPv6 neighbours of the underlay.

use crate::bed::{Bed, UP};
use crate::oracle::Drop;

const V6: &str = r#"
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1, "fd0f::1"], subnets: [10.0.0.0/24, "fd0f::/64"]}
"#;

fn v6() -> Bed {
    let mut bed = Bed::new();
    bed.apply(V6);
    bed
}

fn knows_c() -> Bed {
    let mut bed = v6();
    bed.pass(UP, "nd6.echo-c.0", UP, "nd6.ask-c");
    bed.pass(UP, "nd6.c-says", UP, "nd6.echo-c.0.reply");
    bed
}

#[test]
fn who_asks_for_us_is_answered() {
    let mut bed = v6();
    for name in ["ask-us", "ask-us-link-local", "ask-us-for-another", "dad", "c-asks-us"] {
        bed.pass(UP, &format!("nd6.{name}"), UP, &format!("nd6.{name}.reply"));
    }
    bed.pass(UP, "nd6.ask-us-unicast", UP, "nd6.ask-us.reply");
    bed.pass(UP, "nd6.echo-link-local", UP, "nd6.echo-link-local.reply");
    for name in ["nd6.ask-another", "nd6.dad-another", "nd6.stranger-says", "nd6.router-advertisement", "nd6.redirect"]
    {
        bed.dropped(UP, name, "neighbour_not_ours");
    }
    let mut bed = Bed::new();
    bed.dropped(UP, "nd6.ask-us", "multicast");
    bed.dropped(UP, "nd6.echo-c.0", "not_for_us");
}

#[test]
fn packets_wait_for_the_neighbour() {
    let mut bed = v6();
    bed.pass(UP, "nd6.echo-c.0", UP, "nd6.ask-c");
    for n in 1..5 {
        assert!(bed.put(UP, &format!("nd6.echo-c.{n}")).sent.is_empty());
    }
    let released = bed.put(UP, "nd6.c-says");
    let names: Vec<_> = (0..5).map(|n| format!("nd6.echo-c.{n}.reply")).collect();
    bed.expect(&released, &names.iter().map(|name| (UP, &**name)).collect::<Vec<_>>(), "released");
    let mut bed = v6();
    bed.put(UP, "nd6.echo-c.0");
    let ended = bed.advance(3200);
    bed.expect(&ended, &[(UP, "nd6.ask-c"); 2], "asked again");
    assert_eq!(ended.drops, [Drop { vif: String::new(), reason: "neighbour_unresolved" }]);
    bed.apply(r#"neighbours: [{vif: up0, address: "fd0f::3", mac: "52:00:00:00:0c:00"}]"#);
    bed.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c.0.reply");
    bed.dropped(UP, "nd6.c-moves", "neighbour_not_ours");
}

#[test]
fn what_is_said_unasked_is_verified() {
    let mut bed = v6();
    bed.put(UP, "nd6.echo-c.0");
    let told = bed.put(UP, "nd6.c-asks-us");
    bed.expect(&told, &[(UP, "nd6.echo-c-moved.reply"), (UP, "nd6.c-asks-us.reply")], "a question");
    let probed = bed.advance(1000);
    bed.expect(&probed, &[(UP, "nd6.probe-c-moved")], "probed");
    bed.put(UP, "nd6.c-moved-says");
    assert!(bed.advance(3000).sent.is_empty());
    let mut bed = knows_c();
    bed.put(UP, "nd6.c-moves");
    bed.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c-moved.reply");
    let mut bed = knows_c();
    bed.put(UP, "nd6.c-claimed");
    bed.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c.0.reply");
    let probed = bed.advance(1000);
    bed.expect(&probed, &[(UP, "nd6.probe-c")], "whom we know is asked");
}

#[test]
fn silent_ones_are_forgotten_and_gateways_asked_for_ahead() {
    let mut bed = knows_c();
    let silent = bed.advance(36_000);
    let expected = [[(UP, "nd6.probe-c"); 3], [(UP, "nd6.ask-c"); 3]].concat();
    bed.expect(&silent, &expected, "probes, then requests to all");
    let mut bed = v6();
    bed.apply(r#"routes: [{vrf: underlay, prefix: "fd10::/16", via: {gateway: "fd0f::fe"}}]"#);
    let asked = bed.advance(100);
    bed.expect(&asked, &[(UP, "nd6.ask-gateway")], "a gateway");
    bed.put(UP, "nd6.gateway-says");
    bed.pass(UP, "nd6.echo-far", UP, "nd6.echo-far.reply");
}

#[test]
fn forged_and_malformed_ones_change_nothing() {
    let mut bed = knows_c();
    for name in [
        "hop-limit",
        "checksum",
        "solicited-group",
        "group-target",
        "group-mac",
        "our-address",
        "from-our-address",
        "our-link-local",
        "probe-with-mac",
    ] {
        bed.dropped(UP, &format!("nd6.bad.{name}"), "nd_invalid");
    }
    bed.dropped(UP, "nd6.echo-all-nodes", "multicast");
    bed.dropped(UP, "nd6.echo-not-ours", "not_for_us");
    bed.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c.0.reply");
    let mut bed = v6();
    bed.put(UP, "nd6.echo-c.0");
    bed.dropped(UP, "nd6.no-mac", "neighbour_not_ours");
}
