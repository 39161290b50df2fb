//! The control socket's figures, as a client sees them: `scripts/bench control` runs it beside a daemon that forwards.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Instant;

use bench::acls::{self, spread};
use bench::control::{Batch, Client, Error, put};
use bench::random::Random;
use bench::routes;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use vrouter::api::v1;
use vrouter::api::v1::object::Kind;

const OWNER: &str = "bgp";
/// Remote VTEPs that the routes of a VRF lead to, of so many in all: a VRF of many has few hosts.
const REMOTES: u64 = 256;
const REMOTES_OF_MANY: u64 = 16;

/// Measures the control socket of a daemon whose limits allow it; prints one line of JSON.
#[derive(Parser)]
struct Words {
    /// The daemon's socket.
    #[arg(long)]
    socket: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Puts routes in atomic batches, into VRFs that it makes.
    Put(Bulk),
    /// Withdraws them.
    Withdraw(Bulk),
    /// Changes one route after the other, each until every worker forwards by it.
    One {
        /// Routes that are there already, of `put`.
        #[arg(long, default_value_t = 1_000_000)]
        routes: usize,
        #[arg(long, default_value_t = 5_000)]
        changes: usize,
    },
    /// Changes an ACL of VRF red under live flows of 10.128.0.0/16, each time until it is told how many have another verdict.
    Acl {
        #[arg(long, default_value_t = 10_000)]
        rules: usize,
        #[arg(long, default_value_t = 20)]
        changes: usize,
        /// All rules each time, and not one.
        #[arg(long)]
        whole: bool,
    },
    /// Puts routes by one call each.
    Calls {
        #[arg(long, default_value_t = 10_000)]
        routes: usize,
    },
}

#[derive(clap::Args)]
struct Bulk {
    #[arg(long, default_value_t = 1_000_000)]
    routes: usize,
    /// VRFs that they are spread over.
    #[arg(long, default_value_t = 1)]
    vrfs: usize,
    /// Changes of a batch.
    #[arg(long, default_value_t = 1_000_000)]
    batch: usize,
}

fn main() -> Result<(), Error> {
    let words = Words::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(async {
        let mut client = Client::connect(&words.socket).await?;
        match words.what {
            What::Put(bulk) => {
                with_vrfs(&mut client, bulk.vrfs).await?;
                timed(&mut client, &bulk, route).await
            }
            What::Withdraw(bulk) => timed(&mut client, &bulk, withdraw).await,
            What::One { routes, changes } => one(&mut client, routes, changes).await,
            What::Acl { rules, changes, whole } => {
                let given = acls::Given { vrf: "red", clients: (&[10, 128, 0, 0], 17), rules, changes, whole };
                acls::measure(&mut client, &given).await
            }
            What::Calls { routes } => calls(&mut client, routes).await,
        }
    })?;
    println!("{found}");
    Ok(())
}

/// Tenant VRF number `at`.
fn vrf_name(at: usize) -> String {
    format!("t{at:04}")
}

/// So many routes, spread over the VRFs, each by one of some tunnels.
fn tables(count: usize, vrfs: usize) -> Vec<(v1::RouteKey, v1::NextHop)> {
    let mut random = Random(3);
    // the same table in each VRF: tenants' networks overlap
    let each = routes::v4(count.div_ceil(vrfs));
    let key = |at: usize| {
        let (address, length, _) = each[at / vrfs];
        let kept = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let prefix = Some(v1::Prefix { address: (address & kept).to_be_bytes().to_vec(), length: length.into() });
        v1::RouteKey { vrf: vrf_name(at % vrfs), prefix, owner: String::new() }
    };
    let mut remote = |at: usize| match vrfs {
        1 => random.below(REMOTES),
        _ => (at % vrfs) as u64 + random.below(REMOTES_OF_MANY),
    };
    (0..count).map(|at| (key(at), tunnel(remote(at) % REMOTES))).collect()
}

fn tunnel(remote: u64) -> v1::NextHop {
    let vxlan = v1::tunnel::Vxlan { vni: 100, inner_mac: vec![2, 0xac, 0x1f, 0, remote as u8, 1] };
    let remote = vec![172, 31, 1, remote as u8];
    let tunnel = v1::Tunnel { remote, encap: Some(v1::tunnel::Encap::Vxlan(vxlan)) };
    v1::NextHop { kind: Some(v1::next_hop::Kind::Tunnel(tunnel)) }
}

fn route((key, next_hop): &(v1::RouteKey, v1::NextHop)) -> v1::Change {
    put(Kind::Route(v1::Route { key: Some(key.clone()), next_hop: Some(next_hop.clone()), ..v1::Route::default() }))
}

fn withdraw((key, _): &(v1::RouteKey, v1::NextHop)) -> v1::Change {
    let key = v1::ObjectKey { kind: Some(v1::object_key::Kind::Route(key.clone())) };
    v1::Change { op: Some(v1::change::Op::Delete(key)) }
}

fn batches(changes: &[v1::Change], size: usize) -> Vec<Batch> {
    changes.chunks(size).map(|changes| Batch::new(OWNER, changes)).collect()
}

async fn with_vrfs(client: &mut Client, vrfs: usize) -> Result<(), Error> {
    let vrf = |at| put(Kind::Vrf(v1::Vrf { name: vrf_name(at), ..v1::Vrf::default() }));
    let changes: Vec<_> = (0..vrfs).map(vrf).collect();
    client.apply(&Batch::new(OWNER, &changes)).await.map(|_| ())
}

/// How long these changes of all routes take, until every worker forwards by the last one.
async fn timed(
    client: &mut Client,
    bulk: &Bulk,
    change: impl Fn(&(v1::RouteKey, v1::NextHop)) -> v1::Change,
) -> Result<Value, Error> {
    let changes: Vec<_> = tables(bulk.routes, bulk.vrfs).iter().map(change).collect();
    let batches = batches(&changes, bulk.batch);
    drop(changes);
    let mut call = client.batches().await?;
    let (start, mut generation) = (Instant::now(), 0);
    for batch in &batches {
        generation = call.apply(batch).await?;
    }
    client.sync(generation).await?;
    let took = start.elapsed().as_secs_f64();
    let bytes: usize = batches.iter().map(Batch::bytes).sum();
    Ok(json!({ "routes": bulk.routes, "vrfs": bulk.vrfs, "batch": bulk.batch, "bytes": bytes, "seconds": took }))
}

/// From the sending of one change until its client knows that every worker forwards by it.
async fn one(client: &mut Client, count: usize, changes: usize) -> Result<Value, Error> {
    let table = tables(count, 1);
    let mut random = Random(5);
    let mut call = client.batches().await?;
    let (mut applied, mut synced) = (Vec::new(), Vec::new());
    for _ in 0..changes {
        let (key, _) = &table[random.below(count as u64) as usize];
        let batch = Batch::new(OWNER, &[route(&(key.clone(), tunnel(random.below(REMOTES))))]);
        let start = Instant::now();
        let generation = call.apply(&batch).await?;
        applied.push(start.elapsed());
        client.sync(generation).await?;
        synced.push(start.elapsed());
    }
    Ok(json!({ "routes": count, "changes": changes, "answered_us": spread(applied), "forwarded_us": spread(synced) }))
}

/// Routes one by one, each by a call of its own.
async fn calls(client: &mut Client, count: usize) -> Result<Value, Error> {
    with_vrfs(client, 1).await?;
    let table = tables(count, 1);
    let (puts, deletes) = (batches(&table.iter().map(route).collect::<Vec<_>>(), 1), table.iter().map(withdraw));
    let start = Instant::now();
    for batch in &puts {
        client.apply(batch).await?;
    }
    let took = start.elapsed();
    client.apply(&Batch::new(OWNER, &deletes.collect::<Vec<_>>())).await?;
    Ok(json!({ "routes": count, "seconds": took.as_secs_f64() }))
}
