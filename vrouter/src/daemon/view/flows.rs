//! The live flows.

use std::net::IpAddr;
use std::sync::Arc;

use flowtable::{Entry, FlowTable};

use super::{address_bytes, member_name, next_hop_of_flow, place_text, read_address};
use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::lifetime;
use crate::datapath::named::{LOST_HOP, NO_HOP, kept};
use crate::datapath::table::{FlowPair, Flows};
use crate::drops::DropReason;
use crate::ids::{NextHopId, Place, Tick, VifId, VrfId};
use crate::packet::tuple::FlowTuple;
use crate::tables::Snapshot;
use crate::tables::fib::PrefixSet;

/// Which flows.
pub struct Filter {
    vrf: Option<VrfId>,
    vif: Option<VifId>,
    source: Option<PrefixSet>,
    destination: Option<PrefixSet>,
    protocol: Option<u8>,
    port: Option<u16>,
    limit: usize,
}

impl Filter {
    /// Reads a request; the error names the field and the reason.
    pub fn read(snapshot: &Snapshot, request: &v1::FlowsRequest) -> Result<Filter, String> {
        let vrf = snapshot.vrfs.iter().find(|(_, vrf)| *vrf.name == *request.vrf).map(|(_, vrf)| vrf.id);
        let vif = snapshot.vifs.iter().find(|(_, vif)| *vif.name == *request.vif).map(|(_, vif)| vif.id);
        if vrf.is_none() && !request.vrf.is_empty() {
            return Err(format!("vrf: there is no VRF {}", request.vrf));
        }
        if vif.is_none() && !request.vif.is_empty() {
            return Err(format!("vif: there is no VIF {}", request.vif));
        }
        let narrow = |name: &str, value: Option<u32>, most: u32| match value {
            Some(value) if value > most => Err(format!("{name}: {value} is beyond {most}")),
            value => Ok(value),
        };
        Ok(Filter {
            vrf,
            vif,
            source: prefix("source", request.source.as_ref())?,
            destination: prefix("destination", request.destination.as_ref())?,
            protocol: narrow("protocol", request.protocol, 255)?.map(|value| value as u8),
            port: narrow("port", request.port, 65535)?.map(|value| value as u16),
            limit: if request.limit == 0 { usize::MAX } else { request.limit as usize },
        })
    }

    fn wants(&self, snapshot: &Snapshot, tuple: &FlowTuple, places: [Place; 2]) -> bool {
        let in_vrf = |vrf: VrfId| {
            places.iter().any(|place| match place {
                Place::Tunnel(tunnel) => *tunnel == vrf,
                Place::Vif(vif) => snapshot.vifs.row(vif.index()).is_some_and(|vif| vif.vrf == vrf),
            })
        };
        let ports = || tuple.ports().map(|(source, destination)| [source, destination]).unwrap_or_default();
        self.vrf.is_none_or(in_vrf)
            && self.vif.is_none_or(|vif| places.contains(&Place::Vif(vif)))
            && self.source.as_ref().is_none_or(|set| set.contains(tuple.source))
            && self.destination.as_ref().is_none_or(|set| set.contains(tuple.destination))
            && self.protocol.is_none_or(|protocol| protocol == tuple.protocol)
            && self.port.is_none_or(|port| tuple.ports().is_some() && ports().contains(&port))
    }
}

fn prefix(name: &str, prefix: Option<&v1::Prefix>) -> Result<Option<PrefixSet>, String> {
    let Some(prefix) = prefix else { return Ok(None) };
    let address = read_address(&prefix.address).ok_or(format!("{name}: an address has 4 or 16 bytes"))?;
    let most = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
    if prefix.length > most {
        return Err(format!("{name}: prefix length {} is beyond {most}", prefix.length));
    }
    let mut set = PrefixSet::default();
    set.insert(address, prefix.length as u8);
    Ok(Some(set))
}

/// Every flow that the filter wants. Any thread; no lock is held, workers go on meanwhile.
pub fn flows(
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    filter: Filter,
    now: Tick,
) -> impl Iterator<Item = v1::Flow> {
    let pairs = shared.pairs();
    let limit = filter.limit;
    let of = move |at: u32| row(&shared.flows, &snapshot, &filter, &shared.pair(at)?, now);
    (0..pairs).filter_map(of).take(limit)
}

fn row(table: &FlowTable, snapshot: &Snapshot, filter: &Filter, pair: &FlowPair, now: Tick) -> Option<v1::Flow> {
    let (tuple, context) = pair.forward.0.parts();
    let (_, reverse_context) = pair.reverse.0.parts();
    let places = [Place::from(context), Place::from(reverse_context)];
    if !filter.wants(snapshot, &tuple, places) {
        return None;
    }
    let (forward, reverse) = (&pair.forward.1, &pair.reverse.1);
    let idle = now.since(Tick(forward.last_seen)).min(now.since(Tick(reverse.last_seen)));
    Some(v1::Flow {
        place: place_text(snapshot, places[0]),
        reverse_place: place_text(snapshot, places[1]),
        source: address_bytes(tuple.source),
        destination: address_bytes(tuple.destination),
        protocol: tuple.protocol.into(),
        source_port: tuple.source_port.into(),
        destination_port: tuple.destination_port.into(),
        state: lifetime::state(pair).name().into(),
        verdict: verdict(forward),
        reverse_verdict: verdict(reverse),
        packets: forward.packets,
        bytes: forward.bytes,
        reverse_packets: reverse.packets,
        reverse_bytes: reverse.bytes,
        idle_ms: idle * (1000 / Tick::PER_SECOND),
        next_hop: next_hop(snapshot, forward, table.hash(&pair.forward.0)),
        reverse_next_hop: next_hop(snapshot, reverse, table.hash(&pair.reverse.0)),
        path: member_name(snapshot, kept(forward).member),
        reverse_path: member_name(snapshot, kept(reverse).member),
        age_ms: u64::from(now.since(Tick(pair.created))) * u64::from(1000 / Tick::PER_SECOND),
    })
}

fn verdict(entry: &Entry) -> String {
    let reason = entry.verdict.checked_sub(1).and_then(DropReason::numbered);
    reason.map_or("forward", DropReason::name).into()
}

fn next_hop(snapshot: &Snapshot, entry: &Entry, hash: u64) -> String {
    if [NO_HOP, LOST_HOP].contains(&NextHopId(entry.next_hop)) {
        return String::new();
    }
    next_hop_of_flow(snapshot, NextHopId(entry.next_hop), hash)
}
