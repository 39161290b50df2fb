"""Sources and sinks: scapy reads what sources make, and what the daemon makes of it."""

import collections
import ipaddress
import itertools
import os

from lab import checked
from lab.bed import Bed, port
from lab.process import Failure, until
from lab.wire import IP, MPLS, UDP, VXLAN, Ether, IPv6, PcapReader

OUTER = ("outer_source=172.31.0.2,outer_destination=172.31.0.1,outer_source_mac=02:00:00:00:00:12,"
         "outer_destination_mac=02:00:00:00:00:34")
SIXES = "clients=2001:db8::/112,servers=2001:db8:1::7"
MAGIC = 0x7652
FRAMES = 240


def settings(picture, **more):
    return {
        "workers": {"count": 1}, "idle": "backoff", "mempool": {"mbufs": 4096},
        "eal": {"huge_pages": False, "memory_mb": 64, "file_prefix": f"{picture.lab.prefix}-bed"},
        "limits": {"flows_v4": 16384, "flows_v6": 16384}, **more,
    }


def made(picture, profile):
    """The frames of a source, by way of a file."""
    path = f"{picture.lab.folder}/made.pcap"
    devargs = {"a": f"source3,frames={FRAMES},{profile}", "b": f"net_pcap0,tx_pcap={path}"}
    with Bed(picture.bin, picture.lab.folder, "made", devargs, settings(picture), only_move=True) as bed:
        until(lambda: int(port(bed.stats(), "b")["tx_packets"]) == FRAMES, 10, "all frames to be made")
    with PcapReader(path) as reader:
        frames = [bytes(frame) for frame in reader]
    checked.tshark(path)
    os.unlink(path)
    return frames


def stamp(frame):
    """Stream, sequence number and time."""
    assert int.from_bytes(frame[-16:-14], "big") == MAGIC, frame[-16:].hex()
    return tuple(int.from_bytes(frame[a:b or None], "big") for a, b in ((-14, -12), (-12, -8), (-8, None)))


def correct(packet):
    """Scapy's own lengths and checksums are those that the packet has."""
    again = packet.copy()
    for layer in (IP, IPv6, UDP):
        count = 1
        while (found := again.getlayer(layer, count)) is not None:
            for field in ("len", "plen"):
                if field in found.fields:
                    delattr(found, field)
            # 0: an IPv4 sender's choice
            if found.fields.get("chksum"):
                del found.chksum
            count += 1
    assert bytes(again) == bytes(packet), f"{packet.show(dump=True)}\n{again.show(dump=True)}"


def ends(packet):
    """The innermost packet's two ends."""
    last = 1
    while packet.getlayer(UDP, last + 1) is not None:
        last += 1
    udp = packet.getlayer(UDP, last)
    ip = udp.underlayer
    return (ip.src, udp.sport), (ip.dst, udp.dport)


def test_scapy_reads_what_sources_make(picture):
    kinds = itertools.product(("clients=10.128.0.0/28,servers=20.0.0.0/24", SIXES), ("", f",vni=70000,{OUTER}", f",label=70000,{OUTER}"))
    rest = itertools.product((64, 101, 1518, "imix"), ("", ",direction=reply"))
    # each family in each tunnel, twice; sizes and directions go round beside
    for (family, tunnel), (size, reply) in zip(2 * list(kinds), itertools.cycle(rest)):
        check_made(picture, family, tunnel, size, reply)


def check_made(picture, family, tunnel, size, reply):
    frames = made(picture, f"flows=48,{family},size={size}{reply}{tunnel}")
    assert len(frames) == FRAMES
    assert [stamp(frame)[:2] for frame in frames] == [(3 << 4, number) for number in range(FRAMES)]
    packets = [Ether(frame) for frame in frames]
    seen, outer_ports = collections.Counter(), collections.defaultdict(set)
    lengths = collections.Counter()
    # MPLS carries the packet without its Ethernet header
    headers = 50 if "vni" in tunnel else 50 - 4 - 14 if "label" in tunnel else 0
    for packet, frame in zip(packets, frames):
        correct(packet)
        lengths[len(frame) - headers + 4] += 1
        flow = ends(packet)
        seen[flow] += 1
        if tunnel:
            outer = packet[IP]
            assert (outer.src, outer.dst, packet.src, packet.dst) == ("172.31.0.2", "172.31.0.1", "02:00:00:00:00:12", "02:00:00:00:00:34")
            assert packet[UDP].sport >= 49152
            outer_ports[flow].add(packet[UDP].sport)
            inner = packet[VXLAN] if "vni" in tunnel else packet[MPLS]
            assert (inner.vni if "vni" in tunnel else inner.label) == 70000
    # 48 flows in rounds: each five times
    assert set(seen.values()) == {5} and len(seen) == 48, seen
    for source, destination in seen:
        client, server = (destination, source) if reply else (source, destination)
        networks = [ipaddress.ip_network(word.split("=")[1]) for word in family.split(",")]
        assert ipaddress.ip_address(client[0]) in networks[0] and ipaddress.ip_address(server[0]) in networks[1]
        assert client[1] >= 1024 and server[1] == 80
    if tunnel:
        assert all(len(ports) == 1 for ports in outer_ports.values()) and len(set.union(*outer_ports.values())) > 40
    least = 82 if family == SIXES else 64
    wanted = {64: 140, 594: 80, 1518: 20} if size == "imix" else {size: FRAMES}
    assert lengths == {max(size, least): count for size, count in wanted.items()}, lengths


# ---------------------------------------------------------------------------------------------- through the daemon

NETWORK = {
    "settings": {"underlay_vrf": "underlay", "vtep": "172.31.0.1"},
    "vrfs": [{"name": "underlay"}, {"name": "red"}],
    "acls": [{"name": "out", "rules": [{"action": "permit", "protocol": "udp", "destination_ports": [80]}]}],
    "vifs": [
        {"name": "uplink", "kind": "fabric", "port": "fabric", "vrf": "underlay", "mac": "02:00:00:00:00:34",
         "addresses": ["172.31.0.1"], "subnets": ["172.31.0.0/24"]},
        {"name": "red1", "port": "tenant", "vrf": "red", "mac": "02:00:00:00:00:02", "gateway_v4": "10.129.0.1",
         "allowed_sources": ["10.128.0.0/16"], "acl_from_vif": "out", "acl_to_vif": "out"},
    ],
    "neighbours": [{"vif": "uplink", "address": "172.31.0.2", "mac": "02:00:00:00:00:12"}],
    "routes": [
        {"vrf": "red", "prefix": "20.0.0.0/16", "via": {"vxlan": {"remote": "172.31.0.2", "vni": 100, "mac": "02:ac:1f:00:02:01"}}},
        {"vrf": "red", "prefix": "10.128.0.0/16", "via": {"vif": "red1"}},
    ],
    "vnis": [{"vni": 100, "vrf": "red"}],
}


def test_both_directions_are_forwarded_without_loss(picture):
    flows = "flows=2000,servers=20.0.0.0/24"
    devargs = {
        "tenant": f"source0,{flows},rate=20000",
        "fabric": f"source1,{flows},rate=20000,direction=reply,after=2000,vni=100,{OUTER},"
                  "source_mac=02:ac:1f:00:02:01,destination_mac=02:ac:1f:00:01:01",
    }
    with Bed(picture.bin, picture.lab.folder, "both", devargs, settings(picture, state=NETWORK)) as bed:
        def done():
            stats = bed.stats()
            return stats if min(int(port(stats, name)["tx_packets"]) for name in devargs) > 10000 else None
        stats = until(done, 30, "10,000 packets each way")
        for name in devargs:
            row = port(stats, name)
            seen = row["traffic"]
            # a busy machine may leave a source unpolled for long: what its ring missed is lost, nothing else
            missed = sum(int(port(stats, other)["missed"]) for other in devargs if other != name)
            assert int(seen["lost"]) <= missed and int(seen["reordered"]) == int(seen["repeated"]) == 0, stats["ports"]
            assert int(seen["stamped"]) == int(row["tx_packets"])
            latency = seen["latency"]
            assert 0 < latency["p50_ns"] <= latency["p99_ns"] <= latency["p999_ns"] <= latency["longest_ns"]
        drops = [row for row in stats["drops"] if row["reason"] != "rx_missed"]
        assert not drops, drops
        # answers are permitted by their flows alone
        assert int(stats["flows"]["used_v4"]) == 2000, stats["flows"]
        table = bed.vrctl("stats").stdout
        assert "p99.9" in table.lower() and "STAMPED" in table.upper(), table


def test_a_source_that_cannot_be_is_refused_with_its_argument(picture):
    with Bed(picture.bin, picture.lab.folder, "refuses", {"a": "source0,frames=1", "b": "sink0"}, settings(picture)) as bed:
        bed.vrctl("add", "port", "c", "--devargs", "sink1")
        assert port(bed.stats(), "c")["traffic"]["stamped"] == 0
        bed.vrctl("delete", "port", "c", "--sync")
        for devargs, argument in (("source2,flows=0", "flows"), ("source0,flows=9", "source0 is port a already"), ("source00", "shortest form")):
            refused(bed, devargs, argument)
    with Bed(picture.bin, picture.lab.folder, "moves", {"a": "source0,frames=1", "b": "sink0"}, settings(picture), only_move=True) as bed:
        refused(bed, "sink1", "only moves")


def refused(bed, devargs, reason):
    try:
        bed.vrctl("add", "port", "c", "--devargs", devargs)
    except Failure as failure:
        assert "devargs" in str(failure) and reason in str(failure), failure
    else:
        raise AssertionError(f"{devargs} was opened")
