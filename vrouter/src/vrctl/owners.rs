//! `vrctl owners`.

use serde_json::json;
use vrouter::api::v1;

use super::Failure;
use super::connect::{Daemon, connect};
use super::output::{Format, count, duration, print, print_value, table};

pub async fn run(daemon: &Daemon, format: Format) -> Result<(), Failure> {
    let reply = connect(daemon).await?.owners(v1::OwnersRequest {}).await?.into_inner();
    if format == Format::Table {
        let columns = ["owner", "routes", "other objects", "lease", "remaining"];
        print(&table(&columns, reply.owners.iter().map(cells)));
        return Ok(());
    }
    let owners = reply.owners.iter().map(|owner| {
        json!({
            "name": owner.name,
            "routes": owner.routes,
            "objects": owner.objects,
            "lease_ms": owner.lease_ms,
            "remaining_ms": owner.remaining_ms,
            "expired": owner.expired,
        })
    });
    print_value(format, &json!({ "generation": reply.generation, "owners": owners.collect::<Vec<_>>() }));
    Ok(())
}

fn cells(owner: &v1::Owner) -> Vec<String> {
    let (lease, remaining) = match (owner.lease_ms, owner.expired) {
        (0, _) => ("none".into(), String::new()),
        (lease, true) => (duration(lease.into()), "expired".into()),
        (lease, false) => (duration(lease.into()), duration(owner.remaining_ms.into())),
    };
    vec![owner.name.clone(), count(owner.routes), count(owner.objects), lease, remaining]
}
