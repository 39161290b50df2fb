"""Same tenant across hosts, and tenants apart although their addresses are the same."""

from lab import probe
from lab.picture import V4, V6, network
from lab.wire import ICMP, IP, Ether, Wire


def test_red_crosses_over_vxlan_v4_and_v6(picture):
    picture.start_both()
    for address in (V4["2"], V6["2"]):
        probe.ping(picture["red1"].netns, address)
    for address in (V4["1"], V6["1"]):
        probe.ping(picture["red2"].netns, address)


def test_blue_crosses_over_mpls_over_udp_v4_and_v6(picture):
    picture.start_both()
    for address in (V4["2"], V6["2"]):
        probe.ping(picture["blue1"].netns, address)
    for address in (V4["1"], V6["1"]):
        probe.ping(picture["blue2"].netns, address)


def test_red_and_blue_do_not_meet(picture):
    h1, h2 = network("h1"), network("h2")
    # An address that only blue has.
    blue = {"vrf": "blue", "prefix": "10.1.1.99/32"}
    h1["routes"].append({**blue, "via": {"mpls_udp": {"remote": "172.31.0.2", "label": 202}}})
    next(vif for vif in h2["vifs"] if vif["name"] == "blue2")["addresses"].append("10.1.1.99")
    vrouter = picture.start("h1", h1)
    picture.start("h2", h2)
    picture["blue2"].netns.ip("address", "add", "10.1.1.99/24", "dev", "eth0")
    probe.ping(picture["blue1"].netns, "10.1.1.99")
    # red1's own ARP proxy has no route to it: a static neighbour makes the packet leave all the same.
    red1 = picture["red1"].netns
    red1.ip("neighbour", "add", "10.1.1.99", "lladdr", "00:00:5e:00:01:00", "dev", "eth0")
    before = vrouter.drops()
    probe.no_ping(red1, "10.1.1.99")
    vrouter.expect_drop("no_route", before, 2)
    # The same address in both: each tenant's own answers, the other's hears nothing.
    heard = Wire(picture["blue2"].netns, "eth0")
    probe.ping(red1, V4["2"], count=2)
    assert not heard.seen(lambda packet: ICMP in packet), "blue2 heard red's ping"


def test_two_workers_share_devices_of_one_queue(picture):
    for host in ("h1", "h2"):
        picture.start(host, workers=2)
    data = bytes(range(256)) * 2000
    for one, other in (("red1", "red2"), ("blue1", "blue2")):
        with probe.Server(picture[other].netns, 9000):
            for address in (V4["2"], V6["2"]):
                probe.ping(picture[one].netns, address, count=5)
                with probe.connect(picture[one].netns, address, 9000, seconds=10) as connection:
                    probe.echo(connection, data)
    workers = picture.vrouters["h1"].stats()["workers"]
    assert len(workers) == 2 and all(int(worker["polls"]) > 0 for worker in workers), workers


def test_gateway_answers_its_tenants(picture):
    picture.start("h1")
    probe.ping(picture["red1"].netns, "10.1.1.1")
    probe.ping(picture["red1"].netns, "fd00:1::1")
    probe.ping(picture["blue1"].netns, "10.1.1.1")


def test_forged_sources_are_refused(picture):
    vrouter = picture.start("h1")
    red1 = Wire(picture["red1"].netns, "eth0")
    gateway = "00:00:5e:00:01:00"
    before = vrouter.drops()
    red1.send(Ether(src=red1.mac, dst=gateway) / IP(src=V4["2"], dst=V4["k"]) / ICMP())
    vrouter.expect_drop("source_spoofed", before)
    red1.send(Ether(src="02:00:00:00:00:66", dst=gateway) / IP(src=V4["1"], dst=V4["k"]) / ICMP())
    vrouter.expect_drop("mac_spoofed", before)
