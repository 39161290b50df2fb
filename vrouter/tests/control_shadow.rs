//! Shadows at the socket: what vrctl says of them, who may promote and discard them, and what is written down.

mod control_daemon;
#[path = "control_daemon/program.rs"]
mod program;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use control_daemon::real::Real;
use control_daemon::{Folder, client};
use program::{done, json_of, vrctl};
use serde_json::{Value, json};
use tokio_stream::iter;
use tonic::{Code, Status};
use v1::apply_reply::Result as Answer;
use v1::apply_request::Step;
use vrouter::api::config::{self, Account, Role};
use vrouter::api::position::At;
use vrouter::api::v1;
use vrouter::control::Bounds;
use vrouter::control::access::{Access, Audit, Names, Terms};

const NETWORK: &str = "\
vrfs: [{name: red, acl: web}]
acls:
  - name: web
    rules:
      - {action: permit, protocol: tcp, destination_ports: 80}
";
const CANDIDATE: &str = "acls: [{name: web, rules: [{action: permit, protocol: tcp}]}]\n";

fn file(real: &Real, name: &str, text: &str) -> String {
    let path = real.folder.file(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What it says when it ends with this.
#[track_caller]
fn fails(real: &Real, code: i32, args: &[&str]) -> String {
    let output = vrctl(&real.path(), args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    error
}

#[test]
fn a_candidate_is_tried_told_of_and_made() {
    let real = Real::start(Bounds::default());
    let (network, candidate) = (file(&real, "network.yaml", NETWORK), file(&real, "candidate.yaml", CANDIDATE));
    done(&real.path(), &["apply", "-f", &network]);
    assert!(fails(&real, 1, &["shadow", "report"]).contains("shadow: none is on"));
    let told = done(&real.path(), &["apply", "--shadow", "-f", &candidate, "-m", "all of tcp"]);
    assert_eq!(told, "1 change, tried from generation 2 on: 0 VIFs and 1 VRFs have other ACLs by the candidate\n");
    let text = done(&real.path(), &["shadow", "report"]);
    assert!(text.starts_with("1 change of operator (all of tcp), by "), "{text}");
    assert!(text.contains("of 0 decisions by both it would permit 0") && text.ends_with("none\n"), "{text}");
    let told = json_of(&real.path(), &["shadow", "report"]);
    let said = [&told["owner"], &told["changes"], &told["vrfs"], &told["judged"], &told["stands_still"], &told["rows"]];
    assert_eq!(said, [&json!("operator"), &json!(1), &json!(1), &json!(0), &Value::Null, &json!([])]);
    // nothing is made
    let is_of_one_port = |real: &Real| done(&real.path(), &["export", "acls"]).contains("destination_ports");
    assert!(is_of_one_port(&real));
    let theirs = fails(&real, 1, &["apply", "--shadow", "-f", &candidate, "--owner", "cni"]);
    assert!(theirs.contains("shadow: owner: operator has one on already, by "), "{theirs}");
    assert!(fails(&real, 1, &["shadow", "promote", "--owner", "cni"]).contains("operator has one on already"));
    assert_eq!(done(&real.path(), &["shadow", "promote"]), "all changes, generation 3\n");
    assert!(!is_of_one_port(&real));
    // as any batch
    let kept = json_of(&real.path(), &["revisions"]);
    assert_eq!(kept["revisions"][0]["message"], json!("all of tcp"));
    assert!(fails(&real, 1, &["shadow", "promote"]).contains("shadow: none is on"));
}

#[test]
fn what_is_promoted_may_have_to_be_confirmed() {
    let real = Real::start(Bounds::default());
    let (network, candidate) = (file(&real, "network.yaml", NETWORK), file(&real, "candidate.yaml", CANDIDATE));
    done(&real.path(), &["apply", "-f", &network]);
    done(&real.path(), &["apply", "--shadow", "-f", &candidate]);
    let told = done(&real.path(), &["shadow", "promote", "--confirm", "60s", "-m", "try"]);
    assert!(told.ends_with("it is undone in 1m00s unless it is confirmed: vrctl confirm 3\n"), "{told}");
    assert_eq!(json_of(&real.path(), &["revisions"])["unconfirmed"][0]["message"], json!("try"));
    // the next one waits too
    done(&real.path(), &["apply", "--shadow", "-f", &network]);
    let held = fails(&real, 1, &["shadow", "promote"]);
    assert!(held.contains("generation 3 waits to be confirmed"), "{held}");
    assert_eq!(json_of(&real.path(), &["shadow", "report"])["changes"], json!(2), "it stays on");
    let told = done(&real.path(), &["shadow", "discard"]);
    assert!(told.starts_with("the shadow is discarded, generation "), "{told}");
}

#[test]
fn what_is_no_candidate_is_refused() {
    let real = Real::start(Bounds::default());
    let network = file(&real, "network.yaml", NETWORK);
    done(&real.path(), &["apply", "-f", &network]);
    let more =
        file(&real, "more.yaml", "acls:\n  - {name: web, rules: []}\nvrfs:\n  - {name: red, acl: web, tenant: acme}\n");
    let refused = fails(&real, 1, &["apply", "--shadow", "-f", &more]);
    assert!(refused.contains("more.yaml:4:"), "{refused}");
    assert!(refused.contains("vrf red: tenant: a shadow holds policies only: ACLs, address groups,"), "{refused}");
    // what goes is no policy either
    let less = file(&real, "less.yaml", "acls: [{name: web, rules: []}]\n");
    let refused = fails(&real, 1, &["apply", "--shadow", "--replace", "-f", &less]);
    assert!(refused.contains("vrf red: a shadow holds policies only"), "{refused}");
    done(&real.path(), &["apply", "--shadow", "--replace", "--only", "acls", "-f", &less]);
    for more in [["--dry-run", "--sync"], ["--lease", "1000"], ["--confirm", "60s"]] {
        let usage = fails(&real, 2, &[&["apply", "--shadow", "-f", &less][..], &more[..]].concat());
        assert!(usage.contains("cannot be used with"), "{usage}");
    }
}

fn terms(owners: Option<Vec<String>>, role: Role) -> Terms {
    let user = Some(Account::Number(rustix::process::geteuid().as_raw()));
    let rule = config::Rule { user, group: None, certificate: None, role, owners, also: Vec::new() };
    let config = config::Access { group: None, rules: vec![At::nowhere(rule)] };
    Terms { access: Arc::new(Access::new(&config, Names::default()).unwrap()), ..Terms::default() }
}

async fn begin(real: &Real, begin: v1::Begin, changes: Vec<v1::Change>) -> Result<Option<Answer>, Status> {
    let steps = [Step::Begin(begin), Step::Changes(v1::Changes::from(changes)), Step::Commit(v1::Commit {})];
    let steps = steps.map(|step| v1::ApplyRequest { step: Some(step) });
    let mut replies = client(&real.path()).await.apply(iter(steps)).await?.into_inner();
    Ok(replies.message().await?.expect("a batch is answered").result)
}

fn acl(name: &str) -> v1::Change {
    let acl = v1::Acl { name: name.into(), rules: Vec::new() };
    v1::Change { op: Some(v1::change::Op::Put(v1::object::Kind::Acl(acl).into())) }
}

fn of(owner: &str) -> v1::Begin {
    v1::Begin { owner: owner.into(), shadow: true, ..v1::Begin::default() }
}

fn promote(owner: &str) -> v1::PromoteShadowRequest {
    v1::PromoteShadowRequest { owner: owner.into(), ..v1::PromoteShadowRequest::default() }
}

#[tokio::test]
async fn who_reads_reads_the_report_and_no_more() {
    let real = Real::start(terms(None, Role::Read));
    let mut reader = client(&real.path()).await;
    let none = reader.shadow_report(v1::ShadowReportRequest {}).await.unwrap_err();
    assert_eq!((none.code(), none.message()), (Code::InvalidArgument, "shadow: none is on"));
    let denied = begin(&real, of("bgp"), vec![acl("a")]).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let denied = reader.promote_shadow(promote("")).await.unwrap_err();
    assert!(denied.message().starts_with("PromoteShadow needs the role write"), "{denied}");
    let denied = reader.discard_shadow(v1::DiscardShadowRequest::default()).await.unwrap_err();
    assert!(denied.message().starts_with("DiscardShadow needs the role write"), "{denied}");
}

/// Who writes for some owners tries, promotes and discards theirs alone, and it is written down.
#[tokio::test]
async fn owners_and_the_audit_log() {
    let folder = Folder::new();
    let path = folder.file("audit.log");
    let (audit, writer) = Audit::to(Some(&path)).unwrap();
    let real = Real::start(Terms { audit, ..terms(Some(vec!["bgp".into()]), Role::Write) });
    let mut writes = client(&real.path()).await;
    assert_eq!(begin(&real, of("cni"), vec![acl("a")]).await.unwrap_err().code(), Code::PermissionDenied);
    let wrong = begin(&real, v1::Begin { lease_ms: Some(5), ..of("bgp") }, vec![]).await.unwrap_err();
    assert_eq!(
        (wrong.code(), wrong.message()),
        (Code::InvalidArgument, "shadow: what is tried is not made, as lease_ms wants")
    );
    let tried = begin(&real, of("bgp"), vec![acl("a")]).await.unwrap();
    assert!(matches!(&tried, Some(Answer::Shadowed(shadowed)) if shadowed.generation == 1), "{tried:?}");
    for denied in [
        writes.promote_shadow(promote("cni")).await.unwrap_err(),
        writes.discard_shadow(v1::DiscardShadowRequest::default()).await.unwrap_err(),
    ] {
        assert_eq!(denied.code(), Code::PermissionDenied, "{denied}");
    }
    let long = v1::PromoteShadowRequest { confirm_ms: 3_600_001, ..promote("bgp") };
    assert_eq!(writes.promote_shadow(long).await.unwrap_err().code(), Code::InvalidArgument);
    let made = writes.promote_shadow(promote("bgp")).await.unwrap().into_inner().result;
    assert!(matches!(&made, Some(Answer::Applied(applied)) if applied.generation == 2), "{made:?}");
    begin(&real, of("bgp"), vec![acl("b")]).await.unwrap();
    let gone = writes.discard_shadow(v1::DiscardShadowRequest { owner: "bgp".into() }).await.unwrap().into_inner();
    assert_eq!(gone.generation, 4);
    let none = writes.promote_shadow(promote("bgp")).await.unwrap().into_inner().result;
    assert!(matches!(&none, Some(Answer::Refused(refused)) if refused.reason == "none is on"), "{none:?}");
    drop((writes, real));
    writer.run(&AtomicBool::new(true));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = lines
        .iter()
        .map(|line| [&line["rpc"], &line["owner"], &line["result"]].map(|it| it.as_str().unwrap()))
        .collect();
    let expected = [
        ["Apply", "cni", "denied"],
        ["Apply", "bgp", "shadowed"],
        ["PromoteShadow", "cni", "denied"],
        ["DiscardShadow", "operator", "denied"],
        ["PromoteShadow", "bgp", "applied"],
        ["Apply", "bgp", "shadowed"],
        ["DiscardShadow", "bgp", "discarded"],
        ["PromoteShadow", "bgp", "refused"],
    ];
    assert_eq!(said, expected, "{text}");
}
