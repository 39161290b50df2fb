//! Changes that go on for a while beside traffic, for `scripts/bench lossless`: tables that come and go, routes one by one, an ACL replaced, a
//! next-hop group whose members flap. What each batch leads to is seen in the workers' own generation, without Sync.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vrouter::api::v1;
use vrouter::api::v1::object::Kind;

use crate::control::{Batch, Batches, Client, Error, put};
use crate::random::Random;
use crate::routes;

/// Whose routes these are.
pub const OWNER: &str = "bgp";
/// Whose the network is that the daemon began with, with its ACL and its group.
const OPERATOR: &str = "operator";
/// Remote VTEPs that routes lead to.
const REMOTES: u64 = 256;
/// First octets of addresses that are the bench's own flows': no route that changes is beneath them.
const FLOWS: [u32; 3] = [10, 20, 21];
/// Between two looks at the workers' generation.
const LOOK: Duration = Duration::from_millis(1);
/// The longest that a generation may take to be forwarded by.
const LATE: Duration = Duration::from_secs(30);

/// Changes one thing after the other, and looks when each is in force.
pub struct Changer {
    call: Batches,
    client: Client,
    /// Each second change is waited for by Sync instead of looks.
    syncs: bool,
    length: Duration,
    answered: Vec<Duration>,
    in_force: Vec<Duration>,
    synced: Vec<Duration>,
    /// Changes that were accepted.
    pub made: u64,
}

impl Changer {
    /// Goes on for so long.
    ///
    /// # Errors
    /// A call is refused.
    pub async fn new(mut client: Client, length: Duration, syncs: bool) -> Result<Changer, Error> {
        let call = client.batches().await?;
        let (answered, in_force, synced) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Changer { call, client, syncs, length, answered, in_force, synced, made: 0 })
    }

    /// One batch, until every worker forwards by it.
    async fn change(&mut self, batches: &[Batch]) -> Result<(), Error> {
        let (start, mut generation) = (Instant::now(), 0);
        for batch in batches {
            generation = self.call.apply(batch).await?;
            self.made += batch.changes as u64;
        }
        self.answered.push(start.elapsed());
        if self.syncs && self.answered.len().is_multiple_of(2) {
            self.client.sync(generation).await?;
            self.synced.push(start.elapsed());
        } else {
            in_force(&mut self.client, generation).await?;
            self.in_force.push(start.elapsed());
        }
        Ok(())
    }

    /// The time is over, and each way of waiting was measured once at least: on a busy machine one change can take all of it.
    fn is_over(&self, start: Instant) -> bool {
        start.elapsed() >= self.length && !(self.syncs && self.synced.is_empty())
    }

    /// Batches by the number of their turn, this far apart, until the time is over. What was found.
    async fn every(mut self, pause: Duration, batch: impl Fn(u64) -> Batch) -> Result<Value, Error> {
        let (mut turn, mut next) = (0, batch(0));
        let start = begin();
        while !self.is_over(start) {
            self.change(&[next]).await?;
            turn += 1;
            next = batch(turn);
            tokio::time::sleep_until((start + pause * turn as u32).into()).await;
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(self.found(json!({ "turns": turn, "seconds": seconds, "wanted_turns": seconds / pause.as_secs_f64() })))
    }

    fn found(self, more: Value) -> Value {
        let mut found =
            json!({ "changes": self.made, "answered_us": spread(self.answered), "in_force_us": spread(self.in_force) });
        if self.syncs {
            found["synced_us"] = spread(self.synced);
        }
        if let (Some(found), Value::Object(more)) = (found.as_object_mut(), more) {
            found.extend(more);
        }
        found
    }
}

/// Tells whoever waits for it that all is prepared. When that was.
pub fn begin() -> Instant {
    println!("begins");
    Instant::now()
}

/// Returns when every worker forwards by this generation, by what their statistics say.
///
/// # Errors
/// They do not in half a minute, or the call fails.
pub async fn in_force(client: &mut Client, generation: u64) -> Result<(), Error> {
    let end = Instant::now() + LATE;
    while Instant::now() < end {
        let stats = client.calls.stats(v1::StatsRequest::default()).await?.into_inner();
        if stats.workers.iter().all(|worker| worker.generation >= generation) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(format!("generation {generation} is not forwarded by after {LATE:?}").into())
}

/// So many routes of a VRF, none beneath the flows, come whole and go whole, in batches of `batch`, again and again.
///
/// # Errors
/// A batch is refused, or the daemon goes.
pub async fn load(mut changer: Changer, vrf: &str, count: usize, batch: usize) -> Result<Value, Error> {
    let mut random = Random(3);
    let table = routes::v4(count * 11 / 10);
    let keys: Vec<_> = table.iter().filter(|(address, _, _)| !FLOWS.contains(&(address >> 24))).take(count).collect();
    let keys: Vec<_> = keys.iter().map(|&&(address, length, _)| key(vrf, address, length)).collect();
    let puts: Vec<_> = keys.iter().map(|key| route(key, random.below(REMOTES))).collect();
    let deletes: Vec<_> = keys.iter().map(withdraw).collect();
    let [puts, deletes] = [puts, deletes].map(|changes| batches(&changes, batch));
    let (start, mut loads) = (begin(), 0_u64);
    // the last load goes too
    while !changer.is_over(start) {
        changer.change(&puts).await?;
        changer.change(&deletes).await?;
        loads += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(changer.found(json!({ "routes": keys.len(), "loads": loads, "seconds": seconds })))
}

/// An ACL of so many rules is replaced by another one of as many each second: what they permit is the same.
///
/// # Errors
/// A batch is refused, or the daemon goes.
pub async fn acl(changer: Changer, name: &str, rules: usize) -> Result<Value, Error> {
    let found = changer.every(Duration::from_secs(1), |turn| {
        let rules = acl_rules(turn, rules);
        Batch::new(OPERATOR, &[put(Kind::Acl(v1::Acl { name: name.into(), rules }))])
    });
    found.await
}

/// A next-hop group has one member more or less each tenth of a second, of `members`, which are remotes; never none.
///
/// # Errors
/// A batch is refused, or the daemon goes.
pub async fn flap(changer: Changer, vrf: &str, group: &str, members: &[[u8; 4]]) -> Result<Value, Error> {
    // turn by turn: all, all but one, all, all but the next one
    let found = changer.every(Duration::from_millis(100), |turn| {
        let gone = (turn % 2 == 0).then_some((turn / 2) as usize % members.len());
        let there = members.iter().enumerate().filter(|(at, _)| Some(*at) != gone);
        let paths = there.map(|(at, &remote)| path(at, remote)).collect();
        Batch::new(
            OPERATOR,
            &[put(Kind::NextHopGroup(v1::NextHopGroup { name: group.into(), vrf: vrf.into(), paths, hash: 0 }))],
        )
    });
    found.await
}

fn path(at: usize, remote: [u8; 4]) -> v1::Path {
    v1::Path { next_hop: Some(tunnel(remote)), name: format!("m{at}"), ..v1::Path::default() }
}

/// Prefixes and ports to 192/8, which no flow has; the last rule permits all UDP.
fn acl_rules(seed: u64, count: usize) -> Vec<v1::Rule> {
    let mut random = Random(seed + 11);
    let mut rule = || {
        let length = 16 + random.below(17) as u32;
        let address = (192 << 24 | random.below(1 << 24) as u32) & (u32::MAX << (32 - length));
        let by = v1::address_match::By::Prefix(prefix(address, length as u8));
        let first = random.below(1 << 15) as u32;
        let last = first + [0, 0, 100][random.below(3) as usize];
        v1::Rule {
            permit: random.below(2) == 0,
            protocol: Some([6, 17][random.below(2) as usize]),
            destination: Some(v1::AddressMatch { by: Some(by) }),
            destination_ports: vec![v1::PortRange { first, last }],
            ..v1::Rule::default()
        }
    };
    let mut rules: Vec<_> = (1..count).map(|_| rule()).collect();
    rules.push(v1::Rule { permit: true, protocol: Some(17), ..v1::Rule::default() });
    rules
}

/// Changes in batches of so many.
pub fn batches(changes: &[v1::Change], size: usize) -> Vec<Batch> {
    changes.chunks(size).map(|changes| Batch::new(OWNER, changes)).collect()
}

/// The key of a route; bits beyond its length are taken off.
pub fn key(vrf: &str, address: u32, length: u8) -> v1::RouteKey {
    let kept = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    v1::RouteKey { vrf: vrf.into(), prefix: Some(prefix(address & kept, length)), owner: String::new() }
}

fn prefix(address: u32, length: u8) -> v1::Prefix {
    v1::Prefix { address: address.to_be_bytes().to_vec(), length: length.into() }
}

/// A put of a route to one of the remotes that no flow goes to.
pub fn route(key: &v1::RouteKey, remote: u64) -> v1::Change {
    route_by(key, tunnel([172, 31, 1, remote as u8]))
}

/// A put of a route.
pub fn route_by(key: &v1::RouteKey, next_hop: v1::NextHop) -> v1::Change {
    put(Kind::Route(v1::Route { key: Some(key.clone()), next_hop: Some(next_hop), ..v1::Route::default() }))
}

/// Its withdrawal.
pub fn withdraw(key: &v1::RouteKey) -> v1::Change {
    let key = v1::ObjectKey { kind: Some(v1::object_key::Kind::Route(key.clone())) };
    v1::Change { op: Some(v1::change::Op::Delete(key)) }
}

/// By VXLAN to this VTEP.
pub fn tunnel(remote: [u8; 4]) -> v1::NextHop {
    let inner_mac = vec![2, 0xac, 0x1f, remote[2], remote[3], 1];
    let encap = Some(v1::tunnel::Encap::Vxlan(v1::tunnel::Vxlan { vni: 100, inner_mac }));
    v1::NextHop { kind: Some(v1::next_hop::Kind::Tunnel(v1::Tunnel { remote: remote.to_vec(), encap })) }
}

/// How times are spread, in microseconds.
pub fn spread(mut times: Vec<Duration>) -> Value {
    times.sort();
    let Some(last) = times.len().checked_sub(1) else { return Value::Null };
    let at = |share: f64| times[((times.len() as f64 * share) as usize).min(last)].as_micros() as u64;
    json!({ "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "longest": at(1.0) })
}
