"""The demo: the picture with both vRouters and the kernel's VXLAN, a table of checks, and a look around."""

import argparse
import pathlib
import shutil
import sys
import time

from lab import probe
from lab.picture import FAR_MAC, NETWORKS, TENANTS, V4, V6, Picture, kernel_bridge
from lab.process import Failure, run
from lab.space import Lab, remove
from lab.wire import ARP, IP, TCP, Ether, Wire

OFFICE = pathlib.Path(__file__).resolve().parents[2] / "vrouter/examples/office"
CLOUD = OFFICE.parent / "cloud"
GATEWAY_MAC = "00:00:5e:00:01:00"

ON_A_TERMINAL = sys.stdout.isatty()


def coloured(code, text):
    return f"\033[{code}m{text}\033[0m" if ON_A_TERMINAL else text


def vxlan_v4(net):
    return f"{probe.ping(net['red1'].netns, V4['2'])} ms"


def vxlan_v6(net):
    return f"{probe.ping(net['red1'].netns, V6['2'])} ms"


def mpls_v4(net):
    return f"{probe.ping(net['blue1'].netns, V4['2'])} ms"


def mpls_v6(net):
    return f"{probe.ping(net['blue1'].netns, V6['2'])} ms"


def to_kernel(net):
    return f"v4 {probe.ping(net['red1'].netns, V4['k'])} ms, v6 {probe.ping(net['red1'].netns, V6['k'])} ms"


def from_kernel(net):
    net.kernel.ip("neighbour", "flush", "all")
    return f"v4 {probe.ping(net.kernel, V4['2'])} ms, v6 {probe.ping(net.kernel, V6['2'])} ms"


def one_lan(net):
    """green1 and the far host are in one L2 network: each has the other's own MAC, and nobody was asked for it through the tunnel."""
    green1, far = net["green1"].netns, net.far
    heard = Wire(far, "eth0")
    times = f"v4 {probe.ping(green1, V4['far'])} ms, v6 {probe.ping(green1, V6['far'])} ms"
    if FAR_MAC not in green1.run("ip", "neighbour", "show", V4["far"]).stdout:
        raise Failure("green1 does not know the far host's own MAC")
    if heard.seen(lambda packet: ARP in packet and packet[ARP].op == 1 and packet[ARP].psrc == V4["1"]):
        raise Failure("green1's ARP request went through the tunnel")
    probe.ping(far, V4["1"])
    return f"{times}, by its own MAC, which h1 knew"


def tenants_apart(net):
    """red1 pings 10.1.1.12, which both tenants have: blue2 must not hear it; nor is there a way to an address of blue's."""
    blue2, h1 = Wire(net["blue2"].netns, "eth0"), net.vrouters["h1"]
    probe.ping(net["red1"].netns, V4["2"])
    if blue2.seen(lambda packet: IP in packet and packet[IP].src == V4["1"]):
        raise Failure("blue2 heard red1")
    before = h1.drops()
    net["red1"].netns.ip("neighbour", "replace", "10.1.1.99", "lladdr", GATEWAY_MAC, "dev", "eth0")
    probe.no_ping(net["red1"].netns, "10.1.1.99")
    h1.expect_drop("no_route", before, 2)
    return "blue2 heard nothing of red's"


def acl_stops_a_port(net):
    h1 = net.vrouters["h1"]
    with probe.Server(net["red1"].netns, 80), probe.Server(net["red1"].netns, 8080):
        probe.connect(net["red2"].netns, V4["1"], 80).close()
        before = h1.drops()
        probe.no_connection(net["red2"].netns, V4["1"], 8080)
        h1.expect_drop("acl_to_vif", before)
    return "80 open, 8080 dropped: acl_to_vif"


def acl_lets_replies_in(net):
    with probe.Server(net["red2"].netns, 9000), probe.connect(net["red1"].netns, V4["2"], 9000) as connection:
        probe.echo(connection, b"hello" * 1000)
    return "5000 bytes there and back"


def forged_reply(net):
    h1, red1, red2 = net.vrouters["h1"], Wire(net["red1"].netns, "eth0"), Wire(net["red2"].netns, "eth0")
    before = h1.drops()
    red2.send(Ether(src=red2.mac, dst=GATEWAY_MAC) / IP(src=V4["2"], dst=V4["1"]) / TCP(
        sport=9000, dport=44444, flags="SA", seq=1, ack=1))
    h1.expect_drop("acl_to_vif", before)
    blue1 = Wire(net["blue1"].netns, "eth0")
    blue1.send(Ether(src=blue1.mac, dst=GATEWAY_MAC) / IP(src=V4["2"], dst=V4["1"]) / TCP(
        sport=9000, dport=44444, flags="SA", seq=1, ack=1))
    h1.expect_drop("source_spoofed", before)
    if red1.seen(lambda packet: TCP in packet and packet[TCP].dport == 44444):
        raise Failure("the forged reply came through")
    return "of no flow: acl_to_vif; a false source: source_spoofed"


def segments(net):
    rates = []
    for one, other, name in (("red1", "red2", "VXLAN"), ("blue1", "blue2", "MPLS")):
        rate = probe.iperf(net[one].netns, net[other].netns, V4["2"])
        with probe.Server(net[other].netns, 9000), probe.connect(net[one].netns, V4["2"], 9000) as connection:
            rates.append(f"{name} {rate:.0f} Mbit/s in segments of {probe.segment(connection)}")
    return ", ".join(rates)


def tried_before(net):
    """The same tenants on two hosts that differ, and a change that must not be."""
    vrctl, folder = net.vrouters["h1"].bin / "vrctl", pathlib.Path(net.lab.folder)

    def test(host, tenants, check=True):
        return run(str(vrctl), "test", "-f", str(OFFICE / f"{host}.yaml"), "-f", str(tenants), str(OFFICE / "expectations.yaml"), check=check)
    tenants = OFFICE / "tenants.yaml"
    met = {host: test(host, tenants).stdout.strip() for host in ("staging", "production")}
    wrong = folder / "wrong.yaml"
    wrong.write_text(tenants.read_text().replace(", destination_ports: 5432", ""))
    refused = test("production", wrong, check=False)
    if refused.returncode != 1 or "not met" not in refused.stderr:
        raise Failure(f"a change that opens all ports was taken: {refused.stdout}{refused.stderr}")
    return f"staging and production: {met['production']}; all ports open: refused"


def one_tenants_file(net):
    """Projects with policies and a service chain: the same file over the underlay of staging and over that of production."""
    vrctl = str(net.vrouters["h1"].bin / "vrctl")
    met = []
    for name, hosts, expected in (
        ("staging", ["staging"], ["web", "data"]), ("node 1", ["node1", "production"], ["web"]), ("node 2", ["node2", "production"], ["data"]),
    ):
        files = [argument for file in [*hosts, "tenants"] for argument in ("-f", str(CLOUD / f"{file}.yaml"))]
        run(vrctl, "validate", *files)
        told = run(vrctl, "test", *files, *(str(CLOUD / f"{file}.yaml") for file in expected)).stdout
        met.append(f"{name} {told.split(' ')[0]}")
    return "expectations met: " + ", ".join(met)


def conservation(net):
    for vrouter in net.vrouters.values():
        vrouter.check_conservation()
    return "received + originated + copied = sent + dropped + held + consumed"


CHECKS = [
    ("red1 to red2 over VXLAN, IPv4", vxlan_v4),
    ("red1 to red2 over VXLAN, IPv6", vxlan_v6),
    ("blue1 to blue2 over MPLS-over-UDP, IPv4", mpls_v4),
    ("blue1 to blue2 over MPLS-over-UDP, IPv6", mpls_v6),
    ("red1 to the Linux kernel's VXLAN", to_kernel),
    ("the Linux kernel's VXLAN to red2", from_kernel),
    ("green1 to a host behind the kernel's bridge: one LAN", one_lan),
    ("red cannot reach blue", tenants_apart),
    ("an ACL stops a port", acl_stops_a_port),
    ("the reply of a permitted flow comes in", acl_lets_replies_in),
    ("a forged reply is refused", forged_reply),
    ("TCP with MTU 1500 over an underlay of 1500", segments),
    ("the office example, tried before it runs", tried_before),
    ("the cloud example: one tenants' file for staging and production", one_tenants_file),
    ("every packet is accounted for", conservation),
]


def build(lab, bin):
    print(coloured(1, "setting up"))
    net = Picture(lab, bin)
    for host in ("h1", "h2"):
        start = time.monotonic()
        net.add_host(host, (*TENANTS[host], "green1") if host == "h1" else None)
        net.start(host)
        print(f"  {host}: vRouter ready and programmed by {NETWORKS.name}/{host}.yaml in {time.monotonic() - start:.1f} s")
    net.add_kernel()
    print("  k: the Linux kernel's own VXLAN")
    net.vrouters["h1"].apply(NETWORKS / "h1-lan.yaml")
    _, net.far = kernel_bridge(lab, net.underlay, "k2")
    print("  far: a host behind the bridge of k2, another kernel; green1 is stretched to it by h1-lan.yaml")
    return net


def check(net):
    """Runs the table; how many checks failed."""
    print(coloured(1, "\nchecks"))
    failed = 0
    for title, function in CHECKS:
        start = time.monotonic()
        try:
            result, word = function(net), coloured(32, "ok    ")
        except (Failure, OSError, AssertionError) as failure:
            result, word, failed = str(failure), coloured(31, "FAILED"), failed + 1
        millis = (time.monotonic() - start) * 1000
        print(f"  {word} {millis:6.0f} ms  {title:<53} {result}", flush=True)
    return failed


def show(net):
    h1 = net.vrouters["h1"]
    print(coloured(1, "\nflows of red1 on h1 (vrctl flows --vif red1 --proto tcp)"))
    print(h1.vrctl("flows", "--vif", "red1", "--proto", "tcp").stdout.rstrip())
    for name, vrouter in net.vrouters.items():
        print(coloured(1, f"\ndrops on {name}, and why (vrctl drops)"))
        print(vrouter.vrctl("drops").stdout.rstrip())


def look_around(net):
    h1 = net.vrouters["h1"]
    vrctl = f"{h1.bin}/vrctl --socket {h1.socket}"
    print(f"""
It is still running. Look around:
  ip netns exec {net['red1'].netns.name} ping {V4['2']}
  ip netns exec {net['blue1'].netns.name} ping {V6['2']}
  {vrctl} show routes
  {vrctl} flows
  {vrctl} drops
  {vrctl} explain --vif red1 --src {V4['1']} --dst {V4['2']} --proto tcp --sport 40000 --dport 80
  ip netns exec {net.lab.prefix}-underlay tcpdump -ni br0 udp
h2's socket is {net.vrouters['h2'].socket}; logs and configurations are in {net.lab.folder}.
Remove it all:
  scripts/demo --clean""")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--prefix", default="vr", help="of the namespaces' names")
    given = parser.parse_args()
    folder = f"/run/vrouter-demo-{given.prefix}"
    if given.clean:
        remove(given.prefix)
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    begin = time.monotonic()
    try:
        with Lab(given.prefix, folder, given.keep) as lab:
            net = build(lab, given.bin)
            failed = check(net)
            show(net)
            passed = len(CHECKS) - failed
            print(f"\n{passed} of {len(CHECKS)} checks passed in {time.monotonic() - begin:.0f} s")
            if given.keep:
                look_around(net)
    except Failure as failure:
        print(failure, file=sys.stderr)
        if "already" in str(failure):
            print("scripts/demo --clean removes them", file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
