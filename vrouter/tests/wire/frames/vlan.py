#!/usr/bin/python3
"""The fabric in VLAN 100 (IEEE 802.1Q); see base.py.

    /usr/bin/python3 vlan.py > vlan.hex
"""
from base import *  # noqa: F403
from base import frames as untagged
from scapy.layers.l2 import GRE

plain = dict(untagged)
frames.clear()


def tagged(frame, vlan=100, prio=0):
    packet = Ether(frame) if isinstance(frame, bytes) else copy(frame)
    return Ether(dst=packet.dst, src=packet.src) / Dot1Q(vlan=vlan, prio=prio, type=packet.type) / packet.payload


NAMES = ["udp4.vxlan", "udp6.vxlan", "udp4.mpls", "udp6.mpls"]
for name in NAMES:
    put("tagged." + name + ".wire", tagged(plain[name + ".wire"]))
    put("tagged." + name + ".back", tagged(plain[name + ".back"]))
    put("tagged." + name + ".back.prio", tagged(plain[name + ".back"], prio=5))
mine = ip("ra", "10.1.1.22", id=7001) / UDP(sport=5000, dport=7053) / DATA
put("tagged.gre4", sent("ra", mine))
put("tagged.gre4.wire", tagged(Ether(dst=UP_B, src=UP_A) / IP(src="10.0.0.1", dst="10.0.0.2", id=0, flags="DF", ttl=64)
                               / GRE(proto=0x8847) / MPLS(label=1001, s=1, cos=0, ttl=64) / hop(mine)))
put("tagged.other", tagged(plain["udp4.vxlan.back"], vlan=101))
put("tagged.zero", tagged(plain["udp4.vxlan.back"], vlan=0))
put("tagged.twice", tagged(tagged(plain["udp4.vxlan.back"], vlan=7)))
put("tagged.short", bytes(tagged(plain["udp4.vxlan.back"]))[:17])
# ARP, asked and answered; echo to the VTEP
ask = Ether(dst=ALL, src=UP_B) / ARP(op=1, hwsrc=UP_B, psrc="10.0.0.2", pdst="10.0.0.1")
put("tagged.arp", tagged(ask))
put("tagged.arp.reply", tagged(Ether(dst=UP_B, src=UP_A) / ARP(op=2, hwsrc=UP_A, psrc="10.0.0.1", hwdst=UP_B, pdst="10.0.0.2")))
put("tagged.arp.other", tagged(ask, vlan=101))
put("tagged.who-has-b", tagged(Ether(dst=ALL, src=UP_A) / ARP(
    op=1, hwsrc=UP_A, psrc="10.0.0.1", hwdst="00:00:00:00:00:00", pdst="10.0.0.2")))
put("tagged.b-is-at", tagged(Ether(dst=UP_A, src=UP_B) / ARP(op=2, hwsrc=UP_B, psrc="10.0.0.2", hwdst=UP_A, pdst="10.0.0.1")))
echo = IP(src="10.0.0.2", dst="10.0.0.1", id=7002) / ICMP(id=5, seq=1) / Raw(b"vtep")
put("tagged.echo", tagged(Ether(dst=UP_A, src=UP_B) / echo))
put("tagged.echo.reply", tagged(Ether(dst=UP_B, src=UP_A) / IP(src="10.0.0.1", dst="10.0.0.2", id=0, flags="DF", ttl=64)
                                / ICMP(type=0, id=5, seq=1) / Raw(b"vtep")))
# just fits 1500 as without a tag, and one byte more; the answer
big = ip("ra", "rb", id=7003, flags="DF") / UDP(sport=5005, dport=7053)
fits = big / Raw(bytes(1450 - 28))
put("tagged.fits", sent("ra", fits))
put("tagged.fits.wire", tagged(wrap(hop(fits), VX)))
put("tagged.big", sent("ra", big / Raw(bytes(1450 - 27))))
put("tagged.big.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                           / ICMP(type=3, code=4, nexthopmtu=1450) / Raw(bytes(big / Raw(bytes(1450 - 27)))[:548])))

if __name__ == "__main__":
    write()
