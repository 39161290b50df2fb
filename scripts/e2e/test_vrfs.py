"""Routes into another VRF: red reaches shared services behind the kernel's VXLAN, and a subnet of blue's, and nothing else meets."""

from lab import probe
from lab.picture import KERNEL_MAC, V4, V6, VTEPS, kernel_vxlan, network, router_mac
from lab.wire import IP, VXLAN, Ether, IPv6, Wire

SHARED_VNI = 300
SERVICES = ("10.50.0.50", "fd50::50")
BLUE1 = ("10.2.2.11", "fd00:2::11")
GATEWAY_MAC = "00:00:5e:00:01:00"


def start(picture):
    """h1 with VRF shared; its blue1 is in a subnet of its own, which red1 may reach, and which may reach red1."""
    kernel = kernel_vxlan(picture.lab, picture.underlay, "k", SERVICES, vni=SHARED_VNI)
    # On the link of the services, as far as the kernel knows: it asks who has a tenant's address.
    for prefix in ("10.1.1.0/24", "10.2.2.0/24", "fd00:1::/64", "fd00:2::/64"):
        kernel.ip("route", "add", prefix, "dev", f"vx{SHARED_VNI}")
    of_h1 = network("h1")
    blue1 = next(vif for vif in of_h1["vifs"] if vif["name"] == "blue1")
    blue1.update(addresses=list(BLUE1), gateway_v4="10.2.2.1", gateway_v6="fd00:2::1")
    of_h1["vrfs"].append({"name": "shared"})
    of_h1["vnis"].append({"vni": SHARED_VNI, "vrf": "shared"})
    services = {"vxlan": {"remote": VTEPS["k"], "vni": SHARED_VNI, "mac": KERNEL_MAC}}
    of_h1["routes"] += [
        *into("red", "shared", "10.50.0.0/24", "fd50::/64"),
        *into("red", "blue", "10.2.2.0/24", "fd00:2::/64"),
        *into("shared", "red", f"{V4['1']}/32", f"{V6['1']}/128"),
        *into("blue", "red", f"{V4['1']}/32", f"{V6['1']}/128"),
        *({"vrf": "shared", "prefix": prefix, "via": services} for prefix in ("10.50.0.0/24", "fd50::/64")),
    ]
    h1 = picture.start("h1", of_h1)
    renumber(picture["blue1"].netns, BLUE1, ("10.2.2.1", "fd00:2::1"))
    return h1, kernel


def into(vrf, other, *prefixes):
    return [{"vrf": vrf, "prefix": prefix, "via": {"vrf": other}} for prefix in prefixes]


def renumber(netns, addresses, gateways):
    netns.ip("address", "flush", "dev", "eth0", "scope", "global")
    for address, gateway in zip(addresses, gateways):
        netns.ip("address", "add", f"{address}/{64 if ':' in address else 24}", "dev", "eth0")
        netns.ip("route", "replace", "default", "via", gateway)


def test_a_tenant_reaches_shared_services_and_answers_come_back(picture):
    h1, kernel = start(picture)
    red1, data = picture["red1"].netns, bytes(range(256)) * 2048
    with probe.Server(kernel, 9000):
        for address in SERVICES:
            probe.ping(red1, address)
            with probe.connect(red1, address, 9000) as connection:
                probe.echo(connection, data)
    # The service begins, as far as red1's own ACL permits; the kernel is told by ARP and ND where red1 is.
    kernel.ip("neighbour", "flush", "all")
    with probe.Server(red1, 8080):
        for address in (V4["1"], V6["1"]):
            probe.ping(kernel, address)
            before = h1.drops()
            probe.no_connection(kernel, address, 8080, seconds=0.5)
            h1.expect_drop("acl_to_vif", before)


def test_a_tenant_reaches_another_s_subnet(picture):
    start(picture)
    red1, blue1, data = picture["red1"].netns, picture["blue1"].netns, bytes(range(256)) * 2048
    with probe.Server(blue1, 9000), probe.Server(red1, 80):
        for address in BLUE1:
            probe.ping(red1, address)
            with probe.connect(red1, address, 9000) as connection:
                probe.echo(connection, data)
        for address in (V4["1"], V6["1"]):
            probe.ping(blue1, address)


def test_what_is_not_routed_stays_apart(picture):
    h1, kernel = start(picture)
    blue1, heard_by_blue1, heard_by_kernel = picture["blue1"].netns, Wire(picture["blue1"].netns, "eth0"), Wire(kernel, "eth0")
    # Red goes on to shared and to blue, but blue not by way of red: neither to the services nor to what red has elsewhere.
    for address in (*SERVICES, V4["k"], V6["k"]):
        unreachable(h1, blue1, address)
    # Nor do the services reach blue, although red does and they reach red.
    for address in BLUE1:
        kernel.ip("neighbour", "add", address, "lladdr", router_mac("h1"), "dev", f"vx{SHARED_VNI}")
        unreachable(h1, kernel, address)
    # A tenant cannot pretend to be the one that may.
    before = h1.drops()
    heard_by_blue1.send(Ether(src=heard_by_blue1.mac, dst=GATEWAY_MAC) / IP(src=V4["1"], dst=SERVICES[0]))
    h1.expect_drop("source_spoofed", before)
    # red1's own packets all the same arrive, at the end of which nobody has heard another's.
    probe.ping(picture["red1"].netns, SERVICES[0])
    probe.ping(picture["red1"].netns, SERVICES[1])
    assert not heard_by_blue1.seen(lambda packet: source(packet) in (*SERVICES, V4["1"], V6["1"])), "blue1 heard what is red's"
    assert heard_by_kernel.seen(lambda packet: VXLAN in packet and source(packet[VXLAN]) == V4["1"]), "the services did not hear red1"
    assert not heard_by_kernel.seen(lambda packet: VXLAN in packet and source(packet[VXLAN]) in BLUE1), "the services heard blue"


def unreachable(h1, netns, address):
    """A ping ends as no_route, unanswered."""
    before = h1.drops()
    sent = netns.run("ping", "-n", "-c", "1", "-W", "0.3", address, check=False)
    assert " 0 received" in sent.stdout, sent.stdout
    h1.expect_drop("no_route", before)


def source(packet):
    """Of its (outermost) IP header."""
    return next((packet[layer].src for layer in (IP, IPv6) if layer in packet), None)
