//! `vrctl explain`.

use serde_json::{Value, json};
use vrouter::api::text::{Prefix, address_bytes};
use vrouter::api::v1;
use vrouter::candidate::Bed;

use super::Failure;
use super::args::Explain;
use super::connect::{Daemon, connect};
use super::offline;
use super::output::{Format, address, print, print_value, table};

pub async fn run(daemon: &Daemon, format: Format, explain: Explain) -> Result<(), Failure> {
    use v1::explain_request::Place;
    let place = explain.vif.map(Place::Vif).or(explain.tunnel.map(Place::TunnelVrf));
    if explain.src.is_ipv4() != explain.dst.is_ipv4() {
        return Err(Failure::Usage("--src and --dst are of different IP versions".into()));
    }
    let query = v1::ExplainRequest {
        source: address_bytes(explain.src),
        destination: address_bytes(explain.dst),
        protocol: explain.proto.0.into(),
        source_port: explain.sport.into(),
        destination_port: explain.dport.into(),
        icmp_type: explain.icmp_type.map(u32::from),
        icmp_code: explain.icmp_code.map(u32::from),
        length: explain.length,
        may_be_cut: explain.may_be_cut,
        destination_mac: explain.dst_mac.map(|mac| mac.0.to_vec()).unwrap_or_default(),
        source_mac: explain.src_mac.map(|mac| mac.0.to_vec()).unwrap_or_default(),
        bridge: explain.bridge.unwrap_or_default(),
        place,
    };
    let reply = if explain.file.is_empty() {
        connect(daemon).await?.explain(query).await?.into_inner()
    } else {
        let candidate = offline::candidate(&explain.file)?;
        let bed = Bed::new(&candidate).map_err(|error| Failure::Refused(format!("no memory: {error}")))?;
        bed.explain(&query).map_err(Failure::Refused)?
    };
    match format {
        Format::Table => {
            let cells = |step: &v1::Step| vec![step.name.clone(), step.object.clone(), step.detail.clone()];
            print(&table(&["step", "who decides", "what"], reply.steps.iter().map(cells)));
            print(&format!("{}: {} (generation {})\n", reply.verdict, reply.result, reply.generation));
        }
        _ => {
            let steps: Vec<_> = reply.steps.iter().map(step_value).collect();
            let mut value = json!({
                "generation": reply.generation, "steps": steps, "verdict": reply.verdict, "result": reply.result,
            });
            let remote = if reply.remote.is_empty() { String::new() } else { address(&reply.remote) };
            let exits = [("exit_vif", reply.exit_vif), ("exit_tunnel_vrf", reply.exit_tunnel_vrf), ("remote", remote)];
            for (name, exit) in exits.into_iter().filter(|(_, exit)| !exit.is_empty()) {
                value[name] = exit.into();
            }
            print_value(format, &value);
        }
    }
    Ok(())
}

/// A step for programs.
pub fn step_value(step: &v1::Step) -> Value {
    let mut value = json!({ "name": step.name, "object": step.object, "detail": step.detail });
    if !step.acl.is_empty() {
        value["acl"] = step.acl.clone().into();
        value["rule"] = step.rule.into();
    }
    if !step.vrf.is_empty() {
        value["vrf"] = step.vrf.clone().into();
        let prefix = step.prefix.as_ref().and_then(|prefix| Prefix::try_from(prefix).ok());
        value["prefix"] = prefix.map(|prefix| prefix.to_string()).into();
    }
    value
}
