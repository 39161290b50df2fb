//! The new process: prepares while the old one forwards, then goes on where it was.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowtable::{Region, RegionFile};
use rustix::stdio::{dup2_stderr, dup2_stdin};

use super::channel::bytes_of;
use super::openings::Openings;
use super::{Channel, Flows, Forwarding, HearError, Hello, PROTOCOL, Parcel, VARIABLE, Word};
use crate::api::config::Config;
use crate::api::state::v1 as state;
use crate::api::text::address as address_of;
use crate::control::access::Users;
use crate::daemon::answer::Known;
use crate::daemon::clock::Clock;
use crate::daemon::devices::Ends;
use crate::daemon::entrance::{Entrance, Listening};
use crate::daemon::flow_file::{self, Left, Sizes};
use crate::daemon::privileges;
use crate::daemon::serving::{Begun, Kept};
use crate::daemon::start::{self, Base, StartError, Work};
use crate::daemon::{ledger, memory, restore};
use crate::datapath::Shared;
use crate::durable::{self, Image};
use crate::ids::{Generation, Mac, PortIndex, VifId};
use crate::model::{Model, NewPort, PortInfo};

/// How often what has come to devices that both have is dropped: what came since then, when the old process stops, both may forward.
const DISCARD: Duration = Duration::from_micros(200);
/// How long the old process may be silent.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the state directory is waited for.
const DIRECTORY: Duration = Duration::from_secs(60);

/// Why a process does not go on where another one was.
#[derive(Debug, thiserror::Error)]
pub enum HeirError {
    #[error("upgrade: the old process is not understood: {0}")]
    Channel(#[from] HearError),
    #[error("upgrade: the old process cannot be talked to: {0}")]
    Io(#[from] io::Error),
    #[error("upgrade: the old process speaks protocol {theirs}, this program {PROTOCOL}")]
    Protocol { theirs: u32 },
    #[error("upgrade: {0} was not handed over")]
    Missing(&'static str),
    #[error("upgrade: the objects that were handed over are damaged: {0:?}")]
    Image(durable::Fault),
    #[error("upgrade: {field} is another than the running daemon's ({theirs}): only a start can change it")]
    Other { field: &'static str, theirs: String },
    #[error("upgrade: the flows cannot be adopted: {0}")]
    Flows(String),
    #[error("upgrade: the old process goes on: it said {0}")]
    Recalled(String),
    #[error("upgrade: with --only-move there is none")]
    Moves,
}

/// What another process handed over.
pub struct Heir {
    channel: Channel,
    hello: Hello,
    parcels: HashMap<Parcel, OwnedFd>,
}

impl Heir {
    /// Of the process that started this one for it, if one did.
    pub fn of_environment() -> Result<Option<Heir>, HeirError> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let channel = Channel::of(io::stdin().as_fd().try_clone_to_owned()?);
        dup2_stdin(File::open("/dev/null")?).map_err(io::Error::from)?;
        match channel.hear(Duration::from_secs(10))? {
            (Word::Hello(hello), _) if hello.protocol != PROTOCOL => {
                let error = HeirError::Protocol { theirs: hello.protocol };
                _ = channel.say(&Word::Failed { reason: error.to_string() }, &[]);
                Err(error)
            }
            (Word::Hello(hello), parcels) => {
                let parcels = hello.parcels.iter().copied().zip(parcels).collect();
                Ok(Some(Heir { channel, hello: *hello, parcels }))
            }
            (word, _) => Err(HeirError::Recalled(format!("{word:?}"))),
        }
    }

    /// Tells the old process why this one ends.
    pub fn fail(&self, why: &str) {
        let reason = why.chars().take(4000).collect();
        // an error means that nobody hears it
        _ = self.channel.say(&Word::Failed { reason }, &[]);
    }

    fn take(&mut self, parcel: Parcel, what: &'static str) -> Result<OwnedFd, HeirError> {
        self.parcels.remove(&parcel).ok_or(HeirError::Missing(what))
    }

    fn say(&self, word: &Word) -> Result<(), HeirError> {
        if self.hello.alone { Ok(()) } else { Ok(self.channel.say(word, &[])?) }
    }

    /// Waits for this word; `meanwhile` is called again and again.
    fn expect(&self, wanted: fn(&Word) -> bool, each: Duration, mut meanwhile: impl FnMut()) -> Result<(), HeirError> {
        let end = Instant::now() + PATIENCE;
        if self.hello.alone {
            return Ok(());
        }
        loop {
            match self.channel.hear(each) {
                Ok((word, _)) if wanted(&word) => return Ok(()),
                Ok((word, _)) => return Err(HeirError::Recalled(format!("{word:?}"))),
                Err(HearError::Late(_)) if Instant::now() < end => meanwhile(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// That the configuration is for the same places as the running daemon's.
    fn check(&self, config: &Config) -> Result<(), HeirError> {
        let (socket, flows) = (&*config.socket, config.flow_table.file.as_ref());
        let tls = config.control.tls.as_ref().map(|tls| tls.listen);
        let shown = |it: Option<String>| it.unwrap_or_else(|| "none".into());
        let hello = &self.hello;
        if *socket != hello.socket {
            return Err(HeirError::Other { field: "socket", theirs: hello.socket.display().to_string() });
        }
        if tls.is_some() != hello.tls.is_some() || tls.is_some_and(|tls| tls.port() != 0 && Some(tls) != hello.tls) {
            return Err(HeirError::Other {
                field: "control.tls.listen",
                theirs: shown(hello.tls.map(|it| it.to_string())),
            });
        }
        if flows != hello.flow_file.as_ref() {
            let theirs = shown(hello.flow_file.as_ref().map(|it| it.display().to_string()));
            return Err(HeirError::Other { field: "flow_table.file", theirs });
        }
        if config.state_dir.is_some() != hello.batches.is_some() {
            let theirs = if hello.batches.is_some() { "one" } else { "none" };
            return Err(HeirError::Other { field: "state_dir", theirs: theirs.into() });
        }
        Ok(())
    }

    /// All objects, and the neighbours that were learnt.
    fn objects(&mut self) -> Result<(Image, Vec<Known>), HeirError> {
        let image = bytes_of(self.take(Parcel::Image, "the objects")?)?;
        let known = bytes_of(self.take(Parcel::Neighbours, "neighbours")?)?;
        let known = serde_json::from_slice(&known).map_err(io::Error::from)?;
        Ok((durable::unpack(&image).map_err(HeirError::Image)?, known))
    }

    /// Says that this process is ready, and waits until all is its own.
    fn wait(&self, openings: &mut Openings) -> Result<(), HeirError> {
        openings.discard();
        self.say(&Word::Ready { version: env!("CARGO_PKG_VERSION").into(), waits: openings.waiting() })?;
        self.expect(|word| matches!(word, Word::Stopped), DISCARD, || openings.discard())?;
        // what comes from now on is ours
        self.expect(|word| matches!(word, Word::Yours), DISCARD, || {})
    }

    fn users(&mut self) -> Result<Users, HeirError> {
        let (users, groups) = (self.take(Parcel::Users, "/etc/passwd")?, self.take(Parcel::Groups, "/etc/group")?);
        Ok(Users { passwd: bytes_of(users)?, group: bytes_of(groups)? }.or_newer())
    }

    /// The old process has given up the state directory. From now on this one is on its own.
    fn released(&mut self) -> Result<(), HeirError> {
        match self.expect(|word| matches!(word, Word::Released), Duration::from_secs(1), || {}) {
            Ok(()) | Err(HeirError::Channel(HearError::Gone)) => {}
            Err(error) => return Err(error),
        }
        if let Some(stderr) = self.parcels.remove(&Parcel::Stderr) {
            dup2_stderr(stderr).map_err(io::Error::from)?;
        }
        Ok(())
    }

    fn listening(&mut self) -> Result<Listening, HeirError> {
        let socket = (self.take(Parcel::Listener, "the socket")?, self.take(Parcel::Lock, "the socket's lock")?);
        Ok(Listening { socket: Some(socket), kept: None, tls: self.parcels.remove(&Parcel::Tls) })
    }

    /// The region of the flows, mapped; `None`: there is no flow file.
    fn left(&mut self, sizes: &Sizes) -> Result<Option<Left>, StartError> {
        let (Some(path), Some(file)) = (self.hello.flow_file.clone(), self.parcels.remove(&Parcel::Flows)) else {
            return Ok(None);
        };
        let file = RegionFile::handed_over(File::from(file), &path);
        let region = Region::of_file(file).map_err(|error| HeirError::Flows(error.to_string()))?;
        let left = Left::of(region, sizes).map_err(|refused| HeirError::Flows(refused.to_string()))?;
        Ok(Some(left))
    }
}

/// Goes on where another process was, until SIGTERM, SIGINT or the next upgrade. Blocks; main thread.
pub fn run(config: &Config, work: Work, mut heir: Heir, cores: &[usize]) -> Result<(), StartError> {
    match begin(config, work, &mut heir, cores) {
        Ok((begun, batch)) => begun.serve(Kept::Later(Later { heir, directory: config.state_dir.clone(), batch })),
        Err(error) => {
            heir.fail(&error.to_string());
            Err(error)
        }
    }
}

/// What a process that forwards already is yet to take over.
pub struct Later {
    heir: Heir,
    directory: Option<PathBuf>,
    /// What the configuration put into the model, which is to be kept.
    batch: Option<state::Batch>,
}

impl Later {
    /// Waits for the state directory, and opens it: with why it does not hold what it should, if so. Absent: there is none.
    pub(in crate::daemon) fn opened(&mut self) -> Result<Option<(ledger::Opened, Option<String>)>, StartError> {
        let opened = self
            .heir
            .released()
            .map_err(StartError::from)
            .and_then(|()| directory(self.directory.as_deref(), self.heir.hello.batches, self.batch.take()));
        opened.inspect_err(|error| self.heir.fail(&error.to_string()))
    }

    /// It serves: nothing more is to be said.
    pub(in crate::daemon) fn serves(&self) {
        if let Err(error) = self.heir.say(&Word::Serving) {
            tracing::info!(%error, "the old process does not hear that this one serves");
        }
    }
}

fn begin(
    config: &Config,
    work: Work,
    heir: &mut Heir,
    cores: &[usize],
) -> Result<(Begun, Option<state::Batch>), StartError> {
    if work == Work::Move {
        return Err(HeirError::Moves.into());
    }
    heir.check(config)?;
    let users = heir.users()?;
    // the old one's workers have the others
    let others = start::other_cores(config, cores);
    start::stay_on(&others);
    let (names, listening) = (users.names(), heir.listening()?);
    let entrance = Entrance::open(config, names, listening)?;
    let (image, known) = heir.objects()?;
    let reach = privileges::keep_dropped(config, heir.hello.reach.clone())?;
    let base = Base::make(config, &format!("-{}", std::process::id()))?;
    let clock = Clock::new();
    let count = config.worker_count();
    let mut devices = base.devices(count, reach.clone());
    let mut ends: Ends = (0..count).map(|_| Vec::new()).collect();
    let ports = image.numbers().ports;
    let mut openings = Openings::new(&mut devices, &mut ends, &ports);
    let sizes = memory::flow_file_sizes(config, start::random_seed(), clock.millis());
    let left = heir.left(&sizes)?;
    let after = left.as_ref().map(Left::generation).unwrap_or_default();
    let objects = Objects { config, image: &image, after, known: &known };
    let mut made = objects.made(&mut openings)?;
    let adopts = left.is_some();
    let flows = match left {
        Some(left) => left.lent().map_err(|error| HeirError::Flows(error.to_string()))?,
        None => memory::flow_table(config, sizes.table.seed, sizes.table.time_base)?,
    };
    let shared = Arc::new(Shared::uncharged(made.model.snapshot(), flows, count, start::slots(config)));
    tracing::info!(from = heir.hello.version, objects = image.len(), "ready to take over");
    heir.wait(&mut openings)?;
    start::stay_on(cores);
    let mut phases = Phases::new();
    objects.open_rest(&mut openings, &mut made)?;
    let Made { model, batch, neighbours } = made;
    let snapshot = model.snapshot();
    shared.snapshot.store(snapshot.clone());
    phases.end("ports open");
    let adopt = || flow_file::adopt(&shared.flows, &sizes, &snapshot, clock.tick());
    let told = if adopts { Some(adopt().map_err(|refused| HeirError::Flows(refused.to_string()))?) } else { None };
    shared.accounts.charge(&shared.flows);
    phases.end("flows are adopted");
    let workers = start::workers(config, work, &base.eal, (shared.clone(), ends, clock), cores)?;
    phases.end("workers begin");
    // who does not hear it has ended, and given up all with that
    _ = heir.say(&Word::Forwarding(Forwarding { phases: phases.0, flows: told.clone().map(Flows::from) }));
    start::stay_on(&others);
    start::say_of_flow_file(&shared.flows, told.as_ref());
    let mut begun = Begun::of(
        config,
        entrance,
        (base, shared, workers),
        (model, devices),
        told,
        (reach, users, cores.to_vec(), clock),
    )?;
    begun.control().go_on_with(&neighbours, &image);
    Ok((begun, batch))
}

/// What a model is made of.
struct Objects<'a> {
    config: &'a Config,
    image: &'a Image,
    /// Of the flows.
    after: Generation,
    known: &'a [Known],
}

/// The model of what was handed over.
struct Made {
    model: Model,
    /// What the configuration puts in it.
    batch: Option<state::Batch>,
    /// Those of the old process that it took.
    neighbours: Vec<(VifId, IpAddr, Mac)>,
}

impl Objects<'_> {
    fn made(&self, openings: &mut Openings) -> Result<Made, StartError> {
        let (mut model, batch) = model(self.config, self.image, self.after, openings)?;
        let neighbours = go_on_with(&mut model, self.known);
        Ok(Made { model, batch, neighbours })
    }

    /// Opens the devices that were to wait, and makes the model again if one is not what it was.
    fn open_rest(&self, openings: &mut Openings, made: &mut Made) -> Result<(), StartError> {
        let opened = openings.open_rest().map_err(|(port, why)| StartError::Unopened(port, why))?;
        if opened.changed {
            *made = self.made(openings)?;
        }
        for (port, name, why) in opened.dead {
            tracing::error!(port = name, why, "a port is there without its device: delete and add it");
            made.model.link(port, false);
        }
        Ok(())
    }
}

/// A model of what was handed over, and what the configuration puts in it afterwards, as a batch.
fn model(
    config: &Config,
    image: &Image,
    after: Generation,
    openings: &mut Openings,
) -> Result<(Model, Option<state::Batch>), StartError> {
    let mut infos: Vec<PortInfo> = Vec::new();
    for (at, port) in config.ports.iter().enumerate() {
        let index = PortIndex(at as u16);
        let wanted = NewPort { index, name: &port.name, devargs: &port.devargs, queues: port.queues, mtu: port.mtu };
        let info = openings.open(&wanted, true);
        infos.push(info.map_err(|unopened| StartError::Unopened(port.name.clone(), unopened.reason))?);
    }
    let mut model = Model::new(memory::model_limits(config), infos);
    model.count_hits(config.worker_count());
    model.begin_after(after);
    let mut open = |wanted: NewPort| openings.open(&wanted, false);
    restore::objects(image, Generation(image.generation + 1), &mut model, &mut open)?;
    let batch = start::apply_state(config, &mut model, &mut open)?;
    Ok((model, batch))
}

/// Tells the model of neighbours that the old process has learnt; those that it took.
fn go_on_with(model: &mut Model, known: &[Known]) -> Vec<(VifId, IpAddr, Mac)> {
    let mut taken = Vec::new();
    for (vif, address, mac) in known {
        let (Some(vif), Ok(address), Ok(mac)) = (model.vif_id(vif), address_of(address), <[u8; 6]>::try_from(&mac[..]))
        else {
            continue;
        };
        if model.learn(vif, address, Mac(mac)).is_some() {
            taken.push((vif, address, Mac(mac)));
        }
    }
    taken
}

/// The state directory, if there is one, with a batch more. It should hold as many as the old process says; if not, what the model is goes there anew.
fn directory(
    path: Option<&Path>,
    batches: Option<u64>,
    batch: Option<state::Batch>,
) -> Result<Option<(ledger::Opened, Option<String>)>, StartError> {
    let Some(path) = path else { return Ok(None) };
    let end = Instant::now() + DIRECTORY;
    let mut kept = loop {
        match ledger::open(path, start::random_seed()) {
            Err(ledger::LedgerError::InUse(_)) if Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
            opened => break opened?,
        }
    };
    let (there, wanted) = (kept.recovered.image.batches, batches.unwrap_or_default());
    let behind =
        (there != wanted).then(|| format!("it held {there} batches when the daemon was upgraded, not {wanted}"));
    if let Some(batch) = batch {
        kept.keep(batch).map_err(StartError::Unkept)?;
    }
    Ok(Some((kept, behind)))
}

/// What took how long.
struct Phases(Vec<(String, u64)>, Instant);

impl Phases {
    fn new() -> Phases {
        Phases(Vec::new(), Instant::now())
    }

    fn end(&mut self, name: &str) {
        let now = Instant::now();
        let took = now.duration_since(std::mem::replace(&mut self.1, now));
        self.0.push((name.into(), took.as_micros() as u64));
    }
}
