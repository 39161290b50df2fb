//! Standing still for an upgrade: what there is goes to another process, and changes are not taken meanwhile.

use std::net::IpAddr;

use crossbeam::channel::{Receiver, Sender};

use super::Control;
use crate::api::v1;
use crate::daemon::ledger::{self, Ledger, Owners};
use crate::durable::Image;
use crate::ids::{Mac, PortIndex, VifId};

/// Generations that may come while the other process prepares: neighbours are learnt, links come and go.
const AHEAD: u64 = 1 << 20;

/// What is asked of the control thread.
pub enum Ask {
    /// To take no changes from now on. What it has is sent, or why it does not.
    Freeze(Sender<Result<Frozen, String>>),
    /// To go on.
    Thaw,
    /// To go on, with a state directory.
    Keep(Box<Ledger>),
}

/// A neighbour that was learnt: its VIF's name, its address, its MAC.
pub type Known = (String, Vec<u8>, Vec<u8>);

/// What does not change while changes are not taken.
pub struct Frozen {
    /// All objects of controllers, under their numbers, with a generation that does not come.
    pub image: Image,
    /// Batches in the state directory, if there is one.
    pub batches: Option<u64>,
    /// All ports, by name.
    pub ports: Vec<(String, PortIndex)>,
    pub neighbours: Vec<Known>,
}

impl Control {
    /// Hears this. Before the thread is started.
    pub fn hear(&mut self, asks: Receiver<Ask>) {
        self.asks = Some(asks);
    }

    /// Takes no changes from now on, until it is asked to go on.
    pub fn wait(&mut self) {
        self.frozen = true;
    }

    /// Goes on with what another process knew: neighbours that the model has from it, who was to be heard of, what waited to be confirmed, and
    /// revisions.
    pub fn go_on_with(&mut self, neighbours: &[(VifId, IpAddr, Mac)], image: &Image) {
        for (vif, address, mac) in neighbours {
            self.slow.local().go_on_with(*vif, *address, *mac, self.now);
        }
        let owners = Owners { leases: image.leases.clone(), unconfirmed: image.unconfirmed.clone() };
        self.go_on_with_owners(&owners, image.revisions.clone());
    }

    /// Does what was asked.
    pub(super) fn stand_still(&mut self) {
        while let Some(ask) = self.asks.as_ref().and_then(|asks| asks.try_recv().ok()) {
            match ask {
                Ask::Freeze(reply) => {
                    let frozen = self.freeze();
                    self.frozen = frozen.is_ok();
                    // who asked may have given up: then it says so
                    _ = reply.send(frozen);
                }
                Ask::Thaw => self.frozen = false,
                Ask::Keep(ledger) => {
                    self.keep_in(*ledger);
                    self.frozen = false;
                }
            }
        }
    }

    fn freeze(&self) -> Result<Frozen, String> {
        if let Some(refuses) = self.ledger.as_ref().map(|ledger| ledger.told().refuses).filter(|why| !why.is_empty()) {
            return Err(format!("the state directory cannot be written: {refuses}"));
        }
        let leases =
            self.leases.owners().filter_map(|owner| Some((owner.to_owned(), self.leases.of(owner)?.length))).collect();
        let owners = Owners { leases, unconfirmed: self.unconfirmed.all() };
        let batches = self.ledger.as_ref().map(|ledger| ledger.batches());
        let generation = self.model.generation().0 + AHEAD;
        let image = ledger::image(batches.unwrap_or_default(), generation, self.model.kept(), owners);
        let mut image = image.map_err(|error| error.to_string())?;
        // in a directory they are there already
        image.revisions = if batches.is_none() { self.revisions.all() } else { Vec::new() };
        let ports = image.numbers().ports.into_iter();
        let ports = ports.filter_map(|port| Some((port.name.clone(), self.model.port_index(&port.name)?))).collect();
        let neighbours = self.model.list(v1::Kind::Neighbour, "").into_iter().filter_map(|object| {
            let Some(v1::object::Kind::Neighbour(row)) = object.kind else { return None };
            let key = row.key.filter(|_| row.learnt && !row.mac.is_empty())?;
            Some((key.vif, key.address, row.mac))
        });
        Ok(Frozen { image, batches, ports, neighbours: neighbours.collect() })
    }
}
