//! What a server serves by.

use std::sync::Arc;

use super::super::server::Bounds;
use super::super::upgrade::Upgrades;
use super::{Access, Audit, Tls};

/// Bounds of what clients may ask for, rules of who may ask, another way in, where it is written down, and who upgrades.
#[derive(Debug, Default)]
pub struct Terms {
    pub bounds: Bounds,
    pub access: Arc<Access>,
    pub tls: Option<Tls>,
    pub audit: Audit,
    /// Absent: nobody.
    pub upgrades: Option<Upgrades>,
}

impl From<Bounds> for Terms {
    fn from(bounds: Bounds) -> Terms {
        Terms { bounds, ..Terms::default() }
    }
}
