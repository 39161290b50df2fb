//! When routes last changed, by stripes of addresses: so that a changed route is noticed by the flows that it may concern, and by few others.
//!
//! A VRF's stamp says that something in it changed since a flow was decided; that is all that is asked while nothing does. Where it says
//! so, the stripes of the flow's addresses tell whether it was a route there. An address has one stripe with IPv4 (of its /24) and two with
//! IPv6 (of its /64 and its /40), out of one array for all VRFs: stripes that share a place make flows be decided again for nothing, never
//! the other way round. Eight stripes that follow each other share a cache line, so that those of a network are few lines.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::ids::{Generation, VrfId};

/// The generation of the last change in each stripe. The control thread writes it before it publishes that generation, workers read it: who
/// has the snapshot has the stamps, as both come by the same pointer; who has an older snapshot may see newer stamps, and decides again by
/// what it has.
#[derive(Default)]
pub struct Stripes {
    lines: Box<[Line]>,
}

/// A cache line of stamps.
#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; 8]);

/// How IPv4 addresses, and IPv6 ones twice, are cut into stripes: bits of the address that all of a stripe have in common, and the shortest
/// prefix that is a change of its stripes, each of them.
struct Cut {
    bits: u8,
    shortest: u8,
}

const V4: Cut = Cut { bits: 24, shortest: 8 };
/// Networks of one link, and what providers hand out.
const V6_NEAR: Cut = Cut { bits: 64, shortest: 56 };
const V6_FAR: Cut = Cut { bits: 40, shortest: 32 };

impl Stripes {
    /// For so many routes in all VRFs: at most 2 MiB. Control thread.
    pub fn for_routes(routes: usize) -> Stripes {
        let count = (routes / 4).next_power_of_two().clamp(1 << 10, 1 << 18);
        Stripes { lines: (0..count / 8).map(|_| Line::default()).collect() }
    }

    /// Notes that the route of this prefix has changed. False: too many addresses are concerned, all flows of the VRF must notice. Control
    /// thread, before this generation is published.
    pub fn raise_v4(&self, vrf: VrfId, address: u32, length: u8, now: Generation) -> bool {
        self.raise(vrf, u64::from(address >> (32 - V4.bits)), length, &V4, now)
    }

    /// The same with IPv6.
    pub fn raise_v6(&self, vrf: VrfId, address: u128, length: u8, now: Generation) -> bool {
        let cut = if length >= V6_NEAR.shortest { V6_NEAR } else { V6_FAR };
        self.raise(vrf, (address >> (128 - cut.bits)) as u64, length, &cut, now)
    }

    /// The stripes from this one on, as many as a prefix of this length has.
    #[inline(always)]
    fn raise(&self, vrf: VrfId, first: u64, length: u8, cut: &Cut, now: Generation) -> bool {
        if length < cut.shortest || self.lines.is_empty() {
            return false;
        }
        let within = cut.bits.saturating_sub(length);
        let (first, count) = (first >> within << within, 1_u64 << within);
        // as many as are a power of two, and begin where that many do: all of one line, or whole lines
        for line in first / 8..first / 8 + count.div_ceil(8) {
            let Some(Line(stamps)) = self.line(vrf, line, cut.bits) else { continue };
            for stamp in stamps.iter().skip(first as usize % 8).take(count as usize) {
                // relaxed: the pointer to the snapshot carries it
                stamp.store(now.0, Relaxed);
            }
        }
        true
    }

    /// The generation in which a route to this address may have changed last, but for those of wide prefixes. Any thread.
    #[inline(always)]
    pub fn last(&self, vrf: VrfId, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => self.last_v4(vrf, address.to_bits()),
            IpAddr::V6(address) => self.last_v6(vrf, (address.to_bits() >> 64) as u64),
        }
    }

    /// The same of an IPv4 address as a number.
    #[inline(always)]
    pub fn last_v4(&self, vrf: VrfId, address: u32) -> u64 {
        self.read(vrf, (address >> 8).into(), V4.bits)
    }

    /// The same of the upper half of an IPv6 address.
    #[inline(always)]
    pub fn last_v6(&self, vrf: VrfId, upper: u64) -> u64 {
        self.read(vrf, upper, V6_NEAR.bits).max(self.read(vrf, upper >> 24, V6_FAR.bits))
    }

    #[inline(always)]
    fn read(&self, vrf: VrfId, stripe: u64, bits: u8) -> u64 {
        self.stamp(vrf, stripe, bits).map_or(0, |stamp| stamp.load(Relaxed))
    }

    #[inline(always)]
    fn stamp(&self, vrf: VrfId, stripe: u64, bits: u8) -> Option<&AtomicU64> {
        Some(&self.line(vrf, stripe >> 3, bits)?.0[stripe as usize % 8])
    }

    /// Of eight stripes, from the one with eight times this number on.
    #[inline(always)]
    fn line(&self, vrf: VrfId, line: u64, bits: u8) -> Option<&Line> {
        let salt = (u64::from(vrf.0) << 8 | u64::from(bits)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (line ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.lines.get((((mixed >> 32) * self.lines.len() as u64) >> 32) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use proptest::prelude::*;

    fn holds(prefix: IpAddr, length: u8, address: IpAddr) -> bool {
        match (prefix, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(length)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(length)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    fn raise(stripes: &Stripes, vrf: VrfId, prefix: IpAddr, length: u8, now: u64) -> bool {
        match prefix {
            IpAddr::V4(address) => stripes.raise_v4(vrf, address.to_bits(), length, Generation(now)),
            IpAddr::V6(address) => stripes.raise_v6(vrf, address.to_bits(), length, Generation(now)),
        }
    }

    fn check(prefix: IpAddr, length: u8, addresses: impl IntoIterator<Item = IpAddr>) {
        let stripes = Stripes::for_routes(1 << 20);
        let vrf = VrfId(7);
        let narrow = raise(&stripes, vrf, prefix, length, 9);
        assert_eq!(narrow, length >= if prefix.is_ipv4() { V4.shortest } else { V6_FAR.shortest });
        for address in addresses {
            let noticed = stripes.last(vrf, address) == 9;
            assert!(noticed || !narrow || !holds(prefix, length, address), "{address} in {prefix}/{length}");
        }
    }

    proptest! {
        #[test]
        fn every_address_of_a_prefix_notices(bits: u128, length in 0_u8..=128, others in prop::collection::vec(any::<u128>(), 20)) {
            let inside = |other: u128| bits ^ other.checked_shr(length.into()).unwrap_or(0);
            check(IpAddr::V6(bits.into()), length, others.iter().map(|&other| IpAddr::V6(inside(other).into())));
            let (bits, length) = (bits as u32, length % 33);
            let inside = |other: u128| bits ^ (other as u32).checked_shr(length.into()).unwrap_or(0);
            check(IpAddr::V4(bits.into()), length, others.iter().map(|&other| IpAddr::V4(inside(other).into())));
        }
    }

    #[test]
    fn the_last_addresses_notice_too() {
        for length in [56, 57, 64, 128] {
            check(IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)), length, [IpAddr::V6(Ipv6Addr::from_bits(u128::MAX))]);
        }
        check("255.255.255.255".parse().unwrap(), 16, ["255.255.255.255".parse().unwrap()]);
    }

    #[test]
    fn few_others_notice() {
        let stripes = Stripes::for_routes(1 << 20);
        let noticed = |vrf| {
            let v4 = (0..10_000_u32).filter(|n| stripes.last_v4(vrf, n << 14) != 0).count();
            v4 + (0..10_000_u64).filter(|n| stripes.last_v6(vrf, n << 30) != 0).count()
        };
        assert!(raise(&stripes, VrfId(1), "10.1.0.0".parse().unwrap(), 16, 3));
        assert!(raise(&stripes, VrfId(1), "fd00:1::".parse().unwrap(), 48, 3));
        assert!(noticed(VrfId(1)) < 60 && noticed(VrfId(2)) < 60, "{} {}", noticed(VrfId(1)), noticed(VrfId(2)));
        // none at all: nothing is narrow
        assert!(!raise(&Stripes::default(), VrfId(1), "10.1.1.1".parse().unwrap(), 32, 3));
        assert_eq!(Stripes::default().last(VrfId(1), "10.1.1.1".parse().unwrap()), 0);
    }
}
