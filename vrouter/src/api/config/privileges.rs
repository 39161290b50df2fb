//! What the process keeps of what it may do, as the daemon's config file says it.

use std::path::PathBuf;

use rustix::thread::CapabilitySet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::position::{At, Fault};

/// What the process may do once it runs: before it touches a device it gives up all capabilities but NET_RAW, NET_ADMIN,
/// IPC_LOCK and SYS_NICE (and SYS_ADMIN if one of `ports` is net_af_xdp), sets no_new_privs, and leaves itself (by landlock, where the kernel has it) only the files that it needs:
/// those of its configuration, of DPDK and of its ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Privileges {
    /// False: all that it was started with is kept. For debugging.
    pub drop: bool,
    /// Capabilities to keep besides, as `SYS_ADMIN` (net_af_xdp ports that are added while it runs; NICs without an IOMMU) or `DAC_OVERRIDE` (sockets of guests that
    /// are another user's).
    pub keep: Vec<String>,
    /// Folders in which ports that are added while it runs may have files, sockets of guests for one. The folder of the control socket
    /// and those of what `ports` name are there anyway.
    pub paths: Vec<PathBuf>,
}

impl Default for Privileges {
    fn default() -> Privileges {
        Privileges { drop: true, keep: Vec::new(), paths: Vec::new() }
    }
}

impl Privileges {
    /// The capabilities to keep besides.
    pub fn kept(&self) -> CapabilitySet {
        self.keep.iter().filter_map(|name| capability(name)).collect()
    }

    pub(super) fn check(at: &At<Privileges>) -> Result<(), Fault> {
        if let Some(name) = at.keep.iter().find(|name| capability(name).is_none()) {
            let reason = format!("{name:?} is no capability, which is written as SYS_ADMIN");
            return Err(Fault::new(at.position, "privileges.keep", reason));
        }
        if let Some(path) = at.paths.iter().find(|path| !path.is_absolute()) {
            let reason = format!("{} is no absolute path", path.display());
            return Err(Fault::new(at.position, "privileges.paths", reason));
        }
        Ok(())
    }
}

fn capability(name: &str) -> Option<CapabilitySet> {
    CapabilitySet::from_name(name)
}
