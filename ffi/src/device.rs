//! Network devices: attached by devargs, configured, started; stopped and closed when their last handle is gone.

use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Eal, Mempool, QueuePair, eal, error_text, sys};

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
    /// The MTU is beyond the device or the pool's buffers.
    #[error("device {devargs:?}: MTU {mtu} is not within {least} to {most}")]
    Mtu {
        /// As configured.
        devargs: String,
        /// Wanted.
        mtu: u16,
        /// Least that the device allows.
        least: u16,
        /// Most that the device allows and one buffer holds.
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
    port: u16,
    offloads: Offloads,
    vdev: bool,
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
        let mut started = Started { port, offloads: Offloads::default(), vdev: eal::pci_address(devargs).is_none() };
        let queues = set_up(config, &mut started);
        // Its drop, on failure, takes the lock itself.
        drop(ports);
        let (queues, mac) = queues?;
        let started = Arc::new(started);
        // SAFETY: `set_up` started queues 0..queues, and the port was not in use: these are their first and only handles.
        let pairs = (0..queues).map(|queue| unsafe { QueuePair::new(&started, queue) }).collect();
        Ok((Device { started, mac }, pairs))
    }

    /// The device's MAC address at its start.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Its L3 MTU in bytes.
    pub fn mtu(&self) -> u16 {
        let _lock = ports();
        mtu(self.started.port)
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

    /// Offloads that are on.
    pub fn offloads(&self) -> Offloads {
        self.started.offloads
    }
}

impl Started {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn offloads(&self) -> Offloads {
        self.offloads
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let mut ports = ports();
        let info = device_info(self.port);
        // SAFETY: no queue handle is left, so nobody polls the port; the lock keeps other control calls away.
        unsafe {
            sys::rte_eth_dev_stop(self.port);
            sys::rte_eth_dev_close(self.port);
        }
        // A PCI device may carry further ports and stays attached; a vdev goes, so that it can be started anew.
        if let (true, Ok(info)) = (self.vdev, info) {
            // SAFETY: the device was probed by `attach` and not removed since: `ports` admits one Started a port.
            unsafe { sys::rte_dev_remove(info.device) };
        }
        ports.retain(|&port| port != self.port);
    }
}

/// The port of these devargs, probed if it was not.
fn attach(devargs: &str) -> Result<u16, DeviceError> {
    let bad = || DeviceError::Devargs(devargs.to_owned());
    let name = devargs.split(',').next().filter(|name| !name.is_empty()).ok_or_else(bad)?;
    let (c_name, c_devargs) = (CString::new(name).map_err(|_| bad())?, CString::new(devargs).map_err(|_| bad())?);
    if let Some(port) = port_named(&c_name) {
        return Ok(port);
    }
    // SAFETY: the EAL runs (`Device::start` takes an Eal); DPDK copies the NUL-terminated text; the caller holds the lock.
    let failed = unsafe { sys::rte_dev_probe(c_devargs.as_ptr()) };
    let (devargs, reason) = (devargs.to_owned(), error_text(failed));
    // What DPDK 22.11 to 24.11 answer when no bus or no driver knows the name; drivers' own refusals are others.
    const EFAULT: i32 = 14;
    const ENODEV: i32 = 19;
    match failed.checked_neg() {
        Some(0) => port_named(&c_name).ok_or(DeviceError::Absent { devargs, reason: "it gave no port".to_owned() }),
        Some(EFAULT | ENODEV) => Err(DeviceError::Absent { devargs, reason }),
        _ => Err(DeviceError::Probe { devargs, reason }),
    }
}

fn port_named(name: &CStr) -> Option<u16> {
    let mut port = 0;
    // SAFETY: a NUL-terminated name; DPDK writes the port's number.
    let failed = unsafe { sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut port) };
    (failed == 0).then_some(port)
}

/// Configures and starts the port; returns its queue pairs and MAC.
fn set_up(config: &DeviceConfig, started: &mut Started) -> Result<(u16, [u8; 6]), DeviceError> {
    let step = |step: &'static str| {
        move |errno: i32| match errno {
            0.. => Ok(()),
            _ => Err(DeviceError::Step { devargs: config.devargs.to_owned(), step, reason: error_text(errno) }),
        }
    };
    let port = started.port;
    let info =
        device_info(port).or_else(|errno| step("asking its capabilities")(errno).map(|()| Default::default()))?;
    let queues = config.queue_pairs.min(info.max_rx_queues).min(info.max_tx_queues);
    if queues == 0 {
        return Err(DeviceError::NoQueues(config.devargs.to_owned()));
    }
    check_mtu(config, &info)?;
    let mut key = rss_key(&info);
    let conf = port_conf(config, &info, queues, &mut key);
    started.offloads = Offloads {
        rx_ip_checksum: conf.rxmode.offloads & sys::VR_RX_OFFLOAD_IPV4_CKSUM != 0,
        tx_ip_checksum: conf.txmode.offloads & sys::VR_TX_OFFLOAD_IPV4_CKSUM != 0,
        rss: conf.rx_adv_conf.rss_conf.rss_hf != 0,
    };
    // SAFETY: the port is attached, not started and, by the caller's lock, nobody else's; `conf` and `key` outlive the call.
    step("configuring it")(unsafe { sys::rte_eth_dev_configure(port, queues, queues, &conf) })?;
    let (mut rx_size, mut tx_size) = (config.descriptors, config.descriptors);
    // SAFETY: as above; DPDK adjusts the two numbers.
    step("sizing its queues")(unsafe { sys::rte_eth_dev_adjust_nb_rx_tx_desc(port, &mut rx_size, &mut tx_size) })?;
    // SAFETY: reads a field of an attached port.
    let socket = unsafe { sys::rte_eth_dev_socket_id(port) } as u32;
    let mut rx_conf = info.default_rxconf;
    rx_conf.offloads = conf.rxmode.offloads;
    let mut tx_conf = info.default_txconf;
    tx_conf.offloads = conf.txmode.offloads;
    for queue in 0..queues {
        let pool = config.pool.raw();
        // SAFETY: the queue is below the configured count; the pool is never freed; DPDK copies the configuration.
        step("setting up an rx queue")(unsafe {
            sys::rte_eth_rx_queue_setup(port, queue, rx_size, socket, &rx_conf, pool)
        })?;
        // SAFETY: as above.
        step("setting up a tx queue")(unsafe { sys::rte_eth_tx_queue_setup(port, queue, tx_size, socket, &tx_conf) })?;
    }
    if let Some(wanted) = config.mtu.filter(|&wanted| wanted != mtu(port)) {
        // SAFETY: the port is configured and not started.
        step("setting its MTU")(unsafe { sys::rte_eth_dev_set_mtu(port, wanted) })?;
    }
    // SAFETY: the port is configured.
    step("starting it")(unsafe { sys::rte_eth_dev_start(port) })?;
    // VIFs may have MACs that are not the device's. A device that cannot filter cannot be told not to: no error.
    // SAFETY: the port is started.
    unsafe { sys::rte_eth_promiscuous_enable(port) };
    let mut mac = sys::rte_ether_addr::default();
    // SAFETY: DPDK writes six bytes.
    step("asking its MAC")(unsafe { sys::rte_eth_macaddr_get(port, &mut mac) })?;
    Ok((queues, mac.addr_bytes))
}

fn port_conf(config: &DeviceConfig, info: &sys::rte_eth_dev_info, queues: u16, key: &mut [u8]) -> sys::rte_eth_conf {
    let mut conf = sys::rte_eth_conf::default();
    conf.rxmode.mtu = config.mtu.map_or(0, u32::from);
    conf.rxmode.offloads = info.rx_offload_capa & sys::VR_RX_OFFLOAD_IPV4_CKSUM;
    conf.txmode.offloads = info.tx_offload_capa & sys::VR_TX_OFFLOAD_IPV4_CKSUM;
    let hashes = info.flow_type_rss_offloads & sys::VR_RSS_WANTED;
    if queues > 1 && hashes != 0 {
        conf.rxmode.mq_mode = sys::VR_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = hashes;
        if !key.is_empty() {
            conf.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
            conf.rx_adv_conf.rss_conf.rss_key_len = info.hash_key_size;
        }
    }
    conf
}

/// A Toeplitz key of one repeated 16-bit word: both directions of a flow then hash alike (Woo and Park, 2012).
fn rss_key(info: &sys::rte_eth_dev_info) -> Vec<u8> {
    [0x6d, 0x5a].into_iter().cycle().take(usize::from(info.hash_key_size)).collect()
}

fn check_mtu(config: &DeviceConfig, info: &sys::rte_eth_dev_info) -> Result<(), DeviceError> {
    let Some(mtu) = config.mtu else { return Ok(()) };
    let room = usize::from(config.pool.room()) - crate::HEADROOM;
    let overhead = (sys::RTE_ETHER_HDR_LEN + sys::RTE_ETHER_CRC_LEN) as usize;
    let (least, most) = (info.min_mtu, info.max_mtu.min(room.saturating_sub(overhead) as u16));
    if (least..=most).contains(&mtu) {
        return Ok(());
    }
    Err(DeviceError::Mtu { devargs: config.devargs.to_owned(), mtu, least, most })
}

fn device_info(port: u16) -> Result<sys::rte_eth_dev_info, i32> {
    let mut info = sys::rte_eth_dev_info::default();
    // SAFETY: DPDK fills the struct, whose size both sides took from the same header; a bad port is an error.
    match unsafe { sys::rte_eth_dev_info_get(port, &mut info) } {
        0 => Ok(info),
        errno => Err(errno),
    }
}

fn mtu(port: u16) -> u16 {
    let mut mtu = 0;
    // SAFETY: DPDK writes the number; a bad port is an error, which leaves 0.
    unsafe { sys::rte_eth_dev_get_mtu(port, &mut mtu) };
    mtu
}
