//! `vrctl export` and `vrctl fmt`: files of objects, and their layout.

use std::path::{Path, PathBuf};

use serde_json::json;
use vrouter::api::layout::{laid_out, written};
use vrouter::api::position::FileError;
use vrouter::api::v1;
use vrouter::api::yaml::Network;

use super::Failure;
use super::args::Kind;
use super::connect::Daemon;
use super::offline::text_of;
use super::output::{Format, print, print_value};
use super::show::{Listing, contract_kind, list};

#[derive(clap::Args)]
#[command(
    after_help = "What was learnt, and what the daemon made itself, is left out. Objects of --owner do not say whose they are, those of others do.
The file is laid out as `vrctl fmt` does it.

Examples:
  vrctl export > network.yaml
  vrctl export --owner cni > pods.yaml             # again: vrctl apply -f pods.yaml --owner cni --replace
  vrctl export acls groups > policies.yaml
  vrctl export --vrf red > red.yaml                # with what it needs: ports, ACLs, groups
"
)]
pub struct Export {
    /// Of these kinds; none: all
    pub kinds: Vec<Kind>,
    /// Of this owner only; default: of all
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Of this VRF only, with what it names
    #[arg(long, value_name = "NAME")]
    pub vrf: Option<String>,
}

#[derive(clap::Args)]
#[command(
    after_help = "Sections and fields get one order, objects of few words a line each. Comments stay with what they stand at, and of several blank
lines one. The objects are the same.

Examples:
  vrctl fmt network.yaml
  vrctl fmt --check *.yaml      # exit code 1 if one is laid out otherwise, for pipelines
  vrctl fmt - < network.yaml
"
)]
pub struct Fmt {
    /// Network files; - is the standard input, laid out to the standard output
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Only name the files that are laid out otherwise
    #[arg(long)]
    pub check: bool,
}

/// Whose objects say nothing of their owner when all are exported: what `apply` makes of them without `--owner`.
const UNSAID: &str = "operator";

pub async fn run(daemon: &Daemon, format: Format, export: Export) -> Result<(), Failure> {
    let Listing { generation, mut network } = list(daemon, v1::ListRequest::default()).await?;
    network.keep_what_was_put();
    if let Some(owner) = &export.owner {
        network.keep_owner(owner);
    }
    if let Some(vrf) = &export.vrf {
        if !network.vrfs.iter().any(|it| it.name == *vrf) && export.owner.is_none() {
            return Err(Failure::Refused(format!("vrf {vrf}: is not there")));
        }
        network.keep_vrf(vrf);
    }
    keep_kinds(&mut network, &export.kinds);
    let owner = export.owner.as_deref().unwrap_or(UNSAID);
    network.leave_unsaid(owner);
    if format == Format::Json {
        let value = serde_json::to_value(&network).unwrap_or_default();
        print_value(format, &json!({ "generation": generation, "network": value }));
        return Ok(());
    }
    let by = if owner == UNSAID { String::new() } else { format!(" --owner {owner}") };
    print(&written(&network, &[format!("Again: vrctl apply{by} -f FILE")]));
    Ok(())
}

fn keep_kinds(network: &mut Network, kinds: &[Kind]) {
    let wants = |kind| kinds.is_empty() || kinds.contains(&kind) || kinds.contains(&Kind::All);
    let all = std::mem::take(network);
    let of = |kind| wants(kind) && contract_kind(kind) != v1::Kind::All;
    *network = Network {
        settings: all.settings.filter(|_| of(Kind::Settings)),
        ports: if of(Kind::Ports) { all.ports } else { Vec::new() },
        vrfs: if of(Kind::Vrfs) { all.vrfs } else { Vec::new() },
        bridges: if of(Kind::Bridges) { all.bridges } else { Vec::new() },
        vifs: if of(Kind::Vifs) { all.vifs } else { Vec::new() },
        next_hop_groups: if of(Kind::NextHopGroups) { all.next_hop_groups } else { Vec::new() },
        routes: if of(Kind::Routes) { all.routes } else { Vec::new() },
        neighbours: if of(Kind::Neighbours) { all.neighbours } else { Vec::new() },
        fdb: if of(Kind::Fdb) { all.fdb } else { Vec::new() },
        vnis: if of(Kind::Vnis) { all.vnis } else { Vec::new() },
        labels: if of(Kind::Labels) { all.labels } else { Vec::new() },
        groups: if of(Kind::Groups) { all.groups } else { Vec::new() },
        acls: if of(Kind::Acls) { all.acls } else { Vec::new() },
        bfd_sessions: if of(Kind::Bfd) { all.bfd_sessions } else { Vec::new() },
        // a daemon has plain objects only
        ..Network::default()
    };
}

pub fn fmt(given: &Fmt) -> Result<(), Failure> {
    let mut otherwise = Vec::new();
    for path in &given.files {
        let (name, text) = text_of(path)?;
        let laid_out = laid_out(&name, &text)?;
        if given.check {
            otherwise.extend((laid_out != text).then_some(name));
        } else if path.as_os_str() == "-" {
            print(&laid_out);
        } else if laid_out != text {
            replace(path, &laid_out)?;
            print(&format!("{name}\n"));
        }
    }
    if otherwise.is_empty() {
        Ok(())
    } else {
        Err(Failure::Unmet(format!("laid out otherwise: {}", otherwise.join(", "))))
    }
}

/// Puts another file in a file's place, or leaves it as it is.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // behind a link is the file that is meant
    let place = path.canonicalize();
    let done = place.and_then(|place| {
        let beside = place.with_file_name(format!(".{name}.vrctl"));
        std::fs::write(&beside, text)?;
        std::fs::set_permissions(&beside, std::fs::metadata(&place)?.permissions())?;
        std::fs::rename(&beside, &place)
    });
    done.map_err(|error| {
        let (file, reason) = (path.display().to_string(), error.to_string());
        Failure::File(FileError { file, position: None, field: String::new(), reason })
    })
}
