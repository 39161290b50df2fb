//! `vrctl drops`.

use serde_json::{Value, json};
use vrouter::api::v1;
use vrouter::drops::DropReason;

use super::Failure;
use super::args::Drops;
use super::connect::{Daemon, connect};
use super::decode::head_line;
use super::output::{Format, count, duration, hex, print, print_value, table};

pub async fn run(daemon: &Daemon, format: Format, drops: Drops) -> Result<(), Failure> {
    if drops.reasons {
        reasons(format);
        return Ok(());
    }
    if let Some(reason) = drops.reason.as_deref().filter(|reason| DropReason::named(reason).is_none()) {
        return Err(Failure::Usage(format!("there is no drop reason {reason}; `vrctl drops --reasons` lists them")));
    }
    if drops.victims { victims(daemon, format, drops).await } else { counts(daemon, format, drops).await }
}

async fn counts(daemon: &Daemon, format: Format, drops: Drops) -> Result<(), Failure> {
    let stats = connect(daemon).await?.stats(v1::StatsRequest {}).await?.into_inner();
    let mut rows = stats.drops;
    rows.retain(|row| {
        drops.vif.as_ref().is_none_or(|vif| row.vif == *vif) && drops.reason.as_ref().is_none_or(|it| row.reason == *it)
    });
    rows.sort_by(|a, b| (b.packets, &a.reason, &a.vif).cmp(&(a.packets, &b.reason, &b.vif)));
    let total: u64 = rows.iter().map(|row| row.packets).sum();
    match format {
        Format::Table => {
            let cells = |row: &v1::DropCount| {
                let vif = if row.vif.is_empty() { "-" } else { &row.vif };
                vec![row.reason.clone(), vif.into(), count(row.packets), meaning(&row.reason).into()]
            };
            print(&table(&["reason", "vif", "packets", "meaning"], rows.iter().map(cells)));
            print(&format!("{} packets\n", count(total)));
        }
        _ => {
            let row = |row: &v1::DropCount| json!({ "reason": row.reason, "vif": row.vif, "packets": row.packets, "meaning": meaning(&row.reason) });
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
    for (what, name) in [(" at vif ", &victim.vif), (" by ", &victim.object)] {
        if !name.is_empty() {
            text += what;
            text += name;
        }
    }
    let Some(line) = victim.head.chunks(16).next() else { return text + "\n" };
    text += &format!("  ({} bytes, worker {})\n    {}\n", victim.length, victim.worker, head_line(&victim.head));
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
        "object": victim.object,
        "length": victim.length,
        "head": hex(&victim.head),
        "decoded": head_line(&victim.head),
        "age_ms": victim.age_ms,
        "worker": victim.worker,
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
