//! Network devices: attached by devargs, configured, started; stopped and closed when their last handle is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::start::{attach, device_info, set_up};
use crate::{Eal, Mempool, QueuePair, eal, sys, xdp};

/// How a device is started.
#[derive(Clone, Copy, Debug)]
pub struct DeviceConfig<'a> {
    /// A vdev with its arguments ("net_tap0,iface=t0") or a PCI address with its arguments ("0000:01:00.0").
    pub devargs: &'a str,
    /// Receive and transmit queue pairs wanted, at least 1; the device may give fewer.
    pub queue_pairs: u16,
    /// L3 MTU in bytes; absent: the device's own.
    pub mtu: Option<u16>,
    /// Descriptors of each queue, adjusted to what the device allows.
    pub descriptors: u16,
    /// Where received frames go.
    pub pool: Mempool,
    /// Where those are put together that the device hands over in several buffers; absent: they are given back.
    pub large: Option<Mempool>,
}

/// Offloads that the device advertised and that are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// It verifies received IPv4 header checksums.
    pub rx_ip_checksum: bool,
    /// It completes transmitted IPv4 header checksums.
    pub tx_ip_checksum: bool,
    /// It spreads received packets over several queues.
    pub rss: bool,
}

/// The device's own counters, in packets since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
    /// Dropped by the device because no descriptor was free.
    pub rx_missed: u64,
    /// Received damaged.
    pub rx_errors: u64,
    /// Dropped because no mbuf was free.
    pub rx_no_mbuf: u64,
    /// Not sent although taken.
    pub tx_errors: u64,
}

/// Why a device does not start. Each names the devargs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Text that cannot be devargs.
    #[error("device {0:?}: devargs are empty or hold a NUL byte")]
    Devargs(String),
    /// No such device: no driver knows a vdev of this name, or no PCI device has this address.
    #[error("device {devargs:?} does not exist: {reason}")]
    Absent {
        /// As configured.
        devargs: String,
        /// DPDK's reason.
        reason: String,
    },
    /// Its driver refused it (the interface or file that its arguments name is missing, say). The EAL's log says more.
    #[error("device {devargs:?}: its driver refuses it: {reason}")]
    Probe {
        /// As configured.
        devargs: String,
        /// DPDK's reason.
        reason: String,
    },
    /// It was started already.
    #[error("device {0:?} is already in use")]
    InUse(String),
    /// The MTU is beyond the device or the pools' buffers.
    #[error("device {devargs:?}: MTU {mtu} is not within {least} to {most}")]
    Mtu {
        /// As configured.
        devargs: String,
        /// Wanted.
        mtu: u16,
        /// Least that the device allows.
        least: u16,
        /// Most that the device allows and a buffer holds.
        most: u16,
    },
    /// It has no queue pair, or none was asked for.
    #[error("device {0:?}: no queue pair")]
    NoQueues(String),
    /// A step of its start failed.
    #[error("device {devargs:?}: {step}: {reason}")]
    Step {
        /// As configured.
        devargs: String,
        /// What was tried.
        step: &'static str,
        /// DPDK's reason.
        reason: String,
    },
}

/// Control side of a started device. Any thread; not for workers (calls wait for each other on one lock).
#[derive(Clone, Debug)]
pub struct Device {
    started: Arc<Started>,
    mac: [u8; 6],
}

/// A started port. Its drop, when the last queue and [`Device`] are gone, stops and closes it.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) port: u16,
    pub(crate) offloads: Offloads,
    /// L3, bytes.
    pub(crate) mtu: u16,
    pub(crate) vdev: bool,
    /// Its peer is a guest that says what it takes.
    pub(crate) guest: bool,
    pub(crate) running: bool,
    /// What its driver may leave open.
    sockets: Vec<xdp::Socket>,
}

/// Ports in use. DPDK's control calls are not thread-safe: whoever makes one holds this lock.
static PORTS: Mutex<Vec<u16>> = Mutex::new(Vec::new());

fn ports() -> MutexGuard<'static, Vec<u16>> {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// Attaches, configures and starts a device; one queue pair for each worker that polls it. Control thread.
    pub fn start(_eal: &Eal, config: &DeviceConfig) -> Result<(Device, Vec<QueuePair>), DeviceError> {
        let devargs = config.devargs;
        let mut ports = ports();
        let port = attach(devargs)?;
        if ports.contains(&port) {
            return Err(DeviceError::InUse(devargs.to_owned()));
        }
        ports.push(port);
        let (vdev, xdp) = (eal::pci_address(devargs).is_none(), devargs.starts_with("net_af_xdp"));
        let offloads = Offloads::default();
        let mut started = Started { port, offloads, mtu: 0, vdev, guest: false, running: false, sockets: Vec::new() };
        let of_others = if xdp { xdp::sockets() } else { Vec::new() };
        let queues = set_up(config, &mut started);
        if xdp {
            // the lock keeps others from opening some meanwhile
            started.sockets.extend(xdp::sockets().into_iter().filter(|socket| !of_others.contains(socket)));
        }
        // Its drop, on failure, takes the lock itself.
        drop(ports);
        let (queues, mac) = queues?;
        let started = Arc::new(started);
        // SAFETY: `set_up` started queues 0..queues, and the port was not in use: these are their first and only handles.
        let pairs = (0..queues).map(|queue| unsafe { QueuePair::new(&started, queue, config.large) }).collect();
        Ok((Device { started, mac }, pairs))
    }

    /// The device's MAC address at its start.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Its L3 MTU in bytes.
    pub fn mtu(&self) -> u16 {
        self.started.mtu
    }

    /// Whether the link is up; absent when the device cannot say.
    pub fn link_up(&self) -> Option<bool> {
        let _lock = ports();
        // SAFETY: the port is started; the lock keeps other control calls away.
        match unsafe { sys::vr_link_up(self.started.port) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// The device's own counters; zeros when it keeps none.
    pub fn counters(&self) -> Counters {
        let mut stats = sys::rte_eth_stats::default();
        let _lock = ports();
        // SAFETY: the port is started; DPDK fills the struct, whose size both sides took from the same header.
        let failed = unsafe { sys::rte_eth_stats_get(self.started.port, &mut stats) };
        if failed != 0 {
            return Counters::default();
        }
        Counters {
            received: stats.ipackets,
            sent: stats.opackets,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            rx_no_mbuf: stats.rx_nombuf,
            tx_errors: stats.oerrors,
        }
    }

    /// Whether its peer is a guest, which comes and goes with its queues.
    pub fn has_guest(&self) -> bool {
        self.started.guest
    }

    /// Offloads that are on.
    pub fn offloads(&self) -> Offloads {
        self.started.offloads
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let mut ports = ports();
        let info = device_info(self.port);
        if self.running {
            // SAFETY: no queue handle is left, so nobody polls the port; the lock keeps other control calls away.
            unsafe { sys::rte_eth_dev_stop(self.port) };
        }
        if self.guest {
            // SAFETY: as above; `set_up` registered what this takes back.
            unsafe { sys::vr_guest_forget(self.port) };
        }
        // SAFETY: as above, and the port is stopped.
        unsafe { sys::rte_eth_dev_close(self.port) };
        // A PCI device may carry further ports and stays attached; a vdev goes, so that it can be started anew.
        if let (true, Ok(info)) = (self.vdev, info) {
            // SAFETY: the device was probed by `attach` and not removed since: `ports` admits one Started a port.
            unsafe { sys::rte_dev_remove(info.device) };
        }
        xdp::close(&self.sockets);
        ports.retain(|&port| port != self.port);
        drop(ports);
        if !self.sockets.is_empty() {
            // else it cannot be opened again at once
            xdp::wait_for_release();
        }
    }
}
