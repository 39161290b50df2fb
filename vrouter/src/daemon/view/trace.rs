//! Trace: what becomes of a frame that a port received, step by step: [`explain`](super::explain) about what the frame is.

use super::explain::explain;
use super::{address_bytes, next_hop_text, vif_name, vrf_name};
use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::classify::{Classified, Exit, classify};
use crate::datapath::named::{is_error, key_of};
use crate::datapath::punt::{TunnelId, Why};
use crate::datapath::table::Flows;
use crate::drops::DropReason;
use crate::ids::{BridgeId, Place, Tick};
use crate::packet::ether;
use crate::port::Frame;
use crate::tables::{DecapTarget, Snapshot, Vif};

/// What becomes of a frame, without a sub-interface's tags, that entered by this VIF. Any thread; no side effects.
pub fn trace(shared: &Shared, snapshot: &Snapshot, vif: &Vif, frame: &Frame, now: Tick) -> v1::ExplainReply {
    let ends = |verdict: &str, result: String| {
        let (generation, verdict) = (snapshot.generation.0, verdict.into());
        v1::ExplainReply { generation, verdict, result, ..v1::ExplainReply::default() }
    };
    match classify(snapshot, vif, frame) {
        Ok(found) => match query(snapshot, &found, frame) {
            Some(query) => {
                let told = explain(shared, snapshot, &query, now).unwrap_or_else(|why| ends("unexplained", why));
                // whom a packet is for is asked before how far it may go, and that before its size
                let goes = told.verdict == "forward" || told.verdict == DropReason::MtuExceeded.name();
                if goes && found.bridged.is_none() && found.packet.ttl <= 1 {
                    let (verdict, result) = (DropReason::TtlExpired.name(), DropReason::TtlExpired.meaning());
                    return v1::ExplainReply { steps: told.steps, ..ends(verdict, result.into()) };
                }
                told
            }
            None if is_error(&found) => {
                let quoted = key_of(&found).and_then(|key| shared.flows.find(&key, shared.flows.hash(&key)));
                match quoted {
                    Some(_) => ends("unexplained", "an ICMP error: it goes the way of the flow that it quotes".into()),
                    None => ends(DropReason::IcmpErrorNoFlow.name(), DropReason::IcmpErrorNoFlow.meaning().into()),
                }
            }
            None => ends("unexplained", "it has no 5-tuple of its own: a later fragment, discovery".into()),
        },
        Err(Exit::Drop(reason)) => ends(reason.name(), reason.meaning().into()),
        Err(Exit::Punt { why, .. }) => ends("local", format!("the slow path answers: {}", asks(why))),
        Err(Exit::Flood(_)) => ends("flood", "to everybody in its bridge; each copy is judged for itself".into()),
        Err(Exit::Carry { next_hop, .. }) => ends("forward", format!("no IP: {}", next_hop_text(snapshot, next_hop))),
        Err(Exit::Assemble { .. }) => ends("held", "until the other pieces of its outer packet are there".into()),
        Err(Exit::Except { .. }) => ends("forward", "as it is, between the fabric's port and the host's kernel".into()),
    }
}

/// The question that a packet is.
fn query(snapshot: &Snapshot, found: &Classified, frame: &Frame) -> Option<v1::ExplainRequest> {
    let tuple = found.packet.tuple().filter(|tuple| !tuple.fragment)?;
    let place = match found.place {
        Place::Vif(vif) => v1::explain_request::Place::Vif(vif_name(snapshot, vif)),
        Place::Tunnel(vrf) => v1::explain_request::Place::TunnelVrf(vrf_name(snapshot, vrf)),
    };
    let icmp = tuple.icmp();
    let (bytes, l3) = (frame.bytes(), usize::from(found.l3));
    let mut query = v1::ExplainRequest {
        place: Some(place),
        source: address_bytes(tuple.source),
        destination: address_bytes(tuple.destination),
        protocol: tuple.protocol.into(),
        source_port: tuple.source_port.into(),
        destination_port: if icmp.is_some() { 0 } else { tuple.destination_port.into() },
        icmp_type: icmp.map(|(kind, _)| kind.into()),
        icmp_code: icmp.map(|(_, code)| code.into()),
        length: found.packet.length.into(),
        // IPv4's bit of "Don't Fragment"
        may_be_cut: tuple.source.is_ipv4() && bytes.get(l3 + 6).is_some_and(|byte| byte & 0x40 == 0),
        ..v1::ExplainRequest::default()
    };
    let bridge = found.tunnel.and_then(|tunnel| bridge_of(snapshot, tunnel.by));
    // a label's packets have no Ethernet header, unless it is a bridge's
    let bare = matches!(found.tunnel.map(|tunnel| tunnel.by), Some(TunnelId::Label(_))) && bridge.is_none();
    let header = l3.checked_sub(ether::HEADER).filter(|_| !bare).and_then(|at| ether::read(&bytes[at..]).ok());
    if let Some(header) = header {
        (query.destination_mac, query.source_mac) = (header.destination.0.to_vec(), header.source.0.to_vec());
    }
    let bridge = bridge.and_then(|bridge| snapshot.bridges.row(bridge.index()));
    query.bridge = bridge.map(|bridge| bridge.name.to_string()).unwrap_or_default();
    Some(query)
}

/// The bridge that a tunnel's frames are of.
fn bridge_of(snapshot: &Snapshot, by: TunnelId) -> Option<BridgeId> {
    match by {
        TunnelId::Vxlan(vni) | TunnelId::Geneve(vni) => snapshot.vnis.get(&vni)?.bridge,
        TunnelId::Label(label) => match snapshot.labels.get(&label)? {
            DecapTarget::Bridge(bridge) => Some(*bridge),
            DecapTarget::Vrf(_) | DecapTarget::Vif { .. } => None,
        },
    }
}

fn asks(why: Why) -> &'static str {
    match why {
        Why::Arp => "ARP",
        Why::NeighbourDiscovery => "neighbour discovery",
        Why::Bfd(_) => "BFD",
        Why::ForUs(_) => "it is for an address of ours",
        Why::TtlExpired(_) | Why::TooBig(..) | Why::NoRoute(_) | Why::Resolve { .. } => "its sender is told",
    }
}
