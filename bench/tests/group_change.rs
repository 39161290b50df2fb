//! What one update of a next-hop group costs: work that follows its paths, not the routes that name it.

use std::sync::Arc;

use bench::groups::{group, model};

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// Bytes that one update allocates of which it keeps or frees whatever it does, rows of next hops that it changes, and whether the VRF's row,
/// with all its routes, is the one from before.
fn one_update(routes: u32) -> (usize, usize, bool) {
    let mut model = model(routes);
    // the first ones may bring what is kept for later
    (1..4).for_each(|turn| drop(model.apply("", &[group(turn)]).expect("accepted")));
    let (before, change) = (model.snapshot(), [group(4)]);
    let bytes = ALLOCATOR.total_allocated();
    let after = model.apply("", &change).expect("accepted");
    let bytes = ALLOCATOR.total_allocated() - bytes;
    let row = |of: &vrouter::tables::Snapshot, id| of.next_hops.shared(id).cloned();
    let changed = |id: &usize| match (row(&before, *id), row(&after, *id)) {
        (Some(old), Some(new)) => !Arc::ptr_eq(&old, &new),
        (old, new) => old.is_some() != new.is_some(),
    };
    let most = after.next_hops.iter().map(|(id, _)| id + 1).max().unwrap_or_default();
    let same = before.vrfs.shared(0).zip(after.vrfs.shared(0)).is_some_and(|(old, new)| Arc::ptr_eq(old, new));
    (bytes, (0..most).filter(changed).count(), same)
}

#[test]
fn one_update_of_a_group_is_the_same_work_for_any_number_of_routes() {
    let (few, many) = (one_update(1_000), one_update(200_000));
    // the path that went, the one that came, and the group itself
    assert_eq!([few.1, many.1], [3, 3], "rows of next hops");
    assert!(few.2 && many.2, "rows of VRFs");
    assert!(many.0 <= few.0 + 1024 && few.0 < 64 << 10, "{} bytes for 200,000 routes, {} for 1,000", many.0, few.0);
}
