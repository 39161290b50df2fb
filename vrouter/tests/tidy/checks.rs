//! The house's rules, each a pure function from sources to complaints.

use super::source::Source;

/// A source file's lines; test suites and benches may be longer.
pub const FILE_LINES: usize = 500;
pub const TEST_FILE_LINES: usize = 700;
pub const FUNCTION_LINES: usize = 70;

/// Who may use whom inside vrouter/src (the arrows of ARCHITECTURE.md, closed under "below"). A path may begin with a module
/// or, where its part needs more, with a longer path: the longest that fits decides.
pub const ARROWS: &[(&str, &[&str])] = &[
    // The allocator that watches workers, in test and debug builds.
    ("lib", &["flowtable"]),
    ("ids", &[]),
    ("drops", &[]),
    ("packet", &["ids", "drops"]),
    ("port", &["ids", "drops", "packet"]),
    // A frame may own an mbuf.
    ("port/frame", &["ids", "drops", "packet", "port", "ffi"]),
    ("port/dpdk", &["ids", "drops", "packet", "port", "ffi"]),
    // The time stamp counter.
    ("port/stopwatch", &["ffi"]),
    ("tables", &["ids", "drops", "packet", "flowtable"]),
    ("local", &["ids", "drops", "packet", "tables"]),
    ("api", &["ids", "drops", "packet"]),
    ("durable", &["api"]),
    ("model", &["ids", "drops", "packet", "tables", "api"]),
    ("datapath", &["ids", "drops", "packet", "tables", "port", "flowtable"]),
    ("control", &["ids", "drops", "packet", "tables", "api", "model", "local"]),
    (
        "daemon",
        &[
            "ids",
            "drops",
            "packet",
            "tables",
            "api",
            "model",
            "local",
            "control",
            "datapath",
            "durable",
            "port",
            "flowtable",
            "ffi",
        ],
    ),
    ("candidate", &["ids", "drops", "packet", "tables", "api", "model", "datapath", "port", "flowtable", "daemon"]),
    // The tool's own modules, in its own crate.
    ("vrctl", &["ids", "drops", "packet", "api", "candidate"]),
    ("bin/vrctl", &["ids", "drops", "packet", "api", "vrctl"]),
    ("bin/vrouter", &["ids", "drops", "api", "daemon", "flowtable"]),
];

/// The crates of this workspace that each may name, and what else it is held to.
pub const CRATES: &[(&str, &[&str])] = &[
    ("flowtable", &[]),
    ("ffi", &[]),
    ("vrouter", &["flowtable", "ffi"]),
    ("bench", &["vrouter", "flowtable", "ffi"]),
    ("fuzz", &["vrouter", "flowtable"]),
];

/// What modules must not even name: no clock and no I/O in the pure ones, no lock, log, formatting or thread in the datapath.
const PURE: &[&str] =
    &["Instant", "SystemTime", "File", "TcpStream", "UnixStream", "UdpSocket", "println", "eprintln", "thread"];
const QUIET: &[&str] =
    &["tracing", "Mutex", "RwLock", "format", "println", "eprintln", "File", "Instant", "SystemTime", "thread"];
pub const FORBIDDEN_WORDS: &[(&str, &[&str])] =
    &[("packet", PURE), ("tables", PURE), ("local", PURE), ("datapath", QUIET)];

/// Words that say nothing, in names of modules and types.
const EMPTY_NAMES: &[&str] =
    &["manager", "engine", "handler", "util", "utils", "helper", "helpers", "common", "core", "wrapper"];

/// The module that a file of vrouter/src belongs to, as in [`ARROWS`].
fn module<'a>(path: &str, table: &[(&'a str, &'a [&'a str])]) -> Option<(&'a str, &'a [&'a str])> {
    let inside = path.strip_prefix("vrouter/src/")?.strip_suffix(".rs")?;
    table
        .iter()
        .filter(|(name, _)| inside == *name || inside.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
        .max_by_key(|(name, _)| name.len())
        .copied()
}

/// Uses of modules and crates against the arrows.
pub fn arrows(source: &Source) -> Vec<String> {
    if !source.path.starts_with("vrouter/src/") {
        return Vec::new();
    }
    let Some((name, allowed)) = module(&source.path, ARROWS) else {
        return vec![format!("{}: in no module of the table of arrows", source.path)];
    };
    let top = name.split('/').next().unwrap_or(name);
    used_modules(source)
        .into_iter()
        .filter(|(_, used)| !allowed.contains(&used.as_str()) && (used != top || name.starts_with("bin")))
        .map(|(at, used)| format!("{}:{}: {name} must not use {used}", source.path, source.line(at)))
        .collect()
}

/// First segments of `crate::…`, `vrouter::…`, `flowtable::…` and `ffi::…` paths, groups followed.
fn used_modules(source: &Source) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (at, word) in source.words() {
        let after = source.text[at + word.len()..].trim_start();
        let is_path = after.strip_prefix("::").map(str::trim_start);
        let leads = !source.text[..at].trim_end().ends_with("::");
        match (word, is_path) {
            ("flowtable" | "ffi", Some(_)) if leads => used.push((at, word.to_owned())),
            ("crate", Some(path)) => used.extend(first_segments(path).into_iter().map(|name| (at, name))),
            ("vrouter", Some(path)) if leads => {
                used.extend(first_segments(path).into_iter().map(|name| (at, name)));
            }
            _ => {}
        }
    }
    used
}

/// `ids::X` gives `ids`; `{ids::X, drops::{Y, Z}}` gives `ids` and `drops`.
fn first_segments(path: &str) -> Vec<String> {
    let word =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let mut depth = 0;
    let mut segments = vec![word(group)];
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => segments.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

/// Dependencies among this workspace's crates against [`CRATES`]; flowtable stands on std alone.
pub fn dependencies(folder: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{folder}: a crate that the house does not have")];
    };
    let mut section = "";
    let mut complaints = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or("").trim_matches('"');
        let ours = ["flowtable", "ffi", "vrouter", "bench"].contains(&name);
        let normal = section == "[dependencies]";
        if section.ends_with("dependencies]") && ours && !allowed.contains(&name) && name != folder {
            complaints.push(format!("{folder}/Cargo.toml: must not depend on {name}"));
        } else if folder == "flowtable" && normal {
            complaints.push(format!("{folder}/Cargo.toml: {name}: flowtable stands on std alone"));
        }
    }
    complaints
}

/// What the fence is around: the keyword that the lint `unsafe_code` is named after. (So it stands nowhere in this crate itself.)
pub fn fenced_word() -> &'static str {
    "unsafe_code".trim_end_matches("_code")
}

/// The fenced word outside the fence.
pub fn fence(source: &Source) -> Vec<String> {
    if is_fenced(source) {
        return Vec::new();
    }
    let found = source.words().filter(|(_, word)| *word == fenced_word());
    found.map(|(at, _)| format!("{}:{}: {} outside the fence", source.path, source.line(at), fenced_word())).collect()
}

/// Crate roots outside the fence that do not forbid it.
pub fn roots(source: &Source) -> Vec<String> {
    let root = source.path.ends_with("src/lib.rs") || source.path.contains("/src/bin/");
    if !root || is_fenced(source) || source.text.contains("#![forbid(unsafe_code)]") {
        return Vec::new();
    }
    vec![format!("{}: a crate root outside the fence without #![forbid(unsafe_code)]", source.path)]
}

fn is_fenced(source: &Source) -> bool {
    source.path.starts_with("ffi/") || source.path.starts_with("flowtable/")
}

/// Fenced crates are held by the workspace's lints, which must still be there.
pub fn fence_lints(workspace: &str, manifests: &[(String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for lint in ["unsafe_op_in_unsafe_fn = \"deny\"", "undocumented_unsafe_blocks = \"deny\""] {
        if !workspace.lines().any(|line| line.trim() == lint) {
            complaints.push(format!("Cargo.toml: the workspace's lint {lint} is gone"));
        }
    }
    for (path, manifest) in manifests {
        if !manifest.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{path}: does not take the workspace's lints"));
        }
    }
    complaints
}

/// Files and functions that have grown too long.
pub fn lengths(source: &Source) -> Vec<String> {
    let path = &source.path;
    let suite = ["/tests/", "/benches/"].iter().any(|part| path.contains(part)) || path.ends_with("tests.rs");
    let bound = if suite { TEST_FILE_LINES } else { FILE_LINES };
    let lines = source.text.lines().count();
    let mut complaints = Vec::new();
    if lines > bound {
        complaints.push(format!("{path}: {lines} lines, at most {bound}"));
    }
    for (name, at, lines) in source.functions() {
        if lines > FUNCTION_LINES {
            let line = source.line(at);
            complaints.push(format!("{path}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES}"));
        }
    }
    complaints
}

/// Names of modules, types and functions that the house's words forbid.
pub fn names(source: &Source) -> Vec<String> {
    let words: Vec<_> = source.words().collect();
    let mut complaints = Vec::new();
    for pair in words.windows(2) {
        let ((at, keyword), (_, name)) = (pair[0], pair[1]);
        let bad = match keyword {
            "mod" | "struct" | "enum" | "trait" | "type" | "union" => {
                name_words(name).iter().any(|word| EMPTY_NAMES.contains(&word.as_str()))
            }
            "fn" => name.starts_with("get_") || name.starts_with("process_"),
            _ => false,
        };
        if bad {
            complaints.push(format!("{}:{}: {keyword} {name}: a word that says nothing", source.path, source.line(at)));
        }
    }
    complaints
}

/// `FlowManager` and `flow_manager` give `flow`, `manager`; `IOCore` gives `io`, `core`.
fn name_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let letters: Vec<char> = name.chars().collect();
    for (at, &letter) in letters.iter().enumerate() {
        let lower = |at: usize| letters.get(at).is_some_and(|c| c.is_lowercase());
        let begins = letter.is_uppercase() && at > 0 && (lower(at - 1) || lower(at + 1));
        if letter == '_' || begins {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().expect("never empty").extend(letter.to_lowercase());
        }
    }
    words
}

/// What modules must not name ([`FORBIDDEN_WORDS`]), outside their tests.
pub fn invariants(source: &Source) -> Vec<String> {
    let Some((name, forbidden)) = module(&source.path, FORBIDDEN_WORDS) else { return Vec::new() };
    let found = source.words().filter(|(at, word)| forbidden.contains(word) && !source.is_test(*at));
    found.map(|(at, word)| format!("{}:{}: {name} must not use {word}", source.path, source.line(at))).collect()
}

/// The reference model stands alone: what it took from the product would be wrong in both.
pub fn independence(source: &Source) -> Vec<String> {
    let inside = source.path.starts_with("vrouter/tests/oracle/");
    if !inside && source.path != "vrouter/tests/oracle.rs" {
        return Vec::new();
    }
    let product = ["vrouter", "flowtable", "ffi", "include"];
    let found = source.words().filter(|(_, word)| product.contains(word) || inside && *word == "path");
    found.map(|(at, word)| format!("{}:{}: the model must not use {word}", source.path, source.line(at))).collect()
}

/// Folders of one developer's machine and hosts that are no public home of documents or of the toolchain.
pub fn foreign_places(path: &str, text: &str) -> Vec<String> {
    let folders = ["/wo#rk/", "/ro#ot/", "/ho#me/", "/Us#ers/"].map(|folder| folder.replace('#', ""));
    const HOSTS: &[&str] = &[
        "github.com",
        "www.apache.org",
        "www.rfc-editor.org",
        "datatracker.ietf.org",
        "doc.dpdk.org",
        "docs.rs",
        "sh.rustup.rs",
        "rustup.rs",
        "json-schema.org",
        "www.kernel.org",
        "localhost",
    ];
    let mut complaints = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        for folder in folders.iter().filter(|folder| text.contains(folder.as_str())) {
            complaints.push(format!("{path}:{line}: names {folder}, a folder of one machine"));
        }
        for (at, scheme) in text.match_indices("://") {
            let after = &text[at + scheme.len()..];
            let host: String = after.chars().take_while(|c| c.is_alphanumeric() || ".-".contains(*c)).collect();
            let web = text[..at].ends_with("http") || text[..at].ends_with("https");
            if web && host.contains('.') && !HOSTS.contains(&host.as_str()) {
                complaints.push(format!("{path}:{line}: names the host {host}, which the house does not know"));
            }
        }
    }
    complaints
}

/// Top-level entries that are not the house's.
pub fn strangers(top: &[String]) -> Vec<String> {
    let known = |entry: &&String| !HOUSE.contains(&entry.as_str());
    top.iter().filter(known).map(|entry| format!("{entry}: not one of the house's top-level entries")).collect()
}

/// Top-level entries that the house must have.
pub fn missing(top: &[String]) -> Vec<String> {
    let gone = HOUSE.iter().filter(|entry| !top.iter().any(|there| there == *entry));
    gone.map(|entry| format!("{entry}: missing at top level")).collect()
}

/// The top level, exactly.
const HOUSE: &[&str] = &[
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "Vagrantfile",
    "bench",
    "build.rs",
    "clippy.toml",
    "deny.toml",
    "ffi",
    "flowtable",
    "fuzz",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "scripts",
    "vrouter",
];
