//! Which files the daemon needs once it runs.

use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};

use crate::api::config::Config;

/// Folders and files; what is in a folder is meant with it.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
}

/// Libraries and drivers, and what the kernel tells of memory, devices and this process.
const READ: [&str; 11] = [
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/etc/ld.so.cache",
    "/etc/libibverbs.d",
    "/etc/passwd",
    "/etc/group",
    "/dev/zero",
    "/dev/urandom",
];
/// Where libxdp locks an interface while it loads a program, if it cannot at /sys/fs/bpf.
const XDP: &str = "/run/xdp";
/// Devices: taps, vhost, NICs by VFIO or verbs; what pins AF_XDP's programs.
const WRITE: [&str; 8] =
    ["/dev/null", "/dev/full", "/dev/net", "/dev/vhost-net", "/dev/vfio", "/dev/infiniband", "/sys/fs/bpf", XDP];

impl Reach {
    /// What a daemon with this configuration needs. Makes the folder in which DPDK makes its own.
    pub fn of(config: &Config) -> Reach {
        let mut read: Vec<PathBuf> = READ.map(PathBuf::from).to_vec();
        let mut write: Vec<PathBuf> = WRITE.map(PathBuf::from).to_vec();
        read.extend(std::env::current_exe().ok().and_then(|exe| folder_of(&exe)));
        read.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
        read.extend(config.eal.args.iter().filter_map(|argument| folder_of(Path::new(argument))));
        // for the next program, when it takes over
        let tls = config.control.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key, &tls.client_ca]);
        read.extend(tls.chain([&config.file]).map(|file| read_again(file)));
        write.extend(devices());
        write.extend(mounted("hugetlbfs", &std::fs::read_to_string("/proc/mounts").unwrap_or_default()));
        write.extend(dpdk_folders());
        let audit = config.control.audit.as_ref().and_then(|audit| audit.file.as_deref());
        let files = [Some(config.socket.as_path()), audit, config.flow_table.file.as_deref()];
        // a name alone is one in the folder where we are
        let files = files.into_iter().flatten().filter_map(|file| std::path::absolute(file).ok());
        write.extend(files.filter_map(|file| folder_of(&file)));
        write.extend(config.state_dir.clone());
        if config.ports.iter().any(|port| port.devargs.trim_start().starts_with("net_af_xdp")) {
            make(Path::new(XDP));
        }
        for port in &config.ports {
            write.extend(paths(&port.devargs).filter_map(place_of));
        }
        write.extend(config.privileges.paths.clone());
        Reach { read, write }
    }

    /// What a port with these devargs would open that is out of reach, for people.
    pub fn refuses(&self, devargs: &str) -> Option<String> {
        let beyond = paths(devargs).find(|path| !self.holds(path))?;
        let beyond = beyond.display();
        Some(format!("{beyond} is in none of the folders that the daemon may use: privileges.paths names further ones"))
    }

    fn holds(&self, path: &Path) -> bool {
        // a folder that is not there is for the device to complain of
        let Some(folder) = path.parent().and_then(|folder| folder.canonicalize().ok()) else { return true };
        self.write.iter().filter_map(|it| it.canonicalize().ok()).any(|it| folder.starts_with(&it) || path == it)
    }
}

/// Absolute paths among a device's arguments.
fn paths(devargs: &str) -> impl Iterator<Item = &Path> {
    devargs
        .split(',')
        .filter_map(|argument| argument.split_once('='))
        .map(|(_, value)| Path::new(value.trim()))
        .filter(|it| it.is_absolute())
}

/// A file or device that is there, else the folder in which it is to be made: sockets come and go.
fn place_of(path: &Path) -> Option<PathBuf> {
    let stays = std::fs::metadata(path).is_ok_and(|it| it.is_file() || it.file_type().is_char_device());
    if stays { Some(path.to_owned()) } else { folder_of(path) }
}

/// The folder of a file that may be replaced; the file alone where much else lies beside it.
fn read_again(path: &Path) -> PathBuf {
    folder_of(path)
        .filter(|folder| ![Path::new("/"), Path::new("/etc")].contains(&&**folder))
        .unwrap_or(path.to_owned())
}

fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    Some(folder.to_owned())
}

/// PCI devices and those that UIO hands to user space.
fn devices() -> Vec<PathBuf> {
    let named = |folder: &str, begin: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(begin.as_bytes()));
        named.map(|entry| entry.path()).collect()
    };
    [named("/sys/devices", "pci"), named("/dev", "uio")].concat()
}

/// Where file systems of this kind are mounted, by the text of `/proc/mounts`.
fn mounted(kind: &str, mounts: &str) -> Vec<PathBuf> {
    let rows = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    rows.filter(|fields| fields.get(2) == Some(&kind)).map(|fields| PathBuf::from(fields[1])).collect()
}

/// Where DPDK keeps what processes share: below the first of these, if it is its user's. They are made, as only what is there can be left.
fn dpdk_folders() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let usual = if rustix::process::geteuid().is_root() { Some("/var/run".into()) } else { set("XDG_RUNTIME_DIR") };
    let folders = [set("RUNTIME_DIRECTORY"), Some(usual.unwrap_or_else(|| "/tmp".into()))];
    let folders: Vec<_> = folders.into_iter().flatten().map(|folder| folder.join("dpdk")).collect();
    folders.iter().for_each(|folder| make(folder));
    folders
}

fn make(folder: &Path) {
    if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        tracing::debug!(folder = %folder.display(), %error, "a folder for drivers cannot be made");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_devargs_are_found() {
        let found = |devargs| paths(devargs).map(|path| path.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(found("net_vhost0,iface=/run/vm/1.sock,queues=2"), ["/run/vm/1.sock"]);
        assert_eq!(found("net_pcap0,rx_pcap=/a/in.pcap, tx_pcap = /b/out.pcap"), ["/a/in.pcap", "/b/out.pcap"]);
        assert!(found("net_af_packet0,iface=eth1").is_empty() && found("0000:3b:00.0").is_empty());
    }

    #[test]
    fn huge_pages_are_found_where_they_are_mounted() {
        let mounts =
            "proc /proc proc rw 0 0\nnone /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\nnone /mnt/1g hugetlbfs rw 0 0\n";
        assert_eq!(mounted("hugetlbfs", mounts), [Path::new("/dev/hugepages"), Path::new("/mnt/1g")]);
        assert!(mounted("hugetlbfs", "malformed\n\n").is_empty());
    }

    #[test]
    fn what_is_beyond_reach_is_named() {
        let folder = std::env::temp_dir().join(format!("vrouter-reach-{}", std::process::id()));
        let inside = folder.join("inside/deeper");
        std::fs::create_dir_all(&inside).unwrap();
        let reach = Reach { read: Vec::new(), write: vec![folder.join("inside")] };
        let device = |path: &str| format!("net_vhost0,iface={}/{path}", folder.display());
        assert_eq!(reach.refuses(&device("inside/vm.sock")), None);
        assert_eq!(reach.refuses(&device("inside/deeper/vm.sock")), None);
        assert_eq!(reach.refuses("net_tap0,iface=tap0"), None);
        assert_eq!(reach.refuses(&device("nowhere/vm.sock")), None, "the device says that there is no such folder");
        let told = reach.refuses(&device("vm.sock")).unwrap();
        assert!(told.starts_with(&format!("{}/vm.sock is in none of the folders", folder.display())), "{told}");
        assert!(reach.refuses(&device("inside/../vm.sock")).is_some(), "a way around");
        std::os::unix::fs::symlink(&folder, inside.join("out")).unwrap();
        assert!(reach.refuses(&device("inside/deeper/out/vm.sock")).is_some(), "a link out");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
