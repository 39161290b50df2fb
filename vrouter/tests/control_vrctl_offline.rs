//! `vrctl` where it asks no daemon: validate, test, explain by files; on the example of `examples/office`.

mod control_daemon;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use control_daemon::Folder;
use serde_json::Value;

fn office() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/office")
}

/// In the folder of the example, or of a copy; there is no daemon.
fn vrctl(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrctl"));
    command.env("VROUTER_SOCKET", "/nonexistent/socket").current_dir(folder).args(args).output().unwrap()
}

/// Exit code, standard output, standard error.
fn told(folder: &Path, line: &str) -> (i32, String, String) {
    let args: Vec<_> = line.split_whitespace().collect();
    let output = vrctl(folder, &args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A copy of the example in which a file has something else.
fn changed(file: &str, from: &str, to: &str) -> Folder {
    let copy = Folder::new();
    for entry in std::fs::read_dir(office()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.file(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let text = std::fs::read_to_string(copy.file(file)).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(copy.file(file), text.replacen(from, to, 1)).unwrap();
    copy
}

/// The commands of the pipeline, without their redirections.
fn pipeline() -> Vec<String> {
    let text = std::fs::read_to_string(office().join("pipeline.yml")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    - vrctl "));
    let lines: Vec<_> = lines.map(|line| line.split(" > ").next().unwrap().to_owned()).collect();
    assert_eq!(lines.len(), 5);
    lines
}

#[test]
fn the_pipeline_takes_the_example_on_staging_and_production() {
    for line in pipeline() {
        let (code, out, error) = told(&office(), &line);
        assert_eq!((code, error.as_str()), (0, ""), "{line}: {out}");
    }
    let (_, valid, _) = told(&office(), "validate -f production.yaml -f tenants.yaml");
    assert_eq!(valid, "2 files, 15 objects: a daemon without any would take them\n");
    let (_, met, _) = told(&office(), "test -f staging.yaml -f tenants.yaml expectations.yaml --coverage");
    assert_eq!(
        met,
        "11 of 11 expectations are met\n2 of 2 rules decided about a packet\n0 of 0 routes decided about a packet\n"
    );
}

#[test]
fn the_pipeline_refuses_a_bad_change_and_says_why() {
    let stopped = |folder: &Folder| {
        let mut lines = pipeline().into_iter();
        let first = lines.find_map(|line| Some(told(&folder.file(""), &line)).filter(|(code, ..)| *code != 0));
        first.expect("something is refused")
    };
    // a reference to nothing
    let (code, _, error) = stopped(&changed("tenants.yaml", "acl_to_vif: to-db", "acl_to_vif: to-bd"));
    assert_eq!((code, error.as_str()), (4, "vrctl: tenants.yaml:19:5: vif db: acl_to_vif: there is no ACL to-bd\n"));
    // a rule that is too wide
    let (code, out, error) = stopped(&changed("tenants.yaml", ", destination_ports: 5432}", "}"));
    assert_eq!((code, error.as_str()), (1, "vrctl: 1 of 11 expectations are not met\n"));
    assert!(
        out.starts_with("expectations.yaml:8:5: and nothing else\n  it is forwarded by db instead of acl_to_vif\n"),
        "{out}"
    );
    assert!(out.contains("acl to-db rule 0 (ask)") && out.contains("10 of 11 expectations are met"), "{out}");
    let denied = out.lines().find(|line| line.contains("acl to-db rule 0 (ask)")).unwrap();
    assert!(denied.ends_with(" tenants.yaml:13:9"), "{denied}");
    // networks that must not meet, joined
    let joined =
        changed("tenants.yaml", "vifs:\n", "routes:\n  - {vrf: staff, prefix: 10.1.1.0/24, via: {vrf: shop}}\nvifs:\n");
    let (code, out, _) = stopped(&joined);
    assert_eq!(code, 1);
    assert!(out.contains("staff reach nothing in the shop: desk to web1\n"), "{out}");
    // a rule that nothing tries
    let more = changed(
        "tenants.yaml",
        "protocol: icmp}",
        "protocol: icmp}\n      - {name: old, action: permit, protocol: udp}",
    );
    let (code, out, error) = stopped(&more);
    assert_eq!((code, error.as_str()), (1, "vrctl: 1 rules and routes are touched by no packet\n"), "{out}");
    assert!(out.ends_with("tenants.yaml:15:9: acl to-db rule 2 (old): never\n"), "{out}");
}

#[test]
fn one_tenants_file_is_good_for_staging_and_production() {
    let cloud = office().with_file_name("cloud");
    for (hosts, expectations, met) in [
        ("-f staging.yaml", "web.yaml data.yaml", 17),
        ("-f node1.yaml -f production.yaml", "web.yaml", 13),
        ("-f node2.yaml -f production.yaml", "data.yaml", 4),
    ] {
        let (code, out, error) = told(&cloud, &format!("validate {hosts} -f tenants.yaml"));
        assert_eq!((code, error.as_str()), (0, ""), "{hosts}: {out}");
        let (code, out, error) = told(&cloud, &format!("test {hosts} -f tenants.yaml {expectations}"));
        assert_eq!((code, error.as_str()), (0, ""), "{hosts}: {out}");
        assert_eq!(out, format!("{met} of {met} expectations are met\n"), "{hosts}");
    }
    // in the files' order or any other, as what is printed and as it is
    let (_, one, _) = told(&cloud, "expand -f node1.yaml -f production.yaml -f tenants.yaml");
    let folder = Folder::new();
    std::fs::write(folder.file("plain.yaml"), &one).unwrap();
    let (code, again, error) = told(&folder.file(""), "expand -f plain.yaml");
    assert_eq!((code, error.as_str(), &again), (0, "", &one));
    let (_, json, _) = told(&cloud, "expand -f node1.yaml -f production.yaml -f tenants.yaml -o json");
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["acls"][1]["rules"][2]["name"], "policy web-to-db", "{value:#}");
    assert!(value.get("projects").is_none() && value.get("hosts").is_none());
}

#[test]
fn a_fault_of_a_project_is_told_where_it_stands_and_rules_are_called_after_policies() {
    let cloud = office().with_file_name("cloud");
    let folder = Folder::new();
    let wrong = |from: &str, to: &str| {
        let text = std::fs::read_to_string(cloud.join("tenants.yaml")).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(folder.file("t.yaml"), text.replacen(from, to, 1)).unwrap();
        told(&cloud, &format!("validate -f staging.yaml -f {}", folder.file("t.yaml").display()))
    };
    let (code, _, error) = wrong("to: {tag: front}", "to: {tag: fronts}");
    let want = "t.yaml:24:9: project acme: policy browse: to.tag: there is no tag fronts, did you mean front?\n";
    assert_eq!(code, 4);
    assert!(error.ends_with(want), "{error}");
    // the model's own word, about an object that was made
    let (code, _, error) = wrong("vni: 102", "vni: 101");
    assert_eq!(code, 4);
    assert!(error.contains("t.yaml:8:9: vni 101: is already there"), "{error}");
    let line = "explain -f staging.yaml -f tenants.yaml --vif acme.cache --src 10.1.1.20 --dst 10.1.2.13 --dport";
    let (_, out, _) = told(&cloud, &format!("{line} 6379"));
    assert!(out.contains("acl acme.web rule 3 (policy cache-fill)"), "{out}");
    let (_, out, _) = told(&cloud, &format!("{line} 22"));
    assert!(out.contains("acl_vrf"), "{out}");
    let (_, out, _) = told(&cloud, "schema");
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema["$id"], "urn:vrouter:network:1");
    assert!(schema["$defs"]["Policy"]["properties"]["chain"].is_object(), "{schema:#}");
}

#[test]
fn reports_and_fields_for_programs_are_stable() {
    let line = "test -f staging.yaml -f tenants.yaml expectations.yaml";
    let (code, out, _) = told(&office(), &format!("{line} -o json --coverage"));
    let value: Value = serde_json::from_str(&out).unwrap();
    let first = &value["expectations"][0];
    assert_eq!(
        (code, &first["name"], &first["met"], &first["line"]),
        (0, &"web servers ask the database: web1 to db".into(), &true.into(), &3.into())
    );
    let step = first["steps"].as_array().unwrap().iter().find(|step| step["name"] == "acl_to_vif").unwrap();
    assert_eq!((&step["acl"], &step["rule"]), (&"to-db".into(), &0.into()));
    assert_eq!((&step["file"], &step["line"]), (&"tenants.yaml".into(), &13.into()));
    assert_eq!(value["coverage"][1]["touched"], true);
    let (_, out, _) = told(&office(), &format!("{line} --report tap"));
    assert!(out.starts_with("TAP version 13\n1..11\nok 1 - web servers ask the database: web1 to db\n"), "{out}");
    let (_, out, _) = told(&office(), &format!("{line} --report junit"));
    assert!(out.contains("<testsuite name=\"expectations.yaml\" tests=\"11\" failures=\"0\">"), "{out}");
    let (_, out, _) = told(&office(), "schema --expectations");
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert!(schema["$defs"]["Expectation"]["properties"]["leaves_by"].is_object(), "{schema}");
}

#[test]
fn explain_by_files_needs_no_daemon() {
    let line = "explain -f staging.yaml -f tenants.yaml --vif web1 --src 10.1.1.11 --dst 10.1.1.13 --dport";
    let (code, out, error) = told(&office(), &format!("{line} 22"));
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("acl to-db end") && out.contains("acl_to_vif: "), "{out}");
    assert!(out.starts_with(" STEP ") && out.lines().next().unwrap().ends_with(" WHERE"), "{out}");
    assert!(out.lines().any(|line| line.contains("denies at vif db") && line.ends_with(" tenants.yaml:11:5")), "{out}");
    let (_, out, _) = told(&office(), &format!("{line} 5432 -o json"));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&value["verdict"], &value["exit_vif"], value.get("remote")), (&"forward".into(), &"db".into(), None));
    let steps = value["steps"].as_array().unwrap();
    let rule = steps.iter().find(|step| step["name"] == "acl_to_vif").unwrap();
    assert_eq!((&rule["file"], &rule["line"]), (&"tenants.yaml".into(), &13.into()), "{rule}");
    let route = steps.iter().find(|step| step["name"] == "route").unwrap();
    assert_eq!((&route["file"], &route["line"]), (&"tenants.yaml".into(), &19.into()), "{route}");
    let (code, _, error) = told(&office(), "explain -f tenants.yaml --vif web9 --src 10.1.1.11 --dst 10.1.1.13");
    assert_eq!((code, error.as_str()), (1, "vrctl: refused: vif: there is no VIF web9\n"));
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = Folder::new();
    let (code, out, error) = told(&folder.file(""), "man .");
    assert_eq!((code, out.as_str(), error.as_str()), (0, "", ""));
    let page =
        |name: &str| std::fs::read_to_string(folder.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (_, help, _) = told(&folder.file(""), "--help");
    let commands: Vec<_> =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty()).collect();
    assert!(commands.len() >= 18, "{help}");
    for command in commands {
        let name = command.split_whitespace().next().unwrap();
        if name != "help" {
            assert!(page(&format!("vrctl-{name}.1")).contains(".SH SYNOPSIS"), "{name}");
        }
    }
    assert!(page("vrctl.1").contains("Exit codes"));
    let (code, _, error) = told(&folder.file(""), "man nowhere");
    assert_eq!(code, 4);
    assert!(error.starts_with("vrctl: nowhere: "), "{error}");
}

/// An Ethernet frame with a UDP packet of web1 to the database, as scapy makes it.
const FRAME: &str = "00005e000100 020000010011 0800 4500001c00010000401164b70a01010b0a01010d 15380016 00080000";

#[test]
fn a_frame_is_explained_as_it_is() {
    let by = |frame: &str, more: &[&str]| {
        let args =
            [&["explain", "-f", "staging.yaml", "-f", "tenants.yaml", "--vif", "web1", "--hex", frame], more].concat();
        let output = vrctl(&office(), &args);
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, text) = by(FRAME, &["-o", "json"]);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &value["verdict"]), (0, &"acl_to_vif".into()));
    assert_eq!(
        value["remedy"],
        "to let it pass: a rule of acl to-db (acl_to_vif) that permits udp from 10.1.1.11 to 10.1.1.13 port 22"
    );
    assert!(by(FRAME, &[]).1.ends_with("permits udp from 10.1.1.11 to 10.1.1.13 port 22\n"));
    let (code, text) = by(&FRAME.replace("020000010011", "020000010099"), &["-o", "json"]);
    assert_eq!((code, text.contains("\"mac_spoofed\"")), (0, true), "{text}");
    let (code, text) = by(&FRAME.replace("64b7", "64b8"), &[]);
    assert_eq!(code, 1);
    assert!(text.starts_with("vrctl: refused: dropped (ipv4_checksum): "), "{text}");
    assert_eq!(by("00g0", &[]), (2, "vrctl: --hex: 'g' is no digit\n".into()));
    assert_eq!(by(FRAME, &["--src", "10.1.1.11"]).0, 2);
}

#[test]
fn what_cannot_be_read_or_holds_nothing_is_an_error() {
    let (code, _, error) = told(&office(), "validate -f nowhere.yaml");
    assert_eq!(code, 4);
    assert!(error.starts_with("vrctl: nowhere.yaml: "), "{error}");
    let (code, _, error) = told(&office(), "test -f tenants.yaml tenants.yaml");
    assert_eq!(code, 4);
    assert!(error.starts_with("vrctl: tenants.yaml:2:1: "), "{error}");
    let empty = changed("expectations.yaml", "expect:", "#");
    std::fs::write(empty.file("expectations.yaml"), "expect: []\n").unwrap();
    let (code, out, error) = told(&empty.file(""), "test -f tenants.yaml expectations.yaml");
    assert_eq!((code, error.as_str()), (1, "vrctl: there is no expectation\n"), "{out}");
    assert_eq!(told(&office(), "test expectations.yaml").0, 2);
    assert_eq!(told(&office(), "test -f tenants.yaml expectations.yaml --all-covered").0, 2);
}
