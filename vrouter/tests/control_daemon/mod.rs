//! A daemon for tests of the control socket: the real server in front of a plain in-memory thread, which answers requests and
//! records what it was asked.
// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod raw;
pub mod real;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use vrouter::api::v1;
use vrouter::control::access::Terms;
use vrouter::control::log::Log;
use vrouter::control::{Listed, Made, NotCaptured, NotPromoted, Reply, Request, Rows, Socket, Taken, Watching, serve};

/// A folder of its own, gone at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vrouter-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Daemon {
    pub folder: Folder,
    pub asked: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Daemon {
    pub fn start(terms: impl Into<Terms>) -> Daemon {
        let terms = terms.into();
        let folder = Folder::new();
        let socket = Socket::bind_for(&folder.file("sock"), Some(terms.access.group())).unwrap();
        let (requests, inbox) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel::<()>();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut control = Control {
            asked: asked.clone(),
            objects: BTreeMap::new(),
            generation: 0,
            waiters: Vec::new(),
            log: Arc::new(Log::new(0)),
        };
        let threads = vec![
            std::thread::spawn(move || control.run(inbox)),
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(socket, requests, terms, async { drop(stopped.await) })).unwrap();
            }),
        ];
        Daemon { folder, asked, stop: Some(stop), threads }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.file("sock")
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Stops the server; fails the test if it or the control thread panicked.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// What the daemon holds is given back when it is dropped: the next test's memory is its own.
impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// A client of the socket.
pub async fn client(path: &Path) -> v1::v_router_client::VRouterClient<tonic::transport::Channel> {
    let path = path.to_owned();
    let connect = move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    };
    let channel = tonic::transport::Endpoint::from_static("http://control")
        .connect_with_connector(tower::service_fn(connect))
        .await
        .unwrap();
    v1::v_router_client::VRouterClient::new(channel)
}

struct Control {
    asked: Arc<Mutex<Vec<String>>>,
    objects: BTreeMap<String, v1::Object>,
    generation: u64,
    waiters: Vec<(u64, Reply<u64>)>,
    log: Arc<Log>,
}

impl Control {
    fn run(&mut self, mut inbox: mpsc::Receiver<Request>) {
        while let Some(request) = inbox.blocking_recv() {
            self.answer(request);
        }
    }

    fn answer(&mut self, request: Request) {
        let asked = |text: String| self.asked.lock().unwrap().push(text);
        match request {
            Request::Apply { begin, changes, reply, .. } => {
                asked(format!("apply {} {}", begin.owner, changes.len()));
                self.take(&begin, changes, reply);
            }
            Request::List { filter, reply } => {
                asked(format!("list {} {}", filter.kind().as_str_name(), filter.vrf));
                let objects: Vec<_> = self.objects.values().filter(|object| listed(object, &filter)).cloned().collect();
                let _ = reply.send(Ok(Listed { generation: self.generation, objects: Box::new(objects.into_iter()) }));
            }
            Request::Watch { snapshot, reply } => {
                let objects: Vec<_> = self.objects.values().cloned().collect();
                let objects = snapshot.then(|| Box::new(objects.into_iter()) as Rows<v1::Object>);
                let (log, generation) = (self.log.clone(), self.generation);
                let _ = reply.send(Watching { rises: log.rises(), log, generation, objects });
            }
            Request::Sync { generation, reply } if generation <= self.generation => {
                let _ = reply.send(self.generation);
            }
            Request::Sync { generation, reply } => self.waiters.push((generation, reply)),
            Request::Flows { filter, .. } if filter.vrf == "hang up" => {}
            Request::Flows { filter, reply } if filter.vrf == "nowhere" => {
                let _ = reply.send(Err(refused(0, "vrf nowhere", "", "is not there")));
            }
            Request::Flows { filter, reply } => {
                asked(format!("{filter:?}"));
                let flows = (0..if filter.limit == 0 { 2500 } else { filter.limit }).map(flow);
                let _ = reply.send(Ok(Box::new(flows)));
            }
            Request::Hits { filter, reply } => {
                asked(format!("{filter:?}"));
                _ = reply.send(hits(&filter.acl));
            }
            Request::RouteHits { filter, reply } => {
                asked(format!("{filter:?}"));
                _ = reply.send(Ok(Box::new(route_hits().into_iter())));
            }
            Request::Stats { reply } => _ = reply.send(stats(self.generation)),
            Request::Victims { filter, reply } => {
                let all = victims().into_iter().filter(|it| filter.reason.is_empty() || it.reason == filter.reason);
                let _ = reply.send(Ok(v1::VictimsReply { victims: all.collect() }));
            }
            Request::Capture { wanted, reply } => {
                asked(format!("{wanted:?}"));
                _ = reply.send(capture(&wanted));
            }
            shadow @ (Request::ShadowReport { .. } | Request::PromoteShadow { .. } | Request::DiscardShadow { .. }) => {
                no_shadow(shadow);
            }
            Request::Explain { query, reply } => {
                asked(format!("{query:?}"));
                let nowhere = query.place == Some(v1::explain_request::Place::Vif("nowhere".into()));
                let refused = || refused(0, "vif nowhere", "", "is not there");
                let _ = reply.send(if nowhere { Err(refused()) } else { Ok(explain(self.generation)) });
            }
            Request::KeepAlive { wanted, reply } => {
                asked(format!("{wanted:?}"));
                let _ = reply.send(Ok(v1::KeepAliveReply { lease_ms: wanted.lease_ms(), expired: false }));
            }
            Request::Confirm { wanted, reply } => {
                _ = reply.send(Ok(v1::ConfirmReply { generation: wanted.generation, ..v1::ConfirmReply::default() }));
            }
            Request::Revisions { reply, .. } => _ = reply.send(v1::RevisionsReply::default()),
            Request::Owners { reply } => _ = reply.send(owners(self.generation)),
            Request::Status { reply } => _ = reply.send(status(self.generation)),
        }
    }

    fn take(&mut self, begin: &v1::Begin, changes: v1::Changes, reply: Reply<Result<Made, v1::Refused>>) {
        let unkept = begin.owner == "unkept";
        if begin.owner == "slow" {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        let applied = |generation| {
            let applied = v1::Applied { generation, ..v1::Applied::default() };
            if unkept { Made::Unkept(applied, "EIO".into()) } else { Made::Applied(applied) }
        };
        let _ = reply.send(self.apply(&begin.owner, changes.into()).map(applied));
        let generation = self.generation;
        for (_, reply) in self.waiters.extract_if(.., |(wanted, _)| *wanted <= generation) {
            let _ = reply.send(generation);
        }
    }

    fn apply(&mut self, owner: &str, changes: Vec<v1::Change>) -> Result<u64, v1::Refused> {
        let mut objects = self.objects.clone();
        let mut told = Vec::new();
        for (at, change) in changes.into_iter().enumerate() {
            let (mut object, creates) = match change.op.unwrap() {
                v1::change::Op::Create(object) => (object, true),
                v1::change::Op::Put(object) => (object, false),
                v1::change::Op::Delete(given) => {
                    let key = deleted(&given, owner);
                    objects.remove(&key).ok_or_else(|| refused(at, &key, "", "is not there"))?;
                    told.push(v1::Change { op: Some(v1::change::Op::Delete(given)) });
                    continue;
                }
            };
            if let Some(v1::object::Kind::Route(route)) = &mut object.kind {
                let key = route.key.as_mut().unwrap();
                if key.owner.is_empty() {
                    key.owner = owner.to_owned();
                }
            }
            let key = key(&object);
            if key == "vrf forbidden" {
                return Err(refused(at, &key, "name", "is forbidden"));
            }
            told.push(v1::Change { op: Some(v1::change::Op::Put(object.clone())) });
            if objects.insert(key.clone(), object).is_some() && creates {
                return Err(refused(at, &key, "", "is already there"));
            }
        }
        self.objects = objects;
        self.generation += 1;
        self.log.add(self.generation, owner.into(), Some(told));
        Ok(self.generation)
    }
}

fn no_shadow(request: Request) {
    let none = refused(0, "shadow", "", "none is on");
    match request {
        Request::ShadowReport { reply } => _ = reply.send(Err(none)),
        Request::PromoteShadow { reply, .. } => _ = reply.send(Err(NotPromoted::Refused(none))),
        Request::DiscardShadow { reply, .. } => _ = reply.send(Err(none)),
        _ => {}
    }
}

fn status(generation: u64) -> v1::StatusReply {
    let limits = vec![v1::Limit { name: "vrfs".into(), value: 8, bytes: 4096, used: 1 }];
    v1::StatusReply {
        version: "0.1.0".into(),
        generation,
        limits,
        uptime_ms: 61_000,
        workers: 2,
        idle: "backoff".into(),
        flow_file: Some(v1::FlowFile {
            path: "/dev/shm/flows".into(),
            adopted: 1200,
            dropped: vec![v1::DroppedFlows { cause: "place_gone".into(), flows: 3 }],
            rebuilt: String::new(),
            milliseconds: 12,
        }),
        state_dir: Some(v1::StateDir { path: "/var/lib/vrouter".into(), batches: 1200, refuses: "EIO".into() }),
    }
}

fn refused(at: usize, object: &str, field: &str, reason: &str) -> v1::Refused {
    v1::Refused { change: at as u64, object: object.into(), field: field.into(), reason: reason.into(), unconfirmed: 0 }
}

fn key(object: &v1::Object) -> String {
    use v1::object::Kind;
    match object.kind.as_ref().unwrap() {
        Kind::Settings(_) => "settings".into(),
        Kind::Vrf(vrf) => format!("vrf {}", vrf.name),
        Kind::Vif(vif) => format!("vif {}", vif.name),
        Kind::Route(route) => format!("route {:?}", route.key),
        Kind::Neighbour(neighbour) => format!("neighbour {:?}", neighbour.key),
        Kind::Vni(vni) => format!("vni {}", vni.vni),
        Kind::Label(label) => format!("label {}", label.label),
        Kind::Acl(acl) => format!("acl {}", acl.name),
        Kind::Group(group) => format!("group {}", group.name),
        Kind::Port(port) => format!("port {}", port.name),
        Kind::Bridge(bridge) => format!("bridge {}", bridge.name),
        Kind::FdbEntry(entry) => format!("fdb {:?}", entry.key),
        Kind::NextHopGroup(group) => format!("next-hop group {}", group.name),
        Kind::BfdSession(session) => format!("bfd {}", session.name),
    }
}

fn deleted(key: &v1::ObjectKey, owner: &str) -> String {
    use v1::object_key::Kind;
    match key.kind.clone().unwrap() {
        Kind::Vrf(name) => format!("vrf {name}"),
        Kind::Vif(name) => format!("vif {name}"),
        Kind::Route(mut key) => {
            if key.owner.is_empty() {
                key.owner = owner.to_owned();
            }
            format!("route {:?}", Some(key))
        }
        Kind::Neighbour(key) => format!("neighbour {:?}", Some(key)),
        Kind::Vni(vni) => format!("vni {vni}"),
        Kind::Label(label) => format!("label {label}"),
        Kind::Acl(name) => format!("acl {name}"),
        Kind::Group(name) => format!("group {name}"),
        Kind::Port(name) => format!("port {name}"),
        Kind::Bridge(name) => format!("bridge {name}"),
        Kind::FdbEntry(key) => format!("fdb {:?}", Some(key)),
        Kind::NextHopGroup(name) => format!("next-hop group {name}"),
        Kind::BfdSession(name) => format!("bfd {name}"),
    }
}

fn listed(object: &v1::Object, filter: &v1::ListRequest) -> bool {
    use v1::object::Kind;
    let object = object.kind.as_ref().unwrap();
    let in_vrf = match object {
        Kind::Route(route) => filter.vrf.is_empty() || route.key.as_ref().unwrap().vrf == filter.vrf,
        _ => true,
    };
    in_vrf && (filter.kind() == v1::Kind::All || filter.kind() == object.of())
}

fn flow(at: u32) -> v1::Flow {
    v1::Flow {
        place: "vif web1".into(),
        reverse_place: "tunnel red".into(),
        source: vec![10, 1, 1, 10],
        destination: vec![10, 1, 1, 20],
        protocol: 6,
        source_port: 1000 + at,
        destination_port: 80,
        state: "established".into(),
        verdict: "forward".into(),
        reverse_verdict: "forward".into(),
        packets: 3,
        bytes: 180,
        reverse_packets: 2,
        reverse_bytes: 120,
        idle_ms: 1500,
        age_ms: 90_000,
        next_hop: "vxlan 172.31.0.2 vni 100".into(),
        reverse_next_hop: "vif web1".into(),
        path: String::new(),
        reverse_path: String::new(),
    }
}

fn stats(generation: u64) -> v1::StatsReply {
    let drop = |reason: &str, (vif, vrf): (&str, &str), packets| v1::DropCount {
        reason: reason.into(),
        vif: vif.into(),
        packets,
        vrf: vrf.into(),
    };
    v1::StatsReply {
        learning: None,
        generation,
        vifs: vec![v1::VifStats {
            vif: "web1".into(),
            rx_packets: 10,
            rx_bytes: 600,
            dropped: 5,
            ..Default::default()
        }],
        drops: vec![
            drop("no_route", ("web1", "red"), 2),
            drop("no_route", ("web2", "red"), 1),
            drop("rx_missed", ("", ""), 7),
        ],
        workers: vec![v1::WorkerStats { worker: 0, polls: 100, busy_polls: 10, rx_packets: 10, ..Default::default() }],
        flows: Some(v1::FlowTableStats { capacity_v4: 1024, used_v4: 3, ..Default::default() }),
        ports: vec![v1::PortStats { port: "p0".into(), link_up: true, rx_packets: 10, ..Default::default() }],
        quotas: Vec::new(),
        verdicts: Some(v1::VerdictsChanged {
            generation: 9,
            before: 7,
            flows: 100,
            now_denied: 4,
            unchanged: 96,
            gone: 2,
            causes: vec![v1::VerdictCause {
                reason: "acl_vrf".into(),
                by: "vrf red".into(),
                acl: "guest".into(),
                now_denied: 4,
                now_permitted: 0,
            }],
            ..Default::default()
        }),
        conservation: Some(v1::Conservation { received: 17, sent: 7, dropped: 10, ..Default::default() }),
    }
}

fn victims() -> Vec<v1::Victim> {
    let mut head = vec![0x02, 0, 0, 0, 0, 0xfe, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00];
    head.extend([0x45, 0, 0, 0x28, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 1, 10, 10, 9, 9, 9, 0x03, 0xe8, 0, 80]);
    let victim = |reason: &str, head: &[u8]| v1::Victim {
        reason: reason.into(),
        vif: "web1".into(),
        object: "vrf red".into(),
        length: 54,
        head: head.to_vec(),
        age_ms: 1200,
        worker: 0,
        vrf: "red".into(),
        slow_path: reason == "neighbour_unresolved",
    };
    let reasons = ["no_route", "neighbour_unresolved"].map(|reason| victim(reason, &head));
    reasons.into_iter().chain([victim("frame_too_short", &head[..10])]).collect()
}

/// As many frames as are wanted, one at a time.
fn capture(wanted: &v1::CaptureRequest) -> Result<Taken, NotCaptured> {
    match &*wanted.vif {
        "nowhere" => return Err(NotCaptured::Refused(refused(0, "capture", "vif", "there is no VIF nowhere"))),
        "full" => return Err(NotCaptured::Full(4)),
        _ => {}
    }
    let explained = wanted.explain.then(|| explain(1));
    let (mut started, mut told, packets, silent) = (false, 0, wanted.packets, wanted.vif == "silent");
    let dropped = victims().remove(0);
    Ok(Box::new(move || {
        if !std::mem::replace(&mut started, true) {
            return Some(v1::CaptureChunk { started: true, ..v1::CaptureChunk::default() });
        }
        if silent {
            return None;
        }
        told += 1;
        let packet = v1::CapturedPacket {
            time_ns: 1_700_000_000_000_000_000 + told,
            point: v1::CapturePoint::Drop.into(),
            explained: explained.clone(),
            vif: dropped.vif.clone(),
            length: dropped.length,
            data: dropped.head.clone(),
            reason: dropped.reason.clone(),
            object: dropped.object.clone(),
            vrf: "red".into(),
            flow: "tcp 10.1.1.10:1000 > 10.9.9.9:80".into(),
            ..v1::CapturedPacket::default()
        };
        Some(v1::CaptureChunk { packets: vec![packet], lost: 7, started: false, last: told == packets })
    }))
}

fn explain(generation: u64) -> v1::ExplainReply {
    let step = |name: &str, object: &str, detail: &str| v1::Step {
        name: name.into(),
        object: object.into(),
        detail: detail.into(),
        ..v1::Step::default()
    };
    v1::ExplainReply {
        generation,
        steps: vec![
            step("route", "vrf red", "10.1.1.20/32"),
            step("acl_from_vif", "acl web rule 2 (allow-http)", "permit"),
        ],
        verdict: "forward".into(),
        result: "vxlan to 172.31.0.2 vni 100".into(),
        ..v1::ExplainReply::default()
    }
}

/// The rules of one ACL.
fn route_hits() -> [v1::RouteHits; 3] {
    let prefix = |last| Some(v1::Prefix { address: vec![10, 1, 1, last], length: 32 });
    let row = |last: u8| v1::RouteHits { vrf: "red".into(), prefix: prefix(last), hits: last.into() };
    [row(10), row(20), v1::RouteHits { hits: 7, ..v1::RouteHits::default() }]
}

fn hits(acl: &str) -> Result<Rows<v1::RuleHits>, v1::Refused> {
    if acl == "nowhere" {
        return Err(refused(0, "acl nowhere", "", "is not there"));
    }
    let row = |rule, name: &str, hits| v1::RuleHits { acl: "web".into(), rule, name: name.into(), hits };
    let rows = [row(Some(0), "https", 12_345), row(Some(1), "", 0), row(None, "", 7)];
    Ok(Box::new(rows.into_iter()))
}

fn owners(generation: u64) -> v1::OwnersReply {
    let bgp = v1::Owner { name: "bgp".into(), routes: 12_000, objects: 3, ..v1::Owner::default() };
    let cni = v1::Owner { name: "cni".into(), lease_ms: 9000, remaining_ms: 4500, ..v1::Owner::default() };
    v1::OwnersReply { generation, owners: vec![bgp, cni] }
}
