"""Two uplinks into two leaf routers, and the Linux kernel's VXLAN behind both.

    h1 -- up1 172.31.1.0/24 -- leaf1 -- 172.31.3.0/24 -- k       VTEPs: h1 172.31.10.1, an address of up1's VIF
     \\--- up2 172.31.2.0/24 -- leaf2 -- 172.31.4.0/24 --/               k 172.31.20.3, an address of its `lo`

The leaves are kernels that forward between their subnets. Of a cut link a tap tells us; net_af_packet always says that its link is up:
there the neighbour's silence is what we have.
"""

import time

from lab import probe
from lab.datagrams import Answerer, Flows, Stream
from lab.order import alone
from lab.picture import KERNEL_MAC, RED_VNI, V4, V6, add_vxlan, network
from lab.process import until
from lab.wire import UDP, VXLAN, Wire

OURS, FAR = "172.31.10.1", "172.31.20.3"
PORT = 7000
FLOWS = 32
# Not the devices' own: a bridge keeps to itself what is for a MAC of its ports.
MACS = {1: "02:cc:00:00:00:01", 2: "02:cc:00:00:00:02"}
# What is lost when a link is cut: the daemon looks at links ten times a second. A busy machine may be late.
LINK_SECONDS = 1
# When a neighbour falls silent: it is believed for 30 s after its last answer (RFC 4861, section 10), the last three of which it is asked.
SILENCE_SECONDS = 31


class Leaf:
    """A router between h1's uplink `up<n>` and k. `heard`: what came from h1."""

    def __init__(self, picture, number, host, kernel):
        lab, self.number, self.name = picture.lab, number, f"leaf{number}"
        self.netns = lab.netns(self.name, ipv6=False)
        for name in ("all", "default"):
            self.netns.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
        self.netns.sysctl("net.ipv4.ip_forward", 1)
        lab.veth((self.netns, "host"), (host, f"up{number}"))
        lab.veth((self.netns, "far"), (kernel, f"eth{number}"))
        self.address, self.towards_far = f"172.31.{number}.254", f"172.31.{number + 2}.1"
        self.netns.ip("address", "add", f"{self.address}/24", "dev", "host")
        self.netns.ip("address", "add", f"{self.towards_far}/24", "dev", "far")
        kernel.ip("address", "add", f"172.31.{number + 2}.3/24", "dev", f"eth{number}")
        self._routes()
        self.heard = Wire(self.netns, "host")

    def _routes(self):
        self.netns.ip("route", "replace", f"{OURS}/32", "via", f"172.31.{self.number}.1")
        self.netns.ip("route", "replace", f"{FAR}/32", "via", f"172.31.{self.number + 2}.3")

    def fall(self, *devices):
        for device in devices:
            self.netns.ip("link", "set", device, "down")

    def rise(self, *devices):
        for device in devices:
            self.netns.ip("link", "set", device, "up")
        self._routes()

    def flows(self):
        """Of each tunnelled UDP packet that came from h1: its inner source port."""
        return [packet[VXLAN][UDP].sport for packet in self.heard.seen(lambda packet: VXLAN in packet and UDP in packet[VXLAN])]


class Network:
    """h1, its leaves and k. device: the DPDK device of an uplink by number; wire: what is to be done when they are there; ports: further
    ones, by name."""

    def __init__(self, picture, device, wire=lambda host: None, ports=None):
        self.h1 = picture.add_host("h1", ("red1",))
        self.red1 = picture["red1"].netns
        self.k = picture.lab.netns("k", ipv6=False)
        for name in ("all", "default"):
            self.k.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
        self.k.ip("address", "add", f"{FAR}/32", "dev", "lo")
        add_vxlan(self.k, FAR, (V4["k"], V6["k"]), KERNEL_MAC, RED_VNI, [OURS])
        self.leaves = [Leaf(picture, number, self.h1.netns, self.k) for number in (1, 2)]
        self.h1.ports = {"up1": device(1), "up2": device(2), "red1": "net_af_packet9,iface=red1", **(ports or {})}
        self.vrouter = picture.start("h1", {"vrfs": [{"name": "underlay"}]})
        wire(self.h1.netns)
        self.vrouter.apply(programmed())

    def answers_by(self, *leaves):
        """k's packets to h1 go by these leaves, by flow where they are several; not by one whose link to k is down."""
        self.k.sysctl("net.ipv4.fib_multipath_hash_policy", 1)
        for number in (1, 2):
            self.k.sysctl(f"net.ipv4.conf.eth{number}.ignore_routes_with_linkdown", 1)
        hops = [part for leaf in leaves for part in ("nexthop", "via", leaf.towards_far)]
        self.k.ip("route", "replace", f"{OURS}/32", "src", FAR, *hops)

    def ways(self, flows):
        """{source port of a flow: the leaf by which h1 sends it}. Each is sent by one, and answered."""
        for leaf in self.leaves:
            leaf.heard.forget()
        assert set(flows.ask()) == {"k"}
        ports = flows.source_ports()

        def heard():
            found = [(port, leaf) for leaf in self.leaves for port in leaf.flows() if port in ports]
            return found if len(found) >= len(ports) else None
        found = until(heard, 5, "a packet of each flow at the leaves")
        assert sorted(port for port, _ in found) == sorted(ports), found
        return dict(found)


def programmed():
    of_h1 = network("h1")
    uplinks = [{"name": f"up{number}", "kind": "fabric", "port": f"up{number}", "vrf": "underlay", "mac": MACS[number],
                "addresses": [f"172.31.{number}.1"] + [OURS] * (number == 1), "subnets": [f"172.31.{number}.0/24"]}
               for number in (1, 2)]
    via = {"vxlan": {"remote": FAR, "vni": RED_VNI, "mac": KERNEL_MAC}}
    return {
        **{kind: of_h1[kind] for kind in ("acls", "groups", "vnis")},
        "settings": {"underlay_vrf": "underlay", "vtep": OURS},
        "vrfs": [{"name": "underlay"}, {"name": "red", "tenant": "red"}],
        "vifs": uplinks + [vif for vif in of_h1["vifs"] if vif["name"] == "red1"],
        "routes": [
            {"vrf": "underlay", "prefix": "172.31.20.0/24", "via": {"ecmp": [{"gateway": "172.31.1.254"}, {"gateway": "172.31.2.254"}]}},
            *({"vrf": "red", "prefix": prefix, "via": via} for prefix in (f"{V4['k']}/32", f"{V6['k']}/128")),
        ],
    }


def af_packet(number):
    return f"net_af_packet{number},iface=up{number}"


def tap(number):
    return f"net_tap{number},iface=tap{number}"


def bridge(host):
    """Bridges each tap to its leaf."""
    for number in (1, 2):
        host.ip("link", "add", f"br{number}", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        for device in (f"tap{number}", f"up{number}"):
            host.ip("link", "set", device, "master", f"br{number}", "up")
        host.ip("link", "set", f"br{number}", "up")


def ready(network):
    """Both gateways have answered, and k is reached."""
    def reachable():
        states = {row["address"]: row["state"] for row in network.vrouter.ask("show", "neighbours")["neighbours"]}
        return all(states.get(leaf.address) == "reachable" for leaf in network.leaves)
    until(reachable, 10, "both gateways to be known")
    for address in (V4["k"], V6["k"]):
        probe.ping(network.red1, address)


def test_answers_come_in_by_either_uplink(picture):
    network = Network(picture, af_packet)
    one, other = network.leaves
    data = bytes(range(256)) * 1024
    for ways in ([one], [other], [one, other]):
        network.answers_by(*ways)
        ready(network)
        with probe.Server(network.k, 9000), probe.Server(network.red1, 80):
            for address in (V4["k"], V6["k"]):
                with probe.connect(network.red1, address, 9000) as connection:
                    probe.echo(connection, data)
            for address in (V4["1"], V6["1"]):
                with probe.connect(network.k, address, 80) as connection:
                    probe.echo(connection, data)
        # our own answers too
        network.k.run("ping", "-n", "-c", "2", "-i", "0.1", "-w", "5", "-I", FAR, OURS)


def test_a_cut_link_moves_what_it_carried_at_once(picture):
    network = Network(picture, tap, bridge)
    network.answers_by(*network.leaves)
    ready(network)
    flows = Flows(network.red1, FLOWS, V4["k"], PORT)
    with Answerer(network.k, "k", V4["k"], PORT):
        first = spread(network, flows)
        dying, other = busiest_first(network, first)
        # The kernel looks at links but once a second: what it loses meanwhile is not ours.
        network.answers_by(other)
        with Stream(flows) as stream:
            time.sleep(0.3)
            cut_at = time.monotonic()
            network.h1.netns.ip("link", "set", f"tap{dying.number}", "down")
            dying.fall("host", "far")
            time.sleep(LINK_SECONDS + 0.3)
        check(stream, cut_at, LINK_SECONDS, [port for port, leaf in first.items() if leaf is dying])
        assert set(network.ways(flows).values()) == {other}
        # It is there again: flows come back to it, and lose nothing on the way.
        dying.rise("far", "host")
        with Stream(flows) as stream:
            time.sleep(0.3)
            network.h1.netns.ip("link", "set", f"tap{dying.number}", "up")
            time.sleep(LINK_SECONDS)
        assert not stream.lost(), f"{len(stream.lost())} of {stream.sent} were lost when the link came back"
        assert network.ways(flows) == first


@alone
def test_a_silent_neighbour_is_left_while_answers_come_by_the_other(picture):
    network = Network(picture, af_packet)
    network.answers_by(*network.leaves)
    ready(network)
    flows = Flows(network.red1, FLOWS, V4["k"], PORT)
    with Answerer(network.k, "k", V4["k"], PORT):
        first = spread(network, flows)
        dying, other = busiest_first(network, first)
        network.answers_by(other)
        assert network.ways(flows) == first, "what we send follows what we receive"
        with Stream(flows, pause=0.01) as stream:
            time.sleep(0.3)
            cut_at = time.monotonic()
            dying.fall("host")
            until(lambda: gone(network, dying), SILENCE_SECONDS, f"{dying.name} to be given up")
            time.sleep(0.5)
        assert stream.lost(), "the silence was not felt at all"
        check(stream, cut_at, SILENCE_SECONDS, [port for port, leaf in first.items() if leaf is dying])
        assert all(row["link_up"] for row in network.vrouter.stats()["ports"]), "net_af_packet tells of links now"
        assert set(network.ways(flows).values()) == {other}
        # One that is back and asks for us is known again.
        dying.rise("host")
        dying.netns.run("ping", "-n", "-c", "1", "-w", "5", f"172.31.{dying.number}.1")
        until(lambda: not gone(network, dying), 5, f"{dying.name} to be known again")
        assert network.ways(flows) == first


def spread(network, flows):
    """The ways of the flows, which are of one tunnel: by both uplinks, each by its own, and as the vRouter says."""
    ways = network.ways(flows)
    assert set(ways.values()) == set(network.leaves), "all flows of the tunnel go by one uplink"
    assert network.ways(flows) == ways, "a flow's packets go two ways"
    said = {flow["source_port"]: flow["next_hop"] for flow in network.vrouter.ask("flows", "--vif", "red1", "--proto", "udp")["flows"]}
    assert all(said[port].endswith(f"vif up{leaf.number} neighbour {leaf.heard.mac}") for port, leaf in ways.items()), said
    return ways


def busiest_first(network, ways):
    return sorted(network.leaves, key=list(ways.values()).count, reverse=True)


def gone(network, leaf):
    return leaf.address not in {row["address"] for row in network.vrouter.ask("show", "neighbours")["neighbours"]}


def check(stream, cut_at, bound, ports):
    """Only flows with these source ports lost anything, nothing of what was sent `bound` seconds after the cut; and nothing came twice."""
    lost = [stream.was_sent(number) for number in stream.lost()]
    late = max((at for at, _ in lost), default=cut_at) - cut_at
    assert late <= bound, f"{len(lost)} of {stream.sent} were lost, the last one sent {late:.2f} s after the cut, not {bound}"
    assert {port for _, port in lost} <= set(ports), "flows of the other uplink lost packets"
    assert len(set(stream.back)) == len(stream.back), "datagrams came twice"
    print(f"    {len(lost)} of {stream.sent} lost, the last one sent {late:.2f} s after the cut")
