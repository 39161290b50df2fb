"""The Linux kernel's own VXLAN as the far end, without a static neighbour."""

from lab import probe
from lab.picture import V4, V6


def test_ping_v4_and_v6_both_ways(picture):
    picture.start_both()
    kernel = picture.add_kernel()
    for tenant in ("red1", "red2"):
        for address in (V4["k"], V6["k"]):
            probe.ping(picture[tenant].netns, address)
    # The kernel asks by ARP and ND through its flood entries; the vRouter that has the address answers through the tunnel.
    kernel.ip("neighbour", "flush", "all")
    for address in (V4["1"], V4["2"], V6["1"], V6["2"]):
        probe.ping(kernel, address)


def test_tcp_both_ways(picture):
    picture.start("h1")
    kernel = picture.add_kernel()
    red1 = picture["red1"].netns
    data = bytes(range(256)) * 4096
    for address_of_kernel, address in ((V4["k"], V4["1"]), (V6["k"], V6["1"])):
        with probe.Server(kernel, 80), probe.connect(red1, address_of_kernel, 80) as connection:
            probe.echo(connection, data)
        with probe.Server(red1, 80), probe.connect(kernel, address, 80) as connection:
            probe.echo(connection, data)
