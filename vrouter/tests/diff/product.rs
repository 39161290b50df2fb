//! The product on virtual wires, as one of the two that are compared.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use vrouter::api::{v1, yaml};
use vrouter::control::{Made, Request};
use vrouter::daemon::bfd::Bfd;
use vrouter::daemon::verdicts::Verdicts;
use vrouter::ids::PortIndex;
use vrouter::packet::bfd::{Diagnostic, State};
use vrouter::port::Undone;
use vrouter::tables::BfdStand;

use crate::lab::{Lab, PORTS, Setup};
use crate::oracle::{self, Sent};

/// One vRouter without objects, and a clock.
pub struct Product {
    lab: Lab,
    bfd: Arc<Bfd>,
    verdicts: Arc<Verdicts>,
}

/// Packets dropped so far, by VIF and reason.
pub type Drops = BTreeMap<(String, String), u64>;

/// The ports of every product, as the model is told of them.
pub fn ports() -> Vec<oracle::Port> {
    let port = |at: usize| oracle::Port { name: format!("p{at}"), mac: super::world::port_mac(at), mtu: 1500 };
    (0..PORTS).map(port).collect()
}

impl Product {
    pub fn new(workers: usize) -> Product {
        let setup = Setup { network: "{}".into(), flows: 256, room: 256, ..Setup::default() };
        let mut lab = Lab::one(workers, &setup);
        // sessions speak to nobody: how they stand is told
        let bfd = lab.rig().control.give_bfd();
        let verdicts = lab.rig().control.give_verdicts();
        Product { lab, bfd, verdicts }
    }

    pub fn now(&self) -> u64 {
        self.lab.now
    }

    /// Puts the objects of a text in one batch, at rest afterwards. The index of the first bad change, and why, if it is refused.
    pub fn apply(&mut self, text: &str) -> Result<(), (usize, String)> {
        let network = yaml::Network::parse("case", text).map_err(|error| (usize::MAX, format!("{error:?}")))?;
        let changes = network.changes().map_err(|fault| (usize::MAX, format!("{fault:?}")))?;
        let changes: Vec<_> = changes.into_iter().map(|(change, _)| change).collect();
        self.plan(&changes);
        let result = self.lab.rig().try_apply(changes).map(|_| ());
        self.run();
        result.map_err(|refused| {
            (refused.change as usize, format!("{}: {}: {}", refused.object, refused.field, refused.reason))
        })
    }

    /// Deletes an object by kind and key. False: refused.
    pub fn delete(&mut self, kind: &str, key: &str) -> bool {
        let Some(key) = object_key(kind, key) else { return false };
        let op = v1::change::Op::Delete(v1::ObjectKey { kind: Some(key) });
        let changes = vec![v1::Change { op: Some(op) }];
        self.plan(&changes);
        let done = self.lab.rig().try_apply(changes).is_ok();
        self.run();
        done
    }

    /// What is made was planned before: whatever becomes of flows, some change of the batch touches them.
    fn plan(&mut self, changes: &[v1::Change]) {
        let begin = v1::Begin { dry_run: true, flows: true, ..v1::Begin::default() };
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let changes = changes.to_vec().into();
        self.lab.rig().control.answer(Request::Apply { begin, changes, by: String::new(), reply });
        // what the last changes did is told first
        let now = self.lab.now;
        let planned = (0..3).find_map(|_| {
            self.verdicts.step_at(now, u32::MAX);
            answer.try_recv().ok()
        });
        match planned.expect("an answer") {
            Ok(Made::Plan(plan)) => hold(&plan),
            Ok(other) => panic!("no plan: {other:?}"),
            // so is what is made
            Err(_) => {}
        }
    }

    /// Frames come in by a port, one after the other, and are seen by the workers at once.
    pub fn receive(&mut self, port: usize, frames: &[&[u8]]) {
        for bytes in frames {
            let (bytes, undone) = unmarked(bytes);
            let mut frame = self.lab.rooms.copy_or_make(bytes).expect("fits");
            frame.undone = undone;
            self.lab.put_frame((0, port), frame);
        }
        self.run();
        self.lab.exchanged.clear();
    }

    /// A port's link goes or comes; seen with the next tick.
    pub fn link(&mut self, port: usize, up: bool) {
        let port = PortIndex(port as u16);
        let mut links = self.lab.rig().links.lock().unwrap();
        links.retain(|(other, _)| *other != port);
        links.push((port, up));
    }

    /// A session of BFD fails, or is up; at rest afterwards.
    pub fn session(&mut self, name: &str, failed: bool) {
        let stand = if failed {
            BfdStand { state: State::Down, diagnostic: Diagnostic::DETECTION_TIME_EXPIRED, failed }
        } else {
            BfdStand { state: State::Up, ..BfdStand::default() }
        };
        if let Some(watched) = self.lab.rig().control.watched(name) {
            self.lab.rig().control.tell_of_sessions(&BTreeMap::from([(watched, stand)]));
        }
        self.run();
    }

    /// At rest, and nothing waits for sessions.
    fn run(&mut self) {
        for _ in 0..2 {
            self.lab.run();
            self.bfd.hear_at(self.lab.now * 1000);
        }
        self.lab.run();
    }

    /// A tenth of a second. Now and then the controller was started again, and says all that it wants, of which nobody may take notice.
    pub fn tick(&mut self) {
        self.lab.now += 100;
        self.run();
        if self.lab.now.is_multiple_of(1300) {
            self.say_all_again();
            self.run();
        }
    }

    /// All objects, as they are listed, in a batch that replaces.
    fn say_all_again(&mut self) {
        let filter = v1::ListRequest::default();
        let listed = self.lab.rig().ask(|reply| Request::List { filter, reply }).expect("a list").objects;
        let ours = |object: &v1::Object| match &object.kind {
            Some(v1::object::Kind::Route(route)) => route.key.as_ref().is_some_and(|key| key.owner == "operator"),
            _ => object.owner == "operator",
        };
        let put = |object| v1::Change { op: Some(v1::change::Op::Put(object)) };
        let changes = listed.filter(ours).map(put).collect();
        let begin = v1::Begin { replace: true, ..v1::Begin::default() };
        match self.lab.rig().batch(begin, changes) {
            Ok(Made::Applied(applied)) => assert_eq!(applied.swept, 0, "something was listed, and not said"),
            other => panic!("what is listed is refused: {other:?}"),
        }
    }

    /// What came out since the last look.
    pub fn take(&mut self) -> Vec<Sent> {
        let lab = &mut self.lab;
        let frames = (0..PORTS).flat_map(|port| lab.take((0, port)).into_iter().map(move |bytes| Sent { port, bytes }));
        frames.collect()
    }

    pub fn drops(&mut self) -> Drops {
        let mut drops = Drops::new();
        // all VRFs' of a fabric VIF
        for row in self.lab.rig().stats().drops {
            *drops.entry((row.vif, row.reason)).or_default() += row.packets;
        }
        drops
    }

    pub fn flows(&mut self) -> Vec<v1::Flow> {
        self.lab.rig().flows(v1::FlowsRequest::default())
    }

    /// Stations that were learnt, sorted: the bridge, the MAC, and whether it is held.
    pub fn stations(&mut self) -> Vec<(String, Vec<u8>, bool)> {
        let filter = v1::ListRequest { kind: v1::Kind::FdbEntry.into(), ..Default::default() };
        let objects = self.lab.rig().ask(|reply| Request::List { filter, reply }).unwrap().objects;
        let learnt = objects.filter_map(|object| match object.kind {
            Some(v1::object::Kind::FdbEntry(entry)) if entry.learnt => Some(entry),
            _ => None,
        });
        let mut stations: Vec<_> = learnt
            .map(|entry| {
                let key = entry.key.unwrap_or_default();
                (key.bridge, key.mac, entry.pinned)
            })
            .collect();
        stations.sort();
        stations
    }

    /// The books at rest; panics with what is wrong.
    pub fn close_books(&mut self) {
        crate::books::check(self.lab.rig(), 0);
    }
}

/// The steps of a plan beside what becomes of all flows.
fn hold(plan: &v1::Plan) {
    let flows = plan.flows.as_ref().expect("flows");
    let all = flows.verdicts.as_ref().expect("verdicts");
    let all = [all.flows, all.now_denied, all.now_permitted, all.ended, flows.moved];
    let mut sums = [0; 5];
    for step in &plan.steps {
        let v1::FlowsTouched { flows, now_denied, now_permitted, ended, moved } = step.flows.expect("flows of a step");
        let touched = [flows, now_denied, now_permitted, ended, moved];
        assert!(touched.iter().zip(all).all(|(touched, all)| *touched <= all), "{step:?} of {all:?}");
        assert!(touched[1..].iter().sum::<u64>() <= flows, "{step:?}");
        sums.iter_mut().zip(touched).for_each(|(sum, touched)| *sum += touched);
    }
    // of one change it is all, of several each flow by one at least
    let turned = || sums[1..].iter().zip(&all[1..]);
    assert!(turned().all(|(sum, all)| sum >= all), "{sums:?} of {all:?}: {:#?}", plan.steps);
    assert!(plan.steps.len() != 1 || turned().all(|(sum, all)| sum == all), "{sums:?} of {all:?}: {:?}", plan.steps);
}

/// What is behind a frame in which something was left undone, before the payload of each segment (0: the checksum alone).
pub const MARK: &[u8; 8] = b"LEFT-OUT";

fn unmarked(frame: &[u8]) -> (&[u8], Undone) {
    let marked = frame.split_last_chunk::<2>().and_then(|(rest, each)| Some((rest.strip_suffix(MARK)?, each)));
    match marked.map(|(rest, each)| (rest, u16::from_be_bytes(*each))) {
        None => (frame, Undone::NOTHING),
        Some((rest, 0)) => (rest, Undone::CHECKSUM),
        Some((rest, each)) => (rest, Undone::segments(each)),
    }
}

fn object_key(kind: &str, key: &str) -> Option<v1::object_key::Kind> {
    use v1::object_key::Kind;
    let mut words = key.split(' ');
    Some(match kind {
        "vrf" => Kind::Vrf(key.into()),
        "vif" => Kind::Vif(key.into()),
        "acl" => Kind::Acl(key.into()),
        "group" => Kind::Group(key.into()),
        "bridge" => Kind::Bridge(key.into()),
        "next_hop_group" => Kind::NextHopGroup(key.into()),
        "bfd_session" => Kind::BfdSession(key.into()),
        "fdb" => {
            let bridge = words.next()?.into();
            let mac: vrouter::ids::Mac = words.next()?.parse().ok()?;
            Kind::FdbEntry(v1::FdbKey { bridge, mac: mac.0.to_vec() })
        }
        "vni" => Kind::Vni(key.parse().ok()?),
        "label" => Kind::Label(key.parse().ok()?),
        "neighbour" => {
            let vif = words.next()?.into();
            Kind::Neighbour(v1::NeighbourKey { vif, address: bytes(words.next()?.parse().ok()?) })
        }
        "route" => {
            let vrf = words.next()?.into();
            let (address, length) = words.next()?.split_once('/')?;
            let prefix = v1::Prefix { address: bytes(address.parse().ok()?), length: length.parse().ok()? };
            Kind::Route(v1::RouteKey { vrf, prefix: Some(prefix), owner: words.next()?.into() })
        }
        _ => return None,
    })
}

fn bytes(address: IpAddr) -> Vec<u8> {
    super::packets::octets(address)
}

/// A flow as one line.
pub fn flow_line(flow: &v1::Flow) -> String {
    let address = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap_or_default()),
    };
    let ways = if flow.path.is_empty() && flow.reverse_path.is_empty() {
        String::new()
    } else {
        format!(" by {:?} and {:?}", flow.path, flow.reverse_path)
    };
    format!(
        "{} > {} protocol {} [{}]:{} > [{}]:{} {} {} {} {} {} {} {}{ways}",
        flow.place,
        flow.reverse_place,
        flow.protocol,
        address(&flow.source),
        flow.source_port,
        address(&flow.destination),
        flow.destination_port,
        flow.state,
        flow.verdict,
        flow.reverse_verdict,
        flow.packets,
        flow.bytes,
        flow.reverse_packets,
        flow.reverse_bytes
    )
}

/// The product's flows as lines, sorted.
pub fn flow_lines(product: &mut Product) -> Vec<String> {
    let mut lines: Vec<String> = product.flows().iter().map(flow_line).collect();
    lines.sort();
    lines
}

/// Drops since the last look (VIF and reason), one by one, sorted.
pub fn new_drops(product: &mut Product, seen: &mut Drops) -> Vec<(String, String)> {
    let now = product.drops();
    let more = |(key, count): (&(String, String), &u64)| {
        let before = seen.get(key).copied().unwrap_or(0);
        // a VIF that was made anew counts from 0
        let more = if *count < before { *count } else { *count - before };
        std::iter::repeat_n(key.clone(), more as usize)
    };
    let dropped = now.iter().flat_map(more).collect();
    *seen = now;
    dropped
}
