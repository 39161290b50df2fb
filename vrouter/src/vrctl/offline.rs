//! What asks no daemon: `vrctl validate`, `vrctl expand`, `vrctl test`, and files for `vrctl explain`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vrouter::api::expect::Expectations;
use vrouter::api::position::FileError;
use vrouter::api::v1;
use vrouter::api::yaml::Files;
use vrouter::candidate::{Candidate, Coverage, Item, Tested, What, check_each, junit, tap};

use super::Failure;
use super::apply::read;
use super::args::{Expand, Report, Test, Validate};
use super::explain::{step_table, step_value};
use super::output::{Format, count, print, print_value, without_absent};
use super::progress::Progress;

/// Reads a file, or the standard input. Its name for errors, and its text.
pub fn text_of(path: &Path) -> Result<(String, String), FileError> {
    let name = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
    match read(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(FileError { file: name, position: None, field: String::new(), reason: error.to_string() }),
    }
}

/// The network of these files.
pub fn candidate(files: &[PathBuf]) -> Result<Candidate, FileError> {
    let texts: Vec<_> = files.iter().map(|file| text_of(file)).collect::<Result<_, _>>()?;
    let _progress = Progress::of("making a network of files");
    Candidate::read(&texts)
}

pub fn validate(format: Format, given: &Validate) -> Result<(), Failure> {
    let candidate = candidate(&given.file)?;
    let (files, objects) = (candidate.files().len(), candidate.objects());
    match format {
        Format::Table => {
            let word = if files == 1 { "file" } else { "files" };
            print(&format!(
                "{files} {word}, {} objects: a daemon without any would take them\n",
                count(objects as u64)
            ));
        }
        _ => print_value(format, &json!({ "files": files, "objects": objects, "valid": true })),
    }
    Ok(())
}

/// Prints plain objects; as YAML unless it is to be JSON.
pub fn expand(format: Format, given: &Expand) -> Result<(), Failure> {
    let texts: Vec<_> = given.file.iter().map(|file| text_of(file)).collect::<Result<_, _>>()?;
    let network = Files::parse(&texts)?.merged()?;
    let value = serde_json::to_value(&network).unwrap_or_default();
    let format = if format == Format::Json { format } else { Format::Yaml };
    print_value(format, &without_absent(value).unwrap_or_else(|| json!({})));
    Ok(())
}

pub fn test(format: Format, given: &Test) -> Result<(), Failure> {
    let candidate = candidate(&given.file)?;
    let mut all: Vec<(String, Vec<Tested>)> = Vec::new();
    for path in &given.expectations {
        let (name, text) = text_of(path)?;
        let progress = Progress::of("reading expectations");
        let expectations = Expectations::parse(&name, &text)?;
        let bar = progress.bar();
        bar.count("expectations", expectations.expect.len());
        let checked = check_each(&candidate, &expectations.expect, || bar.advance(1));
        all.push((name, checked.map_err(|error| Failure::Refused(format!("no memory: {error}")))?));
    }
    let tests: Vec<(&str, &Tested)> =
        all.iter().flat_map(|(name, tests)| tests.iter().map(|test| (name.as_str(), test))).collect();
    let items = Coverage::of(tests.iter().map(|(_, test)| *test)).items(&candidate);
    match given.report {
        Some(Report::Tap) => print(&tap(&candidate, &tests)),
        Some(Report::Junit) => print(&junit(&candidate, &tests)),
        None if format == Format::Table => for_people(given, &candidate, &tests, &items),
        None => print_value(format, &value(given, &candidate, &tests, &items)),
    }
    let failed = tests.iter().filter(|(_, test)| !test.holds()).count();
    let untouched = items.iter().filter(|item| !item.is_touched).count();
    if failed > 0 {
        return Err(Failure::Unmet(format!("{failed} of {} expectations are not met", tests.len())));
    }
    if tests.is_empty() {
        return Err(Failure::Unmet("there is no expectation".into()));
    }
    if given.all_covered && untouched > 0 {
        return Err(Failure::Unmet(format!("{untouched} rules and routes are touched by no packet")));
    }
    Ok(())
}

fn for_people(given: &Test, candidate: &Candidate, tests: &[(&str, &Tested)], items: &[Item]) {
    for (file, test) in tests.iter().filter(|(_, test)| !test.holds()) {
        print(&format!("{}: {}\n", test.place(file), test.name));
        test.faults.iter().for_each(|fault| print(&format!("  {fault}\n")));
        for (what, steps) in [("the packet", &test.steps), ("its answer", &test.reply_steps)] {
            if !steps.is_empty() {
                print(&step_table(what, steps, Some(candidate)));
            }
        }
        print("\n");
    }
    let held = tests.iter().filter(|(_, test)| test.holds()).count();
    print(&format!("{held} of {} expectations are met\n", tests.len()));
    if !given.coverage {
        return;
    }
    for (what, word) in [(What::Rule, "rules"), (What::Route, "routes")] {
        let of_kind = || items.iter().filter(move |item| item.what == what);
        print(&format!(
            "{} of {} {word} decided about a packet\n",
            of_kind().filter(|item| item.is_touched).count(),
            of_kind().count()
        ));
    }
    items
        .iter()
        .filter(|item| !item.is_touched)
        .for_each(|item| print(&format!("{}: {}: never\n", item.place, item.text)));
}

fn value(given: &Test, candidate: &Candidate, tests: &[(&str, &Tested)], items: &[Item]) -> Value {
    let steps = |all: &[v1::Step]| all.iter().map(|step| step_value(step, Some(candidate))).collect::<Vec<_>>();
    let tests: Vec<_> = tests
        .iter()
        .map(|(file, test)| {
            json!({
                "name": test.name, "file": file, "line": test.position.line, "met": test.holds(), "faults": test.faults,
                "steps": steps(&test.steps), "reply_steps": steps(&test.reply_steps),
            })
        })
        .collect();
    let mut value = json!({ "expectations": tests });
    if given.coverage {
        let item = |item: &Item| {
            let what = if item.what == What::Rule { "rule" } else { "route" };
            json!({ "what": what, "name": item.text, "place": item.place, "touched": item.is_touched })
        };
        value["coverage"] = items.iter().map(item).collect();
    }
    value
}
