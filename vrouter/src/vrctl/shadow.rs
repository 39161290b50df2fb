//! `vrctl shadow`: policies that are tried beside those in force.

use serde_json::{Value, json};
use vrouter::api::text::Protocol;
use vrouter::api::v1;

use super::Failure;
use super::apply::{Told, answer};
use super::connect::{Client, Daemon, connect};
use super::output::{Format, address, count, print, print_value, table};
use super::revisions::{ago, time};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl apply --shadow -f candidate.yaml
  vrctl shadow report
  vrctl shadow report -o json
  vrctl shadow promote --confirm 60s
  vrctl shadow discard

Each new flow is judged by both: what is in force holds, and the report lists who would be permitted or denied by the candidate. A
flow counts once; a packet that is denied, each time. The shadow ends with the daemon, and when it is upgraded.
")]
pub struct Shadow {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Tell who would be permitted or denied, by rule and place
    Report,
    /// Make the candidate, as apply would
    Promote(Promote),
    /// End it; nothing else changes
    Discard(Discard),
}

#[derive(clap::Args)]
struct Promote {
    /// Whose candidate it is
    #[arg(long, default_value = "operator", value_name = "NAME")]
    owner: String,
    /// Undone unless it is confirmed within this time (60s, 5m, at most 1h): vrctl confirm
    #[arg(long, value_name = "TIME", value_parser = time)]
    confirm: Option<u32>,
    /// Return when every worker forwards by the change
    #[arg(long)]
    sync: bool,
    /// What for; default: what was said with apply
    #[arg(short, long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    message: String,
}

#[derive(clap::Args)]
struct Discard {
    /// Whose candidate it is
    #[arg(long, default_value = "operator", value_name = "NAME")]
    owner: String,
}

pub async fn run(daemon: &Daemon, format: Format, Shadow { what }: Shadow) -> Result<(), Failure> {
    let mut client = connect(daemon).await?;
    match what {
        What::Report => {
            let report = client.shadow_report(v1::ShadowReportRequest {}).await?.into_inner();
            show(format, &report);
            Ok(())
        }
        What::Promote(Promote { owner, confirm, sync, message }) => {
            let confirm_ms = confirm.unwrap_or(0);
            let wanted = v1::PromoteShadowRequest { owner: owner.clone(), confirm_ms, message };
            let reply = client.promote_shadow(wanted).await?.into_inner();
            let told = Told { changes: None, replace: false, owner, confirm_ms, sync };
            answer(&mut client, format, reply.result, &told, |_| String::new()).await
        }
        What::Discard(Discard { owner }) => {
            let gone = client.discard_shadow(v1::DiscardShadowRequest { owner }).await?.into_inner();
            match format {
                Format::Table => print(&format!("the shadow is discarded, generation {}\n", gone.generation)),
                _ => print_value(format, &json!({ "generation": gone.generation, "discarded": true })),
            }
            Ok(())
        }
    }
}

/// That the daemon knows shadows: one that is older would make the batch at once.
pub async fn check_known(client: &mut Client) -> Result<(), Failure> {
    match client.shadow_report(v1::ShadowReportRequest {}).await {
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            Err(Failure::Refused("this daemon is older and knows no shadows".into()))
        }
        // none is on, perhaps
        _ => Ok(()),
    }
}

/// A batch is tried now.
pub fn begun(format: Format, changes: u64, shadowed: &v1::Shadowed) {
    let v1::Shadowed { generation, vifs, vrfs } = shadowed;
    if format == Format::Table {
        let [vifs, vrfs] = [vifs, vrfs].map(|number| count(*number));
        let what = if changes == 1 { "change" } else { "changes" };
        print(&format!(
            "{} {what}, tried from generation {generation} on: {vifs} VIFs and {vrfs} VRFs have other ACLs by the candidate\n",
            count(changes)
        ));
    } else {
        print_value(format, &json!({ "generation": generation, "changes": changes, "vifs": vifs, "vrfs": vrfs }));
    }
}

fn show(format: Format, report: &v1::ShadowReportReply) {
    if format != Format::Table {
        print_value(format, &value(report));
        return;
    }
    let v1::ShadowReportReply { owner, by, message, judged, now_permitted, now_denied, moved, .. } = report;
    let said = if message.is_empty() { String::new() } else { format!(" ({message})") };
    let what = if report.changes == 1 { "change" } else { "changes" };
    print(&format!("{} {what} of {owner}{said}, by {by}, {}\n", count(report.changes), ago(report.since_ms)));
    if let Some(v1::Refused { object, field, reason, .. }) = &report.stands_still {
        let parts: Vec<_> = [object, field, reason].into_iter().filter(|part| !part.is_empty()).cloned().collect();
        print(&format!("it stands still, as it does not fit the network any more: {}\n", parts.join(": ")));
    }
    let [judged, permitted, denied, moved] = [judged, now_permitted, now_denied, moved].map(|number| count(*number));
    print(&format!(
        "of {judged} decisions by both it would permit {permitted} that are denied, deny {denied} that are permitted, send {moved} another way\n"
    ));
    let columns = ["would be", "from", "to", "for", "in force", "candidate", "count", "last", "example"];
    print(&table(&columns, report.rows.iter().map(cells)));
    if report.other > 0 {
        print(&format!("{} more are in no row\n", count(report.other)));
    }
    if report.lost > 0 {
        print(&format!("{} more were not told of: workers found no room\n", count(report.lost)));
    }
}

fn cells(row: &v1::ShadowRow) -> Vec<String> {
    let what = change(row);
    let end = |place: &str, whom: &str| if whom.is_empty() { place.to_owned() } else { format!("{place}\n{whom}") };
    let example = row.example.as_ref().map_or_else(String::new, |flow| {
        let port = flow.source_port.map(|port| format!(" port {port}")).unwrap_or_default();
        format!("{}{port}\n> {}", address(&flow.source), address(&flow.destination))
    });
    vec![
        what.to_owned(),
        end(&row.source, &row.source_match),
        end(&row.destination, &row.destination_match),
        service(row),
        judge(row.live.as_ref()),
        judge(row.shadow.as_ref()),
        count(row.count),
        ago(row.last_ms),
        example,
    ]
}

fn change(row: &v1::ShadowRow) -> &'static str {
    match row.change() {
        v1::ShadowChange::Permitted => "permitted",
        v1::ShadowChange::Denied => "denied",
        v1::ShadowChange::Moved => "moved",
    }
}

/// Protocol, and port or type.
fn service(row: &v1::ShadowRow) -> String {
    let protocol = protocol(row.protocol);
    match (row.port, row.icmp_type) {
        (Some(port), _) => format!("{protocol} {port}"),
        (None, Some(kind)) => format!("{protocol} type {kind}"),
        (None, None) => protocol,
    }
}

fn protocol(number: u32) -> String {
    Protocol::try_from(number).map_or_else(|_| number.to_string(), |protocol| protocol.to_string())
}

/// Who decides: whose ACL, and its rule.
fn judge(judge: Option<&v1::ShadowJudge>) -> String {
    let Some(judge) = judge else { return String::new() };
    let verdict = if judge.reason.is_empty() { "permit" } else { "deny" };
    let rule = match (judge.rule, judge.name.as_str()) {
        (Some(rule), "") => format!("rule {rule}"),
        (Some(rule), name) => format!("rule {rule} ({name})"),
        (None, _) => "end".to_owned(),
    };
    let by = if judge.acl.is_empty() { "no acl".to_owned() } else { format!("acl {} {rule}", judge.acl) };
    let to = if judge.redirect.is_empty() { String::new() } else { format!("\nto {}", judge.redirect) };
    format!("{verdict}: {by}\n{} {}{to}", judge.stage, judge.by).trim_end().to_owned()
}

fn value(report: &v1::ShadowReportReply) -> Value {
    let judge = |judge: &Option<v1::ShadowJudge>| {
        let judge = judge.clone().unwrap_or_default();
        let v1::ShadowJudge { reason, stage, by, acl, rule, name, redirect } = judge;
        json!({ "permit": reason.is_empty(), "reason": reason, "stage": stage, "by": by, "acl": acl, "rule": rule, "name": name, "redirect": redirect })
    };
    let row = |row: &v1::ShadowRow| {
        let example = row.example.as_ref().map(|flow| {
            json!({ "source": address(&flow.source), "destination": address(&flow.destination), "source_port": flow.source_port })
        });
        json!({
            "change": change(row), "live": judge(&row.live), "shadow": judge(&row.shadow),
            "source": row.source, "source_match": row.source_match,
            "destination": row.destination, "destination_match": row.destination_match,
            "protocol": protocol(row.protocol), "port": row.port, "icmp_type": row.icmp_type,
            "count": row.count, "first_ms": row.first_ms, "last_ms": row.last_ms, "example": example,
        })
    };
    let stands_still = report
        .stands_still
        .as_ref()
        .map(|refused| json!({ "object": refused.object, "field": refused.field, "reason": refused.reason }));
    json!({
        "generation": report.generation, "owner": report.owner, "by": report.by, "message": report.message,
        "since_ms": report.since_ms, "changes": report.changes, "vifs": report.vifs, "vrfs": report.vrfs,
        "judged": report.judged, "now_permitted": report.now_permitted, "now_denied": report.now_denied,
        "moved": report.moved, "lost": report.lost, "other": report.other, "stands_still": stands_still,
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
    })
}
