//! `vrctl stats` and `vrctl status`.

use serde_json::{Value, json};
use vrouter::api::v1;
use vrouter::api::yaml::{Alarm, Quota};

use super::Failure;
use super::connect::{Daemon, connect};
use super::output::{Format, bytes, count, duration, print, print_value, table};
use super::rows;
use super::verdicts;

pub async fn run(daemon: &Daemon, format: Format) -> Result<(), Failure> {
    let stats = connect(daemon).await?.stats(v1::StatsRequest {}).await?.into_inner();
    match format {
        Format::Table => print(&told(&stats)),
        _ => print_value(format, &value(&stats)),
    }
    Ok(())
}

pub async fn status(daemon: &Daemon, format: Format) -> Result<(), Failure> {
    let status = connect(daemon).await?.status(v1::StatusRequest {}).await?.into_inner();
    match format {
        Format::Table => {
            print(&format!(
                "vrouter {}, up {}, generation {}, {} workers, idle: {}\n",
                status.version,
                duration(status.uptime_ms),
                status.generation,
                status.workers,
                status.idle
            ));
            print(&status.flow_file.as_ref().map(flow_file).unwrap_or_default());
            print(&status.state_dir.as_ref().map(state_dir).unwrap_or_default());
            let cells = |it: &v1::Limit| vec![it.name.clone(), count(it.value), count(it.used), bytes(it.bytes)];
            print(&table(&["limit", "at most", "used", "memory"], status.limits.iter().map(cells)));
        }
        _ => {
            let limit =
                |it: &v1::Limit| json!({ "name": it.name, "value": it.value, "used": it.used, "bytes": it.bytes });
            let value = json!({
                "version": status.version,
                "generation": status.generation,
                "uptime_ms": status.uptime_ms,
                "workers": status.workers,
                "idle": status.idle,
                "flow_file": status.flow_file.as_ref().map(flow_file_value),
                "state_dir": status.state_dir.as_ref().map(|it| json!({
                    "path": it.path, "batches": it.batches, "refuses": it.refuses,
                })),
                "limits": status.limits.iter().map(limit).collect::<Vec<_>>(),
            });
            print_value(format, &value);
        }
    }
    Ok(())
}

/// Where what is programmed is kept, as a line.
fn state_dir(state: &v1::StateDir) -> String {
    if state.refuses.is_empty() {
        return format!("state in {}: {} batches\n", state.path, count(state.batches));
    }
    format!("state in {}: no changes are taken: {}\n", state.path, state.refuses)
}

/// What became of the flows of the daemon before, as a line.
fn flow_file(file: &v1::FlowFile) -> String {
    if !file.rebuilt.is_empty() {
        return format!("flows in {}: began empty, as {}\n", file.path, file.rebuilt);
    }
    let dropped: Vec<_> = file.dropped.iter().map(|it| format!("{} {}", count(it.flows), it.cause)).collect();
    let dropped = if dropped.is_empty() { "none".into() } else { dropped.join(", ") };
    let took = file.milliseconds;
    format!("flows in {}: adopted {} in {took} ms, dropped {dropped}\n", file.path, count(file.adopted))
}

pub fn flow_file_value(file: &v1::FlowFile) -> Value {
    let dropped = |it: &v1::DroppedFlows| (it.cause.clone(), json!(it.flows));
    json!({
        "path": file.path,
        "adopted": file.adopted,
        "dropped": file.dropped.iter().map(dropped).collect::<serde_json::Map<_, _>>(),
        "rebuilt": file.rebuilt,
        "milliseconds": file.milliseconds,
    })
}

fn told(stats: &v1::StatsReply) -> String {
    let vif = |it: &v1::VifStats| {
        let numbers = [it.rx_packets, it.rx_bytes, it.tx_packets, it.tx_bytes, it.dropped].map(count);
        [vec![it.vif.clone()], numbers.to_vec()].concat()
    };
    let worker = |it: &v1::WorkerStats| {
        let busy = if it.polls == 0 { 0.0 } else { it.busy_polls as f64 * 100.0 / it.polls as f64 };
        let numbers = [it.rx_packets, it.tx_packets, it.flow_hits, it.flow_misses, it.revalidated, it.generation];
        [vec![it.worker.to_string(), format!("{busy:.1} %")], numbers.map(count).to_vec()].concat()
    };
    let port = |it: &v1::PortStats| {
        let link = if it.link_up { "up" } else { "down" };
        let numbers = [it.rx_packets, it.tx_packets, it.missed, it.no_mbuf, it.errors].map(count);
        [vec![it.port.clone(), link.into()], numbers.to_vec()].concat()
    };
    let traffic = |it: &v1::PortStats| {
        let (seen, latency) = (it.traffic.clone()?, it.traffic.clone()?.latency.unwrap_or_default());
        let numbers = [seen.stamped, seen.bytes, seen.lost, seen.reordered, seen.repeated].map(count);
        let times = [latency.p50_ns, latency.p99_ns, latency.p999_ns].map(|ns| format!("{:.1} us", ns as f64 / 1e3));
        Some([vec![it.port.clone()], numbers.to_vec(), times.to_vec()].concat())
    };
    let traffic: Vec<_> = stats.ports.iter().filter_map(traffic).collect();
    let sinks = ["sink", "stamped", "bytes", "lost", "reordered", "repeated", "p50", "p99", "p99.9"];
    let vifs = ["vif", "rx packets", "rx bytes", "tx packets", "tx bytes", "dropped"];
    let quotas = ["held by", "flows", "new flows/s", "punts/s", "fragments/s", "quota"];
    let workers = ["worker", "busy polls", "rx packets", "tx packets", "hits", "misses", "revalidated", "generation"];
    let ports = ["port", "link", "rx packets", "tx packets", "missed", "no mbuf", "errors"];
    let mut text = table(&workers, stats.workers.iter().map(worker));
    for (table, rows) in [
        (table(&vifs, stats.vifs.iter().map(vif)), stats.vifs.len()),
        (table(&quotas, stats.quotas.iter().map(quota_cells)), stats.quotas.len()),
        (table(&ports, stats.ports.iter().map(port)), stats.ports.len()),
        (table(&sinks, traffic.clone()), traffic.len()),
    ] {
        if rows > 0 {
            text += "\n";
            text += &table;
        }
    }
    text += "\n";
    if let Some(flows) = &stats.flows {
        text += &format!(
            "flow pairs: v4 {} of {}, v6 {} of {}; {} inserted, {} evicted, {} aged\n",
            count(flows.used_v4),
            count(flows.capacity_v4),
            count(flows.used_v6),
            count(flows.capacity_v6),
            count(flows.inserted),
            count(flows.evicted),
            count(flows.aged)
        );
    }
    text += &stats.verdicts.as_ref().map(|it| format!("generation {}\n", verdicts::text(it))).unwrap_or_default();
    text += &stats.learning.as_ref().map(learning).unwrap_or_default();
    if let Some(it) = &stats.conservation {
        text += &format!(
            "frames: received {} + originated {} + copied {} = sent {} + dropped {} + held {} + consumed {}{}\n",
            it.received,
            it.originated,
            it.copied,
            it.sent,
            it.dropped,
            it.held,
            it.consumed,
            if balanced(it) { "" } else { "   (counted while packets moved)" }
        );
    }
    text
}

/// Empty where no bridge learnt anything.
fn learning(it: &v1::LearningStats) -> String {
    let numbers = [it.learnt, it.moved, it.pinned, it.aged, it.refused, it.unheard].map(count);
    let [learnt, moved, pinned, aged, refused, unheard] = &numbers;
    let text = format!(
        "stations: {learnt} learnt, {moved} moved, {pinned} held, {aged} aged, {refused} sightings refused, {unheard} unheard\n"
    );
    if *it == v1::LearningStats::default() { String::new() } else { text }
}

fn balanced(it: &v1::Conservation) -> bool {
    let came = u128::from(it.received) + u128::from(it.originated) + u128::from(it.copied);
    came == [it.sent, it.dropped, it.held, it.consumed].into_iter().map(u128::from).sum()
}

fn value(stats: &v1::StatsReply) -> Value {
    let vif = |it: &v1::VifStats| {
        json!({
            "vif": it.vif, "rx_packets": it.rx_packets, "rx_bytes": it.rx_bytes, "tx_packets": it.tx_packets,
            "tx_bytes": it.tx_bytes, "dropped": it.dropped, "forwarded": it.forwarded, "punted": it.punted,
            "returned": it.returned, "punts_dropped": it.punts_dropped, "pieces": it.pieces,
            "fragments_held": it.fragments_held, "fragments_released": it.fragments_released,
        })
    };
    let drop = |it: &v1::DropCount| json!({ "reason": it.reason, "vif": it.vif, "vrf": it.vrf, "packets": it.packets });
    let worker = |it: &v1::WorkerStats| {
        json!({
            "worker": it.worker, "polls": it.polls, "busy_polls": it.busy_polls, "rx_packets": it.rx_packets,
            "tx_packets": it.tx_packets, "flow_hits": it.flow_hits, "flow_misses": it.flow_misses,
            "revalidated": it.revalidated, "generation": it.generation, "overlooked": it.overlooked,
        })
    };
    let port = |it: &v1::PortStats| {
        let mut row = json!({
            "port": it.port, "link_up": it.link_up, "rx_packets": it.rx_packets, "tx_packets": it.tx_packets,
            "missed": it.missed, "no_mbuf": it.no_mbuf, "errors": it.errors,
        });
        if let Some(seen) = &it.traffic {
            row["traffic"] = traffic_value(seen);
        }
        row
    };
    let flows = stats.flows.unwrap_or_default();
    let conservation = stats.conservation.unwrap_or_default();
    let learning = stats.learning.unwrap_or_default();
    json!({
        "generation": stats.generation,
        "vifs": stats.vifs.iter().map(vif).collect::<Vec<_>>(),
        "drops": stats.drops.iter().map(drop).collect::<Vec<_>>(),
        "workers": stats.workers.iter().map(worker).collect::<Vec<_>>(),
        "flows": {
            "capacity_v4": flows.capacity_v4, "used_v4": flows.used_v4, "capacity_v6": flows.capacity_v6,
            "used_v6": flows.used_v6, "inserted": flows.inserted, "evicted": flows.evicted, "aged": flows.aged,
        },
        "ports": stats.ports.iter().map(port).collect::<Vec<_>>(),
        "learning": {
            "learnt": learning.learnt, "moved": learning.moved, "pinned": learning.pinned, "aged": learning.aged,
            "refused": learning.refused, "unheard": learning.unheard,
        },
        "verdicts": stats.verdicts.as_ref().map(verdicts::value),
        "quotas": stats.quotas.iter().map(quota_value).collect::<Vec<_>>(),
        "conservation": {
            "received": conservation.received, "originated": conservation.originated, "copied": conservation.copied,
            "sent": conservation.sent, "dropped": conservation.dropped, "held": conservation.held,
            "consumed": conservation.consumed, "balanced": balanced(&conservation),
        },
    })
}

fn quota_cells(it: &v1::QuotaUse) -> Vec<String> {
    let numbers = [it.flows, it.new_flows, it.punts, it.fragments].map(count);
    let alarms: Vec<_> = it.alarms.iter().map(Alarm::from).collect();
    let bounds = rows::quota(&it.quota.map(Quota::from), &alarms).replace('\n', ", ");
    [vec![it.holder.clone()], numbers.to_vec(), vec![bounds]].concat()
}

/// What is used of a quota.
fn quota_value(it: &v1::QuotaUse) -> Value {
    let alarms: Vec<_> = it.alarms.iter().map(Alarm::from).collect();
    json!({
        "holder": it.holder, "flows": it.flows, "new_flows": it.new_flows, "punts": it.punts, "fragments": it.fragments,
        "quota": it.quota.map(Quota::from).unwrap_or_default(), "alarms": alarms,
    })
}

/// What was sent to a source or sink.
fn traffic_value(seen: &v1::TrafficStats) -> Value {
    let overflow = |it: &v1::Overflow| json!({ "at_ns": it.at_ns, "lasted_ns": it.lasted_ns, "frames": it.frames });
    let latency = seen.latency.clone().unwrap_or_default();
    let bucket = |it: &v1::LatencyBucket| json!({ "longest_ns": it.longest_ns, "frames": it.frames });
    json!({
        "stamped": seen.stamped, "bytes": seen.bytes, "lost": seen.lost, "reordered": seen.reordered,
        "repeated": seen.repeated,
        "latency": {
            "p50_ns": latency.p50_ns, "p99_ns": latency.p99_ns, "p999_ns": latency.p999_ns,
            "longest_ns": latency.longest_ns, "buckets": latency.buckets.iter().map(bucket).collect::<Vec<_>>(),
        },
        "overflows": seen.overflows.iter().map(overflow).collect::<Vec<_>>(),
    })
}
