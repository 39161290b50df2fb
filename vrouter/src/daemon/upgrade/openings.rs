//! The new process's devices: those that both processes can have are opened while the old one forwards, the others when it has closed them.

use std::thread::sleep;
use std::time::Duration;

use crate::api::state::v1 as state;
use crate::daemon::devices::{DpdkDevices, Ends, place};
use crate::daemon::ports::Devices;
use crate::daemon::restore::info;
use crate::ids::PortIndex;
use crate::model::{NewPort, PortInfo, Unopened};
use crate::port::Port;
use crate::port::traffic::args::is_traffic;

/// Drivers of which two processes may have a device for the same thing at a time: each gets a copy of what comes, or has one of its own.
const BOTH: [&str; 2] = ["net_af_packet", "net_null"];

/// Pauses after which a device that the old process has closed is opened once more: the kernel may not have let go of it (an AF_XDP queue).
/// Few, as some drivers lose buffers each time.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// What is open, and what will be.
pub struct Openings<'a> {
    devices: &'a mut DpdkDevices,
    ends: &'a mut Ends,
    /// The old process's ports.
    before: &'a [state::Device],
    known: Vec<Known>,
}

struct Known {
    index: PortIndex,
    name: String,
    devargs: String,
    queues: Option<u16>,
    mtu: Option<u16>,
    /// What it is, or was in the old process.
    info: PortInfo,
    open: bool,
    /// A port of the configuration: the daemon does not run without it.
    needed: bool,
}

/// What became of the devices that were to wait.
#[derive(Debug, Default)]
pub struct Opened {
    /// Those that do not open, and why.
    pub dead: Vec<(PortIndex, String, String)>,
    /// One is not what it was.
    pub changed: bool,
}

impl<'a> Openings<'a> {
    pub fn new(devices: &'a mut DpdkDevices, ends: &'a mut Ends, before: &'a [state::Device]) -> Openings<'a> {
        Openings { devices, ends, before, known: Vec::new() }
    }

    /// What a port is, or will be. A model may be made of it again: then it is what it turned out to be.
    pub fn open(&mut self, wanted: &NewPort, needed: bool) -> Result<PortInfo, Unopened> {
        if let Some(known) = self.known.iter().find(|known| known.index == wanted.index) {
            return Ok(known.info.clone());
        }
        let before = self.before.iter().find(|port| port.name == wanted.name && port.devargs == wanted.devargs);
        let mut open = false;
        let info = match before.and_then(info).filter(|_| !can_both(wanted.devargs)) {
            Some(before) => before,
            None => {
                let (info, ends) = self.devices.open(wanted)?;
                place(self.ends, wanted.index, ends);
                open = true;
                info
            }
        };
        let NewPort { index, name, devargs, queues, mtu } = *wanted;
        let (name, devargs) = (name.to_owned(), devargs.to_owned());
        self.known.push(Known { index, name, devargs, queues, mtu, info: info.clone(), open, needed });
        Ok(info)
    }

    /// Drops what has come meanwhile to devices that both processes have.
    pub fn discard(&mut self) {
        self.ends.iter_mut().flatten().flatten().for_each(|end| end.settle());
    }

    /// The others, by name.
    pub fn waiting(&self) -> Vec<String> {
        self.known.iter().filter(|known| !known.open).map(|known| known.name.clone()).collect()
    }

    /// Opens the others.
    ///
    /// # Errors
    /// One of the configuration's does not open: its name, and why.
    pub fn open_rest(&mut self) -> Result<Opened, (String, String)> {
        let mut opened = Opened::default();
        for known in self.known.iter_mut().filter(|known| !known.open) {
            let Known { index, queues, mtu, .. } = *known;
            let wanted = NewPort { index, name: &known.name, devargs: &known.devargs, queues, mtu };
            match open_again(self.devices, &wanted) {
                Ok((info, ends)) => {
                    place(self.ends, index, ends);
                    opened.changed |= info != known.info;
                    known.info = info;
                }
                Err(why) if known.needed => return Err((known.name.clone(), why.reason)),
                Err(why) => opened.dead.push((index, known.name.clone(), why.reason)),
            }
            known.open = true;
        }
        Ok(opened)
    }
}

/// Opens what the old process had open a moment ago: that its devargs are wrong is not likely.
fn open_again(devices: &mut DpdkDevices, wanted: &NewPort) -> Result<(PortInfo, Vec<Box<dyn Port>>), Unopened> {
    for pause in PAUSES {
        match devices.open(wanted) {
            Err(why) => tracing::info!(port = wanted.name, why.reason, "is opened again in {pause:?}"),
            opened => return opened,
        }
        sleep(pause);
    }
    devices.open(wanted)
}

fn can_both(devargs: &str) -> bool {
    is_traffic(devargs) || BOTH.iter().any(|driver| devargs.trim_start().starts_with(driver))
}
