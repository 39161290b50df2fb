#!/usr/bin/python3
"""Outer and inner headers: ECN (RFC 6040), DSCP (RFC 2983), MPLS TTL and TC (RFC 3443, RFC 3270, RFC 5129); see base.py.

    /usr/bin/python3 headers.py > headers.hex
"""
from base import *  # noqa: F403
from scapy.layers.l2 import GRE

frames.clear()
NOT_ECT, ECT1, ECT0, CE = range(4)
# RFC 6040, figure 4: by the inner field, then by the outer one; None: drop
LEAVES = {
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT0: NOT_ECT, ECT1: NOT_ECT, CE: None},
    ECT0: {NOT_ECT: ECT0, ECT0: ECT0, ECT1: ECT1, CE: CE},
    ECT1: {NOT_ECT: ECT1, ECT0: ECT1, ECT1: ECT1, CE: CE},
    CE: {NOT_ECT: CE, ECT0: CE, ECT1: CE, CE: CE},
}


def packet(family, a, b, tos, ttl=64):
    if family == 4:
        return ip(a, b, id=6000, tos=tos, ttl=ttl) / UDP(sport=7053, dport=5000) / Raw(b"headers!")
    return ip6(a, b, tc=tos, hlim=ttl) / UDP(sport=7053, dport=5000) / Raw(b"headers!")


def carried(inner, by, outer_tos, cos=0, ttl=64, smac=UP_B, dmac=UP_A, src="10.0.0.2", dst="10.0.0.1", label=1000, **vxlan):
    outer = Ether(dst=dmac, src=smac) / IP(src=src, dst=dst, id=0, flags="DF", ttl=64, tos=outer_tos)
    if by == "vxlan":
        rest = dict(sport=51111, imac=RTR_A, ismac=RTR_B)
        rest.update(vxlan)
        return wrap(inner, VX, outer_tos=outer_tos, smac=smac, dmac=dmac, src=src, dst=dst, **rest)
    entry = MPLS(label=label, s=1, cos=cos, ttl=ttl)
    if by == "gre":
        return outer / GRE(proto=0x8847) / entry / inner
    return outer / UDP(sport=vxlan.get("sport", 51111), dport=6635, chksum=0) / entry / inner


def leaving(inner, by, outer_tos, **more):
    """As A sends it to B."""
    ours = dict(smac=UP_A, dmac=UP_B, src="10.0.0.1", dst="10.0.0.2", label=1001, sport=0)
    if by == "vxlan":
        ours.update(imac=RTR_B, ismac=RTR_A)
        del ours["label"]
    return carried(inner, by, outer_tos, **{**ours, **more})


def with_tos(p, tos, ttl=None):
    later = copy(p)
    if IPv6 in later:
        later.tc = tos
        later.hlim = ttl or later.hlim
    else:
        later.tos = tos
        later.ttl = ttl or later.ttl
        del later.chksum
    return later


TO = {"vxlan": "rb", "mpls": "rb2", "gre": "10.1.1.22"}
TO6 = {"vxlan": "rb", "mpls": "rb2", "gre": "fd01::22"}

# ---------------------------------------------------------------- ECN, all sixteen; DSCP 10 in both headers
for family in (4, 6):
    for by in ("vxlan", "mpls", "gre"):
        for inner, row in LEAVES.items():
            asked = packet(family, "rb", "ra", 10 << 2 | inner)
            for outer, leaves in row.items():
                name = "ecn.%d.%s.%d.%d" % (family, by, inner, outer)
                put(name, carried(asked, by, 10 << 2 | outer))
                if leaves is not None:
                    put(name + ".out", got("ra", hop(with_tos(asked, 10 << 2 | leaves))))
            # normal mode: copied
            to = TO[by] if family == 4 else TO6[by]
            mine = packet(family, "ra", to, 10 << 2 | inner)
            name = "ecn.%d.%s.%d" % (family, by, inner)
            put(name, sent("ra", mine))
            put(name + ".wire", leaving(hop(mine), by, 10 << 2 | inner))

# ---------------------------------------------------------------- DSCP: remarked on the way from AF11 (10) to EF (46), ECN beside it
for family in (4, 6):
    for by in ("vxlan", "mpls", "gre"):
        asked = packet(family, "rb", "ra", 10 << 2 | ECT0)
        name = "dscp.%d.%s" % (family, by)
        put(name + ".in", carried(asked, by, 46 << 2 | CE))
        put(name + ".in.uniform.out", got("ra", hop(with_tos(asked, 46 << 2 | CE))))
        put(name + ".in.pipe.out", got("ra", hop(with_tos(asked, 10 << 2 | CE))))
        mine = packet(family, "ra", TO[by] if family == 4 else TO6[by], 10 << 2 | ECT1)
        put(name, sent("ra", mine))
        put(name + ".uniform.wire", leaving(hop(mine), by, 10 << 2 | ECT1))
        put(name + ".pipe.wire", leaving(hop(mine), by, 46 << 2 | ECT1))
        put(name + ".pipe0.wire", leaving(hop(mine), by, ECT1))

# ---------------------------------------------------------------- MPLS TTL
for family in (4, 6):
    for by in ("mpls", "gre"):
        mine = packet(family, "ra", TO[by] if family == 4 else TO6[by], 0, ttl=33)
        name = "ttl.%d.%s" % (family, by)
        put(name, sent("ra", mine))
        put(name + ".uniform.wire", leaving(hop(mine), by, 0, ttl=32))
        put(name + ".pipe.wire", leaving(hop(mine), by, 0))
        for label, leaves in ((5, 4), (200, 39), (2, 1)):
            asked = packet(family, "rb", "ra", 0, ttl=40)
            put("%s.%d.in" % (name, label), carried(asked, by, 0, ttl=label))
            put("%s.%d.in.uniform.out" % (name, label), got("ra", with_tos(asked, 0, ttl=leaves)))
            put("%s.%d.in.pipe.out" % (name, label), got("ra", hop(asked)))
        for label in (0, 1):
            put("%s.%d.in" % (name, label), carried(packet(family, "rb", "ra", 0, ttl=40), by, 0, ttl=label))

# ---------------------------------------------------------------- MPLS TC: the DSCP's class, or a mark of congestion (3)
for family in (4, 6):
    for by in ("mpls", "gre"):
        to = TO[by] if family == 4 else TO6[by]
        name = "tc.%d.%s" % (family, by)
        mine = packet(family, "ra", to, 46 << 2 | CE)
        put(name + ".ce", sent("ra", mine))
        put(name + ".ce.uniform.wire", leaving(hop(mine), by, 46 << 2 | CE, cos=5))
        put(name + ".ce.marked.wire", leaving(hop(mine), by, 46 << 2 | CE, cos=3))
        put(name + ".ce.pipe.wire", leaving(hop(mine), by, 46 << 2 | CE))
        mine = packet(family, "ra", to, 46 << 2 | ECT0)
        put(name + ".ect", sent("ra", mine))
        put(name + ".ect.marked.wire", leaving(hop(mine), by, 46 << 2 | ECT0))
        for ecn, word in ((NOT_ECT, "not"), (ECT0, "ect"), (CE, "ce")):
            asked = packet(family, "rb", "ra", 46 << 2 | ecn)
            put("%s.%s.in" % (name, word), carried(asked, by, 46 << 2 | ecn, cos=3))
            put("%s.%s.in.pipe.out" % (name, word), got("ra", hop(asked)))
            if ecn != NOT_ECT:
                put("%s.%s.in.marked.out" % (name, word), got("ra", hop(with_tos(asked, 46 << 2 | CE))))

if __name__ == "__main__":
    write()
