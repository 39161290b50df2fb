//! The memory that a pool is said to need is what it needs.
#![cfg(feature = "dpdk")]

use vrouter::port::dpdk::{CACHE, DeviceConfig, DpdkDevice, Eal, EalConfig, PoolParts, mempool};

/// One test: the EAL starts once per process.
#[test]
fn a_pool_fits_the_memory_that_its_parts_ask_for() {
    let parts = PoolParts { queue_pairs: 8, workers: 4, held: 4096 };
    assert_eq!(parts.size(), 8 * 2 * 1024 + 4 * (384 + 128) + 4096);
    let eal = Eal::init(&EalConfig::no_huge("vt-ffi-pool", parts.eal_mib())).unwrap();
    let pool = mempool(&eal, "all", parts.size(), CACHE).unwrap();
    assert_eq!((pool.size(), pool.in_use()), (parts.size(), 0));
    let devices: Vec<_> = (0..4)
        .map(|number| {
            let devargs = format!("net_ring{number}");
            let config = DeviceConfig { name: "p", devargs: &devargs, queue_pairs: 2, mtu: Some(1500), large: None };
            DpdkDevice::start(&eal, &config, &pool).unwrap()
        })
        .collect();
    assert_eq!(devices.len(), 4);
    assert!(mempool(&eal, "more", parts.size(), CACHE).is_err(), "the memory is not far more than was asked for");
}
