//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use vrouter::api::text::{Mac, Prefix, Protocol};
use vrouter::api::v1;

use super::add::Add;
use super::capture::Capture;
use super::connect::Address;
use super::delete::Delete;
use super::diff::Diff;
use super::export::{Export, Fmt};
use super::hits::Hits;
use super::output::Format;
use super::plan::Plan;
use super::revisions::{Confirm, Revisions, Rollback};
use super::shadow::Shadow;
use super::trace::Trace;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the daemon refused, an expectation is not met, or files differ (diff, fmt --check)
  2  wrong usage
  3  the daemon cannot be reached
  4  a file cannot be read or is wrong

Examples:
  vrctl apply -f network.yaml --sync
  vrctl show routes --vrf red
  vrctl add route --vrf red 10.1.1.20/32 --via 'vxlan: {remote: 172.31.0.2, vni: 100, mac: 02:ac:1f:00:02:01}'
  vrctl watch routes --snapshot
  vrctl flows --vif web1 --proto tcp -o json
  vrctl --server tls://r1.example:7443 --cert me.pem --key me.key --ca ca.pem status
  vrctl drops --victims
  vrctl capture --vif web1 -w web1.pcapng tcp port 80
  vrctl trace --vif web1 -c 100
  vrctl explain --vif web1 --src 10.1.1.10 --dst 10.1.1.20 --proto tcp --sport 1000 --dport 80

Without a daemon:
  vrctl validate -f underlay.yaml -f network.yaml
  vrctl expand -f underlay.yaml -f tenants.yaml
  vrctl test -f underlay.yaml -f network.yaml expectations.yaml
  vrctl explain -f network.yaml --vif web1 --src 10.1.1.10 --dst 10.1.1.20 --dport 80
";

pub const GLOBAL: &str = "Global options";

/// Programs and shows a running vRouter through its control socket.
#[derive(Parser)]
#[command(name = "vrctl", version, after_help = EXIT_CODES, max_term_width = 120)]
pub struct Args {
    #[command(flatten)]
    pub daemon: Address,
    /// A table for people, or json or yaml with stable fields for programs
    #[arg(short, long, global = true, help_heading = GLOBAL, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Show the objects of one kind, or of all
    Show(Show),
    /// Add an object
    Add(Box<Add>),
    /// Delete an object
    Delete(Delete),
    /// Put all objects of YAML files, as one batch: all of it or nothing
    Apply(Apply),
    /// Tell what files would change, and what would become of live flows; nothing is changed
    Plan(Plan),
    /// Wait until every worker forwards by the newest generation
    Sync(Sync),
    /// Follow what changes, a line each, until it is ended
    Watch(Watch),
    /// Show live flows, one row a pair, told from its initiator
    Flows(Flows),
    /// Show dropped packets: each reason, per VIF, with its meaning
    Drops(Drops),
    /// Show how often each rule of ACLs has decided
    Hits(Hits),
    /// Copy packets as they pass, with all their bytes
    Capture(Capture),
    /// Tell what becomes of the next packets, step by step, grouped by the way that they take
    Trace(Trace),
    /// Show counters of VIFs, workers, ports and the flow table
    Stats,
    /// Show version, generation, limits and their memory
    Status,
    /// Show who has objects, and leases
    Owners,
    /// Go on as another program: objects, flows and sockets stay, ports stand still for a moment
    Upgrade(Upgrade),
    /// Tell what would happen to a packet, and why
    Explain(Box<Explain>),
    /// Print objects as a network file, which makes the same objects again
    Export(Export),
    /// Tell what files would change, or how files or kept revisions differ
    Diff(Diff),
    /// Let a batch stay that is undone otherwise
    Confirm(Confirm),
    /// Show what is kept of owners' past, and what waits to be confirmed
    Revisions(Revisions),
    /// Make an owner's objects what they were after a batch of before
    Rollback(Rollback),
    /// Tell what policies that are tried would change, and make or discard them
    Shadow(Shadow),
    /// Lay network files out in one form; asks no daemon
    Fmt(Fmt),
    /// Judge network files as a daemon would; asks no daemon
    Validate(Validate),
    /// Print the plain objects that projects of network files are expanded into; asks no daemon
    Expand(Expand),
    /// Hold network files against expectations, by the code that forwards; asks no daemon
    Test(Test),
    /// Print the JSON schema of network files
    Schema {
        /// Of the daemon's config file instead
        #[arg(long)]
        config: bool,
        /// Of files of expectations instead
        #[arg(long, conflicts_with = "config")]
        expectations: bool,
    },
    /// Write a manual page of each command into a folder
    #[command(after_help = "Example:\n  vrctl man /usr/local/share/man/man1\n")]
    Man { folder: PathBuf },
    /// Print completions for a shell
    #[command(after_help = "Example:\n  vrctl completions bash > /etc/bash_completion.d/vrctl\n")]
    Completions { shell: Shell },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    All,
    Settings,
    #[value(alias = "vrf")]
    Vrfs,
    #[value(alias = "vif")]
    Vifs,
    #[value(alias = "route")]
    Routes,
    #[value(alias = "next-hop-group")]
    NextHopGroups,
    #[value(alias = "neighbour")]
    Neighbours,
    #[value(alias = "bridge")]
    Bridges,
    /// Where stations of bridges are
    Fdb,
    #[value(alias = "vni")]
    Vnis,
    #[value(alias = "label")]
    Labels,
    #[value(alias = "group")]
    Groups,
    #[value(alias = "acl")]
    Acls,
    #[value(alias = "port")]
    Ports,
    /// Sessions of BFD
    Bfd,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl show vifs
  vrctl show vif web1 -o json
  vrctl show routes --vrf red
  vrctl show all -o yaml > network.yaml     # can be applied again
")]
pub struct Show {
    pub kind: Kind,
    /// A name; a route's prefix; a neighbour's address; a station's MAC; a VNI's or label's number
    pub name: Option<String>,
    /// Routes of this VRF only
    #[arg(long)]
    pub vrf: Option<String>,
}

/// How a batch is committed.
#[derive(clap::Args)]
pub struct Commit {
    /// Whose objects these are, where they do not say it themselves
    #[arg(long, global = true, default_value = "operator", value_name = "NAME")]
    pub owner: String,
    /// Change what other owners have, and make it this owner's
    #[arg(long, global = true)]
    pub take_over: bool,
    /// Return when every worker forwards by the change
    #[arg(long, global = true)]
    pub sync: bool,
    /// What for: kept with the revision, and in the audit log
    #[arg(short, long, global = true, default_value = "", value_name = "TEXT", hide_default_value = true)]
    pub message: String,
    /// Undone unless it is confirmed within this time (60s, 5m, at most 1h), also if this client or the daemon is gone: vrctl confirm
    #[arg(long, global = true, value_name = "TIME", value_parser = super::revisions::time)]
    pub confirm: Option<u32>,
    /// Keep no revision of what the owner has then
    #[arg(long, global = true)]
    pub no_revision: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example of a file:
  vrfs:
    - {name: red, tenant: acme}
  vifs:
    - {name: web1, port: p1, vrf: red, mac: 02:00:00:00:00:01, addresses: [10.1.1.10], gateway_v4: 10.1.1.1}
  routes:
    - {vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 172.31.0.2, vni: 100, mac: 02:ac:1f:00:02:01}}}
    - {vrf: red, prefix: 10.1.1.21/32, via: {mpls_udp: {remote: 172.31.0.2, label: 100}}}
  vnis:
    - {vni: 100, vrf: red}
  acls:
    - name: web
      rules:
        - {action: permit, protocol: tcp, destination_ports: [80, 8000-8099]}

`vrctl schema` prints all that a file may hold.

Examples:
  vrctl apply -f network.yaml --sync
  vrctl apply -f network.yaml --replace --dry-run       # what would change
  vrctl apply -f network.yaml --replace --dry-run --flows   # and which live flows would be denied, permitted, moved
  vrctl apply -f network.yaml -m 'web moves' --confirm 60s   # then vrctl confirm, or all is as it was
  vrctl apply -f candidate.yaml --shadow                # then vrctl shadow report, promote or discard
  vrctl apply -f pods.yaml --owner cni --replace --lease 30000
")]
pub struct Apply {
    /// The file, or several, which are one batch; - is the standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
    #[command(flatten)]
    pub commit: Commit,
    /// Only check the file, without the daemon
    #[arg(long)]
    pub check: bool,
    /// The file is all that --owner wants: what is his and not in it goes
    #[arg(long)]
    pub replace: bool,
    /// With --replace: of these kinds only
    #[arg(long, value_name = "KIND", requires = "replace")]
    pub only: Vec<Kind>,
    /// Ask the daemon what would change, and change nothing
    #[arg(long, conflicts_with = "check")]
    pub dry_run: bool,
    /// With --dry-run: also what would become of live flows
    #[arg(long, requires = "dry_run")]
    pub flows: bool,
    /// Try the file's policies: judge new flows by them too, and change nothing; vrctl shadow report
    #[arg(long, conflicts_with_all = ["check", "dry_run", "lease", "confirm"])]
    pub shadow: bool,
    /// Only if nothing that the file may rest on has changed after this generation
    #[arg(long, value_name = "GENERATION")]
    pub if_generation: Option<u64>,
    /// What --owner has goes when he is not heard of for so many milliseconds; 0: no more
    #[arg(long, value_name = "MS")]
    pub lease: Option<u32>,
}

impl Commit {
    /// A batch's beginning.
    pub fn begin(&self) -> v1::Begin {
        v1::Begin {
            owner: self.owner.clone(),
            take_over: self.take_over,
            message: self.message.clone(),
            confirm_ms: self.confirm.unwrap_or(0),
            keep_revision: !self.no_revision,
            ..v1::Begin::default()
        }
    }
}

#[derive(clap::Args)]
pub struct Sync {
    /// Wait for this generation; 0: the newest
    #[arg(long, default_value_t = 0)]
    pub generation: u64,
    /// Give up after so many milliseconds
    #[arg(long, default_value_t = 5000, value_name = "MS")]
    pub timeout: u32,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl watch
  vrctl watch routes neighbours --snapshot
  vrctl watch --after 1234 -o json | jq -c 'select(.event == \"deleted\")'

With json, each line is an object: generation, event (listed, put, deleted, lost), kind, owner, and the object or its key.
After `lost`, show the objects anew and go on. Some time after an ACL that is in use has changed, an event `verdicts` (of
`acls`, or when no kinds are named) tells how many live flows are denied or permitted now that were not before.
")]
pub struct Watch {
    /// Of these kinds; none: all
    pub kinds: Vec<Kind>,
    /// First what is there, then what changes
    #[arg(long)]
    pub snapshot: bool,
    /// What has changed after this generation; default: from now on
    #[arg(long, value_name = "GENERATION", conflicts_with = "snapshot")]
    pub after: Option<u64>,
    /// Nothing of batches of this owner
    #[arg(long, value_name = "NAME")]
    pub not_owner: Option<String>,
    /// End once this generation, or a newer one, has been told whole
    #[arg(long, value_name = "GENERATION")]
    pub until: Option<u64>,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl flows --vrf red --dst 10.1.1.0/24
  vrctl flows --proto tcp --port 80 --limit 20
  vrctl flows -o json | jq '.flows[] | select(.verdict != \"forward\")'
")]
pub struct Flows {
    /// Of this VRF
    #[arg(long)]
    pub vrf: Option<String>,
    /// That enter or leave here
    #[arg(long)]
    pub vif: Option<String>,
    /// Initiators of this prefix
    #[arg(long, value_name = "PREFIX")]
    pub src: Option<Prefix>,
    /// To this prefix
    #[arg(long, value_name = "PREFIX")]
    pub dst: Option<Prefix>,
    /// Name or number
    #[arg(long, value_name = "PROTOCOL")]
    pub proto: Option<Protocol>,
    /// At either end
    #[arg(long)]
    pub port: Option<u16>,
    /// At most so many; 0: all
    #[arg(long, default_value_t = 0)]
    pub limit: u32,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl drops --vif web1
  vrctl drops --victims --reason no_route
  vrctl drops --reasons
")]
pub struct Drops {
    /// Of packets that entered here
    #[arg(long)]
    pub vif: Option<String>,
    /// Of packets of this VRF: of the VIF where they entered, or of what their tunnel is for
    #[arg(long)]
    pub vrf: Option<String>,
    /// For this reason
    #[arg(long)]
    pub reason: Option<String>,
    /// The last dropped frames, with their first bytes
    #[arg(long)]
    pub victims: bool,
    /// Each second what was dropped meanwhile, with the last one of each kind, until it is ended
    #[arg(long, conflicts_with = "victims")]
    pub watch: bool,
    /// With --victims: at most so many; 0: all that are remembered
    #[arg(long, default_value_t = 20, requires = "victims")]
    pub limit: u32,
    /// All reasons and their meanings; asks no daemon
    #[arg(long, conflicts_with_all = ["vif", "vrf", "reason", "victims", "watch"])]
    pub reasons: bool,
}

#[derive(clap::Args)]
#[command(
    after_help = "The daemon starts it with its own arguments, and forwards while it prepares: memory is needed twice meanwhile, and changes are
refused. If it fails or is not the daemon, nothing has changed, and it is told why.

Examples:
  vrctl upgrade /usr/bin/vrouter        # the new version, in the old one's place
  vrctl upgrade /usr/local/bin/vrouter --timeout 120 -o json
"
)]
pub struct Upgrade {
    /// The program, on the daemon's host
    #[arg(value_name = "BINARY")]
    pub binary: PathBuf,
    /// Seconds that it may take to prepare
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub timeout: u32,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl explain --vif web1 --src 10.1.1.10 --dst 10.1.1.20 --proto tcp --sport 1000 --dport 80
  vrctl explain --tunnel red --src 10.1.1.20 --dst 10.1.1.10 --proto icmp --icmp-type 8
  vrctl explain --vif web1 --src 10.1.1.10 --dst 10.1.1.20 --dst-mac 02:00:00:00:00:02
  vrctl explain -f network.yaml --vif web1 --src 10.1.1.10 --dst 10.1.1.20 --dport 80
")]
pub struct Explain {
    /// By the network of these files instead of the daemon's; also tells where in them stands what decides
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// The packet enters here
    #[arg(long, required_unless_present = "tunnel", conflicts_with = "tunnel")]
    pub vif: Option<String>,
    /// The packet comes out of a tunnel into this VRF
    #[arg(long, value_name = "VRF")]
    pub tunnel: Option<String>,
    /// A frame, from its Ethernet header on, in hex
    #[arg(long, conflicts_with = "pcap")]
    pub hex: Option<String>,
    /// The frames of a capture (pcap, pcapng), each as if no other had been
    #[arg(long, value_name = "CAPTURE")]
    pub pcap: Option<PathBuf>,
    /// From this address
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["hex", "pcap"], conflicts_with_all = ["hex", "pcap"])]
    pub src: Option<IpAddr>,
    /// To this address
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["hex", "pcap"], conflicts_with_all = ["hex", "pcap"])]
    pub dst: Option<IpAddr>,
    /// Name or number
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    pub proto: Protocol,
    /// Source port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub sport: u16,
    /// Destination port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub dport: u16,
    /// For icmp and icmpv6
    #[arg(long, value_name = "TYPE")]
    pub icmp_type: Option<u8>,
    /// For icmp and icmpv6
    #[arg(long, value_name = "CODE", requires = "icmp_type")]
    pub icmp_code: Option<u8>,
    /// L3 bytes
    #[arg(long, default_value_t = 64)]
    pub length: u32,
    /// IPv4: it does not say Don't Fragment, and may leave in pieces
    #[arg(long)]
    pub may_be_cut: bool,
    /// Its frame's destination MAC: bridged, unless that is ours; default: it is routed
    #[arg(long, value_name = "MAC")]
    pub dst_mac: Option<Mac>,
    /// Its frame's source MAC; default the VIF's
    #[arg(long, value_name = "MAC", requires = "dst_mac")]
    pub src_mac: Option<Mac>,
    /// The bridge that the tunnel leads into
    #[arg(long)]
    pub bridge: Option<String>,
}
#[derive(clap::Args)]
pub struct Validate {
    /// Network files, which are one batch; - is the standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  vrctl expand -f site.yaml -f tenants.yaml > objects.yaml     # can be applied as it is
")]
pub struct Expand {
    /// Network files, which are one batch; - is the standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub struct Test {
    /// Network files, which are one batch; - is the standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
    /// Files of expectations (their language: vrctl schema --expectations)
    #[arg(value_name = "EXPECTATIONS", required = true)]
    pub expectations: Vec<PathBuf>,
    /// For other programs
    #[arg(long, value_enum, value_name = "FORM")]
    pub report: Option<Report>,
    /// Also say which rules and routes no packet touched
    #[arg(long)]
    pub coverage: bool,
    /// With --coverage: fail if any is
    #[arg(long, requires = "coverage")]
    pub all_covered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// Test Anything Protocol, version 13
    Tap,
    /// JUnit's XML
    Junit,
}
