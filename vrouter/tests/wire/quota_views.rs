//! What explain says of quotas, held against what the workers do.

use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::drops::DropReason;

use super::lab::{Lab, scenario};
use super::network::{self, RA, RA2, UP};
use super::quotas::{large, none_found};

/// Of the packet of ra's, or of ra2's flood, with this port.
fn ask(lab: &mut Lab, vif: &str, port: u32, destination: [u8; 4]) -> v1::ExplainReply {
    let query = v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif(vif.into())),
        source: if vif == "ra" { vec![10, 1, 1, 10] } else { vec![10, 1, 1, 11] },
        destination: destination.into(),
        protocol: if destination[3] == 1 { 1 } else { 17 },
        source_port: port,
        destination_port: if destination[3] == 1 { 0 } else { 7053 },
        ..Default::default()
    };
    let before = lab.rig().stats();
    let reply = lab.rig().ask(|reply| Request::Explain { query, reply }).unwrap();
    assert_eq!(lab.rig().stats(), before, "explain has side effects");
    reply
}

const FAR: [u8; 4] = [10, 1, 1, 20];
const GATEWAY: [u8; 4] = [10, 1, 1, 1];

/// Who pays, and what is left.
fn quotas(reply: &v1::ExplainReply) -> Vec<String> {
    let told = reply.steps.iter().filter(|step| step.name == "quota");
    told.map(|step| format!("{}: {}", step.object, step.detail)).collect()
}

#[test]
fn explain_says_who_pays_for_a_new_flow_and_when_it_is_refused() {
    scenario("quota-explain", Lab::a, |lab| {
        assert!(quotas(&ask(lab, "ra2", 10_000, FAR)).is_empty(), "there are none");
        lab.apply("vrfs: [{name: red, tenant: acme}]");
        let tenants = "tenant_quotas: [{tenant: acme, quota: {flows: 4, new_flows_per_second: 20}}]";
        lab.apply(&format!("settings: {{underlay_vrf: underlay, vtep: 10.0.0.1, {tenants}}}"));
        lab.apply(&network::ra2("quota: {flows: 2, new_flows_per_second: 10}"));
        (0..3).for_each(|_| drop(ask(lab, "ra2", 10_000, FAR)));
        let reply = ask(lab, "ra2", 10_000, FAR);
        assert_eq!(reply.verdict, "forward");
        let all = [
            "vif ra2: 10 of 10 new flows a second left",
            "tenant acme: 20 of 20 new flows a second left",
            "vif ra2: 0 of 2 flow pairs held",
            "tenant acme: 0 of 4 flow pairs held",
        ];
        assert_eq!(quotas(&reply), all, "nothing was spent by asking");
        (0..9).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        let reply = ask(lab, "ra2", 10_099, FAR);
        let told = quotas(&reply);
        assert_eq!(
            told[..2],
            ["vif ra2: 1 of 10 new flows a second left", "tenant acme: 11 of 20 new flows a second left"]
        );
        assert!(
            told[2].starts_with("vif ra2: 2 of 2 flow pairs held: one that is closing, unanswered or idle gives way")
        );
        assert_eq!((told.len(), &*reply.verdict), (4, "forward"));
        lab.put(RA2, "flood.9");
        lab.run();
        let reply = ask(lab, "ra2", 10_099, FAR);
        assert_eq!(
            (&*reply.verdict, quotas(&reply)),
            ("new_flow_quota", vec!["vif ra2: 0 of 10 new flows a second left".into()])
        );
        lab.discard();
        lab.dropped(RA2, "flood.99", DropReason::NewFlowQuota);
        // a flow that is there is not charged
        let flows = lab.rig().flows(v1::FlowsRequest { vif: "ra2".into(), ..Default::default() });
        let reply = ask(lab, "ra2", flows[0].source_port, FAR);
        assert_eq!((&*reply.verdict, quotas(&reply).len()), ("forward", 0));
        // a tenth of a second later there is one more
        lab.advance(100);
        assert_eq!(ask(lab, "ra2", 10_099, FAR).verdict, "forward");
        lab.pass(RA2, "flood.99", UP, "flood.99.wire");
    });
}

#[test]
fn explain_says_that_no_flow_was_found_to_give_way() {
    scenario("quota-explain-none", large, |lab| {
        none_found(lab);
        assert_eq!(ask(lab, "ra2", 10_020, FAR).verdict, "forward");
        (20..120).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
        lab.run();
        lab.discard();
        let reply = ask(lab, "ra2", 10_120, FAR);
        let none = "vif ra2: 1 of 1 flow pairs held: none that may give way was found just now";
        assert_eq!((&*reply.verdict, quotas(&reply)), ("flow_quota", vec![none.into()]));
        lab.dropped(RA2, "flood.120", DropReason::FlowQuota);
        lab.advance(100);
        assert_eq!(ask(lab, "ra2", 10_120, FAR).verdict, "forward");
    });
}

#[test]
fn explain_says_what_is_left_of_punts_and_nothing_of_flows_in_packet_mode() {
    scenario("quota-explain-punts", Lab::a, |lab| {
        lab.apply(&network::ra("quota: {punts_per_second: 2, new_flows_per_second: 100}"));
        let reply = ask(lab, "ra", 0, GATEWAY);
        let told = ["vif ra: 100 of 100 new flows a second left", "vif ra: 2 of 2 punts a second left"];
        assert_eq!((&*reply.verdict, quotas(&reply)), ("local", told.map(String::from).into()));
        lab.apply("vrfs: [{name: red, flows: off}]");
        assert!(quotas(&ask(lab, "ra", 5000, FAR)).is_empty());
        for _ in 0..2 {
            lab.put(RA, "echo4.gateway");
        }
        lab.run();
        lab.discard();
        assert_eq!(ask(lab, "ra", 0, GATEWAY).verdict, "punt_quota");
        lab.dropped(RA, "echo4.gateway", DropReason::PuntQuota);
    });
}
