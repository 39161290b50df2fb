//! `Capture`: copies of frames go to one client at its pace. What it does not take in time stays with the workers, which lose what is more.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::Status;

use super::accept::Line;
use super::request::{NotCaptured, Taken};
use super::server::{Stop, refusal};
use crate::api::v1;

/// How often copies are taken from the workers.
const PAUSE: Duration = Duration::from_millis(1);

/// One call.
pub(super) struct Taker {
    /// How long the client may leave a piece unread.
    pub stall: Duration,
    pub to: mpsc::Sender<Result<v1::CaptureChunk, Status>>,
    pub line: Line,
}

impl Taker {
    /// Takes until the end, or until the client goes, does not read, or the daemon stops.
    pub async fn run(self, taken: Taken, mut stop: Stop) {
        let told = stop.clone();
        let late = tokio::select! {
            late = self.take(taken) => late,
            () = stop.come() => Some(told.status()),
        };
        let Some(status) = late else { return };
        // told if the client reads on after all, and else cut off
        if tokio::time::timeout(self.stall, self.to.send(Err(status))).await.is_err() {
            self.line.cut();
        }
    }

    /// Why it ended, if the client is to be told.
    async fn take(&self, mut taken: Taken) -> Option<Status> {
        loop {
            // copies are taken when there is room for them, not before
            let room = match tokio::time::timeout(self.stall, self.to.reserve()).await {
                Ok(Ok(room)) => room,
                Ok(Err(_)) => return None,
                Err(_) => return Some(Status::deadline_exceeded("the capture was not read")),
            };
            let chunk;
            // on a blocking thread: each is described by the tables
            let piece = tokio::task::spawn_blocking(move || {
                let chunk = taken();
                (taken, chunk)
            });
            match piece.await {
                Ok(piece) => (taken, chunk) = piece,
                Err(error) => return Some(Status::internal(error.to_string())),
            }
            let Some(chunk) = chunk else {
                drop(room);
                let gone = tokio::select! {
                    () = tokio::time::sleep(PAUSE) => false,
                    () = self.to.closed() => true,
                };
                if gone {
                    return None;
                }
                continue;
            };
            let last = chunk.last;
            room.send(Ok(chunk));
            if last {
                return None;
            }
        }
    }
}

/// What the audit log says of who captured what.
pub(super) fn told(wanted: &v1::CaptureRequest) -> Value {
    let points: Vec<&str> = wanted.points().map(point_name).collect();
    json!({ "at": points, "vif": wanted.vif, "filter": wanted.filter, "snaplen": wanted.snaplen })
}

/// The same, with what came of it.
pub(super) fn outcome(mut told: Value, taken: &Result<Taken, NotCaptured>) -> Value {
    told["result"] = if taken.is_ok() { "captures" } else { "refused" }.into();
    if let Err(not) = taken {
        told["reason"] = not.to_string().into();
    }
    told
}

pub(super) fn status(not: NotCaptured) -> Status {
    match not {
        NotCaptured::Full(_) => Status::resource_exhausted(not.to_string()),
        NotCaptured::Refused(refused) => refusal(refused),
    }
}

fn point_name(point: v1::CapturePoint) -> &'static str {
    match point {
        v1::CapturePoint::Rx => "rx",
        v1::CapturePoint::Tx => "tx",
        v1::CapturePoint::Drop => "drop",
    }
}
