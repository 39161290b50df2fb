//! Two workers as real threads on virtual wires, a control thread that applies changes, and testers at both ends, all at once: at the
//! end the books are exact. `scripts/check san` runs it under the address and the thread sanitizer.
#![allow(dead_code)]

#[path = "wire/books.rs"]
mod books;
#[path = "wire/frames.rs"]
mod frames;
#[path = "wire/lab.rs"]
mod lab;
#[path = "wire/network.rs"]
mod network;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use frames::frame;
use lab::{Lab, PORTS, Rig, Setup};
use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::daemon::clock::tick_at;
use vrouter::datapath::{Shared, Worker};
use vrouter::port::wire::WireEnd;
use vrouter::port::{Frame, Rooms};

/// A worker that allocates ends the process.
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;

/// Changes of the configuration, in turn.
const CHANGES: [&str; 10] = [
    "acls: [{name: out, rules: [{action: deny, protocol: tcp}, {action: permit}]}]",
    r#"vifs: [{name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1", acl_from_vif: out}]"#,
    "routes: [{vrf: red, prefix: 10.1.1.20/32, via: {mpls_udp: {remote: 10.0.0.2, label: 1001}}}]",
    "acls: [{name: out, rules: [{action: permit}]}]",
    r#"routes: [{vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}]"#,
    r#"neighbours: [{vif: up0, address: 10.0.0.2, mac: "52:00:00:00:0b:01"}]"#,
    "vrfs: [{name: green}]",
    r#"vifs: [{name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}]"#,
    "settings: {underlay_vrf: underlay, vtep: 10.0.0.1, lifetimes: {udp_answered: 1, udp_unanswered: 1}}",
    r#"neighbours: [{vif: up0, address: 10.0.0.2, mac: "52:00:00:00:0b:00"}]"#,
];

/// How often the control thread goes round: `VROUTER_STRESS_ROUNDS`, or 40.
fn rounds() -> usize {
    std::env::var("VROUTER_STRESS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(40)
}

/// What the threads share.
struct Stage<'a> {
    /// By port and worker.
    ends: Vec<Vec<WireEnd>>,
    rooms: &'a Rooms,
    now: AtomicU64,
    put: AtomicU64,
    quiet: AtomicBool,
    stop: AtomicBool,
}

impl Stage<'_> {
    /// Into one queue of a port; a full wire takes it later or never.
    fn put(&self, port: usize, queue: usize, name: &str) {
        let queues = &self.ends[port];
        let Some(frame) = self.rooms.copy_or_make(frame(name)) else { return };
        let fits = queues[queue % queues.len()].put(frame);
        self.put.fetch_add(u64::from(fits), Ordering::Relaxed);
    }

    fn empty(&self) {
        for end in self.ends.iter().flatten() {
            std::iter::from_fn(|| end.take()).for_each(|frame: Frame| drop(frame));
        }
    }

    /// A tester at one end: both directions of many flows, and what the slow path answers; `turn` decides which queue sees what, so
    /// that one flow is set up from both ends by two workers.
    fn test(&self, seed: usize) {
        let mut turn = seed;
        while !self.quiet.load(Ordering::Relaxed) {
            turn += 1;
            let n = turn % 64;
            let (out, back) = (format!("quiet.{n}"), format!("quiet.{n}.back"));
            self.put(1, turn, &out);
            self.put(0, turn + 1, &back);
            self.put(1, turn + 1, "udp6.vxlan");
            self.put(0, turn, "udp6.vxlan.back");
            self.put(3, turn, &format!("flood.{}", turn % 300));
            for name in ["tcp.out.S", "arp.gateway", "nd.gateway", "echo4.gateway", "ttl4.1", "bad.checksum"] {
                self.put(1, turn / 3, name);
            }
            for name in ["tcp.in.SA", "underlay.ask-us", "udp4.mpls.back", "vxlan.vni-unknown"] {
                self.put(0, turn / 3, name);
            }
            if turn.is_multiple_of(8) {
                self.empty();
            }
            std::thread::yield_now();
        }
    }
}

fn look(rig: &mut Rig) {
    let flows = rig.flows(v1::FlowsRequest::default());
    assert!(flows.len() <= 2 * 48);
    rig.stats();
    let filter = v1::VictimsRequest::default();
    rig.ask(|reply| Request::Victims { filter, reply }).expect("victims");
    let query = v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif("ra".into())),
        source: vec![10, 1, 1, 10],
        destination: vec![10, 1, 1, 20],
        protocol: 17,
        source_port: 5000,
        destination_port: 7053,
        ..Default::default()
    };
    rig.ask(|reply| Request::Explain { query, reply }).expect("explained");
}

/// Whether there is another round: on a busy machine the testers may come late, so it goes on until they have had their part.
fn goes_on(round: usize, shared: &Shared, put: &AtomicU64) -> bool {
    let narrow = shared.flows.narrow().counters();
    let enough = put.load(Ordering::Relaxed) > 1000 && narrow.inserted > 100 && narrow.evicted > 0 && narrow.aged > 0;
    round < rounds() || !enough && round < rounds() * 1000
}

#[test]
fn everything_at_once_keeps_the_books_exact() {
    let setup = Setup { flows: 48, room: 256, ..Setup::default() };
    let mut lab = Lab::one(2, &setup);
    let changes: Vec<Vec<v1::Change>> = CHANGES.iter().map(|yaml| lab::changes(yaml)).collect();
    // read here, not by whichever thread is first: the thread sanitizer does not see how the standard library waits
    assert!(!frame("quiet.0").is_empty());
    let before = lab.rig().stats().conservation.expect("books").received;
    let mut workers = std::mem::take(&mut lab.rig().workers);
    let Lab { rigs, rooms, now, .. } = &mut lab;
    let rig = &mut rigs[0];
    let stage = Stage {
        ends: (0..PORTS).map(|port| rig.ends(port)).collect(),
        rooms,
        now: AtomicU64::new(*now),
        put: AtomicU64::new(0),
        quiet: AtomicBool::new(false),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let stage = &stage;
        let run = |worker: &mut Worker| {
            worker.settle();
            while !stage.stop.load(Ordering::Relaxed) {
                if worker.poll(tick_at(stage.now.load(Ordering::Relaxed))) == 0 {
                    std::thread::yield_now();
                }
            }
        };
        let workers: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(move || run(worker))).collect();
        let testers = [0, 31].map(|seed| scope.spawn(move || stage.test(seed)));
        // whatever fails here, the others end
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let shared = rig.shared.clone();
            for round in (0..).take_while(|&round| goes_on(round, &shared, &stage.put)) {
                rig.try_apply(changes[round % changes.len()].clone()).expect("accepted");
                for _ in 0..20 {
                    rig.control.step_at(stage.now.load(Ordering::Relaxed));
                    std::thread::yield_now();
                }
                look(rig);
                // now and then long enough for flows to end
                let more = if round % 10 == 9 { 3000 } else { 100 };
                stage.now.fetch_add(more, Ordering::Relaxed);
            }
        }));
        stage.quiet.store(true, Ordering::Relaxed);
        testers.into_iter().for_each(|tester| tester.join().expect("no panic"));
        stage.stop.store(true, Ordering::Relaxed);
        // by name: how a scope waits is not seen by the thread sanitizer
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        if let Err(cause) = result {
            std::panic::resume_unwind(cause);
        }
    });
    let (put, end) = (stage.put.into_inner(), stage.now.into_inner());
    *now = end;
    rig.workers = workers;
    lab.run();
    lab.discard();
    // what waits for a neighbour ends
    lab.advance(5000);
    lab.discard();
    books::close(&mut lab);
    let stats = lab.rig().stats();
    assert_eq!(stats.conservation.expect("books").received - before, put, "everything that was put in was received");
    let narrow = lab.rig().shared.flows.narrow().counters();
    assert!(narrow.inserted > 100 && narrow.evicted > 0 && narrow.aged > 0, "{narrow:?}");
    assert!(put > 1000, "{put}");
}
