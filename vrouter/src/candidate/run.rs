//! Expectations, held against a candidate: each packet is sent by a worker, and explained; both must say the same.

use std::net::IpAddr;

use super::{Bed, Candidate, Left, Outcome, Packet};
use crate::api::expect::{Expectation, Wanted};
use crate::api::position::{At, Position};
use crate::api::text::{Protocol, address_bytes};
use crate::api::v1;
use crate::ids::Mac;
use crate::packet::tuple::protocol;
use crate::tables::{Vif, VifKind};

/// The source port that a packet has where none is said.
const SOURCE_PORT: u16 = 49_152;

/// Protocols that have ports.
const WITH_PORTS: [u8; 4] = [protocol::TCP, protocol::UDP, protocol::SCTP, protocol::UDPLITE];
/// Why fields are refused.
const ONLY_FORWARDED: &str = "only of what is to be forwarded";
const NOT_SENT: &str = "what comes out of a tunnel is explained, and not sent";

/// One packet and what became of it.
#[derive(Clone, Debug)]
pub struct Tested {
    pub name: String,
    /// Of its expectation.
    pub position: Position,
    /// What is otherwise than expected; empty: nothing.
    pub faults: Vec<String>,
    /// How it was decided, and its answer where one was sent.
    pub steps: Vec<v1::Step>,
    pub reply_steps: Vec<v1::Step>,
}

impl Tested {
    /// Nothing is otherwise than expected.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    /// Where its expectation stands: "expectations.yaml:3:3".
    pub fn place(&self, file: &str) -> String {
        format!("{file}:{}:{}", self.position.line, self.position.column)
    }
}

/// A packet of an expectation, or why there is none.
struct Case<'a> {
    from: Option<&'a Vif>,
    to: Option<&'a Vif>,
    packet: Packet,
    name: String,
}

/// What became of a packet: `forward`, `local` or a reason; by which VIF it left, or the far end of the tunnel.
#[derive(Default)]
struct Became {
    verdict: String,
    vif: String,
    remote: Option<IpAddr>,
    frames: usize,
    /// Where its answers are expected: a VRF's tunnels.
    tunnel_vrf: String,
    /// What becomes of its answers, by the decision about it.
    answers: String,
    steps: Vec<v1::Step>,
}

/// Holds a candidate against expectations: each of their packets, in their order.
///
/// # Errors
/// There is no memory for a flow table.
pub fn check(candidate: &Candidate, expectations: &[At<Expectation>]) -> Result<Vec<Tested>, flowtable::LayoutError> {
    check_each(candidate, expectations, || {})
}

/// The same; `done` hears of each expectation when all its packets have been tried.
///
/// # Errors
/// There is no memory for a flow table.
pub fn check_each(
    candidate: &Candidate,
    expectations: &[At<Expectation>],
    mut done: impl FnMut(),
) -> Result<Vec<Tested>, flowtable::LayoutError> {
    let mut bed = Bed::new(candidate)?;
    let mut tests = Vec::new();
    for expectation in expectations {
        for case in cases(candidate, expectation) {
            let tested = match case {
                Ok(case) => {
                    if !bed.forget() {
                        bed = Bed::new(candidate)?;
                    }
                    try_case(&mut bed, candidate, expectation, case)
                }
                Err((name, fault)) => Tested::failed(name, fault),
            };
            tests.push(Tested { position: expectation.position, ..tested });
        }
        done();
    }
    Ok(tests)
}

impl Tested {
    fn failed(name: String, fault: String) -> Tested {
        let (steps, reply_steps) = (Vec::new(), Vec::new());
        Tested { name, position: Position::default(), faults: vec![fault], steps, reply_steps }
    }
}

/// A VIF, or an address.
type Receiver<'a> = (Option<&'a Vif>, Option<IpAddr>);
type Cased<'a> = Result<Case<'a>, (String, String)>;

/// The packets of an expectation, in the order of its lists.
fn cases<'a>(candidate: &'a Candidate, expectation: &Expectation) -> Vec<Cased<'a>> {
    let name = || expectation.name.clone().unwrap_or_else(|| "an expectation".into());
    let ends = || {
        sense(expectation)?;
        Ok((senders(candidate, expectation)?, receivers(candidate, expectation)?))
    };
    match ends() {
        Err(fault) => vec![Err((name(), fault))],
        Ok((senders, receivers)) => {
            let all = senders.iter().flat_map(|from| receivers.iter().map(move |to| (from, to)));
            // from a VRF to itself: nobody sends to himself
            let all = all.filter(|(from, to)| !from.is_some_and(|from| to.0.is_some_and(|to| to.id == from.id)));
            let many = senders.len() * receivers.len() > 1;
            let all: Vec<_> = all.map(|(from, to)| case(expectation, *from, *to, many)).collect();
            // what tries nothing holds nothing
            let nothing = || vec![Err((name(), "it is about no packet: nobody sends, or only to himself".into()))];
            if all.is_empty() { nothing() } else { all }
        }
    }
}

/// Refuses what would have no effect.
fn sense(expectation: &Expectation) -> Result<(), String> {
    let Expectation { port, source_port, icmp_type, icmp_code, pieces, mac, .. } = expectation;
    let Expectation { leaves_by, remote, reply, reply_leaves_by, .. } = expectation;
    let number = expectation.protocol.map(|protocol| protocol.0);
    let has_ports = number.is_none_or(|number| WITH_PORTS.contains(&number));
    let may_be_icmp = number.map_or(port.is_none(), |number| [protocol::ICMP, protocol::ICMPV6].contains(&number));
    let leaves = matches!(expectation.result, Wanted::Forward | Wanted::Any);
    let sent = expectation.from_tunnel.is_none();
    let fields = [
        ("port", port.is_some() && !has_ports, "its protocol has no ports"),
        ("source_port", source_port.is_some() && !has_ports && !may_be_icmp, "its protocol has no ports"),
        ("icmp_type", icmp_type.is_some() && !may_be_icmp, "its protocol is not ICMP"),
        ("icmp_code", icmp_code.is_some() && !may_be_icmp, "its protocol is not ICMP"),
        ("leaves_by", leaves_by.is_some() && !leaves, ONLY_FORWARDED),
        ("remote", remote.is_some() && !leaves, ONLY_FORWARDED),
        ("pieces", pieces.is_some() && !leaves, ONLY_FORWARDED),
        ("reply", reply.is_some() && !leaves, ONLY_FORWARDED),
        ("reply_leaves_by", reply_leaves_by.is_some() && !leaves, ONLY_FORWARDED),
        ("pieces", pieces.is_some() && !sent, NOT_SENT),
        ("mac", mac.is_some() && !sent, NOT_SENT),
        ("reply_leaves_by", reply_leaves_by.is_some() && !sent, NOT_SENT),
    ];
    match fields.into_iter().find(|(_, senseless, _)| *senseless) {
        Some((field, _, why)) => Err(format!("{field}: {why}")),
        None => Ok(()),
    }
}

fn senders<'a>(candidate: &'a Candidate, expectation: &Expectation) -> Result<Vec<Option<&'a Vif>>, String> {
    let Expectation { from, from_vrf, from_tunnel, .. } = expectation;
    match (&from[..], from_vrf, from_tunnel) {
        ([_, ..], None, None) => from.iter().map(|name| vif(candidate, "from", name).map(Some)).collect(),
        ([], Some(vrf), None) => Ok(vifs_of(candidate, "from_vrf", vrf)?.into_iter().map(Some).collect()),
        ([], None, Some(vrf)) => vifs_of(candidate, "from_tunnel", vrf).map(|_| vec![None]),
        _ => Err("from: exactly one of from, from_vrf and from_tunnel is needed".into()),
    }
}

/// VIFs, or addresses.
fn receivers<'a>(candidate: &'a Candidate, expectation: &Expectation) -> Result<Vec<Receiver<'a>>, String> {
    let one = |name: &String| match name.parse() {
        Ok(address) => Ok((None, Some(address))),
        Err(_) => vif(candidate, "to", name).map(|vif| (Some(vif), None)),
    };
    match (&expectation.to[..], &expectation.to_vrf) {
        (to @ [_, ..], None) => to.iter().map(one).collect(),
        ([], Some(vrf)) => Ok(vifs_of(candidate, "to_vrf", vrf)?.into_iter().map(|vif| (Some(vif), None)).collect()),
        _ => Err("to: exactly one of to and to_vrf is needed".into()),
    }
}

fn vif<'a>(candidate: &'a Candidate, field: &str, name: &str) -> Result<&'a Vif, String> {
    candidate.vif(name).ok_or_else(|| format!("{field}: there is no VIF {name}"))
}

fn vifs_of<'a>(candidate: &'a Candidate, field: &str, vrf: &str) -> Result<Vec<&'a Vif>, String> {
    candidate.vifs_of(vrf).ok_or_else(|| format!("{field}: there is no VRF {vrf}"))
}

fn case<'a>(expectation: &Expectation, from: Option<&'a Vif>, (to, address): Receiver<'a>, many: bool) -> Cased<'a> {
    let from_name = from.map_or_else(
        || format!("what a tunnel brings into {}", expectation.from_tunnel.as_deref().unwrap_or_default()),
        |vif| vif.name.to_string(),
    );
    let to_name = to.map(|vif| vif.name.to_string()).or(address.map(|address| address.to_string())).unwrap_or_default();
    let ends = format!("{from_name} to {to_name}");
    let name = |what: &str| match &expectation.name {
        Some(name) if many => format!("{name}: {ends}"),
        Some(name) => name.clone(),
        None => format!("{ends}{what}"),
    };
    let Some((source, destination)) = addresses(expectation, from, to, address) else {
        return Err((name(""), "to: neither end has an address of the other one's family".into()));
    };
    let v4 = source.is_ipv4();
    let echo = if v4 { protocol::ICMP } else { protocol::ICMPV6 };
    let number =
        expectation.protocol.map_or(if expectation.port.is_some() { protocol::TCP } else { echo }, |one| one.0);
    let what = match expectation.port {
        Some(port) => format!(" by {}/{port}", Protocol(number)),
        None => format!(" by {}", Protocol(number)),
    };
    let packet = Packet {
        source,
        destination,
        protocol: number,
        source_port: expectation.source_port.unwrap_or(SOURCE_PORT),
        destination_port: expectation.port.unwrap_or(0),
        length: expectation.length.unwrap_or(0),
        dont_fragment: expectation.dont_fragment,
        is_answer: false,
    };
    let kind = expectation.icmp_type.unwrap_or(if v4 { 8 } else { 128 });
    let codes = u16::from(kind) << 8 | u16::from(expectation.icmp_code.unwrap_or(0));
    let packet = if packet.is_icmp() { Packet { destination_port: codes, ..packet } } else { packet };
    Ok(Case { from, to, packet, name: name(&format!("{what}: {}", expectation.result)) })
}

/// The first that are of one family.
fn addresses(
    expectation: &Expectation,
    from: Option<&Vif>,
    to: Option<&Vif>,
    address: Option<IpAddr>,
) -> Option<(IpAddr, IpAddr)> {
    let sources: Vec<_> = match (expectation.source, from) {
        (Some(source), _) => vec![source],
        (None, Some(vif)) => vif.addresses.clone(),
        (None, None) => Vec::new(),
    };
    let destinations = match (address, to) {
        (Some(address), _) => vec![address],
        (None, Some(vif)) => vif.addresses.clone(),
        (None, None) => Vec::new(),
    };
    let pairs = sources.iter().flat_map(|from| destinations.iter().map(move |to| (*from, *to)));
    pairs.into_iter().find(|(from, to)| from.is_ipv4() == to.is_ipv4())
}

fn try_case(bed: &mut Bed<'_>, candidate: &Candidate, expectation: &Expectation, case: Case<'_>) -> Tested {
    let mut faults = Vec::new();
    let mac = mac(expectation, case.from, case.to);
    let became = match pass(bed, candidate, case.from, (&case.packet, mac), expectation.from_tunnel.as_deref()) {
        Ok(became) => became,
        Err(fault) => return Tested::failed(case.name, fault),
    };
    if !expectation.result.is(&became.verdict) {
        faults.push(format!("it is {} instead of {}", became.says(), expectation.result));
    } else if became.verdict == "forward" {
        let by = expectation.leaves_by.as_deref();
        let by = by.or(case.to.filter(|_| expectation.remote.is_none()).map(|vif| &*vif.name));
        faults
            .extend(by.filter(|by| *by != became.vif).map(|by| format!("it is {} instead of by {by}", became.says())));
        let far = expectation.remote.filter(|remote| Some(*remote) != became.remote);
        faults.extend(far.map(|remote| format!("it is {} instead of to {remote}", became.says())));
        let pieces = expectation.pieces.unwrap_or(1);
        if pieces as usize != became.frames {
            faults.push(format!("it leaves in {} frames instead of {pieces}", became.frames));
        }
    }
    let wanted = expectation.reply.unwrap_or(match expectation.result {
        Wanted::Forward => Wanted::Forward,
        _ => Wanted::Any,
    });
    let mut reply_steps = Vec::new();
    if became.verdict == "forward"
        && wanted != Wanted::Any
        && let Some(answer) = case.packet.answer()
    {
        match reply(bed, candidate, &case, &became, &answer) {
            Err(fault) => faults.push(fault),
            Ok(replied) => {
                if !wanted.is(&replied.verdict) {
                    faults.push(format!("its answer is {} instead of {wanted}", replied.says()));
                } else if replied.verdict == "forward" {
                    let by = expectation.reply_leaves_by.as_deref().or(case.from.map(|vif| &*vif.name));
                    let other = by.filter(|by| *by != replied.vif);
                    faults.extend(other.map(|by| format!("its answer is {} instead of by {by}", replied.says())));
                }
                reply_steps = replied.steps;
            }
        }
    }
    Tested { name: case.name, position: Position::default(), faults, steps: became.steps, reply_steps }
}

/// The MAC that its sender would send it to; `None`: the gateway's.
fn mac(expectation: &Expectation, from: Option<&Vif>, to: Option<&Vif>) -> Option<Mac> {
    let neighbour = to.zip(from).filter(|(to, from)| to.bridge.is_some() && to.bridge == from.bridge);
    expectation.mac.or(neighbour.map(|(to, _)| to.mac))
}

/// The answer comes from where the packet went. What came out of a tunnel was not sent, and left no flow that an answer could be of: there the
/// decision tells.
fn reply(
    bed: &mut Bed<'_>,
    candidate: &Candidate,
    case: &Case<'_>,
    became: &Became,
    answer: &Packet,
) -> Result<Became, String> {
    if case.from.is_none() {
        return Ok(Became { verdict: became.answers.clone(), ..Became::default() });
    }
    let exit = candidate.vif(&became.vif).filter(|vif| vif.kind == VifKind::Tenant);
    let mac = exit.zip(case.from).filter(|(to, from)| to.bridge.is_some() && to.bridge == from.bridge);
    let tunnel = (!became.tunnel_vrf.is_empty()).then_some(became.tunnel_vrf.as_str());
    pass(bed, candidate, exit.filter(|_| tunnel.is_none()), (answer, mac.map(|(_, from)| from.mac)), tunnel)
}

/// What becomes of a packet that enters by a VIF, or comes out of a tunnel into a VRF. By a VIF it is sent, too.
fn pass(
    bed: &mut Bed<'_>,
    candidate: &Candidate,
    vif: Option<&Vif>,
    (packet, mac): (&Packet, Option<Mac>),
    tunnel: Option<&str>,
) -> Result<Became, String> {
    use v1::explain_request::Place;
    let place = match (vif, tunnel) {
        (Some(vif), _) => Place::Vif(vif.name.to_string()),
        (None, Some(vrf)) => Place::TunnelVrf(vrf.to_owned()),
        (None, None) => return Err("from: neither a VIF nor a tunnel".into()),
    };
    let icmp = |half: u16| packet.is_icmp().then_some(u32::from(half));
    let request = v1::ExplainRequest {
        source: address_bytes(packet.source),
        destination: address_bytes(packet.destination),
        protocol: packet.protocol.into(),
        source_port: packet.source_port.into(),
        destination_port: if packet.is_icmp() { 0 } else { packet.destination_port.into() },
        icmp_type: icmp(packet.destination_port >> 8),
        icmp_code: icmp(packet.destination_port & 0xff),
        length: packet.bytes().into(),
        destination_mac: mac.or(vif.map(|vif| vif.our_mac)).map(|mac| mac.0.to_vec()).unwrap_or_default(),
        may_be_cut: !packet.dont_fragment,
        place: Some(place),
        ..v1::ExplainRequest::default()
    };
    let told = bed.explain(&request)?;
    let mut became = Became {
        verdict: told.verdict.clone(),
        vif: told.exit_vif.clone(),
        remote: crate::daemon::view::read_address(&told.remote),
        frames: 1,
        tunnel_vrf: told.exit_tunnel_vrf,
        answers: told.answers,
        steps: told.steps,
    };
    if let Some(vif) = vif {
        let outcome = bed
            .send(vif, packet, mac.unwrap_or(vif.our_mac))
            .ok_or("it cannot be sent: its VIF has no port, or it is too large")?;
        agree(&mut became, &outcome, candidate)?;
    }
    Ok(became)
}

/// What was seen counts, and must be what was told.
fn agree(became: &mut Became, outcome: &Outcome, candidate: &Candidate) -> Result<(), String> {
    became.frames = outcome.left.len();
    let seen = match (&outcome.left[..], &outcome.dropped[..]) {
        ([_, ..], _) if became.verdict == "flood" => "forward",
        ([_, ..], []) => "forward",
        ([], []) if outcome.punted > 0 => "local",
        ([], [reason, ..]) => reason.name(),
        _ => "nothing that is known",
    };
    if became.verdict == "flood" {
        // each copy is judged for itself
        became.verdict = seen.into();
        became.vif = match &outcome.left[..] {
            [left] => left.vif.clone(),
            _ => String::new(),
        };
        return Ok(());
    }
    if seen != became.verdict {
        return Err(format!("explain says {}, and the packet's fate is {seen}: please report this", became.verdict));
    }
    let port_of = |vif: &str| candidate.vif(vif).map(|vif| vif.port);
    let elsewhere =
        outcome.left.iter().find(|left| !became.vif.is_empty() && port_of(&left.vif) != port_of(&became.vif));
    let far = |left: &&Left| became.remote.is_some() && left.destination() != became.remote;
    if let Some(left) = outcome.left.iter().find(far) {
        let (told, seen) = (became.remote, left.destination());
        return Err(format!("explain says to {told:?}, and it went to {seen:?}: please report this"));
    }
    match elsewhere {
        Some(left) => Err(format!("explain says by {}, and it left by {}: please report this", became.vif, left.vif)),
        None => Ok(()),
    }
}

impl Became {
    fn says(&self) -> String {
        match (self.verdict.as_str(), self.remote) {
            ("forward", Some(remote)) => format!("forwarded to {remote}"),
            ("forward", None) => format!("forwarded by {}", self.vif),
            ("local", _) => "for the vRouter itself".into(),
            (reason, _) => format!("dropped ({reason}{})", self.why()),
        }
    }

    /// Who denied it.
    fn why(&self) -> String {
        let step = self.steps.iter().rev().find(|step| !step.acl.is_empty() && step.detail.starts_with("denies"));
        step.filter(|_| self.verdict.starts_with("acl")).map(|step| format!(": {}", step.object)).unwrap_or_default()
    }
}
