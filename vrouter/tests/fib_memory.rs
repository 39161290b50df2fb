//! Memory of many VRFs, as the kernel counts it: alone in its process, so that nothing else grows meanwhile.

use std::sync::Arc;

use vrouter::ids::{NextHopId, VrfId};
use vrouter::tables::{Rows, Vrf};

const VRFS: usize = 4096;
const KIB: usize = 1024;

#[test]
fn memory_of_4096_vrfs() {
    let before = resident();
    let mut empty = Rows::default();
    for id in 0..VRFS {
        empty.set(id, Some(Arc::new(vrf(id as u32))));
    }
    let bytes = resident() - before;
    println!("{} B an empty VRF", bytes / VRFS);
    assert!(bytes <= VRFS * 4 * KIB);

    let before = resident();
    let mut full = Rows::default();
    for id in 0..VRFS {
        full.set(id, Some(Arc::new(vrf_with_100_routes(id as u32))));
    }
    let bytes = resident() - before;
    println!("{} B a VRF with 100 routes", bytes / VRFS);
    assert!(bytes < 256 * KIB * KIB, "{} MiB", bytes / KIB / KIB);
    assert!(full.iter().all(|(_, vrf)| vrf.v4.len() + vrf.v6.len() == 100));
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("resident pages");
    pages * 4 * KIB
}

fn vrf(id: u32) -> Vrf {
    Vrf::new(VrfId(id), Arc::from(format!("vrf-{id}")))
}

/// 16 subnets of one /16, 64 hosts in them, 10 remote prefixes and 10 hosts of IPv6.
fn vrf_with_100_routes(id: u32) -> Vrf {
    let mut vrf = vrf(id);
    let site = 0x0a00_0000 | (id & 0xff) << 16;
    for i in 0..16 {
        vrf.v4.insert(site | i << 8, 24, NextHopId(i));
    }
    for i in 0..64_u32 {
        vrf.v4.insert(site | (i % 16) << 8 | i.wrapping_mul(101) & 0xff, 32, NextHopId(i));
    }
    for i in 0..10_u32 {
        vrf.v4.insert(0xac10_0000 | i.wrapping_mul(0x9e37_79b1) >> 14 << 2, 28, NextHopId(i));
        vrf.v6.insert(
            0xfd00 << 112 | u128::from(site) << 64 | u128::from(i.wrapping_mul(0x9e37_79b1)),
            128,
            NextHopId(i),
        );
    }
    vrf
}
