#!/usr/bin/python3
"""Writes the frames of the virtual-wire tests as "name: hex" lines. Needs python3-scapy.

    /usr/bin/python3 base.py > base.hex

Every script beside this one writes the .hex of its own name. A feature's script begins with `from base import *` and
`frames.clear()`, and ends with `write()`.

*.wire are tunnelled frames that we send; their outer UDP source port is 0 here, because it is ours to choose.
"""
import random

from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
    ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

random.seed(1)
GW = "00:00:5e:00:01:00"
ALL = "ff:ff:ff:ff:ff:ff"
UP_A, UP_B, UP_C, UP_GW = ("52:00:00:00:%s:00" % x for x in ("0a", "0b", "0c", "fe"))
RTR_A, RTR_B, RTR_C = ("02:0a:00:00:%s:01" % x for x in ("01", "02", "03"))
MAC = {n: "02:00:00:00:%s" % m for n, m in
       {"ra": "0a:01", "ba": "0a:02", "ra2": "0a:03", "rb": "0b:01", "bb": "0b:02", "rb2": "0b:03"}.items()}
V4 = {"ra": "10.1.1.10", "ba": "10.1.1.10", "ra2": "10.1.1.11", "rb": "10.1.1.20", "bb": "10.1.1.20", "rb2": "10.1.1.21"}
V6 = {n: "fd01::" + a.split(".")[3] for n, a in V4.items()}
frames = {}


def put(name, frame):
    assert name not in frames, name
    frames[name] = bytes(frame)


def copy(packet):
    return packet.__class__(bytes(packet))


def hop(packet, hops=1):
    """The packet some hops later."""
    later = copy(packet)
    if IPv6 in later and later.version == 6:
        later.hlim -= hops
    else:
        later.ttl -= hops
        del later.chksum
    return later


def tos(packet):
    return packet.tc if isinstance(packet, IPv6) else packet.tos


def wrap(inner, by, outer_tos=0, sport=0, smac=UP_A, dmac=UP_B, src="10.0.0.1", dst="10.0.0.2", imac=RTR_B, ismac=RTR_A, **ip):
    """An L3 packet in a tunnel: by ("vxlan", vni) or ("mpls", label)."""
    kind, number = by
    outer = Ether(dst=dmac, src=smac) / IP(src=src, dst=dst, id=0, flags="DF", ttl=64, tos=outer_tos, **ip)
    if kind == "vxlan":
        frame = inner if isinstance(inner, Ether) else Ether(dst=imac, src=ismac) / inner
        return outer / UDP(sport=sport, dport=4789, chksum=0) / VXLAN(flags=8, vni=number) / frame
    return outer / UDP(sport=sport, dport=6635, chksum=0) / MPLS(label=number, s=1, cos=0, ttl=64) / inner


def to_a(inner, by=("vxlan", 100), **more):
    """What B (or who else) sends to A."""
    rest = dict(sport=51111, smac=UP_B, dmac=UP_A, src="10.0.0.2", dst="10.0.0.1", imac=RTR_A, ismac=RTR_B)
    rest.update(more)
    return wrap(inner, by, **rest)


def sent(who, packet):
    """As the tenant sends it to its gateway."""
    return Ether(dst=GW, src=MAC[who]) / packet


def got(who, packet):
    """As the tenant receives it."""
    return Ether(dst=MAC[who], src=GW) / packet


def out(name, who, packet, by, to=None, **more):
    """A tenant of A sends; what is on the wire; what a tenant of B gets."""
    put(name, sent(who, packet))
    put(name + ".wire", wrap(hop(packet), by, outer_tos=tos(packet), **more))
    if to:
        put(name + ".out", got(to, hop(packet, 2)))


def into(name, who, packet, by=("vxlan", 100), **more):
    """B sends to a tenant of A; what it gets."""
    put(name, to_a(packet, by, **more))
    put(name + ".out", got(who, hop(packet)))


def ip(a, b, **more):
    return IP(src=V4.get(a, a), dst=V4.get(b, b), **more)


def ip6(a, b, **more):
    return IPv6(src=V6.get(a, a), dst=V6.get(b, b), **more)


VX, MP, BLUE = ("vxlan", 100), ("mpls", 1001), ("mpls", 2001)

# ---------------------------------------------------------------- unicast
DATA = Raw(bytes(range(64)))
out("udp4.vxlan", "ra", ip("ra", "rb", id=4711, tos=0xb8) / UDP(sport=5000, dport=7053) / DATA, VX, "rb")
out("udp4.mpls", "ra", ip("ra", "rb2", id=4712) / UDP(sport=5000, dport=7053) / DATA, MP, "rb2")
out("udp6.vxlan", "ra", ip6("ra", "rb", tc=0x2e) / UDP(sport=5000, dport=7053) / DATA, VX, "rb")
out("udp6.mpls", "ra", ip6("ra", "rb2") / UDP(sport=5000, dport=7053) / DATA, MP, "rb2")
out("udp4.blue", "ba", ip("ba", "bb", id=4713) / UDP(sport=5000, dport=7053) / DATA, BLUE, "bb")
out("udp6.blue", "ba", ip6("ba", "bb") / UDP(sport=5000, dport=7053) / DATA, BLUE, "bb")
out("odd4", "ra", ip("ra", "rb", id=1) / UDP(sport=5001, dport=7053) / Raw(b"x"), VX, "rb")
# a minimal frame comes with Ethernet padding, which does not enter the tunnel
put("padded4", bytes(sent("ra", ip("ra", "rb", id=1) / UDP(sport=5001, dport=7053) / Raw(b"x"))) + bytes(17))
for name, p in {
    "local4": ip("ra", "ra2", id=7) / TCP(sport=1, dport=2, flags="S"),
    "local6": ip6("ra", "ra2") / TCP(sport=1, dport=2, flags="S"),
}.items():
    put(name, sent("ra", p))
    put(name + ".out", got("ra2", hop(p)))
for name, p in {
    "local4.back": ip("ra2", "ra", id=8) / TCP(sport=2, dport=1, flags="SA"),
    "local6.back": ip6("ra2", "ra") / TCP(sport=2, dport=1, flags="SA"),
}.items():
    put(name, sent("ra2", p))
    put(name + ".out", got("ra", hop(p)))
# options in the IPv4 header, an extension header in IPv6
out("options4", "ra", ip("ra", "rb", id=9, options=[IPOption(b"\x94\x04\x00\x00")])
    / UDP(sport=5002, dport=7053) / DATA, VX)
out("extension6", "ra", ip6("ra", "rb") / IPv6ExtHdrDestOpt() / UDP(sport=5002, dport=7053) / DATA, VX)
into("udp4.vxlan.back", "ra", ip("rb", "ra", id=31) / UDP(sport=7053, dport=5000) / DATA)
into("udp4.mpls.back", "ra", ip("rb2", "ra", id=32) / UDP(sport=7053, dport=5000) / DATA, ("mpls", 1000))
into("udp6.vxlan.back", "ra", ip6("rb", "ra") / UDP(sport=7053, dport=5000) / DATA)
into("udp6.mpls.back", "ra", ip6("rb2", "ra") / UDP(sport=7053, dport=5000) / DATA, ("mpls", 1000))
into("udp4.blue.back", "ba", ip("bb", "ba", id=33) / UDP(sport=7053, dport=5000) / DATA, ("mpls", 2000))
into("udp4.blue.back.options", "ba", ip("bb", "ba", id=33, options=[IPOption(b"\x94\x04\x00\x00")])
     / UDP(sport=7053, dport=5000) / DATA, ("mpls", 2000))
into("label.vif", "ra2", ip("rb", "10.7.7.7", id=34) / UDP(sport=9, dport=9) / DATA, ("mpls", 3000))
into("label.vif6", "ra2", ip6("rb", "fd77::7") / UDP(sport=9, dport=9) / DATA, ("mpls", 3000))
# an outer checksum of UDP, and reserved bits of VXLAN set: both are taken
p = ip("rb", "ra", id=35) / UDP(sport=54, dport=5000) / DATA
put("udp4.outer-checksum", to_a(p)[Ether].copy())
outer = to_a(p)
del outer[UDP].chksum
frames["udp4.outer-checksum"] = bytes(outer)
put("udp4.outer-checksum.out", got("ra", hop(p)))
reserved = bytearray(bytes(to_a(p)))
reserved[42] = 0x7f
reserved[43:46] = b"\x11\x22\x33"
reserved[49] = 0x99
put("udp4.reserved-bits", bytes(reserved))

# ---------------------------------------------------------------- conversations
FLAGS = {"S": "S", "SA": "SA", "A": "A", "FA": "FA", "R": "R", "PA": "PA"}
for name, flags in FLAGS.items():
    out("tcp.out." + name, "ra", ip("ra", "rb", id=50) / TCP(sport=40000, dport=80, flags=flags), VX)
    into("tcp.in." + name, "ra", ip("rb", "ra", id=51) / TCP(sport=80, dport=40000, flags=flags))
    out("ssh.out." + name, "ra", ip("ra", "rb", id=52) / TCP(sport=22, dport=41000, flags=flags), VX)
    into("ssh.in." + name, "ra", ip("rb", "ra", id=53) / TCP(sport=41000, dport=22, flags=flags))
out("web.out.S", "ra", ip("ra", "rb", id=54) / TCP(sport=40001, dport=443, flags="S"), VX)
out("ping4.out", "ra", ip("ra", "rb", id=60) / ICMP(id=77, seq=1) / DATA, VX)
into("ping4.in", "ra", ip("rb", "ra", id=61) / ICMP(type=0, id=77, seq=1) / DATA)
out("ping6.out", "ra", ip6("ra", "rb") / ICMPv6EchoRequest(id=77, seq=1, data=b"abcd"), VX)
into("ping6.in", "ra", ip6("rb", "ra") / ICMPv6EchoReply(id=77, seq=1, data=b"abcd"))
out("sctp.out", "ra", ip("ra", "rb", id=62, proto=132) / Raw(bytes.fromhex("138800500000000000000000")), VX)
out("gre.out", "ra", ip("ra", "rb", id=63, proto=47) / Raw(b"\0" * 12), VX)
# answers from places where they do not belong
answer = ip("rb", "ra", id=64) / UDP(sport=7053, dport=5000) / DATA
put("udp4.vxlan.back.other-vni", to_a(answer, ("vxlan", 200)))
put("udp4.vxlan.back.other-vni.out", got("ba", hop(answer)))
put("udp4.vxlan.back.by-label", to_a(answer, ("mpls", 1000)))
put("udp4.vxlan.back.by-label.out", got("ra", hop(answer)))
put("udp4.vxlan.back.from-ra2", sent("ra2", answer))
put("udp4.vxlan.back.from-ra2.out", got("ra", hop(answer)))
# ICMP errors about the flow, and about none
asked4 = ip("ra", "rb", id=4711, tos=0xb8, ttl=1) / UDP(sport=5000, dport=7053) / DATA
asked6 = ip6("ra", "rb", hlim=1) / UDP(sport=5000, dport=7053) / DATA
into("error4.in", "ra", ip("10.1.1.99", "ra", id=65) / ICMP(type=11) / Raw(bytes(asked4)[:28]))
into("error6.in", "ra", ip6("fd01::99", "ra") / ICMPv6TimeExceeded() / Raw(bytes(asked6)))
stranger = ip("ra", "rb", id=66, ttl=1) / UDP(sport=6666, dport=7053) / DATA
put("error4.stranger", to_a(ip("10.1.1.99", "ra", id=67) / ICMP(type=11) / Raw(bytes(stranger)[:28])))
put("error4.not-mine", to_a(ip("10.1.1.99", "ra2", id=67) / ICMP(type=11) / Raw(bytes(asked4)[:28])))
back = ip("rb", "ra", id=31) / UDP(sport=7053, dport=5000) / DATA
out("error4.out", "ra", ip("ra", "rb", id=68) / ICMP(type=3, code=3) / Raw(bytes(back)[:28]), VX)
# fragments
whole = UDP(sport=5003, dport=7053, len=72, chksum=0)
out("fragment4.first", "ra", ip("ra", "rb", id=70, flags="MF") / whole / Raw(b"f" * 32), VX)
out("fragment4.later", "ra", ip("ra", "rb", id=70, frag=5, proto=17) / Raw(b"g" * 32), VX)
out("fragment6.first", "ra", ip6("ra", "rb") / IPv6ExtHdrFragment(id=70, m=1, nh=17) / whole / Raw(b"f" * 32), VX)
out("fragment6.later", "ra", ip6("ra", "rb") / IPv6ExtHdrFragment(id=70, offset=5, nh=17) / Raw(b"g" * 32), VX)
put("fragment4.tiny", sent("ra", ip("ra", "rb", id=71, flags="MF", proto=6) / Raw(b"\0\x50\0\x50\0\0\0\0")))
put("fragment4.tcp-offset-1", sent("ra", ip("ra", "rb", id=72, frag=1, proto=6) / Raw(b"\0" * 24)))
put("fragment6.tiny", sent("ra", ip6("ra", "rb") / IPv6ExtHdrFragment(id=71, m=1, nh=6) / Raw(b"\0" * 8)))

# ---------------------------------------------------------------- answers of ours
OURS = dict(id=0, flags="DF", ttl=64)


def arp(who, target, dst=ALL, op=1, sender=None, hwsrc=None, src=None):
    hw = hwsrc or MAC[who]
    return Ether(dst=dst, src=src or MAC[who]) / ARP(op=op, hwsrc=hw, psrc=V4[who] if sender is None else sender, pdst=target)


def is_at(who, target, mac=GW):
    return Ether(dst=MAC[who], src=mac) / ARP(op=2, hwsrc=mac, psrc=target, hwdst=MAC[who], pdst=V4[who])


for name, target in {"gateway": "10.1.1.1", "remote": "10.1.1.20", "local": "10.1.1.11"}.items():
    put("arp." + name, arp("ra", target))
    put("arp." + name + ".reply", is_at("ra", target))
put("arp.own", arp("ra", "10.1.1.10"))
put("arp.probe", arp("ra", "10.1.1.20", sender="0.0.0.0"))
put("arp.probe-gateway", arp("ra", "10.1.1.1", sender="0.0.0.0"))
put("arp.probe-gateway.reply", Ether(dst=MAC["ra"], src=GW)
    / ARP(op=2, hwsrc=GW, psrc="10.1.1.1", hwdst=MAC["ra"], pdst="0.0.0.0"))
put("arp.nobody", arp("ra", "10.1.1.77"))
put("arp.forged-sender", arp("ra", "10.1.1.1", sender="10.1.1.20"))
put("arp.forged-mac", arp("ra", "10.1.1.1", hwsrc=MAC["rb"]))
put("arp.forged-source", arp("ra", "10.1.1.1", src=MAC["rb"]))
put("arp.unicast-elsewhere", arp("ra", "10.1.1.1", dst="02:00:00:00:99:99"))
put("arp.truncated", bytes(arp("ra", "10.1.1.1"))[:30])
put("arp.gratuitous-reply", arp("ra", "10.1.1.10", op=2))


def ns(who, target, src=None, dst=None, dmac=None, opt=True, **more):
    from scapy.utils6 import in6_getnsma, in6_getnsmac, inet_pton
    import socket
    group = in6_getnsma(inet_pton(socket.AF_INET6, target))
    packet = IPv6(src=V6[who] if src is None else src, dst=dst or socket.inet_ntop(socket.AF_INET6, group), hlim=more.get("hlim", 255))
    packet /= ICMPv6ND_NS(tgt=target)
    if opt:
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=more.get("ll", MAC[who]))
    return Ether(dst=dmac or in6_getnsmac(group), src=MAC[who]) / packet


def na(who, target, own, mac=GW, to=None, to_mac=None, s=1):
    return Ether(dst=to_mac or MAC[who], src=mac) / IPv6(src=target, dst=to or V6[who], hlim=255) / ICMPv6ND_NA(
        R=1, S=s, O=int(own), tgt=target) / ICMPv6NDOptDstLLAddr(lladdr=mac)


put("nd.gateway", ns("ra", "fd01::1"))
put("nd.gateway.reply", na("ra", "fd01::1", True))
put("nd.link-local", ns("ra", "fe80::1", src="fe80::a"))
put("nd.link-local.reply", na("ra", "fe80::1", True, to="fe80::a"))
put("nd.remote", ns("ra", "fd01::20"))
put("nd.remote.reply", na("ra", "fd01::20", False))
put("nd.own", ns("ra", "fd01::10"))
put("nd.dad", ns("ra", "fd01::20", src="::", opt=False))
put("nd.dad-gateway", ns("ra", "fd01::1", src="::", opt=False))
put("nd.dad-gateway.reply", na("ra", "fd01::1", True, to="ff02::1", to_mac="33:33:00:00:00:01", s=0))
put("nd.hop-limit", ns("ra", "fd01::1", hlim=254))
put("nd.forged-source", ns("ra", "fd01::1", src="fd01::20"))
put("nd.forged-option", ns("ra", "fd01::1", ll=MAC["rb"]))
put("nd.router-solicitation", Ether(dst="33:33:00:00:00:02", src=MAC["ra"])
    / IPv6(src="fe80::a", dst="ff02::2", hlim=255) / ICMPv6ND_RS())

for name, src, dst in (("echo4.gateway", "ra", "10.1.1.1"),):
    put(name, sent("ra", ip(src, dst, id=80, tos=4) / ICMP(id=5, seq=6) / DATA))
    put(name + ".reply", got("ra", ip(dst, src, tos=4, **OURS) / ICMP(type=0, id=5, seq=6) / DATA))
put("echo4.from-ra2", sent("ra2", ip("ra2", "10.1.1.1", id=80) / ICMP(id=5, seq=6) / DATA))
put("echo4.from-ra2.reply", got("ra2", ip("10.1.1.1", "ra2", **OURS) / ICMP(type=0, id=5, seq=6) / DATA))
put("echo6.gateway", sent("ra", ip6("ra", "fd01::1") / ICMPv6EchoRequest(id=5, seq=6, data=b"hello")))
put("echo6.gateway.reply", got("ra", ip6("fd01::1", "ra", hlim=64) / ICMPv6EchoReply(id=5, seq=6, data=b"hello")))
put("echo6.link-local", sent("ra", ip6("fe80::a", "fe80::1") / ICMPv6EchoRequest(id=5, seq=6, data=b"hello")))
put("echo6.link-local.reply", got("ra", ip6("fe80::1", "fe80::a", hlim=64) / ICMPv6EchoReply(id=5, seq=6, data=b"hello")))
put("udp4.gateway", sent("ra", ip("ra", "10.1.1.1", id=81) / UDP(sport=1, dport=2)))
FABRIC = Ether(dst=UP_A, src=UP_B)
put("echo4.vtep", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1", id=82) / ICMP(id=5, seq=6) / DATA)
put("echo4.vtep.reply", Ether(dst=UP_B, src=UP_A) / IP(src="10.0.0.1", dst="10.0.0.2", **OURS) / ICMP(type=0, id=5, seq=6) / DATA)
# the kernel's VXLAN asks by ARP in the VNI
kernel = "06:00:00:00:00:aa"
ask = Ether(dst=ALL, src=kernel) / ARP(op=1, hwsrc=kernel, psrc="10.1.1.20", pdst="10.1.1.10")
put("arp.tunnel", to_a(ask))
put("arp.tunnel.wire", wrap(Ether(dst=kernel, src=RTR_A)
                            / ARP(op=2, hwsrc=RTR_A, psrc="10.1.1.10", hwdst=kernel, pdst="10.1.1.20"), VX))
put("arp.tunnel.not-here", to_a(Ether(dst=ALL, src=kernel) / ARP(op=1, hwsrc=kernel, psrc="10.1.1.20", pdst="10.1.1.99")))
put("nd.tunnel", to_a(Ether(dst="33:33:ff:00:00:10", src=kernel) / IPv6(src="fd01::20", dst="ff02::1:ff00:10", hlim=255)
                      / ICMPv6ND_NS(tgt="fd01::10") / ICMPv6NDOptSrcLLAddr(lladdr=kernel)))
put("nd.tunnel.wire", wrap(Ether(dst=kernel, src=RTR_A) / IPv6(src="fd01::10", dst="fd01::20", hlim=255)
                           / ICMPv6ND_NA(R=1, S=1, O=0, tgt="fd01::10") / ICMPv6NDOptDstLLAddr(lladdr=RTR_A), VX))
put("nd.label", to_a(IPv6(src="fd01::20", dst="ff02::1:ff00:10", hlim=255) / ICMPv6ND_NS(tgt="fd01::10"), ("mpls", 1000)))

# TTL ends, and packets too big
ERR = dict(tos=0xc0, **OURS)
for ttl in (0, 1):
    p = ip("ra", "rb", id=90, ttl=ttl) / UDP(sport=5000, dport=7053) / DATA
    put("ttl4.%d" % ttl, sent("ra", p))
    put("ttl4.%d.error" % ttl, got("ra", ip("10.1.1.1", "ra", **ERR) / ICMP(type=11) / Raw(bytes(p))))
p = ip6("ra", "rb", hlim=1) / UDP(sport=5000, dport=7053) / DATA
put("ttl6", sent("ra", p))
put("ttl6.error", got("ra", ip6("fd01::1", "ra", tc=0xc0, hlim=64) / ICMPv6TimeExceeded() / Raw(bytes(p))))
out("ttl4.2", "ra", ip("ra", "rb", id=91, ttl=2) / UDP(sport=5000, dport=7053) / DATA, VX)
BIG = Raw(bytes(i % 251 for i in range(1472)))
for name, to, by, mtu in (("vxlan", "rb", VX, 1450), ("mpls", "rb2", MP, 1468)):
    p = ip("ra", to, id=92, flags="DF") / UDP(sport=5000, dport=7053) / BIG
    put("big4." + name, sent("ra", p))
    put("big4." + name + ".error", got("ra", ip("10.1.1.1", "ra", **ERR)
                                       / ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(bytes(p)[:548])))
    p = ip6("ra", to) / UDP(sport=5000, dport=7053) / Raw(bytes(i % 251 for i in range(1452)))
    put("big6." + name, sent("ra", p))
    put("big6." + name + ".error", got("ra", ip6("fd01::1", "ra", tc=0xc0, hlim=64)
                                       / ICMPv6PacketTooBig(mtu=mtu) / Raw(bytes(p)[:1232])))
    fits = ip("ra", to, id=93, flags="DF") / UDP(sport=5000, dport=7053) / Raw(bytes(mtu - 28))
    out("fits4." + name, "ra", fits, by)
p = ip("ra", "10.99.0.1", id=94) / UDP(sport=5000, dport=7053) / DATA
put("no-route4", sent("ra", p))
p = ip("ra", "rb", id=4711, tos=0xb8) / UDP(sport=5000, dport=7053) / DATA
put("udp4.vxlan.no-route", got("ra", ip("10.1.1.1", "ra", **ERR) / ICMP(type=3, code=0) / Raw(bytes(p))))
p = ip("ra", "ra2", id=7) / TCP(sport=1, dport=2, flags="S")
put("local4.no-route", got("ra", ip("10.1.1.1", "ra", **ERR) / ICMP(type=3, code=0) / Raw(bytes(p))))
p = ip("ra", "10.99.0.1", id=94) / UDP(sport=5000, dport=7053) / DATA
put("no-route4.error", got("ra", ip("10.1.1.1", "ra", **ERR) / ICMP(type=3, code=0) / Raw(bytes(p))))

# ---------------------------------------------------------------- the underlay
def fabric_arp(op, mac, sender, target, dst, hwdst="00:00:00:00:00:00", src=None):
    return Ether(dst=dst, src=src or mac) / ARP(op=op, hwsrc=mac, psrc=sender, hwdst=hwdst, pdst=target)


put("underlay.ask-us", fabric_arp(1, UP_B, "10.0.0.2", "10.0.0.1", ALL))
put("underlay.ask-us.reply", fabric_arp(2, UP_A, "10.0.0.1", "10.0.0.2", UP_B, UP_B))
put("underlay.conflict", fabric_arp(1, UP_C, "10.0.0.1", "10.0.0.1", ALL))
for name, mac, address in (("c", UP_C, "10.0.0.3"), ("gateway", UP_GW, "10.0.0.254"), ("b", UP_B, "10.0.0.2")):
    put("underlay.ask-" + name, fabric_arp(1, UP_A, "10.0.0.1", address, ALL))
    put("underlay.probe-" + name, fabric_arp(1, UP_A, "10.0.0.1", address, mac))
    put("underlay.%s-says" % name, fabric_arp(2, mac, address, "10.0.0.1", UP_A, UP_A))
put("underlay.c-moves", fabric_arp(2, "52:00:00:00:0c:99", "10.0.0.3", "10.0.0.1", UP_A, UP_A))
put("underlay.stranger-says", fabric_arp(2, UP_C, "10.0.0.77", "10.0.0.1", UP_A, UP_A))
c = dict(dst="10.0.0.3", dmac=UP_C, imac=RTR_C)
for n in range(20):
    out("to-c.%d" % n, "ra", ip("ra", "10.1.1.30", id=100 + n) / UDP(sport=5100 + n, dport=7053) / DATA, VX, **c)
frames["to-c.moved.wire"] = bytes(wrap(hop(ip("ra", "10.1.1.30", id=100) / UDP(sport=5100, dport=7053) / DATA), VX,
                                       **dict(c, dmac="52:00:00:00:0c:99")))
out("to-far", "ra", ip("ra", "10.9.0.1", id=130) / UDP(sport=5200, dport=7053) / DATA, ("vxlan", 100),
    dst="192.0.2.9", dmac=UP_GW, imac="02:0a:00:00:09:01")
put("to-far.by-b.wire", wrap(hop(ip("ra", "10.9.0.1", id=130) / UDP(sport=5200, dport=7053) / DATA), VX,
                             dst="192.0.2.9", dmac=UP_B, imac="02:0a:00:00:09:01"))
put("nowhere", sent("ra", ip("ra", "10.8.0.1", id=131) / UDP(sport=5200, dport=7053) / DATA))
put("to-drop", sent("ra", ip("ra", "10.6.0.1", id=132) / UDP(sport=5200, dport=7053) / DATA))
# a flow's packet by other ways, after its route changed
moving = hop(ip("ra", "rb", id=4711, tos=0xb8) / UDP(sport=5000, dport=7053) / DATA)
put("udp4.by-label.wire", wrap(moving, ("mpls", 1001), outer_tos=0xb8))
put("udp4.by-vni-101.wire", wrap(moving, ("vxlan", 101), outer_tos=0xb8))
put("udp4.to-ra2.out", got("ra2", moving))

# ---------------------------------------------------------------- from tunnels, told through tunnels
p = ip("rb", "ra", id=140, flags="DF") / UDP(sport=5000, dport=7053) / Raw(bytes(1100))
put("tunnel.big", to_a(p))
put("tunnel.big.wire", wrap(ip("10.1.1.1", "rb", **ERR) / ICMP(type=3, code=4, nexthopmtu=1000) / Raw(bytes(p)[:548]), VX, outer_tos=0xc0))
p = ip("rb", "ra", id=141, ttl=1) / UDP(sport=5000, dport=7053) / DATA
put("tunnel.ttl", to_a(p))
put("tunnel.ttl.wire", wrap(ip("10.1.1.1", "rb", **ERR) / ICMP(type=11) / Raw(bytes(p)), VX, outer_tos=0xc0))
put("tunnel.echo", to_a(ip("rb", "10.1.1.1", id=142) / ICMP(id=5, seq=6) / DATA))
put("tunnel.echo.wire", wrap(ip("10.1.1.1", "rb", **OURS) / ICMP(type=0, id=5, seq=6) / DATA, VX))
put("tunnel.echo6", to_a(ip6("rb", "fd01::1") / ICMPv6EchoRequest(id=5, seq=6, data=b"hello")))
put("tunnel.echo6.wire", wrap(ip6("fd01::1", "rb", hlim=64) / ICMPv6EchoReply(id=5, seq=6, data=b"hello"), VX))
put("echo4.vtep-from-c", Ether(dst=UP_A, src=UP_C) / IP(src="10.0.0.3", dst="10.0.0.1", id=82) / ICMP(id=5, seq=6) / DATA)
put("echo4.vtep-from-c.reply", Ether(dst=UP_C, src=UP_A) / IP(src="10.0.0.1", dst="10.0.0.3", **OURS) / ICMP(type=0, id=5, seq=6) / DATA)
put("echo4.gateway-ttl-1", sent("ra", ip("ra", "10.1.1.1", id=80, ttl=1, tos=4) / ICMP(id=5, seq=6) / DATA))
# an answer to a packet that came by a label which names its VIF
put("label.vif.back", sent("ra2", ip("10.7.7.7", "rb", id=36) / UDP(sport=9, dport=9) / DATA))
put("label.vif.back.wire", wrap(hop(ip("10.7.7.7", "rb", id=36) / UDP(sport=9, dport=9) / DATA), VX))
out("ra2.asks", "ra2", ip("ra2", "rb2", id=37) / UDP(sport=10, dport=11) / DATA, MP)
into("ra2.answered", "ra2", ip("rb2", "ra2", id=38) / UDP(sport=11, dport=10) / DATA, ("mpls", 3000))
out("allowed.source", "ra", ip("10.1.1.66", "rb", id=39) / UDP(sport=1, dport=2) / DATA, VX)
# outer headers that are odd and right
p = ip("rb", "ra", id=40) / UDP(sport=55, dport=5000) / DATA
put("outer.options", to_a(p, options=[IPOption(b"\x94\x04\x00\x00")]))
put("outer.padded", bytes(to_a(p)) + bytes(9))
put("outer.out", got("ra", hop(p)))
put("outer.checksum", to_a(p, chksum=0x4242))

# ---------------------------------------------------------------- floods
for n in range(300):
    out("flood.%d" % n, "ra2", ip("ra2", "rb", id=200) / UDP(sport=10000 + n, dport=7053, chksum=0) / Raw(b"f"), VX)
for n in range(64):
    out("quiet.%d" % n, "ra", ip("ra", "rb", id=201) / UDP(sport=20000 + n, dport=7053, chksum=0) / Raw(b"q"), VX)
    into("quiet.%d.back" % n, "ra", ip("rb", "ra", id=202) / UDP(sport=7053, dport=20000 + n, chksum=0) / Raw(b"q"))
    into("flood.%d.back" % n, "ra2", ip("rb", "ra2", id=203) / UDP(sport=7053, dport=10000 + n, chksum=0) / Raw(b"f"))

# ---------------------------------------------------------------- bad bytes
good = ip("ra", "rb", id=300) / UDP(sport=5000, dport=7053) / DATA
good6 = ip6("ra", "rb") / UDP(sport=5000, dport=7053) / DATA
put("bad.short", bytes(sent("ra", good))[:13])
put("bad.not-ours", Ether(dst="02:00:00:00:99:99", src=MAC["ra"]) / good)
put("bad.broadcast", Ether(dst=ALL, src=MAC["ra"]) / good)
put("bad.multicast", Ether(dst="01:00:5e:01:01:01", src=MAC["ra"]) / ip("ra", "239.1.1.1") / UDP() / DATA)
put("bad.multicast6", Ether(dst="33:33:00:00:00:05", src=MAC["ra"]) / ip6("ra", "ff05::5") / UDP() / DATA)
put("bad.vlan", Ether(dst=GW, src=MAC["ra"]) / Dot1Q(vlan=7) / good)
put("bad.llc", Ether(dst=GW, src=MAC["ra"], type=46) / Raw(bytes(46)))
put("bad.mac-spoofed", Ether(dst=GW, src=MAC["rb"]) / good)
put("bad.version", sent("ra", Raw(b"\x55" + bytes(good)[1:])))
frames["bad.version"] = frames["bad.version"][:12] + b"\x08\x00" + frames["bad.version"][14:]
put("bad.header-length", bytes(sent("ra", good))[:14] + b"\x44" + bytes(sent("ra", good))[15:])
put("bad.header-truncated", bytes(sent("ra", good))[:30])
put("bad.checksum", sent("ra", ip("ra", "rb", id=300, chksum=0x1234) / UDP(sport=5000, dport=7053) / DATA))
put("bad.length", sent("ra", ip("ra", "rb", id=300, len=2000) / UDP(sport=5000, dport=7053) / DATA))
put("bad.length-small", sent("ra", ip("ra", "rb", id=300, len=19) / UDP(sport=5000, dport=7053) / DATA))
put("bad6.truncated", bytes(sent("ra", good6))[:50])
put("bad6.version", bytes(sent("ra", good6))[:14] + b"\x45" + bytes(sent("ra", good6))[15:])
put("bad6.length", sent("ra", ip6("ra", "rb", plen=2000) / UDP(sport=5000, dport=7053) / DATA))
put("bad6.extension", sent("ra", ip6("ra", "rb", nh=60) / Raw(b"\x11\xff" + bytes(14))))
put("bad6.chain", sent("ra", ip6("ra", "rb", nh=60) / Raw((b"\x3c\x00" + bytes(6)) * 12)))
put("bad.udp-truncated", sent("ra", ip("ra", "rb", id=301, proto=17) / Raw(b"\0\1\0\2")))
put("bad.udp-length", sent("ra", ip("ra", "rb", id=301) / UDP(sport=1, dport=2, len=4000, chksum=0) / DATA))
put("bad.tcp-truncated", sent("ra", ip("ra", "rb", id=301, proto=6) / Raw(bytes(19))))
put("bad.tcp-offset", sent("ra", ip("ra", "rb", id=301) / TCP(dataofs=15)))
put("bad.icmp-truncated", sent("ra", ip("ra", "rb", id=301, proto=1) / Raw(b"\x08\0\0\0")))
put("bad.icmp-quote", sent("ra", ip("ra", "rb", id=301) / ICMP(type=11) / Raw(b"\x45" + bytes(10))))
for name, src in {"loopback": "127.0.0.1", "zero": "0.0.0.0", "multicast": "224.1.1.1", "itself": "10.1.1.20",
                  "other": "10.1.1.66"}.items():
    put("bad.source-" + name, sent("ra", ip(src, "rb", id=302) / UDP(sport=1, dport=2) / DATA))
put("bad6.source-other", sent("ra", ip6("fd01::66", "rb") / UDP(sport=1, dport=2) / DATA))
put("bad6.source-loopback", sent("ra", ip6("::1", "rb") / UDP(sport=1, dport=2) / DATA))
put("fabric.not-for-us", FABRIC / IP(src="10.0.0.2", dst="10.0.0.9") / UDP(sport=1, dport=4789) / DATA)
put("fabric.mac", Ether(dst="52:00:00:00:99:99", src=UP_B) / IP(src="10.0.0.2", dst="10.0.0.1") / UDP() / DATA)
put("fabric.broadcast", Ether(dst=ALL, src=UP_B) / IP(src="10.0.0.2", dst="10.0.0.1") / UDP() / DATA)
put("fabric.ethertype", Ether(dst=UP_A, src=UP_B, type=0x8847) / Raw(bytes(60)))
put("fabric.source", FABRIC / IP(src="127.0.0.1", dst="10.0.0.1") / UDP(sport=1, dport=4789) / DATA)
put("fabric.udp-unknown", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=9999) / DATA)
put("fabric.tcp", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=1, dport=4789, flags="S"))
put("fabric.fragment-first", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1", flags="MF") / UDP(sport=1, dport=4789, chksum=0) / DATA)
put("fabric.fragment-later", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1", frag=9, proto=17) / DATA)
put("fabric.udp-length", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=4789, len=7, chksum=0) / DATA)
put("vxlan.truncated", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=4789) / Raw(b"\x08\0\0\0"))
put("vxlan.no-i-bit", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=4789) / Raw(b"\0\0\0\0\0\0\x64\0" + bytes(sent("ra", good))))
back = ip("rb", "ra", id=303) / UDP(sport=7053, dport=5000) / DATA
put("vxlan.vni-unknown", to_a(back, ("vxlan", 999)))
put("vxlan.inner-short", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=4789) / VXLAN(vni=100) / Raw(b"abc"))
put("vxlan.inner-mac", to_a(back, imac="02:0a:00:00:77:01"))
put("vxlan.inner-broadcast", to_a(back, imac=ALL))
put("vxlan.inner-arp-mac", to_a(Ether(dst="02:0a:00:00:77:01", src=kernel) / ARP(op=1, hwsrc=kernel, psrc="10.1.1.20", pdst="10.1.1.10")))
put("vxlan.inner-vlan", to_a(Ether(dst=RTR_A, src=RTR_B) / Dot1Q(vlan=7) / back))
put("vxlan.inner-truncated", bytes(to_a(back))[:80])
lying = ip("rb", "ra", id=303, len=400) / UDP(sport=7053, dport=5000) / DATA
put("vxlan.inner-length", to_a(lying))
put("vxlan.inner-checksum", to_a(ip("rb", "ra", id=303, chksum=1) / UDP(sport=7053, dport=5000) / DATA))
put("vxlan.inner-source", to_a(ip("127.0.0.1", "ra", id=303) / UDP(sport=7053, dport=5000) / DATA))
put("vxlan.inner-ttl", to_a(ip("rb", "ra", id=303, ttl=1) / UDP(sport=7053, dport=5000) / DATA))
put("vxlan.other-vtep", to_a(back, src="10.0.0.66"))
put("mpls.truncated", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=6635) / Raw(b"\0\x3e"))
put("mpls.deep", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=6635) / MPLS(label=1000, s=0, ttl=9) / MPLS(label=5, s=1, ttl=9) / back)
put("mpls.label-unknown", to_a(back, ("mpls", 999)))
put("mpls.inner-empty", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=6635) / MPLS(label=1000, s=1, ttl=9))
put("mpls.inner-version", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=6635) / MPLS(label=1000, s=1, ttl=9) / Raw(b"\x35" + bytes(40)))
put("mpls.inner-multicast", to_a(ip("rb", "239.1.1.1", id=303) / UDP(sport=7053, dport=5000) / DATA, ("mpls", 1000)))
put("mpls.inner-truncated", FABRIC / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=6635) / MPLS(label=1000, s=1, ttl=9) / Raw(bytes(good)[:12]))


def write():
    for name in sorted(frames):
        print("%s: %s" % (name, frames[name].hex()))


if __name__ == "__main__":
    write()
