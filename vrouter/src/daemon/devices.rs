//! The configured DPDK devices: opened at start, each worker given its end of each.

use crate::api::config::{self, Config};
use crate::api::v1;
use crate::daemon::answer::Devices;
use crate::model::PortInfo;
use crate::port::Port;
use crate::port::dpdk::{DeviceConfig, DeviceError, DpdkDevice, Eal, Mempool};
use crate::port::handover::handover;

/// Frames that may wait for the worker that owns a queue.
pub const HANDOVER: usize = 1024;

/// All devices, and what each worker polls: by worker, by port.
pub struct Opened {
    pub devices: DpdkDevices,
    pub infos: Vec<PortInfo>,
    pub ends: Vec<Vec<Option<Box<dyn Port>>>>,
}

/// The devices' control side.
pub struct DpdkDevices(Vec<DpdkDevice>);

/// Opens the configured devices in order. Main thread, at start.
pub fn open(eal: &Eal, config: &Config, pool: &Mempool) -> Result<Opened, (String, DeviceError)> {
    let workers = config.worker_count();
    let mut opened = Opened {
        devices: DpdkDevices(Vec::new()),
        infos: Vec::new(),
        ends: (0..workers).map(|_| Vec::new()).collect(),
    };
    for (index, port) in config.ports.iter().enumerate() {
        let config::Port { name, devargs, queues, mtu } = &port.value;
        let queue_pairs = queues.unwrap_or(workers as u16);
        let wanted = DeviceConfig { name, devargs, queue_pairs, mtu: *mtu };
        let (device, ports) = DpdkDevice::start(eal, &wanted, pool).map_err(|error| (name.clone(), error))?;
        opened.infos.push(PortInfo {
            name: name.clone(),
            devargs: devargs.clone(),
            mac: device.mac(),
            mtu: device.mtu(),
            queues: device.queue_pairs(),
        });
        opened.devices.0.push(device);
        // the ports' first queues go to different workers, so that single-queue devices spread over them
        for (offset, end) in ends(ports, workers).into_iter().enumerate() {
            opened.ends[(index + offset) % workers].push(Some(end));
        }
    }
    Ok(opened)
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
        let row = |device: &DpdkDevice| {
            let counters = device.counters();
            v1::PortStats {
                port: device.name().into(),
                link_up: device.link_up(),
                rx_packets: counters.received,
                tx_packets: counters.sent,
                missed: counters.rx_missed,
                no_mbuf: counters.rx_no_mbuf,
                errors: counters.rx_errors,
            }
        };
        self.0.iter().map(row).collect()
    }
}
