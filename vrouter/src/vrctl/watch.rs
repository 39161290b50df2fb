//! `vrctl watch`.

use serde_json::{Value, json};
use vrouter::api::text::{address, mac};
use vrouter::api::v1;
use vrouter::api::yaml::Network;

use super::Failure;
use super::args::{Kind, Watch};
use super::connect::{Daemon, connect};
use super::output::{Format, print, print_value};
use super::show::{Listing, contract_kind};
use super::verdicts;

pub async fn run(daemon: &Daemon, format: Format, watch: Watch) -> Result<(), Failure> {
    let kinds = watch.kinds.iter().map(|&kind| contract_kind(kind).into()).collect();
    let request = v1::WatchRequest {
        snapshot: watch.snapshot,
        after: watch.after,
        kinds,
        not_owner: watch.not_owner.unwrap_or_default(),
        verdicts: watch.kinds.is_empty() || watch.kinds.contains(&Kind::Acls),
    };
    let mut events = connect(daemon).await?.watch(request).await?.into_inner();
    while let Some(event) = events.message().await? {
        for line in lines(&event)? {
            match format {
                Format::Table => print(&format!("{}\n", line.text)),
                // one line each, for programs that read as they come
                Format::Json => print(&format!("{}\n", line.value)),
                Format::Yaml => print_value(format, &json!([line.value])),
            }
        }
        if watch.until.is_some_and(|until| event.generation >= until && event.last) {
            return Ok(());
        }
    }
    Ok(())
}

struct Line {
    text: String,
    value: Value,
}

fn lines(event: &v1::Event) -> Result<Vec<Line>, Failure> {
    let v1::Event { generation, owner, .. } = event;
    if event.lost {
        let text = format!("{generation}  lost: what changed up to here was not told; list, then go on");
        return Ok(vec![Line { text, value: json!({ "generation": generation, "event": "lost" }) }]);
    }
    if let Some(verdicts) = &event.verdicts {
        return Ok(vec![Line { text: verdicts::text(verdicts), value: verdicts::value(verdicts) }]);
    }
    let word = if event.listed { "listed" } else { "put" };
    let by = if owner.is_empty() { String::new() } else { format!("  (by {owner})") };
    let mut all = Vec::new();
    for change in &event.changes {
        use v1::change::Op;
        let (word, kind, name, value) = match &change.op {
            Some(Op::Put(object) | Op::Create(object)) => {
                let (kind, name, value) = shown(object)?;
                (word, kind, name, json!({ "object": value }))
            }
            Some(Op::Delete(key)) => {
                let (kind, name) = deleted(key);
                ("deleted", kind, name.clone(), json!({ "key": name }))
            }
            None => continue,
        };
        let mut fields = json!({ "generation": generation, "event": word, "kind": kind, "owner": owner });
        if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), value) {
            fields.extend(more);
        }
        all.push(Line { text: format!("{generation}  {word:<7}  {kind} {name}{by}"), value: fields });
    }
    Ok(all)
}

/// Kind, cells in one line, and fields.
pub fn shown(object: &v1::Object) -> Result<(&'static str, String, Value), Failure> {
    let mut network = Network::default();
    let inserted = network.insert(object);
    inserted.map_err(|error| Failure::Unreachable(format!("the daemon's answer is malformed: {error}")))?;
    let listing = Listing { generation: 0, network };
    let section = listing.sections(Kind::All).into_iter().find(|section| !section.rows.is_empty());
    let section = section.ok_or_else(|| Failure::Unreachable("the daemon told of no object".into()))?;
    let cells = section.rows.first().map(|cells| cells.join("  ").replace('\n', ","));
    let value = section.value.get(0).cloned().unwrap_or(section.value);
    Ok((
        section.name.strip_suffix('s').filter(|_| section.name != "settings").unwrap_or(section.name),
        cells.unwrap_or_default(),
        value,
    ))
}

/// What an object is called, without what else it says.
pub fn key_of(object: &v1::Object) -> String {
    let key = object.kind.as_ref().and_then(v1::object::Kind::key);
    key.map(|kind| deleted(&v1::ObjectKey { kind: Some(kind) }).1).unwrap_or_default()
}

fn deleted(key: &v1::ObjectKey) -> (&'static str, String) {
    use v1::object_key::Kind as Key;
    let ip = |bytes: &[u8]| address(bytes).map(|address| address.to_string()).unwrap_or_default();
    match &key.kind {
        None => ("object", String::new()),
        Some(Key::Vrf(name)) => ("vrf", name.clone()),
        Some(Key::Vif(name)) => ("vif", name.clone()),
        Some(Key::Route(key)) => {
            let prefix = key.prefix.as_ref().map(|prefix| format!("{}/{}", ip(&prefix.address), prefix.length));
            ("route", format!("{} {} {}", key.vrf, prefix.unwrap_or_default(), key.owner))
        }
        Some(Key::Neighbour(key)) => ("neighbour", format!("{} {}", key.vif, ip(&key.address))),
        Some(Key::Vni(vni)) => ("vni", vni.to_string()),
        Some(Key::Label(label)) => ("label", label.to_string()),
        Some(Key::Acl(name)) => ("acl", name.clone()),
        Some(Key::Group(name)) => ("group", name.clone()),
        Some(Key::Port(name)) => ("port", name.clone()),
        Some(Key::Bridge(name)) => ("bridge", name.clone()),
        Some(Key::NextHopGroup(name)) => ("next_hop_group", name.clone()),
        Some(Key::BfdSession(name)) => ("bfd_session", name.clone()),
        Some(Key::FdbEntry(key)) => {
            ("fdb", format!("{} {}", key.bridge, mac(&key.mac).map(|mac| mac.to_string()).unwrap_or_default()))
        }
    }
}
