//! An EAL that does not start says why, and leaves the thread as it was.

use ffi::{Eal, EalConfig, EalError};

/// One test: a process starts its EAL once.
#[test]
fn a_refused_start_is_a_typed_error() {
    let with = |extra: &str| EalConfig { extra: vec![extra.to_owned()], ..EalConfig::no_huge("vt-ffi-refused", 64) };
    assert_eq!(Eal::init(&with("a\0b")).unwrap_err(), EalError::Argument("a\0b".to_owned()));
    let status = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let cpus = |status: String| status.lines().find(|line| line.starts_with("Cpus_allowed:")).map(str::to_owned);
    let before = cpus(status());
    let error = Eal::init(&with("--no-such-option")).unwrap_err();
    assert!(matches!(&error, EalError::Init { arguments, .. } if arguments.contains("--no-such-option")), "{error:?}");
    assert_eq!(cpus(status()), before);
    assert_eq!(Eal::init(&EalConfig::no_huge("vt-ffi-refused", 64)).unwrap_err(), EalError::AlreadyStarted);
}
