//! The state directory with a million routes: what a batch of them costs the control thread and the thread that writes, how long a
//! restart reads, and how long a journal takes to become a snapshot. One run, in the folder that is given or the system's temporary one.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use vrouter::api::state::v1 as state;
use vrouter::api::v1;
use vrouter::daemon::ledger;
use vrouter::durable::{self, Folder};
use vrouter::ids::Generation;
use vrouter::model::{Batch, Limits, Model};

const ROUTES: u32 = 1_000_000;

fn change(kind: v1::object::Kind) -> v1::Change {
    v1::Change { op: Some(v1::change::Op::Put(kind.into())) }
}

fn route(at: u32) -> v1::Change {
    let prefix = v1::Prefix { address: ((10 << 24) + at * 4).to_be_bytes().into(), length: 30 };
    let key = Some(v1::RouteKey { vrf: "red".into(), prefix: Some(prefix), owner: "bgp".into() });
    let tunnel = v1::Tunnel {
        remote: vec![172, 31, 0, (at % 200) as u8 + 1],
        encap: Some(v1::tunnel::Encap::Vxlan(v1::tunnel::Vxlan { vni: 100, inner_mac: vec![2, 0, 0, 0, 0, 1] })),
    };
    let next_hop = Some(v1::NextHop { kind: Some(v1::next_hop::Kind::Tunnel(tunnel)) });
    change(v1::object::Kind::Route(v1::Route { key, next_hop, ..Default::default() }))
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{what:<64} {:>8.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    result
}

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let folder = folder.unwrap_or_else(std::env::temp_dir).join(format!("vrouter-state-{}", std::process::id()));
    let vrf = change(v1::object::Kind::Vrf(v1::Vrf { name: "red".into(), ..Default::default() }));
    let changes: Vec<v1::Change> = [vrf].into_iter().chain((0..ROUTES).map(route)).collect();
    let mut model = Model::new(Limits::default(), Vec::new());
    model.number_batches();
    let mut kept = ledger::open(&folder, 7).unwrap();
    let sent = v1::Changes::from(changes).encode_to_vec();
    let changes = timed("socket: its messages are read", || v1::Changes::decode(&sent[..]).unwrap());
    let batch = Batch { owner: "bgp", changes: (&changes).into(), ..Batch::default() };
    let none = |_: vrouter::model::NewPort| unreachable!("no ports are put");
    let made = timed("model: the batch is made", || model.apply_batch(&batch, &mut { none }).unwrap());
    let snapshot = made.snapshot;
    let (generation, numbers) = (snapshot.generation.0, Some(model.take_numbers()));
    timed("control thread: its bytes are counted, to take space", || black_box(ledger::bound(&changes)));
    let batch = state::Batch { generation, owner: "bgp".into(), said: Some(changes), numbers, ..Default::default() };
    let bytes = timed("control thread: its bytes are counted, to hand it over", || batch.encoded_len());
    println!("{:<64} {:>8} MiB", "the batch's record", bytes >> 20);
    timed("journal thread: space, encoding, checksum, write and sync", || kept.keep(batch).unwrap());
    drop(kept);
    let files: Arc<Folder> = Arc::new(Folder::lock(&folder).unwrap().unwrap());
    let (recovered, journal, room) =
        timed("start: the files are read", || durable::open(&*files, 7, ledger::STEP).unwrap());
    let mut again = Model::new(Limits::default(), Vec::new());
    timed("start: the model is made of them", || {
        let objects = recovered.image.objects().map(|object| object.unwrap());
        let none = |_: vrouter::model::NewPort| unreachable!("no ports are kept");
        again.restore(objects, &recovered.image.numbers(), Generation(generation + 1), &mut { none }).unwrap();
    });
    drop((recovered, room));
    let number = journal.number;
    drop(durable::Journal::create(&*files, 7, number + 1, ledger::STEP).unwrap());
    journal.close().unwrap();
    let bytes = timed("snapshot thread: the journal becomes a snapshot", || durable::compact(&*files, number).unwrap());
    println!("{:<64} {:>8} MiB", "the snapshot", bytes >> 20);
    timed("control thread: all objects for a new snapshot (after a failure)", || black_box(again.kept()));
    drop(files);
    std::fs::remove_dir_all(&folder).unwrap();
}
