//! `vrctl add bfd`.

use std::net::IpAddr;

use vrouter::api::yaml::BfdSession;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl add bfd spine1 --vrf underlay --remote 172.31.0.253 --min-tx 50 --min-rx 50
  vrctl add bfd host2 --vrf underlay --remote 172.31.0.2 --multihop
")]
pub(super) struct AddBfd {
    name: String,
    /// One of the fabric
    #[arg(long)]
    vrf: String,
    /// A neighbour on a connected subnet; with --multihop any host
    #[arg(long, value_name = "ADDRESS")]
    remote: IpAddr,
    /// The peer may be some hops away (RFC 5883)
    #[arg(long)]
    multihop: bool,
    /// Our end; default the address of the link, with --multihop the VTEP
    #[arg(long, value_name = "ADDRESS")]
    local: Option<IpAddr>,
    /// Milliseconds between our packets, 10 to 60000; default 300
    #[arg(long, value_name = "MS")]
    min_tx: Option<u32>,
    /// Milliseconds that we want between the peer's; default 300
    #[arg(long, value_name = "MS")]
    min_rx: Option<u32>,
    /// Our packets after whose loss the peer takes us for gone; default 3
    #[arg(long, value_name = "COUNT")]
    multiplier: Option<u32>,
    /// The least TTL or hop limit of the peer's packets; default 254
    #[arg(long, requires = "multihop", value_name = "TTL")]
    min_ttl: Option<u32>,
    /// Tell the peer that we do not watch
    #[arg(long)]
    admin_down: bool,
}

impl AddBfd {
    pub(super) fn given(self) -> BfdSession {
        BfdSession {
            name: self.name,
            vrf: self.vrf,
            remote: self.remote,
            multihop: self.multihop,
            local: self.local,
            min_tx: self.min_tx,
            min_rx: self.min_rx,
            multiplier: self.multiplier,
            min_ttl: self.min_ttl,
            admin_down: self.admin_down,
            state: None,
            diagnostic: None,
            failed: false,
            live: None,
            owner: None,
        }
    }
}
