//! What was found, for other programs: TAP (version 13) and JUnit's XML.

use std::fmt::Write;

use super::{Candidate, Tested};
use crate::api::v1;

/// The Test Anything Protocol, version 13. Tests stand beside the file of their expectations.
pub fn tap(candidate: &Candidate, tests: &[(&str, &Tested)]) -> String {
    let mut out = format!("TAP version 13\n1..{}\n", tests.len());
    for (at, (file, test)) in tests.iter().enumerate() {
        let word = if test.holds() { "ok" } else { "not ok" };
        // a hash would begin a directive
        let name = test.name.replace('#', "\\#").replace('\n', " ");
        _ = writeln!(out, "{word} {} - {name}", at + 1);
        if test.holds() {
            continue;
        }
        _ = writeln!(out, "  ---\n  at: {:?}\n  faults:", test.place(file));
        for fault in &test.faults {
            _ = writeln!(out, "    - {fault:?}");
        }
        _ = writeln!(out, "  steps:");
        for line in steps(candidate, test) {
            _ = writeln!(out, "    - {line:?}");
        }
        _ = writeln!(out, "  ...");
    }
    out
}

/// JUnit's XML: a suite of each file.
pub fn junit(candidate: &Candidate, tests: &[(&str, &Tested)]) -> String {
    let failed = |tests: &[&(&str, &Tested)]| tests.iter().filter(|(_, test)| !test.holds()).count();
    let all: Vec<_> = tests.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    _ = writeln!(out, "<testsuites tests=\"{}\" failures=\"{}\">", all.len(), failed(&all));
    for suite in all.chunk_by(|one, other| one.0 == other.0) {
        let file = escaped(suite[0].0);
        _ = writeln!(out, "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{}\">", suite.len(), failed(suite));
        for (file, test) in suite {
            let (name, line) = (escaped(&test.name), test.position.line);
            let head =
                format!("    <testcase classname=\"{}\" name=\"{name}\" file=\"{0}\" line=\"{line}\"", escaped(file));
            if test.holds() {
                _ = writeln!(out, "{head}/>");
                continue;
            }
            let body: Vec<_> = test.faults.iter().cloned().chain(steps(candidate, test)).collect();
            let message = escaped(&test.faults.join("; "));
            _ = writeln!(out, "{head}>\n      <failure message=\"{message}\">{}</failure>", escaped(&body.join("\n")));
            _ = writeln!(out, "    </testcase>");
        }
        _ = writeln!(out, "  </testsuite>");
    }
    out.push_str("</testsuites>\n");
    out
}

/// How a packet and its answer were decided, a line each, with where in the files it stands.
fn steps(candidate: &Candidate, test: &Tested) -> Vec<String> {
    let line = |head: &str, step: &v1::Step| {
        let place = Some(candidate.place(step)).filter(|place| !place.is_empty());
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        format!("{head}{}: {}: {}{place}", step.name, step.object, step.detail)
    };
    let there = test.steps.iter().map(|step| line("", step));
    there.chain(test.reply_steps.iter().map(|step| line("answer: ", step))).collect()
}

/// Text in XML, within quotes too. Characters that XML has no way to say are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => out.push(one),
            _ => {}
        }
    }
    out
}
