//! README's table of features names tests: they must exist.

/// The tests that the table names, each with its row's feature; a row that names none has an empty name.
pub fn named(readme: &str) -> Vec<(String, String)> {
    let section = readme.split("\n## Features\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut tests = Vec::new();
    for row in rows {
        let (feature, shown_by) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap_or((row, ""));
        let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        if names.is_empty() {
            tests.push((feature.to_owned(), String::new()));
        }
        tests.extend(names.into_iter().map(|name| (feature.to_owned(), name.to_owned())));
    }
    tests
}

/// Complaints about names that no file has. `files`: path and text of every source.
pub fn absent(tests: &[(String, String)], files: &[(String, String)]) -> Vec<String> {
    let exists = |name: &str| {
        let Some((file, test)) = name.split_once("::") else { return false };
        let paths = ["vrouter/tests/", "scripts/", "flowtable/", ""].map(|folder| format!("{folder}{file}"));
        let texts = files.iter().filter(|(path, _)| paths.contains(path));
        texts.map(|(_, text)| text).any(|text| is_a_test(text, test))
    };
    let gone = tests.iter().filter(|(_, name)| !exists(name));
    gone.map(|(feature, name)| format!("README.md: {feature}: there is no test {name:?}")).collect()
}

/// Rust: the function with its attribute (in `proptest!` too); Python: the function, which its name makes a test.
fn is_a_test(text: &str, name: &str) -> bool {
    let rust = text.find(&format!("fn {name}(")).is_some_and(|at| {
        let before = text[..at].rfind("}\n").unwrap_or(0);
        ["#[test]", "#[tokio::test]"].iter().any(|attribute| text[before..at].contains(attribute))
    });
    rust || name.starts_with("test_") && text.contains(&format!("\ndef {name}("))
}
