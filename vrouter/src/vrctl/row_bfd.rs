//! BFD sessions as rows of a table.

use vrouter::api::yaml::BfdSession;

use super::rows::Row;

impl Row for BfdSession {
    const COLUMNS: &[&str] = &[
        "session",
        "vrf",
        "remote",
        "kind",
        "state",
        "peer",
        "sends every",
        "gone after",
        "packets",
        "ups",
        "failures",
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let dash = || "-".to_string();
        let ms = |us: u64| if us == 0 { "-".into() } else { format!("{} ms", us as f64 / 1000.0) };
        let state = self.state.clone().unwrap_or_else(dash);
        let why = self.diagnostic.as_deref().filter(|why| *why != "none").map(|why| format!(": {why}"));
        let failed = if self.failed { ", failed" } else { "" };
        let live = self.live.clone().unwrap_or_default();
        let mut peer = live.remote_state;
        if live.remote_discriminator == 0 {
            peer = dash();
        }
        let packets = format!("{} sent, {} received, {} refused", live.sent, live.received, live.refused);
        vec![
            self.name.clone(),
            self.vrf.clone(),
            self.remote.to_string(),
            if self.multihop { "multihop" } else { "on the link" }.into(),
            format!("{state}{failed}{}", why.unwrap_or_default()),
            peer,
            ms(live.tx_interval_us.into()),
            ms(live.detection_time_us),
            packets,
            live.ups.to_string(),
            live.failures.to_string(),
        ]
    }
}
