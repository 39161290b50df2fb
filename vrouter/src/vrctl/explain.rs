//! `vrctl explain`.

use serde_json::json;
use vrouter::api::text::address_bytes;
use vrouter::api::v1;

use super::Failure;
use super::args::Explain;
use super::connect::{Daemon, connect};
use super::output::{Format, print, print_value, table};

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
    let reply = connect(daemon).await?.explain(query).await?.into_inner();
    match format {
        Format::Table => {
            let cells = |step: &v1::Step| vec![step.name.clone(), step.object.clone(), step.detail.clone()];
            print(&table(&["step", "who decides", "what"], reply.steps.iter().map(cells)));
            print(&format!("{}: {} (generation {})\n", reply.verdict, reply.result, reply.generation));
        }
        _ => {
            let step = |step: &v1::Step| json!({ "name": step.name, "object": step.object, "detail": step.detail });
            let steps: Vec<_> = reply.steps.iter().map(step).collect();
            let value = json!({
                "generation": reply.generation, "steps": steps, "verdict": reply.verdict, "result": reply.result,
            });
            print_value(format, &value);
        }
    }
    Ok(())
}
