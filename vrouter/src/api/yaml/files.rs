//! A network in several files, which are one batch: what differs from host to host in one, what tenants have in another.

use std::collections::HashMap;

use prost::Message;

use super::{Network, projects};
use crate::api::position::{FileError, Position};
use crate::api::v1;

/// Files by name, with what is in them. Objects may refer to those of any file.
pub struct Files(Vec<(String, Network)>);

/// Where an object stands: the file, by its place among them, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    pub file: usize,
    pub position: Position,
}

impl Files {
    /// Reads files, by name and text. Projects are expanded into plain objects by what all files say of hosts.
    ///
    /// # Errors
    /// The first fault of the language.
    pub fn parse(files: &[(String, String)]) -> Result<Files, FileError> {
        let read = |(name, text): &(String, String)| Network::parse(name, text);
        let mut networks: Vec<_> = files.iter().map(read).collect::<Result<_, _>>()?;
        projects::expand(&mut networks).map_err(|(file, fault)| fault.of_file(&files[file].0))?;
        Ok(Files(files.iter().map(|(name, _)| name.clone()).zip(networks).collect()))
    }

    /// The files, in their order, with plain objects only.
    pub fn all(&self) -> &[(String, Network)] {
        &self.0
    }

    /// Puts of all objects in the order of their references, each with where it stands.
    ///
    /// # Errors
    /// What is wrong in one of them, or is in two.
    pub fn changes(&self) -> Result<Vec<(v1::Change, Stands)>, FileError> {
        let mut all = Vec::new();
        for (file, (name, network)) in self.0.iter().enumerate() {
            let changes = network.changes().map_err(|fault| fault.of_file(name))?;
            all.extend(changes.into_iter().map(|(change, position)| (change, Stands { file, position })));
        }
        if self.0.len() > 1 {
            self.refuse_doubles(&all)?;
            // of one kind each file's stay together
            all.sort_by_key(|(change, _)| rank(change));
        }
        Ok(all)
    }

    /// All of them as one network of plain objects.
    ///
    /// # Errors
    /// What is wrong in one of them, or is in two.
    pub fn merged(&self) -> Result<Network, FileError> {
        self.changes()?;
        let mut all = Network::default();
        self.0.iter().for_each(|(_, network)| all.append(network.clone()));
        Ok(all)
    }

    /// Where something stands, for people: "network.yaml:3:5".
    pub fn text(&self, at: Stands) -> String {
        let name = self.0.get(at.file).map_or("", |(name, _)| name);
        format!("{name}:{}:{}", at.position.line, at.position.column)
    }

    /// An object's fault, where it stands.
    pub fn fault(&self, at: Option<Stands>, field: String, reason: String) -> FileError {
        let file = at.and_then(|at| self.0.get(at.file)).or(self.0.first());
        FileError {
            file: file.map(|(name, _)| name.clone()).unwrap_or_default(),
            position: at.map(|at| at.position).filter(|position| position.line > 0),
            field,
            reason,
        }
    }

    fn refuse_doubles(&self, all: &[(v1::Change, Stands)]) -> Result<(), FileError> {
        let mut seen: HashMap<Vec<u8>, Stands> = HashMap::with_capacity(all.len());
        for (change, at) in all {
            let Some(v1::change::Op::Put(v1::Object { kind: Some(kind), .. })) = &change.op else { continue };
            let first = seen.insert(v1::ObjectKey { kind: kind.key() }.encode_to_vec(), *at);
            if let Some(first) = first.filter(|first| first.file != at.file) {
                return Err(self.fault(Some(*at), name(kind), format!("is already there, at {}", self.text(first))));
            }
        }
        Ok(())
    }
}

/// What an object is called.
fn name(kind: &v1::object::Kind) -> String {
    use v1::object_key::Kind;
    match kind.key() {
        None => "settings".into(),
        Some(Kind::Vrf(name)) => format!("vrf {name}"),
        Some(Kind::Vif(name)) => format!("vif {name}"),
        Some(Kind::Acl(name)) => format!("acl {name}"),
        Some(Kind::Group(name)) => format!("group {name}"),
        Some(Kind::Port(name)) => format!("port {name}"),
        Some(Kind::Bridge(name)) => format!("bridge {name}"),
        Some(Kind::NextHopGroup(name)) => format!("next_hop_group {name}"),
        Some(Kind::BfdSession(name)) => format!("bfd_session {name}"),
        Some(Kind::Vni(vni)) => format!("vni {vni}"),
        Some(Kind::Label(label)) => format!("label {label}"),
        Some(Kind::Route(key)) => format!("a route of vrf {}", key.vrf),
        Some(Kind::Neighbour(key)) => format!("a neighbour of vif {}", key.vif),
        Some(Kind::FdbEntry(key)) => format!("an entry of bridge {}", key.bridge),
    }
}

/// What is referred to comes first, as in [`Network::changes`].
fn rank(change: &v1::Change) -> usize {
    use v1::object::Kind;
    let Some(v1::change::Op::Put(v1::Object { kind: Some(kind), .. })) = &change.op else { return 0 };
    match kind {
        Kind::Port(_) => 0,
        Kind::Group(_) => 1,
        Kind::Acl(_) => 2,
        Kind::Vrf(_) => 3,
        Kind::Bridge(_) => 4,
        Kind::Vif(_) => 5,
        Kind::Settings(_) => 6,
        Kind::Neighbour(_) => 7,
        Kind::BfdSession(_) => 8,
        Kind::NextHopGroup(_) => 9,
        Kind::Route(_) => 10,
        Kind::FdbEntry(_) => 11,
        Kind::Vni(_) => 12,
        Kind::Label(_) => 13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[&str]) -> Files {
        let named: Vec<_> = texts.iter().enumerate().map(|(at, text)| (format!("{at}.yaml"), (*text).into())).collect();
        Files::parse(&named).unwrap()
    }

    #[test]
    fn files_are_one_batch_in_the_order_of_references() {
        let [host, tenants] = ["vifs: [{name: a, port: p, vrf: red}]\nsettings: {}", "vrfs: [{name: red}]"];
        let order = |texts: &[&str]| {
            let changes = files(texts).changes().unwrap();
            changes.iter().map(|(change, at)| (rank(change), at.file, at.position.line)).collect::<Vec<_>>()
        };
        assert_eq!(order(&[host, tenants]), [(3, 1, 1), (5, 0, 1), (6, 0, 2)]);
        assert_eq!(order(&[tenants, host]), [(3, 0, 1), (5, 1, 1), (6, 1, 2)]);
        // as a file alone has them
        let all = "ports: [{name: p, devargs: x}]\ngroups: [{name: g}]\nacls: [{name: a}]\nvrfs: [{name: v}]\nbridges: [{name: b, vrf: v}]\n\
                   vifs: [{name: i, port: p, vrf: v}]\nsettings: {}\nroutes: [{vrf: v, prefix: 10.0.0.0/8, drop: true}]\nvnis: [{vni: 1, vrf: v}]\n\
                   labels: [{label: 17, vrf: v}]\n";
        let ranks: Vec<_> = files(&[all]).changes().unwrap().iter().map(|(change, _)| rank(change)).collect();
        assert!(ranks.len() == 10 && ranks.is_sorted(), "{ranks:?}");
    }

    #[test]
    fn what_is_in_two_files_is_refused_where_it_stands() {
        let refused = |one: &str, other: &str| files(&[one, other]).changes().unwrap_err().to_string();
        let vrfs = "vrfs: [{name: red}]";
        assert_eq!(refused(vrfs, &format!("# again\n{vrfs}")), "1.yaml:2:8: vrf red: is already there, at 0.yaml:1:8");
        assert!(refused("settings: {}", "settings: {}").contains("settings: is already there, at 0.yaml:1:"));
        let route = "routes: [{vrf: v, prefix: 10.0.0.0/8, drop: true}]";
        assert!(refused(route, route).contains("a route of vrf v: is already there"));
        let other = route.replace("drop", "owner: bgp, drop");
        assert!(files(&[route, &other]).changes().is_ok(), "another owner's");
    }
}
