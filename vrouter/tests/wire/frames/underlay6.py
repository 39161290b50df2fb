#!/usr/bin/python3
"""Tunnels over an IPv6 underlay, fd31::1 to fd31::2; see base.py.

    /usr/bin/python3 underlay6.py > underlay6.hex
"""
from base import *  # noqa: F403
from scapy.contrib.geneve import GENEVE
from scapy.layers.l2 import GRE

frames.clear()
BYS = ("vxlan", "mpls", "gre", "geneve")
# where A's tenant sends by each tunnel
TO4 = {"vxlan": "10.1.1.30", "mpls": "10.1.1.31", "gre": "10.1.1.32", "geneve": "10.1.1.33"}
TO6 = {"vxlan": "fd01::30", "mpls": "fd01::31", "gre": "fd01::32", "geneve": "fd01::33"}
VTEP_A, VTEP_B = "fd31::1", "fd31::2"


def behind(inner, by, sport, label, imac, ismac, chksum=0):
    if by in ("vxlan", "geneve"):
        frame = inner if isinstance(inner, Ether) else Ether(dst=imac, src=ismac) / inner
        if by == "vxlan":
            return UDP(sport=sport, dport=4789, chksum=chksum) / VXLAN(flags=8, vni=100) / frame
        return UDP(sport=sport, dport=6081, chksum=chksum) / GENEVE(proto=0x6558, vni=100) / frame
    entry = MPLS(label=label, s=1, cos=0, ttl=64) / inner
    return GRE(proto=0x8847) / entry if by == "gre" else UDP(sport=sport, dport=6635, chksum=chksum) / entry


def to_b(inner, by, tc=0):
    return (Ether(dst=UP_B, src=UP_A) / IPv6(src=VTEP_A, dst=VTEP_B, hlim=64, tc=tc)
            / behind(inner, by, 0, 1001, RTR_B, RTR_A))


def from_b(inner, by, tc=0, src=VTEP_B, fl=0x12345, extension=None, label=1000, **more):
    outer = Ether(dst=UP_A, src=UP_B) / IPv6(src=src, dst=VTEP_A, hlim=64, tc=tc, fl=fl)
    if extension:
        outer = outer / extension
    return outer / behind(inner, by, 51111, label, RTR_A, RTR_B, **more)


def mine(family, by, length=64, **more):
    if family == 4:
        return ip("ra", TO4[by], id=8001, **more) / UDP(sport=5000, dport=7053) / Raw(bytes(range(length)))
    return ip6("ra", TO6[by], **more) / UDP(sport=5000, dport=7053) / Raw(bytes(range(length)))


def theirs(family, by, dst=None, **more):
    if family == 4:
        return ip(TO4[by], dst or "ra", id=8002, **more) / UDP(sport=7053, dport=5000) / DATA
    return ip6(TO6[by], dst or "ra", **more) / UDP(sport=7053, dport=5000) / DATA


for by in BYS:
    for family in (4, 6):
        name = "u6.%s.%d" % (by, family)
        put(name, sent("ra", mine(family, by)))
        put(name + ".wire", to_b(hop(mine(family, by)), by))
        put(name + ".out", got("rb", hop(mine(family, by), 2)))
        answer = theirs(family, by)
        put(name + ".back", from_b(answer, by))
        put(name + ".back.out", got("ra", hop(answer)))
        put(name + ".extended", from_b(answer, by, extension=IPv6ExtHdrDestOpt()))
        put(name + ".atomic", from_b(answer, by, extension=IPv6ExtHdrFragment(id=9)))
        put(name + ".stranger", from_b(answer, by, src="fd31::66"))
        if by != "gre":
            put(name + ".checksum", from_b(answer, by, chksum=None))
            put(name + ".wrong", from_b(answer, by, chksum=0x1234))
        if by in ("mpls", "gre"):
            straight = theirs(family, by, dst="10.7.7.7" if family == 4 else "fd77::7")
            put(name + ".vif", from_b(straight, by, label=3000))
            put(name + ".vif.out", got("ra2", hop(straight)))
        # ECN, and one DSCP
        marked = theirs(family, by, **({"tos": 0x2a} if family == 4 else {"tc": 0x2a}))
        put(name + ".marked", from_b(marked, by, tc=0x2b))
        after = copy(hop(marked))
        if family == 4:
            after.tos = 0x2b
            del after.chksum
        else:
            after.tc = 0x2b
        put(name + ".marked.out", got("ra", after))
        put(name + ".forbidden", from_b(theirs(family, by), by, tc=3))
        put(name + ".class", sent("ra", mine(family, by, **({"tos": 0xba} if family == 4 else {"tc": 0xba}))))
        put(name + ".class.wire", to_b(hop(mine(family, by, **({"tos": 0xba} if family == 4 else {"tc": 0xba}))), by, tc=0xba))

# ---------------------------------------------------------------- path MTU over 1500
FITS = {"vxlan": 1500 - 40 - 8 - 8 - 14, "mpls": 1500 - 40 - 8 - 4, "gre": 1500 - 40 - 4 - 4, "geneve": 1500 - 40 - 8 - 8 - 14}
for by, fits in FITS.items():
    p = ip("ra", TO4[by], id=8003, flags="DF") / UDP(sport=5005, dport=7053) / Raw(bytes(fits - 28))
    put("u6.%s.fits" % by, sent("ra", p))
    put("u6.%s.fits.wire" % by, to_b(hop(p), by))
    big = ip("ra", TO4[by], id=8003, flags="DF") / UDP(sport=5005, dport=7053) / Raw(bytes(fits - 27))
    put("u6.%s.big" % by, sent("ra", big))
    put("u6.%s.big.told" % by, got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                                   / ICMP(type=3, code=4, nexthopmtu=fits) / Raw(bytes(big)[:548])))
    big6 = ip6("ra", TO6[by]) / UDP(sport=5005, dport=7053) / Raw(bytes(fits - 47))
    put("u6.%s.big6" % by, sent("ra", big6))
    put("u6.%s.big6.told" % by, got("ra", IPv6(src="fd01::1", dst=V6["ra"], hlim=64, tc=0xc0)
                                    / ICMPv6PacketTooBig(mtu=fits) / Raw(bytes(big6)[:1232])))

# ---------------------------------------------------------------- ARP and ND in the VNI, answered through the tunnel
asker = "02:00:00:00:0b:77"
for by, name in (("vxlan", "u6"), ("geneve", "u6.geneve")):
    put(name + ".arp", from_b(Ether(dst=ALL, src=asker) / ARP(op=1, hwsrc=asker, psrc="10.1.1.30", pdst=V4["ra"]), by))
    put(name + ".arp.wire", to_b(Ether(dst=asker, src=RTR_A) / ARP(
        op=2, hwsrc=RTR_A, psrc=V4["ra"], hwdst=asker, pdst="10.1.1.30"), by))
    put(name + ".ns", from_b(
        Ether(dst="33:33:ff:00:00:10", src=asker) / IPv6(src="fd01::30", dst="ff02::1:ff00:10", hlim=255)
        / ICMPv6ND_NS(tgt=V6["ra"]) / ICMPv6NDOptSrcLLAddr(lladdr=asker), by))
    put(name + ".ns.wire", to_b(
        Ether(dst=asker, src=RTR_A) / IPv6(src=V6["ra"], dst="fd01::30", hlim=255)
        / ICMPv6ND_NA(tgt=V6["ra"], R=1, S=1, O=0) / ICMPv6NDOptDstLLAddr(lladdr=RTR_A), by))

if __name__ == "__main__":
    write()
