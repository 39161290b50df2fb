//! Roles at the socket: who may make which call, in whose name, and what refusals say.

mod control_daemon;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use control_daemon::{Daemon, client};
use tokio_stream::iter;
use tonic::{Code, Status};
use v1::apply_request::Step;
use vrouter::api::config::{self, Account, Operation, Role};
use vrouter::api::position::At;
use vrouter::api::v1;
use vrouter::control::access::{Access, Audit, Names, Terms};

fn terms(rules: Vec<config::Rule>, group: Option<u32>) -> Terms {
    let rules = rules.into_iter().map(At::nowhere).collect();
    let config = config::Access { group: group.map(Account::Number), rules };
    Terms { access: Arc::new(Access::new(&config, Names::default()).unwrap()), ..Terms::default() }
}

/// Whoever runs the test has this role.
fn own(role: Role) -> config::Rule {
    let user = Some(Account::Number(rustix::process::geteuid().as_raw()));
    config::Rule { user, group: None, certificate: None, role, owners: None, also: Vec::new() }
}

async fn batch(daemon: &Daemon, begin: v1::Begin, changes: Vec<v1::Change>) -> Result<v1::ApplyReply, Status> {
    let steps = [Step::Begin(begin), Step::Changes(v1::Changes::from(changes)), Step::Commit(v1::Commit {})];
    let steps = steps.map(|step| v1::ApplyRequest { step: Some(step) });
    let mut replies = client(&daemon.path()).await.apply(iter(steps)).await?.into_inner();
    Ok(replies.message().await?.expect("a batch is answered"))
}

fn put(kind: v1::object::Kind) -> v1::Change {
    v1::Change { op: Some(v1::change::Op::Put(kind.into())) }
}

fn vrf() -> v1::Change {
    put(v1::object::Kind::Vrf(v1::Vrf { name: "red".into(), ..v1::Vrf::default() }))
}

fn of(owner: &str) -> v1::Begin {
    v1::Begin { owner: owner.into(), ..v1::Begin::default() }
}

#[track_caller]
fn denied<T: std::fmt::Debug>(answer: Result<T, Status>, text: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains(text), "{status:?}");
}

#[tokio::test]
async fn who_reads_changes_nothing() {
    let daemon = Daemon::start(terms(vec![own(Role::Read)], None));
    let mut reader = client(&daemon.path()).await;
    reader.status(v1::StatusRequest {}).await.unwrap();
    reader.list(v1::ListRequest::default()).await.unwrap();
    reader.watch(v1::WatchRequest::default()).await.unwrap();
    let denied_capture = reader.capture(v1::CaptureRequest::default()).await;
    denied(denied_capture, "Capture needs the role admin: uid");
    let asked = daemon.asked();
    let who = format!("uid {} has the role read", rustix::process::geteuid().as_raw());
    denied(batch(&daemon, of("bgp"), vec![vrf()]).await, &format!("Apply needs the role write: {who}"));
    denied(reader.keep_alive(v1::KeepAliveRequest::default()).await, &format!("KeepAlive needs the role write: {who}"));
    denied(reader.confirm(v1::ConfirmRequest::default()).await, &format!("Confirm needs the role write: {who}"));
    reader.revisions(v1::RevisionsRequest::default()).await.unwrap();
    assert_eq!(daemon.asked(), asked, "the control thread does not hear of it");
    reader.status(v1::StatusRequest {}).await.unwrap();
}

#[tokio::test]
async fn who_writes_for_some_owners_is_none_of_the_others() {
    let bgp = config::Rule { owners: Some(vec!["bgp".into()]), ..own(Role::Write) };
    let daemon = Daemon::start(terms(vec![bgp], None));
    let applied = batch(&daemon, of("bgp"), vec![vrf()]).await.unwrap();
    assert!(matches!(applied.result, Some(v1::apply_reply::Result::Applied(_))), "{applied:?}");
    let asked = daemon.asked();
    denied(batch(&daemon, of("cni"), vec![vrf()]).await, "for the owners bgp, not for cni");
    denied(batch(&daemon, of(""), vec![vrf()]).await, "not for operator");
    let take_over = v1::Begin { take_over: true, ..of("bgp") };
    denied(batch(&daemon, take_over, vec![vrf()]).await, "Apply with take_over needs the role admin");
    let key = v1::RouteKey { owner: "cni".into(), vrf: "red".into(), ..v1::RouteKey::default() };
    let route = put(v1::object::Kind::Route(v1::Route { key: Some(key), ..v1::Route::default() }));
    denied(batch(&daemon, of("bgp"), vec![vrf(), route]).await, "not for cni");
    let settings = put(v1::object::Kind::Settings(Box::default()));
    denied(batch(&daemon, of("bgp"), vec![settings]).await, "Apply with settings needs the role admin");
    let lease = |owner: &str| v1::KeepAliveRequest { owner: owner.into(), lease_ms: Some(0) };
    let mut writer = client(&daemon.path()).await;
    denied(writer.keep_alive(lease("cni")).await, "KeepAlive: ");
    assert_eq!(daemon.asked(), asked, "a batch is refused whole");
    writer.keep_alive(lease("bgp")).await.unwrap();
    let confirm = |owner: &str| v1::ConfirmRequest { owner: owner.into(), generation: 0 };
    denied(writer.confirm(confirm("cni")).await, "Confirm: ");
    denied(writer.confirm(confirm("")).await, "not for operator");
    writer.confirm(confirm("bgp")).await.unwrap();
}

#[tokio::test]
async fn a_right_is_granted_by_name() {
    let cni = config::Rule { also: vec![Operation::Ports], ..own(Role::Write) };
    let daemon = Daemon::start(terms(vec![cni], None));
    let port = || put(v1::object::Kind::Port(v1::Port { name: "p1".into(), ..v1::Port::default() }));
    batch(&daemon, of("cni"), vec![port()]).await.unwrap();
    let daemon = Daemon::start(terms(vec![own(Role::Write)], None));
    denied(batch(&daemon, of("cni"), vec![port()]).await, "Apply with ports needs the role admin");
}

/// What tenants send is not everybody's; and who looked is written down.
#[tokio::test]
async fn captures_are_granted_by_name_and_written_down() {
    let folder = control_daemon::Folder::new();
    let path = folder.file("audit.log");
    let (audit, writer) = Audit::to(Some(&path)).unwrap();
    let noc = config::Rule { also: vec![Operation::Capture], ..own(Role::Read) };
    let daemon = Daemon::start(Terms { audit, ..terms(vec![noc], None) });
    let mut client = client(&daemon.path()).await;
    let wanted = |vif: &str| v1::CaptureRequest {
        points: vec![v1::CapturePoint::Drop.into()],
        vif: vif.into(),
        filter: "tcp".into(),
        packets: 2,
        ..v1::CaptureRequest::default()
    };
    let mut chunks = client.capture(wanted("web1")).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        seen.push((chunk.started, chunk.packets.len(), chunk.last));
    }
    assert_eq!(seen, [(true, 0, false), (false, 1, false), (false, 1, true)]);
    let refused = client.capture(wanted("nowhere")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "capture: vif: there is no VIF nowhere"));
    let full = client.capture(wanted("full")).await.unwrap_err();
    assert_eq!((full.code(), full.message()), (Code::ResourceExhausted, "4 captures are on already"));
    denied(batch(&daemon, of("cni"), vec![vrf()]).await, "Apply needs the role write");
    drop((client, daemon));
    writer.run(&AtomicBool::new(true));
    let log = entries(&path);
    let captures: Vec<_> = log.iter().filter(|line| line["rpc"] == "Capture").collect();
    let results: Vec<_> = captures.iter().map(|line| line["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["captures", "refused", "refused"]);
    let said = [&captures[0]["vif"], &captures[0]["filter"], &captures[0]["at"]];
    assert_eq!(said, [&serde_json::json!("web1"), &serde_json::json!("tcp"), &serde_json::json!(["drop"])]);
    assert_eq!(captures[2]["reason"], "4 captures are on already");
}

/// The audit log's lines.
fn entries(path: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_was_changed_is_written_down() {
    let folder = control_daemon::Folder::new();
    let path = folder.file("audit.log");
    let (audit, writer) = Audit::to(Some(&path)).unwrap();
    let cni = config::Rule { owners: Some(vec!["cni".into()]), ..own(Role::Write) };
    let daemon = Daemon::start(Terms { audit, ..terms(vec![cni], None) });
    let gone = v1::ObjectKey { kind: Some(v1::object_key::Kind::Vni(7)) };
    let delete = v1::Change { op: Some(v1::change::Op::Delete(gone)) };
    batch(&daemon, of("cni"), vec![vrf(), vrf()]).await.unwrap();
    batch(&daemon, v1::Begin { replace: true, ..of("cni") }, vec![delete]).await.unwrap();
    denied(batch(&daemon, of("bgp"), vec![vrf()]).await, "not for bgp");
    let mut client = client(&daemon.path()).await;
    let lease = |lease_ms| v1::KeepAliveRequest { owner: "cni".into(), lease_ms };
    client.keep_alive(lease(Some(9000))).await.unwrap();
    client.keep_alive(lease(None)).await.unwrap();
    client.list(v1::ListRequest::default()).await.unwrap();
    drop((client, daemon));
    writer.run(&AtomicBool::new(true));
    let log = entries(&path);
    let results: Vec<_> = log.iter().map(|line| (line["rpc"].as_str(), line["result"].as_str())).collect();
    let rpc = |name: &'static str, result: &'static str| (Some(name), Some(result));
    // who asks, and whose lease goes on as it was, changes nothing
    assert_eq!(
        results,
        [rpc("Apply", "applied"), rpc("Apply", "refused"), rpc("Apply", "denied"), rpc("KeepAlive", "kept")]
    );
    for line in &log {
        assert_eq!(line["uid"], rustix::process::geteuid().as_raw());
        assert_eq!((&line["pid"], &line["role"]), (&std::process::id().into(), &"write".into()));
        assert_eq!(line["time"].as_str().unwrap().len(), "2026-11-29T07:06:39.250Z".len());
    }
    assert_eq!((&log[0]["generation"], &log[0]["replace"]), (&1.into(), &false.into()));
    assert_eq!(log[0]["changes"], serde_json::json!({"vrf": {"put": 2}}));
    assert_eq!(log[0]["first"], serde_json::json!(["vrf red", "vrf red"]));
    assert_eq!((&log[1]["changes"], &log[1]["replace"]), (&serde_json::json!({"vni": {"delete": 1}}), &true.into()));
    assert_eq!(log[1]["reason"], "vni 7: : is not there");
    assert_eq!((&log[2]["owner"], &log[3]["lease_ms"]), (&"bgp".into(), &9000.into()));
}

/// Who hangs up before the answer has changed it all the same.
#[tokio::test]
async fn a_change_of_who_hung_up_is_written_down() {
    let folder = control_daemon::Folder::new();
    let path = folder.file("audit.log");
    let (audit, writer) = Audit::to(Some(&path)).unwrap();
    let daemon = Daemon::start(Terms { audit, ..terms(vec![own(Role::Write)], None) });
    let is_asked = async {
        while !daemon.asked.lock().unwrap().iter().any(|it| it == "apply slow 1") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = batch(&daemon, of("slow"), vec![vrf()]) => panic!("it was answered"),
        () = is_asked => {}
    }
    // answered after the other one
    batch(&daemon, of("cni"), vec![vrf()]).await.unwrap();
    drop(daemon);
    writer.run(&AtomicBool::new(true));
    let owners: Vec<_> = entries(&path).iter().map(|line| line["owner"].to_string()).collect();
    assert_eq!(owners, ["\"slow\"", "\"cni\""]);
}

/// Who tries without end fills neither the log nor anybody's time.
#[tokio::test]
async fn refusals_without_end_are_counted() {
    let folder = control_daemon::Folder::new();
    let path = folder.file("audit.log");
    let (audit, writer) = Audit::to(Some(&path)).unwrap();
    let daemon = Daemon::start(Terms { audit, ..terms(vec![own(Role::Read)], None) });
    let mut client = client(&daemon.path()).await;
    for _ in 0..300 {
        client.keep_alive(v1::KeepAliveRequest::default()).await.unwrap_err();
    }
    drop((client, daemon));
    writer.run(&AtomicBool::new(true));
    let (told, missed): (Vec<_>, Vec<_>) = entries(&path).into_iter().partition(|line| line["result"] == "denied");
    assert!((10..200).contains(&told.len()), "{}", told.len());
    assert_eq!(missed.iter().map(|line| line["missed"].as_u64().unwrap()).sum::<u64>(), 300 - told.len() as u64);
}
