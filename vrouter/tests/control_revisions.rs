//! Batches that are confirmed or undone, kept revisions, and files of them, by vrctl against the real model.

mod control_daemon;
#[path = "control_daemon/program.rs"]
mod program;

use std::time::{Duration, Instant};

use control_daemon::real::Real;
use program::{done, json_of, vrctl};
use serde_json::json;
use vrouter::control::Bounds;

const NETWORK: &str = "\
# tenants
vrfs:
  - {name: red, tenant: acme, acl: web}  # the first one
  - {name: blue}
routes:
  - {vrf: red, prefix: 10.0.0.0/8, via: {drop: true}}
vnis:
  - {vni: 100, vrf: blue}
acls:
  - name: web
    rules:
      - {action: permit, protocol: tcp, destination_ports: [80, 8000-8099]}
";

/// What it prints and says when it ends with 1.
#[track_caller]
fn not(real: &Real, args: &[&str]) -> (String, String) {
    let output = vrctl(&real.path(), args);
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(1), "{args:?}: {out} {error}");
    (out, error)
}

fn file(real: &Real, name: &str, text: &str) -> String {
    let path = real.folder.file(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn vrfs(real: &Real) -> Vec<String> {
    let shown = json_of(&real.path(), &["show", "vrfs"]);
    shown["vrfs"].as_array().unwrap().iter().map(|vrf| vrf["name"].as_str().unwrap().to_owned()).collect()
}

fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_not_confirmed_is_undone_and_watchers_are_told() {
    let real = Real::start(Bounds::default());
    let network = file(&real, "network.yaml", NETWORK);
    done(&real.path(), &["apply", "-f", &network]);
    let less = file(&real, "less.yaml", "vrfs: [{name: red, tenant: other}]\n");
    let told = done(&real.path(), &["apply", "-f", &less, "--replace", "--confirm", "1500ms", "-m", "try"]);
    assert!(told.ends_with("it is undone in 1.5s unless it is confirmed: vrctl confirm 2\n"), "{told}");
    assert_eq!(vrfs(&real), ["red"]);
    let (_, refused) = not(&real, &["add", "vrf", "green"]);
    assert!(
        refused.contains("owner operator: generation 2 waits to be confirmed, and is rolled back in "),
        "{refused}"
    );
    done(&real.path(), &["add", "vrf", "pods", "--owner", "cni"]);
    let waits = json_of(&real.path(), &["revisions"])["unconfirmed"][0].clone();
    assert_eq!(
        (&waits["owner"], &waits["generation"], &waits["message"]),
        (&json!("operator"), &json!(2), &json!("try"))
    );
    until("it is undone", || vrfs(&real) == ["blue", "pods", "red"]);
    assert_eq!(json_of(&real.path(), &["diff", "-f", &network])["same"], json!(true));
    let (_, late) = not(&real, &["confirm", "2"]);
    assert!(late.contains("nothing waits to be confirmed"), "{late}");
    let events = done(&real.path(), &["watch", "vrfs", "--after", "3", "--until", "4"]);
    assert!(events.contains("4  put      vrf blue") && events.contains("vrf red  acme"), "{events}");
    done(&real.path(), &["add", "vrf", "green"]);
}

#[test]
fn what_is_confirmed_stays() {
    let real = Real::start(Bounds::default());
    let network = file(&real, "network.yaml", NETWORK);
    done(&real.path(), &["apply", "-f", &network, "--confirm", "1s", "--owner", "cni"]);
    let (_, other) = not(&real, &["confirm"]);
    assert!(other.contains("owner operator: generation: nothing waits to be confirmed"), "{other}");
    assert_eq!(done(&real.path(), &["confirm", "1", "--owner", "cni"]), "generation 1 stays\n");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(vrfs(&real), ["blue", "red"]);
    assert_eq!(json_of(&real.path(), &["revisions"])["revisions"][0]["generation"], json!(1));
    let wrong = vrctl(&real.path(), &["apply", "-f", &network, "--owner", "cni", "--confirm", "1s", "--take-over"]);
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("confirm_ms: cannot be undone together with take_over"));
    let theirs = file(&real, "theirs.yaml", "vrfs: [{name: green, owner: bgp}]\n");
    let (_, theirs) = not(&real, &["apply", "-f", &theirs, "--confirm", "1s"]);
    assert!(theirs.contains("owner: is bgp: what is to be confirmed changes objects of operator alone"), "{theirs}");
}

#[test]
fn revisions_are_told_compared_and_come_back() {
    let real = Real::start(Bounds::default());
    let network = file(&real, "network.yaml", NETWORK);
    done(&real.path(), &["apply", "-f", &network, "-m", "first"]);
    let second = file(
        &real,
        "second.yaml",
        &NETWORK.replace("acme", "other").replace("  - {vni: 100, vrf: blue}\n", "  - {vni: 101, vrf: blue}\n"),
    );
    done(&real.path(), &["apply", "-f", &second, "--replace", "-m", "second"]);
    done(&real.path(), &["add", "vrf", "quick", "--no-revision"]);
    let told = json_of(&real.path(), &["revisions"]);
    let row = |at: usize| {
        let row = &told["revisions"][at];
        (
            row["generation"].as_u64(),
            row["message"].as_str().unwrap().to_owned(),
            row["objects"].as_u64(),
            row["routes"].as_u64(),
        )
    };
    assert_eq!(
        (row(0), row(1)),
        ((Some(2), "second".into(), Some(4), Some(1)), (Some(1), "first".into(), Some(4), Some(1)))
    );
    assert!(told["revisions"][0]["by"].as_str().unwrap().contains("uid"), "{told}");
    let table = done(&real.path(), &["revisions"]);
    assert!(table.contains("operator") && table.contains("second") && table.contains("ago"), "{table}");

    let (text, error) = not(&real, &["diff", "--generation", "1", "2"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("- vni 100") && lines[3].starts_with("+ vni 101"), "{text}");
    assert!(lines[1].starts_with("~ vrf red") && lines[2] == "    tenant: \"acme\" -> \"other\"", "{text}");
    assert_eq!(error, "vrctl: they differ: 1 to create, 1 to change, 1 to delete\n");
    let (text, _) = not(&real, &["diff", "--generation", "2"]);
    assert!(text.starts_with("+ vrf quick"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let (_, none) = not(&real, &["diff", "--generation", "9"]);
    assert_eq!(none, "vrctl: refused: revision: none of generation 9 is kept\n");

    let plan = json_of(&real.path(), &["rollback", "1", "--dry-run"]);
    assert_eq!(
        (&plan["created"], &plan["changed"], &plan["deleted"], &plan["unchanged"]),
        (&json!(1), &json!(1), &json!(2), &json!(3))
    );
    done(&real.path(), &["rollback", "1"]);
    assert_eq!(json_of(&real.path(), &["diff", "-f", &network])["same"], json!(true));
    let told = json_of(&real.path(), &["revisions", "--owner", "operator"]);
    assert_eq!(told["revisions"][0]["message"], json!("rollback to generation 1: first"));
    // and may be undone itself
    done(&real.path(), &["rollback", "2", "--confirm", "300ms"]);
    until("the rollback is undone", || json_of(&real.path(), &["show", "vnis"])["vnis"][0]["vni"] == json!(100));
}

#[test]
fn what_is_exported_makes_the_same_objects_again() {
    let real = Real::start(Bounds::default());
    let network = file(&real, "network.yaml", NETWORK);
    done(&real.path(), &["apply", "-f", &network]);
    let pods =
        file(&real, "pods.yaml", "vrfs: [{name: pods}]\nroutes: [{vrf: pods, prefix: 10.5.0.0/16, drop: true}]\n");
    done(&real.path(), &["apply", "-f", &pods, "--owner", "cni"]);
    let all = done(&real.path(), &["export"]);
    assert!(all.contains("  - {name: pods, owner: cni}\n") && all.contains("  - {name: blue}\n"), "{all}");
    let exported = file(&real, "all.yaml", &all);
    let other = Real::start(Bounds::default());
    done(&other.path(), &["apply", "-f", &exported]);
    for kind in ["vrfs", "routes", "vnis", "acls", "ports"] {
        assert_eq!(json_of(&other.path(), &["show", kind])[kind], json_of(&real.path(), &["show", kind])[kind]);
    }
    assert_eq!(done(&other.path(), &["export"]), all);
    // laid out as it should be
    assert_eq!(done(&real.path(), &["fmt", "--check", &exported]), "");

    let cni = done(&real.path(), &["export", "--owner", "cni"]);
    assert_eq!(
        cni,
        "# Again: vrctl apply --owner cni -f FILE\n\nvrfs:\n  - {name: pods}\nroutes:\n  - {vrf: pods, prefix: 10.5.0.0/16, via: {drop: true}}\n"
    );
    let red = done(&real.path(), &["export", "--vrf", "red"]);
    assert!(red.contains("name: web") && !red.contains("blue") && !red.contains("pods"), "{red}");
    assert!(done(&real.path(), &["export", "acls"]).ends_with(&NETWORK[NETWORK.find("acls:").unwrap()..]));
    assert_eq!(not(&real, &["export", "--vrf", "nowhere"]).1, "vrctl: refused: vrf nowhere: is not there\n");
}

#[test]
fn files_are_laid_out_and_compared_without_a_daemon() {
    let real = Real::start(Bounds::default());
    let good = file(&real, "good.yaml", NETWORK);
    let other = NETWORK.replace("  - {name: red, tenant: acme, acl: web}", "  - {acl: web, name: red, tenant: acme}");
    let wild = file(&real, "wild.yaml", &other);
    assert_eq!(not(&real, &["fmt", "--check", &good, &wild]).1, format!("vrctl: laid out otherwise: {wild}\n"));
    assert_eq!(std::fs::read_to_string(&wild).unwrap(), other, "nothing is written");
    assert_eq!(done(&real.path(), &["fmt", &good, &wild]), format!("{wild}\n"));
    assert_eq!(std::fs::read_to_string(&wild).unwrap(), NETWORK);
    done(&real.path(), &["fmt", "--check", &good, &wild]);
    assert_eq!(done(&real.path(), &["diff", "--from", &good, "-f", &wild]), "no difference\n");
    let less = file(&real, "less.yaml", "vrfs: [{name: red}]\n");
    let (text, _) = not(&real, &["diff", "--from", &good, "-f", &less]);
    assert!(text.contains("    tenant: \"acme\" -> null\n") && text.contains("- acl web"), "{text}");
    let broken = file(&real, "broken.yaml", "vrfs: [{name: red}, {name: red}]\n");
    assert_eq!(vrctl(&real.path(), &["fmt", &broken]).status.code(), Some(4));
}
