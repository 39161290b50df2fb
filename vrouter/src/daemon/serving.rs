//! The threads beside the workers, from when all is made until a signal comes or another process goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::unbounded;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::answer::{Control, Identity};
use super::clock::Clock;
use super::devices::DpdkDevices;
use super::entrance::Entrance;
use super::ledger::{self, Binder, Opened, Scribe};
use super::privileges::Reach;
use super::start::{Base, StartError, say_limits};
use super::upgrade::{Heir, Leaver, Parts};
use super::workers::Workers;
use super::{memory, notify};
use crate::api::config::Config;
use crate::api::v1;
use crate::control::access::Users;
use crate::control::serve;
use crate::control::upgrade::Upgrades;
use crate::datapath::Shared;
use crate::model::Model;

/// Calls that may wait for the control thread.
const CALLS: usize = 256;

/// A daemon whose workers run.
pub(super) struct Begun {
    entrance: Entrance,
    control: Control,
    keepers: Option<(Scribe, Binder)>,
    base: Base,
    shared: Arc<Shared>,
    workers: Workers,
    reach: Option<Reach>,
    users: Users,
    cores: Vec<usize>,
    clock: Clock,
}

impl Begun {
    /// Makes the control thread's state. `kept` is the state directory, and why what it holds is not the model, if so.
    pub fn of(
        config: &Config,
        entrance: Entrance,
        (base, shared, workers): (Base, Arc<Shared>, Workers),
        (model, devices): (Model, DpdkDevices),
        (kept, told): (Option<(Opened, Option<String>)>, Option<v1::FlowFile>),
        (reach, users, cores, clock): (Option<Reach>, Users, Vec<usize>, Clock),
    ) -> Result<Begun, StartError> {
        let limits = memory::limits(config)?;
        say_limits(&limits);
        let identity = Identity { idle: config.idle.to_string(), limits };
        let generation = model.generation().0;
        let mut control = Control::new(shared.clone(), model, Box::new(devices), identity, clock);
        control.tell_of_flow_file(told);
        let keepers = kept.map(|kept| keep_in(kept, generation, &mut control)).transpose()?;
        Ok(Begun { entrance, control, keepers, base, shared, workers, reach, users, cores, clock })
    }

    /// Serves until a signal comes, or another process goes on. Says so to the process that this one is heir of.
    pub fn serve(self, heir: Option<Heir>) -> Result<(), StartError> {
        let (pool, large) = (self.base.pool, self.base.large);
        let result = self.until_signal(heir);
        // everything that holds frames is gone by now: what is missing leaked
        let leaked = pool.in_use() + large.map_or(0, |large| large.in_use());
        if leaked > 0 {
            tracing::warn!(mbufs = leaked, "buffers were not returned");
        }
        tracing::info!(mbufs_in_use = leaked, "stopped");
        result
    }

    /// The control thread, BFD's, those of the state directory and of upgrades beside the socket.
    fn until_signal(self, heir: Option<Heir>) -> Result<(), StartError> {
        let Begun { entrance, mut control, keepers, shared, workers, reach, users, cores, clock, .. } = self;
        let Entrance { socket, mut terms, writer } = entrance;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (calls, waiting) = mpsc::channel(CALLS);
        let (orders, ordered) = unbounded();
        let (asks, asked) = unbounded();
        let upgrades = Upgrades::new(orders);
        terms.upgrades = Some(upgrades.clone());
        control.hear(asked);
        let parts = Parts {
            shared,
            workers,
            socket: socket.hand_over()?,
            path: socket.path().to_path_buf(),
            tls: terms
                .tls
                .as_ref()
                .map(|tls| Ok::<_, std::io::Error>((tls.hand_over()?, tls.address()?)))
                .transpose()?,
            reach: reach.map(|reach| reach.write),
            users,
            cores,
            asks,
            upgrades: upgrades.clone(),
        };
        // `halt` ends those that own devices, `stop` all
        let (halt, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let (done, other) = oneshot::channel();
        std::thread::scope(|scope| {
            let (halt, stop) = (&halt, &stop);
            let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
                std::thread::Builder::new().name(name.into()).spawn_scoped(scope, body)
            };
            let (bfd, verdicts) = (control.give_bfd(), control.give_verdicts());
            let mut threads = vec![spawn(
                "vr-bfd",
                Box::new(move || {
                    come_first();
                    bfd.run(clock, halt);
                }),
            )?];
            threads.push(spawn(
                "vr-verdicts",
                Box::new(move || {
                    come_last();
                    verdicts.run(clock, halt);
                }),
            )?);
            // both end when the control thread has, and all is written that it handed over
            let mut keeping = Vec::new();
            if let Some((scribe, binder)) = keepers {
                keeping.push(spawn("vr-journal", Box::new(|| scribe.run()))?);
                keeping.push(spawn("vr-snapshot", Box::new(|| binder.run()))?);
            }
            if let Some(writer) = writer {
                spawn("vr-audit", Box::new(|| writer.run(stop)))?;
            }
            threads.push(spawn("vr-control", Box::new(move || control.run(waiting, halt)))?);
            let leaver = Leaver { parts, halt, stop, threads, keepers: keeping };
            spawn(
                "vr-upgrade",
                Box::new(move || {
                    if leaver.run(&ordered) {
                        // an error means that a signal came
                        _ = done.send(());
                    }
                }),
            )?;
            let served = runtime.block_on(serving(socket, calls, terms, (other, heir)));
            halt.store(true, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
            upgrades.end();
            let left = served?;
            if !left && let Err(error) = notify::notify("STOPPING=1") {
                tracing::warn!(%error, "the service manager was not told");
            }
            Ok(())
        })
    }
}

/// Serves calls. True: another process goes on.
async fn serving(
    socket: crate::control::Socket,
    calls: mpsc::Sender<crate::control::Request>,
    terms: crate::control::access::Terms,
    (other, heir): (oneshot::Receiver<()>, Option<Heir>),
) -> Result<bool, StartError> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (path, audit) = (socket.path().to_path_buf(), terms.audit.clone());
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: the audit log is opened anew");
            audit.reopen();
        }
    });
    let left = Arc::new(AtomicBool::new(false));
    let leaves = left.clone();
    let signalled = async move {
        let other = async {
            if other.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: stopping"),
            _ = int.recv() => tracing::info!("SIGINT: stopping"),
            () = other => leaves.store(true, Ordering::Relaxed),
        }
    };
    tracing::info!(socket = %path.display(), "ready");
    let ready = format!("MAINPID={}\nREADY=1", std::process::id());
    if let Err(error) = notify::notify(if heir.is_some() { &ready } else { "READY=1" }) {
        tracing::warn!(%error, "the service manager was not told");
    }
    heir.inspect(Heir::serves);
    serve(socket, calls, terms, signalled).await?;
    Ok(left.load(Ordering::Relaxed))
}

/// Batches are acknowledged from now on when they are kept. What its threads run.
fn keep_in(
    (kept, behind): (Opened, Option<String>),
    generation: u64,
    control: &mut Control,
) -> Result<(Scribe, Binder), StartError> {
    let (ledger, scribe, binder) = kept.start(generation, ledger::GROWN).map_err(StartError::Unkept)?;
    if let Some(why) = behind {
        tracing::error!(why, "the state directory is written anew");
        ledger.distrust(&why);
    }
    control.keep_in(ledger);
    Ok((scribe, binder))
}

/// This thread has its core before others on it: on Linux a thread has a priority of its own.
fn come_first() {
    if let Err(error) = setpriority_process(Some(gettid()), -20) {
        tracing::info!(%error, "BFD has no priority over other threads");
    }
}

/// This thread has what others on its core leave it.
fn come_last() {
    if let Err(error) = setpriority_process(Some(gettid()), 10) {
        tracing::info!(%error, "flows whose verdict changed are looked for as if it were urgent");
    }
}
