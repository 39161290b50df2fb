"""Packets of 9,000 bytes over an underlay that carries them: the kernel's VXLAN at the far end, and another vRouter."""

from lab import probe
from lab.picture import V4, V6

MTU, UNDERLAY = 9000, 9216
VXLAN = MTU - 20 - 8 - 8 - 14
# What the kernel's ring holds of a frame must fit a buffer.
RING, ROOM = "blocksz=65536,framesz=16384", 16384


def start(picture, *names):
    picture.underlay.widen(UNDERLAY)
    for name in names:
        host = picture.add_host(name)
        for port, tenant in zip(list(host.ports)[1:], host.tenants.values()):
            host.netns.ip("link", "set", port, "mtu", str(MTU))
            tenant.netns.ip("link", "set", "eth0", "mtu", str(MTU))
        host.ports = {port: f"{devargs},{RING}" for port, devargs in host.ports.items()}
        picture.start(name, mempool={"mbufs": 4096, "room": ROOM}, eal={"memory_mb": 256}, mtu=MTU)


def test_to_the_kernel_s_vxlan(picture):
    start(picture, "h1")
    kernel = picture.add_kernel()
    kernel.ip("link", "set", "vx100", "mtu", str(VXLAN))
    red1 = picture["red1"].netns
    # The first of them waits for the far end's neighbour.
    for address, header in ((V4["k"], 28), (V6["k"], 48)):
        probe.ping(red1, address, size=8900 - header, dont_fragment=True)
        probe.ping(red1, address, size=VXLAN - header, dont_fragment=True)
        assert probe.too_big(red1, address, VXLAN - header + 1) == VXLAN
    for address, header in ((V4["1"], 28), (V6["1"], 48)):
        probe.ping(kernel, address, size=VXLAN - header, dont_fragment=True)
    data = bytes(range(256)) * 8192
    for address in (V4["k"], V6["k"]):
        with probe.Server(kernel, 80), probe.connect(red1, address, 80) as connection:
            probe.echo(connection, data)
            assert probe.segment(connection) == VXLAN - (60 if ":" in address else 40), probe.segment(connection)


def test_between_two_of_ours(picture):
    start(picture, "h1", "h2")
    for one, other, size in (("red1", "2", VXLAN), ("blue2", "1", MTU - 20 - 8 - 4)):
        probe.ping(picture[one].netns, V4[other], size=size - 28, dont_fragment=True)
        probe.ping(picture[one].netns, V6[other], size=size - 48, dont_fragment=True)
    # What may be cut leaves in pieces that are larger than a usual buffer.
    picture["red1"].netns.ip("link", "set", "eth0", "mtu", "9100")
    picture.hosts["h1"].netns.ip("link", "set", "red1", "mtu", "9100")
    done = picture["red1"].netns.run("ping", "-n", "-M", "dont", "-s", "9050", "-c", "5", "-i", "0.1", "-W", "2", V4["2"])
    assert " 5 received" in done.stdout, done.stdout
    # Gateways answer at length.
    probe.ping(picture["red1"].netns, "10.1.1.1", size=8900, dont_fragment=True)
    for vrouter in picture.vrouters.values():
        for reason in ("mtu_exceeded", "multi_segment", "punt_ring_full", "piece_no_room"):
            assert vrouter.drops().get(reason, 0) == 0, vrouter.drops()
