//! The safe types alone: an EAL without huge pages, a loopback port, mbufs there and back.

use ffi::{Device, DeviceConfig, DeviceError, Eal, EalConfig, EalError, Mempool, MempoolConfig};

/// One test: the EAL starts once per process.
#[test]
fn mbufs_move_through_a_ring_and_all_come_back() {
    let name = format!("vt-ffi-{}", std::process::id());
    let affinity = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let allowed = |status: String| status.lines().find(|l| l.starts_with("Cpus_allowed:")).unwrap().to_owned();
    let before = allowed(affinity());
    let eal = Eal::init(&EalConfig::no_huge(&name, 64)).unwrap();
    assert_eq!(allowed(affinity()), before, "the EAL's pinning is undone");
    assert_eq!(Eal::init(&EalConfig::no_huge(&name, 64)).unwrap_err(), EalError::AlreadyStarted);

    let pool = Mempool::create(&eal, &MempoolConfig { name: "loopback", size: 1023, cache: 32, room: 2176 }).unwrap();
    assert_eq!(pool.in_use(), 0);
    let config = DeviceConfig { devargs: "net_ring0", queue_pairs: 2, mtu: None, descriptors: 256, pool, large: None };
    for _ in 0..2 {
        let (device, mut pairs) = Device::start(&eal, &config).unwrap();
        assert_eq!(Device::start(&eal, &config).unwrap_err(), DeviceError::InUse("net_ring0".to_owned()));
        // A worker's life: registered, so that its mempool cache is used; twice is refused.
        std::thread::scope(|scope| {
            let pair = &mut pairs[1];
            scope.spawn(move || {
                let _lcore = ffi::register_thread(&eal).unwrap();
                assert!(ffi::register_thread(&eal).is_err());
                let mut mbufs = Vec::with_capacity(32);
                for byte in 0..20_u8 {
                    let mut mbuf = pool.alloc().unwrap();
                    mbuf.room_mut()[100..160].fill(byte);
                    mbuf.set_window(100, 60);
                    mbufs.push(mbuf);
                }
                assert_eq!(pair.tx.tx_burst(&mut mbufs), 20);
                assert!(mbufs.is_empty());
                assert_eq!(pool.in_use(), 20);
                assert_eq!(pair.rx.rx_burst(&mut mbufs, 16).received, 16);
                assert_eq!(pair.rx.rx_burst(&mut mbufs, 32).received, 4);
                for (byte, mbuf) in mbufs.iter().enumerate() {
                    assert_eq!((mbuf.data_off(), mbuf.data_len()), (100, 60));
                    assert_eq!(mbuf.room()[100..160], [byte as u8; 60]);
                }
            });
        });
        assert_eq!(device.counters().received, 20);
        assert_eq!(device.link_up(), Some(true));
        drop(pairs);
        drop(device);
        assert_eq!(pool.in_use(), 0);
    }
}
