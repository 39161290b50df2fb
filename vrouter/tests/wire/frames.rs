//! Frames that scapy built (`frames.py` writes `frames.hex`), and comparison with what came out.

use std::collections::HashMap;
use std::process::Command;
use std::sync::LazyLock;

static FRAMES: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| parse(include_str!("frames.hex")));

/// Where the UDP source port of a tunnel's outer header is.
const TUNNEL_PORT: std::ops::Range<usize> = 34..36;

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
    FRAMES.get(name).unwrap_or_else(|| panic!("frames.hex has no {name}"))
}

/// All frames' names, sorted.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = FRAMES.keys().map(String::as_str).collect();
    names.sort();
    names
}

/// Whether these bytes are the frame of that name. The source port of a tunnel is ours to choose in 49152-65535 (RFC 7348): frames
/// called `*.wire` have 0 there.
pub fn is_like(bytes: &[u8], name: &str) -> bool {
    let expected = frame(name);
    if !name.ends_with(".wire") {
        return bytes == expected;
    }
    let Some(port) = bytes.get(TUNNEL_PORT) else { return false };
    let in_range = port[0] >= 0xc0;
    let mut bytes = bytes.to_vec();
    bytes[TUNNEL_PORT].fill(0);
    in_range && bytes == expected
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

#[test]
fn frames_are_what_scapy_builds() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/frames.py");
    let python = Command::new("/usr/bin/python3").arg(script).output().expect("package python3 is installed");
    let error = String::from_utf8_lossy(&python.stderr);
    assert!(python.status.success(), "frames.py needs the packages python3 and python3-scapy: {error}");
    let built = String::from_utf8(python.stdout).unwrap();
    for (ours, scapy) in include_str!("frames.hex").lines().zip(built.lines()) {
        assert_eq!(ours, scapy, "frames.hex is not what frames.py writes: run it again");
    }
    assert_eq!(include_str!("frames.hex").lines().count(), built.lines().count());
}
