//! The same devices with 2 MiB huge pages. Needs root: reserves pages and gives them back.
#![cfg(feature = "dpdk")]

mod vdev_bed;

use std::fs;

use flowtable::{FlowTable, Pages, Region};
use vdev_bed::{Reservation, bytes, frame, heap, huge_kib, read_pcap, rx_until, scratch, write_pcap};
use vrouter::port::Port;
use vrouter::port::dpdk::{DeviceConfig, DpdkDevice, DpdkPort, Eal, EalConfig, Memory, mempool};

/// One test: the EAL starts once per process.
#[test]
fn rings_and_files_carry_frames_in_huge_pages() {
    let _pages = Reservation::take();
    let prefix = format!("vt-ffi-huge-{}", std::process::id());
    let eal = Eal::init(&EalConfig { memory: Memory::Huge { mib: None }, ..EalConfig::no_huge(&prefix, 0) }).unwrap();
    let pool = mempool(&eal, "huge", 4095, 64).unwrap();
    assert!(huge_kib() >= 4095 * 2048 / 1024, "{} KiB", huge_kib());
    the_flow_table_takes_its_pages_and_gives_them_back();
    let start = |devargs: &str| -> (DpdkDevice, DpdkPort) {
        let config = DeviceConfig { name: "p", devargs, queue_pairs: 1, mtu: None, large: None };
        let (device, mut ports) = DpdkDevice::start(&eal, &config, &pool).unwrap();
        (device, ports.remove(0))
    };
    let frames: Vec<Vec<u8>> = (0..200).map(|n| frame(n, 60 + usize::from(n) * 7)).collect();
    let (input, output) = (scratch("huge-in.pcap"), scratch("huge-out.pcap"));
    write_pcap(&input, &frames);
    {
        let (_a, mut from) = start(&format!("net_pcap0,rx_pcap={}", input.display()));
        let (_b, mut ring) = start("net_ring0");
        let (_c, mut to) = start(&format!("net_pcap1,tx_pcap={}", output.display()));
        let (_d, mut null) = start("net_null0,no-rx=1");
        let (mut burst, _) = rx_until(&mut from, 200);
        assert_eq!(ring.tx(&mut burst).frames, 200);
        let (mut burst, _) = rx_until(&mut ring, 200);
        assert_eq!(bytes(&burst), frames);
        assert_eq!(to.tx(&mut burst).frames, 200);
        assert_eq!(null.tx(&mut heap(&frames)).frames, 200);
    }
    assert_eq!(pool.in_use(), 0);
    assert_eq!(read_pcap(&output), frames);
    assert_eq!(
        fs::read_dir("/dev/hugepages").map_or(0, |files| files
            .filter(|file| { file.as_ref().is_ok_and(|file| file.file_name().to_string_lossy().starts_with(&prefix)) })
            .count()),
        0,
        "no file is left"
    );
    fs::remove_file(input).unwrap();
    fs::remove_file(output).unwrap();
}

fn the_flow_table_takes_its_pages_and_gives_them_back() {
    let before = huge_kib();
    let sizes = flowtable::Config { narrow_pairs: 20_000, wide_pairs: 1000, seed: 1, time_base: 0 };
    let region = Region::huge(sizes.bytes().unwrap()).unwrap();
    assert_eq!(region.pages(), Pages::Huge { size: 2 << 20 });
    let table = FlowTable::create(region, &sizes).unwrap();
    assert!(huge_kib() >= before + (sizes.bytes().unwrap() >> 10) as u32, "{} KiB", huge_kib());
    let key = |n| flowtable::Narrow { words: [n, 1], tag: 6 };
    let half = flowtable::Half::default();
    (0..20_000).for_each(|n| _ = table.narrow().insert((&key(2 * n), half), (&key(2 * n + 1), half), 0, 0).unwrap());
    assert!(table.narrow().find(&key(30_001), table.narrow().hash(&key(30_001))).is_some());
    drop(table);
    assert_eq!(huge_kib(), before);
}
