//! The whole pipeline and its first step, on in-memory frames of 60 bytes. Times are per burst of 64 frames, of `classify` per frame.

use std::hint::black_box;

use bench::pipeline::Pipeline;
use bench::scenarios::{self, Scenario};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vrouter::datapath;
use vrouter::port::{BURST, Frame};

fn run(criterion: &mut Criterion, scenario: Scenario) {
    let mut group = criterion.benchmark_group(scenario.name);
    group.throughput(Throughput::Elements(BURST as u64));
    for flows in [1_000, 100_000] {
        let packets = (0..flows).map(|flow| scenario.packet(flow)).collect();
        let mut pipeline = Pipeline::new(&scenario.network(), scenario.side(), packets);
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
    for scenario in scenarios::ALL.iter().filter(|scenario| !scenario.new_flows) {
        run(criterion, *scenario);
    }
}

/// The first step alone: one frame to its place, VRF and inner packet.
fn classify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("classify");
    group.throughput(Throughput::Elements(1));
    for (name, vif) in [("vxlan-encap", "guest"), ("vxlan-decap", "uplink")] {
        let scenario = Scenario::named(name).expect("a scenario");
        let pipeline = Pipeline::new(&scenario.network(), scenario.side(), vec![scenario.packet(0)]);
        let snapshot = pipeline.snapshot();
        let vif = snapshot.vifs.iter().map(|(_, row)| row).find(|row| &*row.name == vif).expect("the VIF");
        let frame = Frame::from_bytes(&scenario.packet(1)).expect("a frame");
        assert!(datapath::classify::classify(&snapshot, vif, &frame).is_ok(), "{name} is not forwarded");
        group.bench_function(name, |bencher| {
            bencher.iter(|| datapath::classify::classify(black_box(&snapshot), vif, black_box(&frame)))
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline, classify);
criterion_main!(benches);
