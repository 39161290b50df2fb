//! What the model needs of the slow path's neighbour table, and what it is told of it.

use std::net::IpAddr;

use super::publish::Publisher;
use super::slow_path::{SlowPath, Told};
use crate::ids::{Generation, VifId};
use crate::model::Model;

/// The neighbours that the slow path is asked for. Control thread.
#[derive(Default)]
pub(super) struct Wanted {
    /// In order.
    neighbours: Vec<(VifId, IpAddr)>,
    /// The model needs them since then.
    since: Option<Generation>,
    /// One of them cannot be asked for, or the model did not take it.
    refused: bool,
}

/// What became of what was told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// A snapshot was published.
    News,
    Known,
    Refused,
}

impl Wanted {
    /// Asks for what the model needs, if that changed. Who is known already is told to the model, which may have lost what the slow
    /// path has. What is refused is tried again with the next change.
    pub(super) fn renew(&mut self, model: &mut Model, slow: &mut SlowPath, publisher: &mut Publisher) {
        let refused_before = std::mem::take(&mut self.refused);
        let mut again = refused_before;
        // a neighbour that the model is told can be the way to others
        while std::mem::take(&mut again) || self.since != Some(model.needed_since()) {
            self.since = Some(model.needed_since());
            let needed = model.needed_neighbours();
            let before = std::mem::replace(&mut self.neighbours, needed.clone());
            for (vif, address) in before.into_iter().filter(|key| needed.binary_search(key).is_err()) {
                slow.local().unwant(vif, address);
            }
            for (vif, address) in needed {
                let refused = match slow.local().want(vif, address) {
                    Ok(None) => continue,
                    Ok(Some(mac)) => match tell(model, publisher, Told::Learn { vif, address, mac }) {
                        Heard::News | Heard::Known => continue,
                        Heard::Refused => "the table of the model is full".to_string(),
                    },
                    Err(why) => why.to_string(),
                };
                if !std::mem::replace(&mut self.refused, true) && !refused_before {
                    tracing::warn!(%address, "a neighbour is needed and not taken: {refused}");
                }
            }
        }
    }

    /// Carries what the slow path learnt to the model; true: a snapshot was published.
    pub(super) fn hear(&mut self, model: &mut Model, publisher: &mut Publisher, told: Told) -> bool {
        let heard = tell(model, publisher, told);
        self.refused |= heard == Heard::Refused;
        heard == Heard::News
    }
}

fn tell(model: &mut Model, publisher: &mut Publisher, told: Told) -> Heard {
    let (snapshot, there) = match told {
        Told::Learn { vif, address, mac } => (model.learn(vif, address, mac), model.has_neighbour(vif, address)),
        Told::Forget { vif, address } => (model.forget(vif, address), true),
    };
    match snapshot {
        Some(snapshot) => {
            publisher.publish(snapshot);
            Heard::News
        }
        None if there => Heard::Known,
        None => Heard::Refused,
    }
}
