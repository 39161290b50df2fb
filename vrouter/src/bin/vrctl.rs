//! The command line tool.
#![forbid(unsafe_code)]

#[path = "../vrctl/mod.rs"]
mod vrctl;

fn main() -> std::process::ExitCode {
    vrctl::main()
}
