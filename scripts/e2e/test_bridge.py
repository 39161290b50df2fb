"""One L2 network on both sides of a tunnel: the VIFs of a bridge here, hosts behind a bridge of the Linux kernel there."""

from lab import probe
from lab.picture import FAR_MAC, LAN_VNI, V4, V6, VTEPS, network
from lab.process import until
from lab.picture import kernel_bridge as picture_bridge
from lab.wire import ARP, ICMP, IP, UDP, VXLAN, Ether, ICMPv6ND_NS, IPv6, Wire, tshark

VNI = LAN_VNI
PEER = "172.31.0.9"
FAR4, FAR6 = V4["far"], V6["far"]
RED1_MAC = "02:aa:00:00:00:11"


def bridged(remote):
    """h1 with red1 in bridge lan, which is stretched to a VTEP."""
    h1 = network("h1")
    next(vif for vif in h1["vifs"] if vif["name"] == "red1")["bridge"] = "lan"
    vtep = {"vxlan": {"remote": remote, "vni": VNI}}
    h1["bridges"] = [{"name": "lan", "vrf": "red", "vteps": [vtep]}]
    h1["vnis"].append({"vni": VNI, "bridge": "lan"})
    h1["fdb"] = [{"bridge": "lan", "mac": FAR_MAC, **vtep}]
    return h1


def kernel_bridge(picture):
    """A host behind a bridge of the kernel's, which floods to h1."""
    return picture_bridge(picture.lab, picture.underlay)[1]


def test_hosts_behind_a_kernel_bridge_are_in_the_tenant_s_subnet(picture):
    vrouter = picture.start("h1", bridged(VTEPS["k"]))
    far = kernel_bridge(picture)
    red1 = picture["red1"].netns
    # each asks for the other by ARP and neighbour discovery, which cross the tunnel
    probe.ping(red1, FAR4)
    probe.ping(red1, FAR6)
    far.ip("neighbour", "flush", "all")
    probe.ping(far, V4["1"])
    probe.ping(far, V6["1"])
    assert FAR_MAC in red1.run("ip", "neighbour", "show", FAR4).stdout, "red1 knows the far host's own MAC"
    data = bytes(range(256)) * 4096
    for address_of_far, address in ((FAR4, V4["1"]), (FAR6, V6["1"])):
        with probe.Server(far, 80), probe.connect(red1, address_of_far, 80) as connection:
            probe.echo(connection, data)
        with probe.Server(red1, 80), probe.connect(far, address, 80) as connection:
            probe.echo(connection, data)
    flows = vrouter.ask("flows", "--vif", "red1", "--proto", "tcp")["flows"]
    assert flows and all("frames by vxlan" in flow["next_hop"] + flow["reverse_next_hop"] for flow in flows), flows
    # the gateway is as near as ever
    probe.ping(red1, "10.1.1.1")


def test_frames_on_the_wire(picture):
    vrouter = picture.start("h1", bridged(PEER))
    wire = picture.wire(PEER)
    red1 = picture["red1"]
    red1.run("ping", "-c", "1", "-W", "1", FAR4, check=False)
    asked = wire.expect(lambda packet: VXLAN in packet and ARP in packet, "red1's ARP request to everybody")
    assert (asked[VXLAN].vni, asked[ARP].pdst, asked[ARP].hwsrc) == (VNI, FAR4, RED1_MAC), asked.summary()
    assert asked[VXLAN].payload.dst == "ff:ff:ff:ff:ff:ff", asked.summary()
    outer = Ether(src=wire.mac, dst=asked.src) / IP(src=PEER, dst=VTEPS["h1"])
    outer = outer / UDP(sport=51234, dport=4789, chksum=0) / VXLAN(vni=VNI, flags="Instance")
    frame = Ether(src=FAR_MAC, dst=RED1_MAC)
    wire.send(outer / frame / ARP(op=2, hwsrc=FAR_MAC, psrc=FAR4, hwdst=RED1_MAC, pdst=V4["1"]))
    red1.run("ping", "-c", "1", "-W", "1", "-t", "1", FAR4, check=False)
    last = lambda packet: VXLAN in packet and ICMP in packet and packet[VXLAN][IP].ttl == 1  # noqa: E731
    echo = wire.expect(last, "red1's echo request with a TTL of 1")
    read = tshark(picture.lab, [echo], "vxlan.vni", "eth.dst", "ip.ttl", "icmp.type", "_ws.malformed")[0]
    assert read["vxlan.vni"] == str(VNI) and read["icmp.type"] == "8", read
    # bridged: its own MACs, and a TTL of 1 stays
    assert read["eth.dst"].split(",")[-1] == FAR_MAC and read["ip.ttl"].split(",")[-1] == "1", read
    # what comes for a station that is not there, and from a tunnel for a tunnel
    for to, reason in (("02:aa:00:00:00:99", "unknown_unicast"), (FAR_MAC, "split_horizon")):
        before = vrouter.drops()
        wire.send(outer / Ether(src=FAR_MAC, dst=to) / IP(src=FAR4, dst=V4["1"]) / ICMP())
        vrouter.expect_drop(reason, before)


def test_a_known_station_is_not_asked_for_through_the_tunnel(picture):
    h1 = bridged(VTEPS["k"])
    h1["fdb"][0]["addresses"] = [FAR4, FAR6]
    vrouter = picture.start("h1", h1)
    far = kernel_bridge(picture)
    red1 = picture["red1"].netns
    heard = Wire(far, "eth0")
    for address in (FAR4, FAR6):
        probe.ping(red1, address)
    # its own MAC, though nobody asked it; frames of its own side it did hear
    assert FAR_MAC in red1.run("ip", "neighbour", "show", FAR4).stdout
    heard.expect(lambda packet: ICMP in packet and packet[IP].src == V4["1"], "red1's echo request")
    asks = lambda packet: ARP in packet and packet[ARP].op == 1 and packet[ARP].hwsrc == RED1_MAC  # noqa: E731
    asks6 = lambda packet: ICMPv6ND_NS in packet and packet[IPv6].src == V6["1"] and packet.dst != FAR_MAC  # noqa: E731
    assert not heard.seen(asks) and not heard.seen(asks6), "red1's questions came through the tunnel"
    # who is not known is asked for everywhere, and so is everybody once that is set
    probe.no_ping(red1, "10.1.1.99")
    heard.expect(lambda packet: asks(packet) and packet[ARP].pdst == "10.1.1.99", "a question for nobody who is known")
    h1["bridges"][0]["suppress_off"] = True
    vrouter.apply(h1)
    red1.ip("neighbour", "flush", "all")
    probe.ping(red1, FAR4)
    heard.expect(lambda packet: asks(packet) and packet[ARP].pdst == FAR4, "a question that is not suppressed")


def test_a_host_behind_the_kernel_s_bridge_is_learnt(picture):
    h1 = bridged(VTEPS["k"])
    h1["fdb"] = []
    h1["bridges"][0].update(learning=True, flood_unknown=True, ageing=8)
    vrouter = picture.start("h1", h1)
    far = kernel_bridge(picture)
    red1 = picture["red1"].netns
    learnt = lambda: [row for row in vrouter.ask("show", "fdb")["fdb"] if row.get("learnt")]  # noqa: E731
    probe.ping(red1, FAR4)
    rows = learnt()
    assert [(row["mac"], row["vxlan"]) for row in rows] == [(FAR_MAC, {"remote": VTEPS["k"], "vni": VNI})], rows
    # from now on red1's frames for it are for nobody else: a wire beside, listed as a VTEP too, hears ARP but no echo
    h1["bridges"][0]["vteps"].append({"vxlan": {"remote": PEER, "vni": VNI}})
    wire = picture.wire(PEER)
    vrouter.apply(h1)
    red1.ip("neighbour", "flush", "all")
    far.ip("neighbour", "flush", "all")
    probe.ping(red1, FAR4)
    wire.expect(lambda packet: VXLAN in packet and ARP in packet and packet[ARP].pdst == FAR4, "red1's ARP request")
    assert not wire.seen(lambda packet: VXLAN in packet and ICMP in packet), "an echo request was flooded"
    # it is silent, and forgotten: flooded again, by its MAC
    far.ip("link", "set", "eth0", "down")
    until(lambda: not learnt(), 20, "the far host is forgotten")
    red1.ip("neighbour", "replace", FAR4, "lladdr", FAR_MAC, "dev", "eth0")
    probe.no_ping(red1, FAR4)
    wire.expect(lambda packet: VXLAN in packet and ICMP in packet, "an echo request that is flooded")
    assert vrouter.ask("stats")["learning"]["aged"], vrouter.ask("stats")
