//! `vrctl` as a process.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

pub fn vrctl(socket: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vrctl")).env("VROUTER_SOCKET", socket).args(args).output().unwrap()
}

/// What a command prints; it must succeed, and say nothing beside.
#[track_caller]
pub fn done(socket: &Path, args: &[&str]) -> String {
    let output = vrctl(socket, args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*error), (Some(0), ""), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same, of its JSON.
#[track_caller]
pub fn json_of(socket: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&done(socket, &[args, &["-o", "json"]].concat())).unwrap()
}
