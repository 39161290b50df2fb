//! An ACL of many rules, changed by the control socket under live flows: how soon it is in force, and how soon it is told what became of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vrouter::api::v1;
use vrouter::api::v1::object::Kind;
use vrouter::daemon::view::address_bytes;
use vrouter::tables::acl::{AddressMatch, Rule};

use crate::changes::spread;
use crate::control::{Batch, Client, Error, put};
use crate::rules::{Family, rules};

/// The owner of the VRF that gets it.
const OWNER: &str = "operator";
const NAME: &str = "many";

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Whose ACL it is.
    pub vrf: &'a str,
    /// Clients whose flows are denied and permitted in turn by one rule in the middle.
    pub clients: (&'a [u8], u32),
    pub rules: usize,
    pub changes: usize,
    /// All rules are others each time, and not one.
    pub whole: bool,
}

/// What was measured of each change.
#[derive(Default)]
struct Times {
    answered: Vec<Duration>,
    forwarded: Vec<Duration>,
    told: Vec<Duration>,
}

/// Gives the VRF such an ACL, changes it, and takes it away again. Each change begins when all is told about the one before.
///
/// # Errors
/// The daemon refuses something, or tells nothing within a minute.
pub async fn measure(client: &mut Client, given: &Given<'_>) -> Result<Value, Error> {
    let vrf = |acl: &str| put(Kind::Vrf(v1::Vrf { name: given.vrf.into(), acl: acl.into(), ..v1::Vrf::default() }));
    let versions = [false, true].map(|denied| acl(given, denied));
    let request =
        v1::WatchRequest { kinds: vec![v1::Kind::Port.into()], verdicts: true, ..v1::WatchRequest::default() };
    let mut events = client.calls.watch(request).await?.into_inner();
    let mut call = client.batches().await?;
    let first = call.apply(&Batch::new(OWNER, &[versions[0].clone(), vrf(NAME)])).await?;
    let mut last = told(&mut events, first).await?;
    let batches = versions.map(|version| Batch::new(OWNER, &[version]));
    let mut times = Times::default();
    let mut changed = 0;
    for round in 1..=given.changes {
        let start = Instant::now();
        let generation = call.apply(&batches[round % 2]).await?;
        times.answered.push(start.elapsed());
        client.sync(generation).await?;
        times.forwarded.push(start.elapsed());
        last = told(&mut events, generation).await?;
        times.told.push(start.elapsed());
        changed += last.now_denied + last.now_permitted;
    }
    call.apply(&Batch::new(OWNER, &[vrf("")])).await?;
    Ok(json!({
        "rules": given.rules, "changes": given.changes, "whole": given.whole, "bytes": batches[0].bytes(),
        "flows": last.flows, "changed": changed / given.changes.max(1) as u64, "gone": last.gone,
        "answered_us": spread(times.answered), "forwarded_us": spread(times.forwarded), "told_us": spread(times.told),
    }))
}

/// The report about this generation.
async fn told(events: &mut tonic::Streaming<v1::Event>, generation: u64) -> Result<v1::VerdictsChanged, Error> {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(60), events.message()).await??;
        let event = event.ok_or("the watch ended")?;
        if let Some(verdicts) = event.verdicts.filter(|verdicts| verdicts.generation >= generation) {
            return Ok(verdicts);
        }
    }
}

/// One of the two versions. The last rule permits what no other matches.
fn acl(given: &Given<'_>, denied: bool) -> v1::Change {
    let family = if given.whole && denied { Family::Access } else { Family::Firewall };
    let mut all: Vec<v1::Rule> = rules(family, false, given.rules).iter().map(told_rule).collect();
    let (address, length) = given.clients;
    let prefix = v1::Prefix { address: address.to_vec(), length };
    let source = Some(v1::AddressMatch { by: Some(v1::address_match::By::Prefix(prefix)) });
    all[given.rules / 2] = v1::Rule { permit: !denied, source, ..v1::Rule::default() };
    if let Some(last) = all.last_mut() {
        last.permit = true;
    }
    put(Kind::Acl(v1::Acl { name: NAME.into(), rules: all }))
}

fn told_rule(rule: &Rule) -> v1::Rule {
    let side = |side: &AddressMatch| match side {
        AddressMatch::Prefix(address, length) => {
            let prefix = v1::Prefix { address: address_bytes(*address), length: (*length).into() };
            Some(v1::AddressMatch { by: Some(v1::address_match::By::Prefix(prefix)) })
        }
        AddressMatch::Any | AddressMatch::In(_) => None,
    };
    let ports = |ports: &[(u16, u16)]| -> Vec<v1::PortRange> {
        ports.iter().map(|(first, last)| v1::PortRange { first: (*first).into(), last: (*last).into() }).collect()
    };
    v1::Rule {
        permit: rule.permit,
        protocol: rule.protocol.map(u32::from),
        source: side(&rule.source),
        destination: side(&rule.destination),
        source_ports: ports(&rule.source_ports),
        destination_ports: ports(&rule.destination_ports),
        icmp_type: rule.icmp_type.map(u32::from),
        ..v1::Rule::default()
    }
}
