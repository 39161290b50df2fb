//! Filters beside tcpdump's: of the same frames, those that scapy built for the wire tests and broken ones, both choose the same.

use std::io::Write;
use std::process::{Command, Stdio};

use vrouter::packet::filter::Filter;

/// So long that neither reader comes to a frame's end: what is not there libpcap refuses for the whole filter, we for the test that needs it.
const LENGTH: usize = 600;

const FILTERS: &[&str] = &[
    "ip",
    "ip6",
    "arp",
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmp6",
    "host 10.1.1.10",
    "src host 10.1.1.10",
    "dst 10.1.1.20",
    "host fd01::10",
    "dst host fd01::20 or arp",
    "arp host 10.1.1.1",
    "ip host 10.1.1.10 and not tcp",
    "ip6 src host fd01::10",
    "net 10.1.1.0/24",
    "src net 10.0.0.0/8 and dst net 10.1.1.16/28",
    "net 10.1",
    "net fd01::/16",
    "not net 10.0.0.0/8",
    "port 80",
    "tcp port 80 or 443",
    "udp dst port 4789",
    "src port 1000 or dst port 2000",
    "src or dst port 53",
    "src and dst portrange 1-65535",
    "udp portrange 4000-7000",
    "not port 4789 and udp",
    "proto 47",
    "ip proto 17",
    "ip6 proto 58",
    "not ip proto 6",
    "ether host 02:00:00:00:0a:01",
    "ether src 02:00:00:00:0a:01 or ether dst 02:00:00:00:0a:02",
    "ether broadcast",
    "ether multicast and not broadcast",
    "multicast or icmp",
    "vlan",
    "vlan 10",
    "vlan and ip",
    "vlan 10 and host 10.1.1.31",
    "vlan 10 and vlan 30 and udp",
    "tcp and not vlan",
    "not arp and vlan 10 and ip",
    "geneve",
    "geneve 100",
    "geneve and udp",
    "geneve 100 and host 10.1.1.10 and not tcp",
    "geneve and ether host 02:0a:00:00:01:01",
    "udp port 6081 and geneve and ip6",
    "tcp or udp and host 10.1.1.10",
    "host 10.1.1.10 or 10.1.1.11 and udp",
    "not (tcp or udp) and (ip or ip6)",
    "!tcp&&!(udp||arp)",
    "less 600",
    "greater 601",
];

fn frames() -> Vec<Vec<u8>> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/frames")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files.into_iter().filter(|file| file.extension().is_some_and(|of| of == "hex")) {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let (_, hex) = line.split_once(": ").unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            all.push((0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>());
        }
    }
    all.retain(|frame| frame.len() < LENGTH);
    let mut random = 7_u64;
    let broken: Vec<_> = all.iter().flat_map(|frame| [frame; 3]).map(|frame| broken(frame, &mut random)).collect();
    all.extend(broken);
    all.iter_mut().for_each(|frame| frame.resize(LENGTH, 0));
    all
}

/// With some bytes of its headers changed.
fn broken(frame: &[u8], random: &mut u64) -> Vec<u8> {
    let mut broken = frame.to_vec();
    for _ in 0..3 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let at = *random as usize % broken.len().min(100);
        broken[at] ^= 1 << ((*random >> 40) % 8);
    }
    broken
}

/// A pcap file; a frame's place is its time.
fn file(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    [0, 0, 65_535, 1_u32].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    for (at, frame) in frames.iter().enumerate() {
        let length = frame.len() as u32;
        [at as u32, 0, length, length].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend(frame);
    }
    bytes
}

/// The places of the frames that tcpdump chooses.
fn chosen(file: &[u8], filter: &str) -> Vec<usize> {
    let mut tcpdump = Command::new("tcpdump")
        .args(["-r", "-", "-w", "-", filter])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump is installed (scripts/packages.txt)");
    let (mut stdin, file) = (tcpdump.stdin.take().unwrap(), file.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&file));
    let output = tcpdump.wait_with_output().unwrap();
    _ = writer.join().unwrap();
    assert!(output.status.success(), "{filter}: {}", String::from_utf8_lossy(&output.stderr));
    let (mut rest, mut places) = (&output.stdout[24..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<16>() {
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        places.push(word(0));
        rest = &behind[word(8)..];
    }
    places
}

#[test]
fn the_same_frames_as_tcpdump_chooses() {
    let frames = frames();
    let file = file(&frames);
    assert!(frames.len() > 1000, "{}", frames.len());
    let mut never = Vec::new();
    for text in FILTERS {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let ours: Vec<usize> = (0..frames.len()).filter(|at| filter.matches(&frames[*at])).collect();
        let theirs = chosen(&file, text);
        let differ = ours.iter().find(|at| !theirs.contains(at)).or(theirs.iter().find(|at| !ours.contains(at)));
        if let Some(at) = differ {
            panic!("{text}: tcpdump {}: {:02x?}", theirs.contains(at), &frames[*at][..100]);
        }
        if ours.is_empty() || ours.len() == frames.len() {
            never.push(*text);
        }
    }
    // no frame of ours is SCTP, all have one length
    assert_eq!(never, ["less 600", "greater 601"], "filters that choose nothing or everything prove little");
}
