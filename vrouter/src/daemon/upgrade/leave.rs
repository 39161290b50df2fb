//! The old process: hands over, or goes on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::channel::parcel_of;
use super::program::{self, Program};
use super::{Channel, Forwarding, HearError, Hello, PROTOCOL, Parcel, VARIABLE, Word};
use crate::api::v1;
use crate::control::Leave;
use crate::control::access::Users;
use crate::control::upgrade::{NotUpgraded, Order, Upgrades};
use crate::daemon::answer::{Ask, Frozen};
use crate::daemon::notify;
use crate::daemon::workers::Workers;
use crate::datapath::Shared;
use crate::durable;
use crate::ids::PortIndex;

/// How long the control thread may take to say what there is.
const FREEZE: Duration = Duration::from_secs(60);
/// How long the other process may take to forward once it has everything: NICs wait for their links.
const FORWARD: Duration = Duration::from_secs(30);
/// How long it may take to serve then: it reads the state directory.
const SERVE: Duration = Duration::from_secs(120);
/// How long a word is waited for before it is looked whether the daemon is stopping.
const SLICE: Duration = Duration::from_millis(20);
/// How long answers may take to reach who asked before this process runs another program.
const FAREWELL: Duration = Duration::from_millis(50);

/// What is handed over, beside the objects.
pub struct Parts {
    pub shared: Arc<Shared>,
    pub workers: Workers,
    /// The socket, the lock of its path, and by what it is left.
    pub socket: (OwnedFd, OwnedFd, Leave),
    pub path: PathBuf,
    pub tls: Option<(OwnedFd, std::net::SocketAddr)>,
    pub reach: Option<Vec<PathBuf>>,
    pub users: Users,
    /// Cores that the daemon may use.
    pub cores: Vec<usize>,
    pub asks: Sender<Ask>,
    pub upgrades: Upgrades,
}

/// The thread that waits for orders of upgrades.
pub struct Leaver<'scope> {
    pub parts: Parts,
    /// Ends a thread that may take its time.
    pub idle: (&'scope AtomicBool, Option<ScopedJoinHandle<'scope, ()>>),
    /// Ends the threads that own devices.
    pub halt: &'scope AtomicBool,
    /// The daemon is stopping.
    pub stop: &'scope AtomicBool,
    /// They end by `halt`.
    pub threads: Vec<ScopedJoinHandle<'scope, ()>>,
    /// They end when those have.
    pub keepers: Vec<ScopedJoinHandle<'scope, ()>>,
}

/// What an upgrade needs until its end.
struct Course {
    channel: Channel,
    program: Program,
    hello: Hello,
    parcels: Vec<OwnedFd>,
    ports: Vec<(String, PortIndex)>,
    /// Ports that the other process opens when they are closed.
    waits: Vec<String>,
    phases: Vec<v1::UpgradePhase>,
    since: Instant,
}

impl Course {
    fn phase(&mut self, name: &str) {
        let now = Instant::now();
        let microseconds = now.duration_since(std::mem::replace(&mut self.since, now)).as_micros() as u64;
        self.phases.push(v1::UpgradePhase { name: name.into(), microseconds });
    }

    /// The next word, and why there is none. With `stop` waiting ends when that is set.
    fn hear(&mut self, within: Duration, stop: Option<&AtomicBool>) -> Result<Word, String> {
        let told = |program: &mut Program, what: &str, ours| format!("the new program {what}: {}", program.end(ours));
        let end = Instant::now() + within;
        let heard = loop {
            match self.channel.hear(SLICE.min(end.saturating_duration_since(Instant::now()))) {
                // relaxed: a flag that carries nothing but itself
                Err(HearError::Late(_)) if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) => {
                    return Err(told(&mut self.program, "is not wanted any more: the daemon is stopping", true));
                }
                Err(HearError::Late(_)) if Instant::now() < end => {}
                heard => break heard,
            }
        };
        match heard {
            Ok((Word::Failed { reason }, _)) => Err(told(&mut self.program, &format!("fails: {reason}"), false)),
            Ok((word, _)) => Ok(word),
            Err(HearError::Late(_)) => {
                Err(told(&mut self.program, &format!("took more than {:.1} s", within.as_secs_f64()), true))
            }
            Err(HearError::Gone) => Err(told(&mut self.program, "hung up", false)),
            Err(error) => Err(told(&mut self.program, &error.to_string(), true)),
        }
    }

    fn parcels(&self) -> Vec<BorrowedFd<'_>> {
        self.parcels.iter().map(AsFd::as_fd).collect()
    }
}

impl Leaver<'_> {
    /// Waits for orders until there are none any more. True: another process goes on.
    pub fn run(mut self, orders: &Receiver<Option<Order>>) -> bool {
        while let Ok(Some(Order { binary, prepare, reply })) = orders.recv() {
            tracing::info!(binary = %binary.display(), "an upgrade begins");
            let mut course = match self.prepare(&binary, prepare) {
                Ok(course) => course,
                Err(why) => {
                    tracing::error!(binary = %binary.display(), why, "there was no upgrade");
                    // an error means that the control thread is ending
                    _ = self.parts.asks.send(Ask::Thaw);
                    self.parts.upgrades.over();
                    _ = reply.send(Err(NotUpgraded::Unchanged(why)));
                    continue;
                }
            };
            match self.commit(&mut course) {
                Ok(done) => {
                    tracing::info!(
                        pid = done.pid,
                        version = done.version,
                        outage_us = done.outage_us,
                        "another process goes on"
                    );
                    _ = reply.send(Ok(done));
                    return true;
                }
                Err(why) => {
                    tracing::error!(why, "the upgrade failed when all was handed over: this program begins anew");
                    _ = reply.send(Err(NotUpgraded::BeginsAnew(format!("{why}\nthe old program begins anew"))));
                    std::thread::sleep(FAREWELL);
                    self.begin_anew(course);
                }
            }
        }
        for thread in self.threads.drain(..) {
            // a panic has aborted the process before
            _ = thread.join();
        }
        false
    }

    /// All that can be done while this process forwards.
    fn prepare(&mut self, binary: &std::path::Path, within: Duration) -> Result<Course, String> {
        let binary = &*program::judge(binary)?;
        let since = Instant::now();
        let (reply, frozen) = bounded(1);
        let stopping = || "the daemon is stopping".to_owned();
        self.parts.asks.send(Ask::Freeze(reply)).map_err(|_| stopping())?;
        let frozen = frozen.recv_timeout(FREEZE).map_err(|_| stopping())??;
        let io = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let ports = frozen.ports.clone();
        let (hello, parcels) = self.hello(frozen).map_err(io("what is handed over"))?;
        let (channel, end) = Channel::pair().map_err(io("a pair of sockets"))?;
        let program = Program::start(binary, end, &self.parts.cores);
        let program = program.map_err(|error| {
            let reach = "the daemon may run programs of its own folder, of /usr and of privileges.paths";
            let hint = if error.kind() == io::ErrorKind::PermissionDenied { reach } else { "" };
            format!("binary: {}: cannot be run: {error} {hint}", binary.display()).trim_end().to_owned()
        })?;
        let mut course =
            Course { channel, program, hello, parcels, ports, waits: Vec::new(), phases: Vec::new(), since };
        course.phase("freeze");
        let word = Word::Hello(Box::new(course.hello.clone()));
        let said = course.channel.say(&word, &course.parcels());
        said.map_err(|error| format!("the new program hung up: {error}: {}", course.program.end(false)))?;
        match course.hear(within, Some(self.stop))? {
            Word::Ready { version, waits } => (course.hello.version, course.waits) = (version, waits),
            word => return Err(format!("the new program said {word:?}: {}", course.program.end(true))),
        }
        course.phase("prepare");
        Ok(course)
    }

    fn hello(&self, Frozen { image, batches, neighbours, .. }: Frozen) -> io::Result<(Hello, Vec<OwnedFd>)> {
        let parts = &self.parts;
        let mut parcels = vec![
            (Parcel::Image, parcel_of("objects", &durable::pack(&image))?),
            (Parcel::Stderr, io::stderr().as_fd().try_clone_to_owned()?),
            (Parcel::Listener, parts.socket.0.try_clone()?),
            (Parcel::Lock, parts.socket.1.try_clone()?),
            (Parcel::Users, parcel_of("users", &parts.users.passwd)?),
            (Parcel::Groups, parcel_of("groups", &parts.users.group)?),
            (Parcel::Neighbours, parcel_of("neighbours", &serde_json::to_vec(&neighbours)?)?),
        ];
        if let Some((tls, _)) = &parts.tls {
            parcels.push((Parcel::Tls, tls.try_clone()?));
        }
        let flows = parts.shared.flows.region().file();
        if let Some(file) = flows {
            parcels.push((Parcel::Flows, file.file().try_clone()?.into()));
        }
        let (names, parcels) = parcels.into_iter().unzip();
        let hello = Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            parcels: names,
            socket: parts.path.clone(),
            tls: parts.tls.as_ref().map(|(_, address)| *address),
            flow_file: flows.map(|file| file.path().to_owned()),
            batches,
            reach: parts.reach.clone(),
            alone: false,
        };
        Ok((hello, parcels))
    }

    /// Gives up all, in the order in which the other process takes it. An error: it failed, and has ended.
    fn commit(&mut self, course: &mut Course) -> Result<v1::UpgradeReply, String> {
        self.parts.upgrades.leave();
        // whoever goes on, as heir of this process, has the socket: the server ends when the last client has gone
        self.parts.socket.2.to_another();
        let (idle, thread) = (self.idle.0, self.idle.1.take());
        // relaxed: flags that carry nothing but themselves
        idle.store(true, Ordering::Relaxed);
        // a panic has aborted the process before
        _ = thread.map(ScopedJoinHandle::join);
        self.halt.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // a panic has aborted the process before
            _ = thread.join();
        }
        course.phase("control threads end");
        let done = self.hand_over(course);
        // what was acknowledged is kept, whoever goes on
        self.release();
        let (forwarding, outage) = done?;
        course.since = Instant::now();
        course.channel.say(&Word::Released, &[]).map_err(|error| format!("the new program hung up: {error}"))?;
        match course.hear(SERVE, None)? {
            Word::Serving => {}
            word => return Err(format!("the new program said {word:?}: {}", course.program.end(true))),
        }
        course.phase("serve");
        if let Err(error) = notify::notify(&format!("MAINPID={}", course.program.pid())) {
            tracing::warn!(%error, "the service manager was not told");
        }
        Ok(v1::UpgradeReply {
            version: course.hello.version.clone(),
            pid: course.program.pid(),
            phases: std::mem::take(&mut course.phases),
            outage_us: outage.as_micros() as u64,
            flow_file: forwarding.flows.map(v1::FlowFile::from),
        })
    }

    /// From the last packet here to the first one there.
    fn hand_over(&mut self, course: &mut Course) -> Result<(Forwarding, Duration), String> {
        let gone = |error: io::Error| format!("the new program hung up: {error}");
        let stopped = Instant::now();
        let mut polled = self.parts.workers.halt();
        course.channel.say(&Word::Stopped, &[]).map_err(gone)?;
        course.phase("workers end");
        for (_, port) in course.ports.iter().filter(|(name, _)| course.waits.contains(name)) {
            let mut ends: Vec<_> = polled.iter_mut().filter_map(|worker| worker.take_end(*port)).collect();
            ends.iter_mut().for_each(|end| end.settle());
            // the last of its device, which closes with them
            drop(ends);
        }
        self.parts.shared.flows.seal();
        course.phase("ports close");
        course.channel.say(&Word::Yours, &[]).map_err(gone)?;
        let forwarding = match course.hear(FORWARD, None)? {
            Word::Forwarding(forwarding) => forwarding,
            word => return Err(format!("the new program said {word:?}: {}", course.program.end(true))),
        };
        let outage = stopped.elapsed();
        // what both have closes here: nobody waits for that
        drop(polled);
        for (name, microseconds) in &forwarding.phases {
            course.phases.push(v1::UpgradePhase { name: name.clone(), microseconds: *microseconds });
        }
        Ok((forwarding, outage))
    }

    /// The state directory is nobody's.
    fn release(&mut self) {
        for keeper in self.keepers.drain(..) {
            // a panic has aborted the process before
            _ = keeper.join();
        }
    }

    /// Runs this program anew, in this process, as heir of what it was. Does not come back.
    fn begin_anew(&mut self, course: Course) {
        self.release();
        let Course { hello, parcels, mut program, .. } = course;
        program.end(true);
        let (channel, end) = match Channel::pair() {
            Ok(pair) => pair,
            Err(error) => return give_up(&error),
        };
        let parcels: Vec<BorrowedFd> = parcels.iter().map(AsFd::as_fd).collect();
        let hello = Hello { alone: true, version: env!("CARGO_PKG_VERSION").into(), ..hello };
        if let Err(error) = channel.say(&Word::Hello(Box::new(hello)), &parcels) {
            return give_up(&error);
        }
        let mut command = Command::new("/proc/self/exe");
        command.args(std::env::args_os().skip(1)).env(VARIABLE, "1").stdin(Stdio::from(end));
        let error = program::as_it_began(&self.parts.cores, || command.exec());
        give_up(&error);
    }
}

fn give_up(error: &io::Error) {
    tracing::error!(%error, "this program cannot be run anew");
    std::process::abort();
}
