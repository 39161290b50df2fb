//! The start of a device, step by step. Every function here is called with the lock of [`crate::device`] held.

use std::ffi::{CStr, CString};

use crate::device::Started;
use crate::{DeviceConfig, DeviceError, Offloads, error_text, sys};

/// What a frame has beyond its L3 packet, FCS included.
const OVERHEAD: u32 = sys::RTE_ETHER_HDR_LEN + sys::RTE_ETHER_CRC_LEN;

/// The port of these devargs, probed if it was not.
pub(crate) fn attach(devargs: &str) -> Result<u16, DeviceError> {
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
pub(crate) fn set_up(config: &DeviceConfig, started: &mut Started) -> Result<(u16, [u8; 6]), DeviceError> {
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
    // SAFETY: the port is attached and not started: no event comes yet.
    started.guest = unsafe { sys::vr_guest_watch(port) } == 0;
    let mut key = rss_key(&info);
    let mut conf = port_conf(config.mtu, &info, queues, &mut key);
    if started.guest {
        conf.rxmode.offloads |= info.rx_offload_capa & sys::VR_RX_OFFLOAD_L4_CKSUM;
        conf.txmode.offloads |= info.tx_offload_capa & sys::VR_TX_OFFLOAD_L4_CKSUM;
    }
    if spans_buffers(config) {
        conf.rxmode.offloads |= info.rx_offload_capa & sys::VR_RX_OFFLOAD_SCATTER;
    }
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
    started.mtu = set_mtu(config, started)?;
    // SAFETY: the port is configured.
    step("starting it")(unsafe { sys::rte_eth_dev_start(port) })?;
    started.running = true;
    // VIFs may have MACs that are not the device's. A device that cannot filter cannot be told not to: no error.
    // SAFETY: the port is started.
    unsafe { sys::rte_eth_promiscuous_enable(port) };
    let mut mac = sys::rte_ether_addr::default();
    // SAFETY: DPDK writes six bytes.
    step("asking its MAC")(unsafe { sys::rte_eth_macaddr_get(port, &mut mac) })?;
    Ok((queues, mac.addr_bytes))
}

fn port_conf(mtu: Option<u16>, info: &sys::rte_eth_dev_info, queues: u16, key: &mut [u8]) -> sys::rte_eth_conf {
    let mut conf = sys::rte_eth_conf::default();
    let most = info.max_rx_pktlen.saturating_sub(OVERHEAD).max(sys::RTE_ETHER_MTU);
    conf.rxmode.mtu = mtu.map_or(0, |mtu| u32::from(mtu).min(most));
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

/// Whether frames of the wanted MTU are longer than a buffer.
fn spans_buffers(config: &DeviceConfig) -> bool {
    let one = u32::from(config.pool.room()).saturating_sub(crate::HEADROOM as u32);
    config.mtu.is_some_and(|mtu| u32::from(mtu) + OVERHEAD > one)
}

fn check_mtu(config: &DeviceConfig, info: &sys::rte_eth_dev_info) -> Result<(), DeviceError> {
    let Some(mtu) = config.mtu else { return Ok(()) };
    // The kernel's rings hand a frame over in one buffer; others in several, which are put together.
    let pools = [Some(config.pool), config.large.filter(|_| !config.devargs.starts_with("net_af_"))];
    let room = pools.into_iter().flatten().map(|pool| usize::from(pool.room()) - crate::HEADROOM).max().unwrap_or(0);
    let (least, most) = (info.min_mtu, info.max_mtu.min(room.saturating_sub(OVERHEAD as usize) as u16));
    if (least..=most).contains(&mtu) {
        return Ok(());
    }
    Err(DeviceError::Mtu { devargs: config.devargs.to_owned(), mtu, least, most })
}

pub(crate) fn device_info(port: u16) -> Result<sys::rte_eth_dev_info, i32> {
    let mut info = sys::rte_eth_dev_info::default();
    // SAFETY: DPDK fills the struct, whose size both sides took from the same header; a bad port is an error.
    match unsafe { sys::rte_eth_dev_info_get(port, &mut info) } {
        0 => Ok(info),
        errno => Err(errno),
    }
}

/// Tells the device its MTU; returns the MTU that holds.
fn set_mtu(config: &DeviceConfig, started: &Started) -> Result<u16, DeviceError> {
    let Some(wanted) = config.mtu else {
        let mut mtu = 0;
        // SAFETY: DPDK writes the number; the port is configured.
        unsafe { sys::rte_eth_dev_get_mtu(started.port, &mut mtu) };
        return Ok(mtu);
    };
    // Also where the configuration says so already: net_tap obeys this call only.
    // SAFETY: the port is configured and not started.
    match unsafe { sys::rte_eth_dev_set_mtu(started.port, wanted) } {
        0 => Ok(wanted),
        // Most vdevs have no MTU, or (af_packet) cannot be told one above 1500 although they carry such frames: there it is
        // ours to keep, and the interface behind it is its owner's to set.
        _ if started.vdev => Ok(wanted),
        errno => {
            let (devargs, reason) = (config.devargs.to_owned(), error_text(errno));
            Err(DeviceError::Step { devargs, step: "setting its MTU", reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic() -> sys::rte_eth_dev_info {
        sys::rte_eth_dev_info {
            hash_key_size: 40,
            flow_type_rss_offloads: u64::MAX,
            rx_offload_capa: u64::MAX,
            tx_offload_capa: u64::MAX,
            max_rx_pktlen: 9728,
            ..Default::default()
        }
    }

    fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
        let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1 == 1;
        let window = |at: usize| (at..at + 32).fold(0, |word, at| word << 1 | u32::from(bit(key, at)));
        (0..input.len() * 8).filter(|&at| bit(input, at)).fold(0, |hash, at| hash ^ window(at))
    }

    #[test]
    fn both_directions_of_a_flow_hash_alike() {
        let key = rss_key(&nic());
        let (a, b, port_a, port_b) = ([10, 0, 0, 1], [192, 168, 7, 9], [0x12, 0x34], [0, 80]);
        let there = toeplitz(&key, &[&a[..], &b, &port_a, &port_b].concat());
        let back = toeplitz(&key, &[&b[..], &a, &port_b, &port_a].concat());
        assert_eq!(there, back);
        assert_ne!(there, toeplitz(&key, &[&a[..], &b, &port_a, &port_a].concat()));
    }

    #[test]
    fn only_what_is_advertised_is_asked_for() {
        let conf = |info: &sys::rte_eth_dev_info, queues| {
            let mut key = rss_key(info);
            port_conf(Some(1500), info, queues, &mut key)
        };
        let rich = conf(&nic(), 4);
        assert_eq!(rich.rxmode.offloads, sys::VR_RX_OFFLOAD_IPV4_CKSUM);
        assert_eq!(rich.txmode.offloads, sys::VR_TX_OFFLOAD_IPV4_CKSUM);
        assert_eq!(rich.rxmode.mq_mode, sys::VR_MQ_RX_RSS);
        assert_eq!(rich.rx_adv_conf.rss_conf.rss_hf, sys::VR_RSS_WANTED);
        assert_eq!(rich.rx_adv_conf.rss_conf.rss_key_len, 40);
        let single = conf(&nic(), 1);
        assert_eq!((single.rxmode.mq_mode, single.rx_adv_conf.rss_conf.rss_hf), (0, 0));
        let poor = conf(&Default::default(), 4);
        assert_eq!((poor.rxmode.offloads, poor.txmode.offloads, poor.rxmode.mq_mode), (0, 0, 0));
        assert!(poor.rx_adv_conf.rss_conf.rss_key.is_null());
    }
}
