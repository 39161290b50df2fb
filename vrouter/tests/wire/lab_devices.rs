//! The devices of a lab's vRouters.

use std::sync::{Arc, Mutex};

use vrouter::api::v1;
use vrouter::daemon::answer::Devices;
use vrouter::ids::{Mac, PortIndex};
use vrouter::model::{NewPort, PortInfo, Unopened};
use vrouter::port::handover::handover;
use vrouter::port::wire::{WirePort, wire};
use vrouter::port::{Frame, Port, RxReport, TxReport};

use super::{Added, Links};

/// What p0 says of itself; and wires for ports that are added. Devargs `wireN`, but `absent` has none and `shared` one queue that worker
/// 0 shares over a ring of one frame.
pub struct LabDevices {
    pub p0: Arc<Mutex<v1::PortStats>>,
    pub added: Added,
    pub links: Links,
    pub workers: usize,
    pub room: usize,
}

impl Devices for LabDevices {
    fn stats(&self) -> Vec<v1::PortStats> {
        vec![self.p0.lock().unwrap().clone()]
    }

    fn open(&mut self, wanted: &NewPort) -> Result<(PortInfo, Vec<Box<dyn Port>>), Unopened> {
        if wanted.devargs == "absent" {
            return Err(Unopened { field: "devargs", reason: "there is no such device".into() });
        }
        let (mut ports, mut ends) = (Vec::<Box<dyn Port>>::new(), Vec::new());
        if wanted.devargs == "shared" {
            let (port, end) = wire(self.room);
            let (owner, others) = handover(port, self.workers - 1, 1);
            ports.push(Box::new(owner));
            ports.extend(others.into_iter().map(|other| Box::new(other) as Box<dyn Port>));
            ends.push(end);
        } else {
            for _ in 0..self.workers {
                let (port, end) = wire(self.room);
                ports.push(Box::new(port));
                ends.push(end);
            }
        }
        let info = PortInfo {
            name: wanted.name.into(),
            devargs: wanted.devargs.into(),
            mac: Mac([0x52, 0, 0, 0, 0xad, wanted.index.0 as u8]),
            mtu: wanted.mtu.unwrap_or(1500),
            queues: ends.len() as u16,
        };
        self.added.lock().unwrap().push((wanted.index, ends));
        Ok((info, ports))
    }

    fn close(&mut self, port: PortIndex, mut ends: Vec<Box<dyn Port>>) {
        assert_eq!(ends.len(), self.workers, "an end is missing");
        ends.iter_mut().for_each(|end| end.settle());
        self.added.lock().unwrap().retain(|(added, _)| *added != port);
    }

    fn links(&self) -> Vec<(PortIndex, bool)> {
        self.links.lock().unwrap().clone()
    }
}

/// A device with buffers of so many bytes.
pub struct SmallBuffers(pub WirePort, pub usize);

impl Port for SmallBuffers {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let report = self.0.rx(frames);
        let received = report.frames;
        let before = frames.len();
        frames.retain(|frame| frame.len() <= self.1);
        let multi_segment = before - frames.len();
        RxReport { frames: received - multi_segment, multi_segment, ..report }
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        self.0.tx(frames)
    }
}
