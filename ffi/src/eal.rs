//! The environment abstraction layer: memory and devices of the process. Started once.

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys;

/// How the EAL is started.
#[derive(Clone, Debug)]
pub struct EalConfig {
    /// Where packet memory comes from.
    pub memory: Memory,
    /// Names the process's files under /run/dpdk; two processes with the same prefix disturb each other.
    pub file_prefix: String,
    /// No files for memory, nothing shared with secondary processes. Off only for devices that share memory by file.
    pub in_memory: bool,
    /// PCI addresses that the EAL may touch ([`pci_address`] of the ports' devargs). Empty: the PCI bus is not looked at.
    pub pci: Vec<String>,
    /// DPDK's log level for all its components, e.g. "warning"; absent: DPDK's own choice (notice).
    pub log_level: Option<String>,
    /// Further EAL arguments, one word each.
    pub extra: Vec<String>,
}

/// Where packet memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Ordinary pages, this many MiB, taken at start.
    NoHuge {
        /// MiB.
        mib: u32,
    },
    /// Huge pages, taken as they are needed; with `mib` that many are taken at start.
    Huge {
        /// MiB; absent: on demand.
        mib: Option<u32>,
    },
}

/// Why the EAL does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EalError {
    /// The EAL can be started once per process, and a failed start cannot be repeated.
    #[error("the EAL was already started in this process")]
    AlreadyStarted,
    /// An argument cannot be given to C.
    #[error("EAL argument {0:?} holds a NUL byte")]
    Argument(String),
    /// The thread's CPU mask cannot be read or put back.
    #[error("the thread's CPU affinity cannot be {0}")]
    Affinity(&'static str),
    /// `rte_eal_init` refused; its own log says more.
    #[error("the EAL does not start with `{arguments}`: {reason}")]
    Init {
        /// All arguments.
        arguments: String,
        /// DPDK's reason.
        reason: String,
    },
}

/// The proof that the EAL runs.
#[derive(Clone, Copy, Debug)]
pub struct Eal(());

static STARTED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Starts the EAL. Call it from the thread that stays the control thread: it becomes lcore 0 (its CPU mask, which the EAL
    /// narrows, is put back). Once per process.
    pub fn init(config: &EalConfig) -> Result<Eal, EalError> {
        let cpus = CpuMask::of_this_thread().ok_or(EalError::Affinity("read"))?;
        let words = config.arguments(cpus.first().ok_or(EalError::Affinity("read"))?);
        let arguments: Result<Vec<CString>, EalError> =
            words.iter().map(|w| CString::new(w.as_str()).map_err(|_| EalError::Argument(w.clone()))).collect();
        // The EAL may keep pointers into its arguments: they are never freed.
        let mut argv: Vec<*mut c_char> = arguments?.into_iter().map(CString::into_raw).collect();
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::AlreadyStarted);
        }
        // SAFETY: argv holds `len` NUL-terminated strings that live for ever; the swap above admits one caller ever.
        let parsed = unsafe { sys::rte_eal_init(argv.len() as c_int, argv.as_mut_ptr()) };
        let errno = crate::last_errno();
        std::mem::forget(argv);
        cpus.put_back().ok_or(EalError::Affinity("put back"))?;
        if parsed < 0 {
            return Err(EalError::Init { arguments: words.join(" "), reason: crate::error_text(errno) });
        }
        if config.in_memory {
            remove_runtime_folder();
        }
        Ok(Eal(()))
    }
}

impl EalConfig {
    /// No huge pages, `mib` MiB, nothing on disk, no PCI.
    pub fn no_huge(file_prefix: &str, mib: u32) -> EalConfig {
        EalConfig {
            memory: Memory::NoHuge { mib },
            file_prefix: file_prefix.to_owned(),
            in_memory: true,
            pci: Vec::new(),
            log_level: None,
            extra: Vec::new(),
        }
    }

    fn arguments(&self, cpu: usize) -> Vec<String> {
        let mut words = vec!["vrouter".to_owned(), format!("--lcores=0@{cpu}"), "--no-telemetry".to_owned()];
        words.push(format!("--file-prefix={}", self.file_prefix));
        match self.memory {
            // Anonymous memory already; DPDK refuses --in-memory beside --no-huge.
            Memory::NoHuge { mib } => {
                words.extend(["--no-huge".to_owned(), "-m".to_owned(), mib.to_string()]);
                words.extend(self.in_memory.then(|| "--no-shconf".to_owned()));
            }
            Memory::Huge { mib } => {
                words.push(if self.in_memory { "--in-memory" } else { "--huge-unlink" }.to_owned());
                words.extend(mib.into_iter().flat_map(|mib| ["-m".to_owned(), mib.to_string()]));
            }
        }
        if self.pci.is_empty() {
            // Virtual devices have the process's own addresses: then pools have no gaps.
            words.extend(["--no-pci".to_owned(), "--iova-mode=va".to_owned()]);
        }
        words.extend(self.pci.iter().flat_map(|address| ["-a".to_owned(), address.clone()]));
        words.extend(self.log_level.iter().map(|level| format!("--log-level=*:{level}")));
        words.extend(self.extra.iter().cloned());
        words
    }
}

/// The PCI address in front of a port's devargs, if it names a PCI device ("0000:01:00.0", "01:00.0").
pub fn pci_address(devargs: &str) -> Option<&str> {
    let name = devargs.split(',').next()?;
    let (bus, function) = name.rsplit_once('.')?;
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = bus.split(':').filter(|part| hex(part)).count();
    let all = bus.split(':').count();
    (hex(function) && parts == all && (2..=3).contains(&all)).then_some(name)
}

/// The EAL makes a folder for its files even when it keeps none: it would be left behind at every start.
fn remove_runtime_folder() {
    // SAFETY: the EAL runs; the path is NUL-terminated and lives as long as the process.
    let path = unsafe { CStr::from_ptr(sys::rte_eal_get_runtime_dir()) };
    // Not empty, or not there: then it is not ours to remove.
    let _ = std::fs::remove_dir(OsStr::from_bytes(path.to_bytes()));
}

struct CpuMask(sys::cpu_set_t);

impl CpuMask {
    fn of_this_thread() -> Option<CpuMask> {
        let mut mask = sys::cpu_set_t::default();
        // SAFETY: the kernel writes at most the given size into `mask`; 0 is the calling thread.
        let failed = unsafe { sys::sched_getaffinity(0, size_of::<sys::cpu_set_t>(), &mut mask) };
        (failed == 0).then_some(CpuMask(mask))
    }

    fn first(&self) -> Option<usize> {
        let bits = u64::BITS as usize;
        (0..self.0.__bits.len() * bits).find(|&cpu| self.0.__bits[cpu / bits] >> (cpu % bits) & 1 == 1)
    }

    fn put_back(&self) -> Option<()> {
        // SAFETY: reads the given size from a mask that the kernel gave us; 0 is the calling thread.
        let failed = unsafe { sys::sched_setaffinity(0, size_of::<sys::cpu_set_t>(), &self.0) };
        (failed == 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_told_from_vdevs() {
        assert_eq!(pci_address("0000:01:00.0"), Some("0000:01:00.0"));
        assert_eq!(pci_address("01:00.1,representor=[0]"), Some("01:00.1"));
        for vdev in ["net_null0,no-rx=1", "net_pcap0,rx_pcap=a.b", "net_tap0,mac=00:64:74:61:70:11", "", "a.b"] {
            assert_eq!(pci_address(vdev), None, "{vdev}");
        }
    }

    #[test]
    fn a_pci_device_lifts_the_ban_on_the_bus() {
        let mut config = EalConfig::no_huge("t", 64);
        assert!(config.arguments(3).contains(&"--no-pci".to_owned()));
        assert!(config.arguments(3).contains(&"--lcores=0@3".to_owned()));
        config.pci.push("0000:01:00.0".to_owned());
        assert!(!config.arguments(3).contains(&"--no-pci".to_owned()));
    }
}
