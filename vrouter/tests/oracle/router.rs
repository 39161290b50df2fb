//! Router advertisements to tenants (RFC 4861, section 6.2). When one comes is the product's choice within the bounds of the RFC; what it
//! says is not.
//!
//! The first three are 16 s apart at most, later ones the interval at most, none follows another within 3 s. A solicitation is answered
//! to all within half a second. What changes is told as at first. Where it ends, three more say so, one each 3 s.

use std::net::{IpAddr, Ipv6Addr};

use super::choice::Free;
use super::config::{Advertisement, Vif};
use super::headers::{self, Mac, Reason};
use super::{Oracle, Sent, emit};

const SECOND: u64 = 1000;
/// MAX_INITIAL_RTR_ADVERT_INTERVAL.
const INITIAL_INTERVAL: u64 = 16 * SECOND;
/// MIN_DELAY_BETWEEN_RAS.
const LEAST_DELAY: u64 = 3 * SECOND;
/// MAX_RA_DELAY_TIME.
const ANSWER_DELAY: u64 = SECOND / 2;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What a VIF says, and from whom.
#[derive(Clone, Debug, PartialEq)]
struct Says {
    advertisement: Advertisement,
    from: Ipv6Addr,
    mac: Mac,
    mtu: u16,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// So many of the first ones have been sent.
    First(u32),
    /// So many of the last ones are left.
    Last(u32),
}

/// We as the router of a VIF's link.
#[derive(Clone, Debug)]
pub struct Router {
    says: Says,
    phase: Phase,
    /// When the next one may come, and when it must have.
    earliest: u64,
    latest: u64,
    sent_at: Option<u64>,
    asked: bool,
}

impl Router {
    fn soonest(&self, now: u64) -> u64 {
        self.sent_at.map_or(now, |at| now.max(at + LEAST_DELAY))
    }
}

impl Oracle {
    /// A sound solicitation of a tenant.
    pub(super) fn router_asked(&mut self, vif: u32) -> Result<(), Reason> {
        let now = self.now;
        match self.routers.get_mut(&vif) {
            Some(router) if matches!(router.phase, Phase::First(_)) => {
                let soonest = router.soonest(now);
                router.earliest = router.earliest.min(soonest);
                router.latest = router.latest.min(soonest + ANSWER_DELAY);
                router.asked = true;
                Ok(())
            }
            _ => Err("neighbour_not_ours"),
        }
    }

    /// Begins and ends with the configuration, and sends what is due.
    pub(super) fn routers_due(&mut self) {
        let vifs = self.config.vifs.clone();
        self.routers.retain(|vif, _| vifs.contains_key(vif));
        for vif in vifs.values() {
            self.follow(vif);
        }
        for vif in self.routers.keys().copied().collect::<Vec<_>>() {
            let router = &self.routers[&vif];
            let lifetime = if let Phase::Last(_) = router.phase { 0 } else { router.says.advertisement.lifetime };
            let sent = Sent { port: vifs[&vif].port, bytes: frame(&router.says, lifetime) };
            if self.now >= router.latest
                || self.now >= router.earliest && self.came.contains(&self.on_wire(sent.port, sent.bytes.clone()).0)
            {
                self.advertise(vif, sent);
            }
        }
    }

    fn follow(&mut self, vif: &Vif) {
        let now = self.now;
        let mac = self.config.our_mac(vif);
        let says = vif.advertisement.clone().zip(vif.gateway_link_local);
        let says = says.map(|(advertisement, from)| Says { advertisement, from, mac, mtu: vif.mtu });
        match (says, self.routers.get_mut(&vif.id)) {
            (None, None) => {}
            (Some(says), None) => {
                let (phase, latest) = (Phase::First(0), now + INITIAL_INTERVAL);
                let router = Router { says, phase, earliest: now, latest, sent_at: None, asked: false };
                self.routers.insert(vif.id, router);
            }
            (Some(says), Some(router)) => {
                if router.says == says && !matches!(router.phase, Phase::Last(_)) {
                    return;
                }
                // the router with the old address is no more (section 6.2.8)
                let moved = router.says.from != says.from && router.sent_at.is_some();
                let old = std::mem::replace(&mut router.says, says);
                router.phase = Phase::First(0);
                router.earliest = router.soonest(now);
                router.latest = router.earliest + INITIAL_INTERVAL;
                if moved {
                    self.feature("router_moved");
                    self.send(vif.port, frame(&old, 0), Free::default(), None);
                }
            }
            (None, Some(router)) if router.sent_at.is_none() => {
                self.routers.remove(&vif.id);
            }
            (None, Some(router)) => {
                if let Phase::First(_) = router.phase {
                    router.phase = Phase::Last(3);
                    router.earliest = router.soonest(now);
                    router.latest = router.earliest;
                }
            }
        }
    }

    fn advertise(&mut self, vif: u32, sent: Sent) {
        let now = self.now;
        let Some(router) = self.routers.get_mut(&vif) else { return };
        let interval = router.says.advertisement.max_interval * SECOND;
        router.sent_at = Some(now);
        router.earliest = now + LEAST_DELAY;
        let asked = std::mem::take(&mut router.asked);
        let feature = match router.phase {
            Phase::First(count) => {
                router.latest = now + if count < 2 { interval.min(INITIAL_INTERVAL) } else { interval };
                router.phase = Phase::First(count.saturating_add(1));
                if asked { "router_asked" } else { "router_unasked" }
            }
            Phase::Last(left) => {
                (router.latest, router.phase) = (router.earliest, Phase::Last(left - 1));
                "router_ends"
            }
        };
        if router.phase == Phase::Last(0) {
            self.routers.remove(&vif);
        }
        self.feature(feature);
        self.send(sent.port, sent.bytes, Free::default(), None);
    }
}

/// To everybody on the link (RFC 4861, sections 4.2 and 4.6): our MAC, the MTU, and the prefixes.
fn frame(says: &Says, lifetime: u16) -> Vec<u8> {
    let given = &says.advertisement;
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let mut message = vec![134, 0, 0, 0, emit::TTL, flag(given.managed, 0x80) | flag(given.other, 0x40)];
    message.extend(lifetime.to_be_bytes());
    message.extend([0; 8]);
    message.extend([1, 1]);
    message.extend(says.mac);
    message.extend([5, 1, 0, 0]);
    message.extend(u32::from(says.mtu).to_be_bytes());
    for prefix in &given.prefixes {
        message.extend([3, 4, prefix.length, flag(prefix.on_link, 0x80) | flag(prefix.autonomous, 0x40)]);
        message.extend(prefix.valid.to_be_bytes());
        message.extend(prefix.preferred.to_be_bytes());
        message.extend([0; 4]);
        message.extend(prefix.address.octets());
    }
    let packet = emit::icmp(IpAddr::V6(says.from), IpAddr::V6(ALL_NODES), 0, 255, &message);
    emit::ethernet([0x33, 0x33, 0, 0, 0, 1], says.mac, headers::IPV6, &packet)
}
