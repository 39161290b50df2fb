//! Hosts, and which interface is on which.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::super::{MplsTunnel, Network, Settings, Via, VniTunnel};
use super::scope::VirtualNetwork;
use super::sections::{Encap, Host, Placed};
use super::wrong::{Refused, Wrong, nearest};
use crate::api::position::{At, Fault, Position};
use crate::ids::Mac;

/// The most that a VRF may name.
const MOST_VTEPS: usize = 256;

/// All hosts of the files.
pub struct Site<'a> {
    hosts: BTreeMap<&'a str, (usize, &'a At<Host>)>,
    here: Option<&'a str>,
    /// By the VIF's name.
    placed: HashMap<String, (usize, &'a At<Host>, &'a At<Placed>)>,
    /// Of all files: by VRF.
    vnis: HashMap<&'a str, u32>,
    labels: HashMap<&'a str, u32>,
}

/// Where an interface is.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// On this host.
    Here {
        port: Option<&'a str>,
        vlan: Option<u16>,
    },
    There(&'a At<Host>),
    /// On none.
    Nowhere,
}

impl<'a> Site<'a> {
    /// The hosts that files name.
    ///
    /// # Errors
    /// What is named twice, and whether it is said which host this is.
    pub fn of(files: &'a [Network]) -> Result<Site<'a>, Refused> {
        let mut site = Site {
            hosts: BTreeMap::new(),
            here: None,
            placed: HashMap::new(),
            vnis: HashMap::new(),
            labels: HashMap::new(),
        };
        for (file, network) in files.iter().enumerate() {
            site.vnis.extend(network.vnis.iter().filter_map(|vni| Some((vni.vrf.as_deref()?, vni.vni))));
            site.labels.extend(network.labels.iter().filter_map(|label| Some((label.vrf.as_deref()?, label.label))));
            for host in &network.hosts {
                site.add(file, host)?;
            }
        }
        site.here = site.this_host(files)?;
        Ok(site)
    }

    fn add(&mut self, file: usize, host: &'a At<Host>) -> Result<(), Refused> {
        let refused = |position: Position, field: &str, wrong: Wrong| {
            (file, Fault::new(position, format!("host {}: {field}", host.name), wrong))
        };
        if self.hosts.insert(&host.name, (file, host)).is_some() {
            return Err(refused(host.position, "name", Wrong::TwiceInFiles));
        }
        let needs_mac = matches!(host.encap, Encap::Vxlan | Encap::Geneve);
        if needs_mac && host.vtep.is_ipv6() && host.router_mac.is_none() {
            return Err(refused(host.position, "router_mac", Wrong::NoRouterMac));
        }
        for placed in &host.interfaces {
            let vif = placed.name.replace('/', ".");
            if let Some((_, other, _)) = self.placed.insert(vif, (file, host, placed)) {
                let twice = Wrong::PlacedTwice(placed.name.clone(), other.name.clone());
                return Err(refused(placed.position, "interfaces", twice));
            }
        }
        Ok(())
    }

    /// The host that a file says this is, or whose VTEP is ours.
    fn this_host(&self, files: &'a [Network]) -> Result<Option<&'a str>, Refused> {
        let said = files.iter().enumerate().find_map(|(file, network)| Some((file, network.this_host.as_ref()?)));
        if let Some((file, said)) = said {
            let unknown = || {
                let near = nearest(said, self.hosts.keys().copied());
                let wrong = Wrong::Unknown { kind: "host", name: said.value.clone(), near };
                (file, Fault::new(said.position, "this_host", wrong))
            };
            return self.hosts.get(said.as_str()).map(|(_, host)| Some(host.name.as_str())).ok_or_else(unknown);
        }
        let Some((file, first)) = self.hosts.values().next() else { return Ok(None) };
        let ours: Vec<IpAddr> =
            files.iter().filter_map(|file| file.settings.as_ref()).flat_map(|at| vteps(at)).collect();
        let here = self.hosts.values().find(|(_, host)| ours.contains(&host.vtep));
        match here {
            Some((_, host)) => Ok(Some(host.name.as_str())),
            None => Err((*file, Fault::new(first.position, format!("host {}", first.name), Wrong::WhichHost))),
        }
    }

    /// Where the interface with this VIF's name is. Without hosts all are here.
    pub fn place(&self, vif: &str) -> Place<'a> {
        if self.hosts.is_empty() {
            return Place::Here { port: None, vlan: None };
        }
        match self.placed.get(vif) {
            Some((_, host, placed)) if self.here == Some(host.name.as_str()) => {
                Place::Here { port: placed.port.as_deref(), vlan: placed.vlan }
            }
            Some((_, host, _)) => Place::There(host),
            None => Place::Nowhere,
        }
    }

    /// That each interface that a host has is one of these.
    ///
    /// # Errors
    /// The first that is none.
    pub fn check(&self, vifs: &HashSet<&str>) -> Result<(), Refused> {
        let lost = self.placed.iter().filter(|(vif, _)| !vifs.contains(vif.as_str()));
        let Some((vif, (file, host, placed))) = lost.min_by_key(|(_, (file, _, placed))| (*file, placed.position))
        else {
            return Ok(());
        };
        let near = nearest(vif, vifs.iter().copied()).map(|near| near.replace('.', "/"));
        let wrong = Wrong::Unknown { kind: "interface", name: placed.name.clone(), near };
        Err((*file, Fault::new(placed.position, format!("host {}: interfaces", host.name), wrong)))
    }

    /// Who may send into a VRF by tunnel: the other hosts, in order; nobody is named where they are too many, or there are none.
    pub fn vteps(&self) -> Vec<IpAddr> {
        let others = self.hosts.values().filter(|(_, host)| self.here != Some(host.name.as_str()));
        let mut vteps: Vec<_> = others.map(|(_, host)| host.vtep).collect();
        vteps.sort();
        vteps.dedup();
        if vteps.len() > MOST_VTEPS { Vec::new() } else { vteps }
    }

    /// Whether there is another host than this one.
    pub fn has_others(&self) -> bool {
        self.hosts.len() > 1
    }

    /// The VNI of a network, said by itself or by a plain entry.
    pub fn vni(&self, network: &VirtualNetwork) -> Option<u32> {
        network.given.vni.or_else(|| self.vnis.get(network.vrf.as_str()).copied())
    }

    /// The same for labels.
    pub fn label(&self, network: &VirtualNetwork) -> Option<u32> {
        network.given.label.or_else(|| self.labels.get(network.vrf.as_str()).copied())
    }

    /// The way to a host in a network.
    ///
    /// # Errors
    /// The network has no number for it.
    pub fn tunnel(&self, host: &At<Host>, network: &VirtualNetwork) -> Result<Via, (&'static str, Wrong)> {
        let needs = |field: &'static str, plain: &'static str| {
            let (host, vrf) = (host.name.clone(), network.vrf.clone());
            (field, Wrong::NoNumber { host, network: network.given.name.clone(), plain, vrf })
        };
        let vni = || -> Result<VniTunnel, (&'static str, Wrong)> {
            let vni = self.vni(network).ok_or_else(|| needs("vni", "vnis"))?;
            Ok(VniTunnel { remote: host.vtep, vni, mac: router_mac(host) })
        };
        let label = || -> Result<MplsTunnel, (&'static str, Wrong)> {
            let label = self.label(network).ok_or_else(|| needs("label", "labels"))?;
            Ok(MplsTunnel { remote: host.vtep, label })
        };
        Ok(match host.encap {
            Encap::Vxlan => Via { vxlan: Some(vni()?), ..Via::default() },
            Encap::Geneve => Via { geneve: Some(vni()?), ..Via::default() },
            Encap::MplsUdp => Via { mpls_udp: Some(label()?), ..Via::default() },
            Encap::MplsGre => Via { mpls_gre: Some(label()?), ..Via::default() },
        })
    }
}

fn vteps(settings: &Settings) -> impl Iterator<Item = IpAddr> {
    settings.vtep.map(IpAddr::V4).into_iter().chain(settings.vtep_v6.map(IpAddr::V6))
}

/// As the settings of that host have it by default.
fn router_mac(host: &Host) -> Mac {
    let by_vtep = match host.vtep {
        IpAddr::V4(vtep) => {
            let [a, b, c, d] = vtep.octets();
            Mac([2, a, b, c, d, 1])
        }
        IpAddr::V6(_) => Mac([2, 0, 0, 0, 0, 1]),
    };
    host.router_mac.unwrap_or(by_vtep)
}
