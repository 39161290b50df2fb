//! `vrctl plan`, and what a dry run answers.

use std::path::PathBuf;

use serde_json::{Value, json};
use vrouter::api::v1;

use super::Failure;
use super::args::{Apply, Commit, Kind};
use super::compare::differences;
use super::output::{Format, count, print, print_value};
use super::verdicts;
use super::watch::{key_of, shown};

#[derive(clap::Args)]
#[command(
    after_help = "It is `vrctl apply --dry-run --flows`: the daemon makes the change beside what is there, tells what would differ, and forgets it.

Behind each object are the live flows that it touches, [12 flows: 3 denied, 1 sent another way]: those whose decision meets it, as it is or as it
would be, and what becomes of them by all changes together. One flow may be touched by several. The last lines are of all flows.

Examples:
  vrctl plan -f network.yaml --replace
  vrctl plan -f acls.yaml -o json | jq '.flows.now_denied'
"
)]
pub struct Plan {
    /// The file, or several, which are one batch; - is the standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    file: Vec<PathBuf>,
    /// Whose objects these are, where they do not say it themselves
    #[arg(long, default_value = "operator", value_name = "NAME")]
    owner: String,
    /// Change what other owners have, and make it this owner's
    #[arg(long)]
    take_over: bool,
    /// The file is all that --owner wants: what is his and not in it goes
    #[arg(long)]
    replace: bool,
    /// With --replace: of these kinds only
    #[arg(long, value_name = "KIND", requires = "replace")]
    only: Vec<Kind>,
    /// Only if nothing that the file may rest on has changed after this generation
    #[arg(long, value_name = "GENERATION")]
    if_generation: Option<u64>,
}

impl From<Plan> for Apply {
    fn from(plan: Plan) -> Apply {
        let Plan { file, owner, take_over, replace, only, if_generation } = plan;
        let commit = Commit { owner, take_over, sync: false, message: String::new(), confirm: None, no_revision: true };
        Apply {
            file,
            commit,
            check: false,
            replace,
            only,
            dry_run: true,
            flows: true,
            shadow: false,
            if_generation,
            lease: None,
        }
    }
}

pub fn show(format: Format, plan: &v1::Plan) -> Result<(), Failure> {
    let steps = plan.steps.iter().map(step).collect::<Result<Vec<_>, Failure>>()?;
    if format != Format::Table {
        let steps: Vec<Value> = steps.into_iter().map(|step| step.value).collect();
        let told = json!({
            "generation": plan.generation,
            "created": plan.created,
            "changed": plan.changed,
            "deleted": plan.deleted,
            "unchanged": plan.unchanged,
            "truncated": plan.truncated,
            "steps": steps,
        });
        let mut told = told;
        if let Some((verdicts, moved)) = flows(plan) {
            told["flows"] = verdicts::value(verdicts);
            told["flows"]["moved"] = moved.into();
        }
        print_value(format, &told);
        return Ok(());
    }
    for step in &steps {
        print(&format!("{}\n", step.text));
    }
    if plan.truncated {
        print("...\n");
    }
    let [created, changed, deleted, unchanged] = [plan.created, plan.changed, plan.deleted, plan.unchanged].map(count);
    let at = plan.generation;
    print(&format!(
        "would create {created}, change {changed}, delete {deleted}, leave {unchanged}, at generation {at}\n"
    ));
    if let Some((verdicts, moved)) = flows(plan) {
        let v1::VerdictsChanged { flows, now_denied, now_permitted, ended, .. } = verdicts;
        print(&format!(
            "of {flows} live flows it would deny {now_denied}, permit {now_permitted} that are denied, end {ended}, send {moved} another way\n"
        ));
        print(&verdicts::causes(verdicts));
    }
    Ok(())
}

/// What would become of live flows, and of how many the way would be another one.
fn flows(plan: &v1::Plan) -> Option<(&v1::VerdictsChanged, u64)> {
    let flows = plan.flows.as_ref()?;
    Some((flows.verdicts.as_ref()?, flows.moved))
}

struct Step {
    text: String,
    value: Value,
}

fn step(planned: &v1::Planned) -> Result<Step, Failure> {
    let shown = |object: &Option<v1::Object>| object.as_ref().map(shown).transpose();
    let (before, after) = (shown(&planned.before)?, shown(&planned.after)?);
    let (sign, word) = match (&before, &after) {
        (None, _) => ("+", "create"),
        (_, None) => ("-", "delete"),
        _ => ("~", "change"),
    };
    let value = |shown: &Option<(&str, String, Value)>| shown.as_ref().map(|(.., value)| value.clone());
    let (before_value, after_value) = (value(&before), value(&after));
    let (kind, name, _) = after.or(before).unwrap_or(("object", String::new(), Value::Null));
    let mut told = json!({
        "step": word,
        "kind": kind,
        "before": &before_value,
        "after": &after_value,
        "fields": planned.fields,
    });
    if let Some(v1::FlowsTouched { flows, now_denied, now_permitted, ended, moved }) = planned.flows {
        told["flows"] = json!({
            "flows": flows, "now_denied": now_denied, "now_permitted": now_permitted, "ended": ended, "moved": moved,
        });
    }
    let text = match (&planned.after, &before_value, &after_value) {
        (Some(after), Some(before), Some(value)) => {
            let fields: Vec<_> = differences(before, value).into_iter().map(|one| one.field).collect();
            format!("{}  ({})", format!("{sign} {kind} {}", key_of(after)).trim_end(), fields.join(", "))
        }
        _ => format!("{sign} {kind} {name}"),
    };
    let touched = planned.flows.as_ref().map(touched).unwrap_or_default();
    Ok(Step { text: format!("{text}{touched}"), value: told })
}

/// Live flows that meet an object, and what becomes of them: nothing of none.
fn touched(told: &v1::FlowsTouched) -> String {
    let v1::FlowsTouched { flows, now_denied, now_permitted, ended, moved } = *told;
    if flows == 0 {
        return String::new();
    }
    let turns = [(now_denied, "denied"), (now_permitted, "permitted"), (ended, "ended"), (moved, "sent another way")];
    let turns = turns.into_iter().filter(|(count, _)| *count > 0);
    let turns: Vec<_> = turns.map(|(many, what)| format!("{} {what}", count(many))).collect();
    let flows = if flows == 1 { "1 flow".into() } else { format!("{} flows", count(flows)) };
    match turns.as_slice() {
        [] => format!("  [{flows}]"),
        turns => format!("  [{flows}: {}]", turns.join(", ")),
    }
}
