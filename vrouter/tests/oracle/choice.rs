//! Where the product may choose for itself: the UDP source port of a tunnel (RFC 7348, section 5), and the flow label of an outer IPv6
//! header (RFC 6438). Once for a flow, within what is allowed.

use super::forward::Key;
use super::{Oracle, Sent, headers};

/// Where in a frame, or a packet, the fields are that are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// A UDP source port from 49152 on.
    pub port: Option<usize>,
    /// An IPv6 header whose flow label is anything but 0 (RFC 6437, section 2).
    pub label: Option<usize>,
}

impl Free {
    /// This much further on.
    pub fn behind(self, length: usize) -> Free {
        Free { port: self.port.map(|at| at + length), label: self.label.map(|at| at + length) }
    }

    /// The choice that a frame shows; `None`: one that is not allowed.
    fn made(self, bytes: &[u8]) -> Option<Choice> {
        let port = self.port.map(|at| headers::be16(bytes, at));
        let label = self.label.map(|at| headers::be32(bytes, at) & 0xf_ffff);
        (port.is_none_or(|port| port >= 49152) && label != Some(0)).then_some(Choice { port, label })
    }

    fn write(self, choice: Choice, bytes: &mut [u8]) {
        if let (Some(at), Some(port)) = (self.port, choice.port) {
            bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
        if let (Some(at), Some(label)) = (self.label, choice.label) {
            let word = headers::be32(bytes, at) & 0xfff0_0000 | label;
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
    }
}

/// What was chosen for a flow so far; each once there was a frame that has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    port: Option<u16>,
    label: Option<u32>,
}

impl Choice {
    /// With what it lacks from another.
    fn or(self, other: Choice) -> Choice {
        Choice { port: self.port.or(other.port), label: self.label.or(other.label) }
    }
}

impl Oracle {
    /// Sends a frame.
    pub(super) fn send(&mut self, port: usize, bytes: Vec<u8>, free: Free, flow: Option<Key>) {
        let (Sent { port, mut bytes }, tag) = self.on_wire(port, bytes);
        let free = free.behind(tag);
        if free != Free::default() {
            let kept = flow.and_then(|flow| self.chosen.get(&flow).copied()).unwrap_or_default();
            let choice = kept.or(self.choose(port, &bytes, free, kept));
            free.write(choice, &mut bytes);
            if let Some(flow) = flow {
                self.chosen.insert(flow, choice);
            }
        }
        self.outcome.sent.push(Sent { port, bytes });
    }

    /// What the product chose, if it sent this frame with a choice that is allowed, and the one that was kept. Where several flows
    /// send alike, each of what came may be this one's.
    fn choose(&self, port: usize, bytes: &[u8], free: Free, kept: Choice) -> Choice {
        let of = |sent: &Sent| {
            let made = free.made(&sent.bytes)?;
            let mut like = bytes.to_vec();
            free.write(kept.or(made), &mut like);
            (like == sent.bytes).then_some(made)
        };
        // two flows may send alike: each frame that came is one's only
        let of_this = |all: &[Sent], sent: &Sent| all.iter().filter(|other| *other == sent).count();
        let left = |sent: &&Sent| of_this(&self.came, sent) > of_this(&self.outcome.sent, sent);
        let came = self.came.iter().filter(|sent| sent.port == port && sent.bytes.len() == bytes.len()).filter(left);
        let mut made = Vec::new();
        for choice in came.filter_map(of) {
            if !made.contains(&choice) {
                made.push(choice);
            }
        }
        match made[..] {
            [] => Choice { port: free.port.map(|_| 49152), label: free.label.map(|_| 1) },
            [only] => only,
            _ => made[self.choice(made.len())],
        }
    }
}
