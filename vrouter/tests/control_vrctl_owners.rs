//! `vrctl` and several owners, against the real model.

mod control_daemon;
#[path = "control_daemon/program.rs"]
mod program;

use control_daemon::real::Real;
use program::{done, json_of, vrctl};
use serde_json::{Value, json};
use vrouter::control::Bounds;

const PODS: &str = "\
acls: [{name: pods, rules: [{action: permit}]}]
vrfs: [{name: red, tenant: acme, acl: pods}, {name: blue}]
routes: [{vrf: red, prefix: 10.0.0.0/8, drop: true}]
vnis: [{vni: 100, vrf: blue}]
";

#[track_caller]
fn refused(real: &Real, args: &[&str]) -> String {
    let output = vrctl(&real.path(), args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn file(real: &Real, name: &str, text: &str) -> String {
    let path = real.folder.file(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_file_replaces_what_its_owner_has_and_a_dry_run_tells_before() {
    let real = Real::start(Bounds::default());
    let pods = file(&real, "pods.yaml", PODS);
    done(&real.path(), &["apply", "-f", &pods, "--owner", "cni"]);
    let less = PODS.replace("vnis: [{vni: 100, vrf: blue}]\n", "").replace("tenant: acme", "tenant: other");
    let less = file(&real, "less.yaml", &less);
    let apply = ["apply", "-f", &less, "--owner", "cni", "--replace"];

    let plan = json_of(&real.path(), &[&apply[..], &["--dry-run"]].concat());
    assert_eq!(
        (&plan["created"], &plan["changed"], &plan["deleted"], &plan["unchanged"]),
        (&json!(0), &json!(1), &json!(1), &json!(3))
    );
    assert_eq!((&plan["generation"], &plan["truncated"]), (&json!(1), &json!(false)));
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    assert_eq!(
        (&steps[0]["step"], &steps[0]["kind"], &steps[0]["after"]),
        (&json!("delete"), &json!("vni"), &Value::Null)
    );
    assert_eq!(steps[0]["before"], json!({"vni": 100, "vrf": "blue", "owner": "cni"}));
    assert_eq!((&steps[1]["step"], &steps[1]["fields"]), (&json!("change"), &json!(["tenant"])));
    assert_eq!((&steps[1]["before"]["tenant"], &steps[1]["after"]["tenant"]), (&json!("acme"), &json!("other")));
    let told = done(&real.path(), &[&apply[..], &["--dry-run"]].concat());
    assert!(told.starts_with("- vni 100") && told.contains("\n~ vrf red"), "{told}");
    assert!(told.ends_with("would create 0, change 1, delete 1, leave 3, at generation 1\n"), "{told}");

    let kinds = [&apply[..], &["--only", "routes", "--dry-run"]].concat();
    assert_eq!(json_of(&real.path(), &kinds)["deleted"], json!(0));
    assert_eq!(json_of(&real.path(), &apply), json!({"generation": 2, "changes": 4, "swept": 1, "synced": false}));
    assert_eq!(done(&real.path(), &["show", "vnis"]), "none\n");
}

#[test]
fn others_leave_an_object_alone_unless_they_take_it_over() {
    let real = Real::start(Bounds::default());
    let pods = file(&real, "pods.yaml", PODS);
    done(&real.path(), &["apply", "-f", &pods, "--owner", "cni", "--lease", "600000"]);
    let theirs = "is of owner cni, and not to be changed by others unless they take it over";
    assert_eq!(
        refused(&real, &["apply", "-f", &pods]),
        format!("vrctl: refused: {pods}:1:8: acl pods: owner: {theirs}\n")
    );
    assert!(refused(&real, &["delete", "vni", "100"]).ends_with(&format!("vni 100: owner: {theirs}\n")));
    done(&real.path(), &["delete", "vni", "100", "--owner", "cni"]);
    done(&real.path(), &["delete", "route", "--vrf", "red", "10.0.0.0/8", "--owner", "cni"]);
    done(&real.path(), &["add", "vrf", "blue", "--replace", "--take-over"]);
    assert_eq!(json_of(&real.path(), &["show", "vrf", "blue"])["vrfs"][0]["owner"], "operator");

    let owners = json_of(&real.path(), &["owners"]);
    let named = |name: &str| owners["owners"].as_array().unwrap().iter().find(|o| o["name"] == name).unwrap().clone();
    let cni = named("cni");
    assert_eq!(
        (&cni["routes"], &cni["objects"], &cni["lease_ms"], &cni["expired"]),
        (&json!(0), &json!(2), &json!(600_000), &json!(false))
    );
    assert!(cni["remaining_ms"].as_u64().unwrap() > 500_000);
    assert_eq!((&named("operator")["objects"], &named("operator")["lease_ms"]), (&json!(1), &json!(0)));
    let table = done(&real.path(), &["owners"]);
    assert!(table.contains("cni") && table.contains("10m00s") && table.contains("none"), "{table}");

    // what is shown says whose it is, and can be put so by anybody
    let shown = done(&real.path(), &["show", "all", "-o", "yaml"]);
    let again = file(&real, "again.yaml", &shown);
    let vrfs = done(&real.path(), &["show", "vrfs", "-o", "yaml"]);
    done(&real.path(), &["apply", "-f", &again, "--owner", "other"]);
    assert_eq!(done(&real.path(), &["show", "vrfs", "-o", "yaml"]), vrfs);
    assert_eq!(json_of(&real.path(), &["show", "acls"])["acls"][0]["owner"], "cni");
}

#[test]
fn a_file_that_rests_on_something_older_is_refused() {
    let real = Real::start(Bounds::default());
    let pods = file(&real, "pods.yaml", PODS);
    done(&real.path(), &["apply", "-f", &pods]);
    done(&real.path(), &["add", "vrf", "green"]);
    let stale = refused(&real, &["apply", "-f", &pods, "--if-generation", "1"]);
    assert_eq!(stale, "vrctl: refused: if_generation: generation 2, by operator, is newer than 1\n");
    done(&real.path(), &["apply", "-f", &pods, "--if-generation", "2"]);
}

#[test]
fn several_files_are_one_batch_whatever_their_order() {
    let real = Real::start(Bounds::default());
    let tenants = file(&real, "tenants.yaml", PODS);
    let host = file(
        &real,
        "host.yaml",
        "settings: {tcp_strict: true}\nroutes: [{vrf: red, prefix: 10.9.0.0/16, drop: true}]\n",
    );
    let applied = json_of(&real.path(), &["apply", "-f", &host, "-f", &tenants]);
    assert_eq!((&applied["generation"], &applied["changes"]), (&json!(1), &json!(7)));
    // one is wrong: neither is made, and it is named
    let wrong = file(
        &real,
        "wrong.yaml",
        "vrfs: [{name: green}]\n\nroutes:\n  - {vrf: nowhere, prefix: 10.0.0.0/8, drop: true}\n",
    );
    let other = file(&real, "other.yaml", "vrfs: [{name: yellow}]\n");
    let error = refused(&real, &["apply", "-f", &other, "-f", &wrong]);
    assert!(error.contains(&format!("{wrong}:4:5: route")), "{error}");
    let vrfs = json_of(&real.path(), &["show", "vrfs"]);
    let names: Vec<_> = vrfs["vrfs"].as_array().unwrap().iter().map(|vrf| vrf["name"].clone()).collect();
    assert_eq!(names, ["blue", "red"]);
    // what is in both is refused before the daemon is asked
    let again = file(&real, "again.yaml", "vrfs: [{name: yellow}]\n");
    let output = vrctl(&real.path(), &["apply", "-f", &other, "-f", &again]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(error.contains(&format!("{again}:1:8: vrf yellow: is already there, at {other}:1:8")), "{error}");
    // with --replace all of them together are what their owner wants
    let plan = json_of(&real.path(), &["apply", "-f", &host, "-f", &tenants, "-f", &other, "--replace", "--dry-run"]);
    let said = (&plan["created"], &plan["changed"], &plan["deleted"], &plan["unchanged"]);
    assert_eq!(said, (&json!(1), &json!(0), &json!(0), &json!(7)));
}
