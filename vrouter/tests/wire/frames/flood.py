#!/usr/bin/python3
"""Frames to everybody in bridge lan of bridge.py, and as they are by VNI 5000 to 10.0.0.2 and by label 5003 to 10.0.0.3.

    /usr/bin/python3 flood.py > flood.hex
"""
from base import *  # noqa: F403
from bridge import MAC, V4, V6, carried, eth
from scapy.layers.inet6 import ICMPv6MLReport2, ICMPv6ND_RA

frames.clear()
MAC["l2"], V4["l2"], V6["l2"] = "02:00:00:00:0a:05", "10.1.1.15", "fd01::15"


def to_c(frame):
    """By the label to the other VTEP."""
    packet = carried(frame, ("mpls", 5003))
    packet.dst, packet[IP].dst = UP_C, "10.0.0.3"
    return packet


def flooded(name, frame, tos=0):
    put(name, frame)
    vxlan, mpls = carried(frame, ("vxlan", 5000), outer_tos=tos), to_c(frame)
    mpls[IP].tos = tos
    put(name + ".vxlan.wire", vxlan)
    put(name + ".mpls.wire", mpls)


def ask(who, target):
    return eth(who, ALL, ARP(op=1, hwsrc=MAC[who], psrc=V4[who], pdst=target))


flooded("fl.dhcp", eth("l2", ALL, IP(src="0.0.0.0", dst="255.255.255.255", tos=0xb8) / UDP(sport=68, dport=67) / DATA), 0xb8)
flooded("fl.arp", ask("l2", "10.1.1.99"))
flooded("fl.mdns", eth("l2", "01:00:5e:00:00:fb", ip("l2", "224.0.0.251", ttl=1) / UDP(sport=5353, dport=5353) / DATA))
flooded("fl.mld", eth("l2", "33:33:00:00:00:16", IPv6(src="::", dst="ff02::16", hlim=1) / ICMPv6MLReport2()))
flooded("fl.dad", eth("l2", "33:33:ff:00:00:15", IPv6(src="::", dst="ff02::1:ff00:15", hlim=255) / ICMPv6ND_NS(tgt="fd01::15")))
flooded("fl.ask-ra2", ask("ra", V4["ra2"]))
put("fl.l2-asks-gateway", ask("l2", "10.1.1.1"))
put("fl.ns-gateway", eth("ra", "33:33:ff:00:00:01", IPv6(src=V6["ra"], dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="fd01::1")
                         / ICMPv6NDOptSrcLLAddr(lladdr=MAC["ra"])))
put("fl.ns-gateway.reply", Ether(dst=MAC["ra"], src=GW) / IPv6(src="fd01::1", dst=V6["ra"], hlim=255)
    / ICMPv6ND_NA(tgt="fd01::1", R=1, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=GW))
# from B
frame = eth("rb", ALL, ARP(op=1, hwsrc=MAC["rb"], psrc=V4["rb"], pdst="10.1.1.99"))
put("fl.back.vxlan", carried(frame, ("vxlan", 5000), back=True))
put("fl.back.mpls", carried(frame, ("mpls", 5000), back=True))
put("fl.back.out", frame)
# congestion and DSCP of the outer header reach each copy
packet = ip("rb", "255.255.255.255", id=10, tos=2) / UDP(sport=5000, dport=7053) / DATA
put("fl.marked", carried(eth("rb", ALL, packet), ("vxlan", 5000), outer_tos=0xbb, back=True))
packet = ip("rb", "255.255.255.255", id=10, tos=0xbb) / UDP(sport=5000, dport=7053) / DATA
put("fl.marked.out", eth("rb", ALL, packet))
# to a station that nobody knows
put("fl.unknown.wire", carried(eth("ra", "gone", ip("ra", "rb", id=9) / UDP(sport=5000, dport=7053) / DATA), ("vxlan", 5000)))
put("fl.unknown.back.out", eth("rb", "gone", ip("rb", "ra", id=9) / UDP(sport=5000, dport=7053) / DATA))
# what ends here
put("fl.stp", Ether(src=MAC["l2"], dst="01:80:c2:00:00:00", type=0x26) / Raw(bytes(38)))
put("fl.arp.forged", eth("l2", ALL, ARP(op=1, hwsrc=MAC["l2"], psrc=V4["ra"], pdst=V4["ra2"])))
put("fl.forged-source", eth("l2", ALL, ip("ra", "255.255.255.255") / UDP(sport=5000, dport=7053) / DATA))
put("fl.ra", eth("l2", "33:33:00:00:00:01", IPv6(src="fe80::15", dst="ff02::1", hlim=255) / ICMPv6ND_RA()))

if __name__ == "__main__":
    write()
