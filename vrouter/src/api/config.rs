//! The daemon's config file.

mod access;
mod control;
mod privileges;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::position::{At, Fault, FileError, read_yaml};
use super::yaml::Network;
pub use access::{Access, Account, Operation, Role, Rule};
pub use control::{Audit, Control, Tls};
pub use privileges::Privileges;

/// Where the control socket is unless said otherwise.
pub const SOCKET: &str = "/run/vrouter/vrouter.sock";

/// What `vrouter --config FILE` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The control socket's path.
    pub socket: At<PathBuf>,
    pub control: Control,
    pub access: Access,
    pub privileges: At<Privileges>,
    /// Where the model is kept, so that it outlives the daemon; made if it is not there. Default: nowhere.
    pub state_dir: Option<PathBuf>,
    pub workers: At<Workers>,
    pub idle: Idle,
    pub eal: At<Eal>,
    pub mempool: At<Mempool>,
    pub ports: Vec<At<Port>>,
    pub limits: At<Limits>,
    pub flow_table: At<FlowTable>,
    /// What is programmed before the first packet.
    pub state: Network,
    /// Where all this was read.
    #[serde(skip)]
    pub file: PathBuf,
}

/// Poll-mode threads: `count` of them on the first cores, or one on each of `cores`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// Default: one for each of `cores`, or 1.
    pub count: Option<usize>,
    /// Core numbers. Shorter than `count`: workers share cores in turn.
    pub cores: Vec<usize>,
}

/// What a worker does when nothing arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// Polls on: the lowest latency, a core of its own.
    Poll,
    /// Sleeps ever longer, so that several share a core.
    #[default]
    Backoff,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Idle::Poll => "poll",
            Idle::Backoff => "backoff",
        })
    }
}

/// DPDK's environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Eal {
    pub huge_pages: bool,
    /// MiB.
    pub memory_mb: u32,
    /// Default: from the process id.
    pub file_prefix: Option<String>,
    /// Further EAL arguments, as they are.
    pub args: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mempool {
    /// Packet buffers in all.
    pub mbufs: u32,
    /// Of them kept by each worker.
    pub cache: u32,
    /// Bytes of a frame that each holds, from its Ethernet header on. What is larger needs one of `large`.
    pub room: u16,
    /// Further buffers of 64 KiB: a frame that a device hands over in several buffers is put together in one of them.
    pub large: u32,
}

/// A DPDK device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    pub name: String,
    /// A PCI address or a vdev with its arguments, as for `--allow` or `--vdev`.
    pub devargs: String,
    /// Queue pairs; default: one for each worker, or what the device has.
    #[serde(default)]
    pub queues: Option<u16>,
    /// L3 bytes; default 1500.
    #[serde(default)]
    pub mtu: Option<u16>,
}

/// How many there may be of each kind. Memory is taken at start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Those of `ports` and those added while the daemon runs; `mempool.mbufs` should fill the queues of so many.
    pub ports: u32,
    pub vrfs: u32,
    pub vifs: u32,
    pub routes: u32,
    pub next_hops: u32,
    /// Of all routes by several paths, and next-hop groups; a list that several of a VRF share counts once.
    pub paths: u32,
    pub neighbours: u32,
    pub acls: u32,
    /// Of all ACLs together.
    pub acl_rules: u32,
    /// Prefixes of all address groups together.
    pub group_prefixes: u32,
    /// Flow pairs.
    pub flows_v4: u32,
    pub flows_v6: u32,
    /// New flows a VIF may set up a second.
    pub new_flows_per_second: u32,
    /// Revisions of each owner that are kept; 0: none.
    pub revisions: u32,
    /// MiB of all together, and as many again of batches that wait to be confirmed; taken as they come.
    pub revision_mb: u32,
}

/// Where flows are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowTable {
    /// Flows are kept in this file, and outlive the daemon: the next one adopts those whose VIFs and VRFs its `state` has, by their names. It
    /// should be on a memory file system, hugetlbfs or tmpfs (`/dev/shm`): elsewhere the kernel writes it to the disk all the time. A boot of
    /// the host ends them. Default: in memory that ends with the process.
    pub file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            socket: At::nowhere(SOCKET.into()),
            control: Control::default(),
            access: Access::default(),
            privileges: At::default(),
            state_dir: None,
            workers: At::default(),
            idle: Idle::default(),
            eal: At::default(),
            mempool: At::default(),
            ports: Vec::new(),
            limits: At::default(),
            flow_table: At::default(),
            state: Network::default(),
            file: PathBuf::new(),
        }
    }
}

impl Default for Eal {
    fn default() -> Eal {
        Eal { huge_pages: false, memory_mb: 512, file_prefix: None, args: Vec::new() }
    }
}

impl Default for Mempool {
    fn default() -> Mempool {
        Mempool { mbufs: 36864, cache: 256, room: 2048, large: 256 }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            ports: 16,
            vrfs: 4096,
            vifs: 4096,
            routes: 1 << 20,
            next_hops: 1 << 18,
            paths: 1 << 18,
            neighbours: 1 << 16,
            acls: 4096,
            acl_rules: 1 << 17,
            group_prefixes: 1 << 18,
            flows_v4: 1 << 17,
            flows_v6: 1 << 15,
            new_flows_per_second: 100_000,
            revisions: 10,
            revision_mb: 64,
        }
    }
}

impl Config {
    /// Reads and judges a file. `cores` are the cores that this process may run on.
    pub fn read(path: &Path, cores: &[usize]) -> Result<Config, FileError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| FileError {
            file: file.clone(),
            position: None,
            field: String::new(),
            reason: error.to_string(),
        })?;
        Ok(Config { file: path.to_owned(), ..Config::parse(&file, &text, cores)? })
    }

    /// Judges a file's text; `file` is for errors.
    pub fn parse(file: &str, text: &str, cores: &[usize]) -> Result<Config, FileError> {
        let config: Config = read_yaml(file, text)?;
        config.check(cores).map_err(|fault| fault.at_key(text).of_file(file))?;
        Ok(config)
    }

    /// How many workers.
    pub fn worker_count(&self) -> usize {
        self.workers.count.unwrap_or(self.workers.cores.len().max(1))
    }

    /// The core of each worker.
    pub fn worker_cores(&self, available: &[usize]) -> Vec<usize> {
        let cores = if self.workers.cores.is_empty() { available } else { &self.workers.cores };
        cores.iter().copied().cycle().take(self.worker_count()).collect()
    }

    /// The JSON schema of the file.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn check(&self, available: &[usize]) -> Result<(), Fault> {
        self.check_workers(available)?;
        self.check_memory()?;
        self.check_ports()?;
        self.check_limits()?;
        self.access.check()?;
        Privileges::check(&self.privileges)?;
        if self.flow_table.file.as_ref().is_some_and(|file| !file.is_absolute() || file.file_name().is_none()) {
            return Err(Fault::new(self.flow_table.position, "flow_table.file", "needs the absolute path of a file"));
        }
        // A socket's address holds 108 bytes with its NUL; the socket is made under a name 4 bytes longer.
        if self.socket.as_os_str().is_empty() || self.socket.as_os_str().len() > 103 {
            return Err(Fault::new(self.socket.position, "socket", "needs 1 to 103 bytes"));
        }
        self.state.changes().map(|_| ()).map_err(|fault| Fault { field: format!("state: {}", fault.field), ..fault })
    }

    fn check_workers(&self, available: &[usize]) -> Result<(), Fault> {
        let fault = |field: &str, reason: String| Err(Fault::new(self.workers.position, field, reason));
        if let Some(core) = self.workers.cores.iter().find(|core| !available.contains(core)) {
            return fault("workers.cores", format!("core {core} is not there; there are {available:?}"));
        }
        for (at, core) in self.workers.cores.iter().enumerate() {
            if self.workers.cores[..at].contains(core) {
                return fault("workers.cores", format!("core {core} is given twice"));
            }
        }
        match self.worker_count() {
            0 => fault("workers.count", "at least one worker is needed".into()),
            1..=MOST_WORKERS if self.worker_count() < self.workers.cores.len() => fault(
                "workers.count",
                format!("{} cores for {} workers", self.workers.cores.len(), self.worker_count()),
            ),
            1..=MOST_WORKERS => Ok(()),
            count => fault("workers.count", format!("{count} is beyond {MOST_WORKERS}")),
        }
    }

    fn check_memory(&self) -> Result<(), Fault> {
        let eal = |field: &str, reason: String| Err(Fault::new(self.eal.position, field, reason));
        if self.eal.memory_mb < 32 || self.eal.memory_mb > 1 << 20 {
            return eal("eal.memory_mb", format!("{} is not in 32 to 1048576", self.eal.memory_mb));
        }
        if let Some(prefix) = &self.eal.file_prefix {
            check_name(prefix).or_else(|reason| eal("eal.file_prefix", reason))?;
        }
        let mempool = |field: &str, reason: String| Err(Fault::new(self.mempool.position, field, reason));
        let Mempool { mbufs, cache, room, large } = self.mempool.value;
        if !(1024..=1 << 26).contains(&mbufs) {
            return mempool("mempool.mbufs", format!("{mbufs} is not in 1024 to {}", 1 << 26));
        }
        if !(2048..=MOST_ROOM).contains(&room) {
            return mempool("mempool.room", format!("{room} is not in 2048 to {MOST_ROOM}"));
        }
        if large > 1 << 20 {
            return mempool("mempool.large", format!("{large} is beyond {}", 1 << 20));
        }
        // DPDK's RTE_MEMPOOL_CACHE_MAX_SIZE, and its demand that a pool be 1.5 caches large.
        if cache > 512 {
            return mempool("mempool.cache", format!("{cache} is beyond 512"));
        }
        let kept = u64::from(cache) * 3 / 2 * self.worker_count() as u64;
        if kept >= u64::from(mbufs) {
            return mempool(
                "mempool.mbufs",
                format!("{mbufs} is not enough for what the workers' caches keep, {kept}"),
            );
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), Fault> {
        let mut seen = HashMap::new();
        for (at, port) in self.ports.iter().enumerate() {
            let fault =
                |field: &str, reason: String| Err(Fault::new(port.position, format!("ports[{at}].{field}"), reason));
            check_name(&port.name).or_else(|reason| fault("name", reason))?;
            if let Some(first) = seen.insert(&port.name, port.position) {
                let reason = format!("{} is already there, at line {} column {}", port.name, first.line, first.column);
                return fault("name", reason);
            }
            if port.devargs.trim().is_empty() {
                return fault("devargs", "is empty".into());
            }
            if self.ports[..at].iter().any(|other| device(&other.devargs) == device(&port.devargs)) {
                return fault("devargs", format!("the device {} is already a port", device(&port.devargs)));
            }
            match port.queues {
                Some(queues) if queues == 0 || usize::from(queues) > self.worker_count() => {
                    return fault("queues", format!("{queues} is not in 1 to {}, the workers", self.worker_count()));
                }
                _ => {}
            }
            match port.mtu {
                Some(mtu) if !(576..=9600).contains(&mtu) => {
                    return fault("mtu", format!("{mtu} is not in 576 to 9600"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Fault> {
        let limits = &self.limits.value;
        for (name, value, least, most) in [
            ("ports", limits.ports, 1, 1024),
            ("vrfs", limits.vrfs, 1, 1 << 20),
            ("vifs", limits.vifs, 1, 1 << 16),
            ("routes", limits.routes, 16, 1 << 26),
            ("next_hops", limits.next_hops, 16, 1 << 24),
            ("paths", limits.paths, 0, 1 << 22),
            ("neighbours", limits.neighbours, 16, 1 << 20),
            ("acls", limits.acls, 0, 1 << 20),
            ("acl_rules", limits.acl_rules, 0, 1 << 24),
            ("group_prefixes", limits.group_prefixes, 0, 1 << 26),
            ("flows_v4", limits.flows_v4, 64, 1 << 28),
            ("flows_v6", limits.flows_v6, 64, 1 << 28),
            ("new_flows_per_second", limits.new_flows_per_second, 1, u32::MAX),
            ("revisions", limits.revisions, 0, 1000),
            ("revision_mb", limits.revision_mb, 1, 1024),
        ] {
            if !(least..=most).contains(&value) {
                let reason = format!("{value} is not in {least} to {most}");
                return Err(Fault::new(self.limits.position, format!("limits.{name}"), reason));
            }
        }
        if self.ports.len() > limits.ports as usize {
            let reason = format!("{} ports are given", self.ports.len());
            return Err(Fault::new(self.limits.position, "limits.ports", reason));
        }
        if self.ports.len() > limits.vifs as usize {
            return Err(Fault::new(
                self.limits.position,
                "limits.vifs",
                format!("{} ports need more", self.ports.len()),
            ));
        }
        Ok(())
    }
}

const MOST_WORKERS: usize = 128;
/// Of a frame in a buffer: what 16 bits reach, less what is kept before it for headers.
const MOST_ROOM: u16 = u16::MAX - 128;

/// What comes before the first comma: the device itself.
fn device(devargs: &str) -> &str {
    devargs.split(',').next().unwrap_or(devargs).trim()
}

fn check_name(name: &str) -> Result<(), String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=63).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(legal) {
        Ok(())
    } else {
        Err(format!("{name:?} is no name (1 to 63 of A-Z a-z 0-9 . _ -, not starting with -)"))
    }
}
