#!/usr/bin/python3
"""Router solicitations and advertisements of a tenant's link, and what a tenant forges in ARP and ND."""
from base import *
from scapy.layers.inet6 import (
    ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptUnknown,
)

frames.clear()
NODES, ROUTERS = "33:33:00:00:00:01", "33:33:00:00:00:02"


def rs(src="fe80::a", ll=None, hlim=255, code=0, **more):
    frame = Ether(dst=ROUTERS, src=MAC["ra"]) / IPv6(src=src, dst="ff02::2", hlim=hlim) / ICMPv6ND_RS(code=code, **more)
    return frame / ICMPv6NDOptSrcLLAddr(lladdr=ll) if ll else frame


def ra(*prefixes, mtu=1500, src="fe80::1", mac=GW, **fields):
    given = dict(chlim=64, M=0, O=0, prf=0, routerlifetime=1800, reachabletime=0, retranstimer=0)
    given.update(fields)
    frame = Ether(dst=NODES, src=mac) / IPv6(src=src, dst="ff02::1", hlim=255) / ICMPv6ND_RA(**given)
    frame = frame / ICMPv6NDOptSrcLLAddr(lladdr=mac) / ICMPv6NDOptMTU(mtu=mtu)
    for prefix in prefixes:
        frame = frame / prefix
    return frame


def prefix(address, length=64, L=1, A=1, valid=2592000, preferred=604800):
    return ICMPv6NDOptPrefixInfo(prefix=address, prefixlen=length, L=L, A=A, R=0, validlifetime=valid, preferredlifetime=preferred)


put("ra.solicit", rs())
put("ra.solicit-with-mac", rs(ll=MAC["ra"]))
put("ra.solicit-without-address", rs(src="::"))
put("ra.solicit-global", rs(src="fd01::10"))
put("ra.bad.hop-limit", rs(hlim=254))
put("ra.bad.code", rs(code=1))
put("ra.bad.checksum", rs(cksum=0x1234))
put("ra.bad.mac-without-address", rs(src="::", ll=MAC["ra"]))
put("ra.bad.mac-of-another", rs(ll=MAC["rb"]))
put("ra.bad.option-length", rs() / ICMPv6NDOptUnknown(type=9, len=0, data=b"\0" * 6))
put("ra.bad.from-gateway", rs(src="fe80::1"))
put("ra.bad.from-another", rs(src="fd01::20"))

put("ra.plain", ra(prefix("fd01::")))
put("ra.plain.last", ra(prefix("fd01::"), routerlifetime=0))
put("ra.other-mtu", ra(prefix("fd01::"), mtu=1400))
put("ra.no-prefix", ra())
put("ra.everything", ra(prefix("fd01::", L=0), prefix("fd02::", 56, A=0, valid=0xffffffff, preferred=7200),
                        prefix("fd03::", valid=600, preferred=0), M=1, O=1, routerlifetime=9000, mtu=1400))
put("ra.moved", ra(prefix("fd01::"), src="fe80::9"))

# what a tenant claims
MINE, OTHERS = MAC["ra"], MAC["rb"]


def claim(target, src="fe80::a", ll=MINE, dst="ff02::1", dmac=NODES, **flags):
    return Ether(dst=dmac, src=MINE) / IPv6(src=src, dst=dst, hlim=255) / ICMPv6ND_NA(
        tgt=target, **dict(dict(R=0, S=0, O=1), **flags)) / ICMPv6NDOptDstLLAddr(lladdr=ll)


for name, address in (("gateway", "fd01::1"), ("link-local-gateway", "fe80::1"), ("neighbour", "fd01::11"), ("remote", "fd01::20")):
    put("forged.na-" + name, claim(address))
    put("forged.na-router-" + name, claim(address, R=1))
    put("forged.na-to-us-" + name, claim(address, dst="fd01::1", dmac=GW, S=1))
    put("forged.ns-from-" + name, ns("ra", "fd01::20" if address != "fd01::20" else "fd01::1", src=address))
put("forged.na-other-mac", claim("fd01::10", src="fd01::10", ll=OTHERS))
put("forged.na-from-another", claim("fd01::10", src="fd01::20"))
put("forged.ns-other-mac", ns("ra", "fd01::1", ll=OTHERS))
put("forged.advertisement", ra(prefix("fd66::"), src="fe80::a", mac=MINE))
put("forged.advertisement-of-gateway", ra(prefix("fd66::"), src="fe80::1", mac=MINE))
REDIRECT = ICMPv6ND_Redirect(tgt="fe80::a", dst="fd01::20") / ICMPv6NDOptDstLLAddr(lladdr=MINE)
put("forged.redirect", Ether(dst=GW, src=MINE) / IPv6(src="fe80::a", dst="fd01::1", hlim=255) / REDIRECT)
put("forged.redirect-of-gateway", Ether(dst=GW, src=MINE) / IPv6(src="fe80::1", dst="fd01::1", hlim=255) / REDIRECT)
for name, address in (("gateway", "10.1.1.1"), ("neighbour", "10.1.1.11"), ("remote", "10.1.1.20")):
    put("forged.arp-gratuitous-" + name, arp("ra", address, sender=address))
    put("forged.arp-reply-" + name, arp("ra", address, op=2, sender=address))
    put("forged.arp-asks-as-" + name, arp("ra", "10.1.1.20" if address != "10.1.1.20" else "10.1.1.1", sender=address))
put("forged.arp-other-mac", arp("ra", "10.1.1.10", op=2, hwsrc=OTHERS))
put("forged.arp-to-gateway", arp("ra", "10.1.1.1", op=2, sender="10.1.1.20", dst=GW))
put("own.arp-gratuitous", arp("ra", "10.1.1.10"))
put("own.arp-reply", arp("ra", "10.1.1.10", op=2))
put("own.na", claim("fd01::10", src="fd01::10"))

# echo to the gateway out of two tenants' tunnels
for vrf, by, back, more in (("red", ("vxlan", 100), ("vxlan", 100), {}), ("blue", ("mpls", 2000), ("mpls", 2001), {})):
    asked = ip("10.1.1.20", "10.1.1.1", id=80) / ICMP(id=5, seq=6) / DATA
    put("echo-out-of." + vrf, to_a(hop(asked), by, **more))
    answer = ip("10.1.1.1", "10.1.1.20", **OURS) / ICMP(type=0, id=5, seq=6) / DATA
    put("echo-out-of.%s.wire" % vrf, wrap(answer, back))

write()
