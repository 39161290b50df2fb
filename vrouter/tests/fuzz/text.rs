//! Bytes as YAML: the network language and the daemon's configuration; and as a capture's filter. What is taken can be written to a daemon or is refused there,
//! and read back it says the same.

use vrouter::api::config::Config;
use vrouter::api::v1;
use vrouter::api::yaml::Network;
use vrouter::model::Model;
use vrouter::packet::filter::Filter;

use super::model::{self, LIMITS, ports};
use crate::network;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Config::parse("fuzz.yaml", text, &[0, 1]) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = Filter::parse(text) {
        assert!((1..=text.len() + 1).contains(&error.column), "{error}: {text:?}");
    }
    let network = match Network::parse("fuzz.yaml", text) {
        Ok(network) => network,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let changes = match network.changes() {
        Ok(changes) => changes,
        Err(fault) => {
            assert!(!fault.of_file("fuzz.yaml").to_string().is_empty());
            return;
        }
    };
    let mut model = Model::new(LIMITS, ports());
    for (change, _) in changes {
        let Some(v1::change::Op::Put(object)) = &change.op else { panic!("a network puts: {change:?}") };
        let mut again = Network::default();
        again.insert(object).unwrap_or_else(|error| panic!("{error:?}: {object:?}"));
        let said: Vec<_> = again.changes().expect("it was read").into_iter().map(|(change, _)| change).collect();
        assert_eq!(said, std::slice::from_ref(&change));
        if model.apply("", &[change]).is_ok() {
            model::check(&model.snapshot());
        }
    }
}

const CONFIG: &str = r#"
socket: /run/vrouter.sock
workers: {cores: [1]}
idle: backoff
eal: {huge_pages: false, memory_mb: 512}
mempool: {mbufs: 8191, cache: 256}
limits: {flows_v4: 1024, flows_v6: 1024, vifs: 64}
ports:
  - {name: p0, devargs: "net_tap0,iface=t0", queues: 1, mtu: 1500}
  - {name: p1, devargs: "0000:01:00.0"}
state:
  vrfs: [{name: red}]
"#;

pub fn seeds() -> Vec<Vec<u8>> {
    let lab =
        [include_str!("../../../scripts/lab/networks/h1.yaml"), include_str!("../../../scripts/lab/networks/h2.yaml")];
    let documents = include_str!("changes.yaml").split("\n---\n").map(str::to_owned);
    let odd = [
        "{}",
        "vrfs: &a [{name: x}]\nacls: *a\n",
        "a: &a [1]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
        "vrfs: [{name: \"\\u0000\"}]",
        "settings: !!binary aGVsbG8=",
        "--- {}\n--- {}\n",
        "vnis: [{vni: 0x64, vrf: red}, {vni: 1e2, vrf: red}, {vni: -1, vrf: red}]",
        "? [complex]\n: {key: value}\n",
        "ports: 80-90,100",
        "vrfs:\n  - name: >-\n      folded\n    acl: |\n      kept\n",
    ];
    let cloud = include_str!("../../examples/cloud/tenants.yaml");
    let hosts = include_str!("../../examples/cloud/production.yaml");
    // of production, the one that has the firewall
    let one_file = format!("this_host: node1\nsettings: {{}}\n{hosts}{cloud}");
    let projects = [cloud.to_owned(), one_file];
    let texts = projects.into_iter().chain(documents).chain(lab.map(str::to_owned)).chain([
        network::a(),
        network::b_dynamic(),
        CONFIG.into(),
    ]);
    texts.chain(odd.map(str::to_owned)).map(String::into_bytes).collect()
}
