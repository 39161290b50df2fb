#!/usr/bin/python3
"""Flows of ra to 10.9.0.9, and how each looks by each path that it may have: a, b by VNI, c by label, a2 is a after a change of its
VNI, d ends
elsewhere in the underlay. And flows of B to an address that VIFs ra2 and ra3 share."""
from base import *

frames.clear()
MAC["ra3"] = "02:00:00:00:0a:04"
V4["ra3"] = "10.1.1.12"
PATHS = {
    "a": (("vxlan", 501), {}),
    "a2": (("vxlan", 511), {}),
    "b": (("vxlan", 502), {}),
    "c": (("mpls", 1503), {}),
    "d": (("vxlan", 504), dict(dst="198.51.100.9")),
}
for n in range(32):
    packet = ip("ra", "10.9.0.9", id=900 + n) / UDP(sport=7000 + n, dport=53) / Raw(b"question")
    put("ecmp.%d" % n, sent("ra", packet))
    for path, (by, more) in PATHS.items():
        put("ecmp.%d.%s.wire" % (n, path), wrap(hop(packet), by, **more))
    into("ecmp.%d.back" % n, "ra", ip("10.9.0.9", "ra", id=950 + n) / UDP(sport=53, dport=7000 + n) / Raw(b"answer"))
    # to the shared address, and back
    packet = ip("rb", "10.9.0.9", id=800 + n) / UDP(sport=7000 + n, dport=53) / Raw(b"question")
    put("any.%d" % n, to_a(packet))
    answer = ip("10.9.0.9", "rb", id=850 + n) / UDP(sport=53, dport=7000 + n) / Raw(b"answer")
    for who in "ra2", "ra3":
        put("any.%d.%s.out" % (n, who), got(who, hop(packet)))
        put("any.%d.%s.back" % (n, who), sent(who, answer))
    put("any.%d.back.wire" % n, wrap(hop(answer), VX))
# what those who share the address ask themselves
for who in "ra2", "ra3":
    packet = ip("10.9.0.9", "rb", id=770) / UDP(sport=1000, dport=123) / Raw(b"time?")
    put("any.ask.%s" % who, sent(who, packet))
    put("any.answer.%s.out" % who, got(who, hop(ip("rb", "10.9.0.9", id=771) / UDP(sport=123, dport=1000) / Raw(b"now"))))
put("any.ask.wire", wrap(hop(ip("10.9.0.9", "rb", id=770) / UDP(sport=1000, dport=123) / Raw(b"time?")), VX))
put("any.answer", to_a(ip("rb", "10.9.0.9", id=771) / UDP(sport=123, dport=1000) / Raw(b"now")))

if __name__ == "__main__":
    write()
