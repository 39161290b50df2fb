//! `Watch`: one client's way along the log.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::Status;

use super::accept::Line;
use super::access::Place;
use super::chunks::{Room, take};
use super::log::{Log, Next};
use super::request::{Rows, Watching};
use super::server::Stop;
use crate::api::v1;
use v1::change::Op;

/// What a client asks to be told.
pub struct Wanted {
    /// First the objects as they are.
    pub snapshot: bool,
    /// From this generation on; absent: from now.
    after: Option<u64>,
    /// Empty: all.
    kinds: Vec<v1::Kind>,
    /// Whose batches are not told; empty: nobody's.
    not_owner: String,
    /// Reports of verdicts too.
    verdicts: bool,
}

impl Wanted {
    /// Errors: what makes no sense, for people.
    pub fn read(request: v1::WatchRequest) -> Result<Wanted, String> {
        let v1::WatchRequest { snapshot, after, kinds, not_owner, verdicts } = request;
        let known = |&kind: &i32| v1::Kind::try_from(kind).map_err(|_| format!("kinds: there is no kind {kind}"));
        let mut kinds: Vec<v1::Kind> = kinds.iter().take(64).map(known).collect::<Result<_, _>>()?;
        if kinds.contains(&v1::Kind::All) {
            kinds.clear();
        }
        if snapshot && after.is_some() {
            return Err("after: events follow the snapshot".into());
        }
        Ok(Wanted { snapshot, after, kinds, not_owner, verdicts })
    }

    /// What of the objects of the snapshot is told.
    fn puts(&self, objects: Rows<v1::Object>) -> Rows<v1::Change> {
        let kinds = self.kinds.clone();
        let wanted = objects.filter(move |object| wants(&kinds, kind_of(object)));
        Box::new(wanted.map(|object| v1::Change { op: Some(Op::Put(object)) }))
    }

    /// The way along the log for who asked at this generation.
    pub fn course(self, generation: u64) -> Course {
        let after = self.after.unwrap_or(generation);
        let reported = self.verdicts.then_some(after);
        Course { after, kinds: self.kinds, not_owner: self.not_owner, told: 0, reported }
    }
}

/// A place in the log. It holds nothing of what is there: what the log forgets is free, however slow who follows.
pub struct Course {
    kinds: Vec<v1::Kind>,
    not_owner: String,
    /// Told up to and with this generation.
    after: u64,
    /// Changes of the next one that were looked at.
    told: usize,
    /// Reports are told up to this generation; `None`: none is.
    reported: Option<u64>,
}

impl Course {
    /// The next piece of what is wanted; `None`: nothing yet.
    pub fn next(&mut self, log: &Log) -> Option<v1::Event> {
        loop {
            // not in the midst of a generation, and not before what it is about
            if self.told == 0
                && let Some(event) = self.report(log, self.after)
            {
                return Some(event);
            }
            let entry = match log.next(self.after, &self.not_owner) {
                Next::Entry(entry) => entry,
                Next::Lost(newest) => {
                    (self.after, self.told) = (newest, 0);
                    self.reported = self.reported.map(|reported| reported.min(newest));
                    return Some(v1::Event { generation: newest, lost: true, last: true, ..Default::default() });
                }
                Next::Skip(generation) => {
                    (self.after, self.told) = (generation, 0);
                    continue;
                }
                Next::Wait => return self.report(log, u64::MAX),
            };
            let rest = &entry.changes[self.told..];
            let (changes, looked_at) = self.piece(rest);
            let last = !rest[looked_at..].iter().any(|change| wants(&self.kinds, kind_of_change(change)));
            if last {
                (self.after, self.told) = (entry.generation, 0);
            } else {
                self.told += looked_at;
            }
            if !changes.is_empty() {
                let (generation, owner) = (entry.generation, entry.owner.clone());
                return Some(v1::Event { generation, owner, changes, last, ..Default::default() });
            }
        }
    }

    /// The next report, if it is of this generation or an older one.
    fn report(&mut self, log: &Log, most: u64) -> Option<v1::Event> {
        let report = log.next_report(self.reported?).filter(|report| report.generation <= most)?;
        self.reported = Some(report.generation);
        let verdicts = Some(v1::VerdictsChanged::clone(&report));
        Some(v1::Event { generation: report.generation, verdicts, ..Default::default() })
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
}

/// One call.
pub(super) struct Follower {
    pub wanted: Wanted,
    /// How long the client may leave an event unread.
    pub stall: Duration,
    pub to: mpsc::Sender<Result<v1::Event, Status>>,
    pub place: Place,
    pub line: Line,
}

/// Why it ended: the client is told this, or is gone.
enum End {
    Status(Status),
    Gone,
}

impl Follower {
    /// Follows until the client goes, does not read, or the daemon stops. `list_place` is held while the objects are sent.
    pub async fn run(self, watching: Watching, list_place: impl Send, mut stop: Stop) {
        let Follower { wanted, stall, to, place, line } = self;
        let events = Events { to, stall };
        let told = stop.clone();
        let end = tokio::select! {
            end = events.follow(wanted, watching, list_place, &told) => end,
            () = stop.come() => End::Status(told.status()),
        };
        if let End::Status(status) = end {
            // told if the client reads on after all, and else cut off
            let told = tokio::time::timeout(stall, events.to.send(Err(status))).await;
            tracing::debug!(reads = told.is_ok(), "a watch ended");
            if told.is_err() {
                line.cut();
            }
        }
        drop(place);
    }
}

/// The client's end.
struct Events {
    to: mpsc::Sender<Result<v1::Event, Status>>,
    stall: Duration,
}

impl Events {
    async fn follow(&self, wanted: Wanted, watching: Watching, list_place: impl Send, stop: &Stop) -> End {
        let Watching { log, generation, objects, mut rises } = watching;
        if let Some(objects) = objects
            && let Err(end) = self.list(generation, wanted.puts(objects)).await
        {
            return end;
        }
        drop(list_place);
        let mut course = wanted.course(generation);
        loop {
            let sent = match course.next(&log) {
                Some(event) => self.send(event).await,
                None => tokio::select! {
                    rose = rises.changed() => rose.map_err(|_| End::Status(stop.status())),
                    () = self.to.closed() => Err(End::Gone),
                },
            };
            if let Err(end) = sent {
                return end;
            }
        }
    }

    /// The objects as they were at this generation.
    async fn list(&self, generation: u64, puts: Rows<v1::Change>) -> Result<(), End> {
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
    object.kind.as_ref().map_or(v1::Kind::All, v1::object::Kind::of)
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
        Some(Kind::Bridge(_)) => v1::Kind::Bridge,
        Some(Kind::FdbEntry(_)) => v1::Kind::FdbEntry,
        Some(Kind::NextHopGroup(_)) => v1::Kind::NextHopGroup,
        Some(Kind::BfdSession(_)) => v1::Kind::BfdSession,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deletes(count: usize) -> Vec<v1::Change> {
        let key = |name| v1::ObjectKey { kind: Some(v1::object_key::Kind::Vrf(name)) };
        (0..count).map(|at| v1::Change { op: Some(Op::Delete(key(format!("v{at}")))) }).collect()
    }

    #[test]
    fn verdicts_follow_what_they_are_about() {
        let log = Log::bounded(0, 5000, 1 << 20);
        log.add(1, "bgp".into(), Some(deletes(1500)));
        log.report(v1::VerdictsChanged { generation: 1, ..Default::default() });
        log.add(2, "bgp".into(), Some(deletes(1)));
        log.add(3, "bgp".into(), Some(Vec::new()));
        let of = |request: v1::WatchRequest| {
            let mut course = Wanted::read(request).unwrap().course(0);
            let tell = |event: v1::Event| (event.generation, event.changes.len(), event.verdicts.is_some(), event.last);
            move |log: &Log| std::iter::from_fn(|| course.next(log)).map(tell).collect::<Vec<_>>()
        };
        let mut all = of(v1::WatchRequest { verdicts: true, ..Default::default() });
        let changes = [(1, 1000, false, false), (1, 500, false, true), (2, 1, false, true)];
        assert_eq!(all(&log), [&changes[..2], &[(1, 0, true, false)], &changes[2..]].concat());
        assert_eq!(of(v1::WatchRequest::default())(&log), changes);
        // of a generation in which nothing is told
        log.report(v1::VerdictsChanged { generation: 3, ..Default::default() });
        assert_eq!(all(&log), [(3, 0, true, false)]);
        assert_eq!(all(&log), []);
        let mut vifs = of(v1::WatchRequest { verdicts: true, kinds: vec![v1::Kind::Vif.into()], ..Default::default() });
        assert_eq!(vifs(&log), [(1, 0, true, false), (3, 0, true, false)]);
        let later = v1::WatchRequest { verdicts: true, after: Some(2), ..Default::default() };
        assert_eq!(of(later)(&log), [(3, 0, true, false)]);
    }

    /// Who stands in the midst of an entry does not keep it from being forgotten.
    #[test]
    fn a_place_pins_nothing() {
        let log = Log::bounded(0, 5000, 1 << 20);
        log.add(1, "bgp".into(), Some(deletes(3500)));
        let entry = match log.next(0, "") {
            Next::Entry(entry) => std::sync::Arc::downgrade(&entry),
            other => panic!("{other:?}"),
        };
        let mut course = Wanted::read(v1::WatchRequest::default()).unwrap().course(0);
        let event = course.next(&log).unwrap();
        assert_eq!((event.generation, event.changes.len(), event.last, &*event.owner), (1, 1000, false, "bgp"));
        assert!(entry.upgrade().is_some());
        log.add(2, String::new(), Some(deletes(2500)));
        assert!(entry.upgrade().is_none(), "the log forgot it, the watcher did not");
        let event = course.next(&log).unwrap();
        assert_eq!((event.generation, event.lost, event.last), (2, true, true));
        assert_eq!(course.next(&log), None);
    }
}
