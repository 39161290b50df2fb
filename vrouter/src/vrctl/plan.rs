//! What a dry run answers.

use serde_json::{Value, json};
use vrouter::api::v1;

use super::Failure;
use super::output::{Format, count, print, print_value};
use super::verdicts;
use super::watch::shown;

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
    let fields = if planned.fields.is_empty() { String::new() } else { format!("  ({})", planned.fields.join(", ")) };
    let value = |shown: &Option<(&str, String, Value)>| shown.as_ref().map(|(.., value)| value.clone());
    let (before_value, after_value) = (value(&before), value(&after));
    let (kind, name, _) = after.or(before).unwrap_or(("object", String::new(), Value::Null));
    let value = json!({
        "step": word,
        "kind": kind,
        "before": before_value,
        "after": after_value,
        "fields": planned.fields,
    });
    Ok(Step { text: format!("{sign} {kind} {name}{fields}"), value })
}
