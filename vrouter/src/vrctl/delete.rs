//! `vrctl delete`.

use std::net::IpAddr;

use clap::Subcommand;
use vrouter::api::text::{Mac, Prefix, address_bytes};
use vrouter::api::v1;

use super::Failure;
use super::apply::{Batch, commit};
use super::args::Commit;
use super::connect::Daemon;
use super::output::Format;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl delete vif web1
  vrctl delete route --vrf red 10.1.1.20/32
  vrctl delete vni 100
")]
pub struct Delete {
    #[command(subcommand)]
    key: Key,
    #[command(flatten)]
    commit: Commit,
}

#[derive(Subcommand)]
enum Key {
    /// A port that no VIF uses; --sync waits until its device is closed
    Port {
        name: String,
    },
    /// A VRF that nothing refers to
    Vrf {
        name: String,
    },
    Vif {
        name: String,
    },
    /// The route of --owner to this prefix
    Route {
        #[arg(long)]
        vrf: String,
        prefix: Prefix,
    },
    /// A next-hop group that no route names
    NextHopGroup {
        name: String,
    },
    /// A BFD session
    Bfd {
        name: String,
    },
    /// A static neighbour
    Neighbour {
        #[arg(long)]
        vif: String,
        address: IpAddr,
    },
    /// A bridge that nothing refers to
    Bridge {
        name: String,
    },
    /// Where a station of a bridge is
    Fdb {
        #[arg(long)]
        bridge: String,
        mac: Mac,
    },
    Vni {
        vni: u32,
    },
    Label {
        label: u32,
    },
    /// An address group
    Group {
        name: String,
    },
    Acl {
        name: String,
    },
}

pub async fn run(daemon: &Daemon, format: Format, delete: Delete) -> Result<(), Failure> {
    use v1::object_key::Kind;
    let kind = match delete.key {
        Key::Port { name } => Kind::Port(name),
        Key::Vrf { name } => Kind::Vrf(name),
        Key::Vif { name } => Kind::Vif(name),
        Key::Route { vrf, prefix } => {
            Kind::Route(v1::RouteKey { vrf, prefix: Some(prefix.into()), owner: delete.commit.owner.clone() })
        }
        Key::NextHopGroup { name } => Kind::NextHopGroup(name),
        Key::Bfd { name } => Kind::BfdSession(name),
        Key::Neighbour { vif, address } => Kind::Neighbour(v1::NeighbourKey { vif, address: address_bytes(address) }),
        Key::Bridge { name } => Kind::Bridge(name),
        Key::Fdb { bridge, mac } => Kind::FdbEntry(v1::FdbKey { bridge, mac: mac.0.into() }),
        Key::Vni { vni } => Kind::Vni(vni),
        Key::Label { label } => Kind::Label(label),
        Key::Group { name } => Kind::Group(name),
        Key::Acl { name } => Kind::Acl(name),
    };
    let op = v1::change::Op::Delete(v1::ObjectKey { kind: Some(kind) });
    let batch =
        Batch { changes: vec![v1::Change { op: Some(op) }], begin: delete.commit.begin(), sync: delete.commit.sync };
    commit(daemon, format, batch, |_| String::new()).await
}
