"""Ports of kinds that need a second process, each against a peer that is not ours: the kernel by AF_XDP, testpmd by memif and by
virtio's shared rings. Where testpmd stands for the guest it carries the frames of blue1, a namespace."""

import random
import socket

from lab import probe
from lab.hugepages import HugePages
from lab.picture import BLUE_LABELS, V4, V6, VTEPS, network
from lab.process import until
from lab.splice import Splice
from lab.wire import IP, MPLS, UDP, Ether, Raw, Wire

PEER, FAR, FAR_LABEL = "172.31.0.9", "10.1.1.99", 999
GATEWAY_MAC, BLUE1_MAC = "00:00:5e:00:01:00", "02:bb:00:00:00:11"
MEGABYTES = 512


def start(picture, port=None, **options):
    """h1, whose port blue1 is this device, and h2. The far end that answers for PEER, and h1's vRouter."""
    far = picture.wire(PEER)
    h1 = picture.hosts.get("h1") or picture.add_host("h1")
    if port:
        h1.ports["blue1"] = port
    of_h1 = network("h1")
    via = {"mpls_udp": {"remote": PEER, "label": FAR_LABEL}}
    of_h1["routes"].append({"vrf": "blue", "prefix": f"{FAR}/32", "via": via})
    vrouter = picture.start("h1", of_h1, **options)
    picture.start("h2")
    return far, vrouter


def link(vrouter, port="blue1"):
    return {row["port"]: row["link_up"] for row in vrouter.stats()["ports"]}[port]


def carries(picture, far):
    """Every byte of a guest's packets crosses in both directions, pings of both families do, and TCP does."""
    guest = Wire(picture["blue1"].netns, "eth0")
    ours = picture.hosts["h1"].netns.mac("fabric")
    rng = random.Random(7)
    for number, size in enumerate((0, 1, 17, 30, 200, 1023, 1024, 1430)):
        payload, port = rng.randbytes(size), 5000 + number
        sent = IP(bytes(IP(src=V4["1"], dst=FAR, ttl=33, id=number) / UDP(sport=port, dport=9) / Raw(payload)))
        guest.send(Ether(src=BLUE1_MAC, dst=GATEWAY_MAC) / sent)
        came = far.expect(lambda packet: MPLS in packet and packet[MPLS].label == FAR_LABEL and of(packet, "sport") == port,
                          f"blue1's packet with {size} bytes at the far end")
        assert inner(came) == forwarded(sent), f"{size} bytes: {inner(came).hex()} is not {forwarded(sent).hex()}"
        back = IP(bytes(IP(src=FAR, dst=V4["1"], ttl=33, id=number) / UDP(sport=9, dport=port) / Raw(payload)))
        far.send(Ether(src=far.mac, dst=ours) / IP(src=PEER, dst=VTEPS["h1"]) / UDP(sport=50001, dport=6635, chksum=0)
                 / MPLS(label=BLUE_LABELS["h1"], s=1, ttl=64) / back)
        came = guest.expect(lambda packet: UDP in packet and packet[UDP].dport == port, f"the answer with {size} bytes")
        header = (came.dst, came.src, came.type)
        assert header == (BLUE1_MAC, GATEWAY_MAC, 0x800), header
        assert bytes(came)[14:14 + len(back)] == forwarded(back), f"{size} bytes back"
    guest.close()
    for address in (V4["2"], V6["2"]):
        probe.ping(picture["blue1"].netns, address, count=5)
    for one, other, address in (("blue1", "blue2", V4["2"]), ("blue2", "blue1", V4["1"])):
        assert probe.iperf(picture[one].netns, picture[other].netns, address, 1) > 1


def of(packet, field):
    """A field of the inner UDP header; scapy knows no IP behind a label that it was not told of."""
    udp = UDP(inner(packet)[20:])
    return getattr(udp, field)


def inner(packet):
    """The packet behind the label."""
    return bytes(packet[MPLS].payload)


def forwarded(packet):
    """These bytes after one hop, by scapy."""
    after = packet.copy()
    after.ttl -= 1
    del after.chksum
    return bytes(after)


def test_af_xdp(picture):
    h1 = picture.add_host("h1")
    h1.ports = {port: f"net_af_xdp{number},iface={port}" for number, port in enumerate(h1.ports)}
    far, vrouter = start(picture)
    carries(picture, far)
    # The program that a killed daemon leaves on its interfaces does not keep the next one from starting.
    vrouter.kill()
    vrouter.start()
    vrouter.apply(network("h1"))
    probe.ping(picture["blue1"].netns, V4["2"])


def test_af_xdp_ports_come_and_go(picture):
    """On one interface, again and again: its queue is free when the port is gone."""
    h1 = picture.add_host("h1")
    h1.ports = {port: f"net_af_xdp{number},iface={port}" for number, port in enumerate(h1.ports)}
    # each loses buffers, which the driver does not give back
    _, vrouter = start(picture, mempool={"mbufs": 32768})
    picture.lab.veth((h1.netns, "late"), (h1.netns, "late-peer"), 1500)
    for _ in range(3):
        vrouter.vrctl("add", "port", "late", "--devargs", "net_af_xdp7,iface=late", "--sync")
        vrouter.vrctl("delete", "port", "late", "--sync")
    probe.ping(picture["blue1"].netns, V4["2"])


def test_memif_server(picture):
    socket = f"{picture.lab.folder}/memif.sock"
    far, vrouter = start(picture, f"net_memif0,role=server,socket={socket},socket-abstract=no")
    assert not link(vrouter)
    for turn in (1, 2):
        peer = Splice(picture.hosts["h1"].netns, f"peer{turn}", "blue1",
                      f"net_memif0,role=client,socket={socket},socket-abstract=no")
        until(lambda: link(vrouter), 5, "memif's link")
        carries(picture, far) if turn == 1 else probe.ping(picture["blue1"].netns, V4["2"])
        peer.stop()
        until(lambda: not link(vrouter), 5, "the link to be lost with its peer")


def test_memif_client_without_copying(picture):
    pages = HugePages(picture.lab, MEGABYTES)
    socket, h1 = f"{picture.lab.folder}/memif.sock", picture.add_host("h1")
    Splice(h1.netns, "peer", "blue1", f"net_memif0,role=server,socket={socket},socket-abstract=no", pages)
    far, vrouter = start(picture, f"net_memif0,role=client,socket={socket},socket-abstract=no,zero-copy=yes",
                         eal={"huge_pages": True})
    until(lambda: link(vrouter), 5, "memif's link")
    carries(picture, far)


def vhost(picture, pages):
    """The daemon is the back end, the guest's NIC comes and goes."""
    socket = f"{picture.lab.folder}/vhost.sock"
    far, vrouter = start(picture, f"net_vhost0,iface={socket}", eal={"huge_pages": pages is not None})
    assert not link(vrouter)
    before = vrouter.drops()
    probe.no_ping(picture["blue2"].netns, V4["1"])
    vrouter.expect_drop("tx_refused", before)
    for turn in (1, 2):
        # Buffers larger than ours, so that it can send what needs two of ours.
        guest = Splice(picture.hosts["h1"].netns, f"guest{turn}", "blue1", f"net_virtio_user0,path={socket},mac={BLUE1_MAC}",
                       pages, room=4096)
        until(lambda: link(vrouter), 5, "the link to the guest")
        carries(picture, far) if turn == 1 else probe.ping(picture["blue1"].netns, V4["2"])
        if turn == 1:
            sends_what_needs_two_buffers(picture, vrouter)
        guest.stop()
        until(lambda: not link(vrouter), 5, "the link to be lost with the guest")


def sends_what_needs_two_buffers(picture, vrouter):
    picture["blue1"].netns.ip("link", "set", "eth0", "mtu", "4000")
    picture.hosts["h1"].netns.ip("link", "set", "blue1", "mtu", "4000")
    wire, before = Wire(picture["blue1"].netns, "eth0"), vrouter.drops()
    server, payload = picture["blue2"].netns.socket(socket.AF_INET, socket.SOCK_DGRAM), random.Random(3).randbytes(3000)
    server.bind(("", 9))
    server.settimeout(3)
    for _ in range(3):
        wire.send(Ether(src=BLUE1_MAC, dst=GATEWAY_MAC) / IP(src=V4["1"], dst=V4["2"]) / UDP(dport=9) / Raw(payload))
        # It left in pieces, which fit the tunnel.
        assert server.recv(4000) == payload
    # an interface with another MTU may also ask for routers
    after = vrouter.drops()
    lost = {reason: count - before.get(reason, 0) for reason, count in after.items() if count != before.get(reason, 0)}
    assert set(lost) <= {"multicast", "neighbour_not_ours"}, lost
    wire.close()
    server.close()
    probe.ping(picture["blue1"].netns, V4["2"])


def test_vhost(picture):
    vhost(picture, None)


def test_vhost_in_huge_pages(picture):
    vhost(picture, HugePages(picture.lab, MEGABYTES))


def test_vhost_client(picture):
    """The guest's side listens, and either side is started anew while the other one lives."""
    socket = f"{picture.lab.folder}/vhost.sock"
    far, vrouter = start(picture, f"net_vhost0,iface={socket},client=1")
    assert not link(vrouter)

    def guest(name):
        return Splice(picture.hosts["h1"].netns, name, "blue1", f"net_virtio_user0,path={socket},server=1,mac={BLUE1_MAC}", room=4096,
                      options=())
    one = guest("guest1")
    until(lambda: link(vrouter), 10, "the link to the guest")
    carries(picture, far)
    for turn in (1, 2):
        vrouter.kill() if turn == 1 else vrouter.stop()
        vrouter.start()
        vrouter.apply(network("h1"))
        until(lambda: link(vrouter), 10, f"the link to the guest that lives, turn {turn}")
        probe.ping(picture["blue1"].netns, V4["2"])
    one.stop()
    until(lambda: not link(vrouter), 10, "the link to be lost with the guest")
    guest("guest2")
    until(lambda: link(vrouter), 10, "the link to the next guest")
    probe.ping(picture["blue1"].netns, V4["2"])


def refused(vrouter):
    return [vrouter.drops().get(reason, 0) for reason in ("tx_refused", "tx_handover_full")]


def test_vhost_queues(picture):
    """Two workers, and a guest that takes frames from the queue of one of them, then from both."""
    h1 = picture.add_host("h1")
    socket, ports = f"{picture.lab.folder}/vhost.sock", h1.ports
    # in this order the uplink is the second worker's
    h1.ports = {"red1": ports["red1"], "fabric": ports["fabric"]}
    far, vrouter = start(picture, f"net_vhost0,iface={socket},queues=2", workers=2)
    for queues in (1, 2, 1):
        guest = Splice(h1.netns, f"guest-of-{queues}", "blue1", f"net_virtio_user0,path={socket},mac={BLUE1_MAC},queues={queues}",
                       queues=queues)
        until(lambda: link(vrouter), 5, "the link to the guest")
        before = refused(vrouter)
        for address in (V4["2"], V6["2"]):
            probe.ping(picture["blue1"].netns, address, count=20)
        assert refused(vrouter) == before, (before, vrouter.drops())
        carries(picture, far)
        guest.stop()
        until(lambda: not link(vrouter), 5, "the link to be lost with the guest")


def virtio_user(picture, pages):
    """The daemon is the front end of a back end that is not ours."""
    socket, h1 = f"{picture.lab.folder}/vhost.sock", picture.add_host("h1")
    Splice(h1.netns, "backend", "blue1", f"net_vhost0,iface={socket}", pages)
    far, vrouter = start(picture, f"net_virtio_user0,path={socket},mac=02:bb:00:00:00:77", eal={"huge_pages": pages is not None})
    assert link(vrouter)
    carries(picture, far)


def test_virtio_user(picture):
    virtio_user(picture, None)


def test_virtio_user_in_huge_pages(picture):
    virtio_user(picture, HugePages(picture.lab, MEGABYTES))
