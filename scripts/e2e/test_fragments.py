"""Fragments: a tenant's kernel sends large datagrams through an ACL with ports; and an underlay cuts what the kernel's VXLAN sends.

By AF_XDP: net_af_packet has the kernel put fragments together before we see them.
"""

import socket

from lab import probe
from lab.datagrams import Answerer
from lab.picture import V4, V6, VTEPS, network

PERMITTED, DENIED = 9000, 9001
LARGE = 4000  # three fragments by 1,450 bytes


def start(picture):
    h1 = picture.add_host("h1")
    h1.ports = {port: f"net_af_xdp{number},iface={port}" for number, port in enumerate(h1.ports)}
    of_h1 = network("h1")
    next(vif for vif in of_h1["vifs"] if vif["name"] == "red1")["acl_from_vif"] = "red1-sends"
    rules = [{"action": "permit", "protocol": "udp", "destination_ports": PERMITTED}]
    rules += [{"action": "permit", "protocol": protocol} for protocol in ("icmp", "icmpv6")]
    of_h1["acls"].append({"name": "red1-sends", "rules": rules})
    vrouter, kernel = picture.start("h1", of_h1), picture.add_kernel()
    red1 = picture["red1"].netns
    # so that fragments fit the tunnel, of IPv6 too
    red1.ip("link", "set", "eth0", "mtu", "1450")
    for address in (V4["k"], V6["k"]):
        probe.ping(red1, address)
    return vrouter, kernel, red1


def ask(netns, address, port, data):
    """A datagram from the namespace."""
    one = netns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(5)
    one.sendto(data, (address, port))
    return one


def test_later_fragments_follow_their_first_one(picture):
    vrouter, kernel, red1 = start(picture)
    data = bytes(range(250)) * (LARGE // 250)
    for address in (V4["k"], V6["k"]):
        with Answerer(kernel, "k", address, PERMITTED), ask(red1, address, PERMITTED, data) as one:
            assert one.recv(65536) == b"k " + data
        before = vrouter.drops()
        ask(red1, address, DENIED, data).close()
        vrouter.expect_drop("acl_from_vif", before)
        vrouter.expect_drop("fragment_head_dropped", before)
        probe.ping(red1, address, size=LARGE)
    for address in (V4["1"], V6["1"]):
        probe.ping(kernel, address, size=LARGE)
    flows = [flow for flow in vrouter.ask("flows", "--proto", "udp")["flows"] if flow["destination_port"] == PERMITTED]
    assert [(flow["packets"], flow["reverse_packets"]) for flow in flows] == [(3, 3)] * 2, flows
    assert "fragment_timed_out" not in vrouter.drops(), vrouter.drops()


def test_what_the_underlay_cut_is_put_together(picture):
    vrouter, kernel, red1 = start(picture)
    # the way from there is narrower than that to there, and no packet says Don't Fragment outside
    kernel.ip("route", "change", "172.31.0.0/24", "dev", "eth0", "src", VTEPS["k"], "mtu", "1300")
    for address in (V4["k"], V6["k"]):
        with Answerer(kernel, "k", address, PERMITTED, probes=True):
            for number in range(5):
                data = bytes([number]) * 1350
                with ask(red1, address, PERMITTED, data) as one:
                    assert one.recv(65536) == b"k " + data
    uplink = next(vif for vif in vrouter.stats()["vifs"] if vif["vif"] == "uplink")
    assert (uplink["fragments_held"], uplink["fragments_released"]) == (20, 10), uplink
    assert not [reason for reason in vrouter.drops() if reason.startswith("outer_fragment")], vrouter.drops()
