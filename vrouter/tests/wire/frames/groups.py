#!/usr/bin/python3
"""Flows of ra to twelve addresses, two of UDP and two of TCP to each, and how each looks by each path of a next-hop group: a to d by VNI,
a2 is a after a change of its VNI."""
from base import *  # noqa: F403
from scapy.layers.inet import TCP

frames.clear()
PATHS = {"a": 601, "b": 602, "c": 603, "d": 604, "a2": 611}
for n in range(48):
    to, of = n // 4, n % 4
    port = 7100 + of % 2
    address = "10.8.%d.9" % to
    ask = UDP(sport=port, dport=53) if of < 2 else TCP(sport=port, dport=53, flags="A", seq=1, ack=1)
    reply = UDP(sport=53, dport=port) if of < 2 else TCP(sport=53, dport=port, flags="A", seq=1, ack=1)
    packet = ip("ra", address, id=1000 + n) / ask / Raw(b"question")
    put("group.%d" % n, sent("ra", packet))
    for path, vni in PATHS.items():
        put("group.%d.%s.wire" % (n, path), wrap(hop(packet), ("vxlan", vni)))
    into("group.%d.back" % n, "ra", ip(address, "ra", id=1100 + n) / reply / Raw(b"answer"))

if __name__ == "__main__":
    write()
