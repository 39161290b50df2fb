//! The whole pipeline and its first step, on in-memory frames of 60 bytes. Times are per burst of 32 frames, of `classify` per frame.

use std::hint::black_box;
use std::net::Ipv4Addr;

use bench::frames::{udp, vxlan};
use bench::pipeline::{Pipeline, Side};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vrouter::datapath;
use vrouter::port::{BURST, Frame};

const GUEST: [u8; 6] = [2, 0xaa, 0, 0, 0, 0x11];
const GATEWAY: [u8; 6] = [0, 0, 0x5e, 0, 1, 0];
const ROUTER: [u8; 6] = [2, 172, 31, 0, 1, 1];
const PEER: [u8; 6] = [2, 172, 31, 0, 2, 1];
const FABRIC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const NEXT: [u8; 6] = [2, 0, 0, 0, 0, 0xee];

fn network(rules: usize, flows: bool) -> String {
    let acl = if rules > 0 { ", acl_from_vif: web" } else { "" };
    let mut text = format!(
        "settings: {{underlay_vrf: underlay, vtep: 172.31.0.1}}
vrfs: [{{name: underlay}}, {{name: red, flows: {flows}}}]
vifs:
  - {{name: uplink, kind: fabric, port: fabric, vrf: underlay, addresses: [172.31.0.1], subnets: [172.31.0.0/24]}}
  - {{name: guest, port: tenant, vrf: red, mac: '02:aa:00:00:00:11', addresses: [10.1.1.11], gateway_v4: 10.1.1.1, spoofing_allowed: true{acl}}}
vnis: [{{vni: 100, vrf: red}}]
routes:
  - {{vrf: red, prefix: 20.0.0.0/8, via: {{vxlan: {{remote: 172.31.0.2, vni: 100, mac: '02:ac:1f:00:02:01'}}}}}}
  - {{vrf: red, prefix: 10.128.0.0/9, via: {{vif: guest}}}}
"
    );
    if rules > 0 {
        text += "acls:\n  - name: web\n    rules:\n";
        for rule in 1..rules {
            text += &format!(
                "      - {{action: deny, protocol: tcp, destination: 20.{}.{}.0/24}}\n",
                rule / 256,
                rule % 256
            );
        }
        text += "      - {action: permit}\n";
    }
    text
}

/// One packet a flow, as the tenant sends it.
fn inner(flow: usize) -> Vec<u8> {
    let source = Ipv4Addr::from_bits(0x0a80_0000 + flow as u32);
    udp((GATEWAY, GUEST), (source, Ipv4Addr::new(20, 0, 0, 1)), (1024, 80), &[0; 18])
}

/// The answers, as the peer sends them.
fn outer(flow: usize) -> Vec<u8> {
    let destination = Ipv4Addr::from_bits(0x0a80_0000 + flow as u32);
    let answer = udp((ROUTER, PEER), (Ipv4Addr::new(20, 0, 0, 1), destination), (80, 1024), &[0; 18]);
    let ends = (Ipv4Addr::new(172, 31, 0, 2), Ipv4Addr::new(172, 31, 0, 1));
    vxlan((FABRIC, NEXT), ends, 50_000, 100, &answer)
}

fn run(criterion: &mut Criterion, name: &str, network: &str, side: Side, packets: impl Fn(usize) -> Vec<u8>) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(BURST as u64));
    for flows in [1_000, 100_000] {
        let mut pipeline = Pipeline::new(network, side, (0..flows).map(&packets).collect());
        for _ in 0..flows / BURST + 1 {
            pipeline.burst();
        }
        let before = pipeline.sent();
        group.bench_function(BenchmarkId::from_parameter(flows), |bencher| bencher.iter(|| pipeline.burst()));
        assert!(pipeline.sent() > before, "nothing was sent");
        assert_eq!(pipeline.dropped(), 0, "a bench of forwarding dropped packets");
    }
    group.finish();
}

fn pipeline(criterion: &mut Criterion) {
    run(criterion, "encap, flows, 1000 rules", &network(1000, true), Side::Tenant, inner);
    run(criterion, "decap, flows, 1000 rules", &network(1000, true), Side::Fabric, outer);
    run(criterion, "encap, packet mode", &network(0, false), Side::Tenant, inner);
}

/// The first step alone: one frame to its place, VRF and inner packet.
fn classify(criterion: &mut Criterion) {
    let pipeline = Pipeline::new(&network(0, true), Side::Tenant, vec![inner(0)]);
    let snapshot = pipeline.snapshot();
    let mut group = criterion.benchmark_group("classify");
    group.throughput(Throughput::Elements(1));
    for (name, vif, bytes) in [("tenant ipv4 udp", "guest", inner(1)), ("fabric vxlan ipv4 udp", "uplink", outer(1))] {
        let vif = snapshot.vifs.iter().map(|(_, row)| row).find(|row| &*row.name == vif).expect("the VIF");
        let frame = Frame::from_bytes(&bytes).expect("a frame");
        assert!(datapath::classify::classify(&snapshot, vif, &frame).is_ok(), "{name} is not forwarded");
        group.bench_function(name, |bencher| {
            bencher.iter(|| datapath::classify::classify(black_box(&snapshot), vif, black_box(&frame)))
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline, classify);
criterion_main!(benches);
