"""MPLS-over-GRE: packets that scapy builds, ours as tshark reads them. The kernel here has neither GRE nor MPLS devices."""

from lab import probe
from lab.picture import BLUE_LABELS, V4, V6, VTEPS, network
from lab.wire import ARP, GRE, ICMP, IP, MPLS, Ether, ICMPv6EchoRequest, IPv6, Raw, tshark

PEER = "172.31.0.9"
FAR_LABEL = 999
FITS = 1500 - 20 - 4 - 4


def start(picture):
    """h1 with routes of blue to a far host behind the wire, 10.1.1.99 and fd00:1::99, by GRE."""
    h1 = network("h1")
    gre = {"mpls_gre": {"remote": PEER, "label": FAR_LABEL}}
    h1["routes"] += [{"vrf": "blue", "prefix": prefix, "via": gre} for prefix in ("10.1.1.99/32", "fd00:1::99/128")]
    h1["labels"].append({"label": 300, "vif": "blue1"})
    vrouter = picture.start("h1", h1)
    wire = picture.wire(PEER)
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))
    answer = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2, "the VTEP's ARP answer")
    return vrouter, wire, Ether(src=wire.mac, dst=answer[ARP].hwsrc)


def gre(ether, label=BLUE_LABELS["h1"], **options):
    return ether / IP(src=PEER, dst=VTEPS["h1"]) / GRE(proto=0x8847, **options) / MPLS(label=label, s=1, ttl=64)


def is_gre(packet):
    return IP in packet and packet[IP].proto == 47 and packet[IP].src == VTEPS["h1"]


def test_mpls_over_gre_in_and_out(picture):
    _, wire, ether = start(picture)
    pings = {
        "ip": IP(src="10.1.1.99", dst=V4["1"], ttl=40) / ICMP(id=77, seq=1) / (b"a" * 40),
        "ipv6": IPv6(src="fd00:1::99", dst=V6["1"], hlim=40) / ICMPv6EchoRequest(id=77, seq=1, data=b"a" * 40),
    }
    every = dict(chksum_present=1, key_present=1, key=7, seqnum_present=1, sequence_number=9)
    for version, ping in pings.items():
        for label, options in ((BLUE_LABELS["h1"], {}), (BLUE_LABELS["h1"], every), (300, {})):
            wire.forget()
            wire.send(gre(ether, label, **options) / ping)
            reply = wire.expect(is_gre, f"blue1's {version} answer over MPLS-over-GRE")
            ttl = {"ip": "ip.ttl", "ipv6": "ipv6.hlim"}[version]
            read = tshark(picture.lab, [reply], "ip.src", "ip.dst", "ip.flags.df", "ip.proto", "gre.flags_and_version", "gre.proto",
                          "mpls.label", "mpls.bottom", "mpls.ttl", "icmp.type", "icmpv6.type", ttl, "_ws.malformed")[0]
            assert read["ip.src"].split(",")[0] == VTEPS["h1"] and read["ip.dst"].split(",")[0] == PEER, read
            assert read["ip.flags.df"].split(",")[0] in ("1", "True") and read["ip.proto"].split(",")[0] == "47", read
            assert (int(read["gre.flags_and_version"], 16), int(read["gre.proto"], 16)) == (0, 0x8847), read
            assert (read["mpls.label"], read["mpls.bottom"], read["mpls.ttl"]) == (str(FAR_LABEL), "1", "64"), read
            assert read[ttl].split(",")[-1] == "63" and not read["_ws.malformed"], read
            kind = {"ip": ("icmp.type", "0"), "ipv6": ("icmpv6.type", "129")}[version]
            assert read[kind[0]] == kind[1], read
            header = reply[IP].copy()
            wanted = header.chksum
            del header.chksum
            assert IP(bytes(header)).chksum == wanted, "outer IPv4 checksum"


def test_gre_path_mtu(picture):
    start(picture)
    assert probe.too_big(picture["blue1"].netns, "10.1.1.99", 1472) == FITS
    assert probe.too_big(picture["blue1"].netns, "fd00:1::99", 1452) == FITS


def test_bad_gre_is_dropped_with_its_reason(picture):
    vrouter, wire, ether = start(picture)
    inner = IP(src="10.1.1.99", dst=V4["1"]) / ICMP(id=79)
    outer = ether / IP(src=PEER, dst=VTEPS["h1"])
    for reason, packet in [
        ("gre_header", outer / GRE(proto=0x8847, version=1) / MPLS(label=201, s=1, ttl=9) / inner),
        ("gre_header", outer / GRE(proto=0x8847, routing_present=1) / MPLS(label=201, s=1, ttl=9) / inner),
        ("gre_checksum", gre(ether, chksum_present=1, chksum=0x1234) / inner),
        ("gre_protocol", outer / GRE(proto=0x0800) / inner),
        ("label_unknown", gre(ether, label=205) / inner),
        ("mpls_header", outer / GRE(proto=0x8847) / Raw(b"\0\x0c")),
    ]:
        before = vrouter.drops()
        wire.send(packet)
        vrouter.expect_drop(reason, before, seconds=2)
