//! A network that no daemon has: read from files, compiled by the model, and asked by the code that forwards, without a device, a thread or a
//! clock.
//!
//! [`Candidate`] is the model and its snapshot; [`Bed`] is a worker on virtual wires that forwards by it; [`check`] holds it against
//! expectations, and [`Coverage`] says what none of them touched. Neighbours of the underlay are taken to have answered.

mod bed;
mod coverage;
mod packet;
mod places;
mod report;
mod run;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

pub use bed::{Bed, Left, Outcome};
pub use coverage::{Coverage, Item, What};
pub use packet::Packet;
pub use report::{junit, tap};
pub use run::{Tested, check, check_each};

use crate::api::position::FileError;
use crate::api::v1;
use crate::api::yaml::{Files, Network, Stands};
use crate::ids::{Mac, VifId};
use crate::model::{Limits, Model, NewPort, PortInfo};
use crate::tables::{Snapshot, Vif, VifKind};
use places::Places;

/// L3 bytes of a port that no file tells of.
const MTU: u16 = 1500;

/// A network of files.
pub struct Candidate {
    model: Model,
    snapshot: Arc<Snapshot>,
    vifs: HashMap<String, VifId>,
    files: Files,
    objects: usize,
    /// Made when somebody asks.
    places: OnceLock<Places>,
}

impl Candidate {
    /// Reads files, by name and text, and makes one batch of them. Ports that VIFs name and no file has are taken to be there.
    ///
    /// # Errors
    /// The first fault: of the language, or of an object that the model refuses, at its place in its file.
    pub fn read(files: &[(String, String)]) -> Result<Candidate, FileError> {
        let files = Files::parse(files)?;
        let mut model = model(files.all());
        let objects = apply(&mut model, &files)?;
        let snapshot = with_neighbours(&mut model);
        let vifs = snapshot.vifs.iter().map(|(_, vif)| (vif.name.to_string(), vif.id)).collect();
        Ok(Candidate { model, snapshot, vifs, files, objects, places: OnceLock::new() })
    }

    /// What workers forward by.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The files and what is in them.
    pub fn files(&self) -> &[(String, Network)] {
        self.files.all()
    }

    /// Where what decided in a step stands: the rule, or its ACL where the end of that decided; the route, or the VIF whose it is; the VIF; the VRF
    /// that has no route. What was expanded from a project stands where its policy, interface or network does. `None`: in no file.
    pub fn stands(&self, step: &v1::Step) -> Option<Stands> {
        let places = self.places.get_or_init(|| Places::of(self.files.all()));
        places.of_step(step).filter(|at| at.position.line > 0)
    }

    /// The same for people: "network.yaml:12:3"; empty: in no file.
    pub fn place(&self, step: &v1::Step) -> String {
        self.stands(step).map(|at| self.files.text(at)).unwrap_or_default()
    }

    /// How many objects there are in the files.
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// The VIF with this name.
    pub fn vif(&self, name: &str) -> Option<&Vif> {
        self.snapshot.vifs.row(self.vifs.get(name)?.index())
    }

    /// The tenant VIFs of a VRF, by name; `None`: there is no such VRF.
    pub fn vifs_of(&self, vrf: &str) -> Option<Vec<&Vif>> {
        let id = self.snapshot.vrfs.iter().find(|(_, row)| *row.name == *vrf)?.1.id;
        let rows = self.snapshot.vifs.iter().map(|(_, vif)| vif);
        let mut vifs: Vec<_> = rows.filter(|vif| vif.vrf == id && vif.kind == VifKind::Tenant).collect();
        vifs.sort_by(|one, other| one.name.cmp(&other.name));
        Some(vifs)
    }
}

/// An empty model with the ports that VIFs name and no file has.
fn model(files: &[(String, Network)]) -> Model {
    let named = files.iter().flat_map(|(_, network)| &network.vifs);
    let named: BTreeSet<&str> =
        named.flat_map(|vif| [Some(vif.port.as_str()), vif.exception_port.as_deref()]).flatten().collect();
    let added: BTreeSet<&str> =
        files.iter().flat_map(|(_, network)| &network.ports).map(|port| port.name.as_str()).collect();
    let ports: Vec<_> = named.difference(&added).enumerate().map(|(at, name)| port(at, name)).collect();
    let limits = Limits::default();
    let vifs = files.iter().map(|(_, network)| network.vifs.len()).sum::<usize>();
    Model::new(Limits { ports: ports.len() + added.len(), vifs: vifs.max(limits.vifs), ..limits }, ports)
}

fn port(at: usize, name: &str) -> PortInfo {
    PortInfo { name: name.into(), devargs: String::new(), mac: made_up(0x50, at), mtu: MTU, queues: 1 }
}

/// A MAC of our own making.
fn made_up(kind: u8, at: usize) -> Mac {
    let [.., a, b, c] = at.to_be_bytes();
    Mac([2, 0, kind, a, b, c])
}

/// Returns how many objects there are.
fn apply(model: &mut Model, files: &Files) -> Result<usize, FileError> {
    let (changes, stand): (Vec<v1::Change>, Vec<_>) = files.changes()?.into_iter().unzip();
    let mut open = |wanted: NewPort| {
        let at = wanted.index.index();
        let mtu = wanted.mtu.unwrap_or(MTU);
        Ok(PortInfo { devargs: wanted.devargs.into(), mtu, ..port(at, wanted.name) })
    };
    model.apply_opening("", &changes, &mut open).map(|_| changes.len()).map_err(|refused| {
        let field = [refused.object, refused.field].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        files.fault(stand.get(refused.change as usize).copied(), field.join(": "), refused.reason)
    })
}

/// Every neighbour that tunnels and gateways go by has answered.
fn with_neighbours(model: &mut Model) -> Arc<Snapshot> {
    let mut told: BTreeSet<(VifId, IpAddr)> = BTreeSet::new();
    loop {
        // one that answers can be the way to others
        let new: Vec<_> = model.needed_neighbours().into_iter().filter(|key| !told.contains(key)).collect();
        if new.is_empty() {
            return model.snapshot();
        }
        for (vif, address) in new {
            model.learn(vif, address, made_up(0x60, told.len()));
            told.insert((vif, address));
        }
    }
}
