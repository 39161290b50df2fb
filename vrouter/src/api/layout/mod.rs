//! The layout of network files: one order of sections and fields, one form. Comments stay with what they stand at.

mod read;
mod scalar;
mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::position::FileError;
use super::yaml::Network;
use scalar::Scalar;

/// A line of its own that says nothing.
#[derive(Clone, Debug, PartialEq)]
enum Line {
    Blank,
    /// What stands behind the `#`.
    Comment(String),
}

/// What a file says, as it is written.
#[derive(Debug)]
enum Node {
    Scalar(Scalar),
    List(Entries),
    Map(Entries),
}

/// What is in a list or mapping.
#[derive(Debug, Default)]
struct Entries {
    all: Vec<Entry>,
    /// Behind the last one.
    tail: Vec<Line>,
}

#[derive(Debug)]
struct Entry {
    /// The lines before it.
    above: Vec<Line>,
    /// Of a mapping's.
    key: Option<Scalar>,
    /// The comment behind it, on its line.
    right: Option<String>,
    value: Node,
}

/// A network file's text in the one layout. What it says stays the same, comments and quoting too; blank lines become one. `file` is for
/// errors. What is laid out is its own layout.
///
/// # Errors
/// A fault of the language; anchors, aliases and tags, which are not laid out.
pub fn laid_out(file: &str, text: &str) -> Result<String, FileError> {
    let network = Network::parse(file, text)?;
    let fault = |position, reason: String| FileError { file: file.into(), position, field: String::new(), reason };
    let (head, mut root) = read::read(text).map_err(|(at, reason)| fault(Some(at), reason))?;
    let order = serde_json::to_value(&network).unwrap_or_default();
    sort(&mut root, &order);
    let written = write::write(&head, &root);
    // whatever the reader took it for: nothing may be lost
    let again = Network::parse(file, &written);
    let comments = |text: &str| {
        let mut all = read::comments(text);
        all.sort_unstable();
        all
    };
    if again.is_ok_and(|again| again == network) && comments(&written) == comments(text) {
        return Ok(written);
    }
    Err(fault(None, "it cannot be laid out without saying something else; it is left as it is".into()))
}

/// A network as the text of a file, without what says no more than its absence would. `head`: comments to begin with.
pub fn written(network: &Network, head: &[String]) -> String {
    let mut sections = Map::new();
    let mut add = |name: &str, value: Value| {
        if !is_absent(&value) {
            sections.insert(name.into(), value);
        }
    };
    add("settings", network.settings.as_ref().map(|it| brief(&it.value)).unwrap_or_default());
    add("ports", network.ports.iter().map(|it| brief(&it.value)).collect());
    add("vrfs", network.vrfs.iter().map(|it| brief(&it.value)).collect());
    add("bridges", network.bridges.iter().map(|it| brief(&it.value)).collect());
    add("vifs", network.vifs.iter().map(|it| brief(&it.value)).collect());
    add("next_hop_groups", network.next_hop_groups.iter().map(|it| brief(&it.value)).collect());
    add("routes", network.routes.iter().map(|it| brief(&it.value)).collect());
    add("neighbours", network.neighbours.iter().map(|it| brief(&it.value)).collect());
    add("fdb", network.fdb.iter().map(|it| brief(&it.value)).collect());
    add("vnis", network.vnis.iter().map(|it| brief(&it.value)).collect());
    add("labels", network.labels.iter().map(|it| brief(&it.value)).collect());
    add("groups", network.groups.iter().map(|it| brief(&it.value)).collect());
    add("acls", network.acls.iter().map(|it| brief(&it.value)).collect());
    add("bfd_sessions", network.bfd_sessions.iter().map(|it| brief(&it.value)).collect());
    let head: Vec<_> = head.iter().map(|text| Line::Comment(format!(" {text}"))).collect();
    write::write(&head, &node(&Value::Object(sections), false))
}

/// An object's fields without those that say what their absence says.
fn brief<T: Serialize + DeserializeOwned + PartialEq>(object: &T) -> Value {
    let mut value = without_absent(serde_json::to_value(object).unwrap_or_default());
    let names: Vec<String> = value.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    for name in names {
        let Value::Object(fields) = &value else { break };
        let mut less = fields.clone();
        less.shift_remove(&name);
        if serde_json::from_value::<T>(Value::Object(less.clone())).is_ok_and(|less| less == *object) {
            value = Value::Object(less);
        }
    }
    value
}

/// Without nulls and empty lists, which mean the same as absence.
fn without_absent(value: Value) -> Value {
    match value {
        Value::Array(all) => all.into_iter().map(without_absent).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !is_absent(value));
            Value::Object(fields.map(|(name, value)| (name, without_absent(value))).collect())
        }
        other => other,
    }
}

fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Fields whose numbers are text for programs.
const PORTS: [&str; 2] = ["source_ports", "destination_ports"];

fn node(value: &Value, of_ports: bool) -> Node {
    let entry = |key: Option<&String>, value| Entry {
        above: Vec::new(),
        key: key.map(|key| Scalar::of(key)),
        right: None,
        value: node(value, key.map_or(of_ports, |key| PORTS.contains(&key.as_str()))),
    };
    let entries = |all: Vec<Entry>| Entries { all, tail: Vec::new() };
    match value {
        Value::Array(all) => Node::List(entries(all.iter().map(|one| entry(None, one)).collect())),
        Value::Object(fields) => Node::Map(entries(fields.iter().map(|(key, one)| entry(Some(key), one)).collect())),
        Value::String(text) if of_ports => Node::Scalar(Scalar::plain(text.clone())),
        Value::String(text) => Node::Scalar(Scalar::of(text)),
        other => Node::Scalar(Scalar::plain(other.to_string())),
    }
}

/// Mappings get the order of the fields of what they say; what is not among them comes last, as it stands.
fn sort(node: &mut Node, order: &Value) {
    match (node, order) {
        (Node::Map(entries), Value::Object(fields)) => {
            let place = |entry: &Entry| {
                let key = entry.key.as_ref().map(|key| &key.value);
                fields.keys().position(|name| Some(name) == key).unwrap_or(usize::MAX)
            };
            entries.all.sort_by_key(place);
            for entry in &mut entries.all {
                let of = entry.key.as_ref().and_then(|key| fields.get(&key.value));
                of.into_iter().for_each(|of| sort(&mut entry.value, of));
            }
        }
        (Node::List(entries), Value::Array(all)) => {
            entries.all.iter_mut().zip(all).for_each(|(entry, of)| sort(&mut entry.value, of));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
