#!/usr/bin/python3
"""Frames of bridge lan: stations ra, ra2 and l2 at A, rb behind VNI 5000, rb2 behind label 5001 over UDP, far behind label 5002 over GRE, gnv behind VNI 5000 of GENEVE.

    /usr/bin/python3 bridge.py > bridge.hex
"""
from base import *  # noqa: F403
from scapy.contrib.geneve import GENEVE
from scapy.layers.l2 import GRE

frames.clear()
MAC.update({"l2": "02:00:00:00:0a:05", "far": "02:00:00:00:0b:07", "gnv": "02:00:00:00:0b:09", "gone": "02:00:00:00:0b:99", "behind": "02:00:00:00:0a:77"})
V4.update({"l2": "10.1.1.15", "far": "10.1.1.27", "gnv": "10.1.1.29"})
V6.update({"l2": "fd01::15", "far": "fd01::27", "gnv": "fd01::29"})


def eth(a, b, packet, **more):
    return Ether(src=MAC.get(a, a), dst=MAC.get(b, b), **more) / packet


def carried(frame, by, outer_tos=0, back=False):
    """A frame in a tunnel of A to B, or back."""
    way = dict(dst=UP_A, src=UP_B) if back else dict(dst=UP_B, src=UP_A)
    ends = dict(src="10.0.0.2", dst="10.0.0.1") if back else dict(src="10.0.0.1", dst="10.0.0.2")
    outer = Ether(**way) / IP(id=0, flags="DF", ttl=64, tos=outer_tos, **ends)
    sport = 51111 if back else 0
    kind, number = by
    if kind == "vxlan":
        return outer / UDP(sport=sport, dport=4789, chksum=0) / VXLAN(flags=8, vni=number) / Raw(bytes(frame))
    if kind == "geneve":
        return outer / UDP(sport=sport, dport=6081, chksum=0) / GENEVE(vni=number, proto=0x6558) / Raw(bytes(frame))
    label = MPLS(label=number, s=1, cos=0, ttl=64) / Raw(bytes(frame))
    return outer / UDP(sport=sport, dport=6635, chksum=0) / label if kind == "mpls" else outer / GRE(proto=0x8847) / label


VNI, LABEL, IN_GRE = ("vxlan", 5000), ("mpls", 5001), ("gre", 5002)
ASK, ANSWER = UDP(sport=5000, dport=7053), UDP(sport=7053, dport=5000)
# between local stations: as it is, with its TTL and its padding
put("br.local", bytes(eth("ra", "ra2", ip("ra", "ra2", id=1, ttl=1) / ASK / Raw(b"x"))) + b"padding-padding-")
put("br.local.back", eth("ra2", "ra", ip("ra2", "ra", id=2) / ANSWER / Raw(b"y")))
put("br.local6", eth("ra", "ra2", ip6("fe80::a", "fe80::b") / ASK / DATA))
put("br.to-l2", eth("ra", "l2", ip("ra", "l2", id=3) / ASK / DATA))
put("br.from-l2", eth("l2", "ra", ip("l2", "ra", id=4) / ANSWER / DATA))
# by tunnels, there and back
for name, to, by, back in (("vxlan", "rb", VNI, VNI), ("mpls", "rb2", LABEL, ("mpls", 5000)), ("gre", "far", IN_GRE, ("gre", 5000)),
                           ("geneve", "gnv", ("geneve", 5000), ("geneve", 5000))):
    for v, one in (("4", ip("ra", to, tos=0xb8, ttl=1)), ("6", ip6("ra", to, tc=0xb8, hlim=1))):
        packet = eth("ra", to, one / ASK / DATA)
        put("br.%s%s" % (name, v), packet)
        put("br.%s%s.wire" % (name, v), carried(packet, by, outer_tos=0xb8))
        other = ip(to, "ra", id=5) if v == "4" else ip6(to, "ra")
        packet = eth(to, "ra", other / ANSWER / DATA)
        put("br.%s%s.back" % (name, v), carried(packet, back, back=True))
        put("br.%s%s.back.out" % (name, v), packet)
    # neither IP nor in a flow
    packet = eth("ra", to, Raw(b"whatever it is"), type=0x88b5)
    put("br.%s.other" % name, packet)
    put("br.%s.other.wire" % name, carried(packet, by))
    packet = eth(to, "ra", Raw(b"whatever it is"), type=0x88b5)
    put("br.%s.other.back" % name, carried(packet, back, back=True))
    put("br.%s.other.back.out" % name, packet)
# congestion and DSCP of the outer header reach the packet
packet = ip("rb", "ra", id=6, tos=2) / ANSWER / DATA
put("br.marked", carried(eth("rb", "ra", packet), VNI, outer_tos=0xbb, back=True))
marked = copy(packet)
marked.tos = 0xbb
del marked.chksum
put("br.marked.out", eth("rb", "ra", marked))
# ARP and neighbour discovery from station to station
put("br.arp", eth("ra2", "ra", ARP(op=2, hwsrc=MAC["ra2"], psrc=V4["ra2"], hwdst=MAC["ra"], pdst=V4["ra"])))
put("br.arp-asked", eth("ra2", ALL, ARP(op=1, hwsrc=MAC["ra2"], psrc=V4["ra2"], pdst="10.1.1.99")))
put("br.arp.forged", eth("ra2", "ra", ARP(op=2, hwsrc=MAC["ra2"], psrc=V4["rb"], hwdst=MAC["ra"], pdst=V4["ra"])))
put("br.ns", eth("ra", "ra2", IPv6(src=V6["ra"], dst=V6["ra2"], hlim=255) / ICMPv6ND_NS(tgt=V6["ra2"])
                 / ICMPv6NDOptSrcLLAddr(lladdr=MAC["ra"])))
put("br.na", eth("ra2", "ra", IPv6(src=V6["ra2"], dst=V6["ra"], hlim=255) / ICMPv6ND_NA(tgt=V6["ra2"], R=0, S=1)
                 / ICMPv6NDOptDstLLAddr(lladdr=MAC["ra2"])))
put("br.na.forged", eth("ra2", "ra", IPv6(src=V6["ra2"], dst=V6["ra"], hlim=255) / ICMPv6ND_NA(tgt=V6["rb"], R=0, S=1)
                        / ICMPv6NDOptDstLLAddr(lladdr=MAC["ra2"])))
# to us: routed
packet = ip("rb", "ra2", id=7) / ASK / DATA
put("br.to-gateway", carried(eth("rb", GW, packet), VNI, back=True))
put("br.to-gateway.out", got("ra2", hop(packet)))
put("br.to-router", carried(eth("rb", RTR_A, packet), VNI, back=True))
# the same flow routed
put("br.routed", sent("ra", ip("ra", "ra2", id=8) / ASK / Raw(b"x")))
put("br.routed.out", got("ra2", hop(ip("ra", "ra2", id=8) / ASK / Raw(b"x"))))
packet = ip("ra", "ra2", id=18, options=[IPOption(b"\x94\x04\x00\x00")]) / ASK / Raw(b"x")
put("br.routed.options", sent("ra", packet))
put("br.routed.options.out", got("ra2", hop(packet)))
put("br.b-is-at", Ether(dst=UP_A, src=UP_B) / ARP(op=2, hwsrc=UP_B, psrc="10.0.0.2", hwdst=UP_A, pdst="10.0.0.1"))
# errors about a flow: bridged, though the flow is routed; routed, though the flow is bridged
quoted = hop(ip("ra", "rb", id=4711, tos=0xb8) / UDP(sport=5000, dport=7053) / DATA)
error = ip("rb", "ra", id=16) / ICMP(type=3, code=3) / Raw(bytes(quoted))
put("br.error", carried(eth("rb", "ra", error), VNI, back=True))
put("br.error.out", eth("rb", "ra", error))
quoted = ip("ra", "rb", tos=0xb8, ttl=1) / ASK / DATA
error = ip("10.1.1.1", "ra", id=17) / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(bytes(quoted))
into("br.error.routed", "ra", error)
# nowhere
put("br.unknown", eth("ra", "gone", ip("ra", "rb", id=9) / ASK / DATA))
put("br.unknown.back", carried(eth("rb", "gone", ip("rb", "ra", id=9) / ASK / DATA), VNI, back=True))
put("br.own-side", eth("ra", "behind", ip("ra", "rb", id=10) / ASK / DATA))
put("br.tunnel-to-tunnel", carried(eth("rb", "rb2", ip("rb", "rb2", id=11) / ASK / DATA), VNI, back=True))
put("br.group", eth("l2", ALL, ip("l2", "255.255.255.255", id=12) / ASK / DATA))
put("br.l2-to-gateway", eth("l2", GW, ip("l2", "rb", id=13) / ASK / DATA))
# a packet of 1500 bytes is 50 too long, and its sender is told
big = ip("ra", "rb", id=14, flags="DF") / ASK / Raw(bytes(1472))
put("br.big", eth("ra", "rb", big))
put("br.big.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                       / ICMP(type=3, code=4, nexthopmtu=1450) / Raw(bytes(big)[:548])))
fits = ip("ra", "rb", id=15, flags="DF") / ASK / Raw(bytes(1422))
put("br.fits", eth("ra", "rb", fits))
put("br.fits.wire", carried(eth("ra", "rb", fits), VNI))
for n in (1454, 1455):
    packet = eth("ra", "rb2", Raw(bytes(n)), type=0x88b5)
    put("br.mpls.%d" % n, packet)
    put("br.mpls.%d.wire" % n, carried(packet, LABEL))
put("br.big.other", eth("ra", "rb", Raw(bytes(1451)), type=0x88b5))

if __name__ == "__main__":
    write()
