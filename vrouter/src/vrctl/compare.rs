//! How two objects differ, for people.

use serde_json::{Map, Value};
use vrouter::api::yaml::Rule;

use super::output::without_absent;
use super::rows;

/// Differences that are told at most.
const DIFFERENCES: usize = 64;

/// One difference.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// A field's path; of what came into a list or went from it with `+` or `-`, and its place there.
    pub field: String,
    /// What is there before and after, or what came or went.
    pub what: String,
}

/// How the first one, as YAML has it, becomes the second one: at most 64 differences.
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut all = Vec::new();
    compare(before, after, String::new(), &mut all);
    all.truncate(DIFFERENCES);
    all
}

fn compare(before: &Value, after: &Value, path: String, all: &mut Vec<Difference>) {
    if before == after || all.len() >= DIFFERENCES {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                let joint = if path.is_empty() { "" } else { "." };
                compare(&of(old), &of(new), format!("{path}{joint}{name}"), all);
            }
        }
        (Value::Array(old), Value::Array(new)) => compare_lists(old, new, &path, all),
        _ => all.push(Difference { field: path, what: format!("{} -> {}", text(before), text(after)) }),
    }
}

/// What begins and ends alike stays; between, each with the one in its place if there are as many, else some went and others came.
fn compare_lists(old: &[Value], new: &[Value], path: &str, all: &mut Vec<Difference>) {
    let same = |(one, other): &(&Value, &Value)| one == other;
    let head = old.iter().zip(new).take_while(same).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(same).count();
    let (went, came) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    if went.len() == came.len() {
        for (at, (one, other)) in went.iter().zip(came).enumerate() {
            compare(one, other, format!("{path}[{}]", head + at), all);
        }
        return;
    }
    let each = went.iter().enumerate().map(|one| ('-', one)).chain(came.iter().enumerate().map(|one| ('+', one)));
    all.extend(each.take(DIFFERENCES).map(|(sign, (at, value))| Difference {
        field: format!("{sign} {path}[{}]", head + at),
        what: item(path, value),
    }));
}

/// One of a list.
fn item(path: &str, value: &Value) -> String {
    match serde_json::from_value::<Rule>(value.clone()) {
        Ok(rule) if path == "rules" => rows::rule(&rule),
        _ => text(value),
    }
}

/// A value in one line, without what is absent in it.
fn text(value: &Value) -> String {
    without_absent(value.clone()).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: Value, after: Value) -> Vec<String> {
        let all = differences(&before, &after).into_iter();
        all.map(|one| format!("{}: {}", one.field, one.what)).collect()
    }

    #[test]
    fn what_came_into_a_list_is_told_as_that() {
        let rule = |name: &str, port: &str| json!({ "name": name, "action": "permit", "protocol": "tcp", "source": null, "destination": null, "destination_ports": [port] });
        let [a, b, c] = [rule("a", "1"), rule("b", "2"), rule("c", "3")];
        let acl = |rules: &[&Value]| json!({ "name": "web", "rules": rules });
        assert_eq!(told(acl(&[&a, &c]), acl(&[&a, &b, &c])), ["+ rules[1]: permit tcp from any to any port 2 (b)"]);
        assert_eq!(told(acl(&[&a, &b]), acl(&[&b])), ["- rules[0]: permit tcp from any to any port 1 (a)"]);
        assert_eq!(
            told(acl(&[&a, &b, &c]), acl(&[&a, &rule("b", "4"), &c])),
            ["rules[1].destination_ports[0]: \"2\" -> \"4\""]
        );
        assert_eq!(told(acl(&[]), acl(&[])), [""; 0]);
        assert_eq!(told(json!({ "mtu": null, "vrf": "a" }), json!({ "mtu": 9000, "vrf": "a" })), ["mtu: null -> 9000"]);
        let many: Vec<_> = (0..100).map(|at| json!(format!("10.0.0.{at}/32"))).collect();
        assert_eq!(told(json!({ "prefixes": [] }), json!({ "prefixes": many })).len(), DIFFERENCES);
    }
}
