//! Nodes with their comments into a file's text.

use super::{Entries, Entry, Line, Node};

/// Columns within which what is in brackets stays on its line.
const WIDTH: usize = 120;

/// The text of a file that begins with these lines.
pub(super) fn write(head: &[Line], root: &Node) -> String {
    let mut out = String::new();
    lines(&mut out, head, 0);
    if !head.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
    if let Node::Map(entries) = root {
        block(&mut out, entries, 0);
    }
    let text = out.trim_matches('\n');
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

fn lines(out: &mut String, lines: &[Line], indent: usize) {
    for line in lines {
        match line {
            Line::Blank if out.ends_with("\n\n") => {}
            Line::Blank => out.push('\n'),
            Line::Comment(text) => out.push_str(&format!("{:indent$}#{text}\n", "")),
        }
    }
}

fn block(out: &mut String, entries: &Entries, indent: usize) {
    for entry in &entries.all {
        lines(out, &entry.above, indent);
        put(out, entry, indent);
    }
    lines(out, &entries.tail, indent);
}

/// One entry without what is above it.
fn put(out: &mut String, entry: &Entry, indent: usize) {
    let lead = match &entry.key {
        Some(key) => format!("{:indent$}{}:", "", key.text(false)),
        None => format!("{:indent$}-", ""),
    };
    let right = entry.right.as_ref().map(|text| format!("  #{text}")).unwrap_or_default();
    // a section's objects have a line each
    let is_section = indent == 0 && !matches!(&entry.value, Node::Scalar(_)) && !is_empty(&entry.value);
    let fits = |text: &String| matches!(entry.value, Node::Scalar(_)) || lead.len() + text.len() < WIDTH;
    if let Some(text) = inline(&entry.value, false).filter(|text| !is_section && fits(text)) {
        let joint = if text.is_empty() { "" } else { " " };
        out.push_str(&format!("{lead}{joint}{text}{right}\n"));
        return;
    }
    match &entry.value {
        Node::Map(fields) if entry.key.is_none() => item(out, fields, entry.right.as_ref(), indent),
        Node::Map(entries) | Node::List(entries) => {
            out.push_str(&format!("{lead}{right}\n"));
            block(out, entries, indent + 2);
        }
        Node::Scalar(_) => {}
    }
}

/// A mapping in a list: its first field stands beside the dash, and what is above that above it.
fn item(out: &mut String, fields: &Entries, right: Option<&String>, indent: usize) {
    let Some((first, others)) = fields.all.split_first() else { return };
    lines(out, &first.above, indent);
    right.into_iter().for_each(|text| out.push_str(&format!("{:indent$}#{text}\n", "")));
    let mut inner = String::new();
    put(&mut inner, first, indent + 2);
    out.push_str(&format!("{:indent$}- {}", "", inner.trim_start()));
    for field in others {
        lines(out, &field.above, indent + 2);
        put(out, field, indent + 2);
    }
    lines(out, &fields.tail, indent + 2);
}

/// On one line, if it has no comments and no list of mappings in it.
fn inline(node: &Node, in_brackets: bool) -> Option<String> {
    let bare = |entry: &Entry| entry.right.is_none() && entry.above.iter().all(|line| *line == Line::Blank);
    let all = |entries: &Entries| -> Option<Vec<String>> {
        if !entries.tail.is_empty() {
            return None;
        }
        let one = |entry: &Entry| {
            let value = inline(&entry.value, true).filter(|_| bare(entry))?;
            Some(match &entry.key {
                Some(key) => format!("{}: {value}", key.text(true)).trim_end().to_owned(),
                None => value,
            })
        };
        entries.all.iter().map(one).collect()
    };
    match node {
        Node::Scalar(scalar) => Some(scalar.text(in_brackets)),
        Node::List(entries) if entries.all.iter().any(|entry| matches!(entry.value, Node::Map(_))) => None,
        Node::List(entries) => Some(format!("[{}]", all(entries)?.join(", "))),
        Node::Map(entries) => Some(format!("{{{}}}", all(entries)?.join(", "))),
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(node, Node::Map(entries) | Node::List(entries) if entries.all.is_empty() && entries.tail.is_empty())
}
