//! `vrctl`: programs and shows a running vRouter through its control socket.

mod add;
mod add_bfd;
mod add_bridge;
mod apply;
mod args;
mod capture;
mod compare;
mod connect;
mod decode;
mod delete;
mod diff;
mod drops;
mod explain;
mod export;
mod flows;
mod frames;
mod hits;
mod offline;
mod output;
mod owners;
mod pcapng;
mod plan;
mod progress;
mod revisions;
mod row_bfd;
mod rows;
mod shadow;
mod show;
mod stats;
mod trace;
mod upgrade;
mod verdicts;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use vrouter::api::config::Config;
use vrouter::api::expect::Expectations;
use vrouter::api::position::FileError;
use vrouter::api::yaml::Network;

use args::{Args, Command};
use output::{Format, print, print_value};

/// Why a command failed; each kind has its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The daemon said no.
    #[error("refused: {0}")]
    Refused(String),
    /// An expectation is not met, or something differs.
    #[error("{0}")]
    Unmet(String),
    /// The command makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No daemon there, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// A file that cannot be read or is wrong.
    #[error("{0}")]
    File(#[from] FileError),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Refused(_) | Failure::Unmet(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable(_) => 3,
            Failure::File(_) => 4,
        }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Failure {
        use tonic::Code;
        match status.code() {
            Code::InvalidArgument
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::PermissionDenied
            | Code::FailedPrecondition => Failure::Refused(status.message().to_owned()),
            Code::Unavailable | Code::Cancelled | Code::Unknown => {
                Failure::Unreachable(format!("the connection to the daemon broke: {}", status.message()))
            }
            code => Failure::Refused(format!("{code}: {}", status.message())),
        }
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("vrctl: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vrctl: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let Args { daemon, output, command } = args;
    let daemon = daemon.chosen()?;
    match command {
        Command::Show(show) => show::run(&daemon, output, show).await,
        Command::Add(add) => add::run(&daemon, output, *add).await,
        Command::Delete(delete) => delete::run(&daemon, output, delete).await,
        Command::Apply(apply) => apply::run(&daemon, output, apply).await,
        Command::Plan(plan) => apply::run(&daemon, output, plan.into()).await,
        Command::Sync(sync) => apply::sync(&daemon, output, sync).await,
        Command::Watch(watch) => watch::run(&daemon, output, watch).await,
        Command::Flows(flows) => flows::run(&daemon, output, flows).await,
        Command::Drops(drops) => drops::run(&daemon, output, drops).await,
        Command::Hits(hits) => hits::run(&daemon, output, hits).await,
        Command::Capture(capture) => capture::run(&daemon, output, capture).await,
        Command::Trace(trace) => trace::run(&daemon, output, trace).await,
        Command::Stats => stats::run(&daemon, output).await,
        Command::Status => stats::status(&daemon, output).await,
        Command::Owners => owners::run(&daemon, output).await,
        Command::Upgrade(upgrade) => upgrade::run(&daemon, output, upgrade).await,
        Command::Explain(explain) => explain::run(&daemon, output, *explain).await,
        Command::Export(given) => export::run(&daemon, output, given).await,
        Command::Diff(given) => diff::run(&daemon, output, given).await,
        Command::Confirm(given) => revisions::confirm(&daemon, output, given).await,
        Command::Revisions(given) => revisions::run(&daemon, output, given).await,
        Command::Rollback(given) => revisions::roll_back(&daemon, output, given).await,
        Command::Shadow(given) => shadow::run(&daemon, output, given).await,
        Command::Fmt(given) => export::fmt(&given),
        Command::Validate(given) => offline::validate(output, &given),
        Command::Expand(given) => offline::expand(output, &given),
        Command::Test(given) => offline::test(output, &given),
        Command::Schema { config, expectations } => {
            let schema = match (config, expectations) {
                (true, _) => Config::schema(),
                (_, true) => Expectations::schema(),
                _ => Network::schema(),
            };
            print_value(if output == Format::Yaml { output } else { Format::Json }, schema.as_value());
            Ok(())
        }
        Command::Man { folder } => clap_mangen::generate_to(Args::command(), &folder).map_err(|error| {
            let (file, reason) = (folder.display().to_string(), error.to_string());
            Failure::File(FileError { file, position: None, field: String::new(), reason })
        }),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "vrctl", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}
