//! `vrctl capture`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use vrouter::api::position::FileError;
use vrouter::api::v1;

use super::Failure;
use super::connect::{Daemon, connect};
use super::decode::head_line;
use super::output::{Format, count, hex};
use super::pcapng::{Pcapng, comment};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Point {
    /// As ports receive them
    Rx,
    /// As ports send them, with all headers; also what the vRouter sends of itself
    Tx,
    /// Those that are dropped, with the reason and who decided
    Drop,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl capture | wireshark -k -i -
  vrctl capture --at drop                              # on a terminal: a line each
  vrctl capture --at drop --vif web1 -w drops.pcapng --seconds 60
  vrctl capture --vif uplink -c 100 -w - vxlan 100 and host 10.1.1.20 | tshark -r -
  vrctl capture -o json tcp port 80 or 443 | jq -r .flow

The filter is in tcpdump's language, pcap-filter(7): [src|dst] host, net, port and portrange, ether host, proto, ip, ip6, arp, rarp, tcp, udp,
sctp, icmp, icmp6, vlan [ID], broadcast, multicast, less, greater, with and, or, not and parentheses; bytes by their place (tcp[13]) and names of
hosts and ports are not in it. Its own are vxlan [VNI], geneve [VNI] and mpls [LABEL] (over UDP or GRE); what follows them in the
text is about what is in the tunnel, as what follows vlan is about what is behind the tag.

A file is pcapng: each VIF is an interface, each frame has its direction, and in its comment the drop's reason and who decided, VRF and 5-tuple,
and at tx where it entered. A frame's time is that of its copy being taken from the worker, once in about a millisecond. Workers wait for
nobody: what is too much at once is lost to the capture alone, and counted. At most 4 captures are on at a time. It needs the role admin, or a
rule with `also: [capture]`, as packets are the tenants' own.
")]
pub struct Capture {
    /// Where packets are looked at
    #[arg(long, value_name = "POINT", value_delimiter = ',', default_value = "rx,tx")]
    pub at: Vec<Point>,
    /// Only what enters here (rx, drop) or leaves here (tx)
    #[arg(long, value_name = "NAME")]
    pub vif: Option<String>,
    /// Write a pcapng file; - is the standard output, as without it if that is no terminal
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Print a line for each, also if the standard output is no terminal
    #[arg(short, long, conflicts_with = "write")]
    pub lines: bool,
    /// Bytes of a packet at most; 0: all
    #[arg(short, long, default_value_t = 0, value_name = "BYTES")]
    pub snaplen: u32,
    /// End after so many packets; 0: when it is ended
    #[arg(short, long, default_value_t = 0, value_name = "PACKETS")]
    pub count: u64,
    /// End after so many seconds; 0: when it is ended
    #[arg(long, default_value_t = 0)]
    pub seconds: u32,
    /// Which packets; none: all
    #[arg(trailing_var_arg = true)]
    pub filter: Vec<String>,
}

/// How long frames are written yet after a signal to end.
const REST: Duration = Duration::from_millis(100);

type Out = BufWriter<Box<dyn Write>>;

/// Where frames go.
enum Sink {
    Lines(Out),
    Json(Out),
    File(Box<Pcapng<Out>>),
}

pub async fn run(daemon: &Daemon, format: Format, capture: Capture) -> Result<(), Failure> {
    let filter = capture.filter.join(" ");
    let request = v1::CaptureRequest {
        points: capture.at.iter().map(|point| point.contract().into()).collect(),
        vif: capture.vif.clone().unwrap_or_default(),
        filter: filter.clone(),
        snaplen: capture.snaplen,
        packets: capture.count,
        duration_ms: capture.seconds.saturating_mul(1000),
        explain: false,
    };
    let (mut term, mut int) = (end_of(SignalKind::terminate())?, end_of(SignalKind::interrupt())?);
    let kind = Kind::of(format, &capture)?;
    // refused before a file is touched
    let mut chunks = connect(daemon).await?.capture(request).await?.into_inner();
    let mut sink = kind.open(capture.write.as_deref(), (capture.snaplen, &filter))?;
    let (mut packets, mut lost) = (0, 0);
    let told = async {
        tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
        // what passed before is on its way yet
        tokio::time::sleep(REST).await;
    };
    let mut told = pin!(told);
    let ended = loop {
        let chunk = tokio::select! {
            chunk = chunks.message() => chunk,
            () = &mut told => break Ok(()),
        };
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break Ok(()),
            Err(status) => break Err(Failure::from(status)),
        };
        if chunk.started {
            let at: Vec<_> = capture.at.iter().map(|point| point.name()).collect();
            let whose = capture.vif.as_ref().map(|vif| format!(" of vif {vif}")).unwrap_or_default();
            eprintln!("vrctl: capturing at {}{whose}", at.join(", "));
        }
        packets += chunk.packets.len() as u64;
        lost = chunk.lost;
        if let Err(error) = sink.put(&chunk) {
            break broken(&error);
        }
        if chunk.last {
            break Ok(());
        }
    };
    let closed = sink.end(lost).or_else(|error| broken(&error));
    eprintln!("vrctl: {} frames captured, {} lost", count(packets), count(lost));
    ended.and(closed)
}

fn end_of(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::Usage(format!("no signals: {error}")))
}

/// A reader that has seen enough is no error.
fn broken(error: &io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    let file = FileError { file: "output".into(), position: None, field: String::new(), reason: error.to_string() };
    Err(Failure::File(file))
}

/// How frames are written.
#[derive(Clone, Copy)]
enum Kind {
    Lines,
    Json,
    File,
}

impl Kind {
    fn of(format: Format, capture: &Capture) -> Result<Kind, Failure> {
        let terminal = io::stdout().is_terminal();
        match (&capture.write, format) {
            (Some(path), _) if path.as_os_str() == "-" && terminal => {
                Err(Failure::Usage("-w -: a pcapng file is not for a terminal; write it to a file or a pipe".into()))
            }
            (Some(_), _) => Ok(Kind::File),
            (None, Format::Json | Format::Yaml) => Ok(Kind::Json),
            (None, Format::Table) if terminal || capture.lines => Ok(Kind::Lines),
            (None, Format::Table) => Ok(Kind::File),
        }
    }

    fn open(self, path: Option<&Path>, (snaplen, filter): (u32, &str)) -> Result<Sink, Failure> {
        let out: Box<dyn Write> = match path.filter(|path| path.as_os_str() != "-") {
            None => Box::new(io::stdout()),
            Some(path) => Box::new(File::create(path).map_err(|error| {
                let (file, reason) = (path.display().to_string(), error.to_string());
                Failure::File(FileError { file, position: None, field: String::new(), reason })
            })?),
        };
        let out = BufWriter::new(out);
        Ok(match self {
            Kind::Lines => Sink::Lines(out),
            Kind::Json => Sink::Json(out),
            Kind::File => {
                let file = Pcapng::begin(out, snaplen, filter);
                Sink::File(Box::new(file.map_err(|error| Failure::Usage(format!("cannot write: {error}")))?))
            }
        })
    }
}

impl Sink {
    /// Writes frames, for whoever reads along.
    fn put(&mut self, chunk: &v1::CaptureChunk) -> io::Result<()> {
        match self {
            Sink::Lines(out) => {
                for packet in &chunk.packets {
                    writeln!(out, "{}", line(packet))?;
                }
                out.flush()
            }
            Sink::Json(out) => {
                for packet in &chunk.packets {
                    writeln!(out, "{}", value(packet))?;
                }
                out.flush()
            }
            Sink::File(file) => {
                chunk.packets.iter().try_for_each(|packet| file.put(packet))?;
                file.flush()
            }
        }
    }

    fn end(self, lost: u64) -> io::Result<()> {
        match self {
            Sink::Lines(mut out) | Sink::Json(mut out) => out.flush(),
            Sink::File(file) => file.end(lost),
        }
    }
}

impl Point {
    fn contract(self) -> v1::CapturePoint {
        match self {
            Point::Rx => v1::CapturePoint::Rx,
            Point::Tx => v1::CapturePoint::Tx,
            Point::Drop => v1::CapturePoint::Drop,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// "14:03:07.123456 web1 drop  02:.. > 02:.., IPv4 ...  (dropped: no_route by vrf red)"; UTC.
fn line(packet: &v1::CapturedPacket) -> String {
    let (seconds, micros) = (packet.time_ns / 1_000_000_000 % 86_400, packet.time_ns / 1000 % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let vif = if packet.vif.is_empty() { "-" } else { &packet.vif };
    let comment = comment(packet);
    let comment = if comment.is_empty() { comment } else { format!("  ({comment})") };
    let told = head_line(&packet.data);
    let point = point(packet);
    format!("{hour:02}:{minute:02}:{second:02}.{micros:06} {vif} {point:<4} {told}, length {}{comment}", packet.length)
}

fn value(packet: &v1::CapturedPacket) -> Value {
    json!({
        "time_ns": packet.time_ns,
        "point": point(packet),
        "vif": packet.vif,
        "length": packet.length,
        "data": hex(&packet.data),
        "decoded": head_line(&packet.data),
        "worker": packet.worker,
        "entered": packet.entered,
        "vrf": packet.vrf,
        "flow": packet.flow,
        "reason": packet.reason,
        "object": packet.object,
    })
}

fn point(packet: &v1::CapturedPacket) -> &'static str {
    match packet.point() {
        v1::CapturePoint::Rx => "rx",
        v1::CapturePoint::Tx => "tx",
        v1::CapturePoint::Drop => "drop",
    }
}
