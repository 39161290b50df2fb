//! What the devargs of a source or sink say.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::profile::{MOST_FLOWS, NEW_FLOWS, Profile, Range, Sizes, Split, Tunnel, TunnelKind};
use crate::ids::{Label, Mac, Vni};
use crate::port::BURST;

/// Sources and sinks have the numbers below this; so many streams can be told apart.
pub const DEVICES: u8 = 16;
/// Frames a second of a paced source, at most.
const FASTEST: u64 = 100_000_000;

/// A source or sink as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub number: u8,
    /// Its own address, of which a VIF may make use.
    pub mac: Mac,
    /// Absent: a sink.
    pub profile: Option<Profile>,
}

/// Which argument is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{argument}: {reason}")]
pub struct ArgumentError {
    /// Its name, or the device's.
    pub argument: String,
    pub reason: String,
}

/// Whether these devargs name a source or a sink.
pub fn is_traffic(devargs: &str) -> bool {
    let name = device(devargs);
    name.starts_with("source") || name.starts_with("sink")
}

/// Reads devargs of which [`is_traffic`] is true.
pub fn parse(devargs: &str) -> Result<Device, ArgumentError> {
    let name = device(devargs);
    let (source, number) = match name.strip_prefix("source") {
        Some(number) => (true, number),
        None => (false, name.strip_prefix("sink").unwrap_or(name)),
    };
    if number.len() > 1 && !number.starts_with('1') {
        return Err(wrong(name, format!("{number:?} is not within 0 to {}, or not its shortest form", DEVICES - 1)));
    }
    let number: u8 = within(name, number, 0, DEVICES - 1)?;
    let mut given = Given::read(devargs)?;
    let mac = given.take("mac")?.unwrap_or(Mac([2, 0x76, 0x72, 0, source.into(), number]));
    let profile = if source { Some(profile(&mut given)?) } else { None };
    match given.0.into_keys().min() {
        Some(unknown) => {
            Err(wrong(unknown, format!("{} has no such argument", name.trim_end_matches(char::is_numeric))))
        }
        None => Ok(Device { number, mac, profile }),
    }
}

fn profile(given: &mut Given) -> Result<Profile, ArgumentError> {
    let clients = given.range("clients")?.unwrap_or(Range { first: Ipv4Addr::new(10, 128, 0, 0).into(), bits: 16 });
    let servers = given.range("servers")?.unwrap_or(Range { first: Ipv4Addr::new(20, 0, 0, 1).into(), bits: 0 });
    if clients.first.is_ipv4() != servers.first.is_ipv4() {
        return Err(wrong("servers", "not of the clients' family"));
    }
    let first_port = given.within("first_port", 1, u16::MAX)?.unwrap_or(1024);
    let room = Profile::room(clients, first_port);
    let flows = match given.0.remove("flows") {
        Some("new") => room.min(NEW_FLOWS),
        Some(flows) => within("flows", flows, 1, MOST_FLOWS)?,
        None => 1,
    };
    if flows > room {
        return Err(wrong("flows", format!("{flows} are more than addresses and ports of clients: {room}")));
    }
    let sizes = match given.0.remove("size") {
        Some("imix") => Sizes::Imix,
        Some(size) => Sizes::One(within("size", size, 64, 1518)?),
        None => Sizes::One(64),
    };
    let reply = given.word("direction", &[("forward", false), ("reply", true)])?.unwrap_or(false);
    let split = [("disjoint", Split::Disjoint), ("crossed", Split::Crossed), ("shared", Split::Shared)];
    let split = given.word("split", &split)?.unwrap_or(Split::Disjoint);
    let macs = (
        given.take("source_mac")?.unwrap_or(Mac([2, 0, 0, 0, 0, 2])),
        given.take("destination_mac")?.unwrap_or(Mac([0, 0, 0x5e, 0, 1, 0])),
    );
    Ok(Profile {
        flows,
        clients,
        servers,
        first_port,
        server_port: given.within("server_port", 1, u16::MAX)?.unwrap_or(80),
        reply,
        sizes,
        rate: given.within("rate", 1, FASTEST)?,
        burst: given.within("burst", 1, BURST)?.unwrap_or(BURST),
        after: given.within("after", 0, u64::MAX)?.unwrap_or(0),
        frames: given.within("frames", 0, u64::MAX)?,
        split,
        macs,
        tunnel: tunnel(given)?,
    })
}

fn tunnel(given: &mut Given) -> Result<Option<Tunnel>, ArgumentError> {
    let vni = given.within("vni", 0, (1 << 24) - 1)?.map(Vni);
    let label = given.within("label", 16, (1 << 20) - 1)?.map(Label);
    let kind = match (vni, label) {
        (Some(_), Some(_)) => return Err(wrong("label", "not beside vni: one is VXLAN, the other MPLS-over-UDP")),
        (Some(vni), None) => TunnelKind::Vxlan(vni),
        (None, Some(label)) => TunnelKind::MplsOverUdp(label),
        (None, None) => return Ok(None),
    };
    let needed = |argument: &str| wrong(argument, "needed for a tunnel");
    Ok(Some(Tunnel {
        kind,
        macs: (
            given.take("outer_source_mac")?.ok_or_else(|| needed("outer_source_mac"))?,
            given.take("outer_destination_mac")?.ok_or_else(|| needed("outer_destination_mac"))?,
        ),
        source: given.take("outer_source")?.ok_or_else(|| needed("outer_source"))?,
        destination: given.take("outer_destination")?.ok_or_else(|| needed("outer_destination"))?,
    }))
}

/// Arguments that nobody has read yet, by name.
struct Given<'a>(HashMap<&'a str, &'a str>);

impl<'a> Given<'a> {
    fn read(devargs: &'a str) -> Result<Given<'a>, ArgumentError> {
        let mut given = HashMap::new();
        for argument in devargs.split(',').skip(1) {
            let (name, value) = argument.split_once('=').ok_or_else(|| wrong(argument, "is not NAME=VALUE"))?;
            if given.insert(name.trim(), value.trim()).is_some() {
                return Err(wrong(name, "is given twice"));
            }
        }
        Ok(Given(given))
    }

    fn take<T: Read>(&mut self, name: &str) -> Result<Option<T>, ArgumentError> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        T::read(text).map(Some).ok_or_else(|| wrong(name, format!("{text:?} is not {}", T::WHAT)))
    }

    fn within<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        least: T,
        most: T,
    ) -> Result<Option<T>, ArgumentError> {
        self.0.remove(name).map(|text| within(name, text, least, most)).transpose()
    }

    fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ArgumentError> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| wrong(name, format!("{text:?} is none of {}", known())))
    }

    /// A prefix, or one address.
    fn range(&mut self, name: &str) -> Result<Option<Range>, ArgumentError> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let first: IpAddr = address.parse().map_err(|_| wrong(name, format!("{address:?} is no IP address")))?;
        let (all, least) = if first.is_ipv4() { (32, 1) } else { (128, 96) };
        let length = length.map_or(Ok(all), |length| within(name, length, least, all))?;
        let range = Range { first, bits: all - length };
        let (last, varies) = range.last();
        if last & varies != 0 {
            return Err(wrong(name, format!("{text} has bits beyond its length")));
        }
        Ok(Some(range))
    }
}

trait Read: Sized {
    const WHAT: &'static str;
    fn read(text: &str) -> Option<Self>;
}

impl Read for Mac {
    const WHAT: &'static str = "a station's MAC address";
    fn read(text: &str) -> Option<Mac> {
        let mut octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok().filter(|_| octet.len() == 2));
        let mut mac = [0; 6];
        for octet in &mut mac {
            *octet = octets.next()??;
        }
        (octets.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(Mac(mac))
    }
}

impl Read for Ipv4Addr {
    const WHAT: &'static str = "an IPv4 address";
    fn read(text: &str) -> Option<Ipv4Addr> {
        text.parse().ok()
    }
}

fn within<T: FromStr + PartialOrd + Display>(name: &str, text: &str, least: T, most: T) -> Result<T, ArgumentError> {
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| wrong(name, format!("{text:?} is not within {least} to {most}")))
}

fn wrong(argument: &str, reason: impl Into<String>) -> ArgumentError {
    ArgumentError { argument: argument.trim().into(), reason: reason.into() }
}

fn device(devargs: &str) -> &str {
    devargs.split(',').next().unwrap_or(devargs).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_whole() {
        let text = "source3,flows=10000000,clients=2001:db8::/112,servers=2001:db8:1::7,first_port=1000,server_port=443,\
                    direction=reply,size=imix,rate=1000000,burst=8,after=5,frames=9,split=crossed,mac=02:00:00:00:00:aa,\
                    source_mac=02:00:00:00:00:01,destination_mac=02:00:00:00:00:02,label=300,outer_source=172.31.0.2,\
                    outer_destination=172.31.0.1,outer_source_mac=02:00:00:00:00:12,outer_destination_mac=02:00:00:00:00:34";
        let mac = |last| Mac([2, 0, 0, 0, 0, last]);
        let range = |first: &str, bits| Range { first: first.parse().unwrap(), bits };
        let profile = Profile {
            flows: 10_000_000,
            clients: range("2001:db8::", 16),
            servers: range("2001:db8:1::7", 0),
            first_port: 1000,
            server_port: 443,
            reply: true,
            sizes: Sizes::Imix,
            rate: Some(1_000_000),
            burst: 8,
            after: 5,
            frames: Some(9),
            split: Split::Crossed,
            macs: (mac(1), mac(2)),
            tunnel: Some(Tunnel {
                kind: TunnelKind::MplsOverUdp(Label(300)),
                macs: (mac(0x12), mac(0x34)),
                source: Ipv4Addr::new(172, 31, 0, 2),
                destination: Ipv4Addr::new(172, 31, 0, 1),
            }),
        };
        assert_eq!(parse(text), Ok(Device { number: 3, mac: mac(0xaa), profile: Some(profile) }));
        assert_eq!(parse("sink7").unwrap(), Device { number: 7, mac: Mac([2, 0x76, 0x72, 0, 0, 7]), profile: None });
        assert_eq!(parse("source0,flows=new").unwrap().profile.unwrap().flows, 64512 << 16);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let tunnel = "outer_source=1.1.1.1,outer_destination=1.1.1.2,outer_source_mac=02:00:00:00:00:01";
        for (text, argument, reason) in [
            ("source16", "source16", "\"16\" is not within 0 to 15"),
            // one name a device: two of one number would be one stream
            ("source07", "source07", "\"07\" is not within 0 to 15, or not its shortest form"),
            ("source+7", "source+7", "\"+7\" is not within 0 to 15, or not its shortest form"),
            ("sink", "sink", "\"\" is not within 0 to 15"),
            ("sink0,flows=1", "flows", "sink has no such argument"),
            ("source0,colour=red", "colour", "source has no such argument"),
            ("source0,flows", "flows", "is not NAME=VALUE"),
            ("source0,flows=1,flows=2", "flows", "is given twice"),
            ("source0,flows=0", "flows", "\"0\" is not within 1 to 16777216"),
            (
                "source0,flows=65,clients=10.0.0.1,first_port=65472",
                "flows",
                "65 are more than addresses and ports of clients: 64",
            ),
            ("source0,clients=10.0.0.0/0", "clients", "\"0\" is not within 1 to 32"),
            ("source0,clients=10.0.0.1/24", "clients", "10.0.0.1/24 has bits beyond its length"),
            ("source0,clients=2001:db8::/64", "clients", "\"64\" is not within 96 to 128"),
            ("source0,servers=2001:db8::1", "servers", "not of the clients' family"),
            ("source0,servers=nowhere", "servers", "\"nowhere\" is no IP address"),
            ("source0,size=63", "size", "\"63\" is not within 64 to 1518"),
            ("source0,rate=0", "rate", "\"0\" is not within 1 to 100000000"),
            ("source0,burst=65", "burst", "\"65\" is not within 1 to 64"),
            ("source0,direction=up", "direction", "\"up\" is none of forward, reply"),
            ("source0,mac=01:00:00:00:00:01", "mac", "\"01:00:00:00:00:01\" is not a station's MAC address"),
            ("source0,vni=16777216", "vni", "\"16777216\" is not within 0 to 16777215"),
            ("source0,label=15", "label", "\"15\" is not within 16 to 1048575"),
            ("source0,vni=1,label=16", "label", "not beside vni: one is VXLAN, the other MPLS-over-UDP"),
            (&format!("source0,vni=1,{tunnel}"), "outer_destination_mac", "needed for a tunnel"),
            (&format!("source0,{tunnel}"), "outer_destination", "source has no such argument"),
            (
                "source0,vni=1,outer_source=::1,outer_source_mac=02:00:00:00:00:01,outer_destination_mac=02:00:00:00:00:01",
                "outer_source",
                "\"::1\" is not an IPv4 address",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((&*error.argument, &*error.reason), (argument, reason), "{text}");
        }
    }

    #[test]
    fn devices_of_dpdk_are_left_to_it() {
        assert!(is_traffic("source0,flows=1") && is_traffic(" sink1") && is_traffic("sourcex"));
        assert!(!is_traffic("net_null0") && !is_traffic("0000:01:00.0"));
    }
}
