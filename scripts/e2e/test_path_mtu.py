"""Tenant MTU 1500 over underlay MTU 1500: too-big answers, and TCP that heeds them."""

from lab import probe
from lab.picture import V4, V6, network

VXLAN = 1500 - 20 - 8 - 8 - 14
MPLS_OVER_UDP = 1500 - 20 - 8 - 4


def test_too_big_v4(picture):
    picture.start_both()
    assert probe.too_big(picture["red1"].netns, V4["2"], 1472) == VXLAN
    assert probe.too_big(picture["blue1"].netns, V4["2"], 1472) == MPLS_OVER_UDP
    # What just fits passes, one byte more does not.
    red2, blue2 = picture["red2"].netns, picture["blue2"].netns
    probe.ping(red2, V4["1"], size=VXLAN - 28, dont_fragment=True)
    assert probe.too_big(red2, V4["1"], VXLAN - 27) == VXLAN
    probe.ping(blue2, V4["1"], size=MPLS_OVER_UDP - 28, dont_fragment=True)
    assert probe.too_big(blue2, V4["1"], MPLS_OVER_UDP - 27) == MPLS_OVER_UDP


def test_too_big_v6(picture):
    picture.start_both()
    assert probe.too_big(picture["red1"].netns, V6["2"], 1452) == VXLAN
    assert probe.too_big(picture["blue1"].netns, V6["2"], 1452) == MPLS_OVER_UDP
    probe.ping(picture["red2"].netns, V6["1"], size=VXLAN - 48, dont_fragment=True)


def sizes():
    """Pairs of tenants, an address of the second, and the MTU between them."""
    return [(one, other, version["2"], mtu) for one, other, mtu in (("red1", "red2", VXLAN), ("blue1", "blue2", MPLS_OVER_UDP)) for version in (V4, V6)]


def test_tcp_announces_what_fits(picture):
    picture.start_both()
    data = bytes(range(256)) * 4096
    for one, other, address, mtu in sizes():
        with probe.Server(picture[other].netns, 9000), probe.connect(picture[one].netns, address, 9000) as connection:
            probe.echo(connection, data)
            assert probe.segment(connection) == mtu - (60 if ":" in address else 40), (address, probe.segment(connection))
    for vrouter in picture.vrouters.values():
        assert vrouter.drops().get("mtu_exceeded", 0) == 0, vrouter.drops()


def test_tcp_finds_its_size(picture):
    """Without the clamp of its MSS, by what it is told."""
    for host in ("h1", "h2"):
        of_host = network(host)
        of_host["settings"]["mss_clamp"] = False
        picture.start(host, of_host)
    data = bytes(range(256)) * 4096
    for one, other, address, mtu in sizes():
        with probe.Server(picture[other].netns, 9000):
            with probe.connect(picture[one].netns, address, 9000, seconds=10) as connection:
                probe.echo(connection, data)
        assert probe.path_mtu(picture[one].netns, address) == mtu


def test_what_may_be_fragmented_arrives(picture):
    picture.start_both()
    for one, other in (("red1", "red2"), ("blue1", "blue2")):
        for tenant, address in ((one, V4["2"]), (other, V4["1"])):
            done = picture[tenant].netns.run("ping", "-n", "-M", "dont", "-s", "1472", "-c", "5", "-i", "0.1", "-W", "2", address)
            assert " 5 received" in done.stdout, done.stdout
    for vrouter in picture.vrouters.values():
        assert vrouter.drops().get("mtu_exceeded", 0) == 0, vrouter.drops()
        pieces = sum(vif["pieces"] for vif in vrouter.stats()["vifs"])
        assert pieces == 20, pieces
