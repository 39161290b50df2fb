//! Ports that batches add and delete, with devices that a test opens.

use super::network::*;
use crate::api::v1;
use crate::ids::{Mac, PortIndex};
use crate::model::{Limits, Model, NewPort, PortInfo, Unopened};
use v1::object::Kind;
use v1::object_key::Kind as Key;

/// What was asked for: index, queues, mtu.
type Opened = Vec<(u16, Option<u16>, Option<u16>)>;

/// Applies with devices of one queue and an MTU of 9000; `bad` are the ones that do not open.
fn apply(model: &mut Model, changes: &[v1::Change]) -> Result<Opened, v1::Refused> {
    let mut opened = Vec::new();
    let mut open = |wanted: NewPort| {
        if wanted.devargs.starts_with("bad") {
            return Err(Unopened { field: "mtu", reason: "too much for it".into() });
        }
        opened.push((wanted.index.0, wanted.queues, wanted.mtu));
        Ok(PortInfo {
            name: wanted.name.into(),
            devargs: wanted.devargs.into(),
            mac: Mac([2; 6]),
            mtu: wanted.mtu.unwrap_or(9000),
            queues: 1,
        })
    };
    model.apply_opening("", changes, &mut open).map(|_| opened)
}

fn port(name: &str, devargs: &str) -> v1::Port {
    v1::Port { name: name.into(), devargs: devargs.into(), ..Default::default() }
}

fn listed(model: &Model) -> Vec<v1::Port> {
    let ports = model.list(v1::Kind::Port, "").into_iter();
    ports.map(|object| if let Some(Kind::Port(port)) = object.kind { port } else { panic!() }).collect()
}

#[test]
fn a_port_and_its_vif_in_one_batch() {
    let mut model = model();
    let there = listed(&model).len();
    let mut guest = vif("g", 7, "red", &["172.16.0.9"]);
    (guest.port, guest.mtu) = ("new".into(), 8000);
    let batch = [
        create(Kind::Port(v1::Port { mtu: 8500, queues: 2, ..port("new", "net_x0,a=b") })),
        put(Kind::Vif(Box::new(guest))),
    ];
    assert_eq!(apply(&mut model, &batch), Ok(vec![(8, Some(2), Some(8500))]));
    let new = listed(&model).pop().unwrap();
    assert_eq!((listed(&model).len(), &*new.name, new.mtu, new.queues, new.mac.len()), (there + 1, "new", 8500, 1, 6));
    let snapshot = model.snapshot();
    let row = snapshot.ports[8];
    assert!(row.there && row.vif == model.vif_id("g") && row.vif.is_some());
    assert_eq!(snapshot.vifs.row(row.vif.unwrap().index()).unwrap().port, PortIndex(8));
    // the VIF keeps it
    let refused = apply(&mut model, &[delete(Key::Port("new".into()))]).unwrap_err();
    assert_eq!((&*refused.object, &*refused.reason), ("port new", "still referred to by VIF g"));
    apply(&mut model, &[delete(Key::Vif("g".into())), delete(Key::Port("new".into()))]).unwrap();
    assert!(!model.snapshot().ports[8].there);
    assert_eq!(listed(&model).len(), there);
}

#[test]
fn what_says_the_same_is_the_same_port() {
    let mut model = model();
    let wanted = v1::Port { mtu: 1600, queues: 4, ..port("new", "net_x0,a=b") };
    apply(&mut model, &[put(Kind::Port(wanted.clone()))]).unwrap();
    let shown = listed(&model).pop().unwrap();
    assert_eq!(shown.queues, 1, "what the device gave");
    for same in [wanted.clone(), shown, port("new", "net_x0,a=b")] {
        assert_eq!(apply(&mut model, &[put(Kind::Port(same))]), Ok(vec![]));
    }
    for (other, field) in [
        (port("new", "net_x0,a=c"), "devargs"),
        (v1::Port { mtu: 1500, ..wanted.clone() }, "mtu"),
        (v1::Port { queues: 2, ..wanted.clone() }, "queues"),
    ] {
        let refused = apply(&mut model, &[put(Kind::Port(other))]).unwrap_err();
        assert_eq!((&*refused.field, &*refused.reason), (field, "cannot change: delete and create it anew"));
    }
    let refused = apply(&mut model, &[create(Kind::Port(wanted))]).unwrap_err();
    assert_eq!(&*refused.reason, "exists already");
}

#[test]
fn what_a_port_cannot_be() {
    let mut model = model();
    for (bad, field, reason) in [
        (port("a/b", "x"), "name", "a name is"),
        (port("a", ""), "devargs", "1 to 511 bytes"),
        (port("a", " "), "devargs", "1 to 511 bytes"),
        (port("a", &"x".repeat(512)), "devargs", "1 to 511 bytes"),
        (port("a", "x\0"), "devargs", "control character"),
        (port("a", "net_null3,size=9"), "devargs", "the device net_null3 is port p3 already"),
        (port("a", "bad0"), "mtu", "too much for it"),
        (v1::Port { mtu: 575, ..port("a", "x") }, "mtu", "575 is not within 576 to 9600"),
        (v1::Port { mtu: 9601, ..port("a", "x") }, "mtu", "not within"),
        (v1::Port { queues: 65_536, ..port("a", "x") }, "queues", "not within 1 to 65535"),
    ] {
        let before = model.list(v1::Kind::All, "");
        // behind one that opens: its device is the caller's to close
        let batch = [put(Kind::Port(port("first", "net_first"))), put(Kind::Port(bad))];
        let refused = apply(&mut model, &batch).unwrap_err();
        assert_eq!((refused.change, &*refused.field), (1, field), "{refused:?}");
        assert!(refused.reason.contains(reason), "{refused:?}");
        assert!(model.list(v1::Kind::All, "") == before);
        assert!(!model.snapshot().ports[8].there && model.port_index("first").is_none());
    }
    let refused = apply(&mut model, &[delete(Key::Port("x".into()))]).unwrap_err();
    assert_eq!((&*refused.object, &*refused.reason), ("port x", "does not exist"));
}

#[test]
fn a_number_is_given_again_when_its_device_is_closed() {
    let mut model = Model::new(Limits { ports: 10, ..Limits::default() }, ports());
    let new = |name: &str| put(Kind::Port(port(name, &format!("net_{name}"))));
    let gone = |name: &str| delete(Key::Port(name.into()));
    assert_eq!(apply(&mut model, &[new("a"), new("b")]).unwrap().len(), 2);
    let full = apply(&mut model, &[new("c")]).unwrap_err();
    assert_eq!(&*full.reason, "the limit of 10 ports is reached");
    // not even in the batch that deletes one: its device is open yet
    assert_eq!(&*apply(&mut model, &[gone("a"), new("c")]).unwrap_err().reason, "the limit of 10 ports is reached");
    apply(&mut model, &[gone("a")]).unwrap();
    assert_eq!((model.used().ports, listed(&model).len()), (10, 9));
    assert!(apply(&mut model, &[new("c")]).is_err());
    model.port_closed(PortIndex(8));
    assert_eq!(model.used().ports, 9);
    // the same name under another number, then a refused batch that took it back
    assert_eq!(apply(&mut model, &[gone("b"), new("b")]).unwrap(), [(8, None, None)]);
    model.port_closed(PortIndex(9));
    let undone = apply(&mut model, &[gone("b"), new("b"), gone("nobody")]).unwrap_err();
    assert_eq!(undone.change, 2);
    assert_eq!(model.port_index("b"), Some(PortIndex(8)));
    assert!(model.snapshot().ports[8].there && !model.snapshot().ports[9].there);
    assert_eq!(apply(&mut model, &[new("c")]).unwrap(), [(9, None, None)]);
}
