//! `vrctl upgrade`.

use serde_json::json;
use vrouter::api::v1;

use super::Failure;
use super::args::Upgrade;
use super::connect::{Daemon, connect};
use super::output::{Format, count, print, print_value, table};
use super::progress::Progress;

pub async fn run(daemon: &Daemon, format: Format, Upgrade { binary, timeout }: Upgrade) -> Result<(), Failure> {
    // a path of this host, unless it is another one's
    let binary = match daemon {
        Daemon::Socket(_) => std::path::absolute(&binary).unwrap_or(binary),
        Daemon::Tls(_) => binary,
    };
    let request = v1::UpgradeRequest { binary: binary.display().to_string(), timeout_ms: timeout * 1000 };
    let progress = Progress::of("the next program gets ready");
    let reply = connect(daemon).await?.upgrade(request).await?.into_inner();
    drop(progress);
    if format == Format::Table {
        print(&told(&reply));
        return Ok(());
    }
    let phases = reply.phases.iter().map(|phase| json!({ "name": phase.name, "microseconds": phase.microseconds }));
    let flows = reply.flow_file.as_ref().map(super::stats::flow_file_value);
    let value = json!({
        "version": reply.version,
        "pid": reply.pid,
        "outage_us": reply.outage_us,
        "phases": phases.collect::<Vec<_>>(),
        "flow_file": flows,
    });
    print_value(format, &value);
    Ok(())
}

fn told(reply: &v1::UpgradeReply) -> String {
    let ms = |microseconds: u64| format!("{:.1} ms", microseconds as f64 / 1000.0);
    let rows = reply.phases.iter().map(|phase| vec![phase.name.clone(), ms(phase.microseconds)]);
    let flows = match &reply.flow_file {
        None => "none adopted: there is no flow file".to_owned(),
        Some(file) => {
            let dropped: u64 = file.dropped.iter().map(|it| it.flows).sum();
            format!("{} adopted, {} dropped", count(file.adopted), count(dropped))
        }
    };
    format!(
        "{}\nversion {} serves as process {}\nflows: {flows}\nports stood still for {}\n",
        table(&["phase", "took"], rows),
        reply.version,
        reply.pid,
        ms(reply.outage_us),
    )
}
