//! The daemon's config file: what is accepted, and what is refused with file, line, field and reason.

use vrouter::api::config::{Account, Config, Idle, Operation, Role, SOCKET};

const FULL: &str = r#"
socket: /tmp/vrouter.sock
state_dir: /tmp/vrouter.state
workers: {count: 3, cores: [0, 1]}
idle: poll
eal: {huge_pages: true, memory_mb: 1024, file_prefix: vr1, args: [--no-pci]}
mempool: {mbufs: 8192, cache: 128}
ports:
  - {name: p0, devargs: "net_af_packet0,iface=up0", queues: 1, mtu: 1600}
  - {name: p1, devargs: "net_tap0,iface=web1"}
limits: {vrfs: 8, vifs: 16, routes: 1000, next_hops: 1000, acls: 4, acl_rules: 100, flows_v4: 4096, flows_v6: 1024}
state:
  vrfs: [{name: red}]
"#;

#[test]
fn a_full_file_is_read() {
    let config = Config::parse("vrouter.yaml", FULL, &[0, 1]).unwrap();
    assert_eq!(config.idle, Idle::Poll);
    assert_eq!(config.worker_cores(&[0, 1]), [0, 1, 0]);
    assert_eq!(config.ports[0].mtu, Some(1600));
    assert_eq!((config.limits.vrfs, config.limits.flows_v6), (8, 1024));
    assert_eq!(config.state_dir.as_deref(), Some(std::path::Path::new("/tmp/vrouter.state")));
    assert!(config.eal.huge_pages);
    assert_eq!(config.state.vrfs[0].name, "red");
    assert_eq!(config.state.vrfs[0].position.line, 13);
}

#[test]
fn who_may_do_what_is_read() {
    let text = "
access:
  group: vrouter
  rules:
    - {user: frr, role: write, owners: [bgp]}
    - {user: 1000, role: write, also: [ports, settings, take_over]}
    - {certificate: 'spiffe://cluster/monitor', role: read, also: [capture]}
control:
  tls: {listen: '[::1]:7443', certificate: /c.pem, key: /k.pem, client_ca: /a.pem}
  audit: {}
privileges: {paths: [/run/guests], keep: [SYS_ADMIN]}
";
    let config = Config::parse("v.yaml", text, &[0]).unwrap();
    assert_eq!(config.access.group, Some(Account::Name("vrouter".into())));
    let [frr, ada, monitor] = &config.access.rules[..] else { panic!("three rules") };
    assert_eq!((&frr.user, frr.role), (&Some(Account::Name("frr".into())), Role::Write));
    assert_eq!(frr.owners.as_deref(), Some(&["bgp".to_owned()][..]));
    assert_eq!(ada.user, Some(Account::Number(1000)));
    assert_eq!(ada.also, [Operation::Ports, Operation::Settings, Operation::TakeOver]);
    assert_eq!(monitor.also, [Operation::Capture]);
    assert_eq!((monitor.certificate.as_deref(), monitor.position.line), (Some("spiffe://cluster/monitor"), 7));
    let control = config.control;
    assert_eq!(control.tls.unwrap().listen, "[::1]:7443".parse().unwrap());
    assert_eq!(control.audit.unwrap().file, None);
    assert!(config.privileges.drop && config.privileges.kept().iter_names().count() == 1);
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = Config::parse("vrouter.yaml", "", &[0, 1]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.socket.to_str(), Some(SOCKET));
    assert_eq!(config.worker_cores(&[4, 5]), [4]);
}

const IMPOSSIBLE: &[(&str, &str)] = &[
    (
        "access:\n  rules: [{role: read}]",
        "v.yaml:2:11: access.rules[0]: names not exactly one of user, group and certificate",
    ),
    ("access: {rules: [{user: a, group: b, role: read}]}", "names not exactly one"),
    ("access: {rules: [{user: a, role: read, owners: [x]}]}", "access.rules[0].owners: is for the role write"),
    (
        "access: {rules: [{user: a, role: admin, also: [ports]}]}",
        "access.rules[0].also: is for the roles write and read",
    ),
    ("access: {rules: [{user: a, role: read, also: [ports]}]}", "access.rules[0].also: is for the role write, but"),
    (
        "access: {rules: [{user: a, role: write, owners: ['a b']}]}",
        "access.rules[0].owners: \"a b\" is no owner's name",
    ),
    ("access: {rules: [{certificate: '', role: read}]}", "access.rules[0].certificate: is empty"),
    ("access: {rules: [{user: a, role: root}]}", "v.yaml:1:"),
    ("control: {tls: {listen: everywhere, certificate: /c, key: /k, client_ca: /a}}", "v.yaml:1:"),
    (
        "privileges: {keep: [CAP_SYS_ADMIN]}",
        "privileges.keep: \"CAP_SYS_ADMIN\" is no capability, which is written as SYS_ADMIN",
    ),
    ("privileges: {paths: [run]}", "privileges.paths: run is no absolute path"),
    ("workers: {count: 0}", "v.yaml:1:10: workers.count: at least one worker is needed"),
    ("workers: {cores: [0, 7]}", "v.yaml:1:10: workers.cores: core 7 is not there; there are [0, 1]"),
    ("workers: {cores: [1, 1]}", "workers.cores: core 1 is given twice"),
    ("workers: {count: 1, cores: [0, 1]}", "workers.count: 2 cores for 1 workers"),
    ("workers: {count: 1000}", "workers.count: 1000 is beyond 128"),
    ("workers: {count: -1}", "v.yaml:1:18: "),
    ("idle: sometimes", "v.yaml:1:7: "),
    ("eal: {memory_mb: 1}", "v.yaml:1:6: eal.memory_mb: 1 is not in 32 to 1048576"),
    ("eal: {file_prefix: ../x}", "eal.file_prefix: \"../x\" is no name"),
    ("mempool: {mbufs: 10}", "v.yaml:1:10: mempool.mbufs: 10 is not in 1024 to 67108864"),
    ("mempool: {room: 1500}", "mempool.room: 1500 is not in 2048 to 65407"),
    ("mempool: {room: 65408}", "mempool.room: 65408 is not in 2048 to 65407"),
    ("mempool: {large: 2000000}", "mempool.large: 2000000 is beyond 1048576"),
    ("mempool: {cache: 513}", "mempool.cache: 513 is beyond 512"),
    ("mempool: {mbufs: 1024, cache: 512}\nworkers: {count: 2}", "mempool.mbufs: 1024 is not enough"),
    (
        "ports:\n- {name: a, devargs: net_null0}\n- {name: a, devargs: net_null1}",
        "v.yaml:3:3: ports[1].name: a is already there, at line 2 column 3",
    ),
    (
        "ports:\n- {name: a, devargs: net_null0}\n- {name: b, devargs: 'net_null0,size=9'}",
        "v.yaml:3:3: ports[1].devargs: the device net_null0 is already a port",
    ),
    ("ports: [{name: a/b, devargs: net_null0}]", "v.yaml:1:9: ports[0].name: \"a/b\" is no name"),
    ("ports: [{name: a, devargs: ''}]", "ports[0].devargs: is empty"),
    ("ports: [{name: a, devargs: net_null0, queues: 2}]", "ports[0].queues: 2 is not in 1 to 1, the workers"),
    ("ports: [{name: a, devargs: net_null0, mtu: 100}]", "ports[0].mtu: 100 is not in 576 to 9600"),
    ("ports: [{name: a}]", "missing field `devargs`"),
    ("limits: {vrfs: 0}", "v.yaml:1:9: limits.vrfs: 0 is not in 1 to 1048576"),
    ("limits: {flows_v4: 4000000000}", "limits.flows_v4: 4000000000 is not in 64 to 268435456"),
    ("limits: {flows_v4: 99999999999}", "v.yaml:1:20: "),
    ("limits: {flows_v4: many}", "v.yaml:1:20: "),
    ("flow_table: {file: flows}", "v.yaml:1:13: flow_table.file: needs the absolute path of a file"),
    ("limits: {tables: 1}", "v.yaml:1:10: unknown field `tables`"),
    (
        "ports: [{name: a, devargs: x0}, {name: b, devargs: x1}]\nlimits: {vifs: 1}",
        "v.yaml:2:9: limits.vifs: 2 ports need more",
    ),
    ("limits:\n  # many\n  vifs: 9\n\n  vrfs: 0\n", "v.yaml:5:3: limits.vrfs: 0 is not in"),
    ("limits:\n  vifs: 0\nother:\n  vrfs: 1\n", "v.yaml:3:1: unknown field `other`"),
    ("mempool:\n  cache: 512\n  mbufs: 1024\nworkers:\n  count: 2", "v.yaml:3:3: mempool.mbufs: 1024 is not enough"),
    ("workers:\n  cores: [0, 1]\n  count: 1\n", "v.yaml:3:3: workers.count: 2 cores for 1 workers"),
    (
        "ports:\n- devargs: net_null0\n  name: a\n- devargs: net_null1\n  mtu: 1\n  name: b\n",
        "v.yaml:5:3: ports[1].mtu: 1 is not in",
    ),
    ("workers:\n  cores: [0, 7]\nstate:\n  count: 1\n", "v.yaml:4:3: unknown field `count`"),
    ("socket: ''", "v.yaml:1:9: socket: needs 1 to 103 bytes"),
    ("state: {vrfs: [{name: a}, {name: a}]}", "v.yaml:1:27: state: vrf a: is already there, at line 1 column 16"),
    ("state:\n  labels: [{label: 3, vrf: a}]", "v.yaml:2:12: state: label 3: is not in 16 to 1048575"),
    ("workers: [", "v.yaml:"),
    ("workers: {count: 1}\nworkers: {count: 2}", "v.yaml:2:1: "),
];

#[test]
fn what_is_impossible_is_refused_with_its_place() {
    for (text, want) in IMPOSSIBLE {
        let got = Config::parse("v.yaml", text, &[0, 1]).expect_err(text).to_string();
        assert!(got.contains(want), "{text}\n got {got}\nwant {want}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read("/nowhere/vrouter.yaml".as_ref(), &[0]).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/vrouter.yaml: No such file"), "{error}");
}
