#!/usr/bin/python3
"""Frames of what the reference model found: the later fragments of a long ping, link-local senders, transit that has to wait.

    /usr/bin/python3 corners.py > corners.hex
"""
from base import *  # noqa: F403

frames.clear()

# a long ping and its answer, in two fragments each
for name, way, first, second in (
    ("out", out, "ra", "rb"),
    ("in", into, "rb", "ra"),
):
    echo = ICMP(type=8 if name == "out" else 0, id=77, seq=1, chksum=0x1234) / Raw(b"e" * 24)
    more = (VX,) if name == "out" else ()
    way("long-ping.%s.first" % name, "ra", ip(first, second, id=800, flags="MF") / echo, *more)
    way("long-ping.%s.later" % name, "ra", ip(first, second, id=800, frag=4, proto=1) / Raw(b"l" * 24), *more)

# link-local addresses do not leave their link, whatever a route says
put("link-local.source", sent("ra", ip6("fe80::a", "rb") / UDP(sport=5000, dport=7053) / DATA))
put("link-local.destination", sent("ra", ip6("ra", "fe80::b") / UDP(sport=5000, dport=7053) / DATA))

# from B's tunnel, on to C's
put("transit", to_a(ip("rb", "10.1.1.30", id=801) / UDP(sport=5000, dport=7053) / DATA))

# what came by a label that names its VIF, then without it: 10.7.7.7 has no route
put("unlabelled", to_a(ip("rb", "10.7.7.7", id=34) / UDP(sport=9, dport=9) / DATA))

if __name__ == "__main__":
    write()
