#!/usr/bin/python3
"""Neighbour discovery of the underlay. A is fd0f::1, C fd0f::3, the gateway fd0f::fe."""
from base import *
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6NDOptPrefixInfo, ICMPv6NDOptUnknown

frames.clear()
LL_A = "fe80::5000:ff:fe00:a00"
MOVED = "52:00:00:00:0c:99"
HOST = {"c": (UP_C, "fd0f::3"), "gateway": (UP_GW, "fd0f::fe"), "late": (UP_B, "fd0f::2")}


def group(target):
    """Solicited-node group and its MAC."""
    low = "%06x" % (int.from_bytes(__import__("ipaddress").IPv6Address(target).packed[-3:], "big"))
    return "ff02::1:ff%s:%s" % (low[:2], low[2:]), "33:33:ff:%s:%s:%s" % (low[:2], low[2:4], low[4:])


def ns(smac, src, target, dst=None, dmac=None, ll=None, hlim=255, extra=None):
    to, mac = group(target)
    frame = Ether(src=smac, dst=dmac or mac) / IPv6(src=src, dst=dst or to, hlim=hlim) / ICMPv6ND_NS(tgt=target)
    frame = frame / ICMPv6NDOptSrcLLAddr(lladdr=ll) if ll else frame
    return frame / extra if extra else frame


def na(smac, src, target, dst, dmac, ll="same", r=0, s=1, o=1, hlim=255):
    frame = Ether(src=smac, dst=dmac) / IPv6(src=src, dst=dst, hlim=hlim) / ICMPv6ND_NA(tgt=target, R=r, S=s, O=o)
    return frame / ICMPv6NDOptDstLLAddr(lladdr=smac if ll == "same" else ll) if ll else frame


# who asks for us
put("nd6.ask-us", ns(UP_C, "fd0f::3", "fd0f::1", ll=UP_C))
put("nd6.ask-us.reply", na(UP_A, "fd0f::1", "fd0f::1", "fd0f::3", UP_C))
put("nd6.ask-us-link-local", ns(UP_C, "fe80::c", LL_A, ll=UP_C))
put("nd6.ask-us-link-local.reply", na(UP_A, LL_A, LL_A, "fe80::c", UP_C))
put("nd6.ask-us-unicast", ns(UP_C, "fd0f::3", "fd0f::1", dst="fd0f::1", dmac=UP_A))
put("nd6.ask-us-for-another", ns(UP_C, "fd0f::3", "fd0f::1", ll=MOVED))
put("nd6.ask-us-for-another.reply", na(UP_A, "fd0f::1", "fd0f::1", "fd0f::3", MOVED))
# Linux adds a nonce to its probes (RFC 7527)
put("nd6.dad", ns(UP_C, "::", "fd0f::1", extra=ICMPv6NDOptUnknown(type=14, len=1, data=b"nonce!")))
put("nd6.dad.reply", na(UP_A, "fd0f::1", "fd0f::1", "ff02::1", "33:33:00:00:00:01", s=0))
put("nd6.ask-another", ns(UP_C, "fd0f::3", "fd0f::77", ll=UP_C))
put("nd6.dad-another", ns(UP_C, "::", "fd0f::77"))

# whom we ask
for name, (mac, address) in HOST.items():
    put("nd6.ask-" + name, ns(UP_A, "fd0f::1", address, ll=UP_A))
    put("nd6.probe-" + name, ns(UP_A, "fd0f::1", address, dst=address, dmac=mac, ll=UP_A))
    put("nd6.%s-says" % name, na(mac, address, address, "fd0f::1", UP_A))
put("nd6.probe-c-moved", ns(UP_A, "fd0f::1", "fd0f::3", dst="fd0f::3", dmac=MOVED, ll=UP_A))
put("nd6.c-moves", na(MOVED, "fd0f::3", "fd0f::3", "ff02::1", "33:33:00:00:00:01", s=0))
put("nd6.c-moved-says", na(MOVED, "fd0f::3", "fd0f::3", "fd0f::1", UP_A))
put("nd6.c-claimed", na(MOVED, "fd0f::3", "fd0f::3", "ff02::1", "33:33:00:00:00:01", s=0, o=0))
put("nd6.c-asks-us", ns(MOVED, "fd0f::3", "fd0f::1", ll=MOVED))
put("nd6.c-asks-us.reply", na(UP_A, "fd0f::1", "fd0f::1", "fd0f::3", MOVED))

# echo, the traffic that needs neighbours here
DATA6 = b"neighbour discovery"


def echo(smac, src, dst="fd0f::1", seq=1, hlim=64):
    return Ether(src=smac, dst=UP_A) / IPv6(src=src, dst=dst, hlim=hlim) / ICMPv6EchoRequest(id=7, seq=seq, data=DATA6)


def echoed(dmac, dst, src="fd0f::1", seq=1):
    return Ether(src=UP_A, dst=dmac) / IPv6(src=src, dst=dst, hlim=64) / ICMPv6EchoReply(id=7, seq=seq, data=DATA6)


for n in range(20):
    put("nd6.echo-c.%d" % n, echo(UP_C, "fd0f::3", seq=n))
    put("nd6.echo-c.%d.reply" % n, echoed(UP_C, "fd0f::3", seq=n))
put("nd6.echo-c-moved.reply", echoed(MOVED, "fd0f::3", seq=0))
put("nd6.echo-late", echo(UP_B, "fd0f::2"))
put("nd6.echo-late.reply", echoed(UP_B, "fd0f::2"))
put("nd6.echo-far", echo(UP_GW, "fd10::5"))
put("nd6.echo-far.reply", echoed(UP_GW, "fd10::5"))
put("nd6.echo-link-local", echo(UP_C, "fe80::c", LL_A))
put("nd6.echo-link-local.reply", echoed(UP_C, "fe80::c", LL_A))
put("nd6.echo-all-nodes", Ether(src=UP_C, dst="33:33:00:00:00:01") / IPv6(src="fd0f::3", dst="ff02::1") / ICMPv6EchoRequest())
put("nd6.echo-not-ours", echo(UP_C, "fd0f::3", "fd0f::99"))

# what must change nothing
put("nd6.bad.hop-limit", na(MOVED, "fd0f::3", "fd0f::3", "fd0f::1", UP_A, hlim=254))
bad = na(MOVED, "fd0f::3", "fd0f::3", "fd0f::1", UP_A)
bad[ICMPv6ND_NA].cksum = 0x1234
put("nd6.bad.checksum", bad)
put("nd6.bad.solicited-group", na(MOVED, "fd0f::3", "fd0f::3", "ff02::1", "33:33:00:00:00:01", s=1))
put("nd6.bad.group-target", na(MOVED, "fd0f::3", "ff02::1", "fd0f::1", UP_A))
put("nd6.bad.group-mac", na(MOVED, "fd0f::3", "fd0f::3", "fd0f::1", UP_A, ll="33:33:00:00:00:09"))
put("nd6.bad.our-address", na(MOVED, "fd0f::3", "fd0f::1", "ff02::1", "33:33:00:00:00:01", s=0))
put("nd6.bad.from-our-address", ns(MOVED, "fd0f::1", "fd0f::3", ll=MOVED))
put("nd6.bad.our-link-local", na(MOVED, "fe80::c", LL_A, "ff02::1", "33:33:00:00:00:01", s=0))
put("nd6.bad.probe-with-mac", ns(MOVED, "::", "fd0f::1", ll=MOVED))
put("nd6.stranger-says", na(UP_C, "fd0f::77", "fd0f::77", "fd0f::1", UP_A))
put("nd6.no-mac", na(UP_C, "fd0f::3", "fd0f::3", "fd0f::1", UP_A, ll=None))
put("nd6.router-advertisement", Ether(src=UP_GW, dst="33:33:00:00:00:01") / IPv6(src="fe80::fe", dst="ff02::1", hlim=255)
    / ICMPv6ND_RA() / ICMPv6NDOptSrcLLAddr(lladdr=UP_GW) / ICMPv6NDOptPrefixInfo(prefix="fd66::", prefixlen=64))
put("nd6.redirect", Ether(src=UP_GW, dst=UP_A) / IPv6(src="fe80::fe", dst="fd0f::1", hlim=255)
    / ICMPv6ND_Redirect(tgt="fd0f::77", dst="fd10::5") / ICMPv6NDOptDstLLAddr(lladdr=MOVED))

# the same in VLAN 100
for name in ("ask-us", "ask-us.reply", "dad", "dad.reply", "echo-c.0", "ask-c", "c-says", "echo-c.0.reply"):
    plain = Ether(frames["nd6." + name])
    put("nd6.tagged." + name, Ether(dst=plain.dst, src=plain.src) / Dot1Q(vlan=100, type=plain.type) / plain.payload)

write()
