//! `vrctl drops`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use vrouter::api::v1;
use vrouter::drops::DropReason;

use super::Failure;
use super::args::Drops;
use super::connect::{Daemon, connect};
use super::decode::head_line;
use super::output::{Format, count, duration, hex, print, print_value, table};

const SECOND: Duration = Duration::from_secs(1);

pub async fn run(daemon: &Daemon, format: Format, drops: Drops) -> Result<(), Failure> {
    if drops.reasons {
        reasons(format);
        return Ok(());
    }
    if let Some(reason) = drops.reason.as_deref().filter(|reason| DropReason::named(reason).is_none()) {
        return Err(Failure::Usage(format!("there is no drop reason {reason}; `vrctl drops --reasons` lists them")));
    }
    if drops.victims {
        victims(daemon, format, drops).await
    } else if drops.watch {
        watch(daemon, format, &drops).await
    } else {
        counts(daemon, format, drops).await
    }
}

/// Packets dropped, by reason, VIF and VRF.
type Counts = BTreeMap<(String, String, String), u64>;

/// Tells each second what was dropped meanwhile, and of each kind the last one and who decided, until it is ended.
async fn watch(daemon: &Daemon, format: Format, drops: &Drops) -> Result<(), Failure> {
    let mut client = connect(daemon).await?;
    let mut before = wanted(client.stats(v1::StatsRequest {}).await?.into_inner(), drops);
    if format == Format::Table {
        print("what is dropped from now on, each second\n");
    }
    loop {
        tokio::time::sleep(SECOND).await;
        let now = wanted(client.stats(v1::StatsRequest {}).await?.into_inner(), drops);
        for (of, packets) in &now {
            // the counters of a VIF end with it
            let more = packets.saturating_sub(before.get(of).copied().unwrap_or(0));
            if more == 0 {
                continue;
            }
            let (reason, vif, vrf) = of.clone();
            let filter = v1::VictimsRequest { reason, vif, vrf, limit: 1 };
            let last = client.victims(filter).await?.into_inner().victims.into_iter().next();
            print(&rise(format, of, more, last));
        }
        before = now;
    }
}

/// What is asked for of all counters.
fn wanted(stats: v1::StatsReply, drops: &Drops) -> Counts {
    let mut counts = Counts::new();
    for row in stats.drops.into_iter().filter(|row| fits(row, drops)) {
        *counts.entry((row.reason, row.vif, row.vrf)).or_default() += row.packets;
    }
    counts
}

fn fits(row: &v1::DropCount, drops: &Drops) -> bool {
    let is = |wanted: &Option<String>, it: &str| wanted.as_ref().is_none_or(|wanted| wanted == it);
    is(&drops.vif, &row.vif) && is(&drops.vrf, &row.vrf) && is(&drops.reason, &row.reason)
}

/// One line.
fn rise(format: Format, (reason, vif, vrf): &(String, String, String), more: u64, last: Option<v1::Victim>) -> String {
    if format != Format::Table {
        let mut value =
            json!({ "reason": reason, "vif": vif, "vrf": vrf, "packets": more, "meaning": meaning(reason) });
        if let Some(last) = last {
            value["last"] = json!({ "object": last.object, "decoded": head_line(&last.head), "head": hex(&last.head) });
        }
        return format!("{value}\n");
    }
    let at = |what: &str, name: &str| if name.is_empty() { String::new() } else { format!(" {what} {name}") };
    let at = at("at vif", vif) + &at("in vrf", vrf);
    let last = last.map(|last| {
        let by = if last.object.is_empty() { String::new() } else { format!(" by {}", last.object) };
        format!("; the last one{by}: {}", head_line(&last.head))
    });
    format!("+{} {reason}{at}{}\n", count(more), last.unwrap_or_default())
}

async fn counts(daemon: &Daemon, format: Format, drops: Drops) -> Result<(), Failure> {
    let stats = connect(daemon).await?.stats(v1::StatsRequest {}).await?.into_inner();
    let mut rows = stats.drops;
    rows.retain(|row| fits(row, &drops));
    rows.sort_by(|a, b| (b.packets, &a.reason, &a.vif, &a.vrf).cmp(&(a.packets, &b.reason, &b.vif, &b.vrf)));
    let total: u64 = rows.iter().map(|row| row.packets).sum();
    match format {
        Format::Table => {
            let cells = |row: &v1::DropCount| {
                let or_none = |name: &str| if name.is_empty() { "-".into() } else { name.to_owned() };
                let (vif, vrf) = (or_none(&row.vif), or_none(&row.vrf));
                vec![row.reason.clone(), vif, vrf, count(row.packets), meaning(&row.reason).into()]
            };
            print(&table(&["reason", "vif", "vrf", "packets", "meaning"], rows.iter().map(cells)));
            print(&format!("{} packets\n", count(total)));
        }
        _ => {
            let row = |row: &v1::DropCount| json!({ "reason": row.reason, "vif": row.vif, "vrf": row.vrf, "packets": row.packets, "meaning": meaning(&row.reason) });
            let rows: Vec<_> = rows.iter().map(row).collect();
            print_value(format, &json!({ "generation": stats.generation, "packets": total, "drops": rows }));
        }
    }
    Ok(())
}

async fn victims(daemon: &Daemon, format: Format, drops: Drops) -> Result<(), Failure> {
    let filter = v1::VictimsRequest {
        reason: drops.reason.unwrap_or_default(),
        vif: drops.vif.unwrap_or_default(),
        vrf: drops.vrf.unwrap_or_default(),
        limit: drops.limit,
    };
    let victims = connect(daemon).await?.victims(filter).await?.into_inner().victims;
    match format {
        Format::Table if victims.is_empty() => print("none\n"),
        Format::Table => {
            for victim in &victims {
                print(&told(victim));
            }
        }
        _ => print_value(format, &json!({ "victims": victims.iter().map(value).collect::<Vec<_>>() })),
    }
    Ok(())
}

/// A victim for people: who, why, what it was, and its bytes.
fn told(victim: &v1::Victim) -> String {
    let mut text = format!("{} ago  {}", duration(victim.age_ms), victim.reason);
    for (what, name) in [(" at vif ", &victim.vif), (" in vrf ", &victim.vrf), (" by ", &victim.object)] {
        if !name.is_empty() {
            text += what;
            text += name;
        }
    }
    let who = if victim.slow_path { "slow path".into() } else { format!("worker {}", victim.worker) };
    let Some(line) = victim.head.chunks(16).next() else { return text + "\n" };
    text += &format!("  ({} bytes, {who})\n    {}\n", victim.length, head_line(&victim.head));
    let mut at = 0;
    for bytes in victim.head.chunks(line.len().max(1)) {
        let spaced: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("    {at:04x}  {}\n", spaced.join(" "));
        at += bytes.len();
    }
    text
}

fn value(victim: &v1::Victim) -> Value {
    json!({
        "reason": victim.reason,
        "vif": victim.vif,
        "vrf": victim.vrf,
        "object": victim.object,
        "length": victim.length,
        "head": hex(&victim.head),
        "decoded": head_line(&victim.head),
        "age_ms": victim.age_ms,
        "worker": if victim.slow_path { Value::Null } else { victim.worker.into() },
        "slow_path": victim.slow_path,
        "meaning": meaning(&victim.reason),
    })
}

fn reasons(format: Format) {
    let all = DropReason::ALL.iter();
    match format {
        Format::Table => {
            print(&table(&["reason", "meaning"], all.map(|it| vec![it.name().into(), it.meaning().into()])));
        }
        _ => {
            let all: Vec<_> = all.map(|it| json!({ "reason": it.name(), "meaning": it.meaning() })).collect();
            print_value(format, &json!({ "reasons": all }));
        }
    }
}

fn meaning(reason: &str) -> &'static str {
    DropReason::named(reason).map_or("(a reason of a newer daemon)", DropReason::meaning)
}
