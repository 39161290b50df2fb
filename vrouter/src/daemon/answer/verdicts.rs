//! Who looks for live flows whose verdict changed.

use std::sync::Arc;

use super::Control;
use crate::daemon::verdicts::Verdicts;
use crate::tables::Snapshot;

impl Control {
    /// The search for flows whose verdict changed, for a thread that is to do it: from now on stepping this does not.
    pub fn give_verdicts(&mut self) -> Arc<Verdicts> {
        self.steps_verdicts = false;
        self.verdicts.clone()
    }

    /// Has it begun if this snapshot, which is to be published, permits something else.
    pub(super) fn look_for_verdicts(&self, snapshot: &Arc<Snapshot>) {
        let before = self.publisher.current();
        if snapshot.judged > before.judged {
            // a batch takes time, and flows begin meanwhile
            self.verdicts.change(before, snapshot, self.now.max(self.clock.millis()));
        }
    }
}
