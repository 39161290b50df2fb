//! Frames that scapy built (each `frames/*.py` writes the `.hex` of its name), and comparison with what came out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;

static FRAMES: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for path in files("hex") {
        for (name, frame) in parse(&std::fs::read_to_string(path).expect("text")) {
            assert!(all.insert(name.clone(), frame).is_none(), "two frames {name}");
        }
    }
    all
});

/// The files of `frames/` that end in this, sorted.
pub fn files(ending: &str) -> Vec<PathBuf> {
    let folder =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../vrouter/tests/wire/frames")).expect("a folder");
    let paths = folder.map(|entry| entry.expect("readable").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    paths.sort();
    paths
}

/// Where the UDP source port of a tunnel's outer header is; `None`: the outer packet is not UDP.
fn tunnel_port(frame: &[u8]) -> Option<std::ops::Range<usize>> {
    let tag = if frame.get(12..14)? == [0x81, 0] { 4 } else { 0 };
    let ip = 14 + tag;
    let (protocol, header) = match frame.get(ip)? >> 4 {
        4 => (*frame.get(ip + 9)?, usize::from(frame[ip] & 15) * 4),
        _ => (*frame.get(ip + 6)?, 40),
    };
    (protocol == 17 && frame.len() >= ip + header + 8).then_some(ip + header..ip + header + 2)
}

fn parse(text: &str) -> HashMap<String, Vec<u8>> {
    let line = |line: &str| {
        let (name, hex) = line.split_once(": ").expect("name: hex");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (name.to_owned(), (0..hex.len()).step_by(2).map(byte).collect())
    };
    text.lines().map(line).collect()
}

/// The frame with this name.
#[track_caller]
pub fn frame(name: &str) -> &'static [u8] {
    FRAMES.get(name).unwrap_or_else(|| panic!("frames/*.hex have no {name}"))
}

/// All frames' names, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = FRAMES.keys().map(String::as_str).collect();
    names.sort();
    names
}

/// The flow label of a tunnel's outer header, which is ours to choose but not 0 (RFC 6438), made 0; `None`: the outer packet is not IPv6.
fn without_flow_label(frame: &mut [u8]) -> Option<bool> {
    let ip = 14 + if frame.get(12..14)? == [0x81, 0] { 4 } else { 0 };
    let label = frame.get_mut(ip..ip + 4).filter(|word| word[0] >> 4 == 6)?;
    let given = label[1] & 0x0f != 0 || label[2..] != [0, 0];
    label[1] &= 0xf0;
    label[2..].fill(0);
    Some(given)
}

/// Whether these bytes are the frame of that name. The source port of a tunnel is ours to choose in 49152-65535 (RFC 7348), as an outer
/// IPv6 header's flow label is: frames called `*.wire` have 0 there.
pub fn is_like(bytes: &[u8], name: &str) -> bool {
    let expected = frame(name);
    if !name.ends_with(".wire") {
        return bytes == expected;
    }
    let mut bytes = bytes.to_vec();
    let labelled = without_flow_label(&mut bytes).unwrap_or(true);
    let Some(port) = tunnel_port(&bytes) else { return labelled && bytes == expected };
    let in_range = bytes[port.start] >= 0xc0;
    bytes[port].fill(0);
    in_range && labelled && bytes == expected
}

/// The wanted frame beside what came instead.
pub fn difference(name: &str, came: &[Vec<u8>]) -> String {
    format!("no {name}\n  want {}\n  came {}", hex(frame(name)), hex_all(came))
}

/// The first few frames.
pub fn hex_all(frames: &[Vec<u8>]) -> String {
    let shown: Vec<_> = frames.iter().take(8).map(|frame| hex(frame)).collect();
    match frames.len() {
        0 => "nothing".into(),
        count => format!("{count}:\n       {}", shown.join("\n       ")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
