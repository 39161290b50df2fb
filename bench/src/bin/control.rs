//! A client of the control socket: its figures for `scripts/bench control`, and changes that go on beside traffic for `scripts/bench lossless`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bench::acls;
use bench::changes::{self, Changer, OWNER, batches, route, spread, withdraw};
use bench::churn::{self, Wanted};
use bench::control::{Batch, Client, Error, put};
use bench::random::Random;
use bench::routes;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use vrouter::api::v1;
use vrouter::api::v1::object::Kind;

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
    Rules {
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
    /// Puts so many routes into a VRF that is there, and withdraws them, again and again.
    Load {
        #[command(flatten)]
        going: Going,
        #[arg(long, default_value_t = 1_000_000)]
        routes: usize,
        /// Changes of a batch.
        #[arg(long, default_value_t = 1_000_000)]
        batch: usize,
    },
    /// Puts, changes and withdraws routes at random, in batches of a few, in VRFs that are there and in some that it makes.
    Churn {
        #[command(flatten)]
        going: Going,
        /// Changes a second.
        #[arg(long, default_value_t = 10_000.0)]
        rate: f64,
        /// VRFs that it makes.
        #[arg(long, default_value_t = 64)]
        vrfs: usize,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Replaces an ACL by another one each second.
    Acl {
        #[command(flatten)]
        going: Going,
        #[arg(long, default_value = "tenant")]
        acl: String,
        #[arg(long, default_value_t = 10_000)]
        rules: usize,
    },
    /// Takes a member from a next-hop group or gives it back, ten times a second.
    Flap {
        #[command(flatten)]
        going: Going,
        #[arg(long, default_value = "ways")]
        group: String,
        /// The remotes of its members.
        #[arg(long, num_args = 2..)]
        members: Vec<std::net::Ipv4Addr>,
    },
}

#[derive(clap::Args)]
struct Going {
    /// The VRF of the flows.
    #[arg(long, default_value = "red")]
    vrf: String,
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Waits for each second change by Sync, else by looks at the workers' generation alone. Not of `churn`.
    #[arg(long)]
    sync: bool,
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
                timed(&mut client, &bulk, |(key, remote)| route(key, *remote)).await
            }
            What::Withdraw(bulk) => timed(&mut client, &bulk, |(key, _)| withdraw(key)).await,
            What::One { routes, changes } => one(&mut client, routes, changes).await,
            What::Rules { rules, changes, whole } => {
                let given = acls::Given { vrf: "red", clients: (&[10, 128, 0, 0], 17), rules, changes, whole };
                acls::measure(&mut client, &given).await
            }
            What::Calls { routes } => calls(&mut client, routes).await,
            What::Load { going, routes, batch } => {
                changes::load(going.changer(client).await?, &going.vrf, routes, batch).await
            }
            What::Churn { going, rate, vrfs, seed } => {
                with_vrfs(&mut client, vrfs).await?;
                let others = (0..vrfs).map(vrf_name).collect();
                let wanted = Wanted { others, rate, seed, length: going.length(), vrf: going.vrf };
                churn::churn(client.batches().await?, Client::connect(&words.socket).await?, &wanted).await
            }
            What::Acl { going, acl, rules } => changes::acl(going.changer(client).await?, &acl, rules).await,
            What::Flap { going, group, members } => {
                let members: Vec<_> = members.iter().map(std::net::Ipv4Addr::octets).collect();
                changes::flap(going.changer(client).await?, &going.vrf, &group, &members).await
            }
        }
    })?;
    println!("{found}");
    Ok(())
}

impl Going {
    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    async fn changer(&self, client: Client) -> Result<Changer, Error> {
        Changer::new(client, self.length(), self.sync).await
    }
}

/// Tenant VRF number `at`.
fn vrf_name(at: usize) -> String {
    format!("t{at:04}")
}

/// So many routes, spread over the VRFs, each to one of some remotes.
fn tables(count: usize, vrfs: usize) -> Vec<(v1::RouteKey, u64)> {
    let mut random = Random(3);
    // the same table in each VRF: tenants' networks overlap
    let each = routes::v4(count.div_ceil(vrfs));
    let key = |at: usize| {
        let (address, length, _) = each[at / vrfs];
        changes::key(&vrf_name(at % vrfs), address, length)
    };
    let mut remote = |at: usize| match vrfs {
        1 => random.below(REMOTES),
        _ => (at % vrfs) as u64 + random.below(REMOTES_OF_MANY),
    };
    (0..count).map(|at| (key(at), remote(at) % REMOTES)).collect()
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
    change: impl Fn(&(v1::RouteKey, u64)) -> v1::Change,
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
        let batch = Batch::new(OWNER, &[route(key, random.below(REMOTES))]);
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
    let (puts, deletes) = (
        batches(&table.iter().map(|(key, remote)| route(key, *remote)).collect::<Vec<_>>(), 1),
        table.iter().map(|(key, _)| withdraw(key)),
    );
    let start = Instant::now();
    for batch in &puts {
        client.apply(batch).await?;
    }
    let took = start.elapsed();
    client.apply(&Batch::new(OWNER, &deletes.collect::<Vec<_>>())).await?;
    Ok(json!({ "routes": count, "seconds": took.as_secs_f64() }))
}
