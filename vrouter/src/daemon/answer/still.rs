//! Standing still for an upgrade: what there is goes to another process, and changes are not taken meanwhile.

use std::collections::BTreeMap;

use crossbeam::channel::{Receiver, Sender};

use super::Control;
use crate::daemon::ledger;
use crate::durable::Image;
use crate::ids::PortIndex;

/// Generations that may come while the other process prepares: neighbours are learnt, links come and go.
const AHEAD: u64 = 1 << 20;

/// What is asked of the control thread.
pub enum Ask {
    /// To take no changes from now on. What it has is sent, or why it does not.
    Freeze(Sender<Result<Frozen, String>>),
    /// To go on.
    Thaw,
}

/// What does not change while changes are not taken.
pub struct Frozen {
    /// All objects of controllers, under their numbers, with a generation that does not come.
    pub image: Image,
    /// Batches in the state directory, if there is one.
    pub batches: Option<u64>,
    /// All ports, by name.
    pub ports: Vec<(String, PortIndex)>,
}

impl Control {
    /// Hears this. Before the thread is started.
    pub fn hear(&mut self, asks: Receiver<Ask>) {
        self.asks = Some(asks);
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
            }
        }
    }

    fn freeze(&self) -> Result<Frozen, String> {
        if let Some(refuses) = self.ledger.as_ref().map(|ledger| ledger.told().refuses).filter(|why| !why.is_empty()) {
            return Err(format!("the state directory cannot be written: {refuses}"));
        }
        let leases: BTreeMap<String, u32> =
            self.leases.owners().filter_map(|owner| Some((owner.to_owned(), self.leases.of(owner)?.length))).collect();
        let batches = self.ledger.as_ref().map(|ledger| ledger.batches());
        let generation = self.model.generation().0 + AHEAD;
        let image = ledger::image(batches.unwrap_or_default(), generation, self.model.kept(), leases);
        let image = image.map_err(|error| error.to_string())?;
        let ports = image.numbers().ports.into_iter();
        let ports = ports.filter_map(|port| Some((port.name.clone(), self.model.port_index(&port.name)?))).collect();
        Ok(Frozen { image, batches, ports })
    }
}
