//! Captures go with the snapshot, so that workers have them without asking for more, and `Sync` waits for them as for anything.

use std::sync::Arc;

use super::Model;
use crate::tables::{Captures, Snapshot};

impl Model {
    /// These captures are on from now on, and no others. No flow is judged anew.
    pub fn capture(&mut self, captures: Captures) -> Arc<Snapshot> {
        Arc::make_mut(&mut self.compiled.snapshot).captures = captures;
        self.publish("")
    }
}
