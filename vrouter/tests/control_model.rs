//! The network language against the model: what a file says is accepted, and what the model lists is a file that says the same.

use vrouter::api::v1;
use vrouter::api::yaml::Network;
use vrouter::ids::Mac;
use vrouter::model::{Limits, Model, PortInfo};

const NETWORK: &str = r#"
settings: {underlay_vrf: underlay, vtep: 172.31.0.1, tcp_strict: true, lifetimes: {udp_answered: 60}}
groups: [{name: lan, prefixes: [10.0.0.0/8, "2001:db8::/32"]}]
acls:
  - name: web
    rules:
      - {name: http, action: permit, protocol: tcp, source: {group: lan}, destination_ports: [80, 8000-8099]}
      - {action: permit, protocol: icmp, icmp_type: 8, icmp_code: 0}
      - {action: deny, destination: 10.1.1.0/24}
vrfs:
  - {name: underlay, flows: off}
  - {name: red, tenant: acme, acl: web, allowed_vteps: [172.31.0.2]}
  - {name: blue}
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [172.31.0.1], subnets: [172.31.0.0/24]}
  - {name: web1, port: p1, vrf: red, mac: 02:00:00:00:00:01, addresses: [10.1.1.10, "2001:db8::10"], gateway_v4: 10.1.1.1,
     gateway_v6: "2001:db8::1", mtu: 1400, acl_from_vif: web, acl_to_vif: web, allowed_sources: [10.9.0.0/16]}
  - {name: db1, port: p2, vrf: blue, mac: 02:00:00:00:00:01, addresses: [10.1.1.10], spoofing_allowed: true}
neighbours: [{vif: up0, address: 172.31.0.254, mac: 02:00:00:00:00:fe}]
routes:
  - {vrf: underlay, prefix: 0.0.0.0/0, via: {gateway: 172.31.0.254}}
  - {vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 172.31.0.2, vni: 100, mac: 02:ac:1f:00:02:01}}}
  - {vrf: red, prefix: 10.1.1.20/32, owner: bgp, preference: 50, via: {mpls_udp: {remote: 172.31.0.2, label: 200}}}
  - {vrf: red, prefix: 10.1.1.30/32, via: {vif: db1}}
  - {vrf: blue, prefix: "2001:db8:1::/48", drop: true}
vnis: [{vni: 100, vrf: red}]
labels: [{label: 100, vrf: blue}, {label: 101, vif: web1}]
"#;

fn model() -> Model {
    let port = |at: u8| PortInfo {
        name: format!("p{at}"),
        devargs: format!("net_null{at}"),
        mac: Mac([2, 0, 0, 0, 1, at]),
        mtu: 1500,
        queues: 1,
    };
    Model::new(Limits::default(), (0..3).map(port).collect())
}

fn applied(network: &Network) -> Model {
    let mut model = model();
    let changes: Vec<_> = network.changes().unwrap().into_iter().map(|(change, _)| change).collect();
    if let Err(refused) = model.apply("operator", &changes) {
        panic!("{refused:?}: {:?}", changes[refused.change as usize]);
    }
    model
}

/// What the model lists, without what it makes by itself.
fn listed(model: &Model) -> Network {
    let mut network = Network::default();
    for object in model.list(v1::Kind::All, "") {
        network.insert(&object).unwrap();
    }
    network.routes.retain(|route| route.owner.as_deref() != Some("vif"));
    network
}

#[test]
fn what_the_model_lists_is_a_file_that_says_the_same() {
    let file = Network::parse("network.yaml", NETWORK).unwrap();
    let first = listed(&applied(&file));
    assert_eq!((first.vrfs.len(), first.vifs.len(), first.routes.len()), (3, 3, 5));
    assert_eq!((first.acls.len(), first.groups.len(), first.labels.len()), (1, 1, 2));
    let yaml = serde_saphyr::to_string(&first).unwrap();
    let again = Network::parse("listed.yaml", &yaml).unwrap();
    assert_eq!(again, first);
    assert_eq!(listed(&applied(&again)), first);
}

#[test]
fn a_file_applied_twice_changes_nothing() {
    let file = Network::parse("network.yaml", NETWORK).unwrap();
    let mut model = applied(&file);
    let first = model.list(v1::Kind::All, "");
    let changes: Vec<_> = file.changes().unwrap().into_iter().map(|(change, _)| change).collect();
    model.apply("operator", &changes).unwrap();
    assert_eq!(model.list(v1::Kind::All, ""), first);
}

#[test]
fn a_refusal_names_the_change_whose_place_is_known() {
    let text = "vrfs:\n  - {name: red}\nvifs:\n  - {name: web1, port: p9, vrf: red, mac: 02:00:00:00:00:01}\n";
    let changes = Network::parse("n.yaml", text).unwrap().changes().unwrap();
    let (changes, places): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    let refused = model().apply("operator", &changes).map(|_| ()).unwrap_err();
    assert_eq!((refused.object.as_str(), refused.field.as_str()), ("vif web1", "port"), "{refused:?}");
    assert_eq!(places[refused.change as usize].line, 4);
}
