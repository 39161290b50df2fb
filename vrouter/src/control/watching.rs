//! `Watch`: one client's way along the log.

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use super::accept::Line;
use super::chunks::{Room, take};
use super::log::{Entry, Next};
use super::request::Watching;
use super::server::{Stop, stopping};
use crate::api::v1;
use v1::change::Op;

/// One call.
pub(super) struct Follower {
    /// Empty: all.
    pub kinds: Vec<v1::Kind>,
    /// From this generation on; absent: from where the control thread says.
    pub after: Option<u64>,
    /// How long the client may leave an event unread.
    pub stall: Duration,
    pub to: mpsc::Sender<Result<v1::Event, Status>>,
    pub place: OwnedSemaphorePermit,
    pub line: Line,
}

/// Why it ended: the client is told this, or is gone.
enum End {
    Status(Status),
    Gone,
}

impl Follower {
    /// Follows until the client goes, does not read, or the daemon stops. `list_place` is held while the objects are sent.
    pub async fn run(self, watching: Watching, list_place: Option<OwnedSemaphorePermit>, mut stop: Stop) {
        let end = tokio::select! {
            end = self.follow(watching, list_place) => end,
            () = stop.come() => End::Status(stopping()),
        };
        if let End::Status(status) = end {
            // told if the client reads on after all, and else cut off
            let told = tokio::time::timeout(self.stall, self.to.send(Err(status))).await;
            tracing::debug!(reads = told.is_ok(), "a watch ended");
            if told.is_err() {
                self.line.cut();
            }
        }
        drop(self.place);
    }

    async fn follow(&self, watching: Watching, list_place: Option<OwnedSemaphorePermit>) -> End {
        let Watching { log, generation, objects, mut rises } = watching;
        if let Some(objects) = objects {
            let kinds = self.kinds.clone();
            let wanted = objects.filter(move |object| wants(&kinds, kind_of(object)));
            let puts = wanted.map(|object| v1::Change { op: Some(Op::Put(object)) });
            if let Err(end) = self.list(generation, Box::new(puts)).await {
                return end;
            }
        }
        drop(list_place);
        let mut after = self.after.unwrap_or(generation);
        loop {
            let sent = match log.next(after) {
                Next::Entry(entry) => {
                    after = entry.generation;
                    self.entry(&entry).await
                }
                Next::Lost(newest) => {
                    after = newest;
                    self.send(v1::Event { generation: newest, lost: true, last: true, ..Default::default() }).await
                }
                Next::Wait => tokio::select! {
                    rose = rises.changed() => rose.map_err(|_| End::Status(stopping())),
                    () = self.to.closed() => Err(End::Gone),
                },
            };
            if let Err(end) = sent {
                return end;
            }
        }
    }

    /// The objects as they were at this generation.
    async fn list(&self, generation: u64, puts: super::request::Rows<v1::Change>) -> Result<(), End> {
        let mut puts = puts.peekable();
        loop {
            let (rest, changes, last) = tokio::task::spawn_blocking(move || {
                let (mut rest, changes) = take(puts);
                let last = rest.peek().is_none();
                (rest, changes, last)
            })
            .await
            .map_err(|error| End::Status(Status::internal(error.to_string())))?;
            puts = rest;
            self.send(v1::Event { generation, changes, last, listed: true, ..Default::default() }).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// What of this entry the client wants, in pieces.
    async fn entry(&self, entry: &Entry) -> Result<(), End> {
        let mut at = 0;
        loop {
            let (changes, next) = self.piece(&entry.changes[at..]);
            if changes.is_empty() {
                return Ok(());
            }
            at += next;
            let last = !entry.changes[at..].iter().any(|change| wants(&self.kinds, kind_of_change(change)));
            let Entry { generation, owner, .. } = entry;
            let event =
                v1::Event { generation: *generation, owner: owner.clone(), changes, last, ..Default::default() };
            self.send(event).await?;
        }
    }

    /// The first of these that are wanted, as many as an event takes; and how many were looked at.
    fn piece(&self, changes: &[v1::Change]) -> (Vec<v1::Change>, usize) {
        let (mut room, mut piece) = (Room::default(), Vec::new());
        for (at, change) in changes.iter().enumerate().filter(|(_, change)| wants(&self.kinds, kind_of_change(change)))
        {
            if !room.fits(change) {
                return (piece, at);
            }
            piece.push(change.clone());
        }
        (piece, changes.len())
    }

    async fn send(&self, event: v1::Event) -> Result<(), End> {
        match tokio::time::timeout(self.stall, self.to.send(Ok(event))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Status(Status::deadline_exceeded("the events were not read"))),
        }
    }
}

fn wants(kinds: &[v1::Kind], kind: v1::Kind) -> bool {
    kinds.is_empty() || kinds.contains(&kind)
}

fn kind_of(object: &v1::Object) -> v1::Kind {
    use v1::object::Kind;
    match &object.kind {
        None => v1::Kind::All,
        Some(Kind::Settings(_)) => v1::Kind::Settings,
        Some(Kind::Vrf(_)) => v1::Kind::Vrf,
        Some(Kind::Vif(_)) => v1::Kind::Vif,
        Some(Kind::Route(_)) => v1::Kind::Route,
        Some(Kind::Neighbour(_)) => v1::Kind::Neighbour,
        Some(Kind::Vni(_)) => v1::Kind::Vni,
        Some(Kind::Label(_)) => v1::Kind::Label,
        Some(Kind::Acl(_)) => v1::Kind::Acl,
        Some(Kind::Group(_)) => v1::Kind::Group,
        Some(Kind::Port(_)) => v1::Kind::Port,
    }
}

fn kind_of_change(change: &v1::Change) -> v1::Kind {
    use v1::object_key::Kind;
    let key = match &change.op {
        None => return v1::Kind::All,
        Some(Op::Create(object) | Op::Put(object)) => return kind_of(object),
        Some(Op::Delete(key)) => key,
    };
    match &key.kind {
        None => v1::Kind::All,
        Some(Kind::Vrf(_)) => v1::Kind::Vrf,
        Some(Kind::Vif(_)) => v1::Kind::Vif,
        Some(Kind::Route(_)) => v1::Kind::Route,
        Some(Kind::Neighbour(_)) => v1::Kind::Neighbour,
        Some(Kind::Vni(_)) => v1::Kind::Vni,
        Some(Kind::Label(_)) => v1::Kind::Label,
        Some(Kind::Acl(_)) => v1::Kind::Acl,
        Some(Kind::Group(_)) => v1::Kind::Group,
        Some(Kind::Port(_)) => v1::Kind::Port,
    }
}
