//! `vrctl show`.

use serde::Serialize;
use serde_json::{Map, Value, json};
use vrouter::api::position::At;
use vrouter::api::v1;
use vrouter::api::yaml::Network;

use super::Failure;
use super::args::{Kind, Show};
use super::connect::{Daemon, connect};
use super::output::{Format, print, print_value, table, without_absent};
use super::rows::Row;

/// What the daemon listed.
pub struct Listing {
    pub generation: u64,
    pub network: Network,
}

pub async fn run(daemon: &Daemon, format: Format, show: Show) -> Result<(), Failure> {
    let (kind, vrf) = (contract_kind(show.kind).into(), show.vrf.clone().unwrap_or_default());
    let mut listing = list(daemon, v1::ListRequest { kind, vrf, ..v1::ListRequest::default() }).await?;
    if let Some(name) = &show.name {
        listing.keep(name);
        if listing.sections(show.kind).iter().all(|section| section.rows.is_empty()) {
            return Err(Failure::Refused(format!("{name} is not there")));
        }
    }
    match format {
        Format::Table => {
            for section in listing.sections(show.kind) {
                if show.kind == Kind::All && section.rows.is_empty() {
                    continue;
                }
                let title = if show.kind == Kind::All { format!("{}:\n", section.name) } else { String::new() };
                print(&(title + &table(section.columns, section.rows)));
            }
        }
        Format::Json => {
            let mut value = Map::from_iter([("generation".to_owned(), json!(listing.generation))]);
            for section in listing.sections(show.kind) {
                value.insert(section.name.to_owned(), section.value);
            }
            print_value(format, &value.into());
        }
        Format::Yaml => {
            listing.network.keep_what_was_put();
            let sections = listing.sections(show.kind).into_iter();
            let value = sections.map(|section| (section.name.to_owned(), section.value)).collect::<Map<_, _>>();
            print_value(format, &without_absent(value.into()).unwrap_or_else(|| json!({})));
        }
    }
    Ok(())
}

/// Asks the daemon for objects.
pub async fn list(daemon: &Daemon, filter: v1::ListRequest) -> Result<Listing, Failure> {
    let mut chunks = connect(daemon).await?.list(filter).await?.into_inner();
    let mut listing = Listing { generation: 0, network: Network::default() };
    while let Some(chunk) = chunks.message().await? {
        listing.generation = chunk.generation;
        for object in &chunk.objects {
            let inserted = listing.network.insert(object);
            inserted.map_err(|error| Failure::Unreachable(format!("the daemon's answer is malformed: {error}")))?;
        }
    }
    Ok(listing)
}

/// The kind as the contract calls it.
pub fn contract_kind(kind: Kind) -> v1::Kind {
    match kind {
        Kind::All => v1::Kind::All,
        Kind::Settings => v1::Kind::Settings,
        Kind::Vrfs => v1::Kind::Vrf,
        Kind::Vifs => v1::Kind::Vif,
        Kind::Routes => v1::Kind::Route,
        Kind::NextHopGroups => v1::Kind::NextHopGroup,
        Kind::Neighbours => v1::Kind::Neighbour,
        Kind::Bridges => v1::Kind::Bridge,
        Kind::Fdb => v1::Kind::FdbEntry,
        Kind::Vnis => v1::Kind::Vni,
        Kind::Labels => v1::Kind::Label,
        Kind::Groups => v1::Kind::Group,
        Kind::Acls => v1::Kind::Acl,
        Kind::Ports => v1::Kind::Port,
        Kind::Bfd => v1::Kind::BfdSession,
    }
}

/// One kind's objects, ready to print.
pub struct Section {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
    pub value: Value,
}

impl Listing {
    /// Those of one kind, or all, of which some may be empty.
    pub fn sections(&self, kind: Kind) -> Vec<Section> {
        let network = &self.network;
        let mut sections = Vec::new();
        let mut wanted = |of, make: &dyn Fn() -> Section| {
            if kind == of || kind == Kind::All {
                sections.push(make());
            }
        };
        wanted(Kind::Settings, &|| {
            let mut one = section("settings", network.settings.as_slice());
            // There is one: an object, not a list.
            one.value = one.value.get(0).cloned().unwrap_or(Value::Null);
            one
        });
        wanted(Kind::Vrfs, &|| section("vrfs", &network.vrfs));
        wanted(Kind::Vifs, &|| section("vifs", &network.vifs));
        wanted(Kind::Routes, &|| section("routes", &network.routes));
        wanted(Kind::NextHopGroups, &|| section("next_hop_groups", &network.next_hop_groups));
        wanted(Kind::Neighbours, &|| section("neighbours", &network.neighbours));
        wanted(Kind::Bridges, &|| section("bridges", &network.bridges));
        wanted(Kind::Fdb, &|| section("fdb", &network.fdb));
        wanted(Kind::Vnis, &|| section("vnis", &network.vnis));
        wanted(Kind::Labels, &|| section("labels", &network.labels));
        wanted(Kind::Groups, &|| section("groups", &network.groups));
        wanted(Kind::Acls, &|| section("acls", &network.acls));
        wanted(Kind::Ports, &|| section("ports", &network.ports));
        wanted(Kind::Bfd, &|| section("bfd_sessions", &network.bfd_sessions));
        sections
    }

    /// Forgets what has another name.
    fn keep(&mut self, name: &str) {
        fn named<T: Row>(all: &mut Vec<At<T>>, name: &str) {
            // A host route or its address, as one likes.
            all.retain(|one| one.name() == name || one.name().split_once('/').is_some_and(|(host, _)| host == name));
        }
        let network = &mut self.network;
        network.settings = network.settings.take().filter(|settings| settings.name() == name);
        named(&mut network.vrfs, name);
        named(&mut network.vifs, name);
        named(&mut network.routes, name);
        named(&mut network.next_hop_groups, name);
        named(&mut network.neighbours, name);
        named(&mut network.bridges, name);
        named(&mut network.fdb, name);
        named(&mut network.vnis, name);
        named(&mut network.labels, name);
        named(&mut network.groups, name);
        named(&mut network.acls, name);
        named(&mut network.ports, name);
        named(&mut network.bfd_sessions, name);
    }
}

fn section<T: Row + Serialize>(name: &'static str, all: &[At<T>]) -> Section {
    Section {
        name,
        columns: T::COLUMNS,
        rows: all.iter().map(|one| one.cells()).collect(),
        value: serde_json::to_value(all).unwrap_or(Value::Null),
    }
}
