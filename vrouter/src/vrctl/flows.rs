//! `vrctl flows`.

use serde_json::{Value, json};
use vrouter::api::text::Protocol;
use vrouter::api::v1;

use super::Failure;
use super::args::Flows;
use super::connect::{Daemon, connect};
use super::output::{Format, address, count, duration, print, print_value, table};

pub async fn run(daemon: &Daemon, format: Format, flows: Flows) -> Result<(), Failure> {
    let filter = v1::FlowsRequest {
        vrf: flows.vrf.unwrap_or_default(),
        vif: flows.vif.unwrap_or_default(),
        source: flows.src.map(v1::Prefix::from),
        destination: flows.dst.map(v1::Prefix::from),
        protocol: flows.proto.map(|protocol| protocol.0.into()),
        port: flows.port.map(u32::from),
        limit: flows.limit,
    };
    let mut chunks = connect(daemon).await?.flows(filter).await?.into_inner();
    let mut all = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        all.extend(chunk.flows);
    }
    match format {
        Format::Table => {
            let columns = ["from", "flow", "state", "verdict", "packets", "bytes", "age", "idle", "next hop"];
            print(&table(&columns, all.iter().map(cells)));
        }
        _ => print_value(format, &json!({ "flows": all.iter().map(value).collect::<Vec<_>>() })),
    }
    Ok(())
}

fn protocol(number: u32) -> String {
    Protocol::try_from(number).map_or_else(|_| number.to_string(), |protocol| protocol.to_string())
}

fn cells(flow: &v1::Flow) -> Vec<String> {
    let host = |bytes: &[u8], port: u32| {
        if bytes.len() == 16 { format!("[{}]:{port}", address(bytes)) } else { format!("{}:{port}", address(bytes)) }
    };
    let ends = match flow.protocol {
        1 | 58 => format!(
            "{} > {} id {} type {}",
            address(&flow.source),
            address(&flow.destination),
            flow.source_port,
            flow.destination_port >> 8
        ),
        _ => format!("{} > {}", host(&flow.source, flow.source_port), host(&flow.destination, flow.destination_port)),
    };
    let both = |forward: &str, reverse: &str| {
        if forward == reverse { forward.to_owned() } else { format!("{forward}\n{reverse}") }
    };
    let by = |next_hop: &str, path: &str| {
        if path.is_empty() { next_hop.to_owned() } else { format!("{next_hop}, path {path}") }
    };
    vec![
        format!("{}\n{}", flow.place, flow.reverse_place),
        format!("{} {ends}", protocol(flow.protocol)),
        flow.state.clone(),
        both(&flow.verdict, &flow.reverse_verdict),
        format!("{}\n{}", count(flow.packets), count(flow.reverse_packets)),
        format!("{}\n{}", count(flow.bytes), count(flow.reverse_bytes)),
        duration(flow.age_ms),
        duration(flow.idle_ms.into()),
        format!("{}\n{}", by(&flow.next_hop, &flow.path), by(&flow.reverse_next_hop, &flow.reverse_path)),
    ]
}

fn value(flow: &v1::Flow) -> Value {
    json!({
        "place": flow.place,
        "reverse_place": flow.reverse_place,
        "source": address(&flow.source),
        "destination": address(&flow.destination),
        "protocol": protocol(flow.protocol),
        "source_port": flow.source_port,
        "destination_port": flow.destination_port,
        "state": flow.state,
        "verdict": flow.verdict,
        "reverse_verdict": flow.reverse_verdict,
        "packets": flow.packets,
        "bytes": flow.bytes,
        "reverse_packets": flow.reverse_packets,
        "reverse_bytes": flow.reverse_bytes,
        "age_ms": flow.age_ms,
        "idle_ms": flow.idle_ms,
        "next_hop": flow.next_hop,
        "reverse_next_hop": flow.reverse_next_hop,
        "path": flow.path,
        "reverse_path": flow.reverse_path,
    })
}
