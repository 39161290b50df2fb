#!/usr/bin/python3
"""Frames that pass several VRFs: a tenant of red reaches what VRF shared has, by VNI 700, by label 1700 and behind VIF sa."""
from base import *

frames.clear()
MAC["sa"] = "02:00:00:00:0a:04"
V4["sa"], V6["sa"] = "10.7.0.11", "fd07::11"
V4["far"], V6["far"] = "10.7.0.20", "fd07::20"
V4["label"] = "10.7.0.21"
VNI = ("vxlan", 700)
SEND, BACK = dict(sport=5000, dport=7053), dict(sport=7053, dport=5000)

out("vrf.far4", "ra", ip("ra", "far", id=701, tos=0x28) / UDP(**SEND) / DATA, VNI)
into("vrf.far4.back", "ra", ip("far", "ra", id=702) / UDP(**BACK) / DATA, VNI)
out("vrf.far6", "ra", ip6("ra", "far") / UDP(**SEND) / DATA, VNI)
into("vrf.far6.back", "ra", ip6("far", "ra") / UDP(**BACK) / DATA, VNI)
# the same answers where the flow did not leave
into("vrf.far4.back-in-red", "ra", ip("far", "ra", id=702) / UDP(**BACK) / DATA, ("vxlan", 100))
out("vrf.label", "ra", ip("ra", "label", id=703) / UDP(**SEND) / DATA, ("mpls", 1700))
# between VIFs of two VRFs
for name, packet in {"vrf.vif4": ip("ra", "sa", id=704) / UDP(**SEND) / DATA,
                     "vrf.vif6": ip6("ra", "sa") / UDP(**SEND) / DATA}.items():
    put(name, sent("ra", packet))
    put(name + ".out", got("sa", hop(packet)))
for name, packet in {"vrf.vif4.back": ip("sa", "ra", id=705) / UDP(**BACK) / DATA,
                     "vrf.vif6.back": ip6("sa", "ra") / UDP(**BACK) / DATA}.items():
    put(name, sent("sa", packet))
    put(name + ".out", got("ra", hop(packet)))
# from a tunnel of red to the VIF in shared
packet = ip("rb", "sa", id=706) / UDP(**SEND) / DATA
put("vrf.in", to_a(packet))
put("vrf.in.out", got("sa", hop(packet)))
packet = ip("sa", "rb", id=707) / UDP(**BACK) / DATA
put("vrf.in.back", sent("sa", packet))
put("vrf.in.back.wire", wrap(hop(packet), VX))
# what the chain cannot deliver
packet = ip("ra", "far", id=701, tos=0x28) / UDP(**SEND) / DATA
put("vrf.far4.no-route", got("ra", ip("10.1.1.1", "ra", **ERR) / ICMP(type=3, code=0) / Raw(bytes(packet))))
# the gateway of shared, asked from red
packet = ip("ra", "10.7.0.1", id=708) / ICMP(id=7, seq=1) / DATA
put("vrf.echo", sent("ra", packet))
put("vrf.echo.reply", got("ra", ip("10.7.0.1", "ra", **OURS) / ICMP(type=0, id=7, seq=1) / DATA))
# is far behind the gateway? the proxy says yes
put("vrf.arp", Ether(dst=ALL, src=MAC["ra"]) / ARP(op=1, hwsrc=MAC["ra"], psrc=V4["ra"], pdst=V4["far"]))
put("vrf.arp.reply", Ether(dst=MAC["ra"], src=GW) / ARP(op=2, hwsrc=GW, psrc=V4["far"], hwdst=MAC["ra"], pdst=V4["ra"]))

if __name__ == "__main__":
    write()
