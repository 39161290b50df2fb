"""The underlay in an 802.1Q VLAN, on the wire as scapy and tshark read it. The kernel here has no VLAN devices."""

from lab import probe
from lab.picture import V4, V6, VTEPS, network, router_mac
from lab.wire import ARP, ICMP, IP, UDP, VXLAN, Dot1Q, Ether, tshark

PEER = "172.31.0.9"
VLAN = 123


def tagged(host, vlan=VLAN):
    """The host's network with its uplink in the VLAN."""
    of_host = network(host)
    next(vif for vif in of_host["vifs"] if vif.get("kind") == "fabric")["vlan"] = vlan
    return of_host


def test_tenants_cross_a_vlan(picture):
    for host in ("h1", "h2"):
        picture.start(host, tagged(host))
    wire = picture.wire()
    for tenant in ("red1", "blue1"):
        for address in (V4["2"], V6["2"]):
            probe.ping(picture[tenant].netns, address)
    # who asked whom, to everybody on the segment: with the tag
    asked = wire.expect(lambda packet: ARP in packet, "an ARP request of the fabric")
    assert asked[Dot1Q].vlan == VLAN and asked[Dot1Q].prio == 0, asked.summary()


def test_a_vlan_on_the_wire(picture):
    h1 = tagged("h1")
    vxlan = {"vxlan": {"remote": PEER, "vni": 4242, "mac": "02:00:00:00:00:99"}}
    h1["routes"].append({"vrf": "red", "prefix": "10.1.1.99/32", "via": vxlan})
    vrouter = picture.start("h1", h1)
    wire = picture.wire()
    tag = Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=VLAN)
    wire.send(tag / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))
    answer = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2 and Dot1Q in packet, "the VTEP's answer in the VLAN")
    assert answer[Dot1Q].vlan == VLAN, answer.summary()
    inner = Ether(src="02:00:00:00:00:99", dst=router_mac("h1")) / IP(src="10.1.1.99", dst=V4["1"]) / ICMP(id=78, seq=1) / (b"b" * 40)
    outer = IP(src=PEER, dst=VTEPS["h1"]) / UDP(sport=51234, dport=4789, chksum=0) / VXLAN(vni=100, flags="Instance") / inner
    wire.send(Ether(src=wire.mac, dst=answer.src) / Dot1Q(vlan=VLAN, prio=3) / outer)
    reply = wire.expect(lambda packet: VXLAN in packet and ICMP in packet, "red1's answer")
    read = tshark(picture.lab, [reply], "vlan.id", "vlan.priority", "vlan.etype", "vxlan.vni", "icmp.type", "_ws.malformed")[0]
    assert (read["vlan.id"], read["vlan.priority"]) == (str(VLAN), "0"), read
    assert (int(read["vlan.etype"], 16), read["vxlan.vni"], read["icmp.type"]) == (0x800, "4242", "0"), read
    header = reply[IP].copy()
    wanted = header.chksum
    del header.chksum
    assert IP(bytes(header)).chksum == wanted, "outer IPv4 checksum"
    for other in (Ether(src=wire.mac, dst=answer.src) / outer,
                  Ether(src=wire.mac, dst=answer.src) / Dot1Q(vlan=VLAN + 1) / outer):
        before = vrouter.drops()
        wire.send(other)
        vrouter.expect_drop("vlan_unknown", before)

