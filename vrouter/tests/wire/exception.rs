//! The fabric port shared with the host's kernel: who gets which frame, who answers, and what each side learns.

use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{RA, UP};

/// The wire to the host's kernel.
pub const KERNEL: (usize, usize) = (0, 4);

const UPLINK: &str = r#"
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1, "fd0f::1"], subnets: [10.0.0.0/24, "fd0f::/64"]}
"#;
const TO_C: &str = r#"
routes:
  - {vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}
"#;

/// A, whose uplink is the host's too.
pub fn shared(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(&UPLINK.replace("subnets", "exception_port: p4, subnets"));
    lab
}

/// More than the budget at once, for each worker.
pub fn flood_the_kernel(lab: &mut Lab) {
    for _ in 0..11 * lab.rig().workers.len() {
        (0..1000).for_each(|_| lab.put(UP, "exc.ssh"));
        lab.run();
        lab.discard();
        lab.exchanged.clear();
    }
}

#[test]
fn what_is_for_the_host_passes_as_it_is_both_ways() {
    scenario("exception", shared, |lab| {
        let for_host = ["ssh", "bgp6", "echo", "echo6", "dns", "dns-fragment", "ospf", "too-big"];
        for name in for_host.map(|name| format!("exc.{name}")) {
            lab.pass(UP, &name, KERNEL, &name);
        }
        for name in ["fabric.tcp", "fabric.udp-unknown", "fabric.fragment-later"] {
            lab.pass(UP, name, KERNEL, name);
        }
        for name in ["ssh.answer", "bgp6.answer", "out.full", "out.garp", "out.rs"].map(|name| format!("exc.{name}")) {
            lab.pass(KERNEL, &name, UP, &name);
        }
        let stats = lab.rig().stats();
        let up = stats.vifs.iter().find(|vif| vif.vif == "up0").unwrap();
        assert_eq!((up.rx_packets, up.forwarded, up.tx_packets), (11, 11, 5), "{up:?}");
    });
}

#[test]
fn tunnels_and_what_is_nobody_s_stay_with_us() {
    scenario("exception-tunnels", shared, |lab| {
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.dropped(UP, "vxlan.vni-unknown", DropReason::VniUnknown);
        lab.dropped(UP, "mpls.label-unknown", DropReason::LabelUnknown);
        lab.dropped(UP, "gre.ethernet", DropReason::GreProtocol);
        lab.dropped(UP, "fabric.not-for-us", DropReason::NotForUs);
        lab.dropped(UP, "fabric.mac", DropReason::MacNotOurs);
        lab.dropped(UP, "fabric.broadcast", DropReason::Multicast);
        lab.dropped(UP, "exc.to-all", DropReason::Multicast);
        lab.dropped(UP, "nd6.echo-not-ours", DropReason::NotForUs);
    });
}

#[test]
fn the_kernel_alone_answers_who_asks_for_us() {
    scenario("exception-answers", shared, |lab| {
        for name in ["underlay.ask-us", "nd6.ask-us", "nd6.ask-us-link-local", "nd6.dad", "nd6.ask-us-unicast"] {
            lab.pass(UP, name, KERNEL, name);
        }
        for name in ["underlay.ask-us.reply", "nd6.ask-us.reply", "nd6.dad.reply"] {
            lab.pass(KERNEL, name, UP, name);
        }
        // A conflict, and questions that are not for us, are the kernel's to judge.
        for name in ["underlay.conflict", "nd6.ask-another", "nd6.router-advertisement"] {
            lab.pass(UP, name, KERNEL, name);
        }
        assert_eq!(lab.rig().stats().conservation.unwrap().dropped, 0);
    });
}

#[test]
fn both_sides_learn_neighbours_from_one_answer() {
    scenario("exception-learns", shared, |lab| {
        lab.apply(TO_C);
        lab.put(RA, "to-c.0");
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c")]);
        lab.put(UP, "underlay.c-says");
        lab.run();
        lab.expect(&[(KERNEL, "underlay.c-says"), (UP, "to-c.0.wire")]);
        // The kernel asks too; a new MAC is learnt from that answer.
        lab.pass(KERNEL, "underlay.ask-c", UP, "underlay.ask-c");
        lab.pass(UP, "underlay.c-moves", KERNEL, "underlay.c-moves");
        let filter = v1::ListRequest { kind: v1::Kind::Neighbour.into(), ..Default::default() };
        let objects = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
        let macs: Vec<_> = objects
            .filter_map(|object| match object.kind {
                Some(v1::object::Kind::Neighbour(row)) if row.learnt => Some(row.mac),
                _ => None,
            })
            .collect();
        assert_eq!(macs, [[0x52, 0, 0, 0, 0x0c, 0x99]]);
    });
}

#[test]
fn the_kernel_sees_no_tag_of_the_underlay() {
    let in_a_vlan = |workers| {
        let mut lab = Lab::a(workers);
        lab.apply(&UPLINK.replace("subnets", "vlan: 77, exception_port: p4, subnets"));
        lab.apply(TO_C);
        lab
    };
    scenario("exception-vlan", in_a_vlan, |lab| {
        for name in ["ssh", "bgp6", "ask-us"] {
            lab.pass(UP, &format!("exc.tagged.{name}"), KERNEL, &format!("exc.{name}"));
        }
        for name in ["ssh.answer", "bgp6.answer", "out.full"] {
            lab.pass(KERNEL, &format!("exc.{name}"), UP, &format!("exc.tagged.{name}"));
        }
        lab.dropped(UP, "exc.ssh", DropReason::VlanUnknown);
        // We have learnt from the question that the kernel was asked.
        let filter = v1::ListRequest { kind: v1::Kind::Neighbour.into(), ..Default::default() };
        let mut objects = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
        assert!(objects.any(|object| matches!(object.kind, Some(v1::object::Kind::Neighbour(row)) if row.learnt)));
    });
}

#[test]
fn the_kernel_sends_as_us_or_not_at_all() {
    scenario("exception-spoofed", shared, |lab| {
        lab.dropped(KERNEL, "exc.out.spoofed", DropReason::MacSpoofed);
        lab.dropped(KERNEL, "exc.out.over-mtu", DropReason::MtuExceeded);
        lab.dropped(KERNEL, "exc.out.short", DropReason::FrameTooShort);
    });
}

#[test]
fn a_flood_to_the_kernel_spends_its_own_budget() {
    scenario("exception-budget", shared, |lab| {
        flood_the_kernel(lab);
        assert_eq!(lab.rig().dropped("up0", DropReason::ExceptionBudget), 1000 * lab.rig().workers.len() as u64);
        // The way out has one of its own, and tunnels and learning need none.
        lab.pass(KERNEL, "exc.ssh.answer", UP, "exc.ssh.answer");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.apply(TO_C);
        lab.put(RA, "to-c.0");
        lab.run();
        lab.put(UP, "underlay.c-says");
        lab.run();
        lab.expect(&[(UP, "underlay.ask-c"), (UP, "to-c.0.wire")]);
        lab.advance(200);
        lab.pass(UP, "exc.ssh", KERNEL, "exc.ssh");
    });
}

#[test]
fn sharing_begins_and_ends_with_the_field() {
    scenario("exception-off", Lab::a, |lab| {
        lab.dropped(KERNEL, "exc.ssh.answer", DropReason::NoVif);
        lab.dropped(UP, "exc.ssh", DropReason::LocalUnanswered);
        lab.apply(&UPLINK.replace("subnets", "exception_port: p4, subnets"));
        lab.pass(UP, "exc.ssh", KERNEL, "exc.ssh");
        lab.apply(UPLINK);
        lab.dropped(KERNEL, "exc.ssh.answer", DropReason::NoVif);
        lab.dropped(UP, "exc.ssh", DropReason::LocalUnanswered);
        lab.pass(UP, "underlay.ask-us", UP, "underlay.ask-us.reply");
    });
}

#[test]
fn explain_names_the_kernel() {
    scenario("exception-explain", shared, |lab| {
        let query = v1::ExplainRequest {
            place: Some(v1::explain_request::Place::Vif("up0".into())),
            source: vec![10, 0, 0, 3],
            destination: vec![10, 0, 0, 1],
            protocol: 6,
            source_port: 40000,
            destination_port: 22,
            ..Default::default()
        };
        let answer = lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap();
        assert_eq!((&*answer.verdict, &*answer.result), ("local", "to the host's kernel by the exception port"));
    });
}
