//! Route tables as the Internet has them: many /24 and /48, in clusters.

use vrouter::ids::NextHopId;
use vrouter::tables::fib::{Bits, Fib};

use crate::random::Random;

/// Lengths and how many in a thousand have them, after the global IPv4 table.
const V4_LENGTHS: &[(u8, u64)] = &[
    (24, 600),
    (23, 100),
    (22, 105),
    (21, 50),
    (20, 45),
    (19, 26),
    (18, 14),
    (17, 9),
    (16, 14),
    (15, 3),
    (14, 3),
    (13, 2),
    (12, 1),
    (11, 1),
    (10, 1),
    (9, 1),
    (8, 1),
    (32, 24),
];

/// The same of IPv6.
const V6_LENGTHS: &[(u8, u64)] = &[
    (48, 470),
    (44, 80),
    (40, 90),
    (36, 40),
    (32, 115),
    (33, 30),
    (34, 25),
    (46, 45),
    (47, 35),
    (29, 30),
    (45, 20),
    (128, 20),
];

/// So many IPv4 routes.
pub fn v4(count: usize) -> Vec<(u32, u8, NextHopId)> {
    // Real tables fill some /16 and leave others: 25,000 of them, of which the first are chosen more often.
    let block = |random: &mut Random| {
        let at = random.below(25_000).min(random.below(25_000));
        (1 << 24) + (at as u32).wrapping_mul(40_503) % 57_000 * 65_536
    };
    routes(count, V4_LENGTHS, |random| block(random) | random.draw() as u16 as u32)
}

/// So many IPv6 routes, below 2000::/3.
pub fn v6(count: usize) -> Vec<(u128, u8, NextHopId)> {
    let block = |random: &mut Random| {
        let at = random.below(20_000).min(random.below(20_000));
        u128::from(0x2000_0000 | (at as u32).wrapping_mul(0x9e37_79b1) >> 4) << 96
    };
    routes(count, V6_LENGTHS, |random| {
        block(random) | u128::from(random.draw()) << 32 | u128::from(random.draw() as u32)
    })
}

/// These routes as a FIB.
pub fn fib<A: Bits>(routes: &[(A, u8, NextHopId)]) -> Fib<A> {
    let mut fib = Fib::default();
    for &(address, length, next_hop) in routes {
        fib.insert(address, length, next_hop);
    }
    fib
}

/// An address of each route, shuffled.
pub fn destinations<A: Bits>(routes: &[(A, u8, NextHopId)]) -> Vec<A> {
    let mut random = Random(7);
    let mut destinations: Vec<A> = routes.iter().map(|&(address, _, _)| address).collect();
    for at in (1..destinations.len()).rev() {
        destinations.swap(at, random.below(at as u64 + 1) as usize);
    }
    destinations
}

fn routes<A: Bits>(
    count: usize,
    lengths: &[(u8, u64)],
    mut address: impl FnMut(&mut Random) -> A,
) -> Vec<(A, u8, NextHopId)> {
    let mut random = Random(1);
    let mut known = std::collections::BTreeSet::new();
    let mut routes = Vec::with_capacity(count);
    while routes.len() < count {
        let length = random.pick(lengths);
        let address = address(&mut random);
        if known.insert((address.masked(length), length)) {
            routes.push((address, length, NextHopId(random.below(1000) as u32)));
        }
    }
    routes
}
