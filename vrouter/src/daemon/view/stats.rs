//! Counters as the API tells them.

use std::collections::BTreeMap;

use super::vrf_name;
use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::counters::Counters;
use crate::drops::DropReason;
use crate::ids::{VifId, VrfId};
use crate::tables::Snapshot;

/// What the VIFs' rows of counters held when their present owners came: rows are reused.
pub struct Baselines {
    rows: Vec<Baseline>,
}

#[derive(Clone, Default)]
struct Baseline {
    vif: Option<VifId>,
    sums: Sums,
}

/// One VIF's counters, all threads together.
#[derive(Clone, Default)]
struct Sums {
    traffic: [u64; 11],
    drops: Vec<u64>,
    /// The slow path's part of them, all reasons together.
    punts_dropped: u64,
}

/// What only the control thread knows.
pub struct SlowPath<'a> {
    /// Its own drops.
    pub counters: &'a Counters,
    pub originated: u64,
    pub consumed: u64,
    /// Frames on their way to it, with it, or on their way back.
    pub held: u64,
}

impl Baselines {
    /// For this many rows, none owned.
    pub fn new(slots: usize) -> Baselines {
        Baselines { rows: vec![Baseline::default(); slots] }
    }

    /// To be called when VIFs came or went, before their first packet is counted: new owners begin at zero.
    pub fn renew(&mut self, shared: &Shared, own: &Counters, snapshot: &Snapshot) {
        for (_, vif) in snapshot.vifs.iter() {
            if let Some(row) = self.rows.get_mut(vif.slot).filter(|row| row.vif != Some(vif.id)) {
                shared.accounts.renew(vif);
                *row = Baseline { vif: Some(vif.id), sums: Sums::of(shared, own, vif.slot) };
            }
        }
    }
}

impl Sums {
    fn of(shared: &Shared, own: &Counters, slot: usize) -> Sums {
        let mut sums = Sums { traffic: [0; 11], drops: vec![0; DropReason::COUNT], punts_dropped: 0 };
        for counters in shared.workers.iter().map(|end| &end.counters).chain([own]) {
            let vif = counters.vif(slot);
            let books = [&vif.forwarded, &vif.punted, &vif.returned, &vif.pieces, &vif.copied];
            let fragments = [&vif.fragments_held, &vif.fragments_released];
            let traffic = [&vif.rx_packets, &vif.rx_bytes, &vif.tx_packets, &vif.tx_bytes];
            let traffic = traffic.into_iter().chain(books).chain(fragments);
            sums.traffic.iter_mut().zip(traffic).for_each(|(sum, counter)| *sum += counter.count());
            sums.drops.iter_mut().zip(DropReason::ALL).for_each(|(sum, &reason)| *sum += vif.dropped(reason));
        }
        sums.punts_dropped = DropReason::ALL.iter().map(|&reason| own.vif(slot).dropped(reason)).sum();
        sums
    }

    fn since(mut self, before: &Sums) -> Sums {
        self.traffic.iter_mut().zip(before.traffic).for_each(|(sum, before)| *sum -= before);
        self.drops.iter_mut().zip(&before.drops).for_each(|(sum, before)| *sum -= before);
        self.punts_dropped -= before.punts_dropped;
        self
    }
}

/// VIF counters, drops by reason, VIF and VRF, workers, the flow table, conservation; ports are added by whoever has devices.
pub fn stats(shared: &Shared, slow: &SlowPath<'_>, baselines: &Baselines, snapshot: &Snapshot) -> v1::StatsReply {
    let mut vifs = Vec::new();
    let mut drops = Vec::new();
    // each row is read once, so that the sum and its parts agree while workers go on
    let rows: Vec<Sums> = (0..=shared.vif_slots).map(|slot| Sums::of(shared, slow.counters, slot)).collect();
    let mut nameless = vec![0_u64; DropReason::COUNT];
    for sums in &rows {
        nameless.iter_mut().zip(&sums.drops).for_each(|(sum, more)| *sum += more);
    }
    let tunnelled = tunnelled(shared);
    for (_, vif) in snapshot.vifs.iter() {
        let sums = rows[vif.slot].clone().since(&baselines.rows[vif.slot].sums);
        for (&reason, &packets) in DropReason::ALL.iter().zip(&sums.drops).filter(|(_, packets)| **packets > 0) {
            nameless[reason as usize] -= packets;
            let of = (vif.id, reason as u8);
            let by_vrf = tunnelled.range((of, VrfId(0))..=(of, VrfId(u32::MAX)));
            let there = by_vrf.filter(|((_, vrf), _)| snapshot.vrfs.row(vrf.index()).is_some());
            let mut rest = packets;
            for ((_, vrf), packets) in there.map(|(of, packets)| (of, *packets)).chain([(&(of, vif.vrf), u64::MAX)]) {
                // counted beside the sum of all
                let packets = packets.min(rest);
                rest -= packets;
                if packets > 0 {
                    let (vif, vrf) = (vif.name.to_string(), vrf_name(snapshot, *vrf));
                    drops.push(v1::DropCount { reason: reason.name().into(), vif, packets, vrf });
                }
            }
        }
        let [rx_packets, rx_bytes, tx_packets, tx_bytes, books @ ..] = sums.traffic;
        let [forwarded, punted, returned, pieces, copied, fragments_held, fragments_released] = books;
        let dropped = sums.drops.iter().sum();
        vifs.push(v1::VifStats {
            vif: vif.name.to_string(),
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
            dropped,
            forwarded,
            punted,
            returned,
            copied,
            punts_dropped: sums.punts_dropped,
            pieces,
            fragments_held,
            fragments_released,
        });
    }
    for (&reason, &packets) in DropReason::ALL.iter().zip(&nameless).filter(|(_, packets)| **packets > 0) {
        drops.push(v1::DropCount { reason: reason.name().into(), packets, ..v1::DropCount::default() });
    }
    v1::StatsReply {
        learning: None,
        generation: snapshot.generation.0,
        vifs,
        drops,
        workers: workers(shared),
        flows: Some(flow_table(shared)),
        ports: Vec::new(),
        quotas: Vec::new(),
        verdicts: None,
        conservation: Some(conservation(shared, slow)),
    }
}

/// Drops of what came out of tunnels, all workers together: by VIF and reason, and the VRF.
fn tunnelled(shared: &Shared) -> BTreeMap<((VifId, u8), VrfId), u64> {
    let mut sums = BTreeMap::new();
    for (of, frames) in shared.workers.iter().flat_map(|end| end.vrf_drops.read()) {
        *sums.entry(((of.vif, of.reason as u8), of.vrf)).or_default() += frames;
    }
    sums
}

fn workers(shared: &Shared) -> Vec<v1::WorkerStats> {
    let row = |(index, end): (usize, &crate::datapath::shared::WorkerEnd)| {
        let worker = &end.counters.worker;
        v1::WorkerStats {
            worker: index as u32,
            polls: worker.polls.count(),
            busy_polls: worker.busy_polls.count(),
            rx_packets: worker.received.count(),
            tx_packets: worker.sent.count(),
            flow_hits: worker.flow_hits.count(),
            flow_misses: worker.flow_misses.count(),
            revalidated: worker.revalidated.count(),
            overlooked: worker.overlooked.count(),
            generation: worker.generation.load(std::sync::atomic::Ordering::Relaxed),
        }
    };
    shared.workers.iter().enumerate().map(row).collect()
}

fn flow_table(shared: &Shared) -> v1::FlowTableStats {
    let (narrow, wide) = (shared.flows.narrow(), shared.flows.wide());
    let (a, b) = (narrow.counters(), wide.counters());
    v1::FlowTableStats {
        capacity_v4: narrow.capacity().into(),
        used_v4: narrow.used().into(),
        capacity_v6: wide.capacity().into(),
        used_v6: wide.used().into(),
        inserted: a.inserted + b.inserted,
        evicted: a.evicted + b.evicted,
        aged: a.aged + b.aged,
    }
}

/// The books: what came in, and what became of it. Exact when nothing moves.
fn conservation(shared: &Shared, slow: &SlowPath<'_>) -> v1::Conservation {
    let sum = |count: fn(&crate::datapath::counters::WorkerCounters) -> u64| {
        shared.workers.iter().map(|end| count(&end.counters.worker)).sum::<u64>()
    };
    let (held, joined) = (sum(|worker| worker.fragments_held.count()), sum(|worker| worker.fragments_joined.count()));
    let released = sum(|worker| worker.fragments_released.count());
    v1::Conservation {
        received: sum(|worker| worker.received.count()),
        originated: slow.originated,
        copied: sum(|worker| worker.copied.count() + worker.pieces.count() + worker.flooded.count()),
        sent: sum(|worker| worker.sent.count()),
        dropped: sum(|worker| worker.dropped.count()) + slow.counters.worker.dropped.count(),
        held: slow.held + held.saturating_sub(released + joined),
        consumed: slow.consumed + joined,
    }
}
