//! `vrctl hits`.

use serde_json::json;
use vrouter::api::text::Prefix;
use vrouter::api::v1;

use super::Failure;
use super::connect::{Daemon, connect};
use super::output::{Format, count, print, print_value, table};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl hits
  vrctl hits web --unused
  vrctl hits --routes --vrf red
  vrctl hits -o json

A rule counts each flow that it let begin, and each packet that it denied. It keeps its count while its ACL has it as it is.
A route counts the same decisions that were made by it, and packets for the vRouter itself; where flows are off, packets, of which one in each burst
is counted for all of it. Those that have none are not listed. What live flows carried is in `vrctl flows`.
")]
pub struct Hits {
    /// Of this ACL alone
    #[arg(conflicts_with_all = ["routes", "vrf"])]
    pub acl: Option<String>,
    /// Of routes
    #[arg(long, conflicts_with = "unused")]
    pub routes: bool,
    /// Of this VRF's routes
    #[arg(long, value_name = "NAME", requires = "routes")]
    pub vrf: Option<String>,
    /// Rules that have decided nothing yet
    #[arg(long)]
    pub unused: bool,
}

pub async fn run(daemon: &Daemon, format: Format, hits: Hits) -> Result<(), Failure> {
    let Hits { acl, unused, routes, vrf } = hits;
    let filter = v1::HitsRequest { acl: acl.unwrap_or_default(), routes, vrf: vrf.unwrap_or_default() };
    let mut chunks = connect(daemon).await?.hits(filter).await?.into_inner();
    let mut all = Vec::new();
    let mut by_route = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        by_route.extend(chunk.routes);
        // the end is no rule that somebody could take away
        all.extend(chunk.rules.into_iter().filter(|row| !unused || (row.hits == 0 && row.rule.is_some())));
    }
    if routes {
        told_by_route(format, &by_route);
        return Ok(());
    }
    if format == Format::Table {
        print(&table(&["acl", "rule", "name", "hits"], all.iter().map(cells)));
        return Ok(());
    }
    let rows = all.iter().map(|row| json!({ "acl": row.acl, "rule": row.rule, "name": row.name, "hits": row.hits }));
    print_value(format, &json!({ "rules": rows.collect::<Vec<_>>() }));
    Ok(())
}

fn told_by_route(format: Format, all: &[v1::RouteHits]) {
    let prefix = |row: &v1::RouteHits| row.prefix.as_ref().and_then(|it| Some(Prefix::try_from(it).ok()?.to_string()));
    if format == Format::Table {
        let cells = |row: &v1::RouteHits| {
            vec![row.vrf.clone(), prefix(row).unwrap_or_else(|| "(others)".into()), count(row.hits)]
        };
        print(&table(&["vrf", "prefix", "hits"], all.iter().map(cells)));
        return;
    }
    let rows = all.iter().map(|row| json!({ "vrf": row.vrf, "prefix": prefix(row), "hits": row.hits }));
    print_value(format, &json!({ "routes": rows.collect::<Vec<_>>() }));
}

fn cells(row: &v1::RuleHits) -> Vec<String> {
    let rule = row.rule.map_or_else(|| "end".to_owned(), |rule| rule.to_string());
    vec![row.acl.clone(), rule, row.name.clone(), count(row.hits)]
}
