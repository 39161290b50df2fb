//! Router advertisements to tenants (RFC 4861, section 6.2): asked for, unasked at random times, and the last ones.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use smoltcp::time::Duration;
use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, Icmpv6Message, Icmpv6Packet, NdiscOption, NdiscOptionRepr, NdiscPrefixInfoFlags,
    NdiscPrefixInformation, NdiscRouterFlags,
};

use super::{Output, emit, nd};
use crate::ids::{Generation, Mac, VifId};
use crate::tables::{RouterAdvertisement, Snapshot, Vif};

/// The first ones of a router are at most this far apart (MAX_INITIAL_RTR_ADVERT_INTERVAL).
const INITIAL_INTERVAL_MS: u64 = 16_000;
/// How many are the first ones, also after a change (MAX_INITIAL_RTR_ADVERTISEMENTS).
const INITIAL: u8 = 3;
/// How many say that we are no router any more (MAX_FINAL_RTR_ADVERTISEMENTS).
const FINAL: u8 = 3;
/// Between two to everybody on a link (MIN_DELAY_BETWEEN_RAS).
const MIN_DELAY_MS: u64 = 3000;
/// A solicitation waits at most this long for its answer (MAX_RA_DELAY_TIME).
const ANSWER_DELAY_MS: u64 = 500;
/// The first one of a VIF comes within this time, so that many VIFs made together do not speak at once.
const START_MS: u64 = 1000;
/// Advertisements of one tick; others wait for the next.
const MOST_A_TICK: usize = 256;
/// Hop limit that hosts are told to use.
const CUR_HOP_LIMIT: u8 = 64;

/// The VIFs that advertise, or ceased to do so just now.
#[derive(Default)]
pub(super) struct Routers {
    links: BTreeMap<VifId, Link>,
    /// The snapshot that they were last compared with.
    generation: Option<Generation>,
    /// Nothing is due before.
    next_due: u64,
    chance: u64,
}

struct Link {
    says: Says,
    phase: Phase,
    due: u64,
    sent_at: Option<u64>,
}

/// What is advertised.
#[derive(Clone, PartialEq, Eq)]
struct Says {
    advertisement: Arc<RouterAdvertisement>,
    from: Ipv6Addr,
    mac: Mac,
    mtu: u16,
}

/// Which advertisements come next, and how many more of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Initial(u8),
    Steady,
    Final(u8),
}

impl Says {
    fn of(vif: &Vif) -> Option<Says> {
        let advertisement = vif.advertise.clone()?;
        Some(Says { advertisement, from: vif.gateway_link_local?, mac: vif.our_mac, mtu: vif.mtu })
    }
}

impl Link {
    /// Now, or as soon as the last one is long enough ago; `delay` more.
    fn soonest(&self, now: u64, delay: u64) -> u64 {
        self.sent_at.map_or(now, |at| now.max(at + MIN_DELAY_MS)) + delay
    }
}

impl Routers {
    /// A sound solicitation came in by this VIF. False: we are no router there.
    pub(super) fn solicited(&mut self, vif: VifId, now: u64) -> bool {
        let delay = self.random(0, ANSWER_DELAY_MS);
        match self.links.get_mut(&vif) {
            None | Some(Link { phase: Phase::Final(_), .. }) => false,
            Some(link) => {
                link.due = link.due.min(link.soonest(now, delay));
                self.next_due = self.next_due.min(link.due);
                true
            }
        }
    }

    /// Sends what is due.
    pub(super) fn tick(&mut self, snapshot: &Snapshot, now: u64, out: &mut Vec<Output>) {
        if self.generation != Some(snapshot.generation) {
            self.generation = Some(snapshot.generation);
            self.follow(snapshot, now, out);
        }
        if now < self.next_due {
            return;
        }
        let due = self.links.iter().filter(|(_, link)| link.due <= now).map(|(vif, _)| *vif).take(MOST_A_TICK);
        for vif in due.collect::<Vec<_>>() {
            self.send(vif, now, out);
        }
        self.next_due = self.links.values().map(|link| link.due).min().unwrap_or(u64::MAX);
    }

    /// Begins and ends with the VIFs' settings.
    fn follow(&mut self, snapshot: &Snapshot, now: u64, out: &mut Vec<Output>) {
        self.links.retain(|vif, _| snapshot.vifs.row(vif.index()).is_some());
        for (_, vif) in snapshot.vifs.iter() {
            let delay = self.random(0, START_MS);
            match (Says::of(vif), self.links.get_mut(&vif.id)) {
                (None, None) => {}
                (Some(says), None) => {
                    let link = Link { says, phase: Phase::Initial(INITIAL), due: now + delay, sent_at: None };
                    self.links.insert(vif.id, link);
                }
                (Some(says), Some(link)) if link.says == says && !matches!(link.phase, Phase::Final(_)) => {}
                (Some(says), Some(link)) => {
                    if link.says.from != says.from && link.sent_at.is_some() {
                        // the router with the old address is no more (section 6.2.8)
                        out.push(Output::Frame { vif: vif.id, bytes: frame(&link.says, 0) });
                    }
                    (link.says, link.phase) = (says, Phase::Initial(INITIAL));
                    link.due = link.soonest(now, delay.min(ANSWER_DELAY_MS));
                }
                (None, Some(Link { sent_at: None, .. })) => drop(self.links.remove(&vif.id)),
                (None, Some(link)) if !matches!(link.phase, Phase::Final(_)) => {
                    (link.phase, link.due) = (Phase::Final(FINAL), link.soonest(now, 0));
                }
                (None, Some(_)) => {}
            }
        }
        self.next_due = now;
    }

    fn send(&mut self, vif: VifId, now: u64, out: &mut Vec<Output>) {
        let Some(most) = self.links.get(&vif).map(|link| u64::from(link.says.advertisement.max_interval()) * 1000)
        else {
            return;
        };
        // MinRtrAdvInterval: a third of the longest, or three quarters where that is short; never below 3 s
        let least = if most >= 9000 { most / 3 } else { most * 3 / 4 };
        let interval = self.random(least.max(MIN_DELAY_MS), most);
        let Some(link) = self.links.get_mut(&vif) else { return };
        link.sent_at = Some(now);
        link.due = now + interval;
        let mut lifetime = link.says.advertisement.lifetime();
        match link.phase {
            Phase::Initial(left) => {
                link.due = now + interval.min(INITIAL_INTERVAL_MS);
                link.phase = if left > 1 { Phase::Initial(left - 1) } else { Phase::Steady };
            }
            Phase::Steady => {}
            Phase::Final(left) => {
                (lifetime, link.due, link.phase) = (0, now + MIN_DELAY_MS, Phase::Final(left - 1));
            }
        }
        out.push(Output::Frame { vif, bytes: frame(&link.says, lifetime) });
        if link.phase == Phase::Final(0) {
            self.links.remove(&vif);
        }
    }

    /// Anything from `low` to `high`, for timers that must not keep step (xorshift).
    fn random(&mut self, low: u64, high: u64) -> u64 {
        let mut chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        self.chance = chance;
        low + chance % (high.saturating_sub(low) + 1)
    }
}

/// A router advertisement to everybody on the link as an Ethernet frame (RFC 4861, section 4.2).
fn frame(says: &Says, lifetime: u16) -> Vec<u8> {
    let mut flags = NdiscRouterFlags::empty();
    flags.set(NdiscRouterFlags::MANAGED, says.advertisement.managed);
    flags.set(NdiscRouterFlags::OTHER, says.advertisement.other);
    let prefixes = says.advertisement.prefixes.iter().map(|prefix| {
        let mut flags = NdiscPrefixInfoFlags::empty();
        flags.set(NdiscPrefixInfoFlags::ON_LINK, prefix.on_link);
        flags.set(NdiscPrefixInfoFlags::ADDRCONF, prefix.autonomous);
        NdiscOptionRepr::PrefixInformation(NdiscPrefixInformation {
            prefix_len: prefix.length,
            flags,
            valid_lifetime: Duration::from_secs(prefix.valid_lifetime().into()),
            preferred_lifetime: Duration::from_secs(prefix.preferred_lifetime().into()),
            prefix: prefix.address,
        })
    });
    let mac = NdiscOptionRepr::SourceLinkLayerAddr(EthernetAddress(says.mac.0).into());
    let options: Vec<_> = [mac, NdiscOptionRepr::Mtu(says.mtu.into())].into_iter().chain(prefixes).collect();
    let header = 16;
    let mut bytes = vec![0; header + options.iter().map(NdiscOptionRepr::buffer_len).sum::<usize>()];
    let mut at = header;
    for option in &options {
        let end = at + option.buffer_len();
        option.emit(&mut NdiscOption::new_unchecked(&mut bytes[at..end]));
        at = end;
    }
    let mut icmp = Icmpv6Packet::new_unchecked(bytes.as_mut_slice());
    icmp.set_msg_type(Icmpv6Message::RouterAdvert);
    icmp.set_msg_code(0);
    icmp.set_current_hop_limit(CUR_HOP_LIMIT);
    icmp.set_router_flags(flags);
    icmp.set_router_lifetime(Duration::from_secs(lifetime.into()));
    icmp.fill_checksum(&says.from, &nd::ALL_NODES);
    let packet = emit::ipv6(says.from, nd::ALL_NODES, nd::HOP_LIMIT, 0, &bytes);
    emit::ethernet(nd::group_mac(nd::ALL_NODES), says.mac, EthernetProtocol::Ipv6, &packet)
}
