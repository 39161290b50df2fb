//! Upgrades: another program goes on where this one is, while ports stand still for a moment.
//!
//! ```text
//! the old one (`leave`)                                 the new one (`heir`)
//! judges the program, freezes changes, starts it  ───▶  memory, pools, configuration, model, ports that both can have
//! forwards                                        ◀───  Ready
//! its workers end                                 ───▶  Stopped: what comes from now on is the new one's
//! closes its devices                              ───▶  Yours: opens the other ports, adopts the flows, starts its workers
//!                                                 ◀───  Forwarding
//! gives up the state directory                    ───▶  Released: opens it, begins to serve
//! answers who asked, and ends                     ◀───  Serving
//! ```
//!
//! They talk over a pair of sockets, the new one's end of which is its standard input; descriptors come with Hello. If the new one fails
//! before Stopped, the old one ends it and goes on. Later the old one runs its own program anew (`exec`), as heir of itself.

mod channel;
mod heir;
mod leave;
mod openings;
mod program;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::api::v1;

use channel::{Channel, HearError};
pub use heir::{Heir, HeirError, Later, run as take_over};
pub use leave::{Leaver, Parts};

/// Of what is said here, and of what descriptors are.
const PROTOCOL: u32 = 1;
/// Says in the environment that the standard input is the end of a channel.
const VARIABLE: &str = "VROUTER_HEIR";

/// What is said.
#[derive(Debug, Serialize, Deserialize)]
pub enum Word {
    Hello(Box<Hello>),
    /// These ports it opens when they are closed here.
    Ready {
        version: String,
        waits: Vec<String>,
    },
    Failed {
        reason: String,
    },
    Stopped,
    Yours,
    Forwarding(Forwarding),
    Released,
    Serving,
}

/// What the new one is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    /// Of the old one.
    pub version: String,
    /// What the descriptors beside this are, in order.
    pub parcels: Vec<Parcel>,
    pub socket: PathBuf,
    pub tls: Option<std::net::SocketAddr>,
    pub flow_file: Option<PathBuf>,
    /// Batches in the state directory, if there is one.
    pub batches: Option<u64>,
    /// Folders that landlock leaves; absent: all.
    pub reach: Option<Vec<PathBuf>>,
    /// The old one is gone already: nobody hears what is said.
    pub alone: bool,
}

/// A descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Parcel {
    /// All objects, packed.
    Image,
    /// Where lines go once the new one is on its own.
    Stderr,
    Listener,
    /// Of the socket's path.
    Lock,
    Tls,
    /// The flow file.
    Flows,
    /// `/etc/passwd` and `/etc/group`, as they were.
    Users,
    Groups,
    /// Neighbours that were learnt, as JSON.
    Neighbours,
}

/// What the new one tells when it forwards.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Forwarding {
    /// What took how long since Yours, in microseconds.
    pub phases: Vec<(String, u64)>,
    pub flows: Option<Flows>,
}

/// What became of flows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flows {
    pub path: String,
    pub adopted: u64,
    pub dropped: Vec<(String, u64)>,
    pub milliseconds: u32,
    pub rebuilt: String,
}

impl From<v1::FlowFile> for Flows {
    fn from(told: v1::FlowFile) -> Flows {
        let v1::FlowFile { path, adopted, dropped, milliseconds, rebuilt } = told;
        let dropped = dropped.into_iter().map(|it| (it.cause, it.flows)).collect();
        Flows { path, adopted, dropped, milliseconds, rebuilt }
    }
}

impl From<Flows> for v1::FlowFile {
    fn from(told: Flows) -> v1::FlowFile {
        let Flows { path, adopted, dropped, milliseconds, rebuilt } = told;
        let dropped = dropped.into_iter().map(|(cause, flows)| v1::DroppedFlows { cause, flows }).collect();
        v1::FlowFile { path, adopted, dropped, milliseconds, rebuilt }
    }
}
