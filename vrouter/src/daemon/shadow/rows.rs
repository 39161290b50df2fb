//! Differences, added up by who decides, who is concerned, and what for.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::api::v1;
use crate::daemon::view::{address_bytes, place_text, vif_name, vrf_name};
use crate::drops::DropReason;
use crate::ids::Place;
use crate::packet::tuple::FlowTuple;
use crate::tables::acl::{AddressMatch, Redirect, Rule, Stage};
use crate::tables::{Difference, Judged, Snapshot};

/// Rows that are kept apart; what is of none is counted.
const ROWS: usize = 1024;

/// Rows by what they are about.
#[derive(Default)]
pub(super) struct Rows {
    rows: HashMap<Key, v1::ShadowRow>,
    /// Permitted, denied, sent elsewhere: all of them.
    sums: [u64; 3],
    other: u64,
}

/// What one row is about.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    live: Decider,
    shadow: Decider,
    place: Place,
    exit: Option<Place>,
    protocol: u8,
    /// The server's port, or ICMP type and code.
    port: u16,
    ends: [End; 2],
}

/// Who decides on one side.
#[derive(PartialEq, Eq, Hash)]
struct Decider {
    denied: Option<DropReason>,
    stage: Option<Stage>,
    acl: Option<Arc<str>>,
    rule: Option<(u16, Arc<str>)>,
}

/// Whom a rule is about: which group or prefix.
#[derive(Clone, PartialEq, Eq, Hash)]
enum End {
    Group(Arc<str>),
    Prefix(IpAddr, u8),
    Any,
}

impl Rows {
    /// One more, at this time (milliseconds since 1970).
    pub fn add(&mut self, snapshot: &Snapshot, difference: &Difference, now_ms: u64) {
        let change = match (difference.live.denied, difference.shadow.denied) {
            (Some(_), _) => v1::ShadowChange::Permitted,
            (None, Some(_)) => v1::ShadowChange::Denied,
            (None, None) => v1::ShadowChange::Moved,
        };
        self.sums[change as usize] += 1;
        let rules = [rule_of(&difference.shadow), rule_of(&difference.live)];
        let ends = [|rule: &Rule| end(&rule.source), |rule: &Rule| end(&rule.destination)].map(|side| {
            let said = || rules.iter().flatten().map(|rule| side(rule));
            let group = said().find(|end| matches!(end, End::Group(_)));
            group.or_else(|| said().find(|end| *end != End::Any)).unwrap_or(End::Any)
        });
        let FlowTuple { protocol, destination_port, .. } = difference.tuple;
        let key = Key {
            live: Decider::of(&difference.live),
            shadow: Decider::of(&difference.shadow),
            place: difference.place,
            exit: difference.exit,
            protocol,
            port: destination_port,
            ends,
        };
        if let Some(row) = self.rows.get_mut(&key) {
            row.count += 1;
            row.last_ms = now_ms;
        } else if self.rows.len() < ROWS {
            let row = row(snapshot, difference, &key, change, now_ms);
            self.rows.insert(key, row);
        } else {
            self.other += 1;
        }
    }

    /// How many would be permitted, denied, and sent elsewhere.
    pub fn sums(&self) -> [u64; 3] {
        self.sums
    }

    /// How many of those are in no row.
    pub fn other(&self) -> u64 {
        self.other
    }

    /// The rows, most first.
    pub fn told(&self) -> Vec<v1::ShadowRow> {
        let mut rows: Vec<_> = self.rows.values().cloned().collect();
        rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (a.first_ms, &a.source).cmp(&(b.first_ms, &b.source))));
        rows
    }
}

impl Decider {
    fn of(judged: &Judged) -> Decider {
        let rule = rule_of(judged).and_then(|rule| Some((judged.rule?, rule.name.clone())));
        let acl = judged.acl.as_ref().map(|acl| acl.name.clone());
        Decider { denied: judged.denied, stage: judged.stage, acl, rule }
    }
}

fn rule_of(judged: &Judged) -> Option<&Rule> {
    judged.acl.as_ref()?.rule(usize::from(judged.rule?))
}

fn end(side: &AddressMatch) -> End {
    match side {
        AddressMatch::Any => End::Any,
        AddressMatch::Prefix(address, length) => End::Prefix(*address, *length),
        AddressMatch::In(set) => set.name.clone().map_or(End::Any, End::Group),
    }
}

fn row(
    snapshot: &Snapshot,
    difference: &Difference,
    key: &Key,
    change: v1::ShadowChange,
    now_ms: u64,
) -> v1::ShadowRow {
    let Difference { place, exit, tuple, live, shadow } = difference;
    let [source_match, destination_match] = key.ends.clone().map(|end| match end {
        End::Group(name) => format!("group {name}"),
        End::Prefix(address, length) => format!("{address}/{length}"),
        End::Any => String::new(),
    });
    v1::ShadowRow {
        change: change.into(),
        live: Some(judge(snapshot, live)),
        shadow: Some(judge(snapshot, shadow)),
        source: place_text(snapshot, *place),
        source_match,
        destination: exit.map_or_else(|| "local".into(), |exit| place_text(snapshot, exit)),
        destination_match,
        protocol: tuple.protocol.into(),
        port: tuple.ports().map(|(_, port)| port.into()),
        icmp_type: tuple.icmp().map(|(kind, _)| kind.into()),
        count: 1,
        first_ms: now_ms,
        last_ms: now_ms,
        example: Some(v1::ShadowFlow {
            source: address_bytes(tuple.source),
            destination: address_bytes(tuple.destination),
            source_port: tuple.ports().map(|(port, _)| port.into()),
        }),
    }
}

fn judge(snapshot: &Snapshot, judged: &Judged) -> v1::ShadowJudge {
    let rule = rule_of(judged);
    let by = match judged.stage {
        Some(Stage::FromVif(vif) | Stage::ToVif(vif)) => format!("vif {}", vif_name(snapshot, vif)),
        Some(Stage::Vrf(vrf)) => format!("vrf {}", vrf_name(snapshot, vrf)),
        None => String::new(),
    };
    let stage = match judged.stage {
        Some(Stage::FromVif(_)) => "acl_from_vif",
        Some(Stage::ToVif(_)) => "acl_to_vif",
        Some(Stage::Vrf(_)) => "acl_vrf",
        None => "",
    };
    let redirect = match rule.and_then(|rule| rule.redirect) {
        Some(Redirect::Vif(vif)) => format!("vif {}", vif_name(snapshot, vif)),
        Some(Redirect::Vrf(vrf)) => format!("vrf {}", vrf_name(snapshot, vrf)),
        None => String::new(),
    };
    v1::ShadowJudge {
        reason: judged.denied.map(|reason| reason.name().into()).unwrap_or_default(),
        stage: stage.into(),
        by,
        acl: judged.acl.as_ref().map(|acl| acl.name.to_string()).unwrap_or_default(),
        rule: judged.rule.filter(|_| judged.acl.is_some()).map(Into::into),
        name: rule.map(|rule| rule.name.to_string()).unwrap_or_default(),
        redirect,
    }
}
