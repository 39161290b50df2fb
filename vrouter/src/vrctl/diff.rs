//! `vrctl diff`.

use std::path::PathBuf;

use serde_json::{Value, json};
use v1::Planned;
use v1::apply_reply::Result as Answer;
use vrouter::api::v1;
use vrouter::api::yaml::{Files, Network, field_of};

use super::Failure;
use super::apply::steps;
use super::args::Kind;
use super::compare::{Difference, differences};
use super::connect::{Daemon, connect};
use super::offline::text_of;
use super::output::{Format, print, print_value};
use super::progress::Progress;
use super::revisions::{kept, objects};
use super::show::{contract_kind, list};
use super::watch::{key_of, shown};

#[derive(clap::Args)]
#[command(after_help = "Exit code 0: no difference, 1: there is one, or the daemon refused; as diff(1).

Files beside the daemon: what `apply --replace` would create, change and delete of --owner's objects, as the daemon judges it.

Examples:
  vrctl diff -f network.yaml
  vrctl diff -f pods.yaml --owner cni -o json
  vrctl diff --from old.yaml -f new.yaml      # asks no daemon
  vrctl diff --generation 17                  # a kept revision, and what is there
  vrctl diff --generation 17 21               # two of them
")]
pub struct Diff {
    /// Network files, which are one network; - is the standard input
    #[arg(short, long, value_name = "FILE", required_unless_present = "generation", conflicts_with = "generation")]
    pub file: Vec<PathBuf>,
    /// Files of before, instead of the daemon's objects
    #[arg(long, value_name = "FILE", requires = "file", conflicts_with = "generation")]
    pub from: Vec<PathBuf>,
    /// A kept revision of before, and one of after; default: what is there
    #[arg(long, value_name = "GENERATION", num_args = 1..=2)]
    pub generation: Vec<u64>,
    /// Whose objects those of files are, where they do not say it
    #[arg(long, default_value = "operator", value_name = "NAME")]
    pub owner: String,
    /// With files beside the daemon: of these kinds only
    #[arg(long, value_name = "KIND", conflicts_with_all = ["from", "generation"])]
    pub only: Vec<Kind>,
}

pub async fn run(daemon: &Daemon, format: Format, diff: Diff) -> Result<(), Failure> {
    let plan = match (&diff.generation[..], diff.from.is_empty()) {
        ([from], _) => {
            let (owner, before) = revision(daemon, *from).await?;
            let mut after = list(daemon, v1::ListRequest::default()).await?.network;
            after.keep_what_was_put();
            after.keep_owner(&owner);
            turned(&before, &after)?
        }
        ([from, to, ..], _) => {
            let ((owner, before), (other, after)) = (revision(daemon, *from).await?, revision(daemon, *to).await?);
            if owner != other {
                return Err(Failure::Usage(format!("generation {from} is of owner {owner}, {to} of {other}")));
            }
            turned(&before, &after)?
        }
        ([], false) => {
            let (mut before, mut after) = (network(&diff.from)?, network(&diff.file)?);
            for network in [&mut before, &mut after] {
                network.say(&diff.owner);
                network.keep_what_was_put();
            }
            turned(&before, &after)?
        }
        ([], true) => beside_daemon(daemon, &diff).await?,
    };
    tell(format, &plan)
}

/// A kept revision: its owner, and the objects.
async fn revision(daemon: &Daemon, generation: u64) -> Result<(String, Network), Failure> {
    let found = kept(daemon, String::new()).await?.revisions.into_iter().find(|it| it.generation == generation);
    let none = || Failure::Refused(format!("revision: none of generation {generation} is kept"));
    let owner = found.ok_or_else(none)?.owner;
    let mut network = Network::default();
    for object in objects(daemon, generation).await? {
        let inserted = network.insert(&object);
        inserted.map_err(|error| Failure::Unreachable(format!("the daemon's answer is malformed: {error}")))?;
    }
    network.keep_what_was_put();
    network.say(&owner);
    Ok((owner, network))
}

/// What files say together.
fn network(files: &[PathBuf]) -> Result<Network, Failure> {
    let texts: Vec<_> = files.iter().map(|file| text_of(file)).collect::<Result<_, _>>()?;
    let mut network = Network::default();
    for (change, _) in Files::parse(&texts)?.changes()? {
        if let Some(v1::change::Op::Put(object)) = change.op {
            // they were read from such files
            network.insert(&object).map_err(|error| Failure::Usage(error.to_string()))?;
        }
    }
    Ok(network)
}

fn turned(before: &Network, after: &Network) -> Result<v1::Plan, Failure> {
    before.turned_into(after).map_err(|fault| Failure::File(fault.of_file("network")))
}

/// What the daemon says that it would do.
async fn beside_daemon(daemon: &Daemon, diff: &Diff) -> Result<v1::Plan, Failure> {
    let texts: Vec<_> = diff.file.iter().map(|file| text_of(file)).collect::<Result<_, _>>()?;
    let files = Files::parse(&texts)?;
    let (changes, stand): (Vec<_>, Vec<_>) = files.changes()?.into_iter().unzip();
    let kinds = diff.only.iter().map(|&kind| contract_kind(kind).into()).collect();
    let begin = v1::Begin { owner: diff.owner.clone(), replace: true, kinds, dry_run: true, ..v1::Begin::default() };
    let progress = Progress::of("connecting");
    let steps = tokio_stream::iter(steps(begin, changes, progress.bar()));
    let reply = connect(daemon).await?.apply(steps).await?.into_inner().message().await?;
    drop(progress);
    match reply.and_then(|reply| reply.result) {
        Some(Answer::Plan(plan)) => Ok(plan),
        Some(Answer::Refused(refused)) => {
            let at = stand.get(refused.change as usize).filter(|_| !refused.object.is_empty());
            let place = at.map(|at| format!("{}: ", files.text(*at))).unwrap_or_default();
            let parts = [&refused.object, &refused.field, &refused.reason];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
            Err(Failure::Refused(format!("{place}{}", parts.join(": "))))
        }
        _ => Err(Failure::Unreachable("the daemon hung up before it answered".into())),
    }
}

/// Prints it; that there is a difference is a failure.
fn tell(format: Format, plan: &v1::Plan) -> Result<(), Failure> {
    let mut values = Vec::new();
    for step in &plan.steps {
        let (text, value) = told(step)?;
        values.push(value);
        if format == Format::Table {
            print(&text);
        }
    }
    let v1::Plan { created, changed, deleted, truncated, .. } = *plan;
    let is_same = created + changed + deleted == 0;
    match format {
        Format::Table if is_same => print("no difference\n"),
        Format::Table => print(if truncated { "...\n" } else { "" }),
        _ => print_value(
            format,
            &json!({
                "same": is_same, "created": created, "changed": changed, "deleted": deleted, "truncated": truncated, "steps": values,
            }),
        ),
    }
    if is_same {
        return Ok(());
    }
    Err(Failure::Unmet(format!("they differ: {created} to create, {changed} to change, {deleted} to delete")))
}

/// One object: for people, with each field that differs, and for programs.
fn told(step: &Planned) -> Result<(String, Value), Failure> {
    let of = |object: &Option<v1::Object>| object.as_ref().map(shown).transpose();
    let (before, after) = (of(&step.before)?, of(&step.after)?);
    let (sign, word) = match (&before, &after) {
        (None, _) => ("+", "create"),
        (_, None) => ("-", "delete"),
        _ => ("~", "change"),
    };
    let values = [&before, &after].map(|shown| shown.as_ref().map(|(.., value)| value.clone()).unwrap_or_default());
    let (kind, name, _) = after.or(before).unwrap_or(("object", String::new(), Value::Null));
    let mut text = format!("{sign} {kind} {name}\n");
    if let Planned { before: Some(_), after: Some(after), .. } = step {
        text = format!("{}\n", format!("{sign} {kind} {}", key_of(after)).trim_end());
        for Difference { field, what } in differences(&values[0], &values[1]) {
            text += &format!("    {field}: {what}\n");
        }
    }
    let mut fields = Vec::new();
    for field in &step.fields {
        let [old, new] = [0, 1].map(|at: usize| field_of(&values[at], field));
        fields.push(json!({ "field": field, "before": old, "after": new }));
    }
    let [before, after] = values;
    let value = json!({ "step": word, "kind": kind, "before": before, "after": after, "fields": fields });
    Ok((text, value))
}
