//! Sources and sinks with real buffers: what is made is what heap frames would be, everything is counted, and no buffer stays behind.
#![cfg(feature = "dpdk")]

mod vdev_bed;

use std::sync::Arc;

use flowtable::{Config, FlowTable, Region};
use vdev_bed::{bytes, eal, one, pool, read_pcap, scratch};
use vrouter::daemon::devices::DpdkDevices;
use vrouter::daemon::ports::Devices;
use vrouter::datapath::{Shared, mover::Mover, shared::Limits};
use vrouter::drops::DropReason;
use vrouter::ids::{PortIndex, WorkerIndex};
use vrouter::model::{self, Model, NewPort};
use vrouter::port::dpdk::{Buffers, Mempool, cycles, cycles_hertz};
use vrouter::port::traffic::{Cycles, TrafficDevice, TrafficPort, open};
use vrouter::port::wire::wire;
use vrouter::port::{BURST, Frame, Port, Rooms};

/// A worker that allocates ends the process.
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;

fn clock() -> Cycles {
    Cycles { now: || 7, hertz: 1_000_000_000 }
}

fn with_mbufs(devargs: &str, pool: Mempool) -> (TrafficDevice, TrafficPort<Buffers>) {
    let (device, mut ports) = open(devargs, 1, clock(), || Buffers::of(pool)).unwrap();
    (device, ports.remove(0))
}

/// One poll as a worker makes it.
fn poll(port: &mut (impl Port + ?Sized), frames: &mut Vec<Frame>) -> usize {
    flowtable::without_allocation(|| port.rx(frames).frames)
}

#[test]
fn a_source_feeds_a_sink_and_every_buffer_comes_back() {
    let pool = pool("moved", 511);
    let (source, mut from) = with_mbufs("source0,flows=1000,size=imix", pool);
    let (sink, mut to) = with_mbufs("sink0", pool);
    let mut frames = Vec::with_capacity(BURST);
    for _ in 0..100 {
        assert_eq!(poll(&mut from, &mut frames), BURST);
        assert_eq!(pool.in_use(), BURST as u32);
        assert_eq!(flowtable::without_allocation(|| to.tx(&mut frames).frames), BURST);
        assert_eq!((frames.len(), pool.in_use()), (0, 0));
    }
    let totals = sink.totals();
    assert_eq!((totals.stamped, totals.lost, totals.late, totals.repeated), (100 * BURST as u64, 0, 0, 0));
    assert_eq!(source.totals().made, 100 * BURST as u64);
}

#[test]
fn a_mover_exchanges_neighbours_frames_and_counts_what_is_refused() {
    let pool = pool("mover", 511);
    let sizes = Config { narrow_pairs: 64, wide_pairs: 64, seed: 5, time_base: 0 };
    let flows = FlowTable::create(Region::heap(sizes.bytes().unwrap()).unwrap(), &sizes).unwrap();
    let model = Model::new(model::Limits::default(), Vec::new());
    let limits = Limits { vif_slots: 1, new_flows_per_second: 1 };
    let shared = Arc::new(Shared::new(model.snapshot(), flows, 1, limits));
    let (source, from) = with_mbufs("source0,flows=9", pool);
    let (sink, to) = with_mbufs("sink0", pool);
    let (last, end) = wire(BURST);
    let ports: Vec<Option<Box<dyn Port>>> = vec![Some(Box::new(from)), Some(Box::new(to)), Some(Box::new(last))];
    let mut mover = Mover::new(WorkerIndex(0), shared.clone(), ports);
    assert!(end.put(Frame::from_bytes(b"back").unwrap()));
    (0..3).for_each(|turn| assert_eq!(mover.poll(), BURST + usize::from(turn == 0)));
    let all = 3 * BURST as u64;
    assert_eq!((source.totals().made, sink.totals().stamped, sink.totals().lost), (all, all, 0));
    assert!(end.take().is_some_and(|frame| frame.bytes() == b"back"), "a port without a neighbour has its own");
    let counters = &shared.workers[0].counters;
    assert_eq!((counters.worker.received.count(), counters.worker.sent.count()), (all + 1, all + 1));

    // a neighbour that takes less than comes
    let (few, _end) = wire(10);
    let (_source, from) = with_mbufs("source1", pool);
    let mut mover = Mover::new(WorkerIndex(0), shared.clone(), vec![Some(Box::new(from)), Some(Box::new(few))]);
    assert_eq!(mover.poll(), BURST);
    let refused = counters.vif(counters.no_vif()).dropped(DropReason::TxRefused);
    assert_eq!((counters.worker.sent.count(), refused), (all + 11, BURST as u64 - 10));
    drop((mover, _end));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_empty_pool_makes_a_source_wait() {
    let pool = pool("empty", 31);
    let (source, mut port) = with_mbufs("source0,burst=20", pool);
    let mut frames = Vec::with_capacity(2 * BURST);
    assert_eq!(poll(&mut port, &mut frames), 20);
    assert_eq!(poll(&mut port, &mut frames), 0, "all of a burst or nothing");
    frames.clear();
    assert_eq!(poll(&mut port, &mut frames), 20);
    assert_eq!(source.totals().made, 40);
    drop(frames);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn frames_in_buffers_are_those_on_the_heap() {
    let pool = pool("same", 511);
    let file = scratch("traffic.pcap");
    let devargs = "source4,flows=5000,clients=2001:db8::/112,servers=2001:db8:1::/120,size=imix,direction=reply,vni=100,\
                   outer_source=172.31.0.2,outer_destination=172.31.0.1,outer_source_mac=02:00:00:00:00:12,\
                   outer_destination_mac=02:00:00:00:00:34";
    let rooms = Arc::new(Rooms::filled(BURST, 0));
    let (_, mut on_heap) = open(devargs, 1, clock(), || rooms.clone()).unwrap();
    let (_, mut in_mbufs) = with_mbufs(devargs, pool);
    let (device, mut pcap) = one(&format!("net_pcap30,tx_pcap={}", file.display()), &pool);
    let (mut wanted, mut frames) = (Vec::new(), Vec::with_capacity(BURST));
    for _ in 0..10 {
        poll(&mut on_heap[0], &mut frames);
        wanted.extend(bytes(&frames));
        frames.clear();
        assert_eq!(poll(&mut in_mbufs, &mut frames), BURST);
        assert_eq!(pcap.tx(&mut frames).frames, BURST);
    }
    drop((device, pcap));
    assert_eq!(read_pcap(&file), wanted);
    assert_eq!(pool.in_use(), 0);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn devices_are_opened_told_of_and_closed() {
    let pool = pool("traffic", 511);
    let mut devices = DpdkDevices::new(eal(), (pool, None), 3);
    let port = |index, devargs| NewPort { index: PortIndex(index), name: "p", devargs, queues: None, mtu: None };
    let (info, mut ends) = devices.open(&port(0, "source0,frames=30,mac=02:00:00:00:00:05")).unwrap();
    assert_eq!((info.mac.to_string(), info.queues, info.mtu), ("02:00:00:00:00:05".into(), 3, 1600));
    let (info, mut sink) = devices.open(&NewPort { queues: Some(1), ..port(1, "sink9") }).unwrap();
    assert_eq!((info.queues, sink.len()), (1, 3));
    let mut frames = Vec::with_capacity(BURST);
    for (source, sink) in ends.iter_mut().zip(&mut sink) {
        assert_eq!(poll(&mut **source, &mut frames), 10);
        assert_eq!(sink.tx(&mut frames).frames, 10);
    }
    // what two ends handed over leaves by the one that has the queue
    sink.iter_mut().for_each(|sink| assert_eq!(sink.rx(&mut frames).frames, 0));
    let rows = devices.stats();
    assert_eq!((rows[0].rx_packets, rows[0].tx_packets), (30, 0));
    let seen = rows[1].traffic.as_ref().unwrap();
    assert_eq!((rows[1].tx_packets, seen.stamped, seen.lost, seen.bytes), (30, 30, 0, 1800));
    let latency = seen.latency.as_ref().unwrap();
    assert!(latency.p50_ns > 0 && latency.p50_ns <= latency.p999_ns && latency.p999_ns <= latency.longest_ns);
    assert_eq!(latency.buckets.iter().map(|bucket| bucket.frames).sum::<u64>(), 30);
    assert!(devices.links().iter().all(|(_, up)| *up));
    let refused = devices.open(&port(2, "source1,rate=fast")).map(|_| ()).unwrap_err();
    assert_eq!((refused.field, &*refused.reason), ("devargs", "rate: \"fast\" is not within 1 to 100000000"));
    devices.close(PortIndex(0), ends);
    devices.close(PortIndex(1), sink);
    assert!(devices.stats().is_empty());
    let (_, sink) = devices.open(&port(1, "sink9")).unwrap();
    devices.close(PortIndex(1), sink);
    devices.keep();
    let refused = devices.open(&port(1, "sink9")).map(|_| ()).unwrap_err();
    assert_eq!((refused.field, &*refused.reason), ("devargs", "no port comes while the daemon only moves frames"));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn the_time_stamp_counter_counts_at_its_rate() {
    let (hertz, start, began) = (cycles_hertz(&eal()), cycles(), std::time::Instant::now());
    std::thread::sleep(std::time::Duration::from_millis(50));
    let ratio = (cycles() - start) as f64 / (began.elapsed().as_secs_f64() * hertz as f64);
    assert!((0.9..1.1).contains(&ratio), "{ratio} of {hertz} Hz");
}
