//! What a tenant forges in ARP and ND is a counted drop and changes nothing; and a flood of it takes nobody else's share.

use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{RA, RA2, UP, ra};

/// Everything that forwarding knows about neighbours, and that everybody still reaches everybody.
#[track_caller]
fn nothing_changed(lab: &mut Lab, what: &str) {
    // the budget of a second for each
    lab.advance(1000);
    let filter = v1::ListRequest { kind: v1::Kind::Neighbour.into(), ..Default::default() };
    let neighbours = lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects.count();
    assert_eq!(neighbours, 1, "{what}");
    for (from, name, to, expected) in [
        (RA, "arp.gateway", RA, "arp.gateway.reply"),
        (RA, "nd.gateway", RA, "nd.gateway.reply"),
        (RA, "nd.remote", RA, "nd.remote.reply"),
        (RA2, "echo4.from-ra2", RA2, "echo4.from-ra2.reply"),
        (RA, "udp4.vxlan", UP, "udp4.vxlan.wire"),
        (RA, "udp6.vxlan", UP, "udp6.vxlan.wire"),
        (UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out"),
    ] {
        lab.put(from, name);
        lab.run();
        let came = lab.take(to);
        assert!(came.len() == 1 && super::frames::is_like(&came[0], expected), "{what}: {name}: {came:02x?}");
    }
    lab.expect(&[]);
}

fn refused(lab: &mut Lab, forged: &[(&str, DropReason)]) {
    let before = lab.rig().shared.snapshot.load().generation;
    for (name, reason) in forged {
        lab.dropped(RA, name, *reason);
        nothing_changed(lab, name);
    }
    assert_eq!(lab.rig().shared.snapshot.load().generation, before, "no new snapshot");
}

const ARP: [(&str, DropReason); 14] = {
    use DropReason::{ArpInvalid, MacSpoofed, NeighbourNotOurs};
    [
        ("forged.arp-gratuitous-gateway", ArpInvalid),
        ("forged.arp-gratuitous-neighbour", ArpInvalid),
        ("forged.arp-gratuitous-remote", ArpInvalid),
        ("forged.arp-reply-gateway", ArpInvalid),
        ("forged.arp-reply-neighbour", ArpInvalid),
        ("forged.arp-reply-remote", ArpInvalid),
        ("forged.arp-asks-as-gateway", ArpInvalid),
        ("forged.arp-asks-as-neighbour", ArpInvalid),
        ("forged.arp-asks-as-remote", ArpInvalid),
        ("forged.arp-other-mac", ArpInvalid),
        ("forged.arp-to-gateway", ArpInvalid),
        ("arp.forged-mac", ArpInvalid),
        ("arp.forged-source", MacSpoofed),
        ("own.arp-gratuitous", NeighbourNotOurs),
    ]
};

const ND: [(&str, DropReason); 24] = {
    use DropReason::{NdInvalid, NeighbourNotOurs};
    [
        ("forged.na-gateway", NdInvalid),
        ("forged.na-link-local-gateway", NdInvalid),
        ("forged.na-neighbour", NdInvalid),
        ("forged.na-remote", NdInvalid),
        ("forged.na-router-gateway", NdInvalid),
        ("forged.na-router-link-local-gateway", NdInvalid),
        ("forged.na-router-neighbour", NdInvalid),
        ("forged.na-router-remote", NdInvalid),
        ("forged.na-to-us-gateway", NdInvalid),
        ("forged.na-to-us-link-local-gateway", NdInvalid),
        ("forged.na-to-us-neighbour", NdInvalid),
        ("forged.na-to-us-remote", NdInvalid),
        ("forged.ns-from-gateway", NdInvalid),
        ("forged.ns-from-link-local-gateway", NdInvalid),
        ("forged.ns-from-neighbour", NdInvalid),
        ("forged.ns-from-remote", NdInvalid),
        ("forged.na-other-mac", NdInvalid),
        ("forged.na-from-another", NdInvalid),
        ("forged.ns-other-mac", NdInvalid),
        ("forged.advertisement-of-gateway", NdInvalid),
        ("forged.redirect-of-gateway", NdInvalid),
        ("nd.hop-limit", NdInvalid),
        ("forged.advertisement", NeighbourNotOurs),
        ("forged.redirect", NeighbourNotOurs),
    ]
};

#[test]
fn forged_arp_is_refused() {
    scenario("forged-arp", Lab::a, |lab| refused(lab, &ARP));
}

#[test]
fn forged_neighbour_discovery_is_refused() {
    scenario("forged-nd", Lab::a, |lab| refused(lab, &ND));
}

#[test]
fn a_tenant_s_word_about_itself_changes_nothing_either() {
    scenario("own-word", Lab::a, |lab| {
        for name in ["own.arp-reply", "own.na"] {
            lab.put(RA, name);
            lab.run();
            lab.expect(&[]);
            nothing_changed(lab, name);
        }
    });
}

#[test]
fn the_gateway_is_nobody_else_however_much_a_tenant_may_use() {
    for allowed in [r#"allowed_sources: [10.1.1.0/24, "fd01::/64"]"#, "spoofing_allowed: true"] {
        scenario("forged-gateway", Lab::a, |lab| {
            lab.apply(&ra(allowed));
            let names =
                ARP.iter().chain(&ND).filter(|(name, _)| name.contains("gateway") && !name.contains("to-gateway"));
            for (name, reason) in names {
                lab.dropped(RA, name, *reason);
                nothing_changed(lab, name);
            }
        });
    }
}

/// Ten punts a second, and per worker.
const LITTLE: &str = "settings: {underlay_vrf: underlay, vtep: 10.0.0.1, icmp_per_second: 10}";

#[test]
fn arp_and_nd_have_a_budget_apart_from_other_punts() {
    scenario("budget-apart", Lab::a, |lab| {
        lab.apply(LITTLE);
        (0..100).for_each(|_| lab.put(RA, "echo4.gateway"));
        lab.run();
        assert!(lab.rig().dropped("ra", DropReason::PuntBudget) >= 80);
        lab.discard();
        lab.pass(RA, "arp.gateway", RA, "arp.gateway.reply");
        lab.pass(RA, "nd.gateway", RA, "nd.gateway.reply");
        lab.pass(RA2, "echo4.from-ra2", RA2, "echo4.from-ra2.reply");
    });
    scenario("budget-apart-back", Lab::a, |lab| {
        lab.apply(LITTLE);
        (0..100).for_each(|_| lab.put(RA, "nd.gateway"));
        lab.run();
        assert!(lab.rig().dropped("ra", DropReason::PuntBudget) >= 80);
        lab.discard();
        lab.pass(RA, "echo4.gateway", RA, "echo4.gateway.reply");
    });
}

#[test]
fn one_vrf_s_tunnels_do_not_spend_another_s_budget() {
    scenario("budget-tunnels", Lab::a, |lab| {
        lab.apply(LITTLE);
        lab.pass(UP, "echo-out-of.blue", UP, "echo-out-of.blue.wire");
        (0..100).for_each(|_| lab.put(UP, "echo-out-of.red"));
        lab.run();
        let dropped = lab.rig().dropped("up0", DropReason::PuntBudget);
        assert!(dropped >= 80, "{dropped}");
        assert_eq!(lab.take(UP).len() as u64, 100 - dropped);
        lab.pass(UP, "echo-out-of.blue", UP, "echo-out-of.blue.wire");
        lab.dropped(UP, "echo-out-of.red", DropReason::PuntBudget);
    });
}
