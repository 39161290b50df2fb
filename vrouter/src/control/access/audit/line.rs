//! What a line says.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::api::{Item, Verb, v1};
use crate::model::described;
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// Objects of a batch that are named, the first ones.
const NAMES: usize = 8;

/// What a batch changes, in short.
#[derive(Debug, Default)]
pub struct Changes {
    /// By kind and verb.
    counts: BTreeMap<(&'static str, &'static str), u64>,
    names: Vec<String>,
}

impl Changes {
    /// Of a whole batch of this owner's.
    pub fn of(changes: &v1::Changes, owner: &str) -> Changes {
        let mut told = Changes::default();
        for item in changes.iter() {
            let change = match item {
                Item::Route(route) => {
                    *told.counts.entry(("route", verb(route.verb()))).or_default() += 1;
                    continue;
                }
                Item::Other(change) => change,
            };
            let row = match &change.op {
                Some(Op::Create(object)) => (object.kind.as_ref().map_or("", object_kind), "create"),
                Some(Op::Put(object)) => (object.kind.as_ref().map_or("", object_kind), "put"),
                Some(Op::Delete(key)) => (key.kind.as_ref().map_or("", key_kind), "delete"),
                None => continue,
            };
            *told.counts.entry(row).or_default() += 1;
        }
        told.names.extend(changes.iter().take(NAMES).map(|item| described(&item.into_change(), owner)));
        told
    }

    /// As fields of a line: `changes`, by kind and verb, and `first`, names.
    pub fn tell(&self, fields: &mut Map<String, Value>) {
        let mut kinds = Map::new();
        for ((kind, verb), count) in &self.counts {
            let verbs = kinds.entry(*kind).or_insert_with(|| json!({}));
            verbs[*verb] = json!(count);
        }
        fields.insert("changes".into(), kinds.into());
        fields.insert("first".into(), json!(self.names));
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Put => "put",
        Verb::Delete => "delete",
    }
}

fn object_kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Settings(_) => "settings",
        Kind::Vrf(_) => "vrf",
        Kind::Vif(_) => "vif",
        Kind::Route(_) => "route",
        Kind::Neighbour(_) => "neighbour",
        Kind::Vni(_) => "vni",
        Kind::Label(_) => "label",
        Kind::Acl(_) => "acl",
        Kind::Group(_) => "group",
        Kind::Port(_) => "port",
        Kind::Bridge(_) => "bridge",
        Kind::FdbEntry(_) => "fdb",
        Kind::NextHopGroup(_) => "next-hop group",
        Kind::BfdSession(_) => "bfd",
    }
}

fn key_kind(kind: &Key) -> &'static str {
    match kind {
        Key::Vrf(_) => "vrf",
        Key::Vif(_) => "vif",
        Key::Route(_) => "route",
        Key::Neighbour(_) => "neighbour",
        Key::Vni(_) => "vni",
        Key::Label(_) => "label",
        Key::Acl(_) => "acl",
        Key::Group(_) => "group",
        Key::Port(_) => "port",
        Key::Bridge(_) => "bridge",
        Key::FdbEntry(_) => "fdb",
        Key::NextHopGroup(_) => "next-hop group",
        Key::BfdSession(_) => "bfd",
    }
}

/// As RFC 3339 has it, in UTC, e.g. `2026-11-29T07:06:39.250Z`.
pub fn time(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Of a day since 1970-01-01, in the Gregorian calendar.
fn date(mut day: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_read_by_others() {
        let at = |millis| time(UNIX_EPOCH + Duration::from_millis(millis));
        // by `date -u --date=@SECONDS`
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_798_761_599_250), "2026-12-31T23:59:59.250Z");
        assert_eq!(at(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_batch_is_counted_and_its_first_objects_are_named() {
        let vrf = |name: String| Kind::Vrf(v1::Vrf { name, ..v1::Vrf::default() });
        let put = |name: usize| v1::Change { op: Some(Op::Put(vrf(format!("v{name}")).into())) };
        let mut changes: Vec<_> = (0..20).map(put).collect();
        changes.push(v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind: Some(Key::Vni(7)) })) });
        let mut fields = Map::new();
        Changes::of(&changes.into(), "cni").tell(&mut fields);
        assert_eq!(fields["changes"], json!({"vrf": {"put": 20}, "vni": {"delete": 1}}));
        assert_eq!(fields["first"].as_array().unwrap().len(), NAMES);
        assert_eq!(fields["first"][0], json!("vrf v0"));
    }
}
