//! What the server asks the control thread.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::log::Log;
use crate::api::v1;

/// Where an answer goes. Dropping it unanswered means that the daemon is stopping; `is_closed()` that nobody waits any more.
pub type Reply<T> = oneshot::Sender<T>;

/// A long answer: what it iterates over is shared or copied, so that the control thread is done once it has handed it over. It is
/// pulled on another thread, at the client's pace.
pub type Rows<T> = Box<dyn Iterator<Item = T> + Send>;

/// What is captured: each call takes what there is by now, `None` if that is nothing. Another thread calls it, some hundred times a second;
/// dropped, it ends the capture.
pub type Taken = Box<dyn FnMut() -> Option<v1::CaptureChunk> + Send>;

/// What the client may not do of this batch, if anything; the control thread asks it.
pub type May = Box<dyn FnOnce(&mut v1::Begin, &v1::Changes) -> Result<(), String> + Send>;

/// Why a shadow is not promoted.
#[derive(Clone, Debug, PartialEq)]
pub enum NotPromoted {
    /// The client may not say what it says: why.
    Denied(String),
    Refused(v1::Refused),
}

/// Why nothing is captured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotCaptured {
    /// There are so many captures.
    #[error("{0} captures are on already")]
    Full(usize),
    #[error("it cannot be done: {}", .0.reason)]
    Refused(v1::Refused),
}

/// A call to the control thread. Those that may name something that is not there are answered with a refusal.
pub enum Request {
    /// One committed batch, to be applied whole or not at all, or to be judged only; the answer may come after those to later requests.
    Apply {
        begin: v1::Begin,
        changes: v1::Changes,
        /// Who asks, for people.
        by: String,
        reply: Reply<Result<Made, v1::Refused>>,
    },
    /// Objects of one kind or all, of one generation.
    List {
        filter: v1::ListRequest,
        reply: Reply<Result<Listed, v1::Refused>>,
    },
    /// To be answered when every worker forwards by `generation` (0: the newest now) or a newer one, with what they all have. The
    /// control thread keeps it with others that wait and forgets it once `reply.is_closed()`: the server watches the time.
    Sync {
        generation: u64,
        reply: Reply<u64>,
    },
    /// The log to follow and where; with `snapshot` the objects as they are there.
    Watch {
        snapshot: bool,
        reply: Reply<Watching>,
    },
    /// Live flows.
    Flows {
        filter: v1::FlowsRequest,
        reply: Reply<Result<Rows<v1::Flow>, v1::Refused>>,
    },
    /// How often rules of ACLs have decided.
    Hits {
        filter: v1::HitsRequest,
        reply: Reply<Result<Rows<v1::RuleHits>, v1::Refused>>,
    },
    /// How often routes have.
    RouteHits {
        filter: v1::HitsRequest,
        reply: Reply<Result<Rows<v1::RouteHits>, v1::Refused>>,
    },
    Stats {
        reply: Reply<v1::StatsReply>,
    },
    Victims {
        filter: v1::VictimsRequest,
        reply: Reply<Result<v1::VictimsReply, v1::Refused>>,
    },
    /// Frames as they pass, from now on.
    Capture {
        wanted: v1::CaptureRequest,
        reply: Reply<Result<Taken, NotCaptured>>,
    },
    /// What the shadow has found.
    ShadowReport {
        reply: Reply<Result<v1::ShadowReportReply, v1::Refused>>,
    },
    /// The shadow's batch is to be made.
    PromoteShadow {
        wanted: v1::PromoteShadowRequest,
        /// Who asks, for people, and what it may do.
        by: String,
        may: May,
        reply: Reply<Result<Made, NotPromoted>>,
    },
    DiscardShadow {
        wanted: v1::DiscardShadowRequest,
        reply: Reply<Result<v1::DiscardShadowReply, v1::Refused>>,
    },
    Explain {
        query: v1::ExplainRequest,
        reply: Reply<Result<v1::ExplainReply, v1::Refused>>,
    },
    Status {
        reply: Reply<v1::StatusReply>,
    },
    /// An owner is there.
    KeepAlive {
        wanted: v1::KeepAliveRequest,
        reply: Reply<Result<v1::KeepAliveReply, v1::Refused>>,
    },
    Owners {
        reply: Reply<v1::OwnersReply>,
    },
    /// What waits to be confirmed stays.
    Confirm {
        wanted: v1::ConfirmRequest,
        reply: Reply<Result<v1::ConfirmReply, v1::Refused>>,
    },
    /// What is kept of owners' past.
    Revisions {
        wanted: v1::RevisionsRequest,
        reply: Reply<v1::RevisionsReply>,
    },
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    Applied(v1::Applied),
    /// The same, but it may not outlive the daemon, although what is acknowledged should: why.
    Unkept(v1::Applied, String),
    /// It was judged only.
    Plan(v1::Plan),
    /// It is tried.
    Shadowed(v1::Shadowed),
}

impl Made {
    /// Why it may not outlive the daemon, if so.
    pub fn unkept(&self) -> Option<&str> {
        match self {
            Made::Unkept(_, why) => Some(why),
            Made::Applied(_) | Made::Plan(_) | Made::Shadowed(_) => None,
        }
    }

    /// The one that it made, or was judged at.
    pub fn generation(&self) -> u64 {
        match self {
            Made::Applied(applied) | Made::Unkept(applied, _) => applied.generation,
            Made::Plan(plan) => plan.generation,
            Made::Shadowed(shadowed) => shadowed.generation,
        }
    }
}

/// The answer to `List`.
pub struct Listed {
    pub generation: u64,
    /// A copy: says how many there are (`size_hint`).
    pub objects: Rows<v1::Object>,
}

/// The answer to `Watch`.
pub struct Watching {
    pub log: Arc<Log>,
    /// The newest now.
    pub generation: u64,
    /// Rises with the log from here on.
    pub rises: watch::Receiver<u64>,
    /// All objects of that generation.
    pub objects: Option<Rows<v1::Object>>,
}
