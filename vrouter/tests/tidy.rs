//! Keeps the house: the arrows between modules, the fence around what the compiler cannot check, lengths, names and the top level.
//!
//! Each rule is a function in `tidy/checks.rs`; the first tests hold it against the tree, the last ones against planted faults.

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/faults.rs"]
mod faults;
#[path = "tidy/features.rs"]
mod features;
#[path = "tidy/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;

use source::Source;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("vrouter/ has a parent").to_owned()
}

/// Paths of the files that git tracks or would track.
fn files() -> Vec<String> {
    let git = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is installed");
    assert!(git.status.success(), "git ls-files: {}", String::from_utf8_lossy(&git.stderr));
    let listed = String::from_utf8(git.stdout).expect("paths are UTF-8");
    let files: Vec<_> = listed.lines().map(str::to_owned).filter(|path| root().join(path).exists()).collect();
    assert!(files.iter().any(|path| path == "Cargo.toml"), "git lists no Cargo.toml: not the house");
    files
}

fn text(path: &str) -> String {
    let bytes = std::fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn sources() -> Vec<Source> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| Source::new(&path, &text(&path))).collect()
}

#[track_caller]
fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    nothing(sources().iter().flat_map(rule).collect());
}

#[track_caller]
fn nothing(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn modules_keep_the_arrows() {
    hold(checks::arrows);
}

#[test]
fn modules_keep_their_invariants() {
    hold(checks::invariants);
}

#[test]
fn the_reference_model_stands_alone() {
    hold(checks::independence);
    assert!(files().iter().any(|path| path == "vrouter/tests/oracle/mod.rs"), "the model is elsewhere");
}

#[test]
fn unsafe_stays_behind_the_fence() {
    hold(checks::fence);
    hold(checks::roots);
}

#[test]
fn files_and_functions_are_short() {
    hold(checks::lengths);
}

#[test]
fn names_say_something() {
    hold(checks::names);
}

#[test]
fn crates_keep_the_arrows_and_take_the_lints() {
    let manifests: Vec<_> = files()
        .into_iter()
        .filter(|path| path.ends_with("/Cargo.toml"))
        .map(|path| (path.clone(), text(&path)))
        .collect();
    assert!(manifests.len() >= 4, "fewer crates than the house has");
    let folder = |path: &str| path.trim_end_matches("/Cargo.toml").to_owned();
    nothing(manifests.iter().flat_map(|(path, text)| checks::dependencies(&folder(path), text)).collect());
    nothing(checks::fence_lints(&text("Cargo.toml"), &manifests));
}

#[test]
fn the_top_level_is_the_house() {
    let mut top: Vec<_> = files().iter().map(|path| path.split('/').next().unwrap_or(path).to_owned()).collect();
    top.dedup();
    nothing(checks::strangers(&top));
    nothing(checks::missing(&top));
}

#[test]
fn files_name_no_machine() {
    nothing(files().iter().flat_map(|path| checks::foreign_places(path, &text(path))).collect());
}

#[test]
fn features_name_tests_that_exist() {
    let tests = features::named(&text("README.md"));
    assert!(tests.len() >= 30, "README.md's table of features is gone");
    let sources = files().into_iter().filter(|path| path.ends_with(".rs") || path.ends_with(".py"));
    let sources: Vec<_> = sources.map(|path| (path.clone(), text(&path))).collect();
    nothing(features::absent(&tests, &sources));
}

#[test]
fn planted_faults_are_caught_without_programs() {
    let patches = files().into_iter().filter(|path| path.starts_with("vrouter/tests/faults/"));
    let text_of = |path: &str| root().join(path).exists().then(|| text(path));
    nothing(patches.flat_map(|path| faults::caught_without_programs(&path, &text(&path), text_of)).collect());
}

// ------------------------------------------------------------------------------------ each rule sees a planted fault

#[track_caller]
fn complains(rule: impl Fn(&Source) -> Vec<String>, path: &str, planted: &str, about: &str) {
    let complaints = rule(&Source::new(path, planted));
    assert!(complaints.iter().any(|complaint| complaint.contains(about)), "no complaint about {about}: {complaints:?}");
}

#[track_caller]
fn accepts(rule: impl Fn(&Source) -> Vec<String>, path: &str, good: &str) {
    nothing(rule(&Source::new(path, good)));
}

#[test]
fn a_wrong_arrow_is_seen() {
    let rule = checks::arrows;
    complains(rule, "vrouter/src/datapath/act.rs", "use crate::model::Model;", "must not use model");
    complains(
        rule,
        "vrouter/src/model/mod.rs",
        "use crate::{ids::Mac, datapath::{self, Worker}};",
        "must not use datapath",
    );
    complains(rule, "vrouter/src/tables/fib.rs", "fn f() { crate::api::v1::Route::default(); }", "must not use api");
    complains(rule, "vrouter/src/ids.rs", "pub use crate :: drops::DropReason;", "must not use drops");
    complains(rule, "vrouter/src/datapath/mod.rs", "use ffi::Mbuf;", "must not use ffi");
    complains(rule, "vrouter/src/packet/mod.rs", "fn f() { flowtable::prefetch(&1) }", "must not use flowtable");
    complains(rule, "vrouter/src/bin/vrctl.rs", "use vrouter::{api::v1, model};", "must not use model");
    complains(rule, "vrouter/src/vrctl/show.rs", "use vrouter::daemon::view;", "must not use daemon");
    complains(rule, "vrouter/src/attic/mod.rs", "", "in no module");
    accepts(rule, "vrouter/src/port/dpdk/mod.rs", "use crate::{ids::Mac, port::Port};\nuse ffi::Mempool;");
    accepts(rule, "vrouter/src/datapath/mod.rs", "// use crate::model;\nuse crate::tables::{self, Snapshot};");
    accepts(rule, "vrouter/src/datapath/mod.rs", "const TEXT: &str = \"crate::model::Model\";");
}

#[test]
fn a_broken_invariant_is_seen() {
    let rule = checks::invariants;
    complains(rule, "vrouter/src/datapath/act.rs", "use parking_lot::Mutex;", "must not use Mutex");
    complains(rule, "vrouter/src/datapath/mod.rs", "fn f() { let _ = format!(\"{}\", 1); }", "must not use format");
    complains(rule, "vrouter/src/packet/arp.rs", "use std::time::Instant;", "must not use Instant");
    accepts(rule, "vrouter/src/packet/arp.rs", "#[cfg(test)]\nmod tests { use std::time::Instant; }");
    accepts(rule, "vrouter/src/daemon/mod.rs", "use std::time::Instant;");
}

#[test]
fn a_model_that_leans_on_the_product_is_seen() {
    let rule = checks::independence;
    complains(rule, "vrouter/tests/oracle/ip.rs", "use vrouter::packet::ip;", "must not use vrouter");
    complains(rule, "vrouter/tests/oracle/mod.rs", "fn f() { flowtable::prefetch(&1) }", "must not use flowtable");
    complains(rule, "vrouter/tests/oracle.rs", "use vrouter as other;", "must not use vrouter");
    complains(rule, "vrouter/tests/oracle/a.rs", "#[path = \"../../src/packet/ip.rs\"] mod ip;", "must not use path");
    accepts(rule, "vrouter/tests/oracle/a.rs", "//! The vrouter.\nuse smoltcp::wire::ArpRepr;");
    accepts(rule, "vrouter/tests/wire/lab.rs", "use vrouter::api::v1;");
}

#[test]
fn a_hole_in_the_fence_is_seen() {
    let (rule, word) = (checks::fence, checks::fenced_word());
    let block = format!("fn f() {{ {word} {{ g() }} }}");
    complains(rule, "vrouter/src/datapath/act.rs", &block, "outside the fence");
    complains(rule, "build.rs", &format!("{word} fn f() {{}}"), "outside the fence");
    complains(checks::roots, "bench/src/lib.rs", "pub fn f() {}", "without #![forbid(unsafe_code)]");
    complains(
        checks::roots,
        "vrouter/src/bin/vrctl.rs",
        "// #![forbid(unsafe_code)]\nfn main() {}",
        "without #![forbid",
    );
    accepts(checks::roots, "vrouter/src/lib.rs", "#![forbid(unsafe_code)]");
    accepts(checks::roots, "ffi/src/lib.rs", "");
    accepts(rule, "ffi/src/lib.rs", &block);
    let said = format!("#![forbid(unsafe_code)]\n// {word}\nconst A: &str = \"{word}\";");
    accepts(rule, "vrouter/src/lib.rs", &said);
    let all_lints = "unsafe_op_in_unsafe_fn = \"deny\"\nundocumented_unsafe_blocks = \"deny\"";
    let takes = |text: &str| vec![("ffi/Cargo.toml".to_owned(), text.to_owned())];
    nothing(checks::fence_lints(all_lints, &takes("[lints]\nworkspace = true\n")));
    assert_eq!(checks::fence_lints(all_lints, &takes("")).len(), 1);
    assert_eq!(checks::fence_lints("", &[]).len(), 2);
}

#[test]
fn a_wrong_dependency_is_seen() {
    let bad = [
        ("flowtable", "[dependencies]\nhashbrown = \"1\"", "std alone"),
        ("flowtable", "[dev-dependencies]\nvrouter.workspace = true", "must not depend on vrouter"),
        ("vrouter", "[dependencies]\nbench = { path = \"../bench\" }", "must not depend on bench"),
        ("ffi", "[target.'cfg(unix)'.dependencies]\nflowtable.workspace = true", "must not depend on flowtable"),
        ("attic", "", "does not have"),
    ];
    for (folder, manifest, about) in bad {
        let complaints = checks::dependencies(folder, manifest);
        assert!(complaints.iter().any(|complaint| complaint.contains(about)), "{folder}: {complaints:?}");
    }
    nothing(checks::dependencies("bench", "[dependencies]\nvrouter.workspace = true\nserde = \"1\""));
}

#[test]
fn long_files_and_functions_are_seen() {
    let rule = checks::lengths;
    let function = |lines: usize| format!("fn long() {{\n{}}}\n", "    let _ = '{';\n".repeat(lines - 2));
    accepts(rule, "vrouter/src/a.rs", &function(checks::FUNCTION_LINES));
    complains(rule, "vrouter/src/a.rs", &function(checks::FUNCTION_LINES + 1), "fn long has 71 lines");
    let bodiless = format!("trait T {{ fn f(a: [u8; 4]);\n{}}}", "const A: u8 = 1;\n".repeat(100));
    accepts(rule, "vrouter/src/a.rs", &bodiless);
    let pointer = format!("struct S {{ f: fn(u8) -> u8 }}\nmod m {{ {} }}", "const A: u8 = 1;\n".repeat(100));
    accepts(rule, "vrouter/src/a.rs", &pointer);
    accepts(rule, "vrouter/src/a.rs", &"//\n".repeat(checks::FILE_LINES));
    complains(rule, "vrouter/src/a.rs", &"//\n".repeat(checks::FILE_LINES + 1), "501 lines");
    accepts(rule, "vrouter/tests/a.rs", &"//\n".repeat(checks::TEST_FILE_LINES));
    complains(rule, "vrouter/src/model/tests.rs", &"//\n".repeat(checks::TEST_FILE_LINES + 1), "701 lines");
}

#[test]
fn empty_names_are_seen() {
    for planted in
        ["struct FlowManager;", "mod util;", "enum PacketHandler {}", "trait core_thing {}", "type IOWrapper = u8;"]
    {
        complains(checks::names, "vrouter/src/a.rs", planted, "says nothing");
    }
    complains(checks::names, "vrouter/src/a.rs", "fn get_route() {}", "fn get_route");
    complains(checks::names, "vrouter/src/a.rs", "fn process_packet() {}", "fn process_packet");
    accepts(
        checks::names,
        "vrouter/src/a.rs",
        "struct Lcore; mod commons; fn getter() {} // struct Manager\nuse core_affinity;",
    );
}

#[test]
fn a_fault_that_wants_a_program_is_seen() {
    let patch =
        |test: &str| format!("It is wrong.\ncaught by: cargo test -p vrouter --test {test} -- a_test\n--- a/x\n");
    let text_of = |path: &str| match path {
        "vrouter/tests/with.rs" => Some("mod program;\n".to_owned()),
        "vrouter/tests/without.rs" => Some("fn f() {}\n".to_owned()),
        _ => None,
    };
    let about = |test: &str| faults::caught_without_programs("p", &patch(test), text_of);
    assert!(about("with")[0].contains("starts programs") && about("gone")[0].contains("there is no"));
    nothing(about("without"));
}

#[test]
fn a_feature_without_its_test_is_seen() {
    let readme = "# x\n\n## Features\n\n| feature | shown by |\n|---|---|\n| a | `wire/a.rs::shown`, `e2e/t.py::test_it` |\n| b | one day |\n\n## y\n| c | |\n";
    let named = features::named(readme);
    assert_eq!(
        named.iter().map(|(_, name)| &**name).collect::<Vec<_>>(),
        ["wire/a.rs::shown", "e2e/t.py::test_it", ""]
    );
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let both =
        [file("vrouter/tests/wire/a.rs", "#[test]\nfn shown() {}"), file("scripts/e2e/t.py", "\ndef test_it(p):")];
    assert_eq!(features::absent(&named, &both), ["README.md: b: there is no test \"\""]);
    let no_test = [file("vrouter/tests/wire/a.rs", "#[test]\nfn a() {\n}\nfn shown() {}"), both[1].clone()];
    assert_eq!(features::absent(&named[..2], &no_test), ["README.md: a: there is no test \"wire/a.rs::shown\""]);
}

#[test]
fn strangers_and_gaps_at_the_top_are_seen() {
    let top = ["Cargo.toml", "docs"].map(str::to_owned);
    assert_eq!(checks::strangers(&top), ["docs: not one of the house's top-level entries"]);
    assert!(checks::missing(&top).iter().any(|complaint| complaint.starts_with("vrouter:")));
    assert!(!checks::missing(&top).iter().any(|complaint| complaint.starts_with("Cargo.toml:")));
}

#[test]
fn a_machine_s_places_are_seen() {
    let planted = ["see /ho#me/jane/src", "path = \"/wo#rk/x\"", "source = \"ht#tps://mirror.example/simple\""];
    for planted in planted.map(|text| text.replace('#', "")) {
        assert_eq!(checks::foreign_places("README.md", &planted).len(), 1, "{planted}");
    }
    nothing(checks::foreign_places("README.md", "https://github.com/x and unix:///run/vrouter.sock"));
}

#[test]
fn literals_and_comments_are_blanked() {
    let raw = "a /* x /* y */ z */ b \"q\\\"r\" c r#\"s\"t\"# d 'u' e '\\'' f<'v> g b\"w\" // z\nh";
    let source = Source::new("a.rs", raw);
    let words: Vec<_> = source.words().map(|(_, word)| word).collect();
    assert_eq!(words, ["a", "b", "c", "d", "e", "f", "v", "g", "h"]);
    assert_eq!(source.text.len(), raw.len());
    assert_eq!(source.line(source.text.len() - 1), 2);
}
