//! Captures: begun here, and ended here when nobody takes their copies any more.

use super::Control;
use crate::api::v1;
use crate::control::{NotCaptured, Taken};
use crate::daemon::view::capture::Taker;

impl Control {
    pub(super) fn capture(&mut self, wanted: &v1::CaptureRequest) -> Result<Taken, NotCaptured> {
        let (capture, open) = self.captures.begin(&self.shared, self.publisher.current(), wanted)?;
        tracing::info!(number = capture.number, vif = wanted.vif, filter = wanted.filter, "a capture begins");
        let snapshot = self.model.capture(self.captures.all());
        let mut taker = Taker::new(self.shared.clone(), (snapshot.generation, &capture), wanted, (open, self.clock));
        self.publisher.publish(snapshot);
        Ok(Box::new(move || taker.take()))
    }

    /// Workers do not copy any more for those that ended.
    pub(super) fn end_captures(&mut self) {
        if self.captures.end_unwanted(self.model.generation().0 + 1) {
            tracing::info!(left = self.captures.count(), "a capture ended");
            let snapshot = self.model.capture(self.captures.all());
            self.publisher.publish(snapshot);
        }
    }
}
