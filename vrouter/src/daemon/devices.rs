//! The devices, DPDK's and our own sources and sinks: opened at start or while the daemon runs, each worker given its end of each.

use super::ports::Devices;
use super::privileges::Reach;
use super::traffic;
use crate::api::config::Config;
use crate::api::v1;
use crate::ids::PortIndex;
use crate::model::{NewPort, PortInfo, Unopened};
use crate::port::Port;
use crate::port::dpdk::{Buffers, DeviceConfig, DeviceError, DpdkDevice, Eal, Mempool, cycles, cycles_hertz};
use crate::port::handover::{handover, of_guest};
use crate::port::listener;
use crate::port::traffic::args::{ArgumentError, is_traffic};
use crate::port::traffic::{self as traffic_port, Cycles, TrafficDevice};

/// Frames that may wait for the worker that owns a queue.
pub const HANDOVER: usize = 1024;

/// What the workers poll at start: by worker, by [`PortIndex`].
pub type Ends = Vec<Vec<Option<Box<dyn Port>>>>;

/// L3 MTU of a source or sink unless said otherwise: room for a tenant's 1,500 bytes and the headers of a tunnel.
const TRAFFIC_MTU: u16 = 1600;

/// The devices' control side.
pub struct DpdkDevices {
    eal: Eal,
    pool: Mempool,
    large: Option<Mempool>,
    workers: usize,
    open: Vec<(PortIndex, Device)>,
    /// No port comes any more: [`DpdkDevices::keep`].
    kept: bool,
    /// Files that devices may open; absent: all.
    reach: Option<Reach>,
}

enum Device {
    Dpdk(DpdkDevice),
    Traffic { name: String, device: TrafficDevice },
}

/// Why a device does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Dpdk(#[from] DeviceError),
    #[error(transparent)]
    Traffic(#[from] ArgumentError),
}

impl DpdkDevices {
    /// None yet; their buffers come from `pool`, those that it is too small for from `large`.
    pub fn new(eal: Eal, (pool, large): (Mempool, Option<Mempool>), workers: usize) -> DpdkDevices {
        DpdkDevices { eal, pool, large, workers, open: Vec::new(), kept: false, reach: None }
    }

    /// A port that needs other files than these is refused.
    pub fn within(mut self, reach: Option<Reach>) -> DpdkDevices {
        self.reach = reach;
        self
    }

    /// From now on no port comes: whoever polls those that are open takes no others.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Opens the configured devices in order. Main thread, at start.
    pub fn open_configured(&mut self, config: &Config, ends: &mut Ends) -> Result<Vec<PortInfo>, (String, OpenError)> {
        let mut infos = Vec::new();
        for (at, port) in config.ports.iter().enumerate() {
            let index = PortIndex(at as u16);
            let wanted =
                NewPort { index, name: &port.name, devargs: &port.devargs, queues: port.queues, mtu: port.mtu };
            let (info, opened) = self.start(&wanted).map_err(|error| (port.name.clone(), error))?;
            infos.push(info);
            place(ends, index, opened);
        }
        Ok(infos)
    }

    /// Its info, and one end for each worker.
    fn start(&mut self, wanted: &NewPort) -> Result<(PortInfo, Vec<Box<dyn Port>>), OpenError> {
        if is_traffic(wanted.devargs) {
            return self.start_traffic(wanted);
        }
        let NewPort { index, name, devargs, queues, mtu } = *wanted;
        let queue_pairs = queues.unwrap_or(self.workers as u16);
        if listener::remove_stale(devargs) {
            tracing::warn!(port = name, devargs, "removed a socket at which nobody listens");
        }
        let asked = DeviceConfig { name, devargs, queue_pairs, mtu, large: self.large };
        let (device, ports) = DpdkDevice::start(&self.eal, &asked, &self.pool)?;
        let info = PortInfo {
            name: name.to_owned(),
            devargs: devargs.to_owned(),
            mac: device.mac(),
            mtu: device.mtu(),
            queues: device.queue_pairs(),
        };
        let guest = device.has_guest();
        self.open.push((index, Device::Dpdk(device)));
        Ok((info, self.spread(ports, index, guest)))
    }

    /// The same of a source or sink.
    fn start_traffic(&mut self, wanted: &NewPort) -> Result<(PortInfo, Vec<Box<dyn Port>>), OpenError> {
        let NewPort { index, name, devargs, queues, mtu } = *wanted;
        let queues = queues.unwrap_or(self.workers as u16);
        let (eal, pool) = (self.eal, self.pool);
        let clock = Cycles { now: cycles, hertz: cycles_hertz(&eal) };
        let (device, ports) = traffic_port::open(devargs, queues, clock, || Buffers::of(pool))?;
        let info = PortInfo {
            name: name.to_owned(),
            devargs: devargs.to_owned(),
            mac: device.device().mac,
            mtu: mtu.unwrap_or(TRAFFIC_MTU),
            queues: ports.len() as u16,
        };
        self.open.push((index, Device::Traffic { name: name.to_owned(), device }));
        Ok((info, self.spread(ports, index, false)))
    }

    fn spread<P: Port + 'static>(&self, ports: Vec<P>, index: PortIndex, guest: bool) -> Vec<Box<dyn Port>> {
        let single = ports.len() < self.workers;
        let mut ends = if guest { ends_of_guest(ports, self.workers) } else { ends(ports, self.workers) };
        if single {
            // the ports' first queues go to different workers, so that single-queue devices spread over them
            ends.rotate_right(index.index() % self.workers);
        }
        ends
    }
}

impl Device {
    fn name(&self) -> &str {
        match self {
            Device::Dpdk(device) => device.name(),
            Device::Traffic { name, .. } => name,
        }
    }

    fn stats(&self) -> v1::PortStats {
        let device = match self {
            Device::Dpdk(device) => device,
            Device::Traffic { name, device } => return traffic::stats(name, device),
        };
        let counters = device.counters();
        v1::PortStats {
            port: device.name().into(),
            link_up: device.link_up(),
            rx_packets: counters.received,
            tx_packets: counters.sent,
            missed: counters.rx_missed,
            no_mbuf: counters.rx_no_mbuf,
            errors: counters.rx_errors,
            traffic: None,
        }
    }

    fn link_up(&self) -> bool {
        match self {
            Device::Dpdk(device) => device.link_up(),
            Device::Traffic { .. } => true,
        }
    }
}

/// Gives each worker its end of a port, before it runs.
pub fn place(ends: &mut Ends, port: PortIndex, opened: Vec<Box<dyn Port>>) {
    for (ends, end) in ends.iter_mut().zip(opened) {
        if ends.len() <= port.index() {
            ends.resize_with(port.index() + 1, || None);
        }
        ends[port.index()] = Some(end);
    }
}

/// The same of a guest's device: its queues may be more than the guest polls, but for the first one.
fn ends_of_guest<P: Port + 'static>(mut ports: Vec<P>, workers: usize) -> Vec<Box<dyn Port>> {
    if ports.len() < 2 {
        return ends(ports, workers);
    }
    let without = workers.saturating_sub(ports.len());
    let others = ports.split_off(1);
    let Some(first) = ports.pop() else { return Vec::new() };
    let (owner, guests, rings) = of_guest(first, others, without, HANDOVER);
    let mut ends: Vec<Box<dyn Port>> = vec![Box::new(owner)];
    ends.extend(guests.into_iter().map(|port| Box::new(port) as Box<dyn Port>));
    ends.extend(rings.into_iter().map(|port| Box::new(port) as Box<dyn Port>));
    ends
}

/// One end for each worker: a queue pair, or a hand-over to the worker that owns the first one.
fn ends<P: Port + 'static>(ports: Vec<P>, workers: usize) -> Vec<Box<dyn Port>> {
    let without = workers.saturating_sub(ports.len());
    let mut ports = ports.into_iter();
    let mut ends: Vec<Box<dyn Port>> = Vec::new();
    let mut handovers = Vec::new();
    if let Some(first) = ports.next() {
        if without == 0 {
            ends.push(Box::new(first));
        } else {
            let (owner, others) = handover(first, without, HANDOVER);
            ends.push(Box::new(owner));
            handovers = others;
        }
    }
    ends.extend(ports.map(|port| Box::new(port) as Box<dyn Port>));
    ends.extend(handovers.into_iter().map(|port| Box::new(port) as Box<dyn Port>));
    ends
}

impl Devices for DpdkDevices {
    fn stats(&self) -> Vec<v1::PortStats> {
        self.open.iter().map(|(_, device)| device.stats()).collect()
    }

    fn open(&mut self, wanted: &NewPort) -> Result<(PortInfo, Vec<Box<dyn Port>>), Unopened> {
        if self.kept {
            let reason = "no port comes while the daemon only moves frames".into();
            return Err(Unopened { field: "devargs", reason });
        }
        if let Some(queues) = wanted.queues.filter(|queues| usize::from(*queues) > self.workers) {
            let reason = format!("{queues} is not within 1 to {}, the workers", self.workers);
            return Err(Unopened { field: "queues", reason });
        }
        if let Some(reason) = self.reach.as_ref().and_then(|reach| reach.refuses(wanted.devargs)) {
            return Err(Unopened { field: "devargs", reason });
        }
        let opened = self.start(wanted).map_err(|error| {
            let field = match error {
                OpenError::Dpdk(DeviceError::Mtu { .. }) => "mtu",
                OpenError::Dpdk(DeviceError::NoQueues(_)) => "queues",
                _ => "devargs",
            };
            Unopened { field, reason: error.to_string() }
        })?;
        tracing::info!(port = wanted.name, devargs = wanted.devargs, "opened");
        Ok(opened)
    }

    fn close(&mut self, port: PortIndex, mut ends: Vec<Box<dyn Port>>) {
        ends.iter_mut().for_each(|end| end.settle());
        drop(ends);
        // the last handle: it stops the device and closes it
        for (_, device) in self.open.extract_if(.., |(open, _)| *open == port) {
            tracing::info!(port = device.name(), "closed");
        }
    }

    fn links(&self) -> Vec<(PortIndex, bool)> {
        self.open.iter().map(|(port, device)| (*port, device.link_up())).collect()
    }
}
