//! `vrctl explain`.

use serde_json::{Value, json};
use vrouter::api::text::{Prefix, address_bytes};
use vrouter::api::{OPERATOR, v1};
use vrouter::candidate::{Bed, Candidate};

use super::Failure;
use super::args::Explain;
use super::connect::{Client, Daemon, connect};
use super::frames;
use super::offline;
use super::output::{Format, address, print, print_value, table};
use super::progress::Progress;

/// Who answers.
enum Asked<'a> {
    Daemon(Box<Client>),
    Files(Box<Bed<'a>>),
}

impl Asked<'_> {
    async fn explain(&mut self, query: v1::ExplainRequest) -> Result<v1::ExplainReply, Failure> {
        match self {
            Asked::Daemon(client) => Ok(client.explain(query).await?.into_inner()),
            Asked::Files(bed) => bed.explain(&query).map_err(Failure::Refused),
        }
    }
}

pub async fn run(daemon: &Daemon, format: Format, explain: Explain) -> Result<(), Failure> {
    use v1::explain_request::Place;
    let place = explain.vif.clone().map(Place::Vif).or(explain.tunnel.clone().map(Place::TunnelVrf));
    let candidate = if explain.file.is_empty() { None } else { Some(offline::candidate(&explain.file)?) };
    let mut asked = match &candidate {
        None => Asked::Daemon(Box::new(connect(daemon).await?)),
        Some(candidate) => {
            let bed = Bed::new(candidate).map_err(|error| Failure::Refused(format!("no memory: {error}")))?;
            Asked::Files(Box::new(bed))
        }
    };
    if let Some(path) = &explain.pcap {
        return each(&mut asked, format, frames::of_capture(path)?, &explain, place, candidate.as_ref()).await;
    }
    let query = match (&explain.hex, explain.src, explain.dst) {
        (Some(hex), ..) => {
            let frame = frames::of_hex(hex).map_err(Failure::Usage)?;
            frames::request_of(&frame, frame.len()).map_err(Failure::Refused)?
        }
        (None, Some(src), Some(dst)) if src.is_ipv4() == dst.is_ipv4() => v1::ExplainRequest {
            source: address_bytes(src),
            destination: address_bytes(dst),
            protocol: explain.proto.0.into(),
            source_port: explain.sport.into(),
            destination_port: explain.dport.into(),
            icmp_type: explain.icmp_type.map(u32::from),
            icmp_code: explain.icmp_code.map(u32::from),
            length: explain.length,
            may_be_cut: explain.may_be_cut,
            destination_mac: explain.dst_mac.map(|mac| mac.0.to_vec()).unwrap_or_default(),
            source_mac: explain.src_mac.map(|mac| mac.0.to_vec()).unwrap_or_default(),
            ..v1::ExplainRequest::default()
        },
        _ => return Err(Failure::Usage("--src and --dst are of different IP versions".into())),
    };
    let reply = asked.explain(at(query, &explain, place)).await?;
    match format {
        Format::Table => print(&text(&reply, candidate.as_ref())),
        _ => print_value(format, &value(&reply, candidate.as_ref())),
    }
    Ok(())
}

/// A question, with the place that was said.
fn at(query: v1::ExplainRequest, explain: &Explain, place: Option<v1::explain_request::Place>) -> v1::ExplainRequest {
    v1::ExplainRequest { bridge: explain.bridge.clone().unwrap_or_default(), place, ..query }
}

/// The frames of a capture, a line each.
async fn each(
    asked: &mut Asked<'_>,
    format: Format,
    captured: Vec<frames::Captured>,
    explain: &Explain,
    place: Option<v1::explain_request::Place>,
    candidate: Option<&Candidate>,
) -> Result<(), Failure> {
    let mut rows = Vec::with_capacity(captured.len());
    let progress = Progress::of("explaining");
    let bar = progress.bar();
    bar.count("frames", captured.len());
    for frame in &captured {
        let query = frames::request_of(&frame.bytes, frame.length);
        rows.push(match query {
            Ok(query) => Ok((query.clone(), asked.explain(at(query, explain, place.clone())).await?)),
            Err(why) => Err(why),
        });
        bar.advance(1);
    }
    drop(progress);
    if format == Format::Table {
        let rows = rows.iter().enumerate().map(|(at, row)| match row {
            Ok((query, reply)) => vec![(at + 1).to_string(), ends(query), reply.verdict.clone(), reply.result.clone()],
            Err(why) => vec![(at + 1).to_string(), String::new(), "-".into(), why.clone()],
        });
        print(&table(&["frame", "packet", "verdict", "result"], rows));
        return Ok(());
    }
    let row = |(at, row): (usize, &Result<(v1::ExplainRequest, v1::ExplainReply), String>)| match row {
        Ok((query, reply)) => {
            let mut value = value(reply, candidate);
            value["frame"] = (at + 1).into();
            value["packet"] = ends(query).into();
            value
        }
        Err(why) => json!({ "frame": at + 1, "unexplained": why }),
    };
    print_value(format, &json!({ "frames": rows.iter().enumerate().map(row).collect::<Vec<_>>() }));
    Ok(())
}

/// "tcp 10.1.1.11:1000 > 10.1.1.12:80".
fn ends(query: &v1::ExplainRequest) -> String {
    let protocol = u8::try_from(query.protocol).map(vrouter::api::text::Protocol);
    let protocol = protocol.map_or_else(|_| query.protocol.to_string(), |protocol| protocol.to_string());
    let end = |bytes: &[u8], port: u32| match (query.icmp_type, port) {
        (None, 1..) => format!("{} port {port}", address(bytes)),
        _ => address(bytes),
    };
    let (from, to) = (end(&query.source, query.source_port), end(&query.destination, query.destination_port));
    format!("{protocol} {from} to {to}")
}

fn text(reply: &v1::ExplainReply, candidate: Option<&Candidate>) -> String {
    let steps = step_table("step", &reply.steps, candidate);
    let remedy = if reply.remedy.is_empty() { String::new() } else { format!("{}\n", reply.remedy) };
    format!("{steps}{}: {} (generation {})\n{remedy}", reply.verdict, reply.result, reply.generation)
}

/// Steps for people; of files with where what decided stands.
pub fn step_table(title: &str, steps: &[v1::Step], candidate: Option<&Candidate>) -> String {
    let cells = |step: &v1::Step| {
        let place = candidate.map(|candidate| candidate.place(step));
        [step.name.clone(), step.object.clone(), what(step)].into_iter().chain(place).collect()
    };
    let titles = [title, "who decides", "what", "where"];
    table(&titles[..3 + usize::from(candidate.is_some())], steps.iter().map(cells))
}

/// What was found, and whose it is if it is another owner's than a VIF's or who writes files.
fn what(step: &v1::Step) -> String {
    match &*step.owner {
        "" | "vif" | OPERATOR => step.detail.clone(),
        owner => format!("{}, of {owner}", step.detail),
    }
}

/// An answer for programs.
fn value(reply: &v1::ExplainReply, candidate: Option<&Candidate>) -> Value {
    let steps: Vec<_> = reply.steps.iter().map(|step| step_value(step, candidate)).collect();
    let mut value = json!({
        "generation": reply.generation, "steps": steps, "verdict": reply.verdict, "result": reply.result,
    });
    let remote = if reply.remote.is_empty() { String::new() } else { address(&reply.remote) };
    let more = [
        ("exit_vif", reply.exit_vif.clone()),
        ("exit_tunnel_vrf", reply.exit_tunnel_vrf.clone()),
        ("remote", remote),
        ("answers", reply.answers.clone()),
        ("remedy", reply.remedy.clone()),
    ];
    for (name, text) in more.into_iter().filter(|(_, text)| !text.is_empty()) {
        value[name] = text.into();
    }
    value
}

/// A step for programs; of files with file and line of what decided.
pub fn step_value(step: &v1::Step, candidate: Option<&Candidate>) -> Value {
    let mut value = json!({ "name": step.name, "object": step.object, "detail": step.detail });
    if !step.acl.is_empty() {
        value["acl"] = step.acl.clone().into();
        value["rule"] = step.rule.into();
    }
    if !step.vrf.is_empty() {
        value["vrf"] = step.vrf.clone().into();
        let prefix = step.prefix.as_ref().and_then(|prefix| Prefix::try_from(prefix).ok());
        value["prefix"] = prefix.map(|prefix| prefix.to_string()).into();
        if !step.owner.is_empty() {
            value["owner"] = step.owner.clone().into();
        }
    }
    if let Some((candidate, at)) = candidate.and_then(|candidate| Some((candidate, candidate.stands(step)?))) {
        value["file"] = candidate.files()[at.file].0.clone().into();
        value["line"] = at.position.line.into();
    }
    value
}
