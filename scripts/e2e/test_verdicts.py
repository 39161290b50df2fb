"""Live flows when ACLs change: the first packet after Sync obeys, and it is told how many flows have another verdict."""

import ipaddress
import socket
import time

from lab.bed import Bed
from lab.client import Client, stubs
from lab.control import network
from lab.datagrams import Answerer
from lab.picture import V4
from lab.process import until
from test_traffic import settings
from test_watch import Watch

FLOWS = 10_000
ROUNDS = 200
PORT = 9000


def rules(v1, *denied):
    """Deny these prefixes' packets, permit all others."""
    return [v1.Rule(source=v1.AddressMatch(prefix=one)) for one in denied] + [v1.Rule(permit=True)]


def verdicts(events, generation):
    return next(event.verdicts for event in events if event.HasField("verdicts") and event.verdicts.generation >= generation)


def test_ten_thousand_live_flows_and_their_new_verdicts(picture):
    v1, service = stubs(picture.lab.folder)
    source = f"source0,flows={FLOWS},size=64,rate=20000,clients=10.128.0.0/20,servers=20.0.0.0/24"
    state = network()
    # none ends meanwhile, however slow the machine
    state["settings"]["lifetimes"] = {"udp_unanswered": 3600}
    bed = Bed(picture.bin, picture.lab.folder, "verdicts", {"tenant": source, "fabric": "sink1"}, settings(picture, state=state))
    with bed, Client(bed.socket, service, v1) as client:
        events = client.calls.Watch(v1.WatchRequest(kinds=[v1.KIND_PORT], verdicts=True), timeout=300)
        half = client.prefix("10.128.0.0/21")
        permit, deny = v1.Acl(name="all", rules=rules(v1)), v1.Acl(name="all", rules=rules(v1, half))
        generation = client.apply("operator", v1.Object(acl=permit), v1.Object(vrf=v1.Vrf(name="red", acl="all")))
        verdicts(events, generation)
        until(lambda: client.stats().flows.used_v4 >= FLOWS, 120, "the flows")
        # what began in the tick of the change may be the change's own
        time.sleep(1)
        network_of_half = ipaddress.ip_network("10.128.0.0/21")
        # what the table itself says of its flows
        sources = [ipaddress.ip_address(flow.source) for flow in client.flows(vrf="red")]
        concerned = sum(source in network_of_half for source in sources)
        assert len(sources) == FLOWS and 0 < concerned < FLOWS, concerned
        for acl, denied, permitted in ((deny, concerned, 0), (permit, 0, concerned), (deny, concerned, 0)):
            generation = client.apply("operator", v1.Object(acl=acl))
            told = verdicts(events, generation)
            assert (told.flows, told.now_denied, told.now_permitted) == (FLOWS, denied, permitted), told
            assert (told.unchanged, told.ended, told.gone) == (FLOWS - concerned, 0, 0), told
            cause = v1.VerdictCause(reason="acl_vrf", by="vrf red", acl="all", now_denied=denied, now_permitted=permitted)
            assert list(told.causes) == [cause], told
            assert client.stats().verdicts == told
        # all of them send within a second: what was told is what they meet
        until(lambda: sum(flow.verdict == "acl_vrf" for flow in client.flows(vrf="red")) == concerned, 120, "the flows to be refused")


def test_the_first_packet_of_a_live_flow_after_sync_obeys(picture):
    h1, _ = picture.start_both()
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    v1, service = stubs(picture.lab.folder)
    watch = Watch(h1)
    with Client(h1.socket, service, v1) as client, Answerer(red1, "red1", V4["1"], PORT) as server, red2.socket(
            socket.AF_INET, socket.SOCK_DGRAM) as one:

        def change(permit):
            acl = v1.Acl(name="red1-receives", rules=[v1.Rule(permit=permit)])
            client.sync(client.apply("operator", v1.Object(acl=acl)))

        def refused():
            return sum(row.packets for row in client.stats().drops if row.reason == "acl_to_vif")

        one.connect((V4["1"], PORT))
        one.settimeout(5)
        change(True)
        one.send(b"first")
        assert one.recv(100) == b"red1 first"
        for number in range(ROUNDS):
            change(number % 2 == 1)
            before = refused()
            one.send(b"%d" % number)
            if number % 2 == 1:
                assert one.recv(100) == b"red1 %d" % number
            else:
                until(lambda: refused() > before, 5, f"datagram {number} to be refused")
        assert server.came == [b"first", *(b"%d" % number for number in range(1, ROUNDS, 2))]
        # it was one flow all the time
        flows = [flow for flow in client.flows() if flow.destination_port == PORT]
        assert len(flows) == 1 and flows[0].packets > ROUNDS // 2, flows
    found = watch.wait(lambda event: event["now_denied"] and event["causes"][0]["acl"] == "red1-receives", event="verdicts")
    assert found[0]["causes"][0]["reason"] == "acl_to_vif", found
