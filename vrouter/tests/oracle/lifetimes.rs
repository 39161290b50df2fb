//! Lifetimes: when flows end.

use super::Oracle;
use super::flows::Pair;

/// How long after the end of its lifetime the product may still have a pair, in milliseconds.
const SWEEP: u64 = 11_000;

impl Oracle {
    /// When its lifetime ends. The product counts tenths of seconds.
    pub(super) fn ends(&self, pair: &Pair) -> u64 {
        let (lifetimes, tuple) = (&self.config.settings.lifetimes, pair.halves[0].key.1);
        let seconds = match pair.state() {
            "opening" => lifetimes.tcp_opening,
            "established" => lifetimes.tcp_established,
            "closing" => lifetimes.tcp_closing,
            _ if [1, 58].contains(&tuple.protocol) => lifetimes.icmp,
            "unanswered" => lifetimes.udp_unanswered,
            _ => lifetimes.udp_answered,
        };
        (pair.last_seen() / 100 + seconds * 10 + 1) * 100
    }

    /// When it is surely gone.
    fn gone(&self, pair: &Pair) -> u64 {
        self.ends(pair).max(self.lifetimes_since) + SWEEP
    }

    pub(super) fn age(&mut self) {
        while let Some(at) = self.flows.iter().position(|pair| self.gone(pair) <= self.now) {
            self.feature("flow_aged");
            self.forget(at);
        }
    }

    /// The first time from this one on when no flow is in limbo.
    pub(super) fn limbo_ends(&self, mut at: u64) -> u64 {
        while let Some(pair) = self.flows.iter().find(|pair| self.ends(pair) <= at && at < self.gone(pair)) {
            at = self.gone(pair);
        }
        at
    }
}
