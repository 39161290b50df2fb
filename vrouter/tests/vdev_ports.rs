//! DPDK devices that come and go a hundred times each beside traffic on another port, with the daemon's own threads: nothing is lost or
//! reordered there, and no buffer and no memory stays behind.
#![cfg(feature = "dpdk")]

mod vdev_bed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flowtable::{Config, FlowTable, Region};
use tokio::sync::oneshot;
use vdev_bed::{eal, frame, pool, scratch, write_pcap};
use vrouter::api::config::Idle;
use vrouter::api::v1;
use vrouter::api::yaml::Network;
use vrouter::control::Request;
use vrouter::daemon::answer::{Control, Identity};
use vrouter::daemon::clock::Clock;
use vrouter::daemon::devices::DpdkDevices;
use vrouter::daemon::workers::Workers;
use vrouter::datapath::{Shared, Worker, shared::Limits};
use vrouter::ids::{Mac, WorkerIndex};
use vrouter::model::{self, Model, PortInfo};
use vrouter::port::dpdk::{Mempool, register_thread};
use vrouter::port::wire::{WireEnd, wire};
use vrouter::port::{Frame, Port};

const WORKERS: usize = 2;
const NETWORK: &str = r#"
vrfs: [{name: red, flows: off}]
vifs:
  - {name: left, port: left, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10], gateway_v4: 10.1.1.1}
  - {name: right, port: right, vrf: red, mac: "02:00:00:00:0a:03", addresses: [10.1.1.11], gateway_v4: 10.1.1.1}
"#;

/// A vRouter with its threads; ports left and right are wires of the first worker.
struct Router {
    control: Control,
    workers: Option<Workers>,
    left: WireEnd,
    right: WireEnd,
}

impl Router {
    fn new(pool: Mempool) -> Router {
        let info = |name: &str| PortInfo {
            name: name.into(),
            devargs: format!("wire-{name}"),
            mac: Mac([2; 6]),
            mtu: 1500,
            queues: 1,
        };
        let limits = model::Limits { ports: 4, ..Default::default() };
        let model = Model::new(limits, vec![info("left"), info("right")]);
        let sizes = Config { narrow_pairs: 4096, wide_pairs: 64, seed: 5, time_base: 0 };
        let flows = FlowTable::create(Region::heap(sizes.bytes().unwrap()).unwrap(), &sizes).unwrap();
        let slots = Limits { vif_slots: model.limits().vifs, new_flows_per_second: 100_000 };
        let shared = Arc::new(Shared::new(model.snapshot(), flows, WORKERS, slots));
        let clock = Clock::new();
        let identity = Identity { idle: String::new(), limits: Vec::new() };
        let devices = Box::new(DpdkDevices::new(eal(), (pool, None), WORKERS));
        let control = Control::new(shared.clone(), model, devices, identity, clock);
        let ((left_port, left), (right_port, right)) = (wire(4096), wire(4096));
        let mut ports: Vec<Vec<Option<Box<dyn Port>>>> =
            vec![vec![Some(Box::new(left_port)), Some(Box::new(right_port))], vec![None, None]];
        let ends = (0..WORKERS).map(|index| {
            (Worker::new(WorkerIndex(index as u16), shared.clone(), std::mem::take(&mut ports[index])), index % 2)
        });
        let workers = Workers::start(ends.collect(), Idle::Backoff, clock, || register_thread(&eal())).unwrap();
        let mut router = Router { control, workers: Some(workers), left, right };
        router.apply(NETWORK);
        router
    }

    fn ask<T>(&mut self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
        let (reply, mut answer) = oneshot::channel();
        self.control.answer(request(reply));
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Ok(answer) = answer.try_recv() {
                return answer;
            }
            self.control.step();
            assert!(Instant::now() < deadline, "no answer");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn try_apply(&mut self, changes: Vec<v1::Change>) -> Result<u64, v1::Refused> {
        let (begin, changes) = (v1::Begin::default(), changes.into());
        self.ask(|reply| Request::Apply { begin, changes, by: "a test".into(), reply }).map(|made| made.generation())
    }

    /// Every worker has it, and what it deleted is closed.
    fn apply(&mut self, yaml: &str) {
        let changes = Network::parse("n", yaml).unwrap().changes().unwrap();
        self.try_apply(changes.into_iter().map(|(change, _)| change).collect()).unwrap_or_else(|it| panic!("{it:?}"));
        self.ask(|reply| Request::Sync { generation: 0, reply });
    }

    /// Nothing vanished; the workers may have something left to do.
    fn close_books(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            while self.control.step() {}
            let stats = self.control.stats();
            let books = stats.conservation.unwrap();
            let came = books.received + books.originated + books.copied;
            if came == books.sent + books.dropped + books.held + books.consumed {
                break;
            }
            assert!(Instant::now() < deadline, "{books:?} {:?}", stats.drops);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn delete_hot(&mut self) {
        use v1::object_key::Kind;
        let delete = |kind| v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(kind) })) };
        self.try_apply(vec![delete(Kind::Vif("hot".into())), delete(Kind::Port("hot".into()))]).unwrap();
        self.ask(|reply| Request::Sync { generation: 0, reply });
    }
}

/// UDP from left to this last byte of 10.1.1.0/24, with a number.
fn packet(to: u8, number: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x5e, 0, 1, 0, 2, 0, 0, 0, 0x0a, 1, 8, 0];
    bytes.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 1, 10, 10, 1, 1, to]);
    let sum = vrouter::packet::checksum::of(&bytes[14..34]);
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes.extend([0x1b, 0x58, 0x1b, 0x59, 0, 26, 0, 0]);
    bytes.extend(number.to_be_bytes());
    bytes.resize(60, 0);
    bytes
}

/// Sends numbered packets left to right, and to the hot VIF beside, until told to stop; how many came, in order, and all of them.
fn traffic(left: &WireEnd, right: &WireEnd, stop: &AtomicBool) -> u32 {
    let (mut sent, mut came) = (0, 0);
    let mut quiet = Instant::now();
    while !stop.load(Ordering::Relaxed) || came < sent {
        // few under way: on a busy machine the queues would else be what resident memory shows
        if !stop.load(Ordering::Relaxed) && sent - came < 64 && left.waiting() < 128 {
            for _ in 0..16 {
                assert!(left.put(Frame::from_bytes(&packet(11, sent)).unwrap()));
                sent += 1;
            }
            assert!(left.put(Frame::from_bytes(&packet(18, 0)).unwrap()));
        }
        while let Some(frame) = right.take() {
            let number = u32::from_be_bytes(frame.bytes()[42..46].try_into().unwrap());
            assert_eq!(number, came, "lost or out of order, {sent} sent");
            came += 1;
            quiet = Instant::now();
        }
        assert!(quiet.elapsed() < Duration::from_secs(5), "{came} of {sent} came");
        std::thread::sleep(Duration::from_micros(100));
    }
    came
}

/// Resident memory of this process, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// glibc 2.36 takes new memory for aligned blocks while a thread's cache has what others gave back: resident memory would tell of batches, not
/// of devices. Its settings are read once, so the test is a process of its own. True: that is done.
fn in_a_process_without_cache(test: &str) -> bool {
    const SETTINGS: &str = "GLIBC_TUNABLES";
    if std::env::var_os(SETTINGS).is_some() {
        return false;
    }
    let mut own = std::process::Command::new(std::env::current_exe().unwrap());
    own.stdout(std::process::Stdio::null());
    let done =
        own.args(["--exact", test, "--nocapture"]).env(SETTINGS, "glibc.malloc.tcache_count=0").status().unwrap();
    assert!(done.success(), "{done}");
    true
}

#[test]
fn devices_come_and_go_beside_traffic() {
    if in_a_process_without_cache("devices_come_and_go_beside_traffic") {
        return;
    }
    let input = scratch("ports-in.pcap");
    let output = scratch("ports-out.pcap");
    write_pcap(&input, &(0..64).map(|number| frame(number, 80)).collect::<Vec<_>>());
    let pool = pool("ports", 16_383);
    // every page of the pool is there: else resident memory grows as traffic comes to buffers that none has used before
    let mut all: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    assert!(all.len() > 16_000, "{} buffers", all.len());
    all.iter_mut().for_each(|mbuf| mbuf.room_mut().fill(0));
    drop(all);
    let mut router = Router::new(pool);
    let kinds = [
        "net_ring40".to_owned(),
        "net_null40".to_owned(),
        format!("net_pcap40,rx_pcap={},tx_pcap={}", input.display(), output.display()),
    ];
    let stop = AtomicBool::new(false);
    let (left, right) = (router.left.clone(), router.right.clone());
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(&left, &right, &stop));
        // resident memory after each quarter: a leak grows in all of them, what a thread or a file needs once in one
        let mut quarters = Vec::new();
        for round in 1..=100 {
            for devargs in &kinds {
                router.apply(&format!(
                    "ports: [{{name: hot, devargs: '{devargs}'}}]\n\
                     vifs: [{{name: hot, port: hot, vrf: red, mac: '02:00:00:00:0a:08', addresses: [10.1.1.18]}}]\n"
                ));
                let until = Instant::now() + Duration::from_secs(5);
                let sent = |router: &Router| {
                    let stats = router.control.stats();
                    stats.vifs.iter().any(|row| row.vif == "hot" && row.tx_packets > 0)
                };
                while !sent(&router) {
                    router.control.step();
                    assert!(Instant::now() < until, "round {round}: nothing left by {devargs}");
                    assert!(!traffic.is_finished(), "the traffic ended early");
                }
                router.delete_hot();
                assert!(!router.control.stats().ports.iter().any(|row| row.port == "hot"));
            }
            if round % 25 == 0 {
                quarters.push(resident());
            }
        }
        let each: Vec<_> = quarters.windows(2).map(|two| two[1].saturating_sub(two[0])).collect();
        stop.store(true, Ordering::Relaxed);
        let came = traffic.join().unwrap();
        assert!(came > 5000, "{came} numbered packets in 300 changes: no traffic");
        assert!(each.iter().any(|grown| *grown < 640), "{each:?} KiB more after 75 devices each");
        println!("{came} numbered packets beside 300 devices, all in order; resident memory grew by {each:?} KiB");
    });
    router.close_books();
    // a device that does not open leaves nothing
    let absent = Network::parse("n", "ports: [{name: hot, devargs: 'net_pcap41,rx_pcap=/nonexistent'}]").unwrap();
    let refused = router.try_apply(vec![absent.changes().unwrap().remove(0).0]).unwrap_err();
    assert_eq!((&*refused.object, &*refused.field), ("port hot", "devargs"), "{refused:?}");
    router.workers.take();
    drop(router);
    assert_eq!(pool.in_use(), 0);
    std::fs::remove_file(input).unwrap();
    std::fs::remove_file(output).unwrap();
}
