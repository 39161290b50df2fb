//! What is looked at every round: links, quotas, workers.

use super::{Control, HEARTBEAT};

impl Control {
    /// A port that lost its link gets no more of what has another way, one that has it again does.
    pub(super) fn watch_links(&mut self) {
        for (port, up) in self.ports.links() {
            if let Some(snapshot) = self.model.link(port, up) {
                tracing::info!(port = port.index(), up, "link");
                self.publisher.publish(snapshot);
                self.want_neighbours();
            }
        }
    }

    /// Quotas that are nearly or wholly used raise alarms.
    pub(super) fn watch_quotas(&mut self, now: u64) {
        for (holder, alarms) in self.quotas.look(&self.shared, self.publisher.current(), &self.model, now) {
            if let Some(snapshot) = self.model.alarm(holder, alarms) {
                tracing::info!(?holder, ?alarms, "quota");
                self.publisher.publish(snapshot);
            }
        }
    }

    /// A worker whose polls stand still is reported: it hangs in a driver, or its core was taken away.
    pub(super) fn watch_workers(&mut self, now: u64) {
        for (index, (end, (polls, rose))) in self.shared.workers.iter().zip(&mut self.heartbeats).enumerate() {
            let count = end.counters.worker.polls.count();
            if count != *polls {
                (*polls, *rose) = (count, now);
            } else if now.saturating_sub(*rose) >= HEARTBEAT {
                tracing::error!(worker = index, ms = now - *rose, "the worker does not poll");
                *rose = now;
            }
        }
    }
}
