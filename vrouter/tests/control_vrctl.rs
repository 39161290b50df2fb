//! `vrctl` as a process against a daemon's socket: exit codes, the fields of its JSON, and what it asks the daemon.

mod control_daemon;
#[path = "control_daemon/program.rs"]
mod program;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use control_daemon::{Daemon, Folder};
use program::{done, json_of, vrctl};
use serde_json::{Value, json};
use vrouter::control::Bounds;

const NETWORK: &str = "\
vrfs:
  - {name: red, tenant: acme}
  - name: blue
vifs:
  - {name: web1, port: p1, vrf: red, mac: 02:00:00:00:00:01, addresses: [10.1.1.10]}
routes:
  - {vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 172.31.0.2, vni: 100, mac: 02:ac:1f:00:02:01}}}
  - {vrf: red, prefix: 10.1.1.10/32, owner: vif, via: {vif: web1}}
acls:
  - name: web
    rules: [{action: permit, protocol: tcp, destination_ports: 80}]
settings: {vtep: 172.31.0.1}
vnis: [{vni: 100, vrf: red}]
";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command says when it fails with this exit code.
fn failed(socket: &Path, code: i32, args: &[&str]) -> String {
    let output = vrctl(socket, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "", "{args:?}");
    text(&output.stderr)
}

fn file(folder: &Folder, text: &str) -> String {
    let path = folder.file("network.yaml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn programmed() -> Daemon {
    let daemon = Daemon::start(Bounds::default());
    let network = file(&daemon.folder, NETWORK);
    assert_eq!(
        json_of(&daemon.path(), &["apply", "-f", &network, "--sync"]),
        json!({"generation": 1, "changes": 8, "synced": true})
    );
    daemon
}

#[test]
fn a_file_is_applied_and_shown_again() {
    let daemon = programmed();
    assert_eq!(daemon.asked(), ["apply operator 8"]);
    assert_eq!(
        json_of(&daemon.path(), &["show", "vrfs"]),
        json!({"generation": 1, "vrfs": [
            {"name": "blue", "tenant": null, "flows": true, "acl": null, "proxy_by_default_route": false, "allowed_vteps": []},
            {"name": "red", "tenant": "acme", "flows": true, "acl": null, "proxy_by_default_route": false, "allowed_vteps": []},
        ]})
    );
    let vif = &json_of(&daemon.path(), &["show", "vif", "web1"])["vifs"][0];
    assert_eq!((&vif["mac"], &vif["addresses"]), (&json!("02:00:00:00:00:01"), &json!(["10.1.1.10"])));
    assert_eq!(
        json_of(&daemon.path(), &["show", "routes", "10.1.1.20", "--vrf", "red"])["routes"],
        json!([{"vrf": "red", "prefix": "10.1.1.20/32", "owner": "operator", "preference": null,
            "via": {"vxlan": {"remote": "172.31.0.2", "vni": 100, "mac": "02:ac:1f:00:02:01"}}}])
    );
    assert_eq!(json_of(&daemon.path(), &["show", "routes", "--vrf", "blue"])["routes"], json!([]));
    assert_eq!(json_of(&daemon.path(), &["show", "settings"])["settings"]["vtep"], "172.31.0.1");
    assert_eq!(json_of(&daemon.path(), &["show", "labels"]), json!({"generation": 1, "labels": []}));
    assert_eq!(json_of(&daemon.path(), &["show", "acls"])["acls"][0]["rules"][0]["destination_ports"], json!(["80"]));
    assert!(done(&daemon.path(), &["show", "acls"]).contains("0  permit tcp from any to any port 80"));
    assert!(done(&daemon.path(), &["show", "routes"]).contains("vxlan 172.31.0.2 vni 100 mac 02:ac:1f:00:02:01"));
    assert_eq!(done(&daemon.path(), &["show", "labels"]), "none\n");
    assert!(failed(&daemon.path(), 1, &["show", "vrf", "green"]).contains("green is not there"));
    let all = done(&daemon.path(), &["show", "all"]);
    assert!(["vrfs:\n", "vifs:\n", "routes:\n", "acls:\n"].iter().all(|title| all.contains(title)), "{all}");
}

#[test]
fn what_is_shown_as_yaml_can_be_applied_again() {
    let daemon = programmed();
    let shown = done(&daemon.path(), &["show", "all", "-o", "yaml"]);
    assert!(!shown.contains("owner: vif") && shown.contains("owner: operator"), "{shown}");
    let other = Daemon::start(Bounds::default());
    done(&other.path(), &["apply", "-f", &file(&other.folder, &shown)]);
    assert_eq!(done(&other.path(), &["show", "all", "-o", "yaml"]), shown);
}

/// What is shown, by which name, how it is added and deleted. `?` is a space within an argument.
const KINDS: &[(&str, &str, &str, &str)] = &[
    ("ports", "vm9", "port vm9 --devargs net_null9,no-rx=1 --queues 2 --mtu 1600", "port vm9"),
    ("vrfs", "red", "vrf red --tenant acme --flows-off --allowed-vtep 172.31.0.2", "vrf red"),
    (
        "vifs",
        "web1",
        "vif web1 --port p1 --vrf red --mac 02:00:00:00:00:01 --address 10.1.1.10 --address ::1",
        "vif web1",
    ),
    (
        "routes",
        "10.0.0.0/8",
        "route --vrf red 10.0.0.0/8 --via drop:?true --preference 7",
        "route --vrf red 10.0.0.0/8",
    ),
    ("routes", "::/0", "route --vrf red ::/0 --via gateway:?fe80::1 --owner bgp", "route --vrf red ::/0 --owner bgp"),
    (
        "routes",
        "1.0.0.0/8",
        "route --vrf red 1.0.0.0/8 --via mpls_udp:?{remote:?1.2.3.4,?label:?99}",
        "route --vrf red 1.0.0.0/8",
    ),
    (
        "routes",
        "2.0.0.0/8",
        "route --vrf red 2.0.0.0/8 --via geneve:?{remote:?1.2.3.4,?vni:?99,?mac:?'02:00:00:00:00:09'}",
        "route --vrf red 2.0.0.0/8",
    ),
    (
        "next-hop-groups",
        "spines",
        "next-hop-group spines --vrf red --path vif:?web1 --path {mpls_udp:?{remote:?1.2.3.4,?label:?99},?backup:?true} --hash addresses",
        "next-hop-group spines",
    ),
    (
        "neighbours",
        "172.31.0.2",
        "neighbour --vif up0 172.31.0.2 --mac 02:00:00:00:00:02",
        "neighbour --vif up0 172.31.0.2",
    ),
    ("vnis", "100", "vni 100 --vrf red", "vni 100"),
    ("labels", "100", "label 100 --vif web1", "label 100"),
    ("bridges", "l2", "bridge l2 --vrf red --suppress-off", "bridge l2"),
    (
        "fdb",
        "02:00:00:00:00:77",
        "fdb --bridge lan2 02:00:00:00:00:77 --at vxlan:?{remote:?1.2.3.4,?vni:?5000} --address 10.9.9.9 --address fd09::9 --router --leaf",
        "fdb --bridge lan2 02:00:00:00:00:77",
    ),
    ("vnis", "5000", "vni 5000 --bridge lan2", "vni 5000"),
    ("labels", "5000", "label 5000 --bridge lan2", "label 5000"),
    ("groups", "lan", "group lan --prefix 10.0.0.0/8 --prefix 2001:db8::/32", "group lan"),
    ("acls", "web", "acl web --rule {action:?permit,?source:?{group:?lan}} --rule {action:?deny}", "acl web"),
];

#[test]
fn every_kind_is_added_shown_and_deleted() {
    let daemon = Daemon::start(Bounds::default());
    for (kinds, name, add, delete) in KINDS.iter().copied() {
        let words = |verb: &str, text: &str| -> Vec<String> {
            std::iter::once(verb).chain(text.split(' ')).map(|word| word.replace('?', " ")).collect()
        };
        let (add, delete) = (words("add", add), words("delete", delete));
        let add: Vec<_> = add.iter().map(String::as_str).collect();
        let delete: Vec<_> = delete.iter().map(String::as_str).collect();
        assert_eq!(json_of(&daemon.path(), &add)["changes"], 1);
        assert_eq!(
            json_of(&daemon.path(), &["show", kinds, name])[kinds.replace('-', "_")].as_array().unwrap().len(),
            1,
            "{add:?}"
        );
        assert!(failed(&daemon.path(), 1, &add).contains("is already there"), "{add:?}");
        done(&daemon.path(), &[&add[..], &["--replace", "--sync"]].concat());
        assert!(done(&daemon.path(), &delete).starts_with("1 change, generation "));
        assert!(failed(&daemon.path(), 1, &delete).contains("is not there"), "{delete:?}");
    }
}

#[test]
fn settings_are_set_by_flags_and_shown() {
    let daemon = Daemon::start(Bounds::default());
    done(&daemon.path(), &["add", "settings", "--vtep", "172.31.0.1", "--lifetimes", "{icmp: 5}"]);
    assert_eq!(json_of(&daemon.path(), &["show", "settings"])["settings"]["lifetimes"]["icmp"], 5);
    let off = |settings: &serde_json::Value| [&settings["mss_clamp"], &settings["fragmentation"]].map(|on| on == false);
    assert_eq!(off(&json_of(&daemon.path(), &["show", "settings"])["settings"]), [false, false]);
    done(&daemon.path(), &["add", "settings", "--vtep", "172.31.0.1", "--no-mss-clamp", "--no-fragmentation"]);
    assert_eq!(off(&json_of(&daemon.path(), &["show", "settings"])["settings"]), [true, true]);
}

#[test]
fn a_router_is_added_by_its_flag_and_shown() {
    let daemon = programmed();
    let given = "{prefixes: [{prefix: 'fd00::/64', on_link: false}], lifetime: 0, max_interval: 30}";
    let add =
        ["add", "vif", "web9", "--port", "p2", "--vrf", "red", "--mac", "02:00:00:00:00:09", "--gateway-v6", "fd00::1"];
    done(&daemon.path(), &[&add[..], &["--router-advertisement", given]].concat());
    let shown = &json_of(&daemon.path(), &["show", "vif", "web9"])["vifs"][0]["router_advertisement"];
    let prefix = json!({"prefix": "fd00::/64", "on_link": false, "autonomous": true, "valid_lifetime": null,
        "preferred_lifetime": null});
    let expected = json!({"managed": false, "other": false, "prefixes": [prefix], "lifetime": 0, "max_interval": 30});
    assert_eq!(*shown, expected);
    assert!(done(&daemon.path(), &["show", "vif", "web9"]).contains("fd00::/64"));
    assert!(
        failed(&daemon.path(), 2, &[&add[..], &["--router-advertisement", "{prefix: x}"]].concat()).contains("prefix")
    );
}

#[test]
fn a_bfd_session_is_added_shown_and_deleted() {
    let daemon = programmed();
    done(
        &daemon.path(),
        &["add", "bfd", "spine", "--vrf", "red", "--remote", "10.0.0.2", "--min-tx", "50", "--multiplier", "5"],
    );
    done(
        &daemon.path(),
        &["add", "bfd", "far", "--vrf", "red", "--remote", "fd00::2", "--multihop", "--min-ttl", "60"],
    );
    let shown = &json_of(&daemon.path(), &["show", "bfd", "spine"])["bfd_sessions"];
    let expected = json!([{"name": "spine", "vrf": "red", "remote": "10.0.0.2", "multihop": false, "local": null, "min_tx": 50,
        "multiplier": 5, "admin_down": false, "failed": false}]);
    assert_eq!(*shown, expected);
    let table = done(&daemon.path(), &["show", "bfd"]);
    assert!(table.contains("multihop") && table.contains("on the link"), "{table}");
    assert!(
        failed(&daemon.path(), 2, &["add", "bfd", "x", "--vrf", "red", "--remote", "10.0.0.3", "--min-ttl", "9"])
            .contains("--multihop")
    );
    done(&daemon.path(), &["delete", "bfd", "spine"]);
    assert_eq!(json_of(&daemon.path(), &["show", "bfd"])["bfd_sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_wrong_file_is_named_with_the_place() {
    let daemon = Daemon::start(Bounds::default());
    for (text, want) in [
        ("vrfs: [{name: a}, {name: a}]", "network.yaml:1:19: vrf a: is already there, at line 1 column 8"),
        ("vrfs:\n  - {nam: a}", "network.yaml:2:6: unknown field `nam`"),
        ("vnis: [{vni: 16777216, vrf: a}]", "network.yaml:1:8: vni 16777216: is beyond 16777215"),
        (
            "routes: [{vrf: a, prefix: 1.0.0.0/8, via: {geneve: {remote: 1.2.3.4, vni: 1, label: 7}}}]",
            "network.yaml:1:78: unknown field `label`, expected one of remote, vni, mac",
        ),
        ("settings: {mss_clamp: 3}", "network.yaml:1:23: "),
    ] {
        let got = failed(&daemon.path(), 4, &["apply", "-f", &file(&daemon.folder, text)]);
        assert!(got.contains(want), "{got}\n{want}");
    }
    assert!(failed(&daemon.path(), 4, &["apply", "-f", "/nowhere.yaml"]).contains("/nowhere.yaml: No such file"));
    assert_eq!(daemon.asked(), [""; 0]);
    let checked = vrctl(Path::new("/nowhere"), &["apply", "--check", "-f", &file(&daemon.folder, NETWORK)]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(text_ends(&checked, "8 objects, no fault found without the daemon\n"));
}

fn text_ends(output: &Output, end: &str) -> bool {
    text(&output.stdout).ends_with(end)
}

#[test]
fn a_refused_file_points_at_the_object_and_leaves_nothing() {
    let daemon = Daemon::start(Bounds::default());
    let network = file(&daemon.folder, "vrfs:\n  - name: red\n  - name: forbidden\n");
    let got = failed(&daemon.path(), 1, &["apply", "-f", &network]);
    assert_eq!(got, format!("vrctl: refused: {network}:3:5: vrf forbidden: name: is forbidden\n"));
    assert_eq!(json_of(&daemon.path(), &["show", "vrfs"]), json!({"generation": 0, "vrfs": []}));
}

#[test]
fn a_large_file_from_the_standard_input_is_one_batch() {
    let daemon = Daemon::start(Bounds::default());
    let mut network = String::from("vrfs: [{name: red}]\nroutes:\n");
    for at in 0..30_000 {
        let route = format!("- {{vrf: red, prefix: 10.{}.{}.0/24, via: {{vif: web1}}}}\n", at / 250, at % 250);
        network.push_str(&route);
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_vrctl"))
        .args(["--socket", daemon.path().to_str().unwrap(), "apply", "-f", "-", "--owner", "bgp", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(network.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value, json!({"generation": 1, "changes": 30_001, "synced": false}));
    assert_eq!(daemon.asked(), ["apply bgp 30001"]);
    assert_eq!(json_of(&daemon.path(), &["show", "routes"])["routes"].as_array().unwrap().len(), 30_000);
}

#[test]
fn flows_are_filtered_by_the_daemon_and_all_come() {
    let daemon = Daemon::start(Bounds::default());
    let flows = json_of(&daemon.path(), &["flows"]);
    assert_eq!(flows["flows"].as_array().unwrap().len(), 2500);
    assert_eq!(
        flows["flows"][1],
        json!({
            "place": "vif web1", "reverse_place": "tunnel red", "source": "10.1.1.10", "destination": "10.1.1.20",
            "protocol": "tcp", "source_port": 1001, "destination_port": 80, "state": "established",
            "verdict": "forward", "reverse_verdict": "forward", "packets": 3, "bytes": 180, "reverse_packets": 2,
            "reverse_bytes": 120, "age_ms": 90_000, "idle_ms": 1500, "next_hop": "vxlan 172.31.0.2 vni 100",
            "reverse_next_hop": "vif web1", "path": "", "reverse_path": "",
        })
    );
    let table = done(
        &daemon.path(),
        &[
            "flows",
            "--vrf",
            "red",
            "--vif",
            "web1",
            "--src",
            "10.0.0.0/8",
            "--dst",
            "10.1.1.20",
            "--proto",
            "tcp",
            "--port",
            "80",
            "--limit",
            "1",
        ],
    );
    assert!(table.contains("tcp 10.1.1.10:1000 > 10.1.1.20:80"), "{table}");
    let asked = daemon.asked().pop().unwrap();
    for part in [
        "vrf: \"red\"",
        "vif: \"web1\"",
        "address: [10, 0, 0, 0], length: 8",
        "address: [10, 1, 1, 20], length: 32",
        "protocol: Some(6)",
        "port: Some(80)",
        "limit: 1",
    ] {
        assert!(asked.contains(part), "{asked} {part}");
    }
    assert!(failed(&daemon.path(), 1, &["flows", "--vrf", "nowhere"]).contains("refused: vrf nowhere: is not there"));
    assert!(failed(&daemon.path(), 3, &["flows", "--vrf", "hang up"]).contains("the connection to the daemon broke"));
}

#[test]
fn drops_are_told_with_reason_vif_and_meaning() {
    let daemon = Daemon::start(Bounds::default());
    let drops = json_of(&daemon.path(), &["drops"]);
    assert_eq!(drops["packets"], 10);
    assert_eq!(
        drops["drops"][0],
        json!({"reason": "rx_missed", "vif": "", "vrf": "", "packets": 7, "meaning": "The device had no free rx descriptor."})
    );
    let of_web1 = json_of(&daemon.path(), &["drops", "--vif", "web1", "--reason", "no_route"]);
    assert_eq!(of_web1["drops"].as_array().unwrap().len(), 1);
    let of_red = json_of(&daemon.path(), &["drops", "--vrf", "red"]);
    assert_eq!((of_red["packets"].as_u64(), of_red["drops"].as_array().unwrap().len()), (Some(3), 2));
    let table = done(&daemon.path(), &["drops"]);
    assert!(table.contains("No route to the destination.") && table.ends_with("10 packets\n"), "{table}");

    let victims = json_of(&daemon.path(), &["drops", "--victims", "--reason", "no_route"]);
    let victims = victims["victims"].as_array().unwrap();
    assert_eq!(victims.len(), 1);
    assert_eq!(
        victims[0]["decoded"],
        "02:00:00:00:00:01 > 02:00:00:00:00:fe, IPv4 10.1.1.10 > 10.9.9.9 ttl 64, tcp 1000 > 80"
    );
    assert!(victims[0]["head"].as_str().unwrap().starts_with("0200000000fe"));
    let told = done(&daemon.path(), &["drops", "--victims"]);
    assert!(told.contains("1.2s ago  no_route at vif web1 in vrf red by vrf red  (54 bytes, worker 0)\n"), "{told}");
    assert!(told.contains("    0000  02 00 00 00 00 fe 02 00 00 00 00 01 08 00 45 00\n"), "{told}");
    assert!(told.contains("cut in the Ethernet header"), "{told}");
    assert!(told.contains("neighbour_unresolved at vif web1 in vrf red by vrf red  (54 bytes, slow path)\n"), "{told}");
    let slow = json_of(&daemon.path(), &["drops", "--victims", "--reason", "neighbour_unresolved"]);
    let slow = &slow["victims"][0];
    assert_eq!((&slow["worker"], &slow["slow_path"]), (&Value::Null, &json!(true)));

    assert!(failed(&daemon.path(), 2, &["drops", "--reason", "gremlins"]).contains("no drop reason gremlins"));
    let reasons = vrctl(Path::new("/nowhere"), &["drops", "--reasons", "-o", "json"]);
    let reasons: Value = serde_json::from_slice(&reasons.stdout).unwrap();
    assert_eq!(reasons["reasons"].as_array().unwrap().len(), vrouter::drops::DropReason::COUNT);
}

#[test]
fn stats_status_sync_and_explain_have_stable_fields() {
    let daemon = Daemon::start(Bounds::default());
    let stats = json_of(&daemon.path(), &["stats"]);
    assert_eq!(stats["vifs"][0]["rx_bytes"], 600);
    assert_eq!(stats["workers"][0]["busy_polls"], 10);
    assert_eq!(stats["flows"]["capacity_v4"], 1024);
    assert_eq!(stats["ports"][0]["link_up"], true);
    assert_eq!(stats["conservation"]["balanced"], true);
    assert_eq!(stats["verdicts"]["now_denied"], 4);
    assert_eq!(stats["verdicts"]["causes"][0]["acl"], "guest");
    let text = "generation 9  verdicts of 100 flows since 7: 4 denied now, 0 permitted now, 96 as before, 2 gone meanwhile  (0 ms)\n    \
                acl_vrf vrf red by acl guest: 4 denied now, 0 before\n";
    let told = done(&daemon.path(), &["stats"]);
    assert!(told.contains(text), "{told}");
    assert!(done(&daemon.path(), &["stats"]).contains("received 17 + originated 0 + copied 0 = sent 7 + dropped 10"));
    assert_eq!(
        json_of(&daemon.path(), &["status"]),
        json!({"version": "0.1.0", "generation": 0, "uptime_ms": 61_000, "workers": 2, "idle": "backoff",
            "flow_file": {"path": "/dev/shm/flows", "adopted": 1200, "dropped": {"place_gone": 3}, "rebuilt": "", "milliseconds": 12},
            "state_dir": {"path": "/var/lib/vrouter", "batches": 1200, "refuses": "EIO"},
            "limits": [{"name": "vrfs", "value": 8, "used": 1, "bytes": 4096}]})
    );
    assert!(
        done(&daemon.path(), &["status"]).starts_with("vrouter 0.1.0, up 1m01s, generation 0, 2 workers, idle: backoff\nflows in /dev/shm/flows: adopted 1_200 in 12 ms, dropped 3 place_gone\nstate in /var/lib/vrouter: no changes are taken: EIO\n")
    );
    assert_eq!(json_of(&daemon.path(), &["sync"]), json!({"generation": 0, "synced": true}));
    assert!(failed(&daemon.path(), 1, &["sync", "--generation", "9", "--timeout", "20"]).contains("not every worker"));

    let explain =
        ["explain", "--vif", "web1", "--src", "10.1.1.10", "--dst", "10.1.1.20", "--proto", "icmp", "--icmp-type", "8"];
    let value = json_of(&daemon.path(), &explain);
    assert_eq!(value["verdict"], "forward");
    assert_eq!(
        value["steps"][1],
        json!({"name": "acl_from_vif", "object": "acl web rule 2 (allow-http)", "detail": "permit"})
    );
    let asked = daemon.asked().pop().unwrap();
    assert!(asked.contains("Vif(\"web1\")") && asked.contains("icmp_type: Some(8)"), "{asked}");
    assert!(done(&daemon.path(), &explain).ends_with("forward: vxlan to 172.31.0.2 vni 100 (generation 0)\n"));
    let nowhere = ["explain", "--vif", "nowhere", "--src", "1.1.1.1", "--dst", "2.2.2.2"];
    assert!(failed(&daemon.path(), 1, &nowhere).contains("vif nowhere: is not there"));
    failed(&daemon.path(), 2, &["explain", "--vif", "a", "--src", "1.1.1.1", "--dst", "::1"]);
    failed(&daemon.path(), 2, &["explain", "--src", "1.1.1.1", "--dst", "2.2.2.2"]);
    failed(&daemon.path(), 2, &["explain", "--vif", "a", "--tunnel", "b", "--src", "1.1.1.1", "--dst", "2.2.2.2"]);
}

#[test]
fn wrong_usage_and_an_absent_daemon_have_their_exit_codes() {
    let folder = Folder::new();
    let nowhere = folder.file("sock");
    for args in [
        &["frobnicate"][..],
        &["show", "widgets"],
        &["add", "vif", "web1"],
        &["add", "vni", "100"],
        &["add", "route", "--vrf", "red", "10.0.0.1/8", "--via", "drop: true"],
        &["add", "route", "--vrf", "red", "10.0.0.0/8", "--via", "teleport: true"],
        &["add", "route", "--vrf", "red", "10.0.0.0/8", "--via", "{}"],
        &["add", "neighbour", "--vif", "up0", "10.0.0.1", "--mac", "02:00"],
        &["delete", "route", "10.0.0.0/8"],
        &["flows", "--proto", "carrier-pigeon"],
    ] {
        failed(&nowhere, 2, args);
    }
    let got = failed(&nowhere, 3, &["status"]);
    assert!(got.contains(&format!("cannot reach the daemon at {}: No such file", nowhere.display())), "{got}");
    // A socket whose daemon is dead.
    drop(std::os::unix::net::UnixListener::bind(&nowhere).unwrap());
    assert!(failed(&nowhere, 3, &["show", "vrfs"]).contains("Connection refused"));
}

#[test]
fn schema_completions_and_help_need_no_daemon() {
    let nowhere = Path::new("/nowhere");
    let schema: Value = serde_json::from_slice(&vrctl(nowhere, &["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "Network");
    assert!(schema["properties"]["routes"].is_object());
    let config: Value = serde_json::from_slice(&vrctl(nowhere, &["schema", "--config"]).stdout).unwrap();
    assert!(config["properties"]["mempool"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&vrctl(nowhere, &["completions", shell]).stdout).contains("vrctl"));
    }
    let help = text(&vrctl(nowhere, &["--help"]).stdout);
    for line in
        ["0  done", "1  the daemon refused", "2  wrong usage", "3  the daemon cannot be reached", "4  a file cannot"]
    {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn what_changes_is_followed_line_by_line() {
    let daemon = programmed();
    done(&daemon.path(), &["delete", "vni", "100"]);
    done(&daemon.path(), &["add", "vrf", "green", "--owner", "cni"]);
    let told = done(&daemon.path(), &["watch", "--after", "1", "--until", "3"]);
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], "2  deleted  vni 100  (by operator)");
    assert!(lines[1].starts_with("3  put      vrf green  ") && lines[1].ends_with("(by cni)"), "{told}");
    assert_eq!(lines.len(), 2);
    let told = done(&daemon.path(), &["watch", "vrfs", "--after", "1", "--until", "3", "-o", "json"]);
    let values: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 1, "{told}");
    assert_eq!(
        values[0],
        json!({"generation": 3, "event": "put", "kind": "vrf", "owner": "cni", "object":
            {"name": "green", "tenant": null, "flows": true, "acl": null, "proxy_by_default_route": false, "allowed_vteps": []}})
    );
    let listed = done(&daemon.path(), &["watch", "acls", "groups", "--snapshot", "--until", "0"]);
    assert!(listed.starts_with("3  listed   acl web  "), "{listed}");
    let lost = done(&daemon.path(), &["watch", "--after", "99", "--until", "3", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&lost).unwrap(), json!({"generation": 3, "event": "lost"}));
    assert!(failed(&daemon.path(), 2, &["watch", "--after", "1", "--snapshot"]).contains("cannot be used with"));
}

#[test]
fn hits_are_shown_by_rule_and_those_without() {
    let daemon = Daemon::start(Bounds::default());
    assert_eq!(
        json_of(&daemon.path(), &["hits"]),
        json!({"rules": [
            {"acl": "web", "rule": 0, "name": "https", "hits": 12_345},
            {"acl": "web", "rule": 1, "name": "", "hits": 0},
            {"acl": "web", "rule": null, "name": "", "hits": 7},
        ]})
    );
    assert_eq!(
        json_of(&daemon.path(), &["hits", "web", "--unused"]),
        json!({"rules": [{"acl": "web", "rule": 1, "name": "", "hits": 0}]})
    );
    assert!(daemon.asked().pop().unwrap().contains("acl: \"web\""));
    let table = done(&daemon.path(), &["hits"]);
    assert!(table.contains("12_345") && table.contains("end"), "{table}");
    let row = |last: u64| json!({"vrf": "red", "prefix": format!("10.1.1.{last}/32"), "hits": last});
    let others = json!({"vrf": "", "prefix": null, "hits": 7});
    assert_eq!(json_of(&daemon.path(), &["hits", "--routes"]), json!({"routes": [row(10), row(20), others]}));
    let table = done(&daemon.path(), &["hits", "--routes", "--vrf", "red"]);
    assert!(table.contains("10.1.1.20/32") && table.contains("(others)"), "{table}");
    assert!(failed(&daemon.path(), 2, &["hits", "web", "--routes"]).contains("cannot be used with"));
    assert!(failed(&daemon.path(), 1, &["hits", "nowhere"]).contains("refused: acl nowhere: is not there"));
}

/// The file's first block, as any reader of pcapng knows it.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

#[test]
fn a_capture_is_a_file_in_a_pipe_and_lines_where_asked() {
    let daemon = Daemon::start(Bounds::default());
    let path = daemon.path();
    let output =
        vrctl(&path, &["capture", "--at", "drop,rx", "--vif", "web1", "-c", "2", "-s", "96", "tcp", "port", "80"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.starts_with(&PCAPNG));
    let comment = b"dropped: no_route by vrf red, vrf red, tcp 10.1.1.10:1000 > 10.9.9.9:80";
    assert_eq!(output.stdout.windows(comment.len()).filter(|part| part == comment).count(), 2);
    let told = "vrctl: capturing at drop, rx of vif web1\nvrctl: 2 frames captured, 7 lost\n";
    assert_eq!(text(&output.stderr), told);
    let asked = daemon.asked();
    let asked = asked.last().unwrap();
    for part in ["points: [Drop, Rx]", "vif: \"web1\"", "filter: \"tcp port 80\"", "snaplen: 96", "packets: 2"] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let lines = text(&vrctl(&path, &["capture", "-l", "-c", "1"]).stdout);
    assert!(lines.contains(" web1 drop 02:00:00:00:00:01 > 02:00:00:00:00:fe, IPv4 10.1.1.10 > 10.9.9.9"), "{lines}");
    assert!(lines.ends_with("(dropped: no_route by vrf red, vrf red, tcp 10.1.1.10:1000 > 10.9.9.9:80)\n"), "{lines}");
    let lines = text(&vrctl(&path, &["capture", "-o", "json", "-c", "2"]).stdout);
    let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((values.len(), &values[1]["reason"], &values[0]["point"]), (2, &json!("no_route"), &json!("drop")));
}

#[test]
fn a_capture_goes_to_a_file_which_a_refusal_does_not_touch() {
    let daemon = Daemon::start(Bounds::default());
    let path = daemon.path();
    let file = daemon.folder.file("drops.pcapng");
    let name = file.to_str().unwrap();
    let refused = failed(&path, 1, &["capture", "--vif", "nowhere", "-w", name]);
    assert_eq!(refused, "vrctl: refused: capture: vif: there is no VIF nowhere\n");
    assert_eq!(
        failed(&path, 1, &["capture", "--vif", "full", "-w", name]),
        "vrctl: refused: 4 captures are on already\n"
    );
    assert!(!file.exists());
    let output = vrctl(&path, &["capture", "-c", "3", "-w", name]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{}", text(&output.stderr));
    let bytes = std::fs::read(&file).unwrap();
    let read = pcap_file::pcapng::PcapNgReader::new(&bytes[..]);
    let mut read = read.unwrap();
    let blocks: Vec<_> = std::iter::from_fn(|| read.next_block().map(|block| block.unwrap().into_owned())).collect();
    assert_eq!(blocks.len(), 5, "an interface, its frames, what it had");
    let there = failed(&path, 4, &["capture", "-c", "1", "-w", "/dev/null/no"]);
    assert!(there.contains("/dev/null/no"), "{there}");
}

#[test]
fn a_trace_groups_packets_by_their_way() {
    let daemon = Daemon::start(Bounds::default());
    let output = vrctl(&daemon.path(), &["trace", "-c", "3", "--vif", "web1", "tcp"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    let first = "3 packets, 162 bytes, entered by web1; the first: tcp 10.1.1.10:1000 > 10.9.9.9:80\n";
    assert!(told.starts_with(first), "{told}");
    assert!(
        told.contains("acl web rule 2 (allow-http)") && told.contains("forward: vxlan to 172.31.0.2 vni 100"),
        "{told}"
    );
    let asked = daemon.asked();
    assert!(asked.last().unwrap().contains("explain: true"), "{asked:?}");
    let output = vrctl(&daemon.path(), &["trace", "-c", "2", "-o", "json"]);
    let value: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let way = &value["ways"][0];
    assert_eq!((&way["packets"], &way["verdict"], &value["lost"]), (&json!(2), &json!("forward"), &json!(7)));
    assert_eq!(way["steps"][0]["name"], "route");
}
