//! `vrctl trace`: the next packets, grouped by the way that they take.

use serde_json::{Value, json};
use vrouter::api::v1;

use super::Failure;
use super::connect::{Daemon, connect};
use super::decode::head_line;
use super::explain::step_value;
use super::output::{Format, print, print_value, table};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl trace --vif web1
  vrctl trace -c 1000 --seconds 10 tcp port 80
  vrctl trace -o json vxlan 100 and host 10.1.1.20 | jq '.ways[] | [.packets, .verdict]'

It is what `vrctl explain` says of each packet as it was received, by the tables and flows a millisecond or so later: the first packet of a flow
may be told as one of a live flow. Packets of one way have the verdict in common, and in each step who decided. The filter is that of
`vrctl capture`, and so is the role that it needs.

Below a way are the cycles of the time stamp counter that a packet of it took, by stage, mean and most: a stage's cycles are shared alike by the
packets of the burst that went through it. A packet of a live flow that is plain goes by the lane: rx, lane_lookup, lane_rewrite, finish. Any
other goes by rx, lane_lookup, classify, lookup (its flow), decide (quota, route, path, ACLs, next hop), act (headers), finish (queues, the
ports' tx, drops). While a trace is on each burst leaves before the next is received.
")]
pub struct Trace {
    /// Only what enters here
    #[arg(long, value_name = "NAME")]
    pub vif: Option<String>,
    /// So many packets
    #[arg(short, long, default_value_t = 10, value_name = "PACKETS")]
    pub count: u32,
    /// No longer than so many seconds; 0: until there are as many, or it is ended
    #[arg(long, default_value_t = 0)]
    pub seconds: u32,
    /// Which packets; none: all
    #[arg(trailing_var_arg = true)]
    pub filter: Vec<String>,
}

/// What packets took of their workers.
#[derive(Default)]
struct Cost {
    /// Packets of which it is known.
    packets: u64,
    stages: Vec<StageCost>,
}

struct StageCost {
    stage: String,
    /// Packets that went through it, their shares in sum, and the largest one.
    packets: u64,
    cycles: f64,
    most: f64,
    /// Packets of their bursts, in sum.
    burst: u64,
}

impl Cost {
    fn add(&mut self, stages: &[v1::StageCycles]) {
        self.packets += u64::from(!stages.is_empty());
        for v1::StageCycles { stage, cycles, packets } in stages {
            let at = self.stages.iter().position(|known| known.stage == *stage).unwrap_or_else(|| {
                let known = StageCost { stage: stage.clone(), packets: 0, cycles: 0.0, most: 0.0, burst: 0 };
                self.stages.push(known);
                self.stages.len() - 1
            });
            let (known, share) = (&mut self.stages[at], *cycles as f64 / f64::from((*packets).max(1)));
            known.packets += 1;
            known.cycles += share;
            known.most = known.most.max(share);
            known.burst += u64::from(*packets);
        }
    }

    /// Of a packet on average.
    fn mean(&self) -> f64 {
        self.stages.iter().map(|stage| stage.cycles).sum::<f64>() / self.packets.max(1) as f64
    }

    fn text(&self) -> String {
        if self.packets == 0 {
            return String::new();
        }
        let cells = |stage: &StageCost| {
            let (packets, bursts) = (stage.packets.to_string(), stage.burst as f64 / stage.packets as f64);
            let mean = format!("{:.0}", stage.cycles / stage.packets as f64);
            vec![stage.stage.clone(), mean, format!("{:.0}", stage.most), packets, format!("{bursts:.1}")]
        };
        let heads = ["stage", "cycles a packet", "most", "packets", "of bursts of"];
        format!("{:.0} cycles a packet\n{}", self.mean(), table(&heads, self.stages.iter().map(cells)))
    }

    fn value(&self) -> Value {
        let stages = self.stages.iter().map(|stage| {
            json!({
                "stage": stage.stage,
                "packets": stage.packets,
                "mean": stage.cycles / stage.packets as f64,
                "most": stage.most,
                "burst": stage.burst as f64 / stage.packets as f64,
            })
        });
        json!({ "mean": self.mean(), "stages": stages.collect::<Vec<_>>() })
    }
}

/// Packets that took one way: entered at one VIF, and the same objects decided the same.
struct Way {
    vif: String,
    explained: v1::ExplainReply,
    packets: u64,
    bytes: u64,
    cost: Cost,
    /// The first one's: its 5-tuple, or what its first bytes say.
    example: String,
}

pub async fn run(daemon: &Daemon, format: Format, trace: Trace) -> Result<(), Failure> {
    let request = v1::CaptureRequest {
        points: vec![v1::CapturePoint::Rx.into()],
        vif: trace.vif.clone().unwrap_or_default(),
        filter: trace.filter.join(" "),
        packets: trace.count.max(1).into(),
        duration_ms: trace.seconds.saturating_mul(1000),
        explain: true,
        ..v1::CaptureRequest::default()
    };
    let mut chunks = connect(daemon).await?.capture(request).await?.into_inner();
    let (mut ways, mut lost): (Vec<Way>, u64) = (Vec::new(), 0);
    loop {
        let chunk = tokio::select! {
            chunk = chunks.message() => chunk?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Some(chunk) = chunk else { break };
        if chunk.started {
            eprintln!("vrctl: waiting for {} packets", trace.count.max(1));
        }
        lost = chunk.lost;
        chunk.packets.into_iter().for_each(|packet| enter(&mut ways, packet));
        if chunk.last {
            break;
        }
    }
    ways.sort_by_key(|way| std::cmp::Reverse(way.packets));
    match format {
        Format::Table if ways.is_empty() => print("none\n"),
        Format::Table => ways.iter().for_each(|way| print(&text(way))),
        _ => {
            let all: Vec<_> = ways.iter().map(value).collect();
            print_value(format, &json!({ "ways": all, "lost": lost }));
        }
    }
    Ok(())
}

fn enter(ways: &mut Vec<Way>, packet: v1::CapturedPacket) {
    let explained = packet.explained.unwrap_or_default();
    let bytes = u64::from(packet.length);
    let same = ways.iter_mut().find(|way| way.vif == packet.vif && is_same(&way.explained, &explained));
    if let Some(way) = same {
        way.packets += 1;
        way.bytes += bytes;
        way.cost.add(&packet.stages);
        return;
    }
    let mut cost = Cost::default();
    cost.add(&packet.stages);
    let example = if packet.flow.is_empty() { head_line(&packet.data) } else { packet.flow };
    ways.push(Way { vif: packet.vif, explained, packets: 1, bytes, cost, example });
}

/// The same verdict, for the same steps by the same objects; what they found may differ from flow to flow.
fn is_same(one: &v1::ExplainReply, other: &v1::ExplainReply) -> bool {
    let decides = |step: &v1::Step| (step.name.clone(), step.object.clone());
    one.verdict == other.verdict
        && (&one.exit_vif, &one.exit_tunnel_vrf, &one.remote)
            == (&other.exit_vif, &other.exit_tunnel_vrf, &other.remote)
        && one.steps.iter().map(decides).eq(other.steps.iter().map(decides))
}

fn text(way: &Way) -> String {
    let Way { vif, explained, packets, bytes, cost, example } = way;
    let plural = if *packets == 1 { "packet" } else { "packets" };
    let vif = if vif.is_empty() { "no vif" } else { vif };
    let cells = |step: &v1::Step| vec![step.name.clone(), step.object.clone(), step.detail.clone()];
    let steps = if explained.steps.is_empty() {
        String::new()
    } else {
        table(&["step", "who decides", "what"], explained.steps.iter().map(cells))
    };
    let end = format!("{}: {}", explained.verdict, explained.result);
    format!(
        "{packets} {plural}, {bytes} bytes, entered by {vif}; the first: {example}\n{steps}{end}\n{}\n",
        cost.text()
    )
}

fn value(way: &Way) -> Value {
    json!({
        "vif": way.vif,
        "packets": way.packets,
        "bytes": way.bytes,
        "example": way.example,
        "verdict": way.explained.verdict,
        "result": way.explained.result,
        "cycles": way.cost.value(),
        "steps": way.explained.steps.iter().map(|step| step_value(step, None)).collect::<Vec<_>>(),
    })
}
