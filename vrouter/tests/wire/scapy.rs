//! The frames are what their scripts write.

use std::path::Path;
use std::process::Command;

use super::frames::files;

/// Runs scripts of one folder, each in a process of its own that has what they all import; what one writes goes to its name in another folder.
const RUN: &str = r#"
import os, pathlib, runpy, sys
out, folder, *scripts = sys.argv[1:]
sys.path.insert(0, folder)
import base
for script in map(pathlib.Path, scripts):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.path.join(out, script.stem + ".hex"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        runpy.run_path(str(script), run_name="__main__")
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(f"{script} failed")
"#;

#[test]
fn frames_are_what_scapy_builds() {
    let (out, scripts) = (Path::new(env!("CARGO_TARGET_TMPDIR")).join("scapy"), files("py"));
    std::fs::create_dir_all(&out).unwrap();
    let folder = scripts[0].parent().expect("a folder");
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-B", "-c", RUN]).args([&out, folder]).args(&scripts);
    let python = python.output().expect("package python3 is installed");
    let error = String::from_utf8_lossy(&python.stderr);
    assert!(python.status.success(), "the packages python3 and python3-scapy are needed: {error}");
    for script in scripts {
        let name = script.with_extension("hex");
        let built = std::fs::read_to_string(out.join(name.file_name().expect("a name"))).expect("what was written");
        let kept = std::fs::read_to_string(&name).expect("beside its script");
        for (ours, scapy) in kept.lines().zip(built.lines()) {
            assert_eq!(ours, scapy, "the .hex is not what {script:?} writes: run it again");
        }
        assert_eq!(kept.lines().count(), built.lines().count(), "{script:?}");
    }
}
