//! A model with the network of the virtual-wire tests, and the frames that scapy built.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::oracle::{Drop, Flow, Oracle, Outcome, Port, Sent};

/// Ports.
pub const UP: usize = 0;
pub const RA: usize = 1;
pub const BA: usize = 2;
pub const RA2: usize = 3;

pub const NETWORK: &str = r#"
settings: {underlay_vrf: underlay, vtep: 10.0.0.1}
vrfs:
  - {name: underlay, flows: off}
  - {name: red}
  - {name: blue}
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1], subnets: [10.0.0.0/24]}
  - {name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: ba, port: p2, vrf: blue, mac: "02:00:00:00:0a:02", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: ra2, port: p3, vrf: red, mac: "02:00:00:00:0a:03", addresses: [10.1.1.11, "fd01::11"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
routes:
  - {vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: "fd01::20/128", via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: 10.1.1.21/32, via: {mpls_udp: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: red, prefix: "fd01::21/128", via: {mpls_udp: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: blue, prefix: 10.1.1.20/32, via: {mpls_udp: {remote: 10.0.0.2, label: 2001}}}
  - {vrf: blue, prefix: "fd01::20/128", via: {mpls_udp: {remote: 10.0.0.2, label: 2001}}}
neighbours:
  - {vif: up0, address: 10.0.0.2, mac: "52:00:00:00:0b:00"}
vnis:
  - {vni: 100, vrf: red}
  - {vni: 200, vrf: blue}
labels:
  - {label: 1000, vrf: red}
  - {label: 2000, vrf: blue}
  - {label: 3000, vif: ra2}
"#;

static FRAMES: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| {
    let byte = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    let mut frames = HashMap::new();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/frames")).expect("a folder");
    for path in folder.map(|entry| entry.expect("readable").path()) {
        if path.extension().is_none_or(|extension| extension != "hex") {
            continue;
        }
        for line in std::fs::read_to_string(path).expect("text").lines() {
            let (name, hex) = line.split_once(": ").expect("name: hex");
            frames.insert(name.to_owned(), (0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect());
        }
    }
    frames
});

/// The frame with this name.
#[track_caller]
pub fn frame(name: &str) -> Vec<u8> {
    FRAMES.get(name).unwrap_or_else(|| panic!("no frame {name}")).clone()
}

pub fn is_frame(name: &str) -> bool {
    FRAMES.contains_key(name)
}

pub struct Bed {
    pub oracle: Oracle,
    pub now: u64,
}

impl Bed {
    pub fn new() -> Bed {
        let port = |at: u8| Port { name: format!("p{at}"), mac: [0x52, 0, 0, 0, 0x0a, at], mtu: 1500 };
        let ports: Vec<_> = (0..8).map(port).collect();
        let mut bed = Bed { oracle: Oracle::new(&ports, 1_000_000), now: 1_000_000 };
        bed.apply(NETWORK);
        bed
    }

    #[track_caller]
    pub fn apply(&mut self, yaml: &str) {
        self.oracle.apply(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    }

    /// VIF ra, with these fields besides.
    pub fn ra(&mut self, more: &str) {
        self.vif("ra", 1, 10, more);
    }

    /// VIF ra2, with these fields besides.
    pub fn ra2(&mut self, more: &str) {
        self.vif("ra2", 3, 11, more);
    }

    fn vif(&mut self, name: &str, port: u8, host: u8, more: &str) {
        let comma = if more.is_empty() { "" } else { ", " };
        self.apply(&format!(
            r#"vifs: [{{name: {name}, port: p{port}, vrf: red, mac: "02:00:00:00:0a:0{port}", addresses: [10.1.1.{host}, "fd01::{host}"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"{comma}{more}}}]"#
        ));
    }

    pub fn put(&mut self, port: usize, name: &str) -> Outcome {
        self.oracle.receive(port, &frame(name), self.now, &[])
    }

    /// Moves the clock and collects what is sent and dropped.
    pub fn advance(&mut self, millis: u64) -> Outcome {
        let mut all = Outcome::default();
        let end = self.now + millis;
        while self.now < end {
            self.now = end.min(self.now + 100);
            let outcome = self.oracle.advance(self.now, &[]);
            all.sent.extend(outcome.sent);
            all.drops.extend(outcome.drops);
            all.features.extend(outcome.features);
        }
        all
    }

    /// A frame goes in, and exactly one comes out: there, and like that.
    #[track_caller]
    pub fn pass(&mut self, from: usize, name: &str, to: usize, expected: &str) {
        let outcome = self.put(from, name);
        assert_eq!(outcome.drops, [], "{name}");
        self.expect(&outcome, &[(to, expected)], name);
    }

    /// What came out is exactly this.
    #[track_caller]
    pub fn expect(&self, outcome: &Outcome, expected: &[(usize, &str)], what: &str) {
        let mut want: Vec<_> = expected.iter().map(|(port, name)| Sent { port: *port, bytes: wanted(name) }).collect();
        let mut came = outcome.sent.clone();
        want.sort();
        came.sort();
        assert!(want == came, "{what}:\n want {want:02x?}\n came {came:02x?}\n drops {:?}", outcome.drops);
    }

    /// A frame goes in, none comes out, and it is dropped for this reason.
    #[track_caller]
    pub fn dropped(&mut self, from: usize, name: &str, reason: &'static str) {
        self.told(from, name, reason, &[]);
    }

    /// A frame goes in and is dropped for this reason; its sender gets these frames.
    #[track_caller]
    pub fn told(&mut self, from: usize, name: &str, reason: &'static str, told: &[&str]) {
        let vif = ["up0", "ra", "ba", "ra2", "sa"].get(from).copied().unwrap_or_default().to_owned();
        let outcome = self.put(from, name);
        assert_eq!(outcome.drops, [Drop { vif, reason }], "{name}");
        let told: Vec<_> = told.iter().map(|name| (from, *name)).collect();
        self.expect(&outcome, &told, name);
    }

    /// The only flow.
    #[track_caller]
    pub fn flow(&self) -> Flow {
        let mut flows = self.oracle.flows();
        assert_eq!(flows.len(), 1, "{flows:#?}");
        flows.remove(0)
    }
}

/// `*.wire` frames have source port 0, and flow label 0 in an outer IPv6 header, where ours is chosen: the model alone takes the first
/// that is allowed.
fn wanted(name: &str) -> Vec<u8> {
    let mut bytes = frame(name);
    if !name.ends_with(".wire") {
        return bytes;
    }
    let ip = if bytes.get(12..14) == Some(&[0x81, 0]) { 18 } else { 14 };
    let v6 = bytes.get(ip).is_some_and(|byte| byte >> 4 == 6);
    let (protocol, udp) = if v6 { (6, 40) } else { (9, 20) };
    if v6 && [Some(&17), Some(&47)].contains(&bytes.get(ip + protocol)) {
        bytes[ip + 3] = 1;
    }
    if bytes.get(ip + protocol) == Some(&17) {
        bytes[ip + udp..ip + udp + 2].copy_from_slice(&49152_u16.to_be_bytes());
    }
    bytes
}
