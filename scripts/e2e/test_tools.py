"""What vrctl shows of live traffic is what happened."""

import json

from lab import probe
from lab.picture import V4
from lab.process import Process, until
from lab.wire import ICMP, IP, Ether, Wire


def test_flows_count_exactly(picture):
    h1, h2 = picture.start_both()
    probe.ping(picture["red1"].netns, V4["2"], count=5)
    for vrouter, place, reverse in ((h1, "vif red1", "tunnel red"), (h2, "tunnel red", "vif red2")):
        flows = vrouter.ask("flows", "--proto", "icmp")["flows"]
        assert len(flows) == 1, flows
        flow = flows[0]
        assert (flow["place"], flow["reverse_place"]) == (place, reverse), flow
        assert (flow["source"], flow["destination"]) == (V4["1"], V4["2"]), flow
        assert (flow["verdict"], flow["reverse_verdict"], flow["state"]) == ("forward", "forward", "answered"), flow
        # ping's packets are 84 bytes with their IPv4 header.
        assert (flow["packets"], flow["bytes"]) == (5, 5 * 84), flow
        assert (flow["reverse_packets"], flow["reverse_bytes"]) == (5, 5 * 84), flow
    assert not h1.ask("flows", "--vif", "blue1")["flows"]


def test_explain_says_what_then_happens(picture):
    h1, _ = picture.start_both()

    def verdict(place, source, destination, port):
        return h1.ask("explain", *place, "--src", source, "--dst", destination, "--proto", "tcp", "--sport", "40000",
                      "--dport", str(port))["verdict"]
    into_red1 = ("--tunnel", "red")
    before = h1.stats()
    assert verdict(into_red1, V4["2"], V4["1"], 80) == "forward"
    assert verdict(into_red1, V4["2"], V4["1"], 8080) == "acl_to_vif"
    assert verdict(("--vif", "red1"), V4["1"], V4["2"], 9000) == "forward"
    assert verdict(("--vif", "red1"), V4["1"], "10.9.9.9", 9000) == "no_route"
    assert verdict(("--vif", "red1"), V4["2"], V4["1"], 9000) == "source_spoofed"
    after = h1.stats()
    # Without side effects. (What the tenants' kernels announce to a group may come in meanwhile.)
    was, now = ([row for row in stats["drops"] if row["reason"] != "multicast"] for stats in (before, after))
    assert after["flows"] == before["flows"] and now == was, (before, after)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    with probe.Server(red1, 80), probe.Server(red1, 8080), probe.Server(red2, 9000):
        probe.connect(red2, V4["1"], 80).close()
        probe.no_connection(red2, V4["1"], 8080)
        probe.connect(red1, V4["2"], 9000).close()


def test_a_victim_is_remembered_with_its_bytes(picture):
    h1 = picture.start("h1")
    red1 = Wire(picture["red1"].netns, "eth0")
    before = h1.drops()
    frame = bytes(Ether(src=red1.mac, dst="00:00:5e:00:01:00") / IP(src=V4["1"], dst="10.9.9.9") / ICMP(id=4242) / b"victim")
    red1.send(frame)
    h1.expect_drop("no_route", before)
    victims = until(lambda: h1.ask("drops", "--victims", "--reason", "no_route")["victims"], 5, "a victim")
    assert victims[0]["vif"] == "red1" and victims[0]["length"] == len(frame), victims
    head = bytes.fromhex(victims[0]["head"].replace(" ", "").replace(":", ""))
    assert head == frame[:96][: len(head)] and len(head) == min(len(frame), 96), victims


def test_drops_are_told_as_they_come(picture):
    h1 = picture.start("h1")
    red1 = Wire(picture["red1"].netns, "eth0")
    frame = Ether(src=red1.mac, dst="00:00:5e:00:01:00")
    told = Process((f"{picture.bin}/vrctl", "--socket", h1.socket, "drops", "--watch", "--vif", "red1", "-o", "json"), f"{picture.lab.folder}/told.log")

    def lines(reason):
        rows = [json.loads(line) for line in told.output().splitlines()]
        return [row for row in rows if row["reason"] == reason]

    def until_told(reason, packets):
        until(lambda: sum(row["packets"] for row in lines(reason)) >= packets, 10, f"{packets} of {reason}: {told.output()}")
        assert sum(row["packets"] for row in lines(reason)) == packets, told.output()
    # what was before it looks is not told of: until it does, one a time
    until(lambda: red1.send(bytes(frame / IP(src="10.1.1.99", dst=V4["2"]) / ICMP())) or lines("source_spoofed"), 10, "the first one")
    for _ in range(3):
        red1.send(bytes(frame / IP(src=V4["1"], dst="10.9.9.9") / ICMP(id=7)))
    until_told("no_route", 3)
    last = lines("no_route")[-1]
    assert last["vif"] == "red1" and "10.9.9.9" in last["last"]["decoded"] and last["last"]["object"] == "vrf red", last
    told.stop()


def test_what_is_shown_can_be_applied_again(picture):
    h1, _ = picture.start_both()
    shown = h1.vrctl("show", "all", "-o", "yaml").stdout
    path = f"{picture.lab.folder}/shown.yaml"
    with open(path, "w") as file:
        file.write(shown)
    h1.apply(path)
    assert h1.vrctl("show", "all", "-o", "yaml").stdout.split("\n")[1:] == shown.split("\n")[1:]
    probe.ping(picture["red1"].netns, V4["2"])
