//! Explain: the decision that the datapath would take, with its steps.

use super::quotas::Quotas;
use super::remedy::remedy;
use super::steps::Steps;
use super::{address_bytes, next_hop_of_flow, next_hop_text, place_text, read_address, vif_name, vrf_name};
use crate::api::v1;
use crate::datapath::Shared;
use crate::datapath::bridge;
use crate::datapath::decide::{Answer, Question, Silent, Verdict, decide};
use crate::datapath::named::{Named, question_of};
use crate::datapath::packet_mode;
use crate::datapath::table::{Decided, FlowKey, Flows};
use crate::drops::DropReason;
use crate::ids::{Mac, NextHopId, Place, Tick};
use crate::packet::tuple::{FlowTuple, protocol};
use crate::packet::{ip, mss, transport};
use crate::tables::{Kept, NextHopKind, Snapshot, Underlay};

/// Answers a request; the error names field and reason. Any thread; no side effects.
pub fn explain(
    shared: &Shared,
    snapshot: &Snapshot,
    request: &v1::ExplainRequest,
    now: Tick,
) -> Result<v1::ExplainReply, String> {
    let mut question = read(snapshot, request)?;
    let mut steps = Steps::new(snapshot);
    let station = bridged(snapshot, request, &mut question, &mut steps)?;
    let hash = shared.flows.hash(&FlowKey::new(&question.tuple, question.place.into()));
    let (mut answered, mut decided) = (None, question);
    let everybody = matches!(station, Ok(Station::Unknown));
    let stopped = match station {
        Err(DropReason::MacNotOurs) if ip::is_group(question.tuple.destination) => Err(DropReason::Multicast),
        // whom a frame is for is looked at before what is in it
        Err(reason) => Err(reason),
        Ok(_) => anti_spoofing(snapshot, &question, &mut steps),
    };
    let verdict = match stopped {
        Err(reason) => Verdict::Drop(reason),
        Ok(()) if everybody => {
            let result = "to everybody in the bridge but its sender; each copy is judged for itself".into();
            let verdict = "flood".into();
            return Ok(v1::ExplainReply {
                generation: snapshot.generation.0,
                steps: steps.into_all(),
                verdict,
                result,
                ..v1::ExplainReply::default()
            });
        }
        Ok(()) => {
            let answer = match live_flow(shared, &question, &mut steps) {
                Live::No => as_new(snapshot, &question, &Quotas { shared, now }, &mut steps),
                Live::Asked(kept) => Ok(decide(snapshot, &Question { kept, ..question }, &mut steps)),
                Live::Answered(asked) => {
                    decided = asked;
                    Ok(decide(snapshot, &asked, &mut steps).turned(asked.place))
                }
            };
            match answer {
                Ok(answer) => {
                    answered = Some(answer);
                    leave(snapshot, &question, hash, &answer, request, &mut steps)
                }
                Err(reason) => Verdict::Drop(reason),
            }
        }
    };
    let remedy = remedy(&decided, verdict, &steps, request);
    let reply = |verdict: &str, result| v1::ExplainReply {
        remedy,
        generation: snapshot.generation.0,
        steps: steps.into_all(),
        verdict: verdict.into(),
        result,
        ..v1::ExplainReply::default()
    };
    Ok(match verdict {
        Verdict::Forward(next_hop) => {
            let reply = reply("forward", next_hop_of_flow(snapshot, next_hop, hash));
            leaving(snapshot, next_hop, answered, reply)
        }
        Verdict::Local => reply("local", answerer(snapshot, question.place).into()),
        Verdict::Drop(reason) => reply(reason.name(), reason.meaning().into()),
    })
}

/// Adds where a packet leaves, for programs.
fn leaving(
    snapshot: &Snapshot,
    next_hop: NextHopId,
    answer: Option<Answer>,
    mut reply: v1::ExplainReply,
) -> v1::ExplainReply {
    if let Some(answer) = answer {
        match answer.exit {
            Place::Vif(vif) => reply.exit_vif = vif_name(snapshot, vif),
            Place::Tunnel(vrf) => reply.exit_tunnel_vrf = vrf_name(snapshot, vrf),
        }
        reply.answers = match answer.reverse {
            Verdict::Forward(_) => "forward",
            Verdict::Local => "local",
            Verdict::Drop(reason) => reason.name(),
        }
        .into();
    }
    if let Some(NextHopKind::Tunnel(tunnel)) = snapshot.next_hops.row(next_hop.index()).map(|row| &row.kind) {
        reply.remote = address_bytes(tunnel.remote);
    }
    reply
}

fn read(snapshot: &Snapshot, request: &v1::ExplainRequest) -> Result<Question, String> {
    use v1::explain_request::Place as Asked;
    let (place, vrf) = match request.place.as_ref().ok_or("place: vif or tunnel_vrf is needed")? {
        Asked::Vif(name) => {
            let vif = snapshot.vifs.iter().find(|(_, vif)| *vif.name == **name).map(|(_, vif)| vif);
            let vif = vif.ok_or(format!("vif: there is no VIF {name}"))?;
            (Place::Vif(vif.id), vif.vrf)
        }
        Asked::TunnelVrf(name) => {
            let vrf = snapshot.vrfs.iter().find(|(_, vrf)| *vrf.name == **name).map(|(_, vrf)| vrf.id);
            let vrf = vrf.ok_or(format!("tunnel_vrf: there is no VRF {name}"))?;
            (Place::Tunnel(vrf), vrf)
        }
    };
    let address = |name: &str, bytes: &[u8]| read_address(bytes).ok_or(format!("{name}: an address has 4 or 16 bytes"));
    let (source, destination) = (address("source", &request.source)?, address("destination", &request.destination)?);
    if source.is_ipv4() != destination.is_ipv4() {
        return Err("destination: not of the source's family".into());
    }
    let narrow = |name: &str, value: u32, most: u32| {
        if value > most { Err(format!("{name}: {value} is beyond {most}")) } else { Ok(value as u16) }
    };
    let protocol = narrow("protocol", request.protocol, 255)? as u8;
    let mut tuple = FlowTuple {
        source,
        destination,
        protocol,
        fragment: false,
        source_port: narrow("source_port", request.source_port, 65535)?,
        destination_port: narrow("destination_port", request.destination_port, 65535)?,
    };
    if tuple.icmp().is_some() {
        let kind = narrow("icmp_type", request.icmp_type.unwrap_or(if source.is_ipv4() { 8 } else { 128 }), 255)?;
        tuple.destination_port = kind << 8 | narrow("icmp_code", request.icmp_code.unwrap_or(0), 255)?;
        if !transport::has_identifier(protocol, kind as u8) {
            tuple.source_port = 0;
        }
    } else if tuple.ports().is_none() {
        (tuple.source_port, tuple.destination_port) = (0, 0);
    }
    Ok(Question { place, vrf, tuple, forward: Named::Routed, answers: Named::Routed, kept: [None; 2] })
}

/// Whom a frame is for.
enum Station {
    /// Us, or a station that its question names.
    Known,
    /// One that nobody knows, in a bridge that sends such frames to everybody.
    Unknown,
}

/// Names the stations of a packet whose frame is bridged; the reason if that cannot be.
fn bridged(
    snapshot: &Snapshot,
    request: &v1::ExplainRequest,
    question: &mut Question,
    steps: &mut Steps<'_>,
) -> Result<Result<Station, DropReason>, String> {
    let mac = |name: &str, bytes: &[u8]| match (bytes.len(), bytes.try_into()) {
        (0, _) => Ok(None),
        (_, Ok(bytes)) => Ok(Some(Mac(bytes))),
        _ => Err(format!("{name}: a MAC address has 6 bytes")),
    };
    let Some(to) = mac("destination_mac", &request.destination_mac)? else { return Ok(Ok(Station::Known)) };
    let from = mac("source_mac", &request.source_mac)?;
    let vif = if let Place::Vif(vif) = question.place { snapshot.vifs.row(vif.index()) } else { None };
    if let (Some(vif), Some(from)) = (vif.filter(|vif| vif.sources.is_some()), from)
        && from != vif.mac
    {
        steps.add("anti_spoofing", format!("vif {}", vif.name), format!("{from} is not the MAC of this VIF's guest"));
        return Ok(Err(DropReason::MacSpoofed));
    }
    let ours = match vif {
        Some(vif) => vif.our_mac == to && vif.routes(),
        None => [snapshot.local.router_mac, snapshot.local.gateway_mac].contains(&to),
    };
    if ours {
        return Ok(Ok(Station::Known));
    }
    let named = || snapshot.bridges.iter().map(|(_, bridge)| bridge).find(|bridge| *bridge.name == *request.bridge);
    let bridge = match vif {
        Some(vif) => vif.bridge.and_then(|bridge| snapshot.bridges.row(bridge.index())),
        None => named().filter(|bridge| bridge.vrf == question.vrf),
    };
    let Some(bridge) = bridge else {
        steps.add("fdb", String::new(), format!("{to} is not ours, and there is no bridge"));
        return Ok(Err(DropReason::MacNotOurs));
    };
    if bridge.floods_unknown && bridge.station(to).is_none() {
        steps.add("fdb", format!("bridge {}", bridge.name), format!("no station has {to}: for everybody"));
        return Ok(Ok(Station::Unknown));
    }
    let back = from.or(vif.map(|vif| vif.mac)).and_then(|mac| bridge.station(mac));
    let leaves = [
        vif.map_or_else(|| back.is_some_and(|at| bridge::is_leaf(snapshot, at)), |vif| vif.leaf),
        bridge.station(to).is_some_and(|at| bridge::is_leaf(snapshot, at)),
    ];
    let station = match bridge::station(snapshot, bridge, question.place, to) {
        Ok(_) if leaves == [true; 2] => Err(DropReason::LeafToLeaf),
        station => station,
    };
    let detail = match bridge.station(to) {
        Some(at) => format!("{to} is {}", next_hop_text(snapshot, at)),
        None => format!("no station has {to}"),
    };
    steps.add("fdb", format!("bridge {}", bridge.name), detail);
    (question.forward, question.answers) = (Named::Bridged(station.ok()), Named::Bridged(back));
    Ok(station.map(|_| Station::Known))
}

/// Who has what is for an address of ours.
fn answerer(snapshot: &Snapshot, place: Place) -> &'static str {
    let vif = if let Place::Vif(vif) = place { snapshot.vifs.row(vif.index()) } else { None };
    match vif.and_then(|vif| vif.exception) {
        Some(_) => "to the host's kernel by the exception port",
        None => "answered by this vRouter",
    }
}

fn anti_spoofing(snapshot: &Snapshot, question: &Question, steps: &mut Steps<'_>) -> Result<(), DropReason> {
    let source = question.tuple.source;
    if ip::is_group(question.tuple.destination) {
        return Err(DropReason::Multicast);
    }
    if ip::never_a_source(source) || source == question.tuple.destination {
        steps.add("anti_spoofing", String::new(), format!("{source} may never be this packet's source"));
        return Err(DropReason::SourceSpoofed);
    }
    let Place::Vif(vif) = question.place else { return Ok(()) };
    let Some(vif) = snapshot.vifs.row(vif.index()) else { return Ok(()) };
    let Some(sources) = &vif.sources else {
        steps.add("anti_spoofing", format!("vif {}", vif.name), "spoofing is allowed".into());
        return Ok(());
    };
    let allowed = sources.contains(source);
    let word = if allowed { "is" } else { "is not" };
    steps.add("anti_spoofing", format!("vif {}", vif.name), format!("{source} {word} a source of this VIF"));
    if allowed { Ok(()) } else { Err(DropReason::SourceSpoofed) }
}

/// The flow that a packet belongs to.
enum Live {
    No,
    /// It is the initiator's; what both directions have.
    Asked([Option<Kept>; 2]),
    /// It is an answer, judged by what its initiator sends.
    Answered(Question),
}

/// Tells of the flow that there is. An answer that enters where the flow would no longer leave is judged as new, as the datapath does.
fn live_flow(shared: &Shared, question: &Question, steps: &mut Steps<'_>) -> Live {
    let key = FlowKey::new(&question.tuple, question.place.into());
    let found = shared.flows.find(&key, shared.flows.hash(&key));
    let Some((handle, entry, pair)) =
        found.and_then(|(handle, entry)| Some((handle, entry, shared.flows.pair_of(&key, handle)?)))
    else {
        steps.add("flow", String::new(), "none yet: judged as new".into());
        return Live::No;
    };
    let says = (handle == pair.handle, question.forward, question.answers);
    let asked = question_of(steps.snapshot, &pair, Some(says));
    let Some(asked) = asked else {
        steps.add("flow", String::new(), "its initiator's place is gone: judged as new".into());
        return Live::No;
    };
    let role = if entry.initiator { "initiator's side" } else { "answering side" };
    let current = Decided(entry.stamp).generation() == steps.snapshot.generation.0;
    let state = if current { "" } else { ", revalidated when ground changed" };
    let packets = entry.packets;
    if entry.initiator {
        steps.add("flow", String::new(), format!("live, {role}, {packets} packets{state}"));
        return Live::Asked(asked.kept);
    }
    let answer = decide(steps.snapshot, &asked, &mut Silent);
    if matches!(answer.forward, Verdict::Forward(_)) && answer.exit != question.place {
        let place = place_text(steps.snapshot, answer.exit);
        let detail = format!("live, {packets} answers, which are expected from {place} now: judged as new");
        steps.add("flow", String::new(), detail);
        return Live::No;
    }
    let from = place_text(steps.snapshot, asked.place);
    let detail = format!("live, {role}, {packets} packets{state}; judged by what its initiator sends from {from}");
    steps.add("flow", String::new(), detail);
    Live::Answered(asked)
}

/// The decision about a packet without a flow, as its quotas allow.
fn as_new(
    snapshot: &Snapshot,
    question: &Question,
    quotas: &Quotas<'_>,
    steps: &mut Steps<'_>,
) -> Result<Answer, DropReason> {
    let has_flow = !packet_mode::takes(snapshot, question);
    if has_flow {
        quotas.new_flow(question.place, steps)?;
    }
    let answer = decide(snapshot, question, steps);
    match answer.forward {
        Verdict::Forward(_) if has_flow => quotas.pair(answer.owner, steps)?,
        Verdict::Local => quotas.punt(question.place, steps)?,
        Verdict::Forward(_) | Verdict::Drop(_) => {}
    }
    Ok(answer)
}

/// The next hop's own limits.
fn leave(
    snapshot: &Snapshot,
    question: &Question,
    hash: u64,
    answer: &Answer,
    request: &v1::ExplainRequest,
    steps: &mut Steps<'_>,
) -> Verdict {
    let Verdict::Forward(next_hop) = answer.forward else { return answer.forward };
    let Some(row) = snapshot.next_hops.row(next_hop.index()) else { return Verdict::Drop(DropReason::NextHopGone) };
    let text = next_hop_text(snapshot, next_hop);
    steps.add("next_hop", text.clone(), format!("leaves at {}", place_text(snapshot, answer.exit)));
    let length = if request.length == 0 { 64 } else { request.length };
    if length > u32::from(row.mtu) {
        let apart = snapshot.fragmentation && question.tuple.source.is_ipv4();
        let pieces = match (apart, request.may_be_cut) {
            (true, true) => ": it leaves in pieces",
            (true, false) => ", but in pieces it may go unless it says Don't Fragment",
            (false, _) => "",
        };
        steps.add("mtu", text.clone(), format!("{length} bytes are more than {}{pieces}", row.mtu));
        steps.is_beyond(row.mtu);
        if !(apart && request.may_be_cut) {
            return Verdict::Drop(DropReason::MtuExceeded);
        }
    }
    if matches!(row.kind, NextHopKind::Tunnel(_)) && snapshot.mss_clamp && question.tuple.protocol == protocol::TCP {
        let most = mss::within(row.mtu, question.tuple.source.is_ipv6());
        steps.add("mss", text, format!("a SYN announces segments of at most {most} bytes"));
    }
    if let NextHopKind::Tunnel(tunnel) = &row.kind
        && *steps.way(tunnel, hash) == Underlay::NoRoute
    {
        return Verdict::Drop(DropReason::NoUnderlayRoute);
    }
    let answers = match answer.reverse {
        Verdict::Forward(back) => format!("what comes back leaves by {}", next_hop_text(snapshot, back)),
        Verdict::Drop(reason) => format!("what comes back would be dropped: {}", reason.name()),
        Verdict::Local => "what comes back is for this vRouter".into(),
    };
    steps.add("reverse", place_text(snapshot, question.place), answers);
    answer.forward
}
