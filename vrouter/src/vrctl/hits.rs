//! `vrctl hits`.

use serde_json::json;
use vrouter::api::v1;

use super::Failure;
use super::connect::{Daemon, connect};
use super::output::{Format, count, print, print_value, table};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl hits
  vrctl hits web --unused
  vrctl hits -o json

A rule counts each flow that it let begin, and each packet that it denied. It keeps its count while its ACL has it as it is.
What live flows carried is in `vrctl flows`.
")]
pub struct Hits {
    /// Of this ACL alone
    pub acl: Option<String>,
    /// Rules that have decided nothing yet
    #[arg(long)]
    pub unused: bool,
}

pub async fn run(daemon: &Daemon, format: Format, Hits { acl, unused }: Hits) -> Result<(), Failure> {
    let filter = v1::HitsRequest { acl: acl.unwrap_or_default() };
    let mut chunks = connect(daemon).await?.hits(filter).await?.into_inner();
    let mut all = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        // the end is no rule that somebody could take away
        all.extend(chunk.rules.into_iter().filter(|row| !unused || (row.hits == 0 && row.rule.is_some())));
    }
    if format == Format::Table {
        print(&table(&["acl", "rule", "name", "hits"], all.iter().map(cells)));
        return Ok(());
    }
    let rows = all.iter().map(|row| json!({ "acl": row.acl, "rule": row.rule, "name": row.name, "hits": row.hits }));
    print_value(format, &json!({ "rules": rows.collect::<Vec<_>>() }));
    Ok(())
}

fn cells(row: &v1::RuleHits) -> Vec<String> {
    let rule = row.rule.map_or_else(|| "end".to_owned(), |rule| rule.to_string());
    vec![row.acl.clone(), rule, row.name.clone(), count(row.hits)]
}
