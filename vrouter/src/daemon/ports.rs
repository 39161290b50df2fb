//! Ports that come and go: their devices, and the ends that workers have of them.

use std::sync::Arc;

use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::ports::ComingPort;
use crate::ids::{Generation, PortIndex};
use crate::model::{NewPort, PortInfo, Unopened};
use crate::port::Port;
use crate::tables::Snapshot;

/// The devices. Control thread.
pub trait Devices: Send {
    /// One row a port, in any order.
    fn stats(&self) -> Vec<v1::PortStats>;

    /// Opens the device of a port that a batch adds: what it is, and an end for each worker.
    fn open(&mut self, wanted: &NewPort) -> Result<(PortInfo, Vec<Box<dyn Port>>), Unopened> {
        let reason = format!("the device {} cannot be opened while the daemon runs", wanted.devargs);
        Err(Unopened { field: "devargs", reason })
    }

    /// The ports of which it is known whether they have a link; the others count as up.
    fn links(&self) -> Vec<(PortIndex, bool)> {
        Vec::new()
    }

    /// Closes a port's device: no worker has an end of it any more, these are all there were.
    fn close(&mut self, _port: PortIndex, ends: Vec<Box<dyn Port>>) {
        drop(ends);
    }
}

/// Control thread.
pub struct Ports {
    shared: Arc<Shared>,
    devices: Box<dyn Devices>,
    /// Of the batch that is being judged.
    opened: Vec<(PortIndex, Vec<Box<dyn Port>>)>,
    leaving: Vec<Leaving>,
}

/// A deleted port whose device is open yet.
struct Leaving {
    port: PortIndex,
    /// The first generation without it.
    since: Generation,
    ends: Vec<Box<dyn Port>>,
    /// Workers that have not answered.
    missing: usize,
}

impl Ports {
    /// The devices that the workers have their ends of already.
    pub fn new(shared: Arc<Shared>, devices: Box<dyn Devices>) -> Ports {
        Ports { shared, devices, opened: Vec::new(), leaving: Vec::new() }
    }

    /// What the devices say of themselves.
    pub fn stats(&self) -> Vec<v1::PortStats> {
        self.devices.stats()
    }

    /// The links of the ports that are not being closed.
    pub fn links(&self) -> Vec<(PortIndex, bool)> {
        let mut links = self.devices.links();
        links.retain(|(port, _)| self.leaving.iter().all(|leaving| leaving.port != *port));
        links
    }

    /// Opens a device for the batch that is being judged.
    pub fn open(&mut self, wanted: &NewPort) -> Result<PortInfo, Unopened> {
        let (info, ends) = self.devices.open(wanted)?;
        assert_eq!(ends.len(), self.shared.workers.len(), "each worker has an end");
        self.opened.push((wanted.index, ends));
        Ok(info)
    }

    /// The batch was refused: what it opened is closed.
    pub fn undo(&mut self) {
        for (port, ends) in self.opened.drain(..) {
            self.devices.close(port, ends);
        }
    }

    /// The batch was accepted: gives the workers their ends of what it added, before `new` is published, and waits for those of what it
    /// deleted. Returns the ports that it added and deleted again, whose devices are closed.
    pub fn commit(&mut self, old: &Snapshot, new: &Snapshot) -> Vec<PortIndex> {
        let mut closed = Vec::new();
        for (port, ends) in std::mem::take(&mut self.opened) {
            if !new.ports[port.index()].there {
                self.devices.close(port, ends);
                closed.push(port);
                continue;
            }
            for (worker, end) in self.shared.workers.iter().zip(ends) {
                let coming = worker.ports.come.push(ComingPort { port, since: new.generation, end });
                assert!(coming.is_ok(), "a port's number was given again too early");
            }
        }
        let gone = old.ports.iter().zip(new.ports.iter()).enumerate();
        for (at, _) in gone.filter(|(_, (old, new))| old.there && !new.there) {
            self.leaving.push(Leaving {
                port: PortIndex(at as u16),
                since: new.generation,
                ends: Vec::new(),
                missing: self.shared.workers.len(),
            });
        }
        closed
    }

    /// Takes what workers gave back; closes the devices of which it has every end, and returns their ports.
    pub fn collect(&mut self) -> Vec<PortIndex> {
        if self.leaving.is_empty() {
            return Vec::new();
        }
        for worker in &self.shared.workers {
            while let Some(gone) = worker.ports.gone.pop() {
                let leaving = self.leaving.iter_mut().find(|leaving| leaving.port == gone.port);
                let leaving = leaving.expect("only deleted ports are given back");
                leaving.ends.extend(gone.end);
                leaving.missing -= 1;
            }
        }
        let done: Vec<Leaving> = self.leaving.extract_if(.., |leaving| leaving.missing == 0).collect();
        let closed = done.iter().map(|leaving| leaving.port).collect();
        for Leaving { port, ends, .. } in done {
            self.devices.close(port, ends);
        }
        closed
    }

    /// The newest generation whose deleted ports are all closed; absent: none waits.
    pub fn settled(&self) -> Option<u64> {
        self.leaving.iter().map(|leaving| leaving.since.0 - 1).min()
    }
}
