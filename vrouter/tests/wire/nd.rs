//! IPv6 neighbours of the underlay: asked for, waited for, kept fresh, followed when they move, and never believed for nothing.

use vrouter::api::v1;
use vrouter::api::v1::object_key::Kind as Key;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::frames::is_like;
use super::lab::{Lab, scenario};
use super::network::{RA, UP};

/// A's uplink with IPv6 besides.
const V6: &str = r#"
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1, "fd0f::1"], subnets: [10.0.0.0/24, "fd0f::/64"]}
"#;
const GATEWAY: &str = r#"routes: [{vrf: underlay, prefix: "fd10::/16", via: {gateway: "fd0f::fe"}}]"#;

fn v6(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(V6);
    lab
}

/// C was asked for and is known.
fn knows_c(workers: usize) -> Lab {
    let mut lab = v6(workers);
    lab.put(UP, "nd6.echo-c.0");
    lab.run();
    lab.expect(&[(UP, "nd6.ask-c")]);
    lab.pass(UP, "nd6.c-says", UP, "nd6.echo-c.0.reply");
    lab
}

/// The neighbours as the control socket lists them: last two bytes of the address, learnt, MAC.
fn listed(lab: &mut Lab) -> Vec<(Vec<u8>, bool, Vec<u8>)> {
    let filter = v1::ListRequest { kind: v1::Kind::Neighbour.into(), ..Default::default() };
    let objects = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
    let rows = objects.map(|object| match object.kind.unwrap() {
        v1::object::Kind::Neighbour(row) => (row.key.unwrap().address, row.learnt, row.mac),
        other => panic!("{other:?}"),
    });
    rows.filter(|(address, ..)| address.len() == 16)
        .map(|(address, learnt, mac)| (address[14..].to_vec(), learnt, mac[4..].to_vec()))
        .collect()
}

/// What is said of each neighbour.
fn states(lab: &mut Lab) -> Vec<String> {
    let filter = v1::ListRequest { kind: v1::Kind::Neighbour.into(), ..Default::default() };
    let objects = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
    let state = |object: v1::Object| match object.kind.unwrap() {
        v1::object::Kind::Neighbour(row) => row.state,
        other => panic!("{other:?}"),
    };
    objects.map(state).collect()
}

#[test]
fn in_a_vlan_everything_has_the_tag() {
    scenario("nd6-vlan", v6, |lab| {
        lab.apply(&V6.replace("port: p0", "port: p0, vlan: 100"));
        lab.pass(UP, "nd6.tagged.ask-us", UP, "nd6.tagged.ask-us.reply");
        lab.pass(UP, "nd6.tagged.dad", UP, "nd6.tagged.dad.reply");
        lab.put(UP, "nd6.tagged.echo-c.0");
        lab.run();
        lab.expect(&[(UP, "nd6.tagged.ask-c")]);
        lab.pass(UP, "nd6.tagged.c-says", UP, "nd6.tagged.echo-c.0.reply");
        lab.dropped(UP, "nd6.ask-us", DropReason::VlanUnknown);
    });
}

#[test]
fn we_answer_who_asks_for_us() {
    scenario("nd6-answers", v6, |lab| {
        for name in ["ask-us", "ask-us-link-local", "ask-us-for-another", "dad", "c-asks-us"] {
            lab.pass(UP, &format!("nd6.{name}"), UP, &format!("nd6.{name}.reply"));
        }
        lab.pass(UP, "nd6.ask-us-unicast", UP, "nd6.ask-us.reply");
        for name in ["nd6.ask-another", "nd6.dad-another"] {
            lab.dropped(UP, name, DropReason::NeighbourNotOurs);
        }
        assert!(listed(lab).is_empty(), "who only asks is not noted");
    });
}

#[test]
fn an_uplink_without_ipv6_takes_no_part() {
    scenario("nd6-v4-only", Lab::a, |lab| {
        for name in ["nd6.ask-us", "nd6.ask-us-link-local", "nd6.dad"] {
            lab.dropped(UP, name, DropReason::Multicast);
        }
        lab.dropped(UP, "nd6.echo-c.0", DropReason::NotForUs);
    });
}

#[test]
fn a_link_local_address_is_given_or_that_of_the_mac() {
    scenario("nd6-link-local", v6, |lab| {
        lab.pass(UP, "nd6.echo-link-local", UP, "nd6.echo-link-local.reply");
        lab.apply(&V6.replace("\"fd0f::1\"]", "\"fd0f::1\", \"fe80::a\"]"));
        lab.dropped(UP, "nd6.echo-link-local", DropReason::NotForUs);
    });
}

#[test]
fn packets_wait_for_the_neighbour_and_lose_nothing() {
    scenario("nd6-resolve", v6, |lab| {
        (0..5).for_each(|n| lab.put(UP, &format!("nd6.echo-c.{n}")));
        lab.run();
        lab.expect(&[(UP, "nd6.ask-c")]);
        assert_eq!(lab.rig().stats().conservation.unwrap().held, 5);
        lab.put(UP, "nd6.c-says");
        lab.run();
        let expected: Vec<_> = (0..5).map(|n| (UP, format!("nd6.echo-c.{n}.reply"))).collect();
        lab.expect(&expected.iter().map(|(at, name)| (*at, &**name)).collect::<Vec<_>>());
        lab.pass(UP, "nd6.echo-c.6", UP, "nd6.echo-c.6.reply");
        assert_eq!(listed(lab), [(vec![0, 3], true, vec![0x0c, 0])]);
    });
}

#[test]
fn the_hold_queue_is_bounded() {
    scenario("nd6-hold", v6, |lab| {
        (0..20).for_each(|n| lab.put(UP, &format!("nd6.echo-c.{n}")));
        lab.run();
        lab.expect(&[(UP, "nd6.ask-c")]);
        assert_eq!(lab.rig().dropped("", DropReason::NeighbourHoldFull), 4);
        lab.put(UP, "nd6.c-says");
        lab.run();
        assert_eq!(lab.take(UP).len(), 16);
    });
}

#[test]
fn a_neighbour_that_does_not_answer_ends_the_wait() {
    scenario("nd6-unresolved", v6, |lab| {
        lab.put(UP, "nd6.echo-c.0");
        lab.put(UP, "nd6.echo-c.1");
        lab.advance(3200);
        lab.expect(&[(UP, "nd6.ask-c"); 3]);
        assert_eq!(lab.rig().dropped("", DropReason::NeighbourUnresolved), 2);
        lab.put(UP, "nd6.echo-c.2");
        lab.run();
        lab.expect(&[(UP, "nd6.ask-c")]);
        lab.pass(UP, "nd6.c-says", UP, "nd6.echo-c.2.reply");
    });
}

#[test]
fn a_question_of_the_neighbour_resolves_it_and_is_verified() {
    scenario("nd6-mentioned", v6, |lab| {
        lab.put(UP, "nd6.echo-c.0");
        lab.run();
        lab.expect(&[(UP, "nd6.ask-c")]);
        lab.put(UP, "nd6.c-asks-us");
        lab.run();
        lab.expect(&[(UP, "nd6.echo-c-moved.reply"), (UP, "nd6.c-asks-us.reply")]);
        lab.advance(1000);
        lab.expect(&[(UP, "nd6.probe-c-moved")]);
        lab.put(UP, "nd6.c-moved-says");
        lab.advance(3000);
        lab.expect(&[]);
    });
}

#[test]
fn a_neighbour_is_probed_before_it_expires_and_traffic_never_waits() {
    scenario("nd6-probe", knows_c, |lab| {
        let mut probes = 0;
        for second in 0..60 {
            lab.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c.0.reply");
            for _ in 0..10 {
                lab.advance(100);
                for frame in lab.take(UP) {
                    assert!(is_like(&frame, "nd6.probe-c"), "second {second}: {frame:02x?}");
                    probes += 1;
                    lab.put(UP, "nd6.c-says");
                    lab.run();
                }
            }
        }
        assert!((2..=3).contains(&probes), "{probes} probes in a minute");
    });
}

#[test]
fn a_silent_neighbour_is_forgotten_and_packets_wait_again() {
    scenario("nd6-forget", knows_c, |lab| {
        lab.advance(36_000);
        let frames = lab.take(UP);
        assert_eq!(frames.iter().filter(|frame| is_like(frame, "nd6.probe-c")).count(), 3);
        assert_eq!(frames.iter().filter(|frame| is_like(frame, "nd6.ask-c")).count(), 3);
        assert!(listed(lab).is_empty());
        lab.put(UP, "nd6.echo-c.0");
        lab.run();
        lab.expect(&[(UP, "nd6.ask-c")]);
        lab.pass(UP, "nd6.c-says", UP, "nd6.echo-c.0.reply");
    });
}

#[test]
fn a_changed_mac_is_followed_and_verified() {
    scenario("nd6-moves", knows_c, |lab| {
        lab.put(UP, "nd6.c-moves");
        lab.run();
        lab.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c-moved.reply");
        assert_eq!(listed(lab), [(vec![0, 3], true, vec![0x0c, 0x99])]);
        lab.advance(1000);
        lab.expect(&[(UP, "nd6.probe-c-moved")]);
        lab.put(UP, "nd6.c-moved-says");
        lab.advance(5000);
        lab.expect(&[]);
    });
}

#[test]
fn a_claim_without_override_is_not_followed_but_looked_into() {
    scenario("nd6-claim", knows_c, |lab| {
        lab.put(UP, "nd6.c-claimed");
        lab.run();
        lab.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c.0.reply");
        assert_eq!(states(lab), ["static", "probing"]);
        lab.advance(1000);
        lab.expect(&[(UP, "nd6.probe-c")]);
        lab.put(UP, "nd6.c-says");
        lab.run();
        assert_eq!(states(lab), ["static", "reachable"]);
        assert_eq!(listed(lab), [(vec![0, 3], true, vec![0x0c, 0])]);
    });
}

#[test]
fn routes_go_by_ipv6_gateways_that_are_asked_for_ahead() {
    scenario("nd6-gateway", v6, |lab| {
        lab.apply(GATEWAY);
        lab.advance(100);
        lab.expect(&[(UP, "nd6.ask-gateway")]);
        lab.put(UP, "nd6.gateway-says");
        lab.run();
        lab.pass(UP, "nd6.echo-far", UP, "nd6.echo-far.reply");
    });
}

#[test]
fn static_neighbours_need_no_answer_and_give_way_to_learnt_ones() {
    scenario("nd6-static", v6, |lab| {
        lab.apply(r#"neighbours: [{vif: up0, address: "fd0f::3", mac: "52:00:00:00:0c:00"}]"#);
        lab.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c.0.reply");
        lab.dropped(UP, "nd6.c-moves", DropReason::NeighbourNotOurs);
        assert_eq!(listed(lab), [(vec![0, 3], false, vec![0x0c, 0])]);
        let address = "fd0f::3".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
        lab.rig().delete(Key::Neighbour(v1::NeighbourKey { vif: "up0".into(), address }));
        lab.put(UP, "nd6.echo-c.0");
        lab.run();
        lab.expect(&[(UP, "nd6.ask-c")]);
        lab.pass(UP, "nd6.c-says", UP, "nd6.echo-c.0.reply");
        assert_eq!(listed(lab), [(vec![0, 3], true, vec![0x0c, 0])]);
    });
}

#[test]
fn what_is_forged_or_malformed_changes_nothing() {
    scenario("nd6-forged", knows_c, |lab| {
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
            lab.dropped(UP, &format!("nd6.bad.{name}"), DropReason::NdInvalid);
        }
        for name in ["stranger-says", "router-advertisement", "redirect"] {
            lab.dropped(UP, &format!("nd6.{name}"), DropReason::NeighbourNotOurs);
        }
        lab.dropped(UP, "nd6.echo-all-nodes", DropReason::Multicast);
        lab.dropped(UP, "nd6.echo-not-ours", DropReason::NotForUs);
        assert_eq!(listed(lab), [(vec![0, 3], true, vec![0x0c, 0])]);
        lab.pass(UP, "nd6.echo-c.0", UP, "nd6.echo-c.0.reply");
    });
    scenario("nd6-no-mac", v6, |lab| {
        lab.put(UP, "nd6.echo-c.0");
        lab.run();
        lab.expect(&[(UP, "nd6.ask-c")]);
        lab.dropped(UP, "nd6.no-mac", DropReason::NeighbourNotOurs);
        lab.pass(UP, "nd6.c-says", UP, "nd6.echo-c.0.reply");
    });
}

#[test]
fn a_tenant_s_flood_of_punts_does_not_delay_the_underlay() {
    scenario("nd6-flood", v6, |lab| {
        for round in 0..4 {
            for _ in 0..200 {
                ["nd.gateway", "arp.gateway", "echo6.gateway"].into_iter().for_each(|name| lab.put(RA, name));
            }
            let now = lab.now + round * 200;
            lab.rig().poll_workers(now);
        }
        assert!(lab.rig().dropped("ra", DropReason::PuntRingFull) > 0, "the tenants' ring is full");
        lab.put(UP, "nd6.ask-us");
        lab.put(UP, "nd6.ask-us");
        let now = lab.now + 600;
        lab.rig().poll_workers(now);
        // one turn of the control thread is enough
        lab.rig().control.step_at(now);
        lab.rig().poll_workers(now);
        let answers = lab.take(UP);
        assert_eq!(answers.iter().filter(|frame| is_like(frame, "nd6.ask-us.reply")).count(), 2);
        assert_eq!(lab.rig().dropped("up0", DropReason::PuntRingFull), 0);
        lab.run();
        lab.discard();
    });
}
