//! A change that is published while a worker is in the middle of a burst.

use std::sync::Arc;

use vrouter::api::v1::object_key::Kind as Key;
use vrouter::daemon::clock::tick_at;
use vrouter::datapath::{Shared, Worker};
use vrouter::ids::WorkerIndex;
use vrouter::port::wire::{WireEnd, WirePort, wire};
use vrouter::port::{Frame, Port, Rooms, RxReport, TxReport};
use vrouter::tables::Snapshot;

use super::frames::{frame, is_like};
use super::lab::{Lab, Setup};
use super::network::{self, BA, RA, UP};

/// An uplink whose first burst arrives just before a snapshot is published, by which another worker then forwards a packet.
struct Interleaved {
    wire: WirePort,
    shared: Arc<Shared>,
    then: Option<(Arc<Snapshot>, Worker, u64)>,
}

impl Port for Interleaved {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let report = self.wire.rx(frames);
        if report.frames > 0
            && let Some((snapshot, other, now)) = &mut self.then
        {
            self.shared.snapshot.store(snapshot.clone());
            other.poll(tick_at(*now));
        }
        report
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        self.wire.tx(frames)
    }
}

/// One burst of the uplink with a packet of a flow that another worker has just decided by a newer snapshot, and one of packet mode
/// whose next hop is not in that snapshot any more: both go by the newer one.
#[test]
fn a_burst_goes_by_one_snapshot_when_another_is_published_in_its_midst() {
    let network = network::a().replace("{name: red}", "{name: red, flows: off}");
    let mut lab = Lab::one(2, &Setup { network, ..Setup::default() });
    lab.pass(BA, "udp4.blue", UP, "udp4.blue.wire");
    lab.pass(UP, "udp4.blue.back", BA, "udp4.blue.back.out");
    let (now, rooms) = (lab.now, Rooms::filled(4, 0));
    let in_room = |name: &str| rooms.copy(frame(name)).expect("a room");
    let rig = lab.rig();
    let older = rig.shared.snapshot.load_full();
    let wires: Vec<(WirePort, WireEnd)> = (0..super::lab::PORTS).map(|_| wire(64)).collect();
    let (ports, ends): (Vec<WirePort>, Vec<WireEnd>) = wires.into_iter().unzip();
    let mut ports = ports.into_iter();
    let other = rig.workers.remove(0);
    let uplink = Interleaved { wire: ports.next().unwrap(), shared: rig.shared.clone(), then: None };
    let shared = rig.shared.clone();

    // the newer one: another VIF in ra's place, and a change that the blue flow must notice
    rig.delete(Key::Vif("ra".into()));
    rig.apply(&network::ra(""));
    rig.apply("routes: [{vrf: blue, prefix: 10.1.1.0/24, drop: true}]");
    let newer = shared.snapshot.load_full();
    shared.snapshot.store(older);
    assert!(rig.ends(BA.1)[0].put(in_room("udp4.blue")));
    let uplink: Box<dyn Port> = Box::new(Interleaved { then: Some((newer, other, now)), ..uplink });
    let rest = ports.map(|port| Some(Box::new(port) as Box<dyn Port>));
    let mut worker = Worker::new(WorkerIndex(1), shared, std::iter::once(Some(uplink)).chain(rest).collect());

    // neither is plain, so that both are decided together
    assert!(ends[0].put(in_room("udp4.vxlan.back")) && ends[0].put(in_room("udp4.blue.back.options")));
    worker.poll(tick_at(now));
    let got = |end: &WireEnd| end.take().map(|frame| frame.bytes().to_vec());
    let red = got(&ends[RA.1]).expect("red's packet was lost");
    let blue = got(&ends[BA.1]).expect("blue's packet was lost");
    assert!(is_like(&red, "udp4.vxlan.back.out") && is_like(&blue, "udp4.blue.back.options.out"));
}
