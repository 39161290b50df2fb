"""A service that both directions of a flow pass: a host of its own, whose kernel forwards between two VIFs and lets pass what its conntrack knows."""

from lab import probe
from lab.picture import KERNEL_MAC, V4, VTEPS, kernel_vxlan, network
from lab.wire import IP, TCP, Wire

SERVICE_VNI = 300
LEFT, RIGHT = ("10.8.0.4", "10.8.0.1"), ("10.8.1.5", "10.8.1.1")
MACS = {"left": "02:aa:00:00:08:04", "right": "02:aa:00:00:08:05"}
RULES = """
table ip filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established counter accept
    iifname "left" oifname "right" ct state new tcp flags & (syn | ack) == syn counter accept
  }
}
"""


def firewall(picture, host):
    """A namespace between two more ports of the host: who begins must come by the left one, and whom nobody asked does not pass."""
    fw = picture.lab.netns("fw", ipv6=False)
    for number, name in enumerate(("left", "right"), 8):
        picture.lab.veth((fw, name), (host.netns, f"fw{name}"), 1500)
        fw.ip("link", "set", name, "down")
        fw.ip("link", "set", name, "address", MACS[name], "up")
        host.ports[name] = f"net_af_packet{number},iface=fw{name}"
    for name, (address, gateway) in (("left", LEFT), ("right", RIGHT)):
        fw.ip("address", "add", f"{address}/24", "dev", name)
        towards = V4["1"] if name == "left" else V4["k"]
        fw.ip("route", "add", f"{towards}/32", "via", gateway, "dev", name)
    fw.sysctl("net.ipv4.ip_forward", 1)
    fw.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    fw.run("nft", RULES)
    return fw


def start(picture):
    """h1, where what red1 sends to the kernel's host by TCP passes the firewall; the kernel's answers come by the VNI of its VRF."""
    kernel = kernel_vxlan(picture.lab, picture.underlay, "k", (V4["k"],), vni=SERVICE_VNI)
    host = picture.add_host("h1")
    fw = firewall(picture, host)
    h1 = network("h1")
    h1["vrfs"].append({"name": "services"})
    h1["vnis"].append({"vni": SERVICE_VNI, "vrf": "services"})
    h1["vifs"] += [
        {"name": name, "port": name, "vrf": "services", "mac": MACS[name], "addresses": [address], "gateway_v4": gateway,
         "spoofing_allowed": True, "service": True}
        for name, (address, gateway) in (("left", LEFT), ("right", RIGHT))
    ]
    to_kernel = {"vxlan": {"remote": VTEPS["k"], "vni": SERVICE_VNI, "mac": KERNEL_MAC}}
    h1["routes"] += [
        {"vrf": "services", "prefix": f"{V4['k']}/32", "via": to_kernel},
        # the kernel asks who has it
        {"vrf": "services", "prefix": f"{V4['1']}/32", "via": {"vrf": "red"}},
    ]
    through = {"name": "through", "action": "permit", "protocol": "tcp", "destination": f"{V4['k']}/32", "redirect": {"vif": "left"}}
    h1["acls"] = [*h1.get("acls", []), {"name": "by-firewall", "rules": [through, {"action": "permit"}]}]
    next(vif for vif in h1["vifs"] if vif["name"] == "red1")["acl_from_vif"] = "by-firewall"
    return picture.start("h1", h1), kernel, fw


def test_both_directions_pass_the_service(picture):
    h1, kernel, fw = start(picture)
    red1, data = picture["red1"].netns, bytes(range(256)) * 2048
    seen = {name: Wire(fw, name) for name in ("left", "right")}
    with probe.Server(kernel, 9000):
        for _ in range(3):
            with probe.connect(red1, V4["k"], 9000) as connection:
                probe.echo(connection, data)
    # what comes in to the firewall: red1's by one side, the answers by the other
    sources = {name: {packet[IP].src for packet in wire.seen(lambda packet: TCP in packet)} for name, wire in seen.items()}
    assert sources == {"left": {V4["1"]}, "right": {V4["k"]}}, sources
    steps = h1.vrctl("explain", "--vif", "red1", "--src", V4["1"], "--dst", V4["k"], "--proto", "tcp", "--sport", "40000", "--dport", "9000").stdout
    assert "redirect" in steps and "vif left" in steps, steps


def test_who_is_not_let_through_gets_nothing(picture):
    _, kernel, fw = start(picture)
    fw.run("nft", "flush", "ruleset")
    fw.run("nft", RULES.replace("ct state new", "ct state invalid"))
    with probe.Server(kernel, 9000):
        probe.no_connection(picture["red1"].netns, V4["k"], 9000)
