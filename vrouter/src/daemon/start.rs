//! Start and end of the daemon: memory and devices first, then state, then threads, then the socket; and back.

use std::io;
use std::sync::Arc;

use flowtable::FlowTable;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::clock::Clock;
use super::devices::{DpdkDevices, Ends, HANDOVER, OpenError, place};
use super::entrance::{Entrance, EntranceError, Listening};
use super::flow_file::{self, Found};
use super::ledger::{self, LedgerError};
use super::ports::Devices;
use super::privileges::{PrivilegesError, Reach, drop_to_needed};
use super::serving::{Begun, Kept};
use super::upgrade::{self, Heir, HeirError};
use super::workers::Workers;
use super::{memory, restore};
use crate::api::config::{self as api, Config};
use crate::api::state::v1 as state;
use crate::api::{OPERATOR, v1};
use crate::control::ServeError;
use crate::control::access::Users;
use crate::datapath::{Shared, Worker, held::HELD, mover::Mover, shared::Limits};
use crate::ids::WorkerIndex;
use crate::model::{Model, NewPort, PortInfo, Unopened};
use crate::port::dpdk::{self, Eal, EalConfig, EalError, Memory, Mempool, MempoolError, pci_address};

/// Why the daemon does not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Entrance(#[from] EntranceError),
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    #[error(transparent)]
    Eal(#[from] EalError),
    #[error("the packet buffers cannot be had: {0}")]
    Mempool(#[from] MempoolError),
    #[error("limits.ports: {0} is beyond {most}, which is all that this DPDK was built for", most = dpdk::MOST_PORTS)]
    Ports(u32),
    #[error("port {0}: {1}")]
    Port(String, OpenError),
    #[error("port {0}: {1}")]
    Unopened(String, String),
    #[error("the flow table cannot be had: {0}")]
    FlowTable(#[from] flowtable::LayoutError),
    #[error("flow_table.file: {0}")]
    FlowFile(#[from] flow_file::OpenError),
    #[error("state: {object}: {field}: {reason}")]
    State { object: String, field: String, reason: String },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the state directory cannot be written: {0}")]
    Unkept(io::Error),
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Heir(#[from] HeirError),
}

impl StartError {
    /// The process's exit code: 1 failed while running, 3 the configuration is refused, 4 something cannot be had, 5 another
    /// daemon serves the socket or uses the state directory, 6 the state directory is damaged.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Ledger(error) => error.exit_code(),
            StartError::Entrance(error) => error.exit_code(),
            StartError::Serve(_) => 1,
            StartError::State { .. } | StartError::Ports(_) => 3,
            _ => 4,
        }
    }
}

/// What the workers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Forward,
    /// Move frames from port to port, and nothing else: see [`Mover`].
    Move,
}

/// Runs the daemon until SIGTERM, SIGINT, or an upgrade that makes another process go on. Blocks; main thread.
pub fn run(config: &Config, work: Work) -> Result<(), StartError> {
    let available: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    if let Some(heir) = Heir::of_environment()? {
        return upgrade::take_over(config, work, heir, &available);
    }
    let users = Users::of_host();
    let entrance = Entrance::open(config, users.names(), Listening::stored())?;
    // before anything that takes long: a damaged one ends the start
    let seed = random_seed();
    let mut kept = config.state_dir.as_deref().map(|path| ledger::open(path, random_seed())).transpose()?;
    let reach = drop_to_needed(config)?;
    let base = Base::make(config, "")?;
    let count = config.worker_count();
    let mut devices = base.devices(count, reach.clone());
    let mut ends: Ends = (0..count).map(|_| Vec::new()).collect();
    let infos = devices.open_configured(config, &mut ends).map_err(|(port, error)| StartError::Port(port, error))?;
    let clock = Clock::new();
    let sizes = memory::flow_file_sizes(config, seed, clock.millis());
    let file = config.flow_table.file.as_deref().map(|path| Found::at(path, &sizes)).transpose()?;
    let mut model = Model::new(memory::model_limits(config), infos);
    model.count_hits(config.worker_count());
    model.begin_after(file.as_ref().map(Found::generation).unwrap_or_default());
    if let Some(kept) = &kept {
        restore::restore(kept, &mut model, &mut devices, &mut ends)?;
    }
    let mut open = |wanted: NewPort| {
        let (info, opened) = devices.open(&wanted)?;
        place(&mut ends, wanted.index, opened);
        Ok(info)
    };
    let batch = apply_state(config, &mut model, &mut open)?;
    if let (Some(kept), Some(batch)) = (&mut kept, batch) {
        kept.keep(batch).map_err(StartError::Unkept)?;
    }
    let (flows, told) = match file {
        Some(file) => file.table(&sizes, &model.snapshot(), clock.tick()).map(|(flows, told)| (flows, Some(told)))?,
        None => (memory::flow_table(config, sizes.table.seed, sizes.table.time_base)?, None),
    };
    say_of_flow_file(&flows, told.as_ref());
    let shared = Arc::new(Shared::new(model.snapshot(), flows, count, slots(config)));
    if work == Work::Move {
        devices.keep();
    }
    let workers = workers(config, work, &base.eal, (shared.clone(), ends, clock), &available)?;
    stay_on(&other_cores(config, &available));
    let begun =
        Begun::of(config, entrance, (base, shared, workers), (model, devices), told, (reach, users, available, clock))?;
    begun.serve(Kept::Now(kept))
}

/// What everything else rests on.
pub(super) struct Base {
    pub eal: Arc<Eal>,
    pub pool: Mempool,
    pub large: Option<Mempool>,
}

impl Base {
    /// Starts the EAL, whose files' names end in `suffix`, and makes the packet buffers.
    pub fn make(config: &Config, suffix: &str) -> Result<Base, StartError> {
        if config.limits.ports > dpdk::MOST_PORTS {
            return Err(StartError::Ports(config.limits.ports));
        }
        let eal = Arc::new(Eal::init(&eal_config(config, suffix))?);
        let (pool, large) = mempools(&eal, config)?;
        warn_of_small_pool(config);
        Ok(Base { eal, pool, large })
    }

    /// No device yet.
    pub fn devices(&self, workers: usize, reach: Option<Reach>) -> DpdkDevices {
        DpdkDevices::new(*self.eal, (self.pool, self.large), workers).within(reach)
    }
}

/// Limits of what workers and the control thread share.
pub(super) fn slots(config: &Config) -> Limits {
    Limits { vif_slots: config.limits.vifs as usize, new_flows_per_second: config.limits.new_flows_per_second }
}

/// Cores that no worker has.
pub(super) fn other_cores(config: &Config, available: &[usize]) -> Vec<usize> {
    let cores = config.worker_cores(available);
    available.iter().copied().filter(|core| !cores.contains(core)).collect()
}

/// Starts the workers, each with its ends of ports.
pub(super) fn workers(
    config: &Config,
    work: Work,
    eal: &Arc<Eal>,
    (shared, ends, clock): (Arc<Shared>, Ends, Clock),
    available: &[usize],
) -> Result<Workers, StartError> {
    let eal = eal.clone();
    let each = ends.into_iter().zip(config.worker_cores(available)).enumerate();
    let each = each.map(|(index, (ports, core))| (WorkerIndex(index as u16), ports, core));
    let enter = move || dpdk::register_thread(&eal);
    Ok(match work {
        Work::Forward => {
            let workers = each.map(|(index, ports, core)| (Worker::new(index, shared.clone(), ports), core));
            Workers::start(workers.collect(), config.idle, clock, enter)
        }
        Work::Move => {
            let movers = each.map(|(index, ports, core)| (Mover::new(index, shared.clone(), ports), core));
            Workers::start(movers.collect(), config.idle, clock, enter)
        }
    }?)
}

/// This thread, and those that it starts from now on, run on these cores alone, if there are any: a worker that polls gives nobody time.
pub(super) fn stay_on(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    if set.count() > 0
        && let Err(error) = sched_setaffinity(None, &set)
    {
        tracing::warn!(%error, ?cores, "the control threads may run on the workers' cores");
    }
}

pub(super) fn say_limits(limits: &[v1::Limit]) {
    for limit in limits {
        tracing::info!(limit = limit.name, value = limit.value, mib = limit.bytes >> 20, "limit");
    }
}

pub(super) fn say_of_flow_file(flows: &FlowTable, told: Option<&v1::FlowFile>) {
    let (Some(told), Some(file)) = (told, flows.region().file()) else { return };
    let (path, pages) = (file.path().display(), flows.region().pages());
    if told.rebuilt.is_empty() {
        let dropped: u64 = told.dropped.iter().map(|it| it.flows).sum();
        tracing::info!(%path, %pages, adopted = told.adopted, dropped, milliseconds = told.milliseconds, "flows were adopted");
        for it in &told.dropped {
            tracing::warn!(cause = it.cause, flows = it.flows, "flows were not adopted");
        }
    } else {
        tracing::info!(%path, %pages, why = told.rebuilt, "the flow table begins empty");
    }
    if !file.is_memory() {
        tracing::warn!(%path, "flow_table.file: is not in memory: the kernel writes it to the disk all the time");
    }
}

/// The packet buffers: usual ones, and large ones if there are to be any.
fn mempools(eal: &Eal, config: &Config) -> Result<(Mempool, Option<Mempool>), MempoolError> {
    let api::Mempool { mbufs, cache, room, large } = config.mempool.value;
    let pool = dpdk::mempool_of(eal, "frames", (mbufs, cache), room)?;
    let large = (large > 0).then(|| dpdk::large_mempool(eal, "large-frames", large)).transpose()?;
    Ok((pool, large))
}

/// A pool that full rings (of as many ports as there may be) and caches can empty loses packets to `rx_no_mbuf`; virtual devices fill fewer descriptors than NICs.
fn warn_of_small_pool(config: &Config) {
    let workers = config.worker_count() as u32;
    let given: u32 = config.ports.iter().map(|port| port.queues.map_or(workers, u32::from)).sum();
    let further = config.limits.ports.saturating_sub(config.ports.len() as u32);
    let queue_pairs = given + further * workers;
    let parts = dpdk::PoolParts { queue_pairs, workers, held: HANDOVER as u32 + workers * HELD as u32 };
    if config.mempool.mbufs < parts.size() {
        let (mbufs, wanted) = (config.mempool.mbufs, parts.size());
        tracing::warn!(mbufs, wanted, "mempool.mbufs is less than full rings and caches hold");
    }
}

/// Puts what the configuration says should exist. Absent: nothing; else what is to be kept.
pub(super) fn apply_state(
    config: &Config,
    model: &mut Model,
    open: &mut dyn FnMut(NewPort) -> Result<PortInfo, Unopened>,
) -> Result<Option<state::Batch>, StartError> {
    // judged when the file was read
    let changes = config.state.changes().map_err(|fault| StartError::State {
        object: String::new(),
        field: fault.field,
        reason: fault.reason,
    })?;
    let (changes, positions): (Vec<v1::Change>, Vec<_>) = changes.into_iter().unzip();
    if changes.is_empty() {
        return Ok(None);
    }
    model.number_batches();
    let made = model.apply_opening(OPERATOR, &changes, open);
    let snapshot = made.map_err(|refused| {
        let position = positions.get(refused.change as usize).copied().unwrap_or_default();
        let object = format!("line {} column {}: {}", position.line, position.column, refused.object);
        StartError::State { object, field: refused.field, reason: refused.reason }
    })?;
    let (generation, numbers) = (snapshot.generation.0, Some(model.take_numbers()));
    let batch =
        state::Batch { sequence: 0, generation, owner: OPERATOR.into(), changes, numbers, ..state::Batch::default() };
    Ok(Some(batch))
}

fn eal_config(config: &Config, suffix: &str) -> EalConfig {
    let eal = &config.eal.value;
    let prefix = eal.file_prefix.clone().unwrap_or_else(|| format!("vrouter{}", std::process::id()));
    let prefix = prefix + suffix;
    let memory =
        if eal.huge_pages { Memory::Huge { mib: Some(eal.memory_mb) } } else { Memory::NoHuge { mib: eal.memory_mb } };
    let mut extra = eal.args.clone();
    let one_file = "--single-file-segments";
    if eal.huge_pages
        && config.ports.iter().any(|port| lends_memory(&port.devargs))
        && !extra.contains(&one_file.into())
    {
        extra.push(one_file.into());
    }
    EalConfig {
        memory,
        pci: config.ports.iter().filter_map(|port| pci_address(&port.devargs).map(str::to_owned)).collect(),
        log_level: Some("warning".into()),
        extra,
        ..EalConfig::no_huge(&prefix, eal.memory_mb)
    }
}

/// Whether the device's peer in another process maps our packet memory. It is handed over file by file, of which virtio takes 8 and
/// memif 1: huge pages must not have one each.
fn lends_memory(devargs: &str) -> bool {
    let device = |name| devargs.trim_start().starts_with(name);
    device("net_virtio_user") || device("net_memif") && devargs.contains("zero-copy=yes")
}

/// A seed that tenants cannot guess, from the kernel by way of the standard library.
pub(super) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
