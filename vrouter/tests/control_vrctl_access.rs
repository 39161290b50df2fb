//! Users at the socket, as the kernel tells of them: vrctl run as others.

mod control_daemon;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use control_daemon::Daemon;
use vrouter::api::config::{self, Account, Role};
use vrouter::api::position::At;
use vrouter::control::access::{Access, Names, Terms};

/// Other users, as the kernel tells of them. Only root can become one: without it there is nothing to see.
#[tokio::test]
async fn the_kernel_says_who_a_client_is() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("not root: cannot be another user");
    }
    let (group, user) = (4243, Some(Account::Number(4244)));
    let frr = config::Rule { user, group: None, certificate: None, role: Role::Write, owners: None, also: Vec::new() };
    let config = config::Access { group: Some(Account::Number(group)), rules: vec![At::nowhere(frr)] };
    let access = Arc::new(Access::new(&config, Names::default()).unwrap());
    let daemon = Daemon::start(Terms { access, ..Terms::default() });
    let folder = daemon.path().parent().unwrap().to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let vrctl = folder.join("vrctl");
    std::fs::copy(env!("CARGO_BIN_EXE_vrctl"), &vrctl).unwrap();
    let run = async |uid: u32, gid: u32, arguments: &'static [&'static str]| {
        let mut command = Command::new(&vrctl);
        command.uid(uid).gid(gid).arg("--socket").arg(daemon.path()).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(4242, group, &["show", "vrfs"]).await, (0, String::new()), "a member of the group reads");
    let (code, error) = run(4242, group, &["add", "vrf", "red"]).await;
    assert_eq!((code, &*error), (1, "vrctl: refused: Apply needs the role write: uid 4242 has the role read\n"));
    let (code, error) = run(4242, 4242, &["show", "vrfs"]).await;
    assert!(code == 3 && error.contains("ermission denied"), "the socket is not for others: {error}");
    assert_eq!(run(4244, group, &["add", "vrf", "red"]).await, (0, String::new()), "a user that a rule names");
    assert_eq!(run(0, 0, &["add", "vrf", "blue"]).await, (0, String::new()));
}
