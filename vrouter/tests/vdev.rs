//! DPDK's virtual devices without huge pages: what goes in comes out, nothing leaks, and what cannot be is said clearly.
#![cfg(feature = "dpdk")]

mod vdev_bed;

use std::fs;

use vdev_bed::{bytes, eal, frame, heap, one, pool, read_pcap, rx_until, scratch, start, write_pcap};
use vrouter::drops::DropReason;
use vrouter::packet::checksum;
use vrouter::port::dpdk::{DeviceConfig, DeviceError, DpdkDevice, register_thread};
use vrouter::port::handover::handover;
use vrouter::port::{BURST, Frame, Port, RxReport, TxReport};

#[test]
fn net_null_sinks_and_invents() {
    let pool = pool("null", 511);
    let (sink_device, mut sink) = one("net_null0,no-rx=1", &pool);
    let (_source_device, mut source) = one("net_null1,size=90", &pool);
    let mut burst = Vec::with_capacity(BURST);
    assert_eq!(source.rx(&mut burst), RxReport { frames: BURST, ..RxReport::default() });
    assert!(burst.iter().all(|frame| frame.len() == 90));
    assert_eq!(pool.in_use(), BURST as u32);
    assert_eq!(sink.tx(&mut burst), TxReport { frames: BURST, bytes: 90 * BURST });
    assert!(burst.is_empty());
    assert_eq!(sink.rx(&mut burst), RxReport::default());
    assert_eq!(sink_device.counters().sent, BURST as u64);
    assert!(sink_device.link_up());
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn rx_never_outgrows_the_burst_that_it_is_given() {
    let pool = pool("capacity", 511);
    let (_device, mut source) = one("net_null2", &pool);
    let mut burst = Vec::with_capacity(40);
    source.rx(&mut burst);
    source.rx(&mut burst);
    source.rx(&mut burst);
    assert_eq!((burst.len(), burst.capacity()), (40, 40));
}

#[test]
fn each_queue_of_a_ring_is_a_loop_of_its_own() {
    let pool = pool("ring", 511);
    let (device, mut ports) = start("net_ring0", 3, &pool).unwrap();
    assert_eq!((ports.len(), device.queue_pairs()), (3, 3));
    let sent: Vec<Vec<Vec<u8>>> = (0..3).map(|queue| (60..110).map(|len| frame(queue, len)).collect()).collect();
    for (port, sent) in ports.iter_mut().zip(&sent) {
        let report = port.tx(&mut heap(sent));
        assert_eq!(report, TxReport { frames: 50, bytes: sent.iter().map(Vec::len).sum() });
    }
    assert_eq!(pool.in_use(), 150);
    for (port, sent) in ports.iter_mut().zip(&sent) {
        let (received, _) = rx_until(port, 50);
        assert_eq!(bytes(&received), *sent);
    }
    assert_eq!(device.counters().received, 150);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_frame_that_grew_and_shrank_leaves_as_it_looks() {
    let pool = pool("window", 255);
    let (_device, mut port) = one("net_ring1", &pool);
    port.tx(&mut heap(&[frame(7, 100)]));
    let (mut burst, _) = rx_until(&mut port, 1);
    burst[0].replace_front(14, &[0xaa; 64]).unwrap();
    burst[0].truncate(120);
    let changed = bytes(&burst);
    assert_eq!(changed[0].len(), 120);
    assert_eq!(port.tx(&mut burst), TxReport { frames: 1, bytes: 120 });
    assert_eq!(bytes(&rx_until(&mut port, 1).0), changed);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_device_without_checksum_offload_gets_it_finished() {
    let pool = pool("checksum", 255);
    let (device, mut port) = one("net_ring2", &pool);
    assert!(!device.offloads().tx_ip_checksum);
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.resize(60, 0);
    let mut burst = heap(&[bytes]);
    burst[0].tx_ip_checksum = std::num::NonZeroU8::new(14);
    port.tx(&mut burst);
    let (received, _) = rx_until(&mut port, 1);
    assert!(checksum::holds(&received[0].bytes()[14..34]));
}

#[test]
fn a_file_goes_in_and_comes_out_byte_by_byte() {
    let (input, output) = (scratch("in.pcap"), scratch("out.pcap"));
    let frames: Vec<Vec<u8>> = (0..100).map(|n| frame(n, 60 + usize::from(n) * 14)).collect();
    write_pcap(&input, &frames);
    let pool = pool("pcap", 511);
    {
        let (_in_device, mut from) = one(&format!("net_pcap0,rx_pcap={}", input.display()), &pool);
        let (_out_device, mut to) = one(&format!("net_pcap1,tx_pcap={}", output.display()), &pool);
        let mut left = frames.len();
        while left > 0 {
            let (mut burst, report) = rx_until(&mut from, left.min(BURST));
            left -= report.frames;
            assert_eq!(to.tx(&mut burst).frames, report.frames);
        }
        assert_eq!(from.rx(&mut Vec::with_capacity(BURST)), RxReport::default());
    }
    assert_eq!(pool.in_use(), 0);
    assert_eq!(read_pcap(&output), frames);
    fs::remove_file(input).unwrap();
    fs::remove_file(output).unwrap();
}

#[test]
fn a_frame_larger_than_a_buffer_is_dropped_and_reported() {
    let input = scratch("jumbo.pcap");
    let frames = [frame(1, 100), frame(2, 5000), frame(3, 2048), frame(4, 2049), frame(5, 60)];
    write_pcap(&input, &frames);
    let pool = pool("jumbo", 255);
    let (_device, mut port) = one(&format!("net_pcap2,rx_pcap={}", input.display()), &pool);
    let (received, report) = rx_until(&mut port, 3);
    assert_eq!(report, RxReport { frames: 3, multi_segment: 2, ..RxReport::default() });
    assert_eq!(bytes(&received), [frame(1, 100), frame(3, 2048), frame(5, 60)]);
    drop(received);
    assert_eq!(pool.in_use(), 0);
    fs::remove_file(input).unwrap();
}

#[test]
fn an_empty_pool_is_counted_by_the_device_and_ends() {
    let input = scratch("no_mbuf.pcap");
    write_pcap(&input, &vec![frame(1, 60); 40]);
    let pool = pool("no_mbuf", 31);
    let (device, mut port) = one(&format!("net_pcap3,rx_pcap={}", input.display()), &pool);
    let (held, _) = rx_until(&mut port, 31);
    assert_eq!((held.len(), pool.available()), (31, 0));
    let mut more = Vec::with_capacity(BURST);
    assert_eq!(port.rx(&mut more), RxReport::default());
    assert!(device.counters().rx_no_mbuf > 0, "{:?}", device.counters());
    drop(held);
    assert!(port.rx(&mut more).frames > 0);
    fs::remove_file(input).unwrap();
}

#[test]
fn frames_without_an_mbuf_are_refused_and_the_others_pass() {
    let pool = pool("refused", 4);
    let small = vdev_bed::pool("refused_rx", 255);
    let (_device, mut port) = one("net_ring3", &pool);
    let (_other_device, mut other) = one("net_ring4", &small);
    let mbufs = [frame(1, 60), frame(2, 60)];
    assert_eq!(other.tx(&mut heap(&mbufs)).frames, 2);
    let (mut own, _) = rx_until(&mut other, 2);
    // Six heap frames find four mbufs; the two frames that have their own pass.
    let copies: Vec<Vec<u8>> = (10..16).map(|n| frame(n, 60)).collect();
    let mut burst = heap(&copies);
    burst.insert(5, own.pop().unwrap());
    burst.insert(0, own.pop().unwrap());
    let report = port.tx(&mut burst);
    assert_eq!(report, TxReport { frames: 6, bytes: 360 });
    assert_eq!(bytes(&burst), copies[4..]);
    assert_eq!(port.refusal(), DropReason::TxRefused);
    drop(rx_until(&mut port, 6));
    assert_eq!((pool.in_use(), small.in_use()), (0, 0));
}

#[test]
fn what_a_full_device_refuses_stays_in_order() {
    // A ring of net_ring holds 1,023.
    let pool = pool("full", 2047);
    let (_device, mut port) = one("net_ring5", &pool);
    let frames: Vec<Vec<u8>> = (0..1100_u16).map(|n| [frame(0, 60), n.to_be_bytes().to_vec()].concat()).collect();
    let mut burst = heap(&frames);
    let report = port.tx(&mut burst);
    assert_eq!(report.frames, 1023);
    assert_eq!(report.bytes, 1023 * 62);
    assert_eq!(bytes(&burst), frames[1023..]);
    drop(burst);
    assert_eq!(pool.in_use(), 1023);
    assert_eq!(bytes(&rx_until(&mut port, 1023).0), frames[..1023]);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn workers_without_a_queue_send_by_the_owner() {
    let pool = pool("handover", 511);
    // A file as output has one queue.
    let output = scratch("handover.pcap");
    let (device, mut ports) = start(&format!("net_pcap4,tx_pcap={}", output.display()), 4, &pool).unwrap();
    assert_eq!((ports.len(), device.queue_pairs()), (1, 1));
    let (mut owner, others) = handover(ports.remove(0), 3, 64);
    std::thread::scope(|scope| {
        for (number, mut port) in others.into_iter().enumerate() {
            scope.spawn(move || {
                let _lcore = register_thread(&eal()).unwrap();
                assert_eq!(port.tx(&mut heap(&[frame(number as u8, 60), frame(number as u8, 61)])).frames, 2);
            });
        }
    });
    assert_eq!(owner.waiting(), 6);
    owner.rx(&mut Vec::with_capacity(BURST));
    assert_eq!((owner.waiting(), device.counters().sent), (0, 6));
    drop((owner, device));
    let mut sent = read_pcap(&output);
    sent.sort();
    let expected: Vec<Vec<u8>> = (0..3).flat_map(|n| [frame(n, 60), frame(n, 61)]).collect();
    assert_eq!(sent, {
        let mut all = expected;
        all.sort();
        all
    });
    assert_eq!(pool.in_use(), 0);
    fs::remove_file(output).unwrap();
}

#[test]
fn mbufs_are_dropped_in_any_thread_and_caches_count_as_free() {
    let pool = vrouter::port::dpdk::mempool(&eal(), "threads", 1023, 64).unwrap();
    let (_device, mut port) = one("net_null3", &pool);
    for _ in 0..4 {
        let (frames, _) = rx_until(&mut port, 200);
        std::thread::spawn(move || {
            let _lcore = register_thread(&eal()).unwrap();
            drop(frames);
        })
        .join()
        .unwrap();
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_device_that_does_not_exist_is_a_typed_error() {
    let pool = pool("absent", 63);
    for devargs in ["net_nonesuch0", "nonesuch", "0000:7f:1f.7"] {
        let error = start(devargs, 1, &pool).err().unwrap();
        assert!(matches!(&error, DeviceError::Absent { devargs: named, .. } if named == devargs), "{error:?}");
        assert!(error.to_string().contains(devargs), "{error}");
    }
    let missing = scratch("none.pcap");
    for devargs in ["net_af_packet9,iface=nonesuch".to_owned(), format!("net_pcap9,rx_pcap={}", missing.display())] {
        let error = start(&devargs, 1, &pool).err().unwrap();
        assert!(matches!(error, DeviceError::Probe { .. }), "{error:?}");
    }
    for devargs in ["", ",x=1", "net_null\0"] {
        assert_eq!(start(devargs, 1, &pool).err(), Some(DeviceError::Devargs(devargs.to_owned())));
    }
    assert_eq!(start("net_null8", 0, &pool).err(), Some(DeviceError::NoQueues("net_null8".to_owned())));
    // Refusals leave nothing behind: the same device starts.
    let (_device, _port) = one("net_null8", &pool);
    assert_eq!(start("net_null8", 1, &pool).err(), Some(DeviceError::InUse("net_null8".to_owned())));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_mtu_beyond_a_buffer_is_refused() {
    let pool = pool("mtu", 63);
    let start = |mtu| {
        let config = DeviceConfig { name: "p", devargs: "net_null7", queue_pairs: 1, mtu: Some(mtu), large: None };
        DpdkDevice::start(&eal(), &config, &pool).map(|(device, _)| device.mtu())
    };
    assert_eq!(start(1600), Ok(1600));
    assert_eq!(start(2030), Ok(2030));
    for mtu in [2031, 9000, 0, 45] {
        let error = start(mtu).err().unwrap();
        assert!(matches!(error, DeviceError::Mtu { most: 2030, .. }), "{error:?}");
    }
}

/// Frames move to whoever holds them, so they must be able to.
fn _frames_are_send(frame: Frame) -> impl Send {
    frame
}
