//! Captures: which frames workers copy for people who look, and where.

use std::sync::Arc;

use crate::ids::VifId;
use crate::packet::filter::Filter;

/// Captures at once.
pub const CAPTURES: usize = 4;

/// Where frames are looked at: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points(u8);

impl Points {
    /// As a port received them.
    pub const RX: Points = Points(1);
    /// As a port takes them to send.
    pub const TX: Points = Points(2);
    /// Those that are dropped.
    pub const DROP: Points = Points(4);
    /// Beside rx: with what the frame's burst takes, stage by stage.
    pub const STAGES: Points = Points(8);

    /// Whether these have any of those.
    #[inline]
    pub fn have(self, other: Points) -> bool {
        self.0 & other.0 != 0
    }

    /// Both.
    pub fn and(self, other: Points) -> Points {
        Points(self.0 | other.0)
    }
}

/// One capture.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Which of all that ever were.
    pub number: u64,
    /// Which of a worker's rings has its copies: below [`CAPTURES`].
    pub ring: usize,
    pub points: Points,
    /// Only what enters (rx, drop) or leaves (tx) by this VIF.
    pub vif: Option<VifId>,
    pub filter: Filter,
    /// Bytes of a frame that are copied at most.
    pub most: usize,
}

/// All captures.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// Where any of them looks.
    pub at: Points,
    all: Option<Arc<[Capture]>>,
}

impl Captures {
    /// These.
    pub fn of(all: Vec<Capture>) -> Captures {
        let at = all.iter().fold(Points::default(), |points, capture| points.and(capture.points));
        Captures { at, all: if all.is_empty() { None } else { Some(all.into()) } }
    }

    /// Those that look there.
    pub fn at(&self, point: Points) -> impl Iterator<Item = &Capture> {
        self.all.iter().flat_map(|all| all.iter()).filter(move |capture| capture.points.have(point))
    }
}
