#!/usr/bin/python3
"""A tenant's own overlay inside ours: its VXLAN and GENEVE between ra and rb are UDP to us, whatever is in it.

    /usr/bin/python3 nested.py > nested.hex
"""
from base import *  # noqa: F403
from scapy.contrib.geneve import GENEVE, GeneveOptions

frames.clear()
POD_A, POD_B = "06:00:00:00:00:0a", "06:00:00:00:00:0b"
# what the tenants of the tenant say: a SYN whose MSS is theirs, and addresses that are somebody's outside, too
SYN = Ether(dst=POD_B, src=POD_A) / IP(src="10.0.0.2", dst="10.0.0.1", id=1) / TCP(sport=4000, dport=80, flags="S", options=[("MSS", 1460)])
ANSWER = Ether(dst=POD_A, src=POD_B) / IP(src="10.0.0.1", dst="10.0.0.2", id=2) / TCP(sport=80, dport=4000, flags="SA", options=[("MSS", 1460)])


def vxlan(frame, sport=50001, vni=100):
    return UDP(sport=sport, dport=4789, chksum=0) / VXLAN(flags=8, vni=vni) / frame


def geneve(frame, sport=50002, **header):
    return UDP(sport=sport, dport=6081, chksum=0) / GENEVE(vni=100, proto=0x6558, **header) / frame


# by the same VNI as ours, and by ports that are ours outside
for n, sport in ((1, 50001), (2, 50003)):
    out("nested.vxlan.%d" % n, "ra", ip("ra", "rb", id=7000 + n) / vxlan(SYN, sport), VX, "rb")
into("nested.vxlan.back", "ra", ip("rb", "ra", id=7003) / vxlan(ANSWER, 50009))
out("nested.vxlan6", "ra", ip6("ra", "rb") / UDP(sport=50001, dport=4789) / VXLAN(flags=8, vni=100) / SYN, VX, "rb")
out("nested.mpls", "ra", ip("ra", "rb2", id=7004) / UDP(sport=50004, dport=6635, chksum=0) / MPLS(label=1000, s=1, ttl=64) / SYN[IP], MP, "rb2")
# an option that we would have to know, and a control packet: theirs to know
CRITICAL = GeneveOptions(classid=0x0102, type=0x80, data=b"\0\1\0\2")
out("nested.geneve", "ra", ip("ra", "rb", id=7005) / geneve(SYN, critical=1, oam=1, options=[CRITICAL]), VX, "rb")
# and to a VTEP of the tenant's beside us
put("nested.local", sent("ra", ip("ra", "ra2", id=7006) / vxlan(SYN)))
put("nested.local.out", got("ra2", hop(ip("ra", "ra2", id=7006) / vxlan(SYN))))
# to the address that is ours outside: of the tenant's network here
out("nested.to-our-vtep", "ra", ip("ra", "10.0.0.1", id=7007) / vxlan(SYN), VX)
# what is 50 too long for our tunnel: the tenant's VTEP is told
big = ip("ra", "rb", id=7008, flags="DF") / vxlan(Ether(dst=POD_B, src=POD_A) / IP(src="10.9.0.1", dst="10.9.0.2") / UDP() / Raw(bytes(1422)))
assert len(big) == 1500
put("nested.big", sent("ra", big))
put("nested.big.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                           / ICMP(type=3, code=4, nexthopmtu=1450) / Raw(bytes(big)[:548])))
fits = ip("ra", "rb", id=7009, flags="DF") / vxlan(Ether(dst=POD_B, src=POD_A) / IP(src="10.9.0.1", dst="10.9.0.2") / UDP() / Raw(bytes(1372)))
assert len(fits) == 1450
put("nested.fits", sent("ra", fits))
put("nested.fits.wire", wrap(hop(fits), VX))
put("nested.fits.out", got("rb", hop(fits, 2)))

# ---------------------------------------------------------------- asymmetric routing (RFC 9135, section 4.2)
# ra routes to subnet 10.2.2.0/24, whose bridge has VNI 5000: the frame is for the station itself, and the far end only bridges
FAR = "02:00:00:00:0b:55"
ASK, TOLD = UDP(sport=5000, dport=7053), UDP(sport=7053, dport=5000)
asked = ip("ra", "10.2.2.55", id=7101) / ASK / DATA
out("irb.ask", "ra", asked, ("vxlan", 5000), imac=FAR)
told = ip("10.2.2.55", "ra", id=7102) / TOLD / DATA
put("irb.told", to_a(told, ("vxlan", 5000), imac=MAC["ra"]))
put("irb.told.out", Ether(dst=MAC["ra"], src=RTR_B) / told)
# and as it comes in at the other end: bridged to its station, whose answer is routed
first = ip("10.2.2.55", "ra", id=7103) / UDP(sport=6000, dport=7053) / DATA
put("irb.first", to_a(first, ("vxlan", 5000), imac=MAC["ra"]))
put("irb.first.out", Ether(dst=MAC["ra"], src=RTR_B) / first)
out("irb.answer", "ra", ip("ra", "10.2.2.55", id=7104) / UDP(sport=7053, dport=6000) / DATA, ("vxlan", 5000), imac=FAR)
# by another bridge's VNI it is another flow
put("irb.stranger", to_a(ip("10.2.2.56", "ra", id=7105) / TOLD / DATA, ("vxlan", 5000), imac=MAC["ra"]))

# ---------------------------------------------------------------- frames that are not IP
KINDS = {"pppoe-discovery": 0x8863, "pppoe": 0x8864, "jumbo": 0x8870, "ipx": 0x8137, "macsec": 0x88e5, "fcoe": 0x8906, "mpls": 0x8847, "eapol": 0x888e}
for name, kind in KINDS.items():
    put("nonip." + name, Ether(dst=MAC["ra2"], src=MAC["ra"], type=kind) / Raw(b"\x11" * 50))
# IS-IS and spanning tree are in LLC: a length instead of a type
put("nonip.is-is", Ether(dst="01:80:c2:00:00:14", src=MAC["ra"], type=40) / Raw(b"\xfe\xfe\x03\x83" + b"\x22" * 36))
put("nonip.all-is", Ether(dst="09:00:2b:00:00:05", src=MAC["ra"], type=40) / Raw(b"\xfe\xfe\x03\x83" + b"\x22" * 36))
# of the link alone (IEEE 802.1Q, table 8-1): spanning tree, pause, LACP, EAPOL, LLDP and all others of the block
for last in range(16):
    put("nonip.link.%d" % last, Ether(dst="01:80:c2:00:00:%02x" % last, src=MAC["ra"], type=0x88cc) / Raw(b"\x02\x07\x04" + bytes(43)))
    put("nonip.link.%d.far" % last, to_a(Ether(dst="01:80:c2:00:00:%02x" % last, src="02:00:00:00:0b:01", type=0x88cc) / Raw(bytes(46)), ("vxlan", 5000)))

if __name__ == "__main__":
    write()
