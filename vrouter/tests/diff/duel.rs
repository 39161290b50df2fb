//! One case through product and model: what leaves, what is dropped, which flows are there, after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use vrouter::api::v1;

use super::case::{Batch, Case, Event, Expected, Kept, Network};
use super::objects::Object;
use super::product::{Drops, Product, flow_line, flow_lines, new_drops, ports};
use crate::oracle::{Flow, Oracle, Outcome, Sent, Station, Worlds};

/// How the product is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct How {
    pub workers: usize,
    /// Frames that follow each other on one port come at once.
    pub bursts: bool,
}

/// One worker, two, and one that sees whole bursts.
pub const WAYS: [How; 3] =
    [How { workers: 1, bursts: false }, How { workers: 2, bursts: false }, How { workers: 1, bursts: true }];

/// Where product and model part.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The event after which it was seen.
    pub at: usize,
    pub what: String,
}

/// How often each feature, drop and so on was seen.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    pub features: BTreeMap<String, u64>,
    pub drops: BTreeMap<String, u64>,
    /// Cases that ended early at something that is not modelled, by what.
    pub unmodelled: BTreeMap<String, u64>,
    pub frames: u64,
    pub changes: u64,
    pub refused: u64,
}

enum Stop {
    Different(String),
    Unmodelled(String),
}

struct Duel<'a> {
    product: Product,
    worlds: Worlds,
    /// Seen last of the product.
    drops: Drops,
    hits: &'a mut Hits,
    kept: Kept,
}

/// Runs a case. Adds to the hits; gives what the model expected of each event, and of the flows after the last one.
pub fn duel(case: &Case, how: How, hits: &mut Hits) -> (Kept, Option<Difference>) {
    let product = Product::new(how.workers);
    let worlds = Worlds::new(Oracle::new(&ports(), product.now()));
    let kept = Kept { case: case.clone(), expected: Vec::new(), flows: Vec::new() };
    let mut duel = Duel { product, worlds, drops: Drops::new(), hits, kept };
    let mut at = 0;
    let result = duel.run(case, how, &mut at);
    let kept = duel.kept;
    match result {
        Ok(()) => (kept, None),
        Err(Stop::Unmodelled(what)) => {
            *hits.unmodelled.entry(what).or_default() += 1;
            (kept, None)
        }
        Err(Stop::Different(what)) => (kept, Some(Difference { at, what })),
    }
}

/// The objects that the product accepts: each that it refuses is left out.
pub fn accepted(mut objects: Vec<Object>) -> Vec<Object> {
    // in the order in which a batch has them
    let order = [
        "groups",
        "acls",
        "vrfs",
        "bridges",
        "vifs",
        "settings",
        "neighbours",
        "bfd_sessions",
        "next_hop_groups",
        "routes",
        "fdb",
        "vnis",
        "labels",
    ];
    objects.sort_by_key(|object| order.iter().position(|section| *section == object.section));
    let mut product = Product::new(1);
    while let Err((change, why)) = product.apply(&super::objects::text(&objects)) {
        assert!(change < objects.len(), "{why}\n{}", super::objects::text(&objects));
        objects.remove(change);
    }
    objects
}

impl Duel<'_> {
    fn run(&mut self, case: &Case, how: How, at: &mut usize) -> Result<(), Stop> {
        let text = case.network.text();
        if let Err((_, why)) = self.product.apply(&text) {
            // while a case is shrunk: what is left does not stand on its own
            return Err(Stop::Unmodelled(format!(
                "refused network: {}",
                why.split(':').next_back().unwrap_or_default()
            )));
        }
        self.change(|oracle| oracle.apply(&text))?;
        self.passed()?;
        let mut events = case.events.as_slice();
        while !events.is_empty() {
            let count = if how.bursts { burst(events) } else { 1 };
            self.event(&events[..count])?;
            *at += count;
            events = &events[count..];
        }
        *at = case.events.len().saturating_sub(1);
        self.kept.flows = flow_lines(&mut self.product);
        (0..60).try_for_each(|_| self.tick().map(|_| ()))?;
        catch_unwind(AssertUnwindSafe(|| self.product.close_books()))
            .map_err(|cause| Stop::Different(format!("the books: {}", text_of(&*cause))))
    }

    fn event(&mut self, events: &[Event]) -> Result<(), Stop> {
        match &events[0] {
            Event::Frame { port, .. } => {
                let frames: Vec<&[u8]> = events.iter().filter_map(frame).collect();
                self.product.receive(*port, &frames);
                self.hits.frames += frames.len() as u64;
                let (came, now) = (self.product.take(), self.product.now());
                self.modelled(|worlds| worlds.receive_burst(*port, &frames, now, &came))?;
                let each = self.compare(came)?;
                self.kept.expected.extend(each);
            }
            Event::Apply(batch) => {
                let text = batch.text();
                let applied = self.product.apply(&text).is_ok();
                self.hits.changes += u64::from(applied);
                self.hits.refused += u64::from(!applied);
                if applied {
                    self.change(|oracle| oracle.apply(&text))?;
                }
                self.changed(applied)?;
            }
            Event::Delete { kind, key } => {
                let applied = self.product.delete(kind, key);
                if applied {
                    self.hits.changes += 1;
                    self.change(|oracle| oracle.delete(kind, key))?;
                    // the books keep a deleted VIF's drops, as those of none
                    self.drops = self.product.drops();
                }
                self.changed(applied)?;
            }
            Event::Link { port, up } => {
                // what goes on in this tick is on its way when the link is seen to be another
                let mut all = self.tick()?;
                self.product.link(*port, *up);
                let more = self.tick()?;
                all.sent.extend(more.sent);
                all.drops.extend(more.drops);
                self.change(|oracle| {
                    oracle.link(*port, *up);
                    Ok(())
                })?;
                self.wait(0, &mut all)?;
                self.kept.expected.push(all);
            }
            Event::Session { name, failed } => {
                self.product.session(name, *failed);
                self.change(|oracle| {
                    oracle.session(name, *failed);
                    Ok(())
                })?;
                self.changed(true)?;
            }
            Event::Wait(millis) => {
                let (begun, mut all) = (self.product.now(), Expected::default());
                self.wait(*millis, &mut all)?;
                // a kept case waits as long without a model to ask
                self.kept.case.events[self.kept.expected.len()] = Event::Wait(self.product.now() - begun);
                self.kept.expected.push(all);
            }
        }
        self.compare_flows()
    }

    /// So long, and until no flow is in limbo.
    fn wait(&mut self, millis: u64, all: &mut Expected) -> Result<(), Stop> {
        let end = self.product.now() + millis;
        let mut most = 900;
        while most > 0 && self.product.now() < end.max(self.worlds.settled_at()) {
            let one = self.tick()?;
            all.sent.extend(one.sent);
            all.drops.extend(one.drops);
            most -= 1;
        }
        all.sent.sort();
        all.drops.sort();
        Ok(())
    }

    fn changed(&mut self, applied: bool) -> Result<(), Stop> {
        let mut one = self.passed()?;
        one.refused = !applied;
        self.kept.expected.push(one);
        Ok(())
    }

    fn tick(&mut self) -> Result<Expected, Stop> {
        self.product.tick();
        self.passed()
    }

    /// What was done at this time, or because it is this time.
    fn passed(&mut self) -> Result<Expected, Stop> {
        let (came, now) = (self.product.take(), self.product.now());
        self.modelled(|worlds| worlds.advance(now, &came))?;
        let mut each = self.compare(came)?;
        Ok(each.swap_remove(0))
    }

    fn change(&mut self, change: impl Fn(&mut Oracle) -> Result<(), String>) -> Result<(), Stop> {
        let error = |error| Stop::Different(format!("the model: {error}"));
        self.modelled(|worlds| worlds.change(change))?.map_err(error)
    }

    /// Asks the model; what it does not know ends the case.
    fn modelled<T>(&mut self, ask: impl FnOnce(&mut Worlds) -> T) -> Result<T, Stop> {
        let worlds = &mut self.worlds;
        catch_unwind(AssertUnwindSafe(|| ask(worlds))).map_err(|cause| {
            let text = text_of(&*cause);
            match text.strip_prefix("unmodelled: ") {
                Some(what) => Stop::Unmodelled(what.to_owned()),
                None => Stop::Different(format!("the model panics: {text}")),
            }
        })
    }

    /// Holds what came and what was dropped against the worlds; gives what each thing that happened led to.
    fn compare(&mut self, mut came: Vec<Sent>) -> Result<Vec<Expected>, Stop> {
        came.sort();
        let dropped = new_drops(&mut self.product, &mut self.drops);
        for (_, reason) in &dropped {
            *self.hits.drops.entry(reason.clone()).or_default() += 1;
        }
        let fits = |_: &Oracle, outcomes: &[Outcome]| {
            frames_fit(&came, &dropped, outcomes)?;
            drops_fit(&dropped, outcomes)
        };
        let kept = self.modelled(|worlds| worlds.keep(fits))?;
        let (Ok(outcomes) | Err((outcomes, _))) = &kept;
        let each: Vec<Expected> = outcomes.iter().map(expected).collect();
        if let Err((_, what)) = kept {
            self.kept.expected.extend(each);
            return Err(Stop::Different(what));
        }
        let (Ok(outcomes) | Err((outcomes, _))) = &kept;
        for feature in outcomes.iter().flat_map(|outcome| &outcome.features).collect::<BTreeSet<_>>() {
            *self.hits.features.entry((*feature).to_owned()).or_default() += 1;
        }
        if self.worlds.count() > 1 {
            *self.hits.features.entry("several_worlds".into()).or_default() += 1;
        }
        Ok(each)
    }

    fn compare_flows(&mut self) -> Result<(), Stop> {
        let there = self.product.flows();
        let stations = self.product.stations();
        let kept = self.modelled(|worlds| {
            worlds.keep(|oracle, _| {
                flows_fit(&there, &oracle.flows())?;
                stations_fit(&stations, &oracle.stations())
            })
        })?;
        kept.map(|_| ()).map_err(|(_, what)| Stop::Different(what))
    }
}

fn frames_fit(came: &[Sent], dropped: &[(String, String)], outcomes: &[Outcome]) -> Result<(), String> {
    let mut wanted: Vec<Sent> = outcomes.iter().flat_map(|outcome| outcome.sent.clone()).collect();
    wanted.sort();
    if came == wanted {
        return Ok(());
    }
    let extra: Vec<String> = came.iter().filter(|one| !wanted.contains(one)).map(frame_line).collect();
    let gone: Vec<String> = wanted.iter().filter(|one| !came.contains(one)).map(frame_line).collect();
    let drops: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.drops).collect();
    Err(format!(
        "frames:\n  product also {}\n  model also {}\n  product drops {dropped:?}, model drops {drops:?}",
        extra.join("\n               "),
        gone.join("\n             "),
    ))
}

fn drops_fit(dropped: &[(String, String)], outcomes: &[Outcome]) -> Result<(), String> {
    let drops = outcomes.iter().flat_map(|outcome| &outcome.drops);
    let mut wanted: Vec<(String, String)> = drops.map(|drop| (drop.vif.clone(), drop.reason.to_owned())).collect();
    wanted.sort();
    if dropped == wanted { Ok(()) } else { Err(format!("drops: product {dropped:?}, model {wanted:?}")) }
}

fn flows_fit(there: &[v1::Flow], wanted: &[Flow]) -> Result<(), String> {
    let mut there: Vec<&v1::Flow> = there.iter().collect();
    for flow in wanted {
        match there.iter().position(|other| is_same(flow, other)) {
            Some(at) => {
                let other = there.swap_remove(at);
                if !is_like(flow, other) {
                    return Err(format!("flow:\n  product {}\n  model {flow:?}", flow_line(other)));
                }
            }
            None if flow.may_be_gone => {}
            None => return Err(format!("flow: only in the model {flow:?}, product {there:#?}")),
        }
    }
    there.first().map_or(Ok(()), |other| Err(format!("flow: only in the product {}", flow_line(other))))
}

fn stations_fit(there: &[(String, Vec<u8>, bool)], wanted: &[Station]) -> Result<(), String> {
    let is = |of: &(String, Vec<u8>, bool), other: &Station| {
        (&*of.0, &*of.1, of.2) == (&*other.bridge, &other.mac[..], other.held)
    };
    let gone = wanted.iter().find(|station| !station.may_be_gone && !there.iter().any(|other| is(other, station)));
    let extra = there.iter().find(|other| !wanted.iter().any(|station| is(other, station)));
    match (gone, extra) {
        (None, None) => Ok(()),
        _ => Err(format!("stations: only in the model {gone:?}, only in the product {extra:?}")),
    }
}

fn frame(event: &Event) -> Option<&[u8]> {
    if let Event::Frame { bytes, .. } = event { Some(bytes) } else { None }
}

/// Whether the control thread learns from a frame: ARP, and ICMPv6 of the fabric.
fn teaches(port: usize, bytes: &[u8]) -> bool {
    let tag = if bytes.get(12..14) == Some(&[0x81, 0]) { 4 } else { 0 };
    let ethertype = bytes.get(12 + tag..14 + tag);
    let nd = [0, 7].contains(&port) && ethertype == Some(&[0x86, 0xdd]) && bytes.get(20 + tag) == Some(&58);
    nd || ethertype == Some(&[8, 6])
}

/// Whether there may be a fragment in a frame, wherever its headers are.
fn is_piece(bytes: &[u8]) -> bool {
    bytes.windows(20).take(130).any(|header| match header[0] >> 4 {
        4 => header[0] & 15 >= 5 && (header[6] & 0x3f != 0 || header[7] != 0),
        6 => header[6] == 44,
        _ => false,
    })
}

/// How many events are one burst: frames of one port, none of which the control thread learns from; nor fragments: what waits for another
/// piece is decided behind the whole burst, which the model does not do.
fn burst(events: &[Event]) -> usize {
    let of = |event: &Event| match event {
        Event::Frame { port, bytes } if !teaches(*port, bytes) && !is_piece(bytes) => Some(*port),
        _ => None,
    };
    let Some(port) = of(&events[0]) else { return 1 };
    events.iter().take(32).take_while(|event| of(event) == Some(port)).count()
}

fn expected(outcome: &Outcome) -> Expected {
    let mut sent: Vec<_> = outcome.sent.iter().map(|sent| (sent.port, sent.bytes.clone())).collect();
    let mut drops: Vec<_> = outcome.drops.iter().map(|drop| (drop.vif.clone(), drop.reason.to_owned())).collect();
    sent.sort();
    drops.sort();
    Expected { sent, drops, refused: false }
}

fn is_same(flow: &Flow, other: &v1::Flow) -> bool {
    let octets = super::packets::octets;
    flow.place == other.place
        && flow.reverse_place == other.reverse_place
        && octets(flow.source) == other.source
        && octets(flow.destination) == other.destination
        && u32::from(flow.protocol) == other.protocol
        && u32::from(flow.source_port) == other.source_port
        && u32::from(flow.destination_port) == other.destination_port
}

fn is_like(flow: &Flow, other: &v1::Flow) -> bool {
    // no name that is given has spaces
    let is_named = |name: &Option<String>, other: &str| match name.as_deref() {
        None => true,
        Some(name) => name == other || name.contains(' ') && other.contains(' '),
    };
    flow.state == other.state
        && is_named(&flow.way, &other.path)
        && is_named(&flow.reverse_way, &other.reverse_path)
        && flow.verdict.is_none_or(|verdict| verdict == other.verdict)
        && flow.reverse_verdict.is_none_or(|verdict| verdict == other.reverse_verdict)
        && (flow.packets, flow.bytes) == (other.packets, other.bytes)
        && (flow.reverse_packets, flow.reverse_bytes) == (other.reverse_packets, other.reverse_bytes)
}

fn frame_line(sent: &Sent) -> String {
    let hex: String = sent.bytes.iter().take(160).map(|byte| format!("{byte:02x}")).collect();
    format!("p{} {} bytes {hex}", sent.port, sent.bytes.len())
}

/// What a panic said.
pub fn text_of(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().cloned();
    text.or(cause.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_else(|| "a panic".into())
}

/// The case with the objects and events that a replay from text would have.
pub fn settled(case: Case) -> Case {
    match case.network {
        Network::Objects(objects) => Case { network: Network::Objects(accepted(objects)), ..case },
        Network::Text(_) => case,
    }
}

/// The objects of a batch, where they are known one by one.
pub fn objects_of(event: &Event) -> Option<&Vec<Object>> {
    if let Event::Apply(Batch::Objects(objects)) = event { Some(objects) } else { None }
}
