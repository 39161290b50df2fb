//! Objects as lines of the network language.

/// Sections in the order in which a file has them.
pub const SECTIONS: [&str; 13] = [
    "settings",
    "vrfs",
    "bridges",
    "vifs",
    "next_hop_groups",
    "routes",
    "neighbours",
    "bfd_sessions",
    "fdb",
    "vnis",
    "labels",
    "groups",
    "acls",
];

/// One object: its section, and itself as a mapping on one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub section: &'static str,
    pub text: String,
}

/// A file, one line an object.
pub fn text(objects: &[Object]) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let mut here = objects.iter().filter(|object| object.section == section).peekable();
        if section == "settings" {
            text.extend(here.next_back().map(|object| format!("settings: {}\n", object.text)));
        } else if here.peek().is_some() {
            text += &format!("{section}:\n");
            text.extend(here.map(|object| format!("  - {}\n", object.text)));
        }
    }
    if text.is_empty() { "{}\n".into() } else { text }
}

/// The same on one line.
pub fn line(objects: &[Object]) -> String {
    let mut parts = Vec::new();
    for section in SECTIONS {
        let here: Vec<&str> =
            objects.iter().filter(|object| object.section == section).map(|object| &*object.text).collect();
        match (section, here.last()) {
            (_, None) => {}
            ("settings", Some(last)) => parts.push(format!("settings: {last}")),
            _ => parts.push(format!("{section}: [{}]", here.join(", "))),
        }
    }
    format!("{{{}}}", parts.join(", "))
}

/// A later object takes the place of an earlier one with the same key.
pub fn unique(objects: Vec<Object>) -> Vec<Object> {
    fn key(object: &Object) -> (&'static str, String) {
        let fields: Vec<&str> = object.text.trim_matches(['{', '}']).split(", ").collect();
        let keys = match object.section {
            "settings" => 0,
            "routes" => 2,
            "neighbours" | "fdb" => 2,
            _ => 1,
        };
        let owner = fields.iter().find(|field| object.section == "routes" && field.starts_with("owner"));
        (object.section, fields[..keys].iter().chain(owner).copied().collect())
    }
    let mut kept: Vec<Object> = Vec::new();
    for object in objects {
        match kept.iter_mut().find(|other| key(other) == key(&object)) {
            Some(other) => *other = object,
            None => kept.push(object),
        }
    }
    kept
}
