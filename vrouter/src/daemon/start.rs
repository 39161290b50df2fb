//! Start and end of the daemon: memory and devices first, then state, then threads, then the socket; and back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowtable::FlowTable;
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::answer::{Control, Identity};
use super::clock::Clock;
use super::devices::{DpdkDevices, Ends, HANDOVER, OpenError, place};
use super::entrance::{Entrance, EntranceError};
use super::flow_file::{self, Found};
use super::ledger::{self, Binder, LedgerError, Opened, Scribe};
use super::ports::Devices;
use super::privileges::{PrivilegesError, drop_to_needed};
use super::workers::Workers;
use super::{memory, notify, restore};
use crate::api::config::{self as api, Config};
use crate::api::state::v1 as state;
use crate::api::{OPERATOR, v1};
use crate::control::{ServeError, serve};
use crate::datapath::{Shared, Worker, held::HELD, mover::Mover, shared::Limits};
use crate::ids::WorkerIndex;
use crate::model::{Model, NewPort};
use crate::port::dpdk::{self, Eal, EalConfig, EalError, Memory, Mempool, MempoolError, pci_address};

/// Calls that may wait for the control thread.
const CALLS: usize = 256;

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

/// Runs the daemon until SIGTERM or SIGINT. Blocks; main thread.
pub fn run(config: &Config, work: Work) -> Result<(), StartError> {
    let available: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    let entrance = Entrance::open(config)?;
    if config.limits.ports > dpdk::MOST_PORTS {
        return Err(StartError::Ports(config.limits.ports));
    }
    // before anything that takes long: a damaged one ends the start
    let seed = random_seed();
    let mut kept = config.state_dir.as_deref().map(|path| ledger::open(path, random_seed())).transpose()?;
    let reach = drop_to_needed(config)?;
    let eal = Arc::new(Eal::init(&eal_config(config))?);
    let (pool, large) = mempools(&eal, config)?;
    warn_of_small_pool(config);
    let workers = config.worker_count();
    let mut devices = DpdkDevices::new(*eal, (pool, large), workers).within(reach);
    let mut ends: Ends = (0..workers).map(|_| Vec::new()).collect();
    let infos = devices.open_configured(config, &mut ends).map_err(|(port, error)| StartError::Port(port, error))?;
    let clock = Clock::new();
    let sizes = memory::flow_file_sizes(config, seed, clock.millis());
    let file = config.flow_table.file.as_deref().map(|path| Found::at(path, &sizes)).transpose()?;
    let mut model = Model::new(memory::model_limits(config), infos);
    model.begin_after(file.as_ref().map(Found::generation).unwrap_or_default());
    if let Some(kept) = &kept {
        restore::restore(kept, &mut model, &mut devices, &mut ends)?;
    }
    apply_state(config, &mut model, &mut devices, &mut ends, kept.as_mut())?;
    let (flows, told) = match file {
        Some(file) => file.table(&sizes, &model.snapshot(), clock.tick()).map(|(flows, told)| (flows, Some(told)))?,
        None => (memory::flow_table(config, sizes.table.seed, sizes.table.time_base)?, None),
    };
    say_of_flow_file(&flows, told.as_ref());
    let limits = memory::limits(config)?;
    say_limits(&limits);
    let slots =
        Limits { vif_slots: config.limits.vifs as usize, new_flows_per_second: config.limits.new_flows_per_second };
    let shared = Arc::new(Shared::new(model.snapshot(), flows, workers, slots));
    let cores = config.worker_cores(&available);
    let others: Vec<usize> = available.iter().copied().filter(|core| !cores.contains(core)).collect();
    let ends =
        ends.into_iter().zip(cores).enumerate().map(|(index, (ports, core))| (WorkerIndex(index as u16), ports, core));
    let enter = move || dpdk::register_thread(&eal);
    let workers = match work {
        Work::Forward => {
            let workers = ends.map(|(index, ports, core)| (Worker::new(index, shared.clone(), ports), core));
            Workers::start(workers.collect(), config.idle, clock, enter)?
        }
        Work::Move => {
            devices.keep();
            let movers = ends.map(|(index, ports, core)| (Mover::new(index, shared.clone(), ports), core));
            Workers::start(movers.collect(), config.idle, clock, enter)?
        }
    };
    stay_on(&others);
    let identity = Identity { idle: config.idle.to_string(), limits };
    let generation = model.generation().0;
    let mut control = Control::new(shared, model, Box::new(devices), identity, clock);
    control.tell_of_flow_file(told);
    let keepers = kept.map(|kept| keep_in(kept, generation, &mut control)).transpose()?;
    let result = serve_until_signal(entrance, control, keepers, clock);
    drop(workers);
    // everything that holds frames is gone by now: what is missing leaked
    let leaked = pool.in_use() + large.map_or(0, |large| large.in_use());
    if leaked > 0 {
        tracing::warn!(mbufs = leaked, "buffers were not returned");
    }
    tracing::info!(mbufs_in_use = leaked, "stopped");
    result
}

/// Batches are acknowledged from now on when they are kept. What its threads run.
fn keep_in(kept: Opened, generation: u64, control: &mut Control) -> Result<(Scribe, Binder), StartError> {
    let (ledger, scribe, binder) = kept.start(generation, ledger::GROWN).map_err(StartError::Unkept)?;
    control.keep_in(ledger);
    Ok((scribe, binder))
}

/// This thread, and those that it starts from now on, run on these cores alone, if there are any: a worker that polls gives nobody time.
fn stay_on(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    if set.count() > 0
        && let Err(error) = sched_setaffinity(None, &set)
    {
        tracing::warn!(%error, ?cores, "the control threads may run on the workers' cores");
    }
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

fn say_limits(limits: &[v1::Limit]) {
    for limit in limits {
        tracing::info!(limit = limit.name, value = limit.value, mib = limit.bytes >> 20, "limit");
    }
}

fn say_of_flow_file(flows: &FlowTable, told: Option<&v1::FlowFile>) {
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

fn apply_state(
    config: &Config,
    model: &mut Model,
    devices: &mut DpdkDevices,
    ends: &mut Ends,
    kept: Option<&mut Opened>,
) -> Result<(), StartError> {
    // judged when the file was read
    let changes = config.state.changes().map_err(|fault| StartError::State {
        object: String::new(),
        field: fault.field,
        reason: fault.reason,
    })?;
    let (changes, positions): (Vec<v1::Change>, Vec<_>) = changes.into_iter().unzip();
    if changes.is_empty() {
        return Ok(());
    }
    let mut open = |wanted: NewPort| {
        let (info, opened) = devices.open(&wanted)?;
        place(ends, wanted.index, opened);
        Ok(info)
    };
    model.number_batches();
    let made = model.apply_opening(OPERATOR, &changes, &mut open);
    let snapshot = made.map_err(|refused| {
        let position = positions.get(refused.change as usize).copied().unwrap_or_default();
        let object = format!("line {} column {}: {}", position.line, position.column, refused.object);
        StartError::State { object, field: refused.field, reason: refused.reason }
    })?;
    let Some(kept) = kept else { return Ok(()) };
    let (generation, numbers) = (snapshot.generation.0, Some(model.take_numbers()));
    let batch =
        state::Batch { sequence: 0, generation, owner: OPERATOR.into(), changes, numbers, ..state::Batch::default() };
    kept.keep(batch).map_err(StartError::Unkept)
}

/// The control thread, BFD's and those of the state directory beside the socket, until a signal comes.
fn serve_until_signal(
    Entrance { socket, terms, writer }: Entrance,
    mut control: Control,
    keepers: Option<(Scribe, Binder)>,
    clock: Clock,
) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (calls, waiting) = mpsc::channel(CALLS);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (thread, bfd) = (std::thread::Builder::new().name("vr-bfd".into()), control.give_bfd());
        let stop = &stop;
        thread.spawn_scoped(scope, move || {
            come_first();
            bfd.run(clock, stop);
        })?;
        let (thread, verdicts) = (std::thread::Builder::new().name("vr-verdicts".into()), control.give_verdicts());
        thread.spawn_scoped(scope, move || {
            come_last();
            verdicts.run(clock, stop);
        })?;
        // both end when the control thread has, and all is written that it handed over
        if let Some((scribe, binder)) = keepers {
            std::thread::Builder::new().name("vr-journal".into()).spawn_scoped(scope, || scribe.run())?;
            std::thread::Builder::new().name("vr-snapshot".into()).spawn_scoped(scope, || binder.run())?;
        }
        if let Some(writer) = writer {
            std::thread::Builder::new().name("vr-audit".into()).spawn_scoped(scope, || writer.run(stop))?;
        }
        let thread = std::thread::Builder::new().name("vr-control".into());
        thread.spawn_scoped(scope, || control.run(waiting, stop))?;
        let served = runtime.block_on(async {
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
                tokio::select! {
                    _ = term.recv() => tracing::info!("SIGTERM: stopping"),
                    _ = int.recv() => tracing::info!("SIGINT: stopping"),
                }
            };
            tracing::info!(socket = %path.display(), "ready");
            if let Err(error) = notify::notify("READY=1") {
                tracing::warn!(%error, "the service manager was not told");
            }
            Ok::<_, StartError>(serve(socket, calls, terms, signalled).await?)
        });
        stop.store(true, Ordering::Relaxed);
        if let Err(error) = notify::notify("STOPPING=1") {
            tracing::warn!(%error, "the service manager was not told");
        }
        served
    })
}

fn eal_config(config: &Config) -> EalConfig {
    let eal = &config.eal.value;
    let prefix = eal.file_prefix.clone().unwrap_or_else(|| format!("vrouter{}", std::process::id()));
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
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
