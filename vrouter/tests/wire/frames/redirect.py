#!/usr/bin/python3
"""A flow of ra to rb by way of a service of VRF svc, between VIFs left and right, or with left alone; B is reached by VNI 400."""
from base import *

frames.clear()
MAC["left"], MAC["right"] = "02:00:00:00:0a:04", "02:00:00:00:0a:05"
VNI = ("vxlan", 400)
SEND, BACK = dict(sport=5000, dport=7053), dict(sport=7053, dport=5000)

there = {"4": ip("ra", "rb", id=801) / UDP(**SEND) / DATA, "6": ip6("ra", "rb") / UDP(**SEND) / DATA}
back = {"4": ip("rb", "ra", id=802) / UDP(**BACK) / DATA, "6": ip6("rb", "ra") / UDP(**BACK) / DATA}
for n, p in there.items():
    put(f"svc{n}", sent("ra", p))
    for vif in ("left", "right"):
        put(f"svc{n}.{vif}", got(vif, hop(p)))
        put(f"svc{n}.from-{vif}", sent(vif, hop(p, 2)))
    # VNI 400: of svc; VNI 100: straight to B
    put(f"svc{n}.wire", wrap(hop(p, 3), VNI))
    put(f"svc{n}.direct.wire", wrap(hop(p), VX))
for n, p in back.items():
    put(f"svc{n}.back", to_a(p, VNI))
    put(f"svc{n}.back-direct", to_a(p))
    put(f"svc{n}.back-direct.out", got("ra", hop(p)))
    for vif in ("left", "right"):
        put(f"svc{n}.back.{vif}", got(vif, hop(p)))
        put(f"svc{n}.back.from-{vif}", sent(vif, hop(p, 2)))
    put(f"svc{n}.back.out", got("ra", hop(p, 3)))
# B begins: to ra by way of left
for n, p in {"4": ip("rb", "ra", id=803) / UDP(**SEND) / DATA}.items():
    put(f"svc{n}.in", to_a(p))
    put(f"svc{n}.in.left", got("left", hop(p)))
    put(f"svc{n}.in.from-left", sent("left", hop(p, 2)))
    put(f"svc{n}.in.out", got("ra", hop(p, 3)))
p = ip("ra", "rb", id=804) / UDP(**BACK) / DATA
put("svc4.in.back", sent("ra", p))
put("svc4.in.back.left", got("left", hop(p)))
put("svc4.in.back.from-left", sent("left", hop(p, 2)))
put("svc4.in.back.wire", wrap(hop(p, 3), VX))
# between two VIFs of red
p = ip("ra", "ra2", id=805) / UDP(**SEND) / DATA
put("svc4.local", sent("ra", p))
put("svc4.local.left", got("left", hop(p)))
put("svc4.local.from-left", sent("left", hop(p, 2)))
put("svc4.local.out", got("ra2", hop(p, 3)))
# a chain: left hands on to right
p = there["4"]
put("svc4.chain", got("right", hop(p, 3)))
put("svc4.chain.from-right", sent("right", hop(p, 4)))
put("svc4.chain.wire", wrap(hop(p, 5), VNI))
p = back["4"]
put("svc4.chain.back.left", got("left", hop(p, 3)))
put("svc4.chain.back.from-left", sent("left", hop(p, 4)))
put("svc4.chain.back.out", got("ra", hop(p, 5)))
# an error about what ra sent, from B's host by way of right and left
quoted = IP(bytes(hop(there["4"], 3)))
error = IP(src="10.1.1.1", dst=V4["ra"], id=806) / ICMP(type=3, code=3) / Raw(bytes(quoted)[:28])
put("svc4.error.from-left", sent("left", error))
put("svc4.error.out", got("ra", hop(error)))
# of a host behind ra
p = ip("10.1.5.5", "rb", id=808) / UDP(**SEND) / DATA
put("svc4.behind", sent("ra", p))
put("svc4.behind.left", got("left", hop(p)))
p = ip("rb", "10.1.5.5", id=809) / UDP(**BACK) / DATA
put("svc4.behind.back.from-left", sent("left", hop(p, 2)))
put("svc4.behind.back.out", got("ra", hop(p, 3)))
# the gateway is asked by nobody's way but its own
p = ip("ra", "10.1.1.1", id=807) / ICMP(id=7, seq=1) / DATA
put("svc4.gateway", sent("ra", p))
put("svc4.gateway.reply", got("ra", ip("10.1.1.1", "ra", **OURS) / ICMP(type=0, id=7, seq=1) / DATA))

if __name__ == "__main__":
    write()
