//! `vrctl confirm`, `vrctl revisions` and `vrctl rollback`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use vrouter::api::v1;

use super::Failure;
use super::apply::{Batch, commit};
use super::connect::{Daemon, connect};
use super::output::{Format, bytes, count, duration, print, print_value, table};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl apply -f network.yaml --confirm 60s
  vrctl confirm                     # what waits of the operator's
  vrctl confirm 17 --owner cni
")]
pub struct Confirm {
    /// Of the batch; default: whichever waits
    #[arg(default_value_t = 0, hide_default_value = true)]
    pub generation: u64,
    /// Whose batch it is
    #[arg(long, default_value = "operator", value_name = "NAME")]
    pub owner: String,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl revisions
  vrctl revisions --owner cni -o json
  vrctl diff --generation 17        # how it differs from what is there
  vrctl rollback 17 --dry-run
")]
pub struct Revisions {
    /// Of this owner; default: of all
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    pub owner: String,
}

#[derive(clap::Args)]
#[command(
    after_help = "One batch that replaces: what is as it was is not touched. Settings stay as they are if the revision has none.

Examples:
  vrctl revisions
  vrctl rollback 17 --dry-run       # what would change
  vrctl rollback 17 --confirm 60s
"
)]
pub struct Rollback {
    /// Of a kept revision
    pub generation: u64,
    /// Ask the daemon what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Undone unless it is confirmed within this time (60s, 5m, at most 1h)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub confirm: Option<u32>,
    /// Return when every worker forwards by the change
    #[arg(long)]
    pub sync: bool,
    /// What for; default: says which revision it is
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}

/// Bytes of a message, as the contract has it.
const MESSAGE: usize = 200;

/// `60s`, `5m`, `1h`, `500ms` or seconds, in milliseconds.
pub fn time(text: &str) -> Result<u32, String> {
    let cut = text.find(|one: char| !one.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(cut);
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("is no time: 60s, 5m, 1h, 500ms".into()),
    };
    let millis = number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    millis.filter(|millis| *millis > 0).ok_or_else(|| "is no time: 60s, 5m, 1h, 500ms".into())
}

pub async fn confirm(daemon: &Daemon, format: Format, given: Confirm) -> Result<(), Failure> {
    let Confirm { owner, generation } = given;
    let confirmed = connect(daemon).await?.confirm(v1::ConfirmRequest { owner, generation }).await?.into_inner();
    let v1::ConfirmReply { generation, no_revision } = confirmed;
    if format != Format::Table {
        print_value(format, &json!({ "generation": generation, "confirmed": true }));
        return Ok(());
    }
    print(&format!("generation {generation} stays\n"));
    if !no_revision.is_empty() {
        print(&format!("no revision is kept: {no_revision}\n"));
    }
    Ok(())
}

pub async fn run(daemon: &Daemon, format: Format, given: Revisions) -> Result<(), Failure> {
    let reply = kept(daemon, given.owner).await?;
    if format != Format::Table {
        let revision = |it: &v1::Revision| {
            json!({
                "owner": it.owner, "generation": it.generation, "time_ms": it.time_ms, "by": it.by, "message": it.message,
                "objects": it.objects, "routes": it.routes, "bytes": it.bytes,
            })
        };
        let unconfirmed = |it: &v1::Unconfirmed| {
            json!({
                "owner": it.owner, "generation": it.generation, "time_ms": it.time_ms, "by": it.by, "message": it.message,
                "remaining_ms": it.remaining_ms,
            })
        };
        let told = json!({
            "generation": reply.generation,
            "revisions": reply.revisions.iter().map(revision).collect::<Vec<_>>(),
            "unconfirmed": reply.unconfirmed.iter().map(unconfirmed).collect::<Vec<_>>(),
        });
        print_value(format, &told);
        return Ok(());
    }
    let columns = ["owner", "generation", "when", "by", "message", "routes", "other objects", "size"];
    let waiting = reply.unconfirmed.iter().map(|it| {
        let left = match it.remaining_ms {
            0 => "being undone".to_owned(),
            left => format!("unconfirmed, {} left", duration(left.into())),
        };
        let [owner, by, message] = [&it.owner, &it.by, &it.message].map(String::clone);
        vec![owner, it.generation.to_string(), ago(it.time_ms), by, message, left, String::new(), String::new()]
    });
    let kept = reply.revisions.iter().map(|it| {
        let [owner, by, message] = [&it.owner, &it.by, &it.message].map(String::clone);
        let (routes, objects) = (count(it.routes), count(it.objects));
        vec![owner, it.generation.to_string(), ago(it.time_ms), by, message, routes, objects, bytes(it.bytes)]
    });
    print(&table(&columns, waiting.chain(kept)));
    Ok(())
}

pub async fn roll_back(daemon: &Daemon, format: Format, given: Rollback) -> Result<(), Failure> {
    let generation = given.generation;
    let reply = kept(daemon, String::new()).await?;
    let found = reply.revisions.into_iter().find(|revision| revision.generation == generation);
    let none = || Failure::Refused(format!("revision: none of generation {generation} is kept"));
    let revision = found.ok_or_else(none)?;
    let mut message = given.message.unwrap_or_else(|| {
        let of = if revision.message.is_empty() { String::new() } else { format!(": {}", revision.message) };
        format!("rollback to generation {generation}{of}")
    });
    while message.len() > MESSAGE {
        message.pop();
    }
    let put = |mut object: v1::Object| {
        object.owner = String::new();
        v1::Change { op: Some(v1::change::Op::Put(object)) }
    };
    let changes = objects(daemon, generation).await?.into_iter().map(put).collect();
    let begin = v1::Begin {
        owner: revision.owner,
        replace: true,
        dry_run: given.dry_run,
        confirm_ms: given.confirm.unwrap_or(0),
        keep_revision: true,
        message,
        ..v1::Begin::default()
    };
    commit(daemon, format, Batch { changes, begin, sync: given.sync }, |_| String::new()).await
}

/// What is kept of an owner's past (empty: of all).
pub async fn kept(daemon: &Daemon, owner: String) -> Result<v1::RevisionsReply, Failure> {
    Ok(connect(daemon).await?.revisions(v1::RevisionsRequest { owner }).await?.into_inner())
}

/// A revision's objects.
pub async fn objects(daemon: &Daemon, revision: u64) -> Result<Vec<v1::Object>, Failure> {
    let filter = v1::ListRequest { revision, ..v1::ListRequest::default() };
    let mut chunks = connect(daemon).await?.list(filter).await?.into_inner();
    let mut objects = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        objects.extend(chunk.objects);
    }
    Ok(objects)
}

/// How long ago a time was (milliseconds since 1970).
pub fn ago(time_ms: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_millis(time_ms);
    let since = SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", duration(since.as_millis() as u64))
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_read_with_their_units() {
        let read = ["60s", "5m", "1h", "500ms", "7"].map(|text| time(text).unwrap());
        assert_eq!(read, [60_000, 300_000, 3_600_000, 500, 7000]);
        for wrong in ["", "s", "0", "5 m", "5d", "-1s", "99999999h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
