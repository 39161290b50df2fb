"""An overlay inside an overlay: tenants with tunnels of their own between them, by the port that is ours outside."""

from lab import probe
from lab.picture import V4, add_vxlan, network
from lab.wire import UDP, VXLAN, Wire

INNER_VNI = 77
INNER = {"1": "10.9.0.1", "2": "10.9.0.2"}
INNER_V6 = {"1": "fd09::1", "2": "fd09::2"}
INNER_MACS = {"1": "02:cc:00:00:00:01", "2": "02:cc:00:00:00:02"}
# of what our tunnel leaves of 1500 bytes, theirs leaves 50 less
INNER_MTU = 1400


def start(picture):
    """Both hosts; red1 receives what it did not ask for: VTEPs answer by source ports of their own."""
    of_h1 = network("h1")
    for vif in of_h1["vifs"]:
        vif.pop("acl_to_vif", None)
    h1 = picture.start("h1", of_h1)
    picture.start("h2")
    return h1


def kernel_vtep(picture, which):
    """The namespace of red1 or red2 with a VXLAN of its kernel's to the other one."""
    netns, other = picture[f"red{which}"].netns, "2" if which == "1" else "1"
    add_vxlan(netns, V4[which], (INNER[which], INNER_V6[which]), INNER_MACS[which], INNER_VNI, (V4[other],))
    netns.ip("link", "set", f"vx{INNER_VNI}", "mtu", str(INNER_MTU))


def test_a_tenant_s_own_vxlan_crosses(picture):
    h1 = start(picture)
    for which in ("1", "2"):
        kernel_vtep(picture, which)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    seen = Wire(red2, "eth0")
    for address in (INNER["2"], INNER_V6["2"]):
        probe.ping(red1, address)
        with probe.Server(red2, 80), probe.connect(red1, address, 80) as connection:
            probe.echo(connection, bytes(range(256)) * 512)
    # as the sender's kernel made it
    packet = seen.expect(lambda packet: VXLAN in packet and UDP in packet, "the tenant's VXLAN")
    assert (packet[VXLAN].vni, packet[UDP].dport) == (INNER_VNI, 4789), packet.summary()
    # the kernel's VTEP gives each of its flows a port: so many flows are ours
    outer = {flow["source_port"] for flow in h1.ask("flows", "--vif", "red1", "--proto", "udp")["flows"] if flow["destination_port"] == 4789}
    assert len(outer) > 1, outer
    assert h1.drops().get("mtu_exceeded", 0) == 0
    seen.close()


class Nested:
    """A host whose uplink is red1's link: a tenant that is a vRouter, with a tenant of its own."""

    def __init__(self, picture):
        self.name, self.netns = "n1", picture["red1"].netns
        for family in ("-4", "-6"):
            self.netns.ip(family, "address", "flush", "dev", "eth0")
        self.netns.sysctl("net.ipv6.conf.eth0.disable_ipv6", 1)
        self.pod = picture.lab.netns("pod", ipv6=False)
        picture.lab.veth((self.pod, "eth0"), (self.netns, "pod"))
        self.pod.ip("link", "set", "eth0", "down")
        self.pod.ip("link", "set", "eth0", "address", INNER_MACS["1"], "up")
        self.pod.ip("address", "add", f"{INNER['1']}/24", "dev", "eth0")
        self.ports = {"fabric": "net_af_packet0,iface=eth0", "pod": "net_af_packet1,iface=pod"}


def of_nested():
    red1 = next(vif for vif in network("h1")["vifs"] if vif["name"] == "red1")
    via = {"vxlan": {"remote": V4["2"], "vni": INNER_VNI, "mac": INNER_MACS["2"]}}
    return {
        "settings": {"underlay_vrf": "underlay", "vtep": V4["1"]},
        "vrfs": [{"name": "underlay"}, {"name": "inner"}],
        "vifs": [
            # what our tunnel carries
            {"name": "uplink", "kind": "fabric", "port": "fabric", "vrf": "underlay", "mac": red1["mac"], "addresses": [V4["1"]],
             "subnets": ["10.1.1.0/24"], "mtu": INNER_MTU + 50},
            {"name": "pod", "port": "pod", "vrf": "inner", "mac": INNER_MACS["1"], "addresses": [INNER["1"]], "gateway_v4": "10.9.0.254"},
        ],
        "routes": [{"vrf": "inner", "prefix": f"{INNER['2']}/32", "via": via}],
        "vnis": [{"vni": INNER_VNI, "vrf": "inner"}],
    }


def test_a_tenant_that_is_a_vrouter(picture):
    start(picture)
    kernel_vtep(picture, "2")
    nested, red2 = Nested(picture), picture["red2"].netns
    picture.hosts["n1"] = nested
    picture.start("n1", of_nested())
    pod = nested.pod
    probe.ping(pod, INNER["2"])
    with probe.Server(red2, 80), probe.connect(pod, INNER["2"], 80) as connection:
        probe.echo(connection, bytes(range(256)) * 512)
    with probe.Server(pod, 81), probe.connect(red2, INNER["1"], 81) as connection:
        probe.echo(connection, bytes(range(256)) * 512)
    assert probe.too_big(pod, INNER["2"], INNER_MTU) == INNER_MTU
