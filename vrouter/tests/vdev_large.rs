//! Frames larger than a buffer: a device hands them over in several, and they are put together in a large one.
#![cfg(feature = "dpdk")]

mod vdev_bed;

use std::fs;

use vdev_bed::{bytes, eal, frame, heap, one, pool, read_pcap, rx_until, scratch, write_pcap};
use vrouter::port::dpdk::{DeviceConfig, DeviceError, DpdkDevice, DpdkPort, Mempool, large_mempool, mempool_of};
use vrouter::port::{Port, RxReport, TxReport};

fn start(devargs: &str, pool: &Mempool, large: Option<Mempool>, mtu: Option<u16>) -> (DpdkDevice, DpdkPort) {
    let config = DeviceConfig { name: "p", devargs, queue_pairs: 1, mtu, large };
    let (device, mut ports) = DpdkDevice::start(&eal(), &config, pool).unwrap();
    (device, ports.remove(0))
}

#[test]
fn what_comes_in_several_buffers_is_put_together_in_its_place() {
    let (input, output) = (scratch("large-in.pcap"), scratch("large-out.pcap"));
    // each byte differs from the one a buffer before
    let pattern = |number: u8, len: usize| -> Vec<u8> {
        let head = frame(number, 60);
        head.iter().copied().chain((60..len).map(|at| (at % 251) as u8)).collect()
    };
    let sizes = [60, 2048, 2049, 100, 4096, 4097, 9014, 65_000, 65_407, 64];
    let frames: Vec<Vec<u8>> = sizes.into_iter().enumerate().map(|(n, len)| pattern(n as u8, len)).collect();
    write_pcap(&input, &frames);
    let (pool, large) = (pool("together", 255), large_mempool(&eal(), "together-large", 15).unwrap());
    {
        let (_device, mut from) = start(&format!("net_pcap0,rx_pcap={}", input.display()), &pool, Some(large), None);
        let (_out, mut to) = start(&format!("net_pcap1,tx_pcap={}", output.display()), &pool, Some(large), None);
        let (mut burst, report) = rx_until(&mut from, frames.len());
        assert_eq!(report, RxReport { frames: frames.len(), multi_segment: 0, ..RxReport::default() });
        assert_eq!(bytes(&burst), frames);
        assert_eq!((pool.in_use(), large.in_use()), (4, 6), "the parts were given back");
        let headed = burst[7].replace_front(14, &[0xee; 64]);
        assert_eq!(headed, Ok(()), "there is room for a tunnel's headers before it");
        burst[7].replace_front(64, &frames[7][..14]).unwrap();
        assert_eq!(to.tx(&mut burst), TxReport { frames: frames.len(), bytes: sizes.iter().sum() });
    }
    assert_eq!((pool.in_use(), large.in_use()), (0, 0));
    assert_eq!(read_pcap(&output), frames);
    fs::remove_file(input).unwrap();
    fs::remove_file(output).unwrap();
}

#[test]
fn what_no_large_buffer_is_left_for_is_dropped_and_reported() {
    let input = scratch("large-none.pcap");
    // the last one is longer than any buffer
    let frames = [frame(1, 3000), frame(2, 60), frame(3, 3001), frame(4, 61), frame(5, 65_408)];
    write_pcap(&input, &frames);
    let (pool, large) = (pool("none", 255), large_mempool(&eal(), "none-large", 1).unwrap());
    let (_device, mut port) = start(&format!("net_pcap2,rx_pcap={}", input.display()), &pool, Some(large), None);
    let (received, report) = rx_until(&mut port, 3);
    assert_eq!(report, RxReport { frames: 3, multi_segment: 2, ..RxReport::default() });
    assert_eq!(bytes(&received), [frame(1, 3000), frame(2, 60), frame(4, 61)]);
    drop(received);
    assert_eq!((pool.in_use(), large.in_use()), (0, 0));
    fs::remove_file(input).unwrap();
}

#[test]
fn larger_buffers_need_nothing_put_together() {
    let input = scratch("large-room.pcap");
    let frames = [frame(1, 9014), frame(2, 9216), frame(3, 9217)];
    write_pcap(&input, &frames);
    let pool = mempool_of(&eal(), "room", (63, 0), 9216).unwrap();
    let (_device, mut port) = start(&format!("net_pcap3,rx_pcap={}", input.display()), &pool, None, None);
    let (received, report) = rx_until(&mut port, 2);
    assert_eq!((report.frames, report.multi_segment, pool.in_use()), (2, 1, 2));
    assert_eq!(bytes(&received), frames[..2]);
    drop(received);
    assert_eq!(pool.in_use(), 0);
    fs::remove_file(input).unwrap();
}

#[test]
fn a_large_frame_of_the_heap_leaves_by_a_large_buffer() {
    let (pool, large) = (pool("heap", 255), large_mempool(&eal(), "heap-large", 1).unwrap());
    let sent = [frame(1, 60), frame(2, 9000), frame(3, 9001), frame(4, 61)];
    let (_device, mut port) = start("net_ring0", &pool, Some(large), None);
    let mut burst = heap(&sent);
    assert_eq!(port.tx(&mut burst), TxReport { frames: 3, bytes: 60 + 9000 + 61 });
    assert_eq!(bytes(&burst), [frame(3, 9001)], "there was one large buffer");
    assert_eq!(bytes(&rx_until(&mut port, 3).0), [frame(1, 60), frame(2, 9000), frame(4, 61)]);
    let (_other, mut without) = one("net_ring1", &pool);
    assert_eq!(without.tx(&mut heap(&sent)), TxReport { frames: 2, bytes: 121 });
    drop(rx_until(&mut without, 2));
    assert_eq!((pool.in_use(), large.in_use()), (0, 0));
}

#[test]
fn the_largest_mtu_is_what_a_buffer_holds() {
    let (pool, large) = (pool("mtu", 63), large_mempool(&eal(), "mtu-large", 1).unwrap());
    let wide = mempool_of(&eal(), "mtu-room", (63, 0), 9216).unwrap();
    let start = |devargs, pool: &Mempool, large, mtu| {
        let config = DeviceConfig { name: "p", devargs, queue_pairs: 1, mtu: Some(mtu), large };
        DpdkDevice::start(&eal(), &config, pool).map(|(device, _)| device.mtu())
    };
    assert_eq!(start("net_null0", &pool, Some(large), 9000), Ok(9000));
    assert_eq!(start("net_null0", &wide, None, 9000), Ok(9000));
    let refused = |result: Result<u16, DeviceError>, limit: u16| {
        assert!(matches!(&result, Err(DeviceError::Mtu { most, .. }) if *most == limit), "{result:?}");
    };
    refused(start("net_null0", &pool, None, 9000), 2030);
    refused(start("net_null0", &wide, None, 9200), 9198);
    refused(start("net_null0", &pool, Some(large), 65_400), 65_389);
}
