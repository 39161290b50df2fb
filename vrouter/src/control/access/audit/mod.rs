//! The audit log: who changed what, and who tried. Written beside the control thread; what there is no room for is counted.

mod line;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tonic::Status;

pub use line::Changes;
pub use writer::Writer;

use super::{Caller, Peer};

/// Lines that may wait to be written.
const WAITING: usize = 4096;

/// Where entries are handed over. Nobody who does waits.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<Channel>>);

#[derive(Debug)]
struct Channel {
    lines: SyncSender<String>,
    missed: AtomicU64,
    reopen: AtomicBool,
}

impl Audit {
    /// To this file, or to the daemon's log. What writes it is for a thread of its own.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn to(file: Option<&Path>) -> std::io::Result<(Audit, Writer)> {
        let (lines, waiting) = sync_channel(WAITING);
        let channel = Arc::new(Channel { lines, missed: AtomicU64::new(0), reopen: AtomicBool::new(false) });
        let writer = Writer::new(file, waiting, channel.clone())?;
        Ok((Audit(Some(channel)), writer))
    }

    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// The file was moved away: the next line goes to a new one.
    pub fn reopen(&self) {
        if let Some(channel) = &self.0 {
            // relaxed: a flag that carries nothing but itself
            channel.reopen.store(true, Ordering::Relaxed);
        }
    }

    /// Somebody did something: what, and what came of it.
    pub fn done(&self, caller: &Caller, rpc: &str, owner: &str, result: Value) {
        let Some(channel) = &self.0 else { return };
        let mut entry = Map::new();
        entry.insert("time".into(), line::time(SystemTime::now()).into());
        entry.insert("rpc".into(), rpc.into());
        match &caller.peer {
            Peer::Local { uid, gid, pid } => {
                entry.insert("uid".into(), json!(uid));
                entry.insert("gid".into(), json!(gid));
                entry.insert("pid".into(), json!(pid));
                entry.insert("user".into(), json!(caller.user));
            }
            Peer::Certificate { names, address } => {
                entry.insert("certificate".into(), json!(names));
                entry.insert("address".into(), json!(address.to_string()));
            }
        }
        entry.insert("role".into(), json!(caller.role().map(|role| role.to_string())));
        entry.insert("owner".into(), owner.into());
        if let Value::Object(more) = result {
            entry.extend(more);
        }
        channel.write(Value::Object(entry).to_string());
    }

    /// The daemon did something of its own accord, to an owner's objects: what, and what came of it.
    pub fn own(&self, what: &str, owner: &str, result: Value) {
        let Some(channel) = &self.0 else { return };
        let time = line::time(SystemTime::now());
        let mut entry = json!({ "time": time, "rpc": what, "by": "the daemon", "owner": owner });
        if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), result) {
            entry.extend(more);
        }
        channel.write(entry.to_string());
    }

    /// In place of `reply`: what came of a call is written down when the control thread says it, though who asked may have hung up by then.
    pub fn hears<T: Send + 'static>(
        &self,
        caller: &Arc<Caller>,
        (rpc, owner): (&'static str, String),
        reply: oneshot::Sender<T>,
        told: impl FnOnce(&T) -> Value + Send + 'static,
    ) -> oneshot::Sender<T> {
        let (audit, caller) = (self.clone(), caller.clone());
        let (heard, answer) = oneshot::channel();
        tokio::spawn(async move {
            // no answer: the daemon is ending
            let Ok(made) = answer.await else { return };
            audit.done(&caller, rpc, &owner, told(&made));
            // an error means that nobody waits any more
            let _ = reply.send(made);
        });
        heard
    }

    /// Somebody tried what it may not do: what it is told. Of one client's so many a second are written.
    pub fn denied(&self, caller: &Caller, rpc: &str, owner: &str, why: String) -> Status {
        if let Some(channel) = &self.0 {
            if caller.account.refusal_at(Instant::now()) {
                self.done(caller, rpc, owner, json!({ "result": "denied", "reason": why }));
            } else {
                channel.miss();
            }
        }
        Status::permission_denied(why)
    }

    /// Somebody came by TLS and was not let in.
    pub fn turned_away(&self, address: std::net::SocketAddr, why: &str) {
        let Some(channel) = &self.0 else { return };
        let time = line::time(SystemTime::now());
        channel.write(
            json!({ "time": time, "address": address.to_string(), "result": "turned away", "reason": why }).to_string(),
        );
    }
}

impl Channel {
    fn write(&self, line: String) {
        match self.lines.try_send(line) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.miss(),
        }
    }

    fn miss(&self) {
        // relaxed: a count that carries nothing but itself
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}
