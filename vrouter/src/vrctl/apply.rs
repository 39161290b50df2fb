//! `vrctl apply`, `vrctl sync`, and the batches of `add` and `delete`.

use std::io::Read;
use std::path::Path;

use prost::Message;
use serde_json::{Value, json};
use vrouter::api::yaml::Files;
use vrouter::api::{OPERATOR, v1};

use super::Failure;
use super::args::{Apply, Sync};
use super::connect::{Client, Daemon, connect};
use super::offline::text_of;
use super::output::{Format, count, duration, print, print_value};
use super::plan;
use super::progress::{Bar, Progress};
use super::shadow;
use super::show::contract_kind;
use v1::apply_request::Step;

/// Bytes of changes in a message, at most, unless one change alone is larger.
const MESSAGE: usize = 1 << 20;

pub async fn run(daemon: &Daemon, format: Format, apply: Apply) -> Result<(), Failure> {
    let texts: Vec<_> = apply.file.iter().map(|file| text_of(file)).collect::<Result<_, _>>()?;
    let progress = Progress::of("reading files");
    let files = Files::parse(&texts)?;
    let (changes, stand): (Vec<_>, Vec<_>) = files.changes()?.into_iter().unzip();
    drop(progress);
    if apply.check {
        let names: Vec<_> = texts.iter().map(|(name, _)| name.as_str()).collect();
        let objects = count(changes.len() as u64);
        print(&format!("{}: {objects} objects, no fault found without the daemon\n", names.join(", ")));
        return Ok(());
    }
    let begin = v1::Begin {
        replace: apply.replace,
        kinds: apply.only.iter().map(|&kind| contract_kind(kind).into()).collect(),
        dry_run: apply.dry_run,
        flows: apply.flows,
        shadow: apply.shadow,
        if_generation: apply.if_generation,
        lease_ms: apply.lease,
        ..apply.commit.begin()
    };
    commit(daemon, format, Batch { changes, begin, sync: apply.commit.sync }, |refused| {
        let of_object = !refused.object.is_empty();
        let at = stand.get(refused.change as usize).filter(|at| of_object && at.position.line > 0);
        at.map(|at| format!("{}: ", files.text(*at))).unwrap_or_default()
    })
    .await
}

pub async fn sync(daemon: &Daemon, format: Format, sync: Sync) -> Result<(), Failure> {
    let generation = wait(&mut connect(daemon).await?, sync.generation, sync.timeout).await?;
    match format {
        Format::Table => print(&format!("every worker forwards by generation {generation}\n")),
        _ => print_value(format, &json!({ "generation": generation, "synced": true })),
    }
    Ok(())
}

/// What is sent.
pub struct Batch {
    pub changes: Vec<v1::Change>,
    pub begin: v1::Begin,
    /// It is waited for that every worker has it.
    pub sync: bool,
}

/// Sends one batch and prints its generation, or what it would do. `place` tells where a refused change comes from.
pub async fn commit(
    daemon: &Daemon,
    format: Format,
    batch: Batch,
    place: impl Fn(&v1::Refused) -> String,
) -> Result<(), Failure> {
    let mut client = connect(daemon).await?;
    let Batch { changes, begin, sync } = batch;
    if begin.shadow {
        shadow::check_known(&mut client).await?;
    }
    let (owner, confirm_ms) = (begin.owner.clone(), begin.confirm_ms);
    let told = Told { changes: Some(changes.len() as u64), replace: begin.replace, owner, confirm_ms, sync };
    let progress = Progress::of("connecting");
    let steps = tokio_stream::iter(steps(begin, changes, progress.bar()));
    let reply = client.apply(steps).await?.into_inner().message().await?;
    drop(progress);
    answer(&mut client, format, reply.and_then(|reply| reply.result), &told, place).await
}

/// What was asked for, as far as the answer to it is told.
pub struct Told {
    /// Absent: whatever the daemon had.
    pub changes: Option<u64>,
    pub replace: bool,
    pub owner: String,
    pub confirm_ms: u32,
    pub sync: bool,
}

/// Prints what became of a batch. `place` tells where a refused change comes from.
pub async fn answer(
    client: &mut Client,
    format: Format,
    reply: Option<v1::apply_reply::Result>,
    told: &Told,
    place: impl Fn(&v1::Refused) -> String,
) -> Result<(), Failure> {
    use v1::apply_reply::Result;
    let v1::Applied { generation, swept, no_revision } = match reply {
        Some(Result::Applied(applied)) => applied,
        Some(Result::Plan(plan)) => return plan::show(format, &plan),
        Some(Result::Shadowed(shadowed)) => {
            if told.sync {
                wait(client, shadowed.generation, 0).await?;
            }
            shadow::begun(format, told.changes.unwrap_or_default(), &shadowed);
            return Ok(());
        }
        Some(Result::Refused(refused)) => {
            let parts = [&refused.object, &refused.field, &refused.reason];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
            return Err(Failure::Refused(format!("{}{}", place(&refused), parts.join(": "))));
        }
        None => return Err(Failure::Unreachable("the daemon hung up before it answered".into())),
    };
    if told.sync {
        let _progress = Progress::of("waiting for every worker");
        wait(client, generation, 0).await?;
    }
    match format {
        Format::Table => {
            let synced = if told.sync { ", every worker forwards by it" } else { "" };
            let many = match told.changes {
                Some(1) => "1 change".to_owned(),
                Some(many) => format!("{} changes", count(many)),
                None => "all changes".to_owned(),
            };
            let gone = if swept > 0 { format!(", {} swept", count(swept)) } else { String::new() };
            print(&format!("{many}{gone}, generation {generation}{synced}\n"));
            if told.confirm_ms > 0 {
                let of = if told.owner == OPERATOR { String::new() } else { format!(" --owner {}", told.owner) };
                let time = duration(told.confirm_ms.into());
                print(&format!("it is undone in {time} unless it is confirmed: vrctl confirm {generation}{of}\n"));
            }
            if !no_revision.is_empty() {
                print(&format!("no revision is kept: {no_revision}\n"));
            }
        }
        _ => print_value(format, &value(generation, swept, no_revision, told)),
    }
    Ok(())
}

fn value(generation: u64, swept: u64, no_revision: String, told: &Told) -> Value {
    let mut value = json!({ "generation": generation, "synced": told.sync });
    if let Some(changes) = told.changes {
        value["changes"] = changes.into();
    }
    if told.replace {
        value["swept"] = swept.into();
    }
    if told.confirm_ms > 0 {
        value["confirm_ms"] = told.confirm_ms.into();
    }
    if !no_revision.is_empty() {
        value["no_revision"] = no_revision.into();
    }
    value
}

async fn wait(client: &mut Client, generation: u64, timeout_ms: u32) -> Result<u64, Failure> {
    Ok(client.sync(v1::SyncRequest { generation, timeout_ms }).await?.into_inner().generation)
}

pub fn read(path: &Path) -> std::io::Result<String> {
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

/// The steps of one batch; `bar` says how many changes of it were taken.
pub fn steps(begin: v1::Begin, changes: Vec<v1::Change>, bar: Bar) -> impl Iterator<Item = v1::ApplyRequest> {
    bar.count("sending changes", changes.len());
    let mut changes = changes.into_iter().peekable();
    let pieces = std::iter::from_fn(move || {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while let Some(change) = changes.next_if(|change| {
            bytes += change.encoded_len() + 5;
            bytes <= MESSAGE || piece.is_empty()
        }) {
            piece.push(change);
        }
        (!piece.is_empty()).then_some(Step::Changes(v1::Changes::from(piece)))
    });
    let steps = std::iter::once(Step::Begin(begin)).chain(pieces).chain([Step::Commit(v1::Commit {})]);
    let told = steps.inspect(move |step| match step {
        Step::Changes(piece) => bar.advance(piece.len()),
        Step::Commit(_) => bar.stage("waiting for the daemon"),
        Step::Begin(_) => {}
    });
    told.map(|step| v1::ApplyRequest { step: Some(step) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_into_bounded_messages_that_lose_nothing() {
        let name = |at: usize| "x".repeat(if at == 700 { 2 << 20 } else { 5000 });
        let change = |at| {
            let kind = v1::object_key::Kind::Vrf(name(at));
            v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(kind) })) }
        };
        let changes: Vec<_> = (0..1000).map(change).collect();
        let messages: Vec<_> =
            steps(v1::Begin { owner: "me".into(), ..v1::Begin::default() }, changes.clone(), Progress::of("").bar())
                .collect();
        let mut sent = Vec::new();
        for message in &messages[1..messages.len() - 1] {
            let Some(Step::Changes(piece)) = &message.step else { panic!("{message:?}") };
            assert!(message.encoded_len() <= MESSAGE + 16 || piece.len() == 1);
            sent.extend(Vec::from(piece.clone()));
        }
        assert!(sent == changes);
        assert_eq!(messages.len(), 2 + 4 + 1 + 2);
        assert_eq!(messages[0].step, Some(Step::Begin(v1::Begin { owner: "me".into(), ..v1::Begin::default() })));
        assert_eq!(messages.last().unwrap().step, Some(Step::Commit(v1::Commit {})));
    }
}
