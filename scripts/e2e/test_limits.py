"""Floods and settings: the neighbour must not feel them."""

from lab import probe
from lab.picture import V4, network
from lab.wire import IP, TCP, UDP, Ether, Wire

GATEWAY_MAC = "00:00:5e:00:01:00"


def flood(wire, flows):
    """That many new UDP flows from red1 to red2."""
    for number in range(flows):
        wire.send(Ether(src=wire.mac, dst=GATEWAY_MAC) / IP(src=V4["1"], dst=V4["2"]) / UDP(sport=1024 + number, dport=9))


def test_a_flood_of_new_flows_leaves_the_established_alone(picture):
    capacity = 256
    h1 = picture.start("h1", limits={"flows_v4": capacity, "new_flows_per_second": 1_000_000})
    picture.start("h2")
    blue1, blue2 = picture["blue1"].netns, picture["blue2"].netns
    with probe.Server(blue2, 9000), probe.connect(blue1, V4["2"], 9000) as connection:
        probe.echo(connection, b"established" * 10)
        flood(Wire(picture["red1"].netns, "eth0"), 8 * capacity)
        for _ in range(20):
            probe.echo(connection, b"still passing" * 100)
        stats = h1.stats()["flows"]
        assert stats["used_v4"] <= stats["capacity_v4"], stats
        assert stats["evicted"] > 0 or h1.drops().get("flow_table_full", 0) > 0, (stats, h1.drops())
        flow = h1.ask("flows", "--vif", "blue1", "--proto", "tcp")["flows"]
        assert len(flow) == 1 and flow[0]["state"] == "established", flow


def test_a_budget_of_new_flows(picture):
    h1 = picture.start("h1", limits={"new_flows_per_second": 50})
    picture.start("h2")
    before = h1.drops()
    flood(Wire(picture["red1"].netns, "eth0"), 1000)
    h1.expect_drop("flow_budget", before, 500)
    # It is red1's budget that is spent, not blue1's.
    probe.ping(picture["blue1"].netns, V4["2"])


def test_packet_mode_keeps_no_flows(picture):
    h1, h2 = network("h1"), network("h2")
    for one in (h1, h2):
        next(vrf for vrf in one["vrfs"] if vrf["name"] == "blue")["flows"] = False
    vrouter = picture.start("h1", h1)
    picture.start("h2", h2)
    probe.ping(picture["blue1"].netns, V4["2"], count=5)
    assert not vrouter.ask("flows", "--vif", "blue1")["flows"]


def test_only_listed_vteps_may_send_into_a_vrf(picture):
    h1 = network("h1")
    next(vrf for vrf in h1["vrfs"] if vrf["name"] == "blue")["allowed_vteps"] = ["172.31.0.77"]
    vrouter = picture.start("h1", h1)
    picture.start("h2")
    before = vrouter.drops()
    probe.no_ping(picture["blue2"].netns, V4["1"])
    vrouter.expect_drop("vtep_not_allowed", before, 2)
    probe.ping(picture["red2"].netns, V4["1"])


def test_strict_tcp_wants_a_syn(picture):
    h1 = network("h1")
    h1["settings"]["tcp_strict"] = True
    vrouter = picture.start("h1", h1)
    picture.start("h2")
    red1 = Wire(picture["red1"].netns, "eth0")
    before = vrouter.drops()
    red1.send(Ether(src=red1.mac, dst=GATEWAY_MAC) / IP(src=V4["1"], dst=V4["2"]) / TCP(sport=5000, dport=80, flags="A"))
    vrouter.expect_drop("tcp_not_syn", before)
    with probe.Server(picture["red2"].netns, 80):
        probe.connect(picture["red1"].netns, V4["2"], 80).close()
