//! A VRF with so many routes, all of which name one next-hop group.

use vrouter::api::v1;
use vrouter::api::v1::object::Kind;
use vrouter::model::{Limits, Model};

/// Its paths.
pub const MEMBERS: u32 = 8;
/// Changes of a batch while routes are put.
const BATCH: usize = 100_000;

/// The model with these routes.
///
/// # Panics
/// When they are refused: there are limits.
pub fn model(routes: u32) -> Model {
    let limits = Limits { routes: routes as usize + 64, ..Limits::default() };
    let mut model = Model::new(limits, Vec::new());
    let vrf = v1::Vrf { name: "red".into(), ..v1::Vrf::default() };
    model.apply("", &[put(Kind::Vrf(vrf)), group(0)]).expect("accepted");
    let mut batch = Vec::with_capacity(BATCH);
    for at in 0..routes {
        batch.push(route(at));
        if batch.len() == BATCH || at + 1 == routes {
            model.apply("", &batch).expect("accepted");
            batch.clear();
        }
    }
    model
}

/// The group with one path other than in the turn before.
pub fn group(turn: u32) -> v1::Change {
    let path = |member: u32| {
        let remote = 10 << 24 | if member == 0 { 1000 + turn } else { member };
        let encap = v1::tunnel::Vxlan { vni: 100, inner_mac: vec![2, 0, 0, 0, 0, 1] };
        let tunnel = v1::Tunnel { remote: remote.to_be_bytes().to_vec(), encap: Some(v1::tunnel::Encap::Vxlan(encap)) };
        let next_hop = Some(v1::NextHop { kind: Some(v1::next_hop::Kind::Tunnel(tunnel)) });
        v1::Path { next_hop, name: format!("m{member}"), ..v1::Path::default() }
    };
    let paths = (0..MEMBERS).map(path).collect();
    put(Kind::NextHopGroup(v1::NextHopGroup { name: "peers".into(), vrf: "red".into(), paths, hash: 0 }))
}

fn route(at: u32) -> v1::Change {
    let prefix = Some(v1::Prefix { address: (20 << 24 | at << 6).to_be_bytes().to_vec(), length: 26 });
    let key = Some(v1::RouteKey { vrf: "red".into(), prefix, owner: String::new() });
    put(Kind::Route(v1::Route { key, group: "peers".into(), ..v1::Route::default() }))
}

fn put(kind: Kind) -> v1::Change {
    let object = v1::Object::from(kind);
    v1::Change { op: Some(v1::change::Op::Put(object)) }
}
