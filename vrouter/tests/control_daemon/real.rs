//! The daemon's control thread and socket before a real model, without workers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use flowtable::{Config, FlowTable, Region};
use tokio::sync::{mpsc, oneshot};
use tonic::Streaming;
use v1::apply_reply::Result as Answer;
use v1::apply_request::Step;
use vrouter::api::v1;
use vrouter::control::access::Terms;
use vrouter::control::{Socket, serve};
use vrouter::daemon::answer::{Ask, Control, Devices, Identity};
use vrouter::daemon::clock::Clock;
use vrouter::datapath::{Shared, shared};
use vrouter::ids::Mac;
use vrouter::model::{Limits, Model, PortInfo};

use super::{Folder, client};

struct NoDevices;

impl Devices for NoDevices {
    fn stats(&self) -> Vec<v1::PortStats> {
        Vec::new()
    }
}

/// The daemon's control thread and socket, without workers.
pub struct Real {
    pub folder: Folder,
    /// What upgrades ask of the control thread.
    pub asks: crossbeam::channel::Sender<Ask>,
    stop: Option<oneshot::Sender<()>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Real {
    pub fn start(terms: impl Into<Terms>) -> Real {
        let terms = terms.into();
        let folder = Folder::new();
        let socket = Socket::bind(&folder.file("sock")).unwrap();
        let (requests, inbox) = mpsc::channel(64);
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let port = PortInfo { name: "p0".into(), devargs: "wire0".into(), mac: Mac([2; 6]), mtu: 1500, queues: 1 };
        let model = Model::new(Limits::default(), vec![port]);
        let sizes = Config { narrow_pairs: 64, wide_pairs: 64, seed: 1, time_base: 0 };
        let flows = FlowTable::create(Region::heap(sizes.bytes().unwrap()).unwrap(), &sizes).unwrap();
        let slots = shared::Limits { vif_slots: 4096, new_flows_per_second: 1 };
        let shared = Arc::new(Shared::new(model.snapshot(), flows, 0, slots));
        let identity = Identity { idle: String::new(), limits: Vec::new() };
        let mut control = Control::new(shared, model, Box::new(NoDevices), identity, Clock::new());
        let (asks, asked) = crossbeam::channel::unbounded();
        control.hear(asked);
        let threads = vec![
            std::thread::spawn(move || control.run(inbox, &end)),
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(socket, requests, terms, async { drop(stopped.await) })).unwrap();
            }),
        ];
        Real { folder, asks, stop: Some(stop), ended, threads }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.file("sock")
    }

    pub async fn watch(&self, request: v1::WatchRequest) -> Result<Streaming<v1::Event>, tonic::Status> {
        Ok(client(&self.path()).await.watch(request).await?.into_inner())
    }

    /// A batch of bgp's.
    pub async fn apply(&self, changes: Vec<v1::Change>) -> u64 {
        let begin = v1::Begin { owner: "bgp".into(), ..v1::Begin::default() };
        match self.batch(begin, changes).await {
            Answer::Applied(applied) => applied.generation,
            other => panic!("{other:?}"),
        }
    }

    /// A batch on a stream of its own.
    pub async fn batch(&self, begin: v1::Begin, changes: Vec<v1::Change>) -> Answer {
        let mut steps = vec![Step::Begin(begin)];
        steps.extend(changes.chunks(10_000).map(|some| Step::Changes(v1::Changes::from(some.to_vec()))));
        steps.push(Step::Commit(v1::Commit {}));
        let steps: Vec<_> = steps.into_iter().map(|step| v1::ApplyRequest { step: Some(step) }).collect();
        let mut replies = client(&self.path()).await.apply(tokio_stream::iter(steps)).await.unwrap().into_inner();
        replies.message().await.unwrap().unwrap().result.unwrap()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.ended.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| _ = thread.join());
    }
}
