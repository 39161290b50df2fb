//! Devices on kernel interfaces, in a network namespace each: net_af_packet and net_af_xdp over veth, and net_tap, with a Python raw socket as
//! the peer and tshark as the judge of checksums. Needs root, ip, python3 and tshark; fails without them.
#![cfg(feature = "dpdk")]

mod vdev_bed;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use vdev_bed::{HUGE, Reservation, bytes, eal, frame, heap, one, pool, rx_until, scratch, start, write_pcap};
use vrouter::port::dpdk::{DeviceConfig, DpdkDevice, DpdkPort, Mempool};
use vrouter::port::{BURST, IpChecksum, Port, TxReport};

const INSIDE: &str = "VROUTER_TEST_NAMESPACE";

struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        run(&["ip", "netns", "delete", &self.0]);
    }
}

/// Runs `body` in a namespace of its own that has the veth pair v0, v1 of this MTU: this very test, in a new process, without
/// huge pages and then with them.
fn in_namespace(test: &str, mtu: u16, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    child(test, mtu, false);
    let _pages = Reservation::take();
    child(test, mtu, true);
}

fn child(test: &str, mtu: u16, huge: bool) {
    let namespace = Namespace(format!("vt-ffi-{}-{}", std::process::id(), test.len()));
    run(&["ip", "netns", "add", &namespace.0]);
    // No address that the kernel would announce by itself.
    let quiet =
        "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
    run(&["ip", "netns", "exec", &namespace.0, "sh", "-c", quiet]);
    run(&["ip", "-n", &namespace.0, "link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
    for end in ["v0", "v1"] {
        run(&["ip", "-n", &namespace.0, "link", "set", end, "mtu", &mtu.to_string(), "up"]);
    }
    let program = env::current_exe().unwrap();
    let mut child = Command::new("ip");
    child.args(["netns", "exec", &namespace.0]).arg(program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    if huge {
        child.env(HUGE, "1");
    }
    let output = child.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{test} in its namespace, huge pages {huge}:\n{out}\n{err}"
    );
}

fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|e| panic!("{}: {e}", words[0]));
    assert!(output.status.success(), "{words:?} (root?): {}", String::from_utf8_lossy(&output.stderr));
}

fn interface(name: &str, field: &str) -> String {
    fs::read_to_string(format!("/sys/class/net/{name}/{field}")).unwrap().trim().to_owned()
}

/// A raw socket on an interface, in Python. Sees what arrives there, not what is sent there.
struct Peer {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn on(interface: &str) -> Peer {
        const PROGRAM: &str = r#"
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1], 0))
s.settimeout(10)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
print("ready", flush=True)
for line in sys.stdin:
    order, word = line.split()
    if order == "send":
        s.send(bytes.fromhex(word))
        continue
    left = int(word)
    while left:
        data, address = s.recvfrom(65535)
        if address[2] != socket.PACKET_OUTGOING:
            print(data.hex(), flush=True)
            left -= 1
"#;
        let mut process = Command::new("python3")
            .args(["-c", PROGRAM, interface])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut peer = Peer { process, orders, answers };
        assert_eq!(peer.line(), "ready");
        peer
    }

    fn send(&mut self, frames: &[Vec<u8>]) {
        for frame in frames {
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(self.orders, "send {hex}").unwrap();
        }
    }

    fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
        writeln!(self.orders, "receive {count}").unwrap();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        (0..count).map(|_| self.line().as_bytes().chunks(2).map(byte).collect()).collect()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn with_mtu(devargs: &str, mtu: u16, pool: &Mempool) -> (DpdkDevice, DpdkPort) {
    let config = DeviceConfig { name: "p", devargs, queue_pairs: 1, mtu: Some(mtu), large: None };
    let (device, mut ports) = DpdkDevice::start(&eal(), &config, pool).unwrap();
    (device, ports.remove(0))
}

#[test]
fn af_packet_carries_frames_both_ways() {
    in_namespace("af_packet_carries_frames_both_ways", 1500, || {
        let pool = pool("af_packet", 1023);
        let (device, mut port) = one("net_af_packet0,iface=v0", &pool);
        assert_eq!(device.mac().to_string(), interface("v0", "address"));
        assert_eq!(device.mtu(), 1500);
        let mut peer = Peer::on("v1");
        let frames: Vec<Vec<u8>> = (0..100).map(|n| frame(n, 60 + usize::from(n) * 14)).collect();
        let report = port.tx(&mut heap(&frames));
        assert_eq!(report, TxReport { frames: 100, bytes: frames.iter().map(Vec::len).sum() });
        assert_eq!(peer.receive(100), frames);
        peer.send(&frames);
        let (mut received, _) = rx_until(&mut port, 100);
        assert_eq!(bytes(&received), frames);
        // As received, in their own mbufs.
        assert_eq!(port.tx(&mut received).frames, 100);
        assert_eq!(peer.receive(100), frames);
        assert_eq!(pool.in_use(), 0);
        let counters = device.counters();
        assert_eq!((counters.received, counters.sent, counters.tx_errors), (100, 200, 0));
    });
}

#[test]
fn af_packet_queues_share_what_arrives() {
    in_namespace("af_packet_queues_share_what_arrives", 1500, || {
        let pool = pool("fanout", 1023);
        let (_device, mut ports) = start("net_af_packet0,iface=v0,qpairs=2", 4, &pool).unwrap();
        assert_eq!(ports.len(), 2, "the device has two queue pairs, four were asked for");
        let mut peer = Peer::on("v1");
        let frames: Vec<Vec<u8>> = (0..64).map(|n| frame(n, 80)).collect();
        peer.send(&frames);
        let mut received = Vec::new();
        while received.len() < 64 {
            for port in &mut ports {
                let mut burst = Vec::with_capacity(BURST);
                port.rx(&mut burst);
                received.extend(bytes(&burst));
            }
        }
        received.sort();
        assert_eq!(received, frames);
        for port in &mut ports {
            assert_eq!(port.tx(&mut heap(&frames[..8])).frames, 8);
        }
        assert_eq!(peer.receive(16), [&frames[..8], &frames[..8]].concat());
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn af_packet_carries_an_underlay_mtu() {
    in_namespace("af_packet_carries_an_underlay_mtu", 1600, || {
        let pool = pool("mtu", 255);
        let (device, mut port) = with_mtu("net_af_packet0,iface=v0", 1600, &pool);
        assert_eq!(device.mtu(), 1600);
        let mut peer = Peer::on("v1");
        let frames = [frame(1, 1614)];
        assert_eq!(port.tx(&mut heap(&frames)).frames, 1);
        assert_eq!(peer.receive(1), frames);
        peer.send(&frames);
        assert_eq!(bytes(&rx_until(&mut port, 1).0), frames);
    });
}

#[test]
fn af_xdp_carries_frames_in_every_buffer() {
    in_namespace("af_xdp_carries_frames_in_every_buffer", 1500, || {
        // before the device, whose socket it would inherit and keep open
        let mut peer = Peer::on("v1");
        let pool = pool("af_xdp", 4095);
        let (device, mut port) = one("net_af_xdp0,iface=v0", &pool);
        let on_its_ring = pool.in_use();
        assert_eq!(device.mac().to_string(), interface("v0", "address"));
        assert_eq!((device.mtu(), device.link_up()), (1500, true));
        let frames: Vec<Vec<u8>> = (0..100).map(|n| frame(n, 60 + usize::from(n) * 14)).collect();
        // The pool hands its buffers out in turn: each is sent, and each takes what arrives.
        for round in 0..50 {
            assert_eq!(port.tx(&mut heap(&frames)).frames, 100);
            assert!(peer.receive(100) == frames, "round {round} differs");
            peer.send(&frames);
            let (mut received, _) = rx_until(&mut port, 100);
            assert!(bytes(&received) == frames, "round {round} differs");
            assert_eq!(port.tx(&mut received).frames, 100);
            assert!(peer.receive(100) == frames, "round {round} differs");
        }
        let counters = device.counters();
        assert_eq!((counters.received, counters.sent, counters.tx_errors), (5000, 10_000, 0));
        drop((port, device));
        // DPDK 22.11's driver does not give back what lies on its rings.
        assert!(pool.in_use() <= on_its_ring + BURST as u32, "{} and {on_its_ring} before", pool.in_use());
        // nor its socket, whose queue is free all the same, when the kernel has come to it
        std::thread::sleep(std::time::Duration::from_secs(1));
        let (_device, mut port) = one("net_af_xdp0,iface=v0", &vdev_bed::pool("af_xdp_again", 4095));
        assert_eq!(port.tx(&mut heap(&frames)).frames, 100);
        assert!(peer.receive(100) == frames, "another device on the same interface carries nothing");
    });
}

/// An IPv4 frame whose header checksum is this.
fn ipv4(checksum: u16) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    bytes.extend([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 253]);
    bytes.extend(checksum.to_be_bytes());
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.resize(60, 0xee);
    bytes
}

/// tshark's word on each frame's IPv4 header checksum: 1 is good, 0 is bad.
fn checksum_status(frames: &[Vec<u8>]) -> String {
    let file = scratch("checksum.pcap");
    write_pcap(&file, frames);
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "ip.check_checksum:TRUE", "-T", "fields", "-e", "ip.checksum.status", "-r"]).arg(&file);
    let output = tshark.output().unwrap();
    fs::remove_file(file).unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn tap_carries_frames_and_completes_checksums() {
    in_namespace("tap_carries_frames_and_completes_checksums", 1500, || {
        let pool = pool("tap", 4095);
        let (device, mut port) = with_mtu("net_tap0,iface=vtap0", 1400, &pool);
        assert_eq!(interface("vtap0", "mtu"), "1400");
        assert!(device.link_up());
        assert!(device.offloads().tx_ip_checksum && device.offloads().rx_ip_checksum, "{:?}", device.offloads());
        let mut peer = Peer::on("vtap0");
        let frames: Vec<Vec<u8>> = (0..20).map(|n| frame(n, 60 + usize::from(n) * 60)).collect();
        assert_eq!(port.tx(&mut heap(&frames)).frames, 20);
        assert_eq!(peer.receive(20), frames);
        peer.send(&frames);
        assert_eq!(bytes(&rx_until(&mut port, 20).0), frames);

        // What is asked of the device and what is not.
        let mut burst = heap(&[ipv4(0), ipv4(0)]);
        burst[0].tx_ip_checksum = std::num::NonZeroU8::new(14);
        assert_eq!(port.tx(&mut burst).frames, 2);
        let seen = peer.receive(2);
        assert_eq!(checksum_status(&seen), "1 0");
        assert_eq!(seen[1], ipv4(0));

        // And what the device says of received ones.
        let good = seen[0].clone();
        peer.send(&[good.clone(), ipv4(0x1234)]);
        let (received, _) = rx_until(&mut port, 2);
        let told: Vec<IpChecksum> = received.iter().map(|frame| frame.rx_ip_checksum).collect();
        assert_eq!(told, [IpChecksum::Good, IpChecksum::Bad]);
        // The same mbuf sent on: the device completes it in place.
        let mut onward: Vec<_> = received.into_iter().take(1).collect();
        onward[0].bytes_mut()[24..26].fill(0);
        onward[0].tx_ip_checksum = std::num::NonZeroU8::new(14);
        port.tx(&mut onward);
        assert_eq!(peer.receive(1), [good]);

        run(&["ip", "link", "set", "vtap0", "down"]);
        assert!(!device.link_up());
        // The peer inherited the driver's file descriptors.
        drop(peer);
        drop((device, port));
        assert!(fs::metadata("/sys/class/net/vtap0").is_err(), "the interface goes with its device");
        assert_eq!(pool.in_use(), 0);
    });
}
