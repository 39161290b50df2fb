//! Build script of crate ffi: finds libdpdk, generates the bindings, compiles the shim.
//!
//! DPDK is linked dynamically and only its base libraries are named. Drivers (the mempool ring driver is one) register
//! themselves in constructors, so the linker would drop them as unneeded; the EAL loads them from its plugin folder.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const OLDEST: &str = "22.11";

/// The libraries whose functions the bindings and the shim call.
const LIBRARIES: [&str; 4] = ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_eal"];

const FUNCTIONS: &str = "vr_.*|rte_eal_(init|get_runtime_dir)|rte_strerror|rte_mp_disable|rte_thread_(un)?register|rte_dev_(probe|remove)\
    |rte_pktmbuf_free_bulk|rte_mempool_(avail|in_use)_count\
    |rte_eth_dev_(get_port_by_name|info_get|configure|adjust_nb_rx_tx_desc|set_mtu|get_mtu|socket_id|start|stop|close)\
    |rte_eth_(rx|tx)_queue_setup|rte_eth_promiscuous_enable|rte_eth_stats_get|rte_eth_macaddr_get\
    |sched_(get|set)affinity";

/// net_vhost's own calls, which tell what a guest has said of itself. A DPDK that was built without it has none.
const VHOST: [&str; 2] = ["rte_net_vhost", "rte_vhost"];

/// What a feature adds: one of DPDK's libraries that the vRouter does not use, which benches compare with.
struct Extra {
    /// As cargo names the feature in the environment.
    feature: &'static str,
    library: &'static str,
    /// Lets shim.h include the library's header.
    define: &'static str,
    functions: &'static str,
    types: &'static str,
    constants: &'static str,
}

const EXTRAS: [Extra; 3] = [
    Extra {
        feature: "CARGO_FEATURE_ACL",
        library: "rte_acl",
        define: "-DVR_ACL",
        functions: "rte_acl_(create|free|add_rules|build|classify)",
        types: "rte_acl_(config|field|param|rule_data)",
        constants: "RTE_ACL_(FIELD_TYPE_.*|MAX_FIELDS)",
    },
    Extra {
        feature: "CARGO_FEATURE_HASH",
        library: "rte_hash",
        define: "-DVR_HASH",
        functions: "rte_hash_(create|free|add_key_data|lookup_bulk_data)",
        types: "rte_hash_parameters",
        constants: "RTE_HASH_(EXTRA_FLAGS_RW_CONCURRENCY_LF|LOOKUP_BULK_MAX)",
    },
    Extra {
        feature: "CARGO_FEATURE_FIB",
        library: "rte_fib",
        define: "-DVR_FIB",
        functions: "rte_fib6?_(create|free|add|lookup_bulk)",
        types: "rte_fib6?_conf",
        constants: "RTE_FIB_DIR24_8.*|RTE_FIB6_TRIE.*",
    },
];

fn main() {
    let extras: Vec<Extra> = EXTRAS.into_iter().filter(|extra| env::var_os(extra.feature).is_some()).collect();
    let shim = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("shim");
    println!("cargo:rerun-if-changed=../build.rs");
    println!("cargo:rerun-if-changed={}", shim.display());
    for name in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "LIBCLANG_PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let (mut flags, folders) = dpdk();
    let vhost = VHOST.iter().all(|name| folders.iter().any(|folder| folder.join(format!("lib{name}.so")).exists()));
    if vhost {
        flags.push("-DVR_VHOST".into());
    }
    bind(&shim, &flags, &extras);
    let mut shim_build = cc::Build::new();
    shim_build.file(shim.join("shim.c")).include(&shim).warnings_into_errors(true).opt_level(2);
    // DPDK's own inline functions are not free of these.
    shim_build.flag("-Wno-unused-parameter").flag("-Wno-deprecated-declarations");
    for flag in &flags {
        shim_build.flag(flag);
    }
    shim_build.compile("vrouter_shim");
    // After the shim, which calls into them.
    let vhost = VHOST.into_iter().filter(|_| vhost);
    for library in LIBRARIES.into_iter().chain(extras.iter().map(|extra| extra.library)).chain(vhost) {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
}

/// Finds libdpdk, tells cargo where it is, and returns the compiler flags that its headers need, and the folders of its libraries.
fn dpdk() -> (Vec<String>, Vec<PathBuf>) {
    let found = pkg_config::Config::new().atleast_version(OLDEST).cargo_metadata(false).probe("libdpdk");
    let library = found.unwrap_or_else(|error| {
        fail(&format!(
            "DPDK {OLDEST} or newer was not found by pkg-config.\n\
             Install its development package (Debian and Ubuntu: `apt install libdpdk-dev pkg-config`), or set PKG_CONFIG_PATH to\n\
             the folder that holds libdpdk.pc. Everything but the DPDK ports builds without it: `cargo build -p vrouter \
             --no-default-features`.\n\npkg-config says: {error}"
        ))
    });
    for folder in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
    println!("cargo:version={}", library.version);
    // pkg-config does not name the folder that the compiler searches anyway
    let mut folders = library.link_paths.clone();
    folders.extend(libdir());
    // The crate keeps -I and -D only; DPDK also needs `-include rte_config.h` and its -march.
    let tool = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(tool).args(["--cflags", "libdpdk"]).output();
    let output = output.unwrap_or_else(|error| fail(&format!("pkg-config does not run: {error}")));
    let flags = String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect();
    (flags, folders)
}

/// Where libdpdk's libraries are, as its .pc file says.
fn libdir() -> Option<PathBuf> {
    let tool = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(tool).args(["--variable=libdir", "libdpdk"]).output().ok()?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn bind(shim: &std::path::Path, flags: &[String], extras: &[Extra]) {
    if let Err(error) = bindgen_clang() {
        fail(&format!(
            "libclang, which reads DPDK's headers, was not found.\n\
             Install it (Debian and Ubuntu: `apt install libclang-dev`), or set LIBCLANG_PATH to the folder that holds libclang.so.\n\n{error}"
        ));
    }
    let mut builder = bindgen::Builder::default();
    for extra in extras {
        builder = builder
            .clang_arg(extra.define)
            .allowlist_function(extra.functions)
            .allowlist_type(extra.types)
            .allowlist_var(extra.constants);
    }
    let bindings = builder
        .header(shim.join("shim.h").display().to_string())
        .clang_args(flags)
        .allowlist_function(FUNCTIONS)
        .allowlist_var("VR_.*|RTE_ETHER_(HDR_LEN|CRC_LEN|MTU)|RTE_MEMPOOL_CACHE_MAX_SIZE")
        .allowlist_type("cpu_set_t|vr_mbuf|rte_eth_(conf|dev_info|stats)|rte_ether_addr")
        // Only pointers to these pass through Rust; mbufs are seen as struct vr_mbuf.
        .opaque_type("rte_mempool|rte_mbuf|rte_device|rte_eth_(vmdq|dcb)_.*")
        .derive_default(true)
        .prepend_enum_name(false)
        .layout_tests(true)
        .generate_comments(false)
        .formatter(bindgen::Formatter::None)
        .generate();
    let bindings = bindings.unwrap_or_else(|error| fail(&format!("DPDK's headers cannot be bound: {error}")));
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("dpdk.rs");
    if let Err(error) = bindings.write_to_file(&target) {
        fail(&format!("{}: {error}", target.display()));
    }
}

/// bindgen panics without a word of advice when libclang is missing: its version is asked first.
fn bindgen_clang() -> Result<(), String> {
    std::panic::set_hook(Box::new(|_| {}));
    let asked = std::panic::catch_unwind(bindgen::clang_version);
    let _ = std::panic::take_hook();
    asked.map(drop).map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

fn fail(message: &str) -> ! {
    eprintln!("\n{message}\n");
    std::process::exit(1)
}
