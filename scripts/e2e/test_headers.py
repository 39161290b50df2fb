"""Outer and inner headers: the kernel's VXLAN as the far end, scapy on the wire, and what a tenant's host sees."""

from lab import probe
from lab.picture import V4, VTEPS, network, router_mac
from lab.wire import ARP, ICMP, IP, VXLAN, Ether, Wire, UDP

PEER = "172.31.0.9"
FAR_MAC = "02:00:00:00:00:99"


def start(picture, **headers):
    """h1 with a route of red to 10.1.1.99 behind the wire."""
    h1 = network("h1")
    h1["settings"]["tunnel_headers"] = headers
    vxlan = {"vxlan": {"remote": PEER, "vni": 4242, "mac": FAR_MAC}}
    h1["routes"].append({"vrf": "red", "prefix": "10.1.1.99/32", "via": vxlan})
    vrouter = picture.start("h1", h1)
    wire = picture.wire(PEER)
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))
    answer = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2, "the VTEP's ARP answer")
    return vrouter, wire, Ether(src=wire.mac, dst=answer[ARP].hwsrc)


def vxlan(ether, outer, inner, number):
    ping = IP(src="10.1.1.99", dst=V4["1"], tos=inner, id=number) / ICMP(id=77, seq=number)
    return (ether / IP(src=PEER, dst=VTEPS["h1"], tos=outer) / UDP(sport=51234, dport=4789, chksum=0)
            / VXLAN(vni=100, flags="Instance") / Ether(src=FAR_MAC, dst=router_mac("h1")) / ping)


def test_a_tenant_sees_the_mark_of_congestion(picture):
    vrouter, wire, ether = start(picture)
    tenant = Wire(picture["red1"].netns, "eth0")

    def seen(number):
        packet = tenant.expect(lambda packet: ICMP in packet and packet[IP].id == number and packet[IP].src == "10.1.1.99", "a ping")
        header = packet[IP].copy()
        wanted = header.chksum
        del header.chksum
        assert IP(bytes(header)).chksum == wanted, "inner IPv4 checksum"
        return packet[IP].tos
    wire.send(vxlan(ether, 0x2b, 0x2a, 1))
    assert seen(1) == 0x2b
    wire.send(vxlan(ether, 0x29, 0x2a, 2))
    assert seen(2) == 0x29
    # one DSCP for both headers
    wire.send(vxlan(ether, 0xb8, 0x28, 3))
    assert seen(3) == 0xb8
    before = vrouter.drops()
    wire.send(vxlan(ether, 0x2b, 0x28, 4))
    vrouter.expect_drop("ecn_forbidden", before)


def test_the_wire_sees_a_tenant_s_class(picture):
    _, wire, _ = start(picture)
    ping = ["ping", "-c", "1", "-W", "1", "-Q", "0xba", "10.1.1.99"]
    picture["red1"].netns.run(*ping, check=False)
    outer = wire.expect(lambda packet: VXLAN in packet and ICMP in packet and packet[ICMP].type == 8, "a ping in VXLAN")
    assert (outer[IP].tos, outer[VXLAN][IP].tos) == (0xba, 0xba), outer.summary()


def test_a_pipe_has_a_class_of_its_own(picture):
    _, wire, ether = start(picture, dscp="pipe", outer_dscp=10)
    tenant = Wire(picture["red1"].netns, "eth0")
    wire.send(vxlan(ether, 0xb8, 0x28, 5))
    tenant.expect(lambda packet: ICMP in packet and packet[IP].id == 5 and packet[IP].tos == 0x28, "the ping with its own class")
    picture["red1"].netns.run("ping", "-c", "1", "-W", "1", "-Q", "0xba", "10.1.1.99", check=False)
    outer = wire.expect(lambda packet: VXLAN in packet and ICMP in packet and packet[ICMP].type == 8, "a ping in VXLAN")
    assert (outer[IP].tos, outer[VXLAN][IP].tos) == (0x2a, 0xba), outer.summary()


def test_the_kernel_marks_a_tenant_s_packets(picture):
    """The kernel's VXLAN copies the class of what it carries to its outer header, and takes ours off: the answer has what we sent."""
    picture.start("h1")
    kernel = picture.add_kernel()
    kernel.ip("link", "set", "vx100", "type", "vxlan", "tos", "inherit")
    probe.ping(picture["red1"].netns, V4["k"])
    tenant = Wire(picture["red1"].netns, "eth0")
    picture["red1"].netns.run("ping", "-c", "1", "-W", "2", "-Q", "0x2a", V4["k"])
    answer = tenant.expect(lambda packet: ICMP in packet and packet[ICMP].type == 0 and packet[IP].src == V4["k"], "an answer")
    assert answer[IP].tos == 0x2a, answer.summary()
