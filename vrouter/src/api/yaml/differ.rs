//! What two objects do not have alike.

use serde_json::{Map, Value};

use super::{Network, v1};

/// Fields that are named at most.
const FIELDS: usize = 64;

/// The paths of the fields that two objects do not have alike, as YAML calls them.
pub fn differing(before: &v1::Object, after: &v1::Object) -> Vec<String> {
    let mut fields = Vec::new();
    compare(&written(before), &written(after), String::new(), &mut fields);
    fields.truncate(FIELDS);
    fields
}

/// The value of a field by its path; null where it is absent.
pub fn field_of(object: &Value, path: &str) -> Value {
    let mut value = object;
    for part in path.split('.').flat_map(|part| part.split('[')) {
        let next = match part.strip_suffix(']') {
            Some(index) => index.parse::<usize>().ok().and_then(|index| value.get(index)),
            None => value.get(part),
        };
        let Some(next) = next else { return Value::Null };
        value = next;
    }
    value.clone()
}

/// An object as YAML has it.
fn written(object: &v1::Object) -> Value {
    let mut network = Network::default();
    let value = network.insert(object).ok().and_then(|()| serde_json::to_value(&network).ok());
    let Some(Value::Object(sections)) = value else { return Value::Null };
    let one = |section: Value| match section {
        Value::Array(all) => all.into_iter().next(),
        Value::Null => None,
        one => Some(one),
    };
    sections.into_iter().find_map(|(_, section)| one(section)).unwrap_or_default()
}

fn compare(before: &Value, after: &Value, path: String, fields: &mut Vec<String>) {
    if before == after || fields.len() >= FIELDS {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let of = |all: &Map<String, Value>| all.get(name).cloned().unwrap_or_default();
                let joint = if path.is_empty() { "" } else { "." };
                compare(&of(old), &of(new), format!("{path}{joint}{name}"), fields);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for at in 0..old.len().max(new.len()) {
                let of = |all: &Vec<Value>| all.get(at).cloned().unwrap_or_default();
                compare(&of(old), &of(new), format!("{path}[{at}]"), fields);
            }
        }
        _ => fields.push(path),
    }
}

impl Network {
    /// What turns this network into another one: deletes, then the others in the order of their references. Whoever names no owner is one for both.
    ///
    /// # Errors
    /// What can be seen to be wrong with one of them.
    pub fn turned_into(&self, other: &Network) -> Result<v1::Plan, super::Fault> {
        let mut plan = v1::Plan::default();
        let mut before = keyed(self)?;
        before.sort_by(|one, other| one.0.cmp(&other.0));
        let mut others = Vec::new();
        for (key, after) in keyed(other)? {
            let found = before.binary_search_by(|(one, _)| one.cmp(&key)).ok().and_then(|at| before[at].1.take());
            match found {
                Some(found) if Some(&found) == after.as_ref() => plan.unchanged += 1,
                Some(found) => {
                    plan.changed += 1;
                    let fields = after.as_ref().map(|after| differing(&found, after)).unwrap_or_default();
                    others.push(v1::Planned { before: Some(found), after, fields, flows: None });
                }
                None => {
                    plan.created += 1;
                    others.push(v1::Planned { after, ..v1::Planned::default() });
                }
            }
        }
        let gone = before.into_iter().filter_map(|(_, object)| object);
        plan.steps = gone.map(|object| v1::Planned { before: Some(object), ..v1::Planned::default() }).collect();
        plan.deleted = plan.steps.len() as u64;
        plan.steps.extend(others);
        Ok(plan)
    }
}

/// Objects by their keys, until they are taken.
type Keyed = Vec<(Vec<u8>, Option<v1::Object>)>;

/// Objects by what tells them from all others.
fn keyed(network: &Network) -> Result<Keyed, super::Fault> {
    use prost::Message;
    let one = |(change, _): (v1::Change, _)| match change.op {
        Some(v1::change::Op::Put(object)) => {
            let key = object.kind.as_ref().and_then(v1::object::Kind::key);
            Some((v1::ObjectKey { kind: key }.encode_to_vec(), Some(object)))
        }
        _ => None,
    };
    Ok(network.changes()?.into_iter().filter_map(one).collect())
}
