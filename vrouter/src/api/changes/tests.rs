//! What is read without a copy is what prost reads.

use super::*;

use prop::collection::vec;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z0-9]{0,12}", 1 => "\\PC{0,90}"]
}

fn few() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 4), vec(any::<u8>(), 16), vec(any::<u8>(), 0..20)]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..200, any::<u32>()]
}

fn key() -> impl Strategy<Value = Option<v1::RouteKey>> {
    let prefix =
        prop::option::weighted(0.9, (few(), small()).prop_map(|(address, length)| v1::Prefix { address, length }));
    prop::option::weighted(
        0.9,
        (text(), prefix, text()).prop_map(|(vrf, prefix, owner)| v1::RouteKey { vrf, prefix, owner }),
    )
}

fn next_hop() -> impl Strategy<Value = v1::NextHop> {
    use v1::next_hop::Kind;
    use v1::tunnel::Encap;
    let encap = (0..4, small(), few()).prop_map(|(kind, number, inner_mac)| match kind {
        0 => Encap::Vxlan(v1::tunnel::Vxlan { vni: number, inner_mac }),
        1 => Encap::Geneve(v1::tunnel::Geneve { vni: number, inner_mac }),
        2 => Encap::MplsOverUdp(v1::tunnel::MplsOverUdp { label: number }),
        _ => Encap::MplsOverGre(v1::tunnel::MplsOverGre { label: number }),
    });
    let tunnel = (few(), prop::option::weighted(0.9, encap))
        .prop_map(|(remote, encap)| Kind::Tunnel(v1::Tunnel { remote, encap }));
    let kind = prop_oneof![8 => tunnel, 1 => text().prop_map(Kind::Vrf), 1 => Just(Kind::Drop(v1::next_hop::Drop {}))];
    prop::option::weighted(0.95, kind).prop_map(|kind| v1::NextHop { kind })
}

fn change() -> impl Strategy<Value = v1::Change> {
    use v1::object_key::Kind as Key;
    let route =
        (key(), small(), prop::option::weighted(0.9, next_hop()), prop_oneof![9 => Just(String::new()), 1 => text()])
            .prop_map(|(key, preference, next_hop, group)| v1::Route {
                key,
                preference,
                next_hop,
                group,
                paths: vec![],
            });
    let object = prop_oneof![
        9 => route.prop_map(|route| Some(Kind::Route(route))),
        1 => text().prop_map(|name| Some(Kind::Vrf(v1::Vrf { name, ..v1::Vrf::default() }))),
        1 => Just(None),
    ];
    let object = (object, prop_oneof![9 => Just(String::new()), 1 => text()]);
    let object = object.prop_map(|(kind, owner)| v1::Object { kind, owner });
    let name = prop_oneof![8 => key().prop_map(|key| key.map(Key::Route)), 1 => text().prop_map(|name| Some(Key::Acl(name))), 1 => Just(None)];
    let op = prop_oneof![
        4 => object.clone().prop_map(|object| Some(Op::Put(object))),
        1 => object.prop_map(|object| Some(Op::Create(object))),
        3 => name.prop_map(|kind| Some(Op::Delete(v1::ObjectKey { kind }))),
        1 => Just(None),
    ];
    op.prop_map(|op| v1::Change { op })
}

/// Routes of few lengths, with other numbers and addresses.
fn alike() -> impl Strategy<Value = Vec<v1::Change>> {
    use v1::next_hop::Kind as Via;
    use v1::tunnel::Encap;
    let name = prop_oneof![9 => "[a-z]{4}", 1 => "[äöü]{2}"];
    let number = prop_oneof![4 => Just(100_u32), 2 => 100_u32..1000, 1 => any::<u32>()];
    let one = (name, vec(any::<u8>(), 4), 20_u32..33, number, 0_u8..4, any::<bool>()).prop_map(
        |(vrf, address, length, number, kind, put)| {
            let key = v1::RouteKey { vrf, prefix: Some(v1::Prefix { address, length }), owner: String::new() };
            if !put {
                let kind = Some(v1::object_key::Kind::Route(key));
                return v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind })) };
            }
            let encap = Some(match kind {
                0 => Encap::MplsOverUdp(v1::tunnel::MplsOverUdp { label: number }),
                _ => Encap::Vxlan(v1::tunnel::Vxlan { vni: number, inner_mac: vec![2, 0, 0, 0, 0, kind] }),
            });
            let kind = Some(Via::Tunnel(v1::Tunnel { remote: vec![10, 0, 0, 2], encap }));
            let next_hop = Some(v1::NextHop { kind });
            let route = v1::Route { key: Some(key), preference: number / 2, next_hop, ..v1::Route::default() };
            v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Route(route)))) }
        },
    );
    vec(one, 30..60)
}

/// The message as prost derives it.
#[derive(Clone, PartialEq, Message)]
struct Derived {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<v1::Change>,
}

/// The same by the fields that were read.
fn said(route: &PlainRoute) -> v1::Change {
    use v1::next_hop::Kind as Via;
    let (address, length) = route.prefix();
    let prefix = Some(v1::Prefix { address: address.into(), length });
    let key = v1::RouteKey { vrf: route.vrf().into(), prefix, owner: route.owner().into() };
    let Some(tunnel) = route.tunnel() else {
        return v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind: Some(v1::object_key::Kind::Route(key)) })) };
    };
    let encap = Some(match tunnel.encap {
        Encap::Vxlan { vni, inner_mac } => {
            v1::tunnel::Encap::Vxlan(v1::tunnel::Vxlan { vni, inner_mac: inner_mac.into() })
        }
        Encap::Geneve { vni, inner_mac } => {
            v1::tunnel::Encap::Geneve(v1::tunnel::Geneve { vni, inner_mac: inner_mac.into() })
        }
        Encap::MplsOverUdp { label } => v1::tunnel::Encap::MplsOverUdp(v1::tunnel::MplsOverUdp { label }),
        Encap::MplsOverGre { label } => v1::tunnel::Encap::MplsOverGre(v1::tunnel::MplsOverGre { label }),
    });
    let kind = Some(Via::Tunnel(v1::Tunnel { remote: tunnel.remote.into(), encap }));
    let next_hop = Some(v1::NextHop { kind });
    let route_of = v1::Route { key: Some(key), preference: route.preference(), next_hop, ..v1::Route::default() };
    let object = v1::Object::from(Kind::Route(route_of));
    v1::Change { op: Some(if route.verb() == Verb::Create { Op::Create(object) } else { Op::Put(object) }) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whole messages, and such with bytes changed, cut off and said twice: both readers take the same ones and read the same.
    #[test]
    fn what_is_read_is_what_prost_reads(
        changes in vec(change(), 0..5),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
        twice in any::<bool>(),
    ) {
        let mut bytes = Derived { changes: changes.clone() }.encode_to_vec();
        if twice {
            bytes.extend(bytes.clone());
        }
        let length = bytes.len();
        for (at, byte) in damage.iter().filter(|_| length > 0) {
            bytes[at.index(length)] = *byte;
        }
        if let Some(cut) = cut.filter(|_| length > 0) {
            bytes.truncate(cut.index(length));
        }
        let (derived, read) = (Derived::decode(&bytes[..]), Changes::decode(&bytes[..]));
        prop_assert_eq!(derived.is_ok(), read.is_ok(), "{:?} {:?}", derived, read);
        let (Ok(derived), Ok(read)) = (derived, read) else { return Ok(()) };
        prop_assert_eq!(read.len(), derived.changes.len());
        for item in read.iter() {
            if let Item::Route(route) = item {
                prop_assert_eq!(said(&route), route.to_change());
            }
        }
        prop_assert_eq!(&Vec::from(read.clone()), &derived.changes);
        prop_assert_eq!(Changes::from(derived.changes.clone()).numbers, read.numbers);
        prop_assert_eq!(Changes::from(derived.changes).broken, read.broken);
        prop_assert_eq!(Changes::decode(&read.encode_to_vec()[..]).unwrap(), read);
    }

    /// The same of many that are alike, so that they are read by what they have in common: each of them damaged or not.
    #[test]
    fn what_is_alike_is_read_as_if_it_were_not(
        alike in alike(),
        damage in vec((0_usize..40, any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut each: Vec<Vec<u8>> = alike.iter().map(v1::Change::encode_to_vec).collect();
        for (which, at, byte) in damage {
            let which = which % each.len();
            let at = at.index(each[which].len());
            each[which][at] = byte;
        }
        let (mut reader, mut whole) = (Reader::default(), Vec::new());
        for bytes in &each {
            let alone = Reader::default().read(bytes);
            prop_assert_eq!(reader.read(bytes), alone);
            if let Some(route) = alone {
                prop_assert_eq!(said(&route), route.to_change());
            }
            encoding::bytes::encode(CHANGE, bytes, &mut whole);
        }
        let (derived, read) = (Derived::decode(&whole[..]), Changes::decode(&whole[..]));
        prop_assert_eq!(derived.is_ok(), read.is_ok());
        if let (Ok(derived), Ok(read)) = (derived, read) {
            prop_assert_eq!(&Vec::from(read), &derived.changes);
        }
    }

    /// In pieces or at once.
    #[test]
    fn pieces_are_put_together(all in vec(change(), 0..12), cuts in vec(0_usize..13, 0..3)) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(all.len())).chain([0, all.len()]).collect();
        cuts.sort_unstable();
        let mut together = Changes::default();
        cuts.windows(2).for_each(|piece| together.append(all[piece[0]..piece[1]].iter().collect()));
        prop_assert_eq!(together, Changes::from(all));
    }
}

/// The property would prove little if nothing were plain.
#[test]
fn what_large_batches_are_made_of_is_plain() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let changes: Vec<_> = (0..500).map(|_| change().new_tree(&mut runner).unwrap().current()).collect();
    let changes = Changes::from(changes);
    let plain = changes.iter().filter(|item| matches!(item, Item::Route(_))).count();
    assert!((150..450).contains(&plain), "{plain}");
}

/// What is said twice is merged, as protocol buffers are: that is prost's to do.
#[test]
fn fields_said_twice_are_merged() {
    let prefix = Some(v1::Prefix { address: vec![10, 0, 0, 0], length: 8 });
    let key = Some(v1::RouteKey { vrf: "red".into(), prefix, owner: "me".into() });
    let vxlan = Some(v1::tunnel::Encap::Vxlan(v1::tunnel::Vxlan { vni: 7, inner_mac: vec![2, 0, 0, 0, 0, 1] }));
    let to = |remote, encap| v1::NextHop { kind: Some(v1::next_hop::Kind::Tunnel(v1::Tunnel { remote, encap })) };
    let whole = v1::Route { key, next_hop: Some(to(vec![10, 0, 0, 2], vxlan)), ..v1::Route::default() };
    let mpls = Some(v1::tunnel::Encap::MplsOverUdp(v1::tunnel::MplsOverUdp { label: 99 }));
    let again = v1::Route { next_hop: Some(to(vec![], mpls.clone())), preference: 5, ..v1::Route::default() };
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let (whole_bytes, again_bytes) = (whole.encode_to_vec(), again.encode_to_vec());
    // the fields of a route, or a route as such
    let object = field(4, &[&whole_bytes[..], &again_bytes].concat());
    let objects = [field(4, &whole_bytes), field(4, &again_bytes)].concat();
    let wanted = v1::Route { next_hop: Some(to(vec![10, 0, 0, 2], mpls)), preference: 5, ..whole };
    let wanted = v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Route(wanted)))) };
    for object in [object, objects] {
        let bytes = field(1, &field(2, &object));
        let changes = Changes::decode(&bytes[..]).unwrap();
        let said: Vec<_> = changes
            .iter()
            .map(|item| if let Item::Route(route) = item { said(&route) } else { item.into_change() })
            .collect();
        assert_eq!(said, std::slice::from_ref(&wanted));
    }
}

/// A fifth byte of a number has bits that 32 have no room for, and bytes may be missing, as many as there are moulds.
#[test]
fn what_is_too_large_or_cut_fits_no_mould() {
    let prefix = Some(v1::Prefix { address: vec![10, 0, 0, 0], length: u32::MAX });
    let key = v1::RouteKey { vrf: "red".into(), prefix, owner: "somebody".into() };
    let kind = Some(v1::object_key::Kind::Route(key));
    let mut bytes = v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind })) }.encode_to_vec();
    let mut reader = Reader::default();
    assert!((0..9).all(|_| reader.read(&bytes).is_some()));
    for missing in 1..bytes.len() {
        assert!(reader.read(&bytes[..bytes.len() - missing]).is_none(), "{missing}");
    }
    let last = bytes.windows(5).position(|five| five == [0xff, 0xff, 0xff, 0xff, 0x0f]).unwrap() + 4;
    bytes[last] = 0x1f;
    assert!(reader.read(&bytes).is_none());
}
