//! A whole vRouter on DPDK devices: every frame of a file, good or bad, ends in the books, and no mbuf stays behind.
#![cfg(feature = "dpdk")]

mod vdev_bed;

use std::sync::Arc;

use flowtable::{Config, FlowTable, Region};
use vdev_bed::{one, pool, read_pcap, scratch, write_pcap};
use vrouter::api::v1;
use vrouter::api::yaml::Network;
use vrouter::daemon::answer::{Control, Devices, Identity};
use vrouter::daemon::clock::Clock;
use vrouter::datapath::{Shared, Worker, shared::Limits};
use vrouter::ids::{Mac, WorkerIndex};
use vrouter::model::{self, Model, PortInfo};
use vrouter::port::Port;

/// A worker that allocates ends the process.
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;

const NETWORK: &str = r#"
settings: {underlay_vrf: underlay, vtep: 10.0.0.1}
vrfs: [{name: underlay}, {name: red}]
vifs:
  - {name: up, kind: fabric, port: fabric, vrf: underlay, addresses: [10.0.0.1], subnets: [10.0.0.0/24]}
  - {name: guest, port: tenant, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10], gateway_v4: 10.1.1.1, spoofing_allowed: true}
neighbours: [{vif: up, address: 10.0.0.2, mac: "02:00:00:00:00:ee"}]
routes: [{vrf: red, prefix: 0.0.0.0/0, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}]
"#;

struct NoDevices;

impl Devices for NoDevices {
    fn stats(&self) -> Vec<v1::PortStats> {
        Vec::new()
    }
}

/// The frames that scapy wrote for the virtual wire.
fn scapy_frames() -> Vec<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let lines = include_str!("wire/frames/base.hex").lines().filter_map(|line| line.split_once(": "));
    lines.map(|(_, hex)| hex.as_bytes().chunks(2).map(byte).collect()).collect()
}

#[test]
fn every_frame_of_a_file_ends_in_the_books() {
    let (input, output) = (scratch("books-in.pcap"), scratch("books-out.pcap"));
    let frames = scapy_frames();
    write_pcap(&input, &frames);
    let pool = pool("books", 4095);
    let (tenant, rx) = one(&format!("net_pcap10,rx_pcap={}", input.display()), &pool);
    let (fabric, tx) = one(&format!("net_pcap11,tx_pcap={}", output.display()), &pool);
    let info =
        |name: &str| PortInfo { name: name.into(), devargs: String::new(), mac: Mac([2; 6]), mtu: 1500, queues: 1 };
    let mut model = Model::new(model::Limits::default(), vec![info("tenant"), info("fabric")]);
    let changes = Network::parse("network", NETWORK).unwrap().changes().unwrap();
    model.apply("test", &changes.into_iter().map(|(change, _)| change).collect::<Vec<_>>()).unwrap();
    let sizes = Config { narrow_pairs: 4096, wide_pairs: 4096, seed: 5, time_base: 0 };
    let flows = FlowTable::create(Region::heap(sizes.bytes().unwrap()).unwrap(), &sizes).unwrap();
    let limits = Limits { vif_slots: 4, new_flows_per_second: 100_000 };
    let shared = Arc::new(Shared::new(model.snapshot(), flows, 1, limits));
    let clock = Clock::new();
    let identity = Identity { idle: String::new(), limits: Vec::new() };
    let mut control = Control::new(shared.clone(), model, Box::new(NoDevices), identity, clock);
    let ports: Vec<Option<Box<dyn Port>>> = vec![Some(Box::new(rx)), Some(Box::new(tx))];
    let mut worker = Worker::new(WorkerIndex(0), shared, ports);
    while worker.poll(clock.tick()) > 0 || control.step() {}
    let stats = control.stats();
    let books = stats.conservation.unwrap();
    assert_eq!(books.received, frames.len() as u64);
    let came = books.received + books.originated + books.copied;
    assert_eq!(came, books.sent + books.dropped + books.held + books.consumed, "{books:?} {:?}", stats.drops);
    let left = |name: &str| stats.vifs.iter().find(|row| row.vif == name).unwrap().tx_packets;
    assert!(left("up") > 0 && books.dropped > 0, "{books:?}");
    let expected = left("up") as usize;
    drop((worker, tenant, fabric));
    assert_eq!(read_pcap(&output).len(), expected);
    assert_eq!(pool.in_use(), 0);
    std::fs::remove_file(input).unwrap();
    std::fs::remove_file(output).unwrap();
}
