"""The control socket serves a client that is not ours: Python, with stubs that protoc makes of the contract."""

import time

import grpc

from lab.client import Client, Refusal, address, mac, stubs
from lab.daemon import Vrouter
from lab.picture import RED_VNI, V4, VTEPS, router_mac
from lab.process import Failure, until
from lab.wire import IP, UDP, VXLAN, Ether, Raw, Wire, tshark

PEER = "172.31.0.9"
FAR, FAR_MAC, FAR_VNI = "10.1.1.99", "02:00:00:00:00:99", 4242
GATEWAY_MAC = "00:00:5e:00:01:00"
UDP_NUMBER = 17


def start(picture):
    """h1's daemon with nothing in it, and a client."""
    host = picture.add_host("h1")
    picture.vrouters["h1"] = vrouter = Vrouter(host, picture.bin)
    v1, service = stubs(picture.lab.folder)
    client = Client(vrouter.socket, service, v1)
    picture.lab.at_close(client.__exit__)
    return client, v1


def network(client, v1):
    """A VRF with a VIF, whose guest may send UDP to port 9 only and reaches 10.1.1.99 over VXLAN."""
    return [
        v1.Object(vrf=v1.Vrf(name="underlay")),
        v1.Object(vrf=v1.Vrf(name="red", tenant="red")),
        v1.Object(vif=v1.Vif(name="uplink", kind=v1.VIF_FABRIC, port="fabric", vrf="underlay", addresses=[address(VTEPS["h1"])],
                             subnets=[client.prefix("172.31.0.0/24")])),
        v1.Object(settings=v1.Settings(underlay_vrf="underlay", vtep=address(VTEPS["h1"]))),
        v1.Object(group=v1.AddressGroup(name="far", prefixes=[client.prefix("10.1.1.96/27"), client.prefix("fd00:1::/64")])),
        v1.Object(acl=v1.Acl(name="guest", rules=[v1.Rule(
            name="discard", permit=True, protocol=UDP_NUMBER, destination=v1.AddressMatch(group="far"),
            destination_ports=[v1.PortRange(first=9, last=9)])])),
        v1.Object(vif=v1.Vif(name="red1", kind=v1.VIF_TENANT, port="red1", vrf="red", mac=mac("02:aa:00:00:00:11"),
                             addresses=[address(V4["1"])], gateway_v4=address("10.1.1.1"), acl_from_vif="guest")),
        v1.Object(vni=v1.Vni(vni=RED_VNI, vrf="red")),
        route(client, v1),
    ]


def route(client, v1, remote=PEER, vni=FAR_VNI):
    tunnel = v1.Tunnel(remote=address(remote), vxlan=v1.Tunnel.Vxlan(vni=vni, inner_mac=mac(FAR_MAC)))
    key = v1.RouteKey(vrf="red", prefix=client.prefix(f"{FAR}/32"))
    return v1.Object(route=v1.Route(key=key, next_hop=v1.NextHop(tunnel=tunnel)))


def guest_sends(port, payload=b"x" * 30):
    return Ether(dst=GATEWAY_MAC) / IP(src=V4["1"], dst=FAR, ttl=9) / UDP(sport=4000, dport=port) / Raw(payload)


def is_vxlan(vni):
    return lambda packet: VXLAN in packet and packet[VXLAN].vni == vni


def test_programs_a_network_and_reads_what_its_packets_did(picture):
    client, v1 = start(picture)
    generation = client.apply("python", *network(client, v1))
    assert client.sync(generation) >= generation
    far, red1 = picture.wire(PEER), Wire(picture["red1"].netns, "eth0")
    for packet in (guest_sends(9), guest_sends(9), guest_sends(10)):
        packet.src = red1.mac
        red1.send(packet)
    until(lambda: len(far.seen(is_vxlan(FAR_VNI))) >= 2, 5, "the guest's two packets in VXLAN")
    read = tshark(picture.lab, far.seen(is_vxlan(FAR_VNI)), "ip.src", "ip.dst", "vxlan.vni", "udp.dstport", "ip.ttl")
    assert [row["udp.dstport"] for row in read] == ["4789,9"] * 2, read
    assert {row["ip.src"] for row in read} == {f"{VTEPS['h1']},{V4['1']}"}, read
    assert {row["vxlan.vni"] for row in read} == {str(FAR_VNI)} and read[0]["ip.ttl"].endswith(",8"), read
    # An answer through our VNI, which the ACL of what the guest sends does not judge.
    answer = IP(src=FAR, dst=V4["1"]) / UDP(sport=9, dport=4000) / Raw(b"answer")
    ours = picture.hosts["h1"].netns.mac("fabric")
    far.send(Ether(src=far.mac, dst=ours) / IP(src=PEER, dst=VTEPS["h1"]) / UDP(sport=50000, dport=4789, chksum=0)
             / VXLAN(vni=RED_VNI, flags="Instance") / Ether(src=FAR_MAC, dst=router_mac("h1")) / answer)
    red1.expect(lambda packet: UDP in packet and packet[UDP].sport == 9 and bytes(packet[UDP].payload)[:6] == b"answer",
                "the answer at the guest")

    flows = client.flows(vif="red1", protocol=UDP_NUMBER)
    assert len(flows) == 1, flows
    flow = flows[0]
    assert (flow.place, flow.reverse_place, flow.state) == ("vif red1", "tunnel red", "answered"), flow
    assert (flow.source, flow.destination) == (address(V4["1"]), address(FAR)), flow
    assert (flow.source_port, flow.destination_port, flow.verdict) == (4000, 9, "forward"), flow
    assert (flow.packets, flow.bytes, flow.reverse_packets, flow.reverse_bytes) == (2, 2 * 58, 1, 34), flow
    assert not client.flows(protocol=UDP_NUMBER, port=10)

    stats = client.stats()
    denied = {(row.reason, row.vif): row.packets for row in stats.drops}
    assert denied[("acl_from_vif", "red1")] == 1, denied
    books = stats.conservation
    assert books.received + books.originated + books.copied == books.sent + books.dropped + books.held + books.consumed, books
    victims = client.calls.Victims(v1.VictimsRequest(vif="red1", reason="acl_from_vif"), timeout=10).victims
    assert len(victims) == 1 and "acl guest" in victims[0].object, victims
    assert Ether(victims[0].head)[UDP].dport == 10, victims
    explained = client.calls.Explain(v1.ExplainRequest(
        vif="red1", source=address(V4["1"]), destination=address(FAR), protocol=UDP_NUMBER, source_port=4000,
        destination_port=10), timeout=10)
    assert explained.verdict == "acl_from_vif", explained


def test_a_change_reaches_the_next_packet(picture):
    client, v1 = start(picture)
    client.apply("python", *network(client, v1))
    client.sync()
    far, red1 = picture.wire(PEER), Wire(picture["red1"].netns, "eth0")

    def send():
        packet = guest_sends(9)
        packet.src = red1.mac
        far.forget()
        red1.send(packet)
    send()
    far.expect(is_vxlan(FAR_VNI), "a packet with the VNI of the first route")
    client.sync(client.apply("python", route(client, v1, vni=7)))
    send()
    far.expect(is_vxlan(7), "a packet with the VNI of the second route")
    shut = v1.Object(acl=v1.Acl(name="guest"))
    before = {row.reason: row.packets for row in client.stats().drops}
    client.sync(client.apply("python", shut))
    send()
    until(lambda: {row.reason: row.packets for row in client.stats().drops}.get("acl_from_vif", 0) == 1, 5, "one denied packet")
    assert "acl_from_vif" not in before and not far.seen(is_vxlan(7)), before
    # What it wrote is what it reads, and what it deletes is gone.
    routes = [one.route for one in client.objects(v1.KIND_ROUTE, vrf="red") if one.route.key.owner == "python"]
    assert [one.next_hop.tunnel.vxlan.vni for one in routes] == [7], routes
    client.apply("python", delete=[v1.ObjectKey(route=routes[0].key)])
    assert not [one for one in client.objects(v1.KIND_ROUTE, vrf="red") if one.route.key.owner == "python"]


def test_is_refused_with_field_and_reason(picture):
    client, v1 = start(picture)
    good = network(client, v1)
    before = client.apply("python", *good)
    there = sorted(one.SerializeToString() for one in client.objects())
    red, missing = v1.Vrf(name="green"), v1.AddressMatch(group="nobody")
    rules = [v1.Rule(permit=True), v1.Rule(permit=True, source=missing)]
    short = v1.Object(vif=v1.Vif(name="red1", kind=v1.VIF_TENANT, port="red1", vrf="red", mac=b"\x02\xaa"))
    # What is sent, and the change, field and a word of the reason that come back.
    cases = [
        (([v1.Object(vrf=red), v1.Object(acl=v1.Acl(name="web", rules=rules))], [], []), 1, "rules[1].source.group", "nobody"),
        (([v1.Object(vrf=red), short], [], []), 1, "mac", "6"),
        (([v1.Object(vrf=red), route(client, v1, vni=1 << 24)], [], []), 1, "next_hop.tunnel.vxlan.vni", "16777215"),
        (([], [v1.Object(vrf=red), v1.Object(vrf=v1.Vrf(name="red"))], []), 1, "", "exists"),
        (([v1.Object(vrf=red)], [], [v1.ObjectKey(acl="guest")]), 1, "", "red1"),
    ]
    wrong = []
    for (put, create, delete), change, field, word in cases:
        try:
            client.apply("python", *put, create=create, delete=delete)
            wrong.append(f"taken: {put} {create} {delete}")
        except Refusal as refusal:
            if (refusal.change, refusal.field) != (change, field) or word not in refusal.reason:
                wrong.append(f"wanted change {change}, {field}, {word}; got {refusal}")
    if wrong:
        raise Failure("\n".join(wrong))
    Wire(picture["red1"].netns, "eth0").send(guest_sends(10))
    # Nothing of any batch was taken, the good VRF before the bad change neither.
    assert sorted(one.SerializeToString() for one in client.objects()) == there
    assert client.sync() == before
    for call, code in (
        (lambda: client.calls.Flows(v1.FlowsRequest(source=v1.Prefix(address=b"123", length=8)), timeout=10).next(),
         grpc.StatusCode.INVALID_ARGUMENT),
        (lambda: client.calls.Sync(v1.SyncRequest(generation=before + 1000, timeout_ms=50), timeout=10),
         grpc.StatusCode.DEADLINE_EXCEEDED),
    ):
        try:
            call()
            raise Failure(f"no {code}")
        except grpc.RpcError as error:
            assert error.code() == code, error


def test_controllers_share_a_daemon_and_one_that_stays_away_loses_its_part(picture):
    client, v1 = start(picture)
    wanted = network(client, v1)
    client.apply("python", *wanted)
    preferred = route(client, v1, vni=7)
    preferred.route.preference = 200
    client.sync(client.apply("bgp", preferred, lease_ms=60_000))
    far, red1 = picture.wire(PEER), Wire(picture["red1"].netns, "eth0")

    def leaves_with(vni):
        packet = guest_sends(9)
        packet.src = red1.mac
        far.forget()
        red1.send(packet)
        far.expect(is_vxlan(vni), f"a packet with VNI {vni}")
    leaves_with(7)
    try:
        client.apply("bgp", v1.Object(vrf=v1.Vrf(name="red", tenant="mine")))
        raise Failure("bgp changed what python owns")
    except Refusal as refusal:
        assert refusal.field == "owner" and "python" in refusal.reason, refusal
    # What a client says once more is not noticed; what it says no more would go.
    flow = client.flows(vif="red1", protocol=UDP_NUMBER)[0]
    less = [one for one in wanted if one.WhichOneof("kind") != "vni"]
    plan = client.plan("python", *less, replace=True)
    assert (plan.created, plan.changed, plan.deleted) == (0, 0, 1) and plan.steps[0].before.vni.vni == RED_VNI, plan
    client.sync(client.apply("python", *wanted, replace=True))
    leaves_with(7)
    again = client.flows(vif="red1", protocol=UDP_NUMBER)
    assert len(again) == 1 and again[0].packets == flow.packets + 1, again
    assert sum(worker.revalidated for worker in client.stats().workers) == 0
    # bgp is heard of, and then is not.
    assert not client.keep_alive("bgp", lease_ms=3000).expired
    for _ in range(4):
        time.sleep(1)
        assert not client.keep_alive("bgp").expired
    assert client.owners()["bgp"].routes == 1
    until(lambda: client.owners()["bgp"].routes == 0, 10, "the end of bgp's lease")
    client.sync()
    leaves_with(FAR_VNI)
    assert client.keep_alive("bgp").expired
