#!/usr/bin/python3
"""Frames of GENEVE (RFC 8926); see base.py.

    /usr/bin/python3 geneve.py > geneve.hex
"""
from base import *  # noqa: F403
from scapy.contrib.geneve import GENEVE, GeneveOptions

frames.clear()
ETHERNET = 0x6558
# as Open vSwitch with OVN sends it: class 0x0102, critical; and one that nobody must know
CRITICAL = GeneveOptions(classid=0x0102, type=0x80, data=b"\0\1\0\2")
OTHER = GeneveOptions(classid=0x0108, type=0x01, data=b"\xca\xfe\xba\xbe" * 3)
EMPTY = GeneveOptions(classid=0xffff, type=0x7f, reserved=7, data=b"")
# 63 words, as many as there may be; scapy says 47
MOST = [GeneveOptions(classid=0x0103, type=1, data=bytes(124)), GeneveOptions(classid=0x0103, type=3, data=bytes(120))]


def gnv(inner, vni=100, outer_tos=0, sport=0, smac=UP_A, dmac=UP_B, src="10.0.0.1", dst="10.0.0.2", imac=RTR_B, ismac=RTR_A, **header):
    outer = Ether(dst=dmac, src=smac) / IP(src=src, dst=dst, id=0, flags="DF", ttl=64, tos=outer_tos)
    frame = inner if isinstance(inner, Ether) else Ether(dst=imac, src=ismac) / inner
    rest = dict(proto=ETHERNET, vni=vni)
    rest.update(header)
    return outer / UDP(sport=sport, dport=6081, chksum=0) / GENEVE(**rest) / frame


def gnv_to_a(inner, vni=100, **more):
    rest = dict(sport=51111, smac=UP_B, dmac=UP_A, src="10.0.0.2", dst="10.0.0.1", imac=RTR_A, ismac=RTR_B)
    rest.update(more)
    return gnv(inner, vni, **rest)


def gnv_out(name, who, packet, to=None):
    put(name, sent(who, packet))
    put(name + ".wire", gnv(hop(packet), outer_tos=tos(packet)))
    if to:
        put(name + ".out", got(to, hop(packet, 2)))


# to 10.1.1.23 and fd01::23 of B by GENEVE
gnv_out("gnv4", "ra", ip("ra", "10.1.1.23", id=6001, tos=0xba) / UDP(sport=5000, dport=7053) / DATA, "rb2")
gnv_out("gnv6", "ra", ip6("ra", "fd01::23", tc=0x2e) / UDP(sport=5000, dport=7053) / DATA, "rb2")
gnv_out("gnv4.odd", "ra", ip("ra", "10.1.1.23", id=6002) / UDP(sport=5001, dport=7053) / Raw(b"x"))
# back: plain, with options, with bits that mean nothing
back4 = ip("10.1.1.23", "ra", id=6003) / UDP(sport=7053, dport=5000) / DATA
back6 = ip6("fd01::23", "ra") / UDP(sport=7053, dport=5000) / DATA
for family, back in ((4, back4), (6, back6)):
    name = "gnv%d.back" % family
    put(name + ".out", got("ra", hop(back)))
    for kind, header in {
        "": {},
        ".option": dict(options=[OTHER]),
        ".empty-option": dict(options=[EMPTY]),
        ".options": dict(options=[OTHER, EMPTY, OTHER]),
        ".most-options": dict(options=MOST, optionlen=63),
        ".c-alone": dict(critical=1),
        ".c-other": dict(critical=1, options=[OTHER]),
        ".reserved": dict(reserved=0x3f, reserved2=0xff),
    }.items():
        put(name + kind, gnv_to_a(back, **header))
    put(name + ".critical", gnv_to_a(back, critical=1, options=[CRITICAL]))
    put(name + ".critical-behind", gnv_to_a(back, critical=1, options=[OTHER, CRITICAL]))
    put(name + ".critical-unsaid", gnv_to_a(back, options=[CRITICAL]))
    put(name + ".control", gnv_to_a(back, oam=1))
put("gnv4.back.control-option", gnv_to_a(back4, oam=1, options=[OTHER]))
# a mark of congestion, and another DSCP
marked = ip("10.1.1.23", "ra", id=6004, tos=0x2a) / UDP(sport=7053, dport=5000) / DATA
after = hop(marked)
after.tos = 0xbb
del after.chksum
for kind, options in (("", []), (".option", [OTHER])):
    put("gnv4.marked" + kind, gnv_to_a(marked, outer_tos=0xbb, options=options))
put("gnv4.marked.out", got("ra", after))
put("gnv4.forbidden", gnv_to_a(back4, outer_tos=3))
# just fits 1500, and one byte more; the answer
FITS = 1500 - 20 - 8 - 8 - 14
big = ip("ra", "10.1.1.23", id=6006, flags="DF") / UDP(sport=5005, dport=7053)
gnv_out("gnv4.fits", "ra", big / Raw(bytes(FITS - 28)))
too_big = big / Raw(bytes(FITS - 27))
put("gnv4.big", sent("ra", too_big))
put("gnv4.big.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                         / ICMP(type=3, code=4, nexthopmtu=FITS) / Raw(bytes(too_big)[:548])))
# ARP and ND in the VNI, answered through the same kind of tunnel
kernel = "06:00:00:00:00:aa"
ask = Ether(dst=ALL, src=kernel) / ARP(op=1, hwsrc=kernel, psrc="10.1.1.23", pdst="10.1.1.10")
put("gnv.arp", gnv_to_a(ask))
put("gnv.arp.option", gnv_to_a(ask, options=[OTHER]))
put("gnv.arp.wire", gnv(Ether(dst=kernel, src=RTR_A) / ARP(op=2, hwsrc=RTR_A, psrc="10.1.1.10", hwdst=kernel, pdst="10.1.1.23")))
solicit = (Ether(dst="33:33:ff:00:00:10", src=kernel) / IPv6(src="fd01::23", dst="ff02::1:ff00:10", hlim=255)
           / ICMPv6ND_NS(tgt="fd01::10") / ICMPv6NDOptSrcLLAddr(lladdr=kernel))
put("gnv.ns", gnv_to_a(solicit))
put("gnv.ns.option", gnv_to_a(solicit, options=[OTHER]))
put("gnv.ns.wire", gnv(Ether(dst=kernel, src=RTR_A) / IPv6(src="fd01::10", dst="fd01::23", hlim=255)
                       / ICMPv6ND_NA(R=1, S=1, O=0, tgt="fd01::10") / ICMPv6NDOptDstLLAddr(lladdr=RTR_A)))


# ---------------------------------------------------------------- bad ones
def bytes_of(packet, change):
    """The frame with bytes of its GENEVE header, which begins at 42, changed."""
    changed = bytearray(bytes(packet))
    for at, byte in change.items():
        changed[42 + at] = byte
    return bytes(changed)


def datagram(payload):
    return (Ether(dst=UP_A, src=UP_B) / IP(src="10.0.0.2", dst="10.0.0.1", id=9)
            / UDP(sport=51111, dport=6081, chksum=0) / Raw(payload))


put("gnv.version-1", bytes_of(gnv_to_a(back4), {0: 0x40}))
put("gnv.version-3", bytes_of(gnv_to_a(back4), {0: 0xc0}))
put("gnv.short", datagram(b"\0\0\x65\x58\0\0\x64"))
put("gnv.empty", datagram(b""))
put("gnv.options-past-the-end", datagram(b"\x02\0\x65\x58\0\0\x64\0" + b"\1\2\1\0"))
put("gnv.options-far-past-the-end", bytes_of(gnv_to_a(ip("10.1.1.23", "ra") / UDP()), {0: 0x3f}))
put("gnv.option-past-the-options", bytes_of(gnv_to_a(back4, options=[OTHER]), {11: 4}))
put("gnv.option-far-past-the-options", bytes_of(gnv_to_a(back4, options=[OTHER, EMPTY]), {11: 0x1f}))
put("gnv.last-option-past-the-options", bytes_of(gnv_to_a(back4, options=[EMPTY, EMPTY]), {15: 1}))
put("gnv.critical-past-the-options", bytes_of(gnv_to_a(back4, critical=1, options=[CRITICAL]), {11: 2}))
put("gnv.ipv4", gnv_to_a(back4, proto=0x0800))
put("gnv.frame-short", datagram(b"\0\0\x65\x58\0\0\x64\0" + bytes(13)))
put("gnv.nothing-behind-options", datagram(b"\x01\0\x65\x58\0\0\x64\0" + b"\1\2\1\0"))
put("gnv.vni-unknown", gnv_to_a(back4, 777))
put("gnv.inner-mac", gnv_to_a(back4, imac="02:00:00:00:99:99"))
put("gnv.inner-type", gnv_to_a(Ether(dst=RTR_A, src=RTR_B, type=0x88b5) / Raw(bytes(40))))
put("gnv.multicast", gnv_to_a(back4, imac=ALL))
put("gnv.vtep", gnv_to_a(back4, src="10.0.0.9"))

if __name__ == "__main__":
    write()
