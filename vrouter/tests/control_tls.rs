//! Clients of other hosts: certificates that `openssl` made, our vrctl and openssl's own client, and what the audit log says of it.

mod control_daemon;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use control_daemon::{Daemon, Folder};
use serde_json::Value;
use vrouter::api::config::{self, Role};
use vrouter::api::position::At;
use vrouter::control::Bounds;
use vrouter::control::access::{Access, Audit, Names, Terms, Tls};

const SPIFFE: &str = "spiffe://cluster/monitor";

/// A daemon behind TLS, with authorities and certificates in its folder.
struct Remote {
    daemon: Option<Daemon>,
    files: Folder,
    address: String,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Remote {
    fn start() -> Remote {
        let files = Folder::new();
        for authority in ["ca", "other-ca"] {
            let subject = format!("/CN={authority}");
            let (key, out) = (format!("{authority}.key"), format!("{authority}.pem"));
            let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
            openssl(&files, &[&new[..], &["-subj", &subject, "-keyout", &key, "-out", &out]].concat());
        }
        certificate(&files, "daemon", "ca", "/CN=daemon", "subjectAltName=DNS:localhost,IP:127.0.0.1", "30");
        certificate(&files, "cni", "ca", "/O=Example/CN=cni", "keyUsage=digitalSignature", "30");
        certificate(&files, "monitor", "ca", "/CN=m", &format!("subjectAltName=URI:{SPIFFE}"), "30");
        certificate(&files, "stranger", "ca", "/CN=stranger", "keyUsage=digitalSignature", "30");
        certificate(&files, "forged", "other-ca", "/CN=cni", "keyUsage=digitalSignature", "30");
        certificate(&files, "expired", "ca", "/CN=cni", "keyUsage=digitalSignature", "-1");
        let rule = |name: &str, role, owners| config::Rule {
            user: None,
            group: None,
            certificate: Some(name.into()),
            role,
            owners,
            also: Vec::new(),
        };
        let rules = vec![rule("cni", Role::Write, Some(vec!["cni".into()])), rule(SPIFFE, Role::Read, None)];
        let rules = config::Access { group: None, rules: rules.into_iter().map(At::nowhere).collect() };
        let path = |name: &str| files.file(name);
        let tls = config::Tls {
            listen: ([127, 0, 0, 1], 0).into(),
            certificate: path("daemon.pem"),
            key: path("daemon.key"),
            client_ca: path("ca.pem"),
        };
        let tls = Tls::listen(&tls).unwrap();
        let address = format!("127.0.0.1:{}", tls.address().unwrap().port());
        let (audit, writer) = Audit::to(Some(&path("audit.log"))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ending = stop.clone();
        let writer = std::thread::spawn(move || writer.run(&ending));
        let access = Arc::new(Access::new(&rules, Names::default()).unwrap());
        let bounds = Bounds { stall: Duration::from_secs(2), ..Bounds::default() };
        let daemon = Daemon::start(Terms { bounds, access, tls: Some(tls), audit, upgrades: None });
        Remote { daemon: Some(daemon), files, address, stop, writer: Some(writer) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.file(name)
    }

    fn vrctl(&self, who: &str, ca: &str, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vrctl"));
        command.arg("--server").arg(format!("tls://{}", self.address));
        command.arg("--cert").arg(self.file(&format!("{who}.pem"))).arg("--key").arg(self.file(&format!("{who}.key")));
        command.arg("--ca").arg(self.file(ca)).args(arguments);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What the audit log has, once it is written.
    fn log(&mut self) -> Vec<Value> {
        drop(self.daemon.take());
        self.stop.store(true, Ordering::Relaxed);
        self.writer.take().unwrap().join().unwrap();
        let log = std::fs::read_to_string(self.file("audit.log")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn openssl(folder: &Folder, arguments: &[&str]) -> Output {
    let output = Command::new("openssl").current_dir(folder.file("")).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn certificate(folder: &Folder, name: &str, authority: &str, subject: &str, extension: &str, days: &str) {
    let file = |ending: &str| format!("{name}.{ending}");
    std::fs::write(folder.file(&file("ext")), extension).unwrap();
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject];
    openssl(folder, &[&new[..], &["-keyout", &file("key"), "-out", &file("csr")]].concat());
    let (ca, key) = (format!("{authority}.pem"), format!("{authority}.key"));
    let sign = ["x509", "-req", "-CA", &ca, "-CAkey", &key, "-CAcreateserial", "-days", days];
    openssl(folder, &[&sign[..], &["-in", &file("csr"), "-extfile", &file("ext"), "-out", &file("pem")]].concat());
}

#[tokio::test]
async fn a_certificate_gives_a_role() {
    let mut remote = Remote::start();
    assert_eq!(remote.vrctl("cni", "ca.pem", &["add", "vrf", "red", "--owner", "cni"]), (0, String::new()));
    let (code, error) = remote.vrctl("cni", "ca.pem", &["add", "vrf", "blue", "--owner", "bgp"]);
    assert_eq!(code, 1);
    assert!(error.starts_with("vrctl: refused: Apply: certificate cni at 127.0.0.1:"), "{error}");
    assert!(error.ends_with("has the role write for the owners cni, not for bgp\n"), "{error}");
    assert_eq!(remote.vrctl("monitor", "ca.pem", &["show", "vrfs"]), (0, String::new()), "by its URI");
    let (code, error) = remote.vrctl("monitor", "ca.pem", &["add", "vrf", "blue"]);
    assert!(code == 1 && error.contains("Apply needs the role write: certificate m at"), "{error}");
    let (code, error) = remote.vrctl("stranger", "ca.pem", &["show", "vrfs"]);
    assert!(code == 1 && error.contains("List needs the role read: certificate stranger at"), "{error}");
    assert!(error.ends_with("has none\n"), "{error}");
    let log = remote.log();
    let told: Vec<_> = log.iter().map(|line| (line["rpc"].as_str(), line["result"].as_str())).collect();
    assert_eq!(
        told,
        [
            (Some("Apply"), Some("applied")),
            (Some("Apply"), Some("denied")),
            (Some("Apply"), Some("denied")),
            (Some("List"), Some("denied"))
        ]
    );
    assert_eq!(log[0]["certificate"], serde_json::json!(["cni"]));
    assert_eq!((&log[0]["owner"], &log[0]["role"]), (&"cni".into(), &"write".into()));
    assert_eq!(
        (&log[0]["changes"], &log[0]["first"][0]),
        (&serde_json::json!({"vrf": {"create": 1}}), &"vrf red".into())
    );
    assert_eq!(log[2]["certificate"], serde_json::json!(["m", SPIFFE]));
}

/// The client of openssl, which says what the far end answers to its handshake.
fn s_client(remote: &Remote, more: &[&str]) -> String {
    let (ca, connect) = (remote.file("ca.pem"), remote.address.clone());
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &connect, "-alpn", "h2", "-verify_return_error", "-CAfile"]).arg(ca);
    command.args(more).current_dir(remote.file("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().expect("openssl is installed");
    // it goes when the far end hangs up; our end of its input stays open until then
    let input = client.stdin.take();
    let start = Instant::now();
    while client.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(20) {
            client.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(input);
    let output = client.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn without_a_valid_certificate_nobody_comes_in() {
    let mut remote = Remote::start();
    for version in ["-tls1_2", "-tls1_3"] {
        let told = s_client(&remote, &[version]);
        assert!(told.contains("alert certificate required") || told.contains("alert handshake failure"), "{told}");
    }
    let told = s_client(&remote, &["-cert", "forged.pem", "-key", "forged.key"]);
    assert!(told.contains("alert unknown ca"), "{told}");
    let told = s_client(&remote, &["-cert", "expired.pem", "-key", "expired.key"]);
    assert!(told.contains("alert certificate expired"), "{told}");
    for who in ["forged", "expired"] {
        let (code, error) = remote.vrctl(who, "ca.pem", &["status"]);
        assert_eq!(code, 3, "{error}");
    }
    // who is no daemon of our authority is not spoken to
    let (code, error) = remote.vrctl("cni", "other-ca.pem", &["status"]);
    assert!(code == 3 && error.contains("UnknownIssuer"), "{error}");
    // HTTP/2 without TLS
    let mut plain = std::net::TcpStream::connect(&remote.address).unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    _ = plain.read_to_end(&mut answer);
    assert!(answer.len() < 64, "an alert at most: {answer:?}");
    assert_eq!(remote.vrctl("cni", "ca.pem", &["status"]), (0, String::new()), "who has one is served meanwhile");
    let log = remote.log();
    let reasons: Vec<_> = log.iter().filter(|line| line["result"] == "turned away").collect();
    assert!(reasons.len() >= 7, "{log:?}");
    for reason in ["Expired", "UnknownIssuer", "no certificates"] {
        assert!(reasons.iter().any(|line| line["reason"].as_str().unwrap().contains(reason)), "{reason}: {log:?}");
    }
    assert!(reasons.iter().all(|line| line["address"].as_str().unwrap().starts_with("127.0.0.1:")));
}

/// Connections that never finish their handshake take no place of those who are in, and end.
#[tokio::test]
async fn who_dawdles_at_the_door_keeps_nobody_out() {
    let remote = Remote::start();
    let dawdling: Vec<_> = (0..40)
        .map(|at| {
            let mut stream = std::net::TcpStream::connect(&remote.address).unwrap();
            stream.write_all(&[0x16, 3, 1, 2][..at % 5]).unwrap();
            stream
        })
        .collect();
    let socket = remote.daemon.as_ref().unwrap().path();
    let status = async || control_daemon::client(&socket).await.status(vrouter::api::v1::StatusRequest {}).await;
    status().await.unwrap();
    // their time is over three times 2 s from now
    assert_eq!(remote.vrctl("cni", "ca.pem", &["status"]), (0, String::new()));
    drop(dawdling);
}
