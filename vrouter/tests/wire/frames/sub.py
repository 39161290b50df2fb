#!/usr/bin/python3
"""VIFs that share port p1 of A: ra has it as a whole, pod (red) has VLAN 10 of it, pod2 (blue) VLAN 20, nest (red) VLAN 30 within VLAN 10; see base.py.

    /usr/bin/python3 sub.py > sub.hex
"""
from base import *  # noqa: F403
from scapy.layers.l2 import Dot1AD

frames.clear()
MAC.update({"pod": "02:00:00:00:0a:11", "pod2": "02:00:00:00:0a:12", "nest": "02:00:00:00:0a:13"})
V4.update({"pod": "10.1.1.31", "pod2": "10.1.1.10", "nest": "10.1.1.33"})
V6.update({"pod": "fd01::31", "pod2": "fd01::10", "nest": "fd01::33"})
TAGS = {"pod": [10], "pod2": [20], "nest": [10, 30]}


def tagged(frame, vlans, prio=0, service=None):
    """With these tags; the first of two, or of one if `service` says so, is an 802.1ad one."""
    packet = Ether(bytes(frame))
    inner, kind = packet.payload, packet.type
    service = len(vlans) == 2 if service is None else service
    for at, vlan in reversed(list(enumerate(vlans))):
        first = at == 0 and service
        inner = (Dot1AD if first else Dot1Q)(vlan=vlan, prio=prio, type=kind) / inner
        kind = 0x88a8 if first else 0x8100
    return Ether(dst=packet.dst, src=packet.src, type=kind) / inner


def of(who, frame, **more):
    return tagged(frame, TAGS[who], **more) if who in TAGS else frame


ASK, ANSWER = UDP(sport=5000, dport=7053), UDP(sport=7053, dport=5000)
BY = {"ra": ("vxlan", 100), "pod": ("vxlan", 100), "pod2": ("mpls", 2001), "nest": ("vxlan", 100)}
BACK = {**BY, "pod2": ("mpls", 2000)}
for who in ("ra", "pod", "pod2", "nest"):
    ask, answer = ip(who, "rb", id=1) / ASK / DATA, ip("rb", who, id=2) / ANSWER / DATA
    put("sub.%s" % who, of(who, sent(who, ask)))
    put("sub.%s.wire" % who, wrap(hop(ask), BY[who]))
    put("sub.%s.back" % who, to_a(answer, BACK[who]))
    put("sub.%s.back.out" % who, of(who, got(who, hop(answer))))
    ask, answer = ip6(who, "rb") / ASK / DATA, ip6("rb", who) / ANSWER / DATA
    put("sub.%s.6" % who, of(who, sent(who, ask)))
    put("sub.%s.6.wire" % who, wrap(hop(ask), BY[who]))
    put("sub.%s.6.back" % who, to_a(answer, BACK[who]))
    put("sub.%s.6.back.out" % who, of(who, got(who, hop(answer))))
    # its gateway answers with its tags
    put("sub.%s.arp" % who, of(who, Ether(dst=ALL, src=MAC[who]) / ARP(op=1, hwsrc=MAC[who], psrc=V4[who], pdst="10.1.1.1")))
    put("sub.%s.arp.reply" % who, of(who, Ether(dst=MAC[who], src=GW) / ARP(
        op=2, hwsrc=GW, psrc="10.1.1.1", hwdst=MAC[who], pdst=V4[who])))
# whatever the priority and the kind of the first tag
packet = sent("pod", ip("pod", "rb", id=1) / ASK / DATA)
put("sub.pod.prio", tagged(packet, [10], prio=5))
put("sub.pod.service", tagged(packet, [10], service=True))
put("sub.nest.plain", tagged(sent("nest", ip("nest", "rb", id=1) / ASK / DATA), [10, 30], service=False))
# from one to another of the same port
packet = ip("ra", "pod", id=3) / ASK / DATA
put("sub.ra-pod", sent("ra", packet))
put("sub.ra-pod.out", of("pod", got("pod", hop(packet))))
packet = ip("pod", "nest", id=4) / ASK / DATA
put("sub.pod-nest", of("pod", sent("pod", packet)))
put("sub.pod-nest.out", of("nest", got("nest", hop(packet))))
# a MAC or an address of another of the same port
put("sub.forged-mac", of("pod", sent("ra", ip("pod", "rb", id=5) / ASK / DATA)))
put("sub.forged-source", of("pod", sent("pod", ip("ra", "rb", id=6) / ASK / DATA)))
# of nobody: what is behind the first tag is ra's, what is behind the second is pod's
put("sub.other", tagged(sent("ra", ip("ra", "rb", id=7) / ASK / DATA), [11]))
put("sub.other-inner", tagged(sent("pod", ip("pod", "rb", id=8) / ASK / DATA), [10, 31]))
put("sub.short", bytes(tagged(sent("ra", ip("ra", "rb", id=7) / ASK / DATA), [10]))[:17])
# as much as fits without a tag
big = ip("pod", "rb", id=9, flags="DF") / ASK / Raw(bytes(1422))
put("sub.fits", of("pod", sent("pod", big)))
put("sub.fits.wire", wrap(hop(big), ("vxlan", 100)))

if __name__ == "__main__":
    write()
