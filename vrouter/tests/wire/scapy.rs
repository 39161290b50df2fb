//! The frames are what their scripts write.

use std::process::Command;

use super::frames::files;

#[test]
fn frames_are_what_scapy_builds() {
    for script in files("py") {
        let python = Command::new("/usr/bin/python3").args(["-B".as_ref(), script.as_os_str()]).output();
        let python = python.expect("package python3 is installed");
        let error = String::from_utf8_lossy(&python.stderr);
        assert!(python.status.success(), "{script:?} needs the packages python3 and python3-scapy: {error}");
        let built = String::from_utf8(python.stdout).unwrap();
        let kept = std::fs::read_to_string(script.with_extension("hex")).expect("beside its script");
        for (ours, scapy) in kept.lines().zip(built.lines()) {
            assert_eq!(ours, scapy, "the .hex is not what {script:?} writes: run it again");
        }
        assert_eq!(kept.lines().count(), built.lines().count(), "{script:?}");
    }
}
