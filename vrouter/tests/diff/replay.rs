//! A kept case through the product alone: what leaves, what is dropped and which flows are there must be what its folder says.

use super::case::{Event, Kept};
use super::product::{Drops, Product, flow_lines, new_drops};

/// What is not as kept.
pub fn replay(kept: &Kept, workers: usize) -> Result<(), String> {
    let mut product = Product::new(workers);
    product.apply(&kept.case.network.text()).map_err(|(_, why)| format!("the network is refused: {why}"))?;
    product.take();
    let mut drops = Drops::new();
    let flows_at = kept.case.events.len().saturating_sub(1);
    for (at, (event, expected)) in kept.case.events.iter().zip(&kept.expected).enumerate() {
        let mut refused = false;
        match event {
            Event::Frame { port, bytes } => product.receive(*port, &[bytes]),
            Event::Apply(batch) => refused = product.apply(&batch.text()).is_err(),
            Event::Delete { kind, key } => {
                refused = !product.delete(kind, key);
                // the books keep a deleted VIF's drops, as those of none
                drops = product.drops();
            }
            Event::Link { port, up } => {
                product.tick();
                product.link(*port, *up);
                product.tick();
            }
            Event::Session { name, failed } => product.session(name, *failed),
            Event::Wait(millis) => (0..millis / 100).for_each(|_| product.tick()),
        }
        let what = |kind: &str| format!("event {} ({}): {kind}", at + 1, name(event));
        if refused != expected.refused {
            return Err(what(if refused { "refused" } else { "not refused" }));
        }
        let mut sent: Vec<_> = product.take().into_iter().map(|sent| masked(sent.port, sent.bytes)).collect();
        let mut wanted: Vec<_> = expected.sent.iter().map(|(port, bytes)| masked(*port, bytes.clone())).collect();
        sent.sort();
        wanted.sort();
        if sent != wanted {
            return Err(format!("{}\n  came {sent:x?}\n  kept {wanted:x?}", what("other frames")));
        }
        let dropped = new_drops(&mut product, &mut drops);
        if dropped != expected.drops {
            return Err(format!("{}: {dropped:?}, kept {:?}", what("other drops"), expected.drops));
        }
        let flows = if at == flows_at { flow_lines(&mut product) } else { Vec::new() };
        if at == flows_at && flows != kept.flows {
            return Err(format!("{}\n  there {flows:#?}\n  kept {:#?}", what("other flows"), kept.flows));
        }
    }
    Ok(())
}

fn name(event: &Event) -> String {
    match event {
        Event::Frame { port, .. } => format!("in p{port}"),
        Event::Apply(_) => "apply".into(),
        Event::Delete { kind, key } => format!("delete {kind} {key}"),
        Event::Link { port, up } => format!("link p{port} up {up}"),
        Event::Session { name, failed } => format!("session {name} failed {failed}"),
        Event::Wait(millis) => format!("wait {millis}"),
    }
}

/// The UDP source port of a tunnel is ours to choose in 49152 to 65535, and so is the flow label of an outer IPv6 header but for 0: 0 and 1
/// in their places.
fn masked(port: usize, mut bytes: Vec<u8>) -> (usize, Vec<u8>) {
    let tag = if bytes.get(12..14) == Some(&[0x81, 0]) { 4 } else { 0 };
    let (ip, ethertype) = (14 + tag, bytes.get(12 + tag..14 + tag));
    let (protocol, upper) = match ethertype {
        Some([8, 0]) if bytes.get(ip) == Some(&0x45) => (bytes.get(ip + 9).copied(), ip + 20),
        Some([0x86, 0xdd]) => (bytes.get(ip + 6).copied(), ip + 40),
        _ => return (port, bytes),
    };
    let tunnel = match protocol {
        Some(17) => [Some(&[0x12, 0xb5][..]), Some(&[0x19, 0xeb])].contains(&bytes.get(upper + 2..upper + 4)),
        Some(47) => true,
        _ => false,
    };
    if (port != 0 && port != 7) || !tunnel {
        return (port, bytes);
    }
    if upper == ip + 40 && (bytes[ip + 1] & 15, bytes[ip + 2], bytes[ip + 3]) != (0, 0, 0) {
        bytes[ip + 1] &= 0xf0;
        bytes[ip + 2..ip + 4].copy_from_slice(&[0, 1]);
    }
    if protocol == Some(17) && bytes[upper] >= 0xc0 {
        bytes[upper..upper + 2].fill(0);
    }
    (port, bytes)
}
