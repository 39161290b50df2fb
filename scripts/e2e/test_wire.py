"""Outer packets that scapy builds, and ours as tshark reads them."""

from lab.picture import BLUE_LABELS, RED_VNI, V4, V6, VTEPS, network, router_mac
from lab.process import Failure
from lab.wire import ARP, ICMP, IP, MPLS, UDP, VXLAN, Ether, ICMPv6EchoRequest, IPv6, Raw, Wire, tshark

PEER = "172.31.0.9"
LABEL = BLUE_LABELS["h1"]
FAR_LABEL = 999
FAR_VNI = 4242
FAR_MAC = "02:00:00:00:00:99"
H2_MAC = "02:00:00:00:00:98"


def start(picture):
    """h1 with routes to a far host of each tenant behind the wire: 10.1.1.99 and fd00:1::99."""
    h1 = network("h1")
    mpls = {"mpls_udp": {"remote": PEER, "label": FAR_LABEL}}
    vxlan = {"vxlan": {"remote": PEER, "vni": FAR_VNI, "mac": FAR_MAC}}
    h1["routes"] += [{"vrf": "blue", "prefix": prefix, "via": mpls} for prefix in ("10.1.1.99/32", "fd00:1::99/128")]
    h1["routes"] += [{"vrf": "red", "prefix": prefix, "via": vxlan} for prefix in ("10.1.1.99/32", "fd00:1::99/128")]
    vrouter = picture.start("h1", h1)
    wire = picture.wire(PEER)
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))
    answer = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2, "the VTEP's ARP answer")
    assert answer[ARP].psrc == VTEPS["h1"] and answer[ARP].hwsrc == picture.hosts["h1"].netns.mac("fabric")
    return vrouter, wire, Ether(src=wire.mac, dst=answer[ARP].hwsrc)


def outer(ether, port, **ip):
    return ether / IP(src=PEER, dst=VTEPS["h1"], **ip) / UDP(sport=51234, dport=port, chksum=0)


def mpls(ether, label=LABEL, **fields):
    return outer(ether, 6635) / MPLS(**{"label": label, "s": 1, "ttl": 64, **fields})


def vxlan(ether, vni=RED_VNI, dst=router_mac("h1"), flags="Instance"):
    return outer(ether, 4789) / VXLAN(vni=vni, flags=flags) / Ether(src=FAR_MAC, dst=dst)


def is_udp_to(port):
    return lambda packet: UDP in packet and packet[UDP].dport == port and packet[IP].src == VTEPS["h1"]


def test_mpls_over_udp_in_and_out(picture):
    _, wire, ether = start(picture)
    pings = {
        "ip": IP(src="10.1.1.99", dst=V4["1"], ttl=40) / ICMP(id=77, seq=1) / (b"a" * 40),
        "ipv6": IPv6(src="fd00:1::99", dst=V6["1"], hlim=40) / ICMPv6EchoRequest(id=77, seq=1, data=b"a" * 40),
    }
    for version, ping in pings.items():
        wire.forget()
        wire.send(mpls(ether) / ping)
        reply = wire.expect(is_udp_to(6635), f"blue1's {version} answer over MPLS-over-UDP")
        ttl = {"ip": "ip.ttl", "ipv6": "ipv6.hlim"}[version]
        fields = ("ip.src", "ip.dst", "ip.flags.df", "ip.checksum.status", "udp.srcport", "udp.dstport", "udp.length",
                  "mpls.label", "mpls.bottom", "mpls.ttl", "icmp.type", "icmp.checksum.status", "icmpv6.type",
                  "icmpv6.checksum.status", ttl, "_ws.malformed")
        read = tshark(picture.lab, [reply], *fields)[0]
        check_outer(read, reply)
        assert (read["mpls.label"], read["mpls.bottom"]) == (str(FAR_LABEL), "1"), read
        # blue1 sent 64; one hop.
        assert read[ttl].split(",")[-1] == "63", read
        kind = {"ip": ("icmp.type", "0"), "ipv6": ("icmpv6.type", "129")}[version]
        assert read[kind[0]] == kind[1], read


def test_a_label_leads_straight_to_its_vif(picture):
    """Whatever the routes say: to an address that blue has elsewhere, and to one that it has not at all."""
    vrouter, wire, ether = start(picture)
    # what goes where the route leads is not held back until h2 is found, whom the daemon looks for of itself
    vrouter.apply({"labels": [{"label": 300, "vif": "blue1"}], "neighbours": [{"vif": "uplink", "address": VTEPS["h2"], "mac": H2_MAC}]})
    blue1 = Wire(picture["blue1"].netns, "eth0")
    elsewhere = [(IP(src="10.1.1.99", dst=address, ttl=40), IP) for address in (V4["2"], "192.0.2.7")]
    elsewhere += [(IPv6(src="fd00:1::99", dst=address, hlim=40), IPv6) for address in (V6["2"], "2001:db8::7")]
    for number, (ip, layer) in enumerate(elsewhere):
        wire.send(mpls(ether, label=300) / ip / UDP(sport=9, dport=5000 + number) / Raw(b"straight"))
        came = blue1.expect(lambda packet: UDP in packet and packet[UDP].dport == 5000 + number, f"a packet to {ip.dst} at blue1")
        header = came[layer]
        assert (came.dst, came.src) == ("02:bb:00:00:00:11", "00:00:5e:00:01:00"), came.summary()
        assert (header.dst, header.ttl if layer is IP else header.hlim, came[Raw].load) == (ip.dst, 39, b"straight"), came.summary()
    assert not wire.seen(lambda packet: IP in packet and packet[IP].dst == VTEPS["h2"]), "it went where the route leads"
    # blue1 answers what is for itself.
    wire.send(mpls(ether, label=300) / IP(src="10.1.1.99", dst=V4["1"], ttl=40) / ICMP(id=81, seq=1) / (b"c" * 40))
    reply = wire.expect(is_udp_to(6635), "blue1's answer")
    read = tshark(picture.lab, [reply], "mpls.label", "icmp.type", "icmp.checksum.status", "_ws.malformed")[0]
    assert (read["mpls.label"], read["icmp.type"], read["_ws.malformed"]) == (str(FAR_LABEL), "0", ""), read
    # Another label of the VRF is routed, and does not come to blue1.
    before = vrouter.drops()
    wire.send(mpls(ether) / IP(src="10.1.1.99", dst="192.0.2.7") / UDP(sport=9, dport=6000))
    vrouter.expect_drop("no_route", before)
    assert not blue1.seen(lambda packet: UDP in packet and packet[UDP].dport == 6000)
    # by a route it would have been seen
    wire.send(mpls(ether) / IP(src="10.1.1.99", dst=V4["2"]) / UDP(sport=9, dport=6001))
    wire.expect(lambda packet: IP in packet and packet[IP].dst == VTEPS["h2"], "a packet that goes where the route leads")


def test_vxlan_in_and_out(picture):
    _, wire, ether = start(picture)
    wire.send(vxlan(ether) / IP(src="10.1.1.99", dst=V4["1"]) / ICMP(id=78, seq=1) / (b"b" * 40))
    reply = wire.expect(is_udp_to(4789), "red1's answer over VXLAN")
    read = tshark(picture.lab, [reply], "ip.src", "ip.dst", "ip.flags.df", "ip.checksum.status", "udp.srcport", "udp.length",
                  "vxlan.vni", "vxlan.flags", "eth.dst", "eth.src", "icmp.type", "icmp.checksum.status", "_ws.malformed")[0]
    check_outer(read, reply)
    assert (read["vxlan.vni"], read["vxlan.flags"], read["icmp.type"]) == (str(FAR_VNI), "0x0800", "0"), read
    assert read["eth.dst"].split(",")[1] == FAR_MAC and read["eth.src"].split(",")[1] == router_mac("h1"), read


def check_outer(read, reply):
    """The outer headers that both tunnels share, as tshark and scapy read them."""
    assert read["ip.src"].split(",")[0] == VTEPS["h1"] and read["ip.dst"].split(",")[0] == PEER, read
    assert read["ip.flags.df"].split(",")[0] in ("1", "True"), read
    assert 49152 <= int(read["udp.srcport"]) <= 65535, read
    assert int(read["udp.length"]) == len(reply[IP]) - 20, read
    assert not read["_ws.malformed"], read
    header = reply[IP].copy()
    wanted = header.chksum
    del header.chksum
    assert IP(bytes(header)).chksum == wanted, "outer IPv4 checksum"


def test_one_flow_keeps_its_source_port_and_others_differ(picture):
    _, wire, ether = start(picture)
    ports = {}
    for ident in (1, 2, 3, 4, 5, 6, 7, 8):
        for seq in (1, 2):
            wire.forget()
            wire.send(mpls(ether) / IP(src="10.1.1.99", dst=V4["1"]) / ICMP(id=ident, seq=seq))
            reply = wire.expect(is_udp_to(6635), "an answer")
            ports.setdefault(ident, set()).add(reply[UDP].sport)
    assert all(len(of_flow) == 1 for of_flow in ports.values()), ports
    assert len(set.union(*ports.values())) > 1, ports


def test_bad_outer_packets_are_dropped_with_their_reason(picture):
    # Not here: fragments, which the kernel puts together before a net_af_packet device sees them.
    vrouter, wire, ether = start(picture)
    inner = IP(src="10.1.1.99", dst=V4["1"]) / ICMP(id=79)
    cases = [
        ("label_unknown", mpls(ether, label=205) / inner),
        ("mpls_header", mpls(ether, s=0) / MPLS(label=LABEL, s=1, ttl=9) / inner),
        ("mpls_header", outer(ether, 6635) / Raw(b"\0\x0c")),
        ("vni_unknown", vxlan(ether, vni=101) / inner),
        ("vxlan_header", vxlan(ether, flags=0) / inner),
        ("vxlan_header", outer(ether, 4789) / Raw(b"\x08\0\0\0")),
        ("inner_mac_not_ours", vxlan(ether, dst="02:00:00:00:00:77") / inner),
        ("ttl_expired", vxlan(ether) / IP(src="10.1.1.99", dst=V4["1"], ttl=1) / ICMP(id=80)),
        ("transport_header", ether / IP(src=PEER, dst=VTEPS["h1"]) / UDP(sport=51234, dport=4789, len=900, chksum=0) / Raw(bytes(40))),
        ("ipv4_checksum", ether / IP(src=PEER, dst=VTEPS["h1"], chksum=0x1234) / UDP(dport=4789) / Raw(bytes(40))),
        ("ipv4_checksum", vxlan(ether) / IP(src="10.1.1.99", dst=V4["1"], chksum=0x1234) / ICMP()),
        ("not_for_us", ether / IP(src=PEER, dst="172.31.0.77") / UDP(dport=4789) / Raw(bytes(40))),
        ("mac_not_ours", Ether(src=wire.mac, dst="02:00:00:00:00:78") / IP(src=PEER, dst=VTEPS["h1"]) / UDP(dport=4789)),
        ("local_unanswered", ether / IP(src=PEER, dst=VTEPS["h1"]) / UDP(dport=53) / Raw(bytes(40))),
    ]
    wrong = []
    for reason, packet in cases:
        before = vrouter.drops()
        wire.send(packet)
        try:
            vrouter.expect_drop(reason, before, seconds=2)
        except Failure as failure:
            wrong.append(f"{packet.summary()}: {failure}")
    if wrong:
        raise Failure("\n".join(wrong))


def test_arp_in_a_vni_is_answered_through_the_tunnel(picture):
    _, wire, ether = start(picture)
    who_has = ARP(op=1, hwsrc=FAR_MAC, psrc="10.1.1.99", pdst=V4["1"])
    wire.send(vxlan(ether, dst="ff:ff:ff:ff:ff:ff") / who_has)
    reply = wire.expect(lambda packet: VXLAN in packet and ARP in packet, "an ARP answer in VXLAN")
    assert reply[ARP].op == 2 and reply[ARP].psrc == V4["1"] and reply[ARP].hwsrc == router_mac("h1"), reply.summary()
    assert reply[VXLAN][Ether].dst == FAR_MAC, reply.summary()
