//! What one route costs beside many VRFs that are full: the versions before and after share them.

use std::sync::Arc;

use vrouter::api::v1;
use vrouter::api::v1::object::Kind;
use vrouter::model::{Limits, Model};

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

const ROUTES: u32 = 64;

fn put(kind: Kind) -> v1::Change {
    let object = v1::Object::from(kind);
    v1::Change { op: Some(v1::change::Op::Put(object)) }
}

fn route(vrf: u32, address: u32, length: u32) -> v1::Change {
    let prefix = Some(v1::Prefix { address: address.to_be_bytes().to_vec(), length });
    let key = Some(v1::RouteKey { vrf: format!("v{vrf}"), prefix, ..Default::default() });
    let next_hop = Some(v1::NextHop { kind: Some(v1::next_hop::Kind::Drop(v1::next_hop::Drop {})) });
    put(Kind::Route(v1::Route { key, next_hop, ..Default::default() }))
}

/// Bytes that a snapshot holds which the one before does not, after one route more in one of so many VRFs, and how many rows of VRFs
/// differ.
fn one_change(vrfs: u32) -> (usize, usize) {
    let mut model = Model::new(Limits::default(), Vec::new());
    for vrf in 0..vrfs {
        let vrf_itself = put(Kind::Vrf(v1::Vrf { name: format!("v{vrf}"), ..Default::default() }));
        let routes = (0..ROUTES).map(|at| route(vrf, 20 << 24 | at << 16, 24));
        let batch: Vec<_> = std::iter::once(vrf_itself).chain(routes).collect();
        model.apply("", &batch).expect("accepted");
    }
    let change = [route(vrfs / 2, 30 << 24, 24)];
    // the first one after others may bring what is kept for later
    model.apply("", &[route(vrfs / 2, 29 << 24, 24)]).expect("accepted");
    let before = model.snapshot();
    let bytes = ALLOCATOR.allocated();
    let after = model.apply("", &change).expect("accepted");
    let bytes = ALLOCATOR.allocated() - bytes;
    let differ =
        |id: &usize| !Arc::ptr_eq(before.vrfs.shared(*id).expect("there"), after.vrfs.shared(*id).expect("there"));
    (bytes, before.vrfs.iter().map(|(id, _)| id).filter(differ).count())
}

#[test]
fn one_change_beside_4095_full_vrfs_allocates_nothing_for_them() {
    let (alone, mine) = one_change(1);
    let (beside, changed) = one_change(4096);
    assert_eq!((mine, changed), (1, 1), "rows of VRFs that are not the same");
    // the list of rows: a pointer for 64 of them, and one chunk of 64
    assert!(beside <= alone + 4096 / 64 * 8 + 64 * 8 + 4096, "{beside} bytes beside 4,095, {alone} alone");
}
