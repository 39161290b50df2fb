//! Planted faults: `scripts/check faults` tries them in a copy of the tree without programs.

/// Complaints about a patch of `vrouter/tests/faults`: what must fail is a test that starts no program of ours. `text_of`: a file of the tree's, if it is there.
pub fn caught_without_programs(path: &str, patch: &str, text_of: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let Some(command) = patch.lines().find_map(|line| line.strip_prefix("caught by: ")) else { return Vec::new() };
    let words: Vec<&str> = command.split(' ').collect();
    let tests = words.windows(2).filter(|pair| pair[0] == "--test" && words.contains(&"vrouter")).map(|pair| pair[1]);
    let complaint = |test: &str| {
        let file = format!("vrouter/tests/{test}.rs");
        let Some(text) = text_of(&file) else { return Some(format!("{path}: there is no {file}")) };
        let starts = text.contains("CARGO_BIN_EXE") || text.contains("mod program;");
        starts.then(|| format!("{path}: {file} starts programs, which are not there when faults are tried"))
    };
    tests.filter_map(complaint).collect()
}
