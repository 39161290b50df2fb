//! A controller that was started again says all that it wants: a million routes as one batch that replaces, by the model alone. Prints what it
//! takes when all is as it was, when one in a hundred is another, and when nothing is wanted any more, beside the first load.

use std::time::Instant;

use vrouter::api::v1;
use vrouter::api::v1::object::Kind;
use vrouter::model::{Batch, Limits, Model, Unopened};

const ROUTES: u32 = 1_000_000;

fn main() {
    let limits = Limits { routes: 2 * ROUTES as usize, ..Limits::default() };
    let mut model = Model::new(limits, Vec::new());
    let vrf = v1::Vrf { name: "red".into(), ..v1::Vrf::default() };
    model.apply("", &[put(Kind::Vrf(vrf))]).expect("accepted");
    let all: Vec<_> = (0..ROUTES).map(|at| route(at, 100)).collect();
    let some: Vec<_> = (0..ROUTES).map(|at| route(at, if at % 100 == 0 { 200 } else { 100 })).collect();
    println!("{ROUTES} routes in one batch");
    let load = timed(&mut model, "load", None, &all, false);
    timed(&mut model, "replace, all as it was", Some(load), &all, true);
    timed(&mut model, "replace, 1 % changed", Some(load), &some, true);
    timed(&mut model, "replace, half of them", Some(load), &some[..ROUTES as usize / 2], true);
    timed(&mut model, "replace, nothing", Some(load), &[], true);
}

fn timed(model: &mut Model, what: &str, load: Option<f64>, changes: &[v1::Change], replace: bool) -> f64 {
    let batch = Batch { owner: "bgp", changes: changes.into(), replace: replace.then_some(&[]), ..Batch::default() };
    let start = Instant::now();
    let made = model.apply_batch(&batch, &mut |_| Err(Unopened { field: "", reason: "none".into() }));
    let seconds = start.elapsed().as_secs_f64();
    let swept = made.map(|accepted| accepted.swept()).expect("accepted");
    println!("{what:<24} {seconds:>7.3} s, {:>5.2} of the load, {swept} swept", seconds / load.unwrap_or(seconds));
    seconds
}

fn route(at: u32, preference: u32) -> v1::Change {
    let prefix = Some(v1::Prefix { address: (20 << 24 | at << 4).to_be_bytes().to_vec(), length: 28 });
    let key = Some(v1::RouteKey { vrf: "red".into(), prefix, owner: String::new() });
    let next_hop = Some(v1::NextHop { kind: Some(v1::next_hop::Kind::Drop(v1::next_hop::Drop {})) });
    put(Kind::Route(v1::Route { key, preference, next_hop, ..v1::Route::default() }))
}

fn put(kind: Kind) -> v1::Change {
    let object = v1::Object::from(kind);
    v1::Change { op: Some(v1::change::Op::Put(object)) }
}
