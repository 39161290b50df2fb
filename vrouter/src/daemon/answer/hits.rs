//! How often rules have decided.

use super::{Control, refused};
use crate::api::v1;
use crate::control::Rows;

impl Control {
    pub(super) fn hits(&mut self, filter: &v1::HitsRequest) -> Result<Rows<v1::RuleHits>, v1::Refused> {
        let rows = self.model.hits(&filter.acl).map_err(|error| refused("hits", &error))?;
        Ok(Box::new(rows.into_iter()))
    }
}
