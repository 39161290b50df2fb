//! The threads beside the workers, from when all is made until a signal comes or another process goes on.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

use crossbeam::channel::{Sender, unbounded};
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::answer::{Ask, Control, Identity};
use super::clock::Clock;
use super::devices::DpdkDevices;
use super::entrance::Entrance;
use super::ledger::{self, Binder, Ledger, Opened, Scribe};
use super::privileges::Reach;
use super::start::{Base, StartError, say_limits};
use super::upgrade::{Later, Leaver, Parts};
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
/// Generations that may have come while the state directory was opened.
const LEARNT: u64 = 1 << 16;

/// A daemon whose workers run.
pub(super) struct Begun {
    entrance: Entrance,
    control: Control,
    /// Of the model at its start.
    generation: u64,
    base: Base,
    shared: Arc<Shared>,
    workers: Workers,
    reach: Option<Reach>,
    users: Users,
    cores: Vec<usize>,
    clock: Clock,
}

impl Begun {
    /// Makes the control thread's state.
    pub fn of(
        config: &Config,
        entrance: Entrance,
        (base, shared, workers): (Base, Arc<Shared>, Workers),
        (model, devices): (Model, DpdkDevices),
        told: Option<v1::FlowFile>,
        (reach, users, cores, clock): (Option<Reach>, Users, Vec<usize>, Clock),
    ) -> Result<Begun, StartError> {
        let limits = memory::limits(config)?;
        say_limits(&limits);
        let identity = Identity { idle: config.idle.to_string(), limits };
        let generation = model.generation().0;
        let mut control = Control::new(shared.clone(), model, Box::new(devices), identity, clock);
        control.tell_of_flow_file(told);
        control.keep_revisions(memory::revision_limits(config));
        control.tell_audit(entrance.terms.audit.clone());
        Ok(Begun { entrance, control, generation, base, shared, workers, reach, users, cores, clock })
    }

    /// What the control thread goes on with.
    pub fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// Serves until a signal comes, or another process goes on.
    pub fn serve(self, kept: Kept) -> Result<(), StartError> {
        let (pool, large) = (self.base.pool, self.base.large);
        let result = self.until_signal(kept);
        // everything that holds frames is gone by now: what is missing leaked
        let leaked = pool.in_use() + large.map_or(0, |large| large.in_use());
        if leaked > 0 {
            tracing::warn!(mbufs = leaked, "buffers were not returned");
        }
        tracing::info!(mbufs_in_use = leaked, "stopped");
        result
    }

    /// What an upgrade hands over, and what is not.
    fn parts(self, asks: &Sender<Ask>, upgrades: &Upgrades) -> std::io::Result<(Parts, Rest)> {
        let Begun { entrance, control, generation, shared, workers, reach, users, cores, clock, .. } = self;
        let (socket, tls) = (&entrance.socket, entrance.terms.tls.as_ref());
        let parts = Parts {
            shared,
            workers,
            socket: socket.hand_over()?,
            path: socket.path().to_path_buf(),
            tls: tls.map(|tls| Ok::<_, std::io::Error>((tls.hand_over()?, tls.address()?))).transpose()?,
            reach: reach.map(|reach| reach.write),
            users,
            cores,
            asks: asks.clone(),
            upgrades: upgrades.clone(),
        };
        Ok((parts, Rest { entrance, control, generation, clock }))
    }

    /// The control thread, BFD's, those of the state directory and of upgrades beside the socket.
    fn until_signal(self, kept: Kept) -> Result<(), StartError> {
        let (orders, ordered) = unbounded();
        let (asks, asked) = unbounded();
        let upgrades = Upgrades::new(orders);
        let (parts, Rest { entrance, mut control, generation, clock }) = self.parts(&asks, &upgrades)?;
        let Entrance { socket, mut terms, writer } = entrance;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (calls, waiting) = mpsc::channel(CALLS);
        terms.upgrades = Some(upgrades.clone());
        control.hear(asked);
        let flags = Flags::default();
        let (done, other) = oneshot::channel();
        std::thread::scope(|scope| {
            let _end = EndAll(&flags, &upgrades);
            let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
                std::thread::Builder::new().name(name.into()).spawn_scoped(scope, body)
            };
            let keep = |opened: Opened, behind: Option<String>| -> Result<_, StartError> {
                let (ledger, scribe, binder) = keep_in(opened, behind, generation)?;
                // both end when the control thread has, and all is written that it handed over
                let scribe = spawn("vr-journal", Box::new(|| scribe.run()))?;
                Ok((ledger, vec![scribe, spawn("vr-snapshot", Box::new(|| binder.run()))?]))
            };
            let (mut keepers, mut heir) = (Vec::new(), None);
            match kept {
                Kept::Now(None) => {}
                Kept::Now(Some(opened)) => {
                    let (ledger, threads) = keep(opened, None)?;
                    control.keep_in(ledger);
                    keepers = threads;
                }
                Kept::Later(later) => {
                    control.wait();
                    heir = Some(later);
                }
            }
            let (idle, threads) = control_threads(control, waiting, clock, &flags, &spawn)?;
            if let Some(writer) = writer {
                let stop = &flags.stop;
                spawn("vr-audit", Box::new(move || writer.run(stop)))?;
            }
            if let Some(later) = &mut heir {
                let ask = match later.opened()? {
                    None => Ask::Thaw,
                    Some((opened, behind)) => {
                        let (ledger, threads) = keep(opened, behind)?;
                        keepers = threads;
                        Ask::Keep(Box::new(ledger))
                    }
                };
                // its end is there as long as the control thread
                _ = asks.send(ask);
            }
            let idle = (&flags.idle, Some(idle));
            let leaver = Leaver { parts, idle, halt: &flags.halt, stop: &flags.stop, threads, keepers };
            // an error means that a signal came
            let leave = move || {
                if leaver.run(&ordered) {
                    _ = done.send(())
                }
            };
            spawn("vr-upgrade", Box::new(leave))?;
            runtime.block_on(serving(socket, calls, terms, (other, heir)))?;
            if !upgrades.is_leaving() {
                say("STOPPING=1");
            }
            Ok(())
        })
    }
}

/// What is not handed over.
struct Rest {
    entrance: Entrance,
    control: Control,
    generation: u64,
    clock: Clock,
}

/// What ends threads.
#[derive(Default)]
struct Flags {
    /// One that takes its time.
    idle: AtomicBool,
    /// Those that own devices.
    halt: AtomicBool,
    /// All.
    stop: AtomicBool,
}

/// Ends all threads when it is dropped.
struct EndAll<'a>(&'a Flags, &'a Upgrades);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        // relaxed: flags that carry nothing but themselves
        [&self.0.idle, &self.0.halt, &self.0.stop].into_iter().for_each(|flag| flag.store(true, Ordering::Relaxed));
        self.1.end();
    }
}

type Thread<'scope> = ScopedJoinHandle<'scope, ()>;
type Spawn<'scope, 'a> = &'a dyn Fn(&str, Box<dyn FnOnce() + Send + 'scope>) -> std::io::Result<Thread<'scope>>;

/// Starts those that carry what workers do not: the one that may take its time, and those that own devices.
fn control_threads<'scope>(
    mut control: Control,
    waiting: mpsc::Receiver<crate::control::Request>,
    clock: Clock,
    flags: &'scope Flags,
    spawn: Spawn<'scope, '_>,
) -> Result<(Thread<'scope>, Vec<Thread<'scope>>), StartError> {
    let (bfd, verdicts) = (control.give_bfd(), control.give_verdicts());
    let idle = spawn(
        "vr-verdicts",
        Box::new(move || {
            come_last();
            verdicts.run(clock, &flags.idle);
        }),
    )?;
    let bfd = spawn(
        "vr-bfd",
        Box::new(move || {
            come_first();
            bfd.run(clock, &flags.halt);
        }),
    )?;
    Ok((idle, vec![bfd, spawn("vr-control", Box::new(move || control.run(waiting, &flags.halt)))?]))
}

/// The state directory.
pub(super) enum Kept {
    /// Open, if there is one.
    Now(Option<Opened>),
    /// Another process's yet.
    Later(Later),
}

/// Serves calls until a signal comes or another process goes on.
async fn serving(
    socket: crate::control::Socket,
    calls: mpsc::Sender<crate::control::Request>,
    terms: crate::control::access::Terms,
    (other, heir): (oneshot::Receiver<()>, Option<Later>),
) -> Result<(), StartError> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (path, audit) = (socket.path().to_path_buf(), terms.audit.clone());
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: the audit log is opened anew");
            audit.reopen();
        }
    });
    let signalled = async move {
        let other = async {
            if other.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: stopping"),
            _ = int.recv() => tracing::info!("SIGINT: stopping"),
            () = other => {}
        }
    };
    socket.take();
    if notify::stores() {
        store(&socket, &terms);
    }
    tracing::info!(socket = %path.display(), "ready");
    let ready = format!("MAINPID={}\nREADY=1", std::process::id());
    say(if heir.is_some() { &ready } else { "READY=1" });
    heir.as_ref().inspect(|later| later.serves());
    Ok(serve(socket, calls, terms, signalled).await?)
}

fn say(state: &str) {
    if let Err(error) = notify::notify(state) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// Gives the listeners to the service manager, so that clients find one while no daemon runs.
fn store(socket: &crate::control::Socket, terms: &crate::control::access::Terms) {
    let stored = socket.hand_over().and_then(|(listener, _, leave)| {
        notify::store(notify::CONTROL, listener.as_fd())?;
        // who connects meanwhile waits for the next daemon
        leave.to_another();
        terms.tls.as_ref().map_or(Ok(()), |tls| notify::store(notify::TLS, tls.hand_over()?.as_fd()))
    });
    if let Err(error) = stored {
        tracing::warn!(%error, "the service manager does not keep the listeners");
    }
}

/// What batches are kept in, and what its threads run. `behind`: what the directory holds is not what the model is, and why.
fn keep_in(kept: Opened, behind: Option<String>, generation: u64) -> Result<(Ledger, Scribe, Binder), StartError> {
    let started = kept.start(generation + LEARNT, ledger::GROWN).map_err(StartError::Unkept)?;
    if let Some(why) = behind {
        tracing::error!(why, "the state directory is written anew");
        started.0.distrust(&why);
    }
    Ok(started)
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
