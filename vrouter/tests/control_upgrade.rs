//! Upgrades at the socket: who hears of them, and what others are told meanwhile.

mod control_daemon;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control_daemon::client;
use control_daemon::real::Real;
use crossbeam::channel::{Receiver, bounded, unbounded};
use tokio_stream::iter;
use tonic::{Code, Status};
use v1::apply_request::Step;
use vrouter::api::config::{self, Account, Role};
use vrouter::api::position::At;
use vrouter::api::v1;
use vrouter::control::Bounds;
use vrouter::control::access::{Access, Names, Terms};
use vrouter::control::upgrade::{NotUpgraded, Order, Upgrades};
use vrouter::daemon::answer::{Ask, Frozen};

fn start() -> (Real, Upgrades, Receiver<Option<Order>>) {
    let (orders, ordered) = unbounded();
    let upgrades = Upgrades::new(orders);
    let terms = Terms { upgrades: Some(upgrades.clone()), ..Terms::from(Bounds::default()) };
    (Real::start(terms), upgrades, ordered)
}

fn to(binary: &str, timeout_ms: u32) -> v1::UpgradeRequest {
    v1::UpgradeRequest { binary: binary.into(), timeout_ms }
}

async fn vrf(path: &Path, name: &str) -> Result<v1::ApplyReply, Status> {
    let vrf = v1::Vrf { name: name.into(), ..v1::Vrf::default() };
    let put = v1::Change { op: Some(v1::change::Op::Put(v1::object::Kind::Vrf(vrf).into())) };
    let steps = [Step::Begin(v1::Begin::default()), Step::Changes(vec![put].into()), Step::Commit(v1::Commit {})];
    let steps = steps.map(|step| v1::ApplyRequest { step: Some(step) });
    let mut replies = client(path).await.apply(iter(steps)).await?.into_inner();
    Ok(replies.message().await?.expect("a batch is answered"))
}

fn freeze(real: &Real) -> Frozen {
    let (reply, frozen) = bounded(1);
    real.asks.send(Ask::Freeze(reply)).unwrap();
    frozen.recv_timeout(Duration::from_secs(10)).unwrap().unwrap()
}

#[tokio::test]
async fn changes_meanwhile_are_refused_and_questions_answered() {
    let (real, upgrades, orders) = start();
    vrf(&real.path(), "red").await.unwrap();
    let mut asking = client(&real.path()).await;
    let asked = tokio::spawn(async move { asking.upgrade(to("/usr/bin/vrouter", 0)).await });
    let order = loop {
        match orders.try_recv() {
            Ok(order) => break order.unwrap(),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    assert_eq!((order.binary.to_str(), order.prepare), (Some("/usr/bin/vrouter"), Duration::from_secs(60)));
    let frozen = freeze(&real);
    assert_eq!(frozen.image.counts(), [("ports", 1), ("vrfs", 1)]);
    let refused = vrf(&real.path(), "blue").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("an upgrade is under way: nothing was changed"), "{refused:?}");
    let mut other = client(&real.path()).await;
    let lease = v1::KeepAliveRequest { owner: "bgp".into(), lease_ms: Some(60_000) };
    assert_eq!(other.keep_alive(lease).await.unwrap_err().code(), Code::Unavailable, "a lease that is new");
    let known = v1::KeepAliveRequest { owner: "bgp".into(), lease_ms: None };
    other.keep_alive(known).await.unwrap();
    assert_eq!(other.status(v1::StatusRequest {}).await.unwrap().into_inner().generation, 1);
    let second = other.upgrade(to("/usr/bin/vrouter", 0)).await.unwrap_err();
    assert_eq!((second.code(), second.message()), (Code::FailedPrecondition, "an upgrade is under way already"));
    // it fails: all goes on
    real.asks.send(Ask::Thaw).unwrap();
    upgrades.over();
    order.reply.send(Err(NotUpgraded::Unchanged("binary: no".into()))).unwrap();
    let told = asked.await.unwrap().unwrap_err();
    assert_eq!((told.code(), told.message()), (Code::FailedPrecondition, "binary: no"));
    vrf(&real.path(), "blue").await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_one_is_refused_by_name() {
    let (real, _, orders) = start();
    let mut client_of = client(&real.path()).await;
    for (request, field) in
        [(to("vrouter", 0), "binary: "), (to("", 0), "binary: "), (to("/a", 600_001), "timeout_ms: 600001 is more")]
    {
        let refused = client_of.upgrade(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{refused:?}");
    }
    assert!(orders.is_empty());
    let without = Real::start(Bounds::default());
    let refused = client(&without.path()).await.upgrade(to("/a", 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn who_comes_when_all_is_handed_over_waits_for_the_next_daemon() {
    let (real, upgrades, _orders) = start();
    let mut before = client(&real.path()).await;
    before.status(v1::StatusRequest {}).await.unwrap();
    upgrades.leave();
    // whoever is in is answered, and whoever comes is neither refused nor let in
    before.status(v1::StatusRequest {}).await.unwrap();
    let path = real.path();
    let waits = async { client(&path).await.status(v1::StatusRequest {}).await };
    assert!(tokio::time::timeout(Duration::from_millis(300), waits).await.is_err(), "somebody was let in");
}

#[tokio::test]
async fn who_is_no_admin_upgrades_nothing() {
    let (orders, ordered) = unbounded();
    let user = Some(Account::Number(rustix::process::geteuid().as_raw()));
    for role in [Role::Read, Role::Write] {
        let rule =
            config::Rule { user: user.clone(), group: None, certificate: None, role, owners: None, also: Vec::new() };
        let access = config::Access { group: None, rules: vec![At::nowhere(rule)] };
        let access = Arc::new(Access::new(&access, Names::default()).unwrap());
        let real = Real::start(Terms { access, upgrades: Some(Upgrades::new(orders.clone())), ..Terms::default() });
        let denied = client(&real.path()).await.upgrade(to("/usr/bin/vrouter", 0)).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
        assert!(denied.message().contains("Upgrade") && denied.message().contains("admin"), "{denied:?}");
    }
    assert!(ordered.is_empty());
}
