//! The model of the process before, at start: its objects with their numbers, its ports with their devices.

use super::devices::{DpdkDevices, Ends, place};
use super::ledger::{LedgerError, Opened};
use super::ports::Devices;
use super::start::StartError;
use crate::api::state::v1 as state;
use crate::durable::{DurableError, Image};
use crate::ids::{Generation, Mac, PortIndex};
use crate::model::{Model, NewPort, PortInfo, Unopened};

/// Takes in what the directory says. A port whose device does not open is there without one: it receives nothing, what is sent to it is
/// dropped, and it has no link, so that groups and gateways pass it by; all others forward.
pub(super) fn restore(
    kept: &Opened,
    model: &mut Model,
    devices: &mut DpdkDevices,
    ends: &mut Ends,
) -> Result<(), StartError> {
    let image = &kept.recovered.image;
    let numbers = image.numbers();
    let mut dead: Vec<PortIndex> = Vec::new();
    let mut open = |wanted: NewPort| match devices.open(&wanted) {
        Ok((info, opened)) => {
            place(ends, wanted.index, opened);
            Ok(info)
        }
        Err(unopened) => {
            let before = numbers.ports.iter().find(|port| port.name == wanted.name);
            let Some(before) = before.and_then(info) else { return Err::<PortInfo, Unopened>(unopened) };
            let (port, devargs) = (wanted.name, wanted.devargs);
            tracing::error!(
                port,
                devargs,
                reason = unopened.reason,
                "a port of the state is there without its device: delete and add it"
            );
            dead.push(wanted.index);
            Ok(PortInfo { devargs: devargs.to_owned(), ..before })
        }
    };
    objects(image, Generation(kept.generation()), model, &mut open)?;
    for port in dead {
        model.link(port, false);
    }
    Ok(())
}

/// Takes in the objects of an image, as this generation or a later one.
pub(super) fn objects(
    image: &Image,
    generation: Generation,
    model: &mut Model,
    open: &mut dyn FnMut(NewPort) -> Result<PortInfo, Unopened>,
) -> Result<(), StartError> {
    let mut damaged = None;
    let objects = image.objects().map_while(|object| object.map_err(|fault| damaged = Some(fault)).ok());
    let restored = model.restore(objects, &image.numbers(), generation, open);
    restored.map_err(|refused| StartError::State {
        object: format!("what the state directory holds: {}", refused.object),
        field: refused.field,
        reason: refused.reason,
    })?;
    if let Some(fault) = damaged {
        let error = DurableError::Corrupt { file: "the state directory".into(), offset: 0, fault };
        return Err(LedgerError::Durable(String::new(), error).into());
    }
    tracing::info!(objects = image.len(), generation = model.generation().0, "restored");
    Ok(())
}

/// What a port was.
pub(super) fn info(port: &state::Device) -> Option<PortInfo> {
    Some(PortInfo {
        name: port.name.clone(),
        devargs: port.devargs.clone(),
        mac: Mac(port.mac.as_slice().try_into().ok()?),
        mtu: port.mtu.try_into().ok()?,
        queues: port.queues.try_into().ok()?,
    })
}
