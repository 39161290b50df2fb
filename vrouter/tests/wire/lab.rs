//! vRouters on virtual wires: no device, no thread, a clock that the test moves.
//!
//! A [`Rig`] is one vRouter: the real model, control thread's state and workers, configured by the network language through the
//! calls of the control socket. A [`Lab`] joins rigs and keeps the books: what was exchanged, and that nothing vanished.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flowtable::{Config, FlowTable, Region};
use tokio::sync::oneshot;
use vrouter::api::{v1, yaml::Network};
use vrouter::control::{Made, Request};
use vrouter::daemon::answer::{Control, Identity};
use vrouter::daemon::clock::{Clock, tick_at};
use vrouter::datapath::{Shared, Worker, shared};
use vrouter::drops::DropReason;
use vrouter::ids::{Mac, PortIndex, WorkerIndex};
use vrouter::model::{Limits, Model, PortInfo};
use vrouter::port::handover::handover;
use vrouter::port::wire::{WireEnd, wire, wire_of_guest};
use vrouter::port::{Frame, Port, Rooms, Undone};

#[path = "lab_devices.rs"]
mod devices;
#[path = "restart.rs"]
mod restart;

use devices::{LabDevices, SmallBuffers};

use super::frames::{self, frame};
use super::{books, network};

/// Ports that every rig starts with: p0 to p7. By convention p0 is the uplink.
pub const PORTS: usize = 8;
/// Ports that it may have: the others are added and deleted as a scenario likes.
pub const MOST_PORTS: usize = 10;
/// When a lab's clock starts, in milliseconds.
const START: u64 = 1_000_000;

/// A place in a lab: rig and port.
pub type At = (usize, usize);

/// What a rig is made with.
#[derive(Clone)]
pub struct Setup {
    pub network: String,
    /// Pairs of each family in the flow table.
    pub flows: u32,
    pub new_flows_per_second: u32,
    /// Frames that a wire holds in each direction.
    pub room: usize,
    pub vif_slots: usize,
    /// Of the ports that it starts with.
    pub mtu: u16,
    /// Neighbours that the model takes, and the slow path.
    pub neighbours: usize,
    /// The last byte of its ports' MACs but one.
    pub mac: u8,
    /// A port where only worker 0 has a queue.
    pub lonely_port: Option<usize>,
    /// A port whose one queue worker 0 shares over a ring of one frame.
    pub shared_port: Option<usize>,
    /// A port whose frames of more than this many bytes span several buffers.
    pub small_buffers: Option<(usize, usize)>,
    /// Ports whose peers are guests that take large segments.
    pub guests: &'static [usize],
    /// Its flows are kept as in a file.
    pub flow_file: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            network: network::a(),
            flows: 1024,
            new_flows_per_second: 1_000_000,
            room: 2048,
            vif_slots: 16,
            mtu: 1500,
            neighbours: 64,
            mac: 0x0a,
            lonely_port: None,
            shared_port: None,
            small_buffers: None,
            guests: &[],
            flow_file: false,
        }
    }
}

impl Setup {
    fn model(&self, workers: usize) -> Model {
        let port = |at: usize| PortInfo {
            name: format!("p{at}"),
            devargs: format!("wire{at}"),
            mac: Mac([0x52, 0, 0, 0, self.mac, at as u8]),
            mtu: self.mtu,
            queues: workers as u16,
        };
        let limits =
            Limits { ports: MOST_PORTS, vifs: self.vif_slots, neighbours: self.neighbours, ..Limits::default() };
        let mut model = Model::new(limits, (0..PORTS).map(port).collect());
        model.count_hits(workers);
        model
    }

    fn flow_config(&self) -> Config {
        Config { narrow_pairs: self.flows, wide_pairs: self.flows, seed: 7, time_base: 0 }
    }

    fn flows(&self) -> FlowTable {
        let config = self.flow_config();
        FlowTable::create(Region::heap(config.bytes().unwrap()).unwrap(), &config).unwrap()
    }
}

/// One vRouter.
pub struct Rig {
    pub shared: Arc<Shared>,
    pub control: Control,
    pub workers: Vec<Worker>,
    /// By port, then by worker.
    ends: Vec<Vec<Option<WireEnd>>>,
    turn: usize,
    /// What port p0 says of itself.
    pub device: Arc<Mutex<v1::PortStats>>,
    pub added: Added,
    /// What ports say of their links; those that say nothing count as up.
    pub links: Links,
}

pub type Links = Arc<Mutex<Vec<(PortIndex, bool)>>>;

/// Ports that were added, with their testers' ends by worker.
pub type Added = Arc<Mutex<Vec<(PortIndex, Vec<WireEnd>)>>>;

type Ports = Vec<Option<Box<dyn Port>>>;

/// Each worker's ports, and the testers' ends by port and worker.
fn wires(workers: usize, setup: &Setup) -> (Vec<Ports>, Vec<Vec<Option<WireEnd>>>) {
    let mut ports: Vec<Ports> = (0..workers).map(|_| Vec::new()).collect();
    let mut ends = vec![Vec::new(); PORTS];
    for (at, ends) in ends.iter_mut().enumerate() {
        if setup.shared_port == Some(at) {
            let (port, end) = wire(setup.room);
            let (owner, others) = handover(port, workers - 1, 1);
            ends.push(Some(end));
            ports[0].push(Some(Box::new(owner)));
            let others = ports[1..].iter_mut().zip(others);
            others.for_each(|(ports, other)| ports.push(Some(Box::new(other))));
            continue;
        }
        for (worker, ports) in ports.iter_mut().enumerate() {
            let (port, end) = if setup.guests.contains(&at) { wire_of_guest(setup.room) } else { wire(setup.room) };
            let there = worker == 0 || setup.lonely_port != Some(at);
            let port: Box<dyn Port> = match setup.small_buffers {
                Some((small, bytes)) if small == at => Box::new(SmallBuffers(port, bytes)),
                _ => Box::new(port),
            };
            ends.push(there.then_some(end));
            ports.push(there.then_some(port));
        }
    }
    (ports, ends)
}

impl Rig {
    fn new(workers: usize, setup: &Setup, now: u64) -> Rig {
        let flows = if setup.flow_file { setup.flows_to_leave() } else { setup.flows() };
        Rig::of(workers, setup, now, setup.model(workers), flows)
    }

    /// One of this model and these flows.
    fn of(workers: usize, setup: &Setup, now: u64, model: Model, flows: FlowTable) -> Rig {
        let slots = shared::Limits { vif_slots: setup.vif_slots, new_flows_per_second: setup.new_flows_per_second };
        let shared = Arc::new(Shared::new(model.snapshot(), flows, workers, slots));
        let (ports, ends) = wires(workers, setup);
        let made = ports.into_iter().enumerate();
        let made = made.map(|(index, ports)| Worker::new(WorkerIndex(index as u16), shared.clone(), ports)).collect();
        let identity = Identity { idle: "poll".into(), limits: Vec::new() };
        let device = Arc::new(Mutex::new(v1::PortStats { port: "p0".into(), ..Default::default() }));
        let (added, links) = (Added::default(), Links::default());
        let (p0, room) = (device.clone(), setup.room);
        let devices = LabDevices { p0, added: added.clone(), links: links.clone(), workers, room };
        let devices = Box::new(devices);
        let control = Control::new(shared.clone(), model, devices, identity, Clock::standing(now));
        Rig { shared, control, workers: made, ends, turn: 0, device, added, links }
    }

    /// Gives a frame to the port, to the workers' queues in turn; fragments of the underlay to one queue, as devices spread them.
    fn put(&mut self, port: usize, frame: Frame) {
        let queues = self.queues(port);
        let turn = fragment_of(&frame).filter(|_| UPLINKS.contains(&port)).unwrap_or(self.turn);
        assert!(queues[turn % queues.len()].put(frame), "the wire is full");
        self.turn += 1;
    }

    /// The tester's ends of a port's wires, for tests with threads: tests/stress.rs.
    #[allow(dead_code)]
    pub fn ends(&self, port: usize) -> Vec<WireEnd> {
        self.ends[port].iter().flatten().cloned().collect()
    }

    fn take(&mut self, port: usize) -> Vec<Vec<u8>> {
        let queues = self.queues(port);
        let frames = queues.iter().flat_map(|end| std::iter::from_fn(|| end.take()));
        frames.map(|frame| frame.bytes().to_vec()).collect()
    }

    /// The testers' ends of a port; none: there is no such port.
    fn queues(&self, port: usize) -> Vec<WireEnd> {
        if let Some(ends) = self.ends.get(port) {
            return ends.iter().flatten().cloned().collect();
        }
        let added = self.added.lock().unwrap();
        added.iter().filter(|(added, _)| added.index() == port).flat_map(|(_, ends)| ends.clone()).collect()
    }

    /// A call of the control socket, answered.
    pub fn ask<T>(&mut self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
        let (reply, mut answer) = oneshot::channel();
        self.control.answer(request(reply));
        answer.try_recv().expect("an answer at once")
    }

    pub fn stats(&mut self) -> v1::StatsReply {
        self.ask(|reply| Request::Stats { reply })
    }

    /// A batch as its Begin wants it.
    pub fn batch(&mut self, begin: v1::Begin, changes: Vec<v1::Change>) -> Result<Made, v1::Refused> {
        self.ask(|reply| Request::Apply { begin, changes: changes.into(), by: "a test".into(), reply })
    }

    pub fn try_apply(&mut self, changes: Vec<v1::Change>) -> Result<u64, v1::Refused> {
        self.batch(v1::Begin::default(), changes).map(|made| made.generation())
    }

    /// Puts the objects of a network in one batch.
    pub fn apply(&mut self, yaml: &str) {
        self.try_apply(changes(yaml)).unwrap_or_else(|refused| panic!("{refused:?}\n{yaml}"));
    }

    pub fn delete(&mut self, key: v1::object_key::Kind) {
        let op = v1::change::Op::Delete(v1::ObjectKey { kind: Some(key) });
        self.try_apply(vec![v1::Change { op: Some(op) }]).unwrap();
    }

    /// Drops by now: with this reason, of this VIF ("" for those of no VIF).
    pub fn dropped(&mut self, vif: &str, reason: DropReason) -> u64 {
        let rows = self.stats().drops.into_iter();
        rows.filter(|row| row.vif == vif && row.reason == reason.name()).map(|row| row.packets).sum()
    }

    pub fn flows(&mut self, filter: v1::FlowsRequest) -> Vec<v1::Flow> {
        self.ask(|reply| Request::Flows { filter, reply }).unwrap().collect()
    }

    /// The only flow.
    pub fn flow(&mut self) -> v1::Flow {
        let mut flows = self.flows(v1::FlowsRequest::default());
        assert_eq!(flows.len(), 1, "{flows:#?}");
        flows.remove(0)
    }

    /// Polls the workers alone: the control thread is busy elsewhere.
    pub fn poll_workers(&mut self, now: u64) {
        while self.workers.iter_mut().map(|worker| worker.poll(tick_at(now))).sum::<usize>() > 0 {}
    }

    pub fn frames_on_wires(&self) -> usize {
        self.ends.iter().flatten().flatten().map(WireEnd::waiting).sum()
    }
}

/// Ports that are uplinks somewhere.
const UPLINKS: [usize; 2] = [0, 7];

/// What a device spreads fragments by: their addresses alone.
fn fragment_of(frame: &Frame) -> Option<usize> {
    let bytes = frame.bytes();
    let l3 = bytes.get(if bytes.get(12..14)? == [0x81, 0] { 18 } else { 14 }..)?;
    let addresses = match l3.first()? >> 4 {
        4 if u16::from_be_bytes([*l3.get(6)?, *l3.get(7)?]) & 0x3fff != 0 => l3.get(12..20)?,
        6 if *l3.get(6)? == 44 => l3.get(8..40)?,
        _ => return None,
    };
    Some(addresses.iter().map(|byte| usize::from(*byte)).sum())
}

/// Puts of the objects of a network.
pub fn changes(yaml: &str) -> Vec<v1::Change> {
    let network = Network::parse("test.yaml", yaml).unwrap_or_else(|error| panic!("{error:?}\n{yaml}"));
    network.changes().unwrap().into_iter().map(|(change, _)| change).collect()
}

/// Rigs, the wires between them, and what was exchanged.
pub struct Lab {
    pub rigs: Vec<Rig>,
    /// Of the frames that the tests put in: workers give them back and free nothing.
    pub rooms: Rooms,
    links: Vec<(At, At)>,
    pub now: u64,
    pub exchanged: Vec<(u64, Vec<u8>)>,
    /// Frames that this scenario leaves waiting for a neighbour.
    pub holds: u64,
}

impl Lab {
    /// One rig, A, with this set-up.
    pub fn one(workers: usize, setup: &Setup) -> Lab {
        Lab::with(workers, &[setup])
    }

    /// Rig A alone; its peers are played by the test. Static neighbours: the fabric is quiet.
    pub fn a(workers: usize) -> Lab {
        Lab::one(workers, &Setup::default())
    }

    /// A and B, uplink to uplink, which resolve each other by ARP.
    pub fn pair(workers: usize) -> Lab {
        let a = Setup { network: network::a_dynamic(), ..Setup::default() };
        let b = Setup { network: network::b_dynamic(), mac: 0x0b, ..Setup::default() };
        let mut lab = Lab::with(workers, &[&a, &b]);
        lab.link((0, 0), (1, 0));
        lab.advance(200);
        lab
    }

    pub fn with(workers: usize, setups: &[&Setup]) -> Lab {
        let rigs = setups.iter().map(|setup| Rig::new(workers, setup, START)).collect();
        let rooms = setups.iter().map(|setup| PORTS * workers * setup.room * 2).sum();
        let rooms = Rooms::up_to(rooms, 64);
        let mut lab = Lab { rigs, rooms, links: Vec::new(), now: START, exchanged: Vec::new(), holds: 0 };
        for (rig, setup) in lab.rigs.iter_mut().zip(setups) {
            rig.apply(&setup.network);
        }
        lab.run();
        lab
    }

    /// Joins two ports.
    pub fn link(&mut self, a: At, b: At) {
        self.links.push((a, b));
    }

    pub fn rig(&mut self) -> &mut Rig {
        &mut self.rigs[0]
    }

    pub fn apply(&mut self, yaml: &str) {
        self.rig().apply(yaml);
    }

    /// Gives a frame of `frames/*.hex` to a port.
    pub fn put(&mut self, at: At, name: &str) {
        self.put_bytes(at, frame(name));
    }

    pub fn put_bytes(&mut self, at: At, bytes: &[u8]) {
        let frame = self.rooms.copy_or_make(bytes).expect("fits");
        self.put_frame(at, frame);
    }

    /// The same in which the sender left this undone.
    pub fn put_undone(&mut self, at: At, name: &str, undone: Undone) {
        let mut frame = self.rooms.copy_or_make(frame(name)).expect("fits");
        frame.undone = undone;
        self.put_frame(at, frame);
    }

    pub fn put_frame(&mut self, (rig, port): At, frame: Frame) {
        self.exchanged.push((self.now, frame.bytes().to_vec()));
        self.rigs[rig].put(port, frame);
    }

    /// A port of A loses its link or has it again; the control thread has seen it when this returns.
    pub fn carrier(&mut self, port: u16, up: bool) {
        self.rig().links.lock().unwrap().push((PortIndex(port), up));
        self.rig().links.lock().unwrap().retain(|&(other, said)| other != PortIndex(port) || said == up);
        self.advance(200);
    }

    /// The same with what is left undone in each.
    pub fn take_undone(&mut self, (rig, port): At) -> Vec<(Vec<u8>, Undone)> {
        let queues = self.rigs[rig].queues(port);
        let frames = queues.iter().flat_map(|end| std::iter::from_fn(|| end.take()));
        let frames: Vec<_> = frames.map(|frame| (frame.bytes().to_vec(), frame.undone)).collect();
        self.exchanged.extend(frames.iter().map(|(frame, _)| (self.now, frame.clone())));
        frames
    }

    /// Everything that came out of a port since the last look.
    pub fn take(&mut self, (rig, port): At) -> Vec<Vec<u8>> {
        let frames = self.rigs[rig].take(port);
        self.exchanged.extend(frames.iter().map(|frame| (self.now, frame.clone())));
        frames
    }

    /// Polls every worker and control thread once, and carries frames over the links. True: something moved.
    pub fn step(&mut self) -> bool {
        let mut moved = false;
        for rig in &mut self.rigs {
            for worker in &mut rig.workers {
                moved |= worker.poll(tick_at(self.now)) > 0;
            }
            moved |= rig.control.step_at(self.now);
        }
        for (a, b) in self.links.clone() {
            for (from, to) in [(a, b), (b, a)] {
                for bytes in self.take(from) {
                    self.put_bytes(to, &bytes);
                    moved = true;
                }
            }
        }
        moved
    }

    /// Until nothing moves.
    pub fn run(&mut self) {
        let mut quiet = 0;
        for _ in 0..10_000 {
            quiet = if self.step() { 0 } else { quiet + 1 };
            if quiet == 3 {
                return;
            }
        }
        panic!("the lab does not come to rest");
    }

    /// Moves the clock, in steps that a control thread would make, and runs.
    pub fn advance(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now = end.min(self.now + 100);
            self.run();
        }
    }

    /// Ten seconds, in which the workers look at every flow.
    pub fn sweep(&mut self) {
        for _ in 0..101 {
            self.now += 100;
            for rig in &mut self.rigs {
                rig.workers.iter_mut().for_each(|worker| _ = worker.poll(tick_at(self.now)));
            }
        }
        self.run();
    }

    /// A frame goes in, and exactly one comes out: there, and like that.
    #[track_caller]
    pub fn pass(&mut self, from: At, name: &str, to: At, expected: &str) {
        self.put(from, name);
        self.run();
        self.expect(&[(to, expected)]);
    }

    /// What comes out of all ports now: exactly these, in any order.
    #[track_caller]
    pub fn expect(&mut self, expected: &[(At, &str)]) {
        for at in self.places() {
            let names: Vec<&str> = expected.iter().filter(|(there, _)| *there == at).map(|(_, name)| *name).collect();
            let mut came = self.take(at);
            for name in &names {
                let same = came.iter().position(|bytes| frames::is_like(bytes, name));
                let Some(same) = same else {
                    panic!("rig {} port {}: {}", at.0, at.1, frames::difference(name, &came))
                };
                came.remove(same);
            }
            assert!(came.is_empty(), "rig {} port {}: beside {names:?} came {}", at.0, at.1, frames::hex_all(&came));
        }
    }

    /// A frame goes in and is dropped for this reason; its sender gets this frame.
    #[track_caller]
    pub fn dropped_and_told(&mut self, from: At, name: &str, reason: DropReason, told: &str) {
        self.counts_drop(from, frame(name), reason, name);
        self.expect(&[(from, told)]);
    }

    /// A frame goes in, none comes out, and one more drop of that VIF has this reason.
    #[track_caller]
    pub fn dropped(&mut self, from: At, name: &str, reason: DropReason) {
        self.dropped_bytes(from, frame(name), reason, name);
    }

    #[track_caller]
    pub fn dropped_bytes(&mut self, from: At, bytes: &[u8], reason: DropReason, what: &str) {
        self.counts_drop(from, bytes, reason, what);
        self.expect(&[]);
    }

    /// A frame goes in; what comes out stays on the wires.
    pub fn pass_silently(&mut self, from: At, name: &str) {
        self.put(from, name);
        self.run();
    }

    /// One more drop, with this reason and of that VIF, and no other.
    #[track_caller]
    pub fn counts_drop(&mut self, from: At, bytes: &[u8], reason: DropReason, what: &str) {
        let vif = self.vif_at(from);
        let before = self.rigs[from.0].stats().drops;
        self.put_bytes(from, bytes);
        self.run();
        let after = self.rigs[from.0].stats().drops;
        let count = |rows: &[v1::DropCount], row: &v1::DropCount| {
            rows.iter()
                .find(|other| (&other.vif, &other.vrf, &other.reason) == (&row.vif, &row.vrf, &row.reason))
                .map_or(0, |row| row.packets)
        };
        let more = after.iter().filter(|row| row.packets > count(&before, row));
        let more: Vec<_> = more.map(|row| (&*row.vif, &*row.reason, row.packets - count(&before, row))).collect();
        assert_eq!(more, [(&*vif, reason.name(), 1)], "{what}");
    }

    /// Whatever came out is of no interest.
    pub fn discard(&mut self) {
        for at in self.places() {
            self.take(at);
        }
    }

    pub fn places(&self) -> Vec<At> {
        (0..self.rigs.len()).flat_map(|rig| (0..MOST_PORTS).map(move |port| (rig, port))).collect()
    }

    fn vif_at(&self, (rig, port): At) -> String {
        let snapshot = self.rigs[rig].shared.snapshot.load();
        let vif = vrouter::datapath::classify::vif_of(&snapshot, port);
        vif.map(|vif| vif.name.to_string()).unwrap_or_default()
    }
}

/// Runs a scenario on one worker and on two, then closes the books. A failure names a pcap of what was exchanged.
#[track_caller]
pub fn scenario(name: &str, make: fn(usize) -> Lab, run: impl Fn(&mut Lab)) {
    for workers in [1, 2] {
        let mut lab = make(workers);
        let result = catch_unwind(AssertUnwindSafe(|| {
            run(&mut lab);
            lab.run();
            books::close(&mut lab);
        }));
        if let Err(cause) = result {
            let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
            let path = pcap_path(name, workers);
            books::write_pcap(&path, &lab.exchanged);
            panic!("{name} on {workers} worker(s): {}\nframes: {}", text.unwrap_or("panic"), path.display());
        }
    }
}

fn pcap_path(name: &str, workers: usize) -> PathBuf {
    // the fuzz targets are no tests of cargo's
    let folder = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    folder.join(format!("{name}-{workers}.pcap"))
}
