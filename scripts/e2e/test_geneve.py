"""GENEVE: packets that scapy builds, ours as tshark reads them. The kernel here has no GENEVE device."""

from lab import probe
from lab.picture import RED_VNI, V4, V6, VTEPS, network, router_mac
from lab.wire import ARP, GENEVE, ICMP, IP, UDP, Ether, GeneveOptions, ICMPv6EchoRequest, IPv6, Raw, tshark

PEER = "172.31.0.9"
PEER_MAC = "02:aa:00:00:00:99"
FITS = 1500 - 20 - 8 - 8 - 14
ETHERNET = 0x6558
SKIPPED = GeneveOptions(classid=0x0108, type=0x01, data=b"\xca\xfe\xba\xbe")
CRITICAL = GeneveOptions(classid=0x0102, type=0x80, data=b"\0\1\0\2")


def start(picture):
    """h1 with a far host of red behind the wire, 10.1.1.99 and fd00:1::99, by GENEVE."""
    h1 = network("h1")
    geneve = {"geneve": {"remote": PEER, "vni": RED_VNI, "mac": PEER_MAC}}
    h1["routes"] += [{"vrf": "red", "prefix": prefix, "via": geneve} for prefix in ("10.1.1.99/32", "fd00:1::99/128")]
    vrouter = picture.start("h1", h1)
    wire = picture.wire(PEER)
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))
    answer = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2, "the VTEP's ARP answer")
    return vrouter, wire, Ether(src=wire.mac, dst=answer[ARP].hwsrc)


def geneve(ether, inner, vni=RED_VNI, **header):
    frame = inner if isinstance(inner, Ether) else Ether(src=PEER_MAC, dst=router_mac("h1")) / inner
    outer = ether / IP(src=PEER, dst=VTEPS["h1"]) / UDP(sport=51234, dport=6081, chksum=0)
    return outer / GENEVE(**{"proto": ETHERNET, "vni": vni, **header}) / frame


def is_geneve(packet):
    return UDP in packet and packet[UDP].dport == 6081 and packet[IP].src == VTEPS["h1"]


def test_geneve_in_and_out(picture):
    _, wire, ether = start(picture)
    pings = {
        "ip": IP(src="10.1.1.99", dst=V4["1"], ttl=40) / ICMP(id=77, seq=1) / (b"a" * 40),
        "ipv6": IPv6(src="fd00:1::99", dst=V6["1"], hlim=40) / ICMPv6EchoRequest(id=77, seq=1, data=b"a" * 40),
    }
    for version, ping in pings.items():
        for options in ([], [SKIPPED], [SKIPPED] * 5):
            wire.forget()
            wire.send(geneve(ether, ping, options=options))
            reply = wire.expect(is_geneve, f"red1's {version} answer over GENEVE")
            ttl = {"ip": "ip.ttl", "ipv6": "ipv6.hlim"}[version]
            read = tshark(picture.lab, [reply], "ip.src", "ip.dst", "ip.flags.df", "udp.srcport", "udp.dstport", "udp.length", "udp.checksum",
                          "geneve.version", "geneve.flags", "geneve.proto_type", "geneve.vni", "geneve.options", "eth.dst", "eth.src",
                          "icmp.type", "icmpv6.type", ttl, "_ws.malformed")[0]
            first = {name: value.split(",")[0] for name, value in read.items()}
            assert (first["ip.src"], first["ip.dst"], first["udp.dstport"]) == (VTEPS["h1"], PEER, "6081"), read
            assert first["ip.flags.df"] in ("1", "True") and 49152 <= int(first["udp.srcport"]) <= 65535, read
            assert int(first["udp.checksum"], 16) == 0 and int(first["udp.length"]) == len(reply[IP]) - 20, read
            assert (int(read["geneve.version"], 0), int(read["geneve.flags"], 16), int(read["geneve.proto_type"], 16)) == (0, 0, ETHERNET), read
            assert int(read["geneve.vni"], 0) == RED_VNI and not read["geneve.options"], read
            assert (read["eth.dst"].split(",")[1], read["eth.src"].split(",")[1]) == (PEER_MAC, router_mac("h1")), read
            assert read[ttl].split(",")[-1] == "63" and not read["_ws.malformed"], read
            kind = {"ip": ("icmp.type", "0"), "ipv6": ("icmpv6.type", "129")}[version]
            assert read[kind[0]] == kind[1], read


def test_geneve_path_mtu(picture):
    start(picture)
    assert probe.too_big(picture["red1"].netns, "10.1.1.99", 1472) == FITS
    assert probe.too_big(picture["red1"].netns, "fd00:1::99", 1452) == FITS


def test_arp_by_geneve_is_answered_by_geneve(picture):
    _, wire, ether = start(picture)
    ask = Ether(src=PEER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=PEER_MAC, psrc="10.1.1.99", pdst=V4["1"])
    for options in ([], [SKIPPED]):
        wire.forget()
        wire.send(geneve(ether, ask, options=options))
        reply = wire.expect(is_geneve, "an ARP answer over GENEVE")
        assert (reply[ARP].op, reply[ARP].psrc, reply[ARP].hwsrc) == (2, V4["1"], router_mac("h1")), reply.summary()


def test_bad_geneve_is_dropped_with_its_reason(picture):
    vrouter, wire, ether = start(picture)
    inner = IP(src="10.1.1.99", dst=V4["1"]) / ICMP(id=79)
    outer = ether / IP(src=PEER, dst=VTEPS["h1"]) / UDP(sport=51234, dport=6081, chksum=0)
    for reason, packet in [
        ("geneve_header", geneve(ether, inner, version=1)),
        ("geneve_header", outer / Raw(b"\x3f\0\x65\x58\0\0\x64\0" + b"\0" * 16)),
        ("geneve_header", outer / Raw(b"\x01\0\x65\x58\0\0\x64\0" + b"\1\2\1\x1f" + b"\0" * 60)),
        ("geneve_control", geneve(ether, inner, oam=1)),
        ("geneve_protocol", outer / GENEVE(proto=0x0800, vni=RED_VNI) / inner),
        ("geneve_critical_option", geneve(ether, inner, critical=1, options=[SKIPPED, CRITICAL])),
        ("vni_unknown", geneve(ether, inner, vni=12345)),
    ]:
        before = vrouter.drops()
        wire.send(packet)
        vrouter.expect_drop(reason, before, seconds=2)
    victims = vrouter.vrctl("drops", "--victims").stdout
    assert "GENEVE vni" in victims, victims


def by_geneve(host):
    """A host with GENEVE wherever its network has VXLAN."""
    given = network(host)
    for route in given["routes"]:
        if "vxlan" in route["via"]:
            route["via"] = {"geneve": route["via"].pop("vxlan")}
    return given


def test_two_hosts_meet_over_geneve(picture):
    for host in ("h1", "h2"):
        picture.start(host, by_geneve(host))
    one, other = picture["red1"].netns, picture["red2"].netns
    data = bytes(range(256)) * 2048
    for version in (V4, V6):
        probe.ping(one, version["2"])
        probe.ping(other, version["1"])
        for server, client, address in ((other, one, version["2"]), (one, other, version["1"])):
            with probe.Server(server, 80), probe.connect(client, address, 80) as connection:
                probe.echo(connection, data)
    for host in ("h1", "h2"):
        flows = picture.vrouters[host].vrctl("flows", "--vif", "red1" if host == "h1" else "red2").stdout
        assert "geneve vni 100" in flows and "vxlan" not in flows, flows
