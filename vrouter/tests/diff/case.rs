//! A case: a network, what happens to it, and what is expected; in memory and as a folder that replays without code.
//!
//! ```text
//! network.yaml    the objects at the beginning
//! events          one a line, each followed by what it leads to:
//!                   in p1             the next frame of in.pcap comes in by p1
//!                   apply {...}       a batch of objects, in the network language
//!                   delete KIND KEY   as the model's `delete` takes them
//!                   link p7 down      a port loses its link, or has it again (up), after a tenth of a second; another passes
//!                   session s1 failed a session of BFD fails, or is up again (up)
//!                   wait 1200         milliseconds pass
//!                     > p0            the next frame of out.pcap leaves by p0
//!                     ! v1 no_route   a drop, of VIF v1 ("-": of none)
//!                     x               the batch is refused
//!                     = ...           at the end: a flow
//! in.pcap, out.pcap
//! ```

use std::path::Path;

use super::objects::{self, Object};
use crate::books;

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Frame {
        port: usize,
        bytes: Vec<u8>,
    },
    Apply(Batch),
    Delete {
        kind: String,
        key: String,
    },
    Link {
        port: usize,
        up: bool,
    },
    /// A session of BFD fails, or is up.
    Session {
        name: String,
        failed: bool,
    },
    Wait(u64),
}

/// Objects of one batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    Objects(Vec<Object>),
    /// As read from a folder.
    Text(String),
}

impl Batch {
    pub fn text(&self) -> String {
        match self {
            Batch::Objects(objects) => objects::line(objects),
            Batch::Text(text) => text.clone(),
        }
    }
}

/// A network and what happens to it.
#[derive(Clone, Debug)]
pub struct Case {
    pub network: Network,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub enum Network {
    Objects(Vec<Object>),
    /// As read from a folder.
    Text(String),
}

impl Network {
    pub fn text(&self) -> String {
        match self {
            Network::Objects(objects) => objects::text(objects),
            Network::Text(text) => text.clone(),
        }
    }
}

/// What one event must lead to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Port and bytes, sorted.
    pub sent: Vec<(usize, Vec<u8>)>,
    /// VIF and reason, sorted.
    pub drops: Vec<(String, String)>,
    pub refused: bool,
}

/// A case with what it must lead to.
pub struct Kept {
    pub case: Case,
    pub expected: Vec<Expected>,
    /// Lines of flows at the end, sorted.
    pub flows: Vec<String>,
}

impl Kept {
    pub fn write(&self, folder: &Path, about: &str) {
        std::fs::create_dir_all(folder).expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("writable");
        write("network.yaml", &self.case.network.text());
        let mut text: String = about.lines().map(|line| format!("# {line}\n")).collect();
        let (mut came, mut left) = (Vec::new(), Vec::new());
        for (at, event) in self.case.events.iter().enumerate() {
            match event {
                Event::Frame { port, bytes } => {
                    text += &format!("in p{port}\n");
                    came.push((at as u64, bytes.clone()));
                }
                Event::Apply(batch) => text += &format!("apply {}\n", batch.text()),
                Event::Delete { kind, key } => text += &format!("delete {kind} {key}\n"),
                Event::Link { port, up } => text += &format!("link p{port} {}\n", if *up { "up" } else { "down" }),
                Event::Session { name, failed } => {
                    text += &format!("session {name} {}\n", if *failed { "failed" } else { "up" });
                }
                Event::Wait(millis) => text += &format!("wait {millis}\n"),
            }
            let Some(expected) = self.expected.get(at) else { continue };
            for (port, bytes) in &expected.sent {
                text += &format!("  > p{port}\n");
                left.push((at as u64, bytes.clone()));
            }
            for (vif, reason) in &expected.drops {
                text += &format!("  ! {} {reason}\n", if vif.is_empty() { "-" } else { vif });
            }
            if expected.refused {
                text += "  x\n";
            }
        }
        text.extend(self.flows.iter().map(|flow| format!("  = {flow}\n")));
        write("events", &text);
        books::write_pcap(&folder.join("in.pcap"), &came);
        books::write_pcap(&folder.join("out.pcap"), &left);
    }

    pub fn read(folder: &Path) -> Kept {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let mut came = read_pcap(&folder.join("in.pcap")).into_iter();
        let mut left = read_pcap(&folder.join("out.pcap")).into_iter();
        let (mut events, mut expected, mut flows) = (Vec::new(), Vec::<Expected>::new(), Vec::new());
        for line in text("events").lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let last = |expected: &mut Vec<Expected>| expected.len().checked_sub(1).expect("an event comes first");
            match word {
                "in" => events.push(Event::Frame { port: port(rest), bytes: came.next().expect("a frame in in.pcap") }),
                "apply" => events.push(Event::Apply(Batch::Text(rest.into()))),
                "delete" => {
                    let (kind, key) = rest.split_once(' ').expect("kind and key");
                    events.push(Event::Delete { kind: kind.into(), key: key.into() });
                }
                "link" => {
                    let (number, state) = rest.split_once(' ').expect("port and state");
                    events.push(Event::Link { port: port(number), up: state == "up" });
                }
                "session" => {
                    let (name, state) = rest.split_once(' ').expect("name and state");
                    events.push(Event::Session { name: name.into(), failed: state == "failed" });
                }
                "wait" => events.push(Event::Wait(rest.parse().expect("milliseconds"))),
                ">" => {
                    let at = last(&mut expected);
                    expected[at].sent.push((port(rest), left.next().expect("a frame in out.pcap")));
                }
                "!" => {
                    let (vif, reason) = rest.split_once(' ').expect("VIF and reason");
                    let at = last(&mut expected);
                    expected[at].drops.push((if vif == "-" { "" } else { vif }.into(), reason.into()));
                }
                "x" => {
                    let at = last(&mut expected);
                    expected[at].refused = true;
                }
                "=" => flows.push(rest.to_owned()),
                "" => {}
                other => panic!("{}: what is {other:?}?", folder.display()),
            }
            expected.resize(events.len(), Expected::default());
        }
        assert!(came.next().is_none() && left.next().is_none(), "{}: frames that no event names", folder.display());
        Kept { case: Case { network: Network::Text(text("network.yaml")), events }, expected, flows }
    }
}

fn port(word: &str) -> usize {
    word.strip_prefix('p').and_then(|number| number.parse().ok()).expect("a port: p0 to p7")
}

/// The frames of a pcap file that [`books::write_pcap`] wrote.
fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    assert_eq!(word(0), 0xa1b2_c3d4, "{}: not a pcap file of this byte order", path.display());
    let (mut frames, mut at) = (Vec::new(), 24);
    while at + 16 <= bytes.len() {
        frames.push(bytes[at + 16..at + 16 + word(at + 8)].to_vec());
        at += 16 + word(at + 8);
    }
    frames
}
