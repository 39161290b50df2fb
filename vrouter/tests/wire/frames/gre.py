#!/usr/bin/python3
"""Frames of MPLS-over-GRE (RFC 4023); see base.py.

    /usr/bin/python3 gre.py > gre.hex
"""
from base import *  # noqa: F403
from scapy.layers.l2 import GRE

frames.clear()
MPLS_TYPE = 0x8847


def gre_wrap(inner, label, outer_tos=0, smac=UP_A, dmac=UP_B, src="10.0.0.1", dst="10.0.0.2", ttl=64, **options):
    outer = Ether(dst=dmac, src=smac) / IP(src=src, dst=dst, id=0, flags="DF", ttl=64, tos=outer_tos)
    return outer / GRE(proto=MPLS_TYPE, **options) / MPLS(label=label, s=1, cos=0, ttl=ttl) / inner


def gre_to_a(inner, label=1000, **more):
    rest = dict(smac=UP_B, dmac=UP_A, src="10.0.0.2", dst="10.0.0.1")
    rest.update(more)
    return gre_wrap(inner, label, **rest)


def gre_out(name, who, packet, label, to=None):
    put(name, sent(who, packet))
    put(name + ".wire", gre_wrap(hop(packet), label, outer_tos=tos(packet)))
    if to:
        put(name + ".out", got(to, hop(packet, 2)))


def gre_into(name, who, packet, label=1000, **more):
    put(name, gre_to_a(packet, label, **more))
    put(name + ".out", got(who, hop(packet)))


# to 10.1.1.22 and fd01::22 of B by GRE
gre_out("gre4", "ra", ip("ra", "10.1.1.22", id=5001, tos=0xb8) / UDP(sport=5000, dport=7053) / DATA, 1001, "rb2")
gre_out("gre6", "ra", ip6("ra", "fd01::22", tc=0x2e) / UDP(sport=5000, dport=7053) / DATA, 1001, "rb2")
gre_out("gre4.odd", "ra", ip("ra", "10.1.1.22", id=5002) / UDP(sport=5001, dport=7053) / Raw(b"x"), 1001)
# back, with each option and all of them
back4 = ip("10.1.1.22", "ra", id=5003) / UDP(sport=7053, dport=5000) / DATA
gre_into("gre4.back", "ra", back4)
gre_into("gre6.back", "ra", ip6("fd01::22", "ra") / UDP(sport=7053, dport=5000) / DATA)
for name, options in {
    "key": dict(key_present=1, key=0xdeadbeef),
    "sequence": dict(seqnum_present=1, sequence_number=7),
    "checksum": dict(chksum_present=1),
    "all": dict(chksum_present=1, key_present=1, key=1, seqnum_present=1, sequence_number=8),
}.items():
    put("gre4.back." + name, gre_to_a(back4, **options))
odd = ip("10.1.1.22", "ra", id=5004) / UDP(sport=7053, dport=5000) / Raw(b"odd")
gre_into("gre4.back.checksum-odd", "ra", odd, chksum_present=1)
# a label that names its VIF
gre_into("gre4.vif", "ra2", ip("10.1.1.22", "10.7.7.7", id=5005) / UDP(sport=9, dport=9) / DATA, 3000)
gre_into("gre6.vif", "ra2", ip6("fd01::22", "fd77::7") / UDP(sport=9, dport=9) / DATA, 3000)
# just fits 1500, and one byte more; the answer
big = ip("ra", "10.1.1.22", id=5006, flags="DF") / UDP(sport=5005, dport=7053)
gre_out("gre4.fits", "ra", big / Raw(bytes(1472 - 28)), 1001)
too_big = big / Raw(bytes(1472 - 27))
put("gre4.big", sent("ra", too_big))
put("gre4.big.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                         / ICMP(type=3, code=4, nexthopmtu=1472) / Raw(bytes(too_big)[:548])))

# ---------------------------------------------------------------- bad ones
def bytes_of(packet, change):
    """The frame with bytes of its GRE header, which begins at 34, changed."""
    changed = bytearray(bytes(packet))
    for at, byte in change.items():
        changed[34 + at] = byte
    return bytes(changed)


put("gre.version", bytes_of(gre_to_a(back4), {1: 1}))
put("gre.routing", bytes_of(gre_to_a(back4), {0: 0x40}))
put("gre.bit4", bytes_of(gre_to_a(back4), {0: 0x08}))
put("gre.bit5", bytes_of(gre_to_a(back4), {0: 0x04}))
put("gre.ignored-bits", bytes_of(gre_to_a(back4), {0: 0x03, 1: 0xf8}))
right = gre_to_a(back4, chksum_present=1)
put("gre.checksum-wrong", bytes_of(right, {4: bytes(right)[38] ^ 1}))
put("gre.payload-wrong", bytes(right)[:-1] + b"\xee")
put("gre.ethernet", bytes_of(gre_to_a(back4), {2: 0x65, 3: 0x58}))
outer = Ether(dst=UP_A, src=UP_B) / IP(src="10.0.0.2", dst="10.0.0.1", id=9, proto=47)
put("gre.ipv4", outer / GRE(proto=0x0800) / back4)
put("gre.short", outer / Raw(b"\0\0\x88"))
put("gre.short-options", outer / Raw(b"\xb0\0\x88\x47" + bytes(11)))
put("gre.no-label", outer / Raw(b"\0\0\x88\x47\0"))
put("gre.deep", bytes_of(gre_to_a(back4), {6: 0x80}))
put("gre.label-unknown", gre_to_a(back4, 777))
put("gre.inner-version", gre_to_a(Raw(b"\x55" * 40)))
put("gre.vtep", gre_to_a(back4, src="10.0.0.9"))

if __name__ == "__main__":
    write()
