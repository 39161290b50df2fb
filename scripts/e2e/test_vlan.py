"""The underlay, and sub-interfaces of tenants, in VLANs, on the wire as scapy and tshark read it. The kernel here has no VLAN devices."""

from lab import probe
from lab.picture import V4, V6, VTEPS, network, router_mac
from lab.wire import ARP, ICMP, IP, UDP, VXLAN, Dot1AD, Dot1Q, Ether, Wire, tshark

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



POD, POD_MAC = "10.1.1.31", "02:aa:00:00:00:31"


def pod(tags, **more):
    return {"name": "pod", "port": "red1", "vrf": "red", "mac": POD_MAC, "addresses": [POD], "gateway_v4": "10.1.1.1", **tags, **more}


def sub_interface(picture, fields, tags, kinds):
    """A pod behind red1's port, in a VLAN or two, asks for its gateway and pings red2, through VXLAN, beside red1 itself."""
    h1 = network("h1")
    h1["vifs"].append(pod(fields))
    picture.start("h1", h1)
    # a packet of h2 to the pod goes where those to red1 do
    h2 = network("h2")
    way = next(route for route in h2["routes"] if route["prefix"] == f"{V4['1']}/32")
    h2["routes"].append({**way, "prefix": f"{POD}/32"})
    picture.start("h2", h2)
    wire = Wire(picture["red1"].netns, "eth0")

    def tagged(packet, destination):
        for vlan in reversed(tags):
            packet = Dot1Q(vlan=vlan, prio=5) / packet
        return Ether(src=POD_MAC, dst=destination) / packet

    def mine(packet):
        return packet.src != POD_MAC and [tag.vlan for tag in packet.iterpayloads() if isinstance(tag, (Dot1Q, Dot1AD))] == tags

    wire.send(tagged(ARP(op=1, hwsrc=POD_MAC, psrc=POD, pdst="10.1.1.1"), "ff:ff:ff:ff:ff:ff"))
    gateway = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2 and mine(packet), "the gateway's answer in the VLAN")
    assert gateway[ARP].hwdst == POD_MAC, gateway.summary()
    wire.send(tagged(IP(src=POD, dst=V4["2"]) / ICMP(id=31, seq=1) / (b"p" * 40), gateway[ARP].hwsrc))
    reply = wire.expect(lambda packet: ICMP in packet and packet[ICMP].type == 0 and mine(packet), "red2's answer in the VLAN")
    read = tshark(picture.lab, [reply], "vlan.id", "icmp.type", "_ws.malformed")[0]
    assert read["icmp.type"] == "0" and read["_ws.malformed"] == "", read
    seen = [layer.type for layer in reply.iterpayloads() if isinstance(layer, (Ether, Dot1Q, Dot1AD))]
    assert seen == [*kinds, 0x800], [hex(kind) for kind in seen]
    # red1, whose port it is, as before
    probe.ping(picture["red1"].netns, V4["2"])


def test_a_pod_in_a_vlan_of_a_guest_s_port(picture):
    sub_interface(picture, {"vlan": 10}, [10], [0x8100])


def test_a_pod_in_a_vlan_within_a_vlan(picture):
    sub_interface(picture, {"vlan": 10, "inner_vlan": 30}, [10, 30], [0x88a8, 0x8100])
