//! Captures: which are on, by the rings that workers put their copies into. A ring is another capture's once no worker goes by a snapshot
//! in which it was the one before's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::view::vif_number;
use crate::api::v1;
use crate::control::NotCaptured;
use crate::datapath::Shared;
use crate::datapath::capture::USUAL;
use crate::packet::filter::Filter;
use crate::tables::{CAPTURES, Capture, Points, Snapshot};

/// Control thread.
#[derive(Default)]
pub struct Captures {
    rings: [Ring; CAPTURES],
    /// Captures that ever were.
    begun: u64,
}

#[derive(Default)]
struct Ring {
    open: Option<Open>,
    /// Of the snapshot in which it is nobody's.
    free: u64,
}

struct Open {
    capture: Capture,
    /// Somebody takes its copies.
    wanted: Arc<AtomicBool>,
}

impl Captures {
    /// Begins one. It is on with the next snapshot that has [`Captures::all`], until nobody wants it any more. Makes the rooms for its copies.
    ///
    /// # Errors
    /// What is wrong with what is wanted, or too many captures.
    pub fn begin(
        &mut self,
        shared: &Shared,
        snapshot: &Snapshot,
        wanted: &v1::CaptureRequest,
    ) -> Result<(Capture, Arc<AtomicBool>), NotCaptured> {
        let refused = |field: &str, reason: String| {
            NotCaptured::Refused(v1::Refused {
                object: "capture".into(),
                field: field.into(),
                reason,
                ..v1::Refused::default()
            })
        };
        let mut points = Points::default();
        for point in &wanted.points {
            points = points.and(match v1::CapturePoint::try_from(*point) {
                Ok(v1::CapturePoint::Rx) => Points::RX,
                Ok(v1::CapturePoint::Tx) => Points::TX,
                Ok(v1::CapturePoint::Drop) => Points::DROP,
                Err(_) => return Err(refused("points", format!("there is no point {point}"))),
            });
        }
        if wanted.points.is_empty() {
            points = Points::RX.and(Points::TX);
        }
        if wanted.explain && points.have(Points::RX) {
            points = points.and(Points::STAGES);
        }
        let filter = Filter::parse(&wanted.filter).map_err(|error| refused("filter", error.to_string()))?;
        let vif = if wanted.vif.is_empty() {
            None
        } else {
            let vif = vif_number(snapshot, &wanted.vif);
            Some(vif.ok_or_else(|| refused("vif", format!("there is no VIF {}", wanted.vif)))?)
        };
        let seen = shared.seen();
        let is_free = |ring: &Ring| ring.open.is_none() && ring.free <= seen;
        let ring = self.rings.iter().position(is_free).ok_or(NotCaptured::Full(CAPTURES))?;
        for end in &shared.workers {
            end.captures[ring].rooms.fill();
            // of the one before, which ended before they were taken
            while end.captures[ring].copies.pop().is_some() {}
        }
        self.begun += 1;
        // what fits a usual room is copied whole, so that it can be told what it is
        let most = if wanted.snaplen == 0 { usize::MAX } else { USUAL.max(wanted.snaplen as usize) };
        let capture = Capture { number: self.begun, ring, points, vif, filter, most };
        let wanted = Arc::new(AtomicBool::new(true));
        self.rings[ring].open = Some(Open { capture: capture.clone(), wanted: wanted.clone() });
        Ok((capture, wanted))
    }

    /// Forgets those that nobody wants any more. True: there were some, which the next snapshot, of this generation, does not have.
    pub fn end_unwanted(&mut self, next: u64) -> bool {
        let mut ended = false;
        for ring in &mut self.rings {
            // relaxed: a flag that carries nothing but itself
            if ring.open.as_ref().is_some_and(|open| !open.wanted.load(Ordering::Relaxed)) {
                *ring = Ring { open: None, free: next };
                ended = true;
            }
        }
        ended
    }

    /// For the snapshot.
    pub fn all(&self) -> crate::tables::Captures {
        let open = self.rings.iter().filter_map(|ring| ring.open.as_ref());
        crate::tables::Captures::of(open.map(|open| open.capture.clone()).collect())
    }

    /// How many are on.
    pub fn count(&self) -> usize {
        self.rings.iter().filter(|ring| ring.open.is_some()).count()
    }
}
