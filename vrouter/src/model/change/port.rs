//! Ports: their devices are opened while the batch is judged, and closed again if it is refused.

use std::sync::Arc;

use super::Mode;
use crate::api::v1;
use crate::model::limits::{NewPort, Open};
use crate::model::read;
use crate::model::records::Port;
use crate::model::refusal::{At, Reason, Refusal};
use crate::model::state::State;

/// The least L3 MTU (RFC 791), and jumbo frames with some room.
const MTU: (u32, u32) = (576, 9600);

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::Port, open: &mut Open) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.port_by_name.get(name).copied();
    mode.allows(old.is_some())?;
    let devargs = read::devargs(&given.devargs).at("devargs")?;
    let queues = unless_zero(given.queues, |queues| read::number(queues, 1, u16::MAX.into())).at("queues")?;
    let mtu = unless_zero(given.mtu, |mtu| read::number(mtu, MTU.0, MTU.1)).at("mtu")?;
    if let Some(old) = old {
        return check_same(state.port(old), devargs, queues, mtu);
    }
    let same = |other: &&Arc<Port>| device(&other.info.devargs) == device(devargs);
    if let Some(other) = state.ports.iter().flatten().find(same) {
        let taken = Reason::DeviceTaken { device: device(devargs).into(), port: other.info.name.clone() };
        return Err(taken.at("devargs"));
    }
    let index = state.free_port().at("")?;
    let info = open(NewPort { index, name, devargs, queues, mtu })
        .map_err(|unopened| Reason::Device(unopened.reason).at(unopened.field))?;
    state.set_port(index, Some(Arc::new(Port { info, queues, mtu, link_up: true })));
    Ok(())
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<(), Refusal> {
    let index = *state.port_by_name.get(name).ok_or(Reason::NotThere).at("")?;
    if let Some(vif) = state.vifs_on(index).next() {
        return Err(Reason::InUse(format!("VIF {}", state.vif_name(vif))).at(""));
    }
    state.set_port(index, None);
    Ok(())
}

/// A port is never changed: what is given must be what was given, or what the device has, or nothing.
fn check_same(old: &Port, devargs: &str, queues: Option<u16>, mtu: Option<u16>) -> Result<(), Refusal> {
    let same =
        |given: Option<u16>, wanted: Option<u16>, has: u16| given.is_none() || given == wanted || given == Some(has);
    if old.info.devargs != devargs {
        return Err(Reason::Fixed.at("devargs"));
    }
    if !same(queues, old.queues, old.info.queues) {
        return Err(Reason::Fixed.at("queues"));
    }
    if same(mtu, old.mtu, old.info.mtu) { Ok(()) } else { Err(Reason::Fixed.at("mtu")) }
}

fn unless_zero(given: u32, read: impl FnOnce(u32) -> Result<u32, Reason>) -> Result<Option<u16>, Reason> {
    if given == 0 { Ok(None) } else { read(given).map(|number| Some(number as u16)) }
}

/// What comes before the first comma: the device itself.
fn device(devargs: &str) -> &str {
    devargs.split(',').next().unwrap_or(devargs).trim()
}
