//! A model that goes on where another process's was.

use std::sync::Arc;

use super::limits::Open;
use super::numbers::{self, Given};
use super::owners::Claim;
use super::{Model, OPERATOR, change, describe, refused};
use crate::api::state::v1 as told;
use crate::api::{Item, Other, v1};
use crate::ids::Generation;
use crate::tables::Snapshot;
use v1::change::Op;
use v1::object::Kind;

impl Model {
    /// Takes in the objects of another process's model, each as its owner's, under the numbers that they had there, as this generation or a later one. Ports
    /// that are there already are what they are; the others are opened by `open`.
    ///
    /// # Errors
    /// The first object that cannot be taken in, by its index: a limit that was higher there, for one. Then the model is of no use.
    pub fn restore(
        &mut self,
        objects: impl Iterator<Item = (Arc<str>, v1::Object)>,
        numbers: &told::Numbers,
        generation: Generation,
        open: &mut Open,
    ) -> Result<Arc<Snapshot>, v1::Refused> {
        let next = numbers.next.unwrap_or_default();
        self.state.given = Given::of(numbers);
        self.state.go_on_after(&next);
        let names = numbers.path_names.iter().map(|one| (one.name.as_str().into(), one.number));
        self.state.path_names.go_on_with(names, next.path_name);
        self.compiled.tenants.go_on_with(&numbers.tenants);
        for (index, (owner, object)) in objects.enumerate() {
            if let Some(Kind::Port(port)) = &object.kind
                && self.state.port_by_name.contains_key(port.name.as_str())
            {
                continue;
            }
            let item = Item::Other(Other::Owned(Box::new(v1::Change { op: Some(Op::Put(object)) })));
            let claim = Claim { owner: &owner, take_over: true };
            if let Err(refusal) = change::make(&mut self.state, claim, &item, open) {
                return Err(refused(index, describe::object(&item.into_change(), &owner), refusal));
            }
        }
        if let Err((object, refusal)) = self.state.check_redirects() {
            return Err(refused(0, object, refusal));
        }
        self.state.given = Given::default();
        self.begin_after(Generation(generation.0.saturating_sub(1)));
        Ok(self.publish(""))
    }

    /// From now on the numbers of what a batch touches are kept for [`Model::take_numbers`].
    pub fn number_batches(&mut self) {
        self.numbers = Some(told::Numbers::default());
    }

    /// The numbers of what the last batch touched.
    pub fn take_numbers(&mut self) -> told::Numbers {
        self.numbers.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// All objects of controllers, with their owners, and the numbers of all there is: what [`Model::restore`] takes.
    pub fn kept(&self) -> (Vec<(Arc<str>, v1::Object)>, told::Numbers) {
        let operator: Arc<str> = OPERATOR.into();
        let objects = self.list(v1::Kind::All, "").into_iter().filter_map(|object| {
            let owner = match object.kind.as_ref()? {
                Kind::Route(route) => match &route.key.as_ref()?.owner {
                    owner if owner == change::VIF_OWNER => return None,
                    owner => owner.as_str().into(),
                },
                Kind::Settings(_) if !self.state.settings.given => return None,
                Kind::Neighbour(neighbour) if neighbour.learnt => return None,
                Kind::FdbEntry(entry) if entry.learnt => return None,
                _ if object.owner.is_empty() => operator.clone(),
                _ => object.owner.as_str().into(),
            };
            Some((owner, object))
        });
        let tenants = self.compiled.tenants.names();
        (objects.collect(), told::Numbers { tenants, ..numbers::all(&self.state) })
    }
}
