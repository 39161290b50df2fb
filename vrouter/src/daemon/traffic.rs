//! What sources and sinks tell of themselves.

use crate::api::v1;
use crate::port::traffic::latency::{longest, quantile};
use crate::port::traffic::overflows::Overflow;
use crate::port::traffic::{TrafficDevice, counts::Totals};

/// A source's or sink's row.
pub fn stats(port: &str, device: &TrafficDevice) -> v1::PortStats {
    let totals = device.totals();
    v1::PortStats {
        port: port.into(),
        link_up: true,
        rx_packets: totals.made,
        tx_packets: totals.taken,
        missed: totals.missed,
        no_mbuf: 0,
        errors: 0,
        traffic: Some(v1::TrafficStats {
            stamped: totals.stamped,
            bytes: totals.bytes,
            lost: totals.lost,
            reordered: totals.late,
            repeated: totals.repeated,
            latency: Some(latency(&totals, device)),
            overflows: overflows(&totals, device),
        }),
    }
}

fn overflows(totals: &Totals, device: &TrafficDevice) -> Vec<v1::Overflow> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    let told = |overflow: &Overflow| v1::Overflow {
        at_ns: now.saturating_sub(device.ago(overflow.first)),
        lasted_ns: device.nanoseconds(overflow.last.saturating_sub(overflow.first)),
        frames: overflow.frames,
    };
    totals.overflows.iter().map(told).collect()
}

fn latency(totals: &Totals, device: &TrafficDevice) -> v1::Latency {
    let counts = || totals.latencies.iter().copied().enumerate();
    let told = |per_mille| quantile(counts(), per_mille).map_or(0, |cycles| device.nanoseconds(cycles));
    let buckets = counts().filter(|(_, frames)| *frames > 0);
    let bucket = |(at, frames)| v1::LatencyBucket { longest_ns: device.nanoseconds(longest(at)), frames };
    v1::Latency {
        p50_ns: told(500),
        p99_ns: told(990),
        p999_ns: told(999),
        longest_ns: told(1000),
        buckets: buckets.map(bucket).collect(),
    }
}
