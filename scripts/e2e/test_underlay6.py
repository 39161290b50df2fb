"""Tunnels over an IPv6 underlay: the kernel's VXLAN, scapy's MPLS over UDP and GRE, and tshark."""

from lab import probe
from lab.picture import BLUE_LABELS, KERNEL_MAC, RED_VNI, V4, V6, network
from lab.wire import GRE, ICMP, IP, MPLS, UDP, Ether, ICMPv6EchoRequest, IPv6, tshark

H1, K, PEER = "fd31::1", "fd31::3", "fd31::9"
FAR_LABEL = 999
VXLAN = 1500 - 40 - 8 - 8 - 14
MPLS_UDP = 1500 - 40 - 8 - 4
MPLS_GRE = 1500 - 40 - 4 - 4


def h1(routes, neighbours=()):
    """h1 with fd31::1 on its uplink as well, and these routes first."""
    of_h1 = network("h1")
    of_h1["settings"]["vtep_v6"] = H1
    uplink = next(vif for vif in of_h1["vifs"] if vif.get("kind") == "fabric")
    uplink["addresses"].append(H1)
    uplink["subnets"].append("fd31::/64")
    wanted = {(route["vrf"], route["prefix"]) for route in routes}
    of_h1["routes"] = [route for route in of_h1["routes"] if (route["vrf"], route["prefix"]) not in wanted] + routes
    of_h1.setdefault("neighbours", []).extend(neighbours)
    return of_h1


def kernel(picture, *checksums):
    """The kernel's VXLAN over IPv6, with or without checksums."""
    netns = picture.lab.netns("k6", ipv6=False)
    picture.underlay.attach(netns, "eth0", "k6")
    netns.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0)
    netns.ip("address", "add", f"{K}/64", "dev", "eth0", "nodad")
    netns.ip("link", "add", "vx100", "address", KERNEL_MAC, "mtu", "1430", "type", "vxlan", "id", str(RED_VNI),
             "dstport", "4789", "local", K, "dev", "eth0", *checksums)
    netns.run("ethtool", "-K", "vx100", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
    netns.sysctl("net.ipv6.conf.vx100.disable_ipv6", 0)
    netns.ip("link", "set", "vx100", "up")
    for address in (V4["k"], V6["k"]):
        netns.ip("address", "add", f"{address}/{64 if ':' in address else 24}", "dev", "vx100", *(["nodad"] if ":" in address else []))
    netns.bridge("fdb", "append", "00:00:00:00:00:00", "dev", "vx100", "dst", H1)
    return netns


def routes_to_kernel():
    vxlan = {"vxlan": {"remote": K, "vni": RED_VNI, "mac": KERNEL_MAC}}
    return [{"vrf": "red", "prefix": prefix, "via": vxlan} for prefix in (f"{V4['k']}/32", f"{V6['k']}/128")]


def both_ways(picture, *checksums):
    vrouter = picture.start("h1", h1(routes_to_kernel()))
    netns = kernel(picture, *checksums)
    for address in (V4["k"], V6["k"]):
        probe.ping(picture["red1"].netns, address)
    # the kernel asks by ARP and ND through its flood entry, and is answered through the tunnel
    netns.ip("neighbour", "flush", "all")
    for address in (V4["1"], V6["1"]):
        probe.ping(netns, address)
    data = bytes(range(256)) * 2048
    for address_of_kernel, address in ((V4["k"], V4["1"]), (V6["k"], V6["1"])):
        with probe.Server(netns, 80), probe.connect(picture["red1"].netns, address_of_kernel, 80) as connection:
            probe.echo(connection, data)
        with probe.Server(picture["red1"].netns, 80), probe.connect(netns, address, 80) as connection:
            probe.echo(connection, data)
    return vrouter


def test_kernel_vxlan_over_ipv6_without_checksums(picture):
    both_ways(picture, "udp6zerocsumtx", "udp6zerocsumrx")


def test_kernel_vxlan_over_ipv6_with_checksums(picture):
    """The kernel sends checksums, which are verified; it takes our zero ones because it is told to (RFC 6935)."""
    vrouter = both_ways(picture, "noudp6zerocsumtx", "udp6zerocsumrx")
    assert vrouter.drops().get("udp_checksum", 0) == 0, vrouter.drops()


def wired(picture):
    """h1 with routes of blue to 10.1.1.98 by MPLS over UDP and 10.1.1.99 by MPLS over GRE, behind the wire."""
    wire = picture.wire()
    far = {"98": "mpls_udp", "99": "mpls_gre"}
    routes = [{"vrf": "blue", "prefix": prefix, "via": {kind: {"remote": PEER, "label": FAR_LABEL}}}
              for last, kind in far.items() for prefix in (f"10.1.1.{last}/32", f"fd00:1::{last}/128")]
    uplink = next(vif["name"] for vif in network("h1")["vifs"] if vif.get("kind") == "fabric")
    vrouter = picture.start("h1", h1(routes, [{"vif": uplink, "address": PEER, "mac": wire.mac}]))
    return vrouter, wire, Ether(src=wire.mac, dst=picture.hosts["h1"].netns.mac("fabric"))


def test_mpls_over_ipv6_in_and_out(picture):
    _, wire, ether = wired(picture)
    label = MPLS(label=BLUE_LABELS["h1"], s=1, ttl=64)
    outer = ether / IPv6(src=PEER, dst=H1, tc=0x28)
    tunnels = {
        "98": (outer / UDP(sport=51234, dport=6635, chksum=0) / label, outer / UDP(sport=51234, dport=6635) / label),
        "99": (outer / GRE(proto=0x8847) / label,),
    }
    for last, ways in tunnels.items():
        pings = {
            4: IP(src=f"10.1.1.{last}", dst=V4["1"], tos=0x28) / ICMP(id=77, seq=1) / (b"a" * 40),
            6: IPv6(src=f"fd00:1::{last}", dst=V6["1"], tc=0x28) / ICMPv6EchoRequest(id=77, seq=1, data=b"a" * 40),
        }
        for family, ping in pings.items():
            for way in ways:
                wire.forget()
                wire.send(way / ping)
                reply = wire.expect(lambda packet: IPv6 in packet and packet[IPv6].src == H1 and packet[IPv6].nh in (17, 47), "an answer")
                read = tshark(picture.lab, [reply], "ipv6.src", "ipv6.dst", "ipv6.hlim", "ipv6.flow", "ipv6.plen", "ipv6.nxt",
                              "udp.srcport", "udp.dstport", "udp.checksum", "udp.length", "gre.proto", "mpls.label", "mpls.ttl",
                              "icmp.type", "icmpv6.type", "_ws.malformed")[0]
                first = {name: value.split(",")[0] for name, value in read.items()}
                assert (first["ipv6.src"], first["ipv6.dst"], first["ipv6.hlim"]) == (H1, PEER, "64"), read
                assert int(first["ipv6.flow"], 16) != 0 and int(first["ipv6.plen"]) == len(reply[IPv6]) - 40, read
                assert (first["mpls.label"], first["mpls.ttl"]) == (str(FAR_LABEL), "64") and not read["_ws.malformed"], read
                if last == "98":
                    assert 49152 <= int(first["udp.srcport"]) <= 65535 and first["udp.dstport"] == "6635", read
                    assert int(first["udp.checksum"], 16) == 0 and int(first["udp.length"]) == len(reply[IPv6]) - 40, read
                else:
                    assert int(first["gre.proto"], 16) == 0x8847, read
                assert (read["icmp.type"], read["icmpv6.type"]) == (("0", "") if family == 4 else ("", "129")), read


def test_path_mtu_over_ipv6(picture):
    wired(picture)
    blue1 = picture["blue1"].netns
    assert probe.too_big(blue1, "10.1.1.98", 1472) == MPLS_UDP
    assert probe.too_big(blue1, "fd00:1::98", 1452) == MPLS_UDP
    assert probe.too_big(blue1, "10.1.1.99", 1472) == MPLS_GRE


def test_vxlan_path_mtu_over_ipv6(picture):
    picture.start("h1", h1(routes_to_kernel()))
    kernel(picture, "udp6zerocsumtx", "udp6zerocsumrx")
    probe.ping(picture["red1"].netns, V4["k"])
    assert probe.too_big(picture["red1"].netns, V4["k"], 1472) == VXLAN
    assert probe.too_big(picture["red1"].netns, V6["k"], 1452) == VXLAN


def test_bad_checksums_over_ipv6_are_dropped(picture):
    vrouter, wire, ether = wired(picture)
    before = vrouter.drops()
    wire.send(ether / IPv6(src=PEER, dst=H1) / UDP(sport=51234, dport=6635, chksum=0x1234) / MPLS(label=201, s=1, ttl=9)
              / IP(src="10.1.1.98", dst=V4["1"]) / ICMP())
    vrouter.expect_drop("udp_checksum", before)
