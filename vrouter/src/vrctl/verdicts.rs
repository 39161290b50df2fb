//! How many live flows changes of ACLs gave another verdict.

use serde_json::{Value, json};
use vrouter::api::v1;

/// A line, and one for each cause.
pub fn text(told: &v1::VerdictsChanged) -> String {
    let v1::VerdictsChanged { generation, before, flows, now_denied, now_permitted, unchanged, .. } = told;
    let mut text = format!(
        "{generation}  verdicts of {flows} flows since {before}: {now_denied} denied now, {now_permitted} permitted now, {unchanged} as before"
    );
    for (count, what) in [(told.ended, "ended"), (told.gone, "gone meanwhile")] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text += &format!("  ({} ms)", told.milliseconds);
    text += "\n";
    text += &causes(told);
    text.truncate(text.len() - 1);
    text
}

/// A line for each cause.
pub fn causes(told: &v1::VerdictsChanged) -> String {
    let line = |cause: &v1::VerdictCause| {
        let acl = if cause.acl.is_empty() { String::new() } else { format!(" by acl {}", cause.acl) };
        let v1::VerdictCause { reason, by, now_denied, now_permitted, .. } = cause;
        format!("    {reason} {by}{acl}: {now_denied} denied now, {now_permitted} before\n")
    };
    told.causes.iter().map(line).collect()
}

/// As an event.
pub fn value(told: &v1::VerdictsChanged) -> Value {
    let cause = |cause: &v1::VerdictCause| {
        json!({
            "reason": cause.reason, "by": cause.by, "acl": cause.acl,
            "now_denied": cause.now_denied, "now_permitted": cause.now_permitted,
        })
    };
    json!({
        "generation": told.generation, "event": "verdicts", "before": told.before, "changes": told.changes,
        "flows": told.flows, "now_denied": told.now_denied, "now_permitted": told.now_permitted,
        "unchanged": told.unchanged, "ended": told.ended, "gone": told.gone, "milliseconds": told.milliseconds,
        "causes": told.causes.iter().map(cause).collect::<Vec<_>>(),
    })
}
