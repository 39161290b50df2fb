//! Instructions by step of the packet's path, from what callgrind writes: an instruction counts to the step in whose file (or folder) it was
//! written. What files of no step hold (tables, packet views, the library) counts to the step that it was inlined into or called
//! from.

use std::collections::HashMap;

/// Steps in the order of the path, with the files that are theirs. `flows`: lookup, set-up, eviction; `receive`: what is between the steps, too.
pub const STEPS: [(&str, &[&str]); 7] = [
    ("ports", &["bench/src/pipeline.rs", "/port/mod.rs"]),
    ("receive", &["datapath/mod.rs", "datapath/work.rs"]),
    ("classify", &["datapath/classify.rs", "datapath/gate.rs", "packet/plain/mod.rs"]),
    (
        "flows",
        &["datapath/table.rs", "datapath/flows.rs", "datapath/lifetime.rs", "datapath/lane.rs", "flowtable/src/"],
    ),
    ("decide", &["datapath/decide.rs", "datapath/foresee.rs", "datapath/shadow.rs"]),
    ("act", &["datapath/act.rs", "datapath/headers.rs"]),
    ("tx", &["datapath/finish.rs", "datapath/ports.rs"]),
];
/// The steps, and what belongs to none.
pub const PARTS: usize = STEPS.len() + 1;
const NONE: usize = STEPS.len();

/// Instructions by step; the last one is of none.
pub type Budget = [f64; PARTS];

#[derive(Default)]
struct Function {
    own: [f64; PARTS],
    /// Callee, the step that calls, inclusive instructions.
    calls: Vec<(usize, usize, f64)>,
    /// Of all calls of it, inclusive.
    called: f64,
}

/// Reads a file of callgrind's. `None`: it is none.
pub fn read(text: &str) -> Option<Budget> {
    let functions = functions(text)?;
    let mut total = [0.0; PARTS];
    for function in &functions {
        (0..NONE).for_each(|step| total[step] += function.own[step]);
    }
    // what is of no step goes to those that call it
    let mut known = vec![None; functions.len()];
    for (index, function) in functions.iter().enumerate() {
        for &(callee, step, cost) in function.calls.iter().filter(|(callee, step, _)| *step != NONE && *callee != index)
        {
            let share = cost / functions[callee].called.max(1.0);
            total[step] += share * stepless(&functions, &mut known, callee);
        }
    }
    let all: f64 = functions.iter().flat_map(|function| function.own).sum();
    total[NONE] = (all - total[..NONE].iter().sum::<f64>()).max(0.0);
    Some(total)
}

/// Instructions of no step in a function, and in those that it calls from no step.
fn stepless(functions: &[Function], known: &mut [Option<f64>], index: usize) -> f64 {
    if let Some(cost) = known[index] {
        return cost;
    }
    // a circle counts once
    known[index] = Some(0.0);
    let mut cost = functions[index].own[NONE];
    for &(callee, step, inclusive) in &functions[index].calls {
        if step == NONE && callee != index {
            cost += inclusive / functions[callee].called.max(1.0) * stepless(functions, known, callee);
        }
    }
    known[index] = Some(cost);
    cost
}

fn functions(text: &str) -> Option<Vec<Function>> {
    let (mut functions, mut numbers): (Vec<Function>, HashMap<String, usize>) = Default::default();
    let (mut files, mut names) = (Names::default(), Names::default());
    let (mut at, mut callee, mut is_call) = (None, None, false);
    // of the last file in this function that had any
    let mut step = NONE;
    let mut number = |functions: &mut Vec<Function>, name: String| {
        *numbers.entry(name).or_insert_with(|| {
            functions.push(Function::default());
            functions.len() - 1
        })
    };
    for line in text.lines() {
        match line.split_once('=') {
            Some(("fl", name)) => step = step_of(files.full(name)),
            Some(("fi" | "fe", name)) => {
                step = Some(step_of(files.full(name))).filter(|&of| of != NONE).unwrap_or(step)
            }
            Some(("fn", name)) => at = Some(number(&mut functions, names.full(name).to_owned())),
            Some(("cfi" | "cfl", name)) => _ = files.full(name),
            Some(("cfn", name)) => callee = Some(number(&mut functions, names.full(name).to_owned())),
            Some(("calls", _)) => is_call = true,
            Some(_) => {}
            None => {
                let mut words = line.split_whitespace();
                let is_cost = words.next().is_some_and(|word| word.starts_with(|c: char| "+-*0123456789".contains(c)));
                let (Some(cost), true, Some(at)) =
                    (words.next().and_then(|cost| cost.parse::<f64>().ok()), is_cost, at)
                else {
                    continue;
                };
                match callee.filter(|_| std::mem::take(&mut is_call)) {
                    None => functions[at].own[step] += cost,
                    Some(callee) => {
                        functions[at].calls.push((callee, step, cost));
                        functions[callee].called += cost;
                    }
                }
            }
        }
    }
    (!functions.is_empty()).then_some(functions)
}

fn step_of(file: &str) -> usize {
    STEPS
        .iter()
        .position(|(_, files)| files.iter().any(|its| file.ends_with(its) || its.ends_with('/') && file.contains(its)))
        .unwrap_or(NONE)
}

/// Names that are written whole once, `(7) name`, and then by their number.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn full<'a>(&'a mut self, text: &'a str) -> &'a str {
        match text.split_once(' ') {
            Some((number, name)) if number.starts_with('(') => {
                self.0.insert(number.to_owned(), name.to_owned());
                name
            }
            _ => self.0.get(text).map_or(text, String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
events: Ir

fl=(1) /house/vrouter/src/datapath/mod.rs
fn=(1) forward
10 100
fi=(2) /house/vrouter/src/datapath/act.rs
+4 40
fi=(3) /library/core/src/slice/mod.rs
* 7
cfi=(4) memcpy.S
cfn=(2) memcpy
calls=3 1
+2 30
fe=(1)
12 5
cfn=(3) lookup
calls=1 0
13 1000

fl=(4)
fn=(2)
1 40

fl=(5) /house/vrouter/src/datapath/table.rs
fn=(3)
7 600
fi=(6) /house/tables/find.rs
8 390
cfn=(2)
calls=1 1
9 10

fl=(7) other.rs
fn=(4) main
1 3
";

    #[test]
    fn each_instruction_counts_once_and_to_the_step_that_wanted_it() {
        let budget = read(TEXT).unwrap();
        let of = |name: &str| budget[STEPS.iter().position(|(step, _)| *step == name).unwrap()];
        assert_eq!(of("receive"), 105.0);
        // its own, what was inlined into it, and its part of memcpy
        assert_eq!(of("act"), 40.0 + 7.0 + 30.0);
        assert_eq!(of("flows"), 600.0 + 390.0 + 10.0);
        assert_eq!(budget[NONE], 3.0);
        assert_eq!(budget.iter().sum::<f64>(), 1185.0);
        assert_eq!(read("not of callgrind"), None);
    }
}
