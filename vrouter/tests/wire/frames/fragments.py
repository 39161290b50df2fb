#!/usr/bin/python3
"""Frames of packets in fragments, cut by scapy's fragment() and fragment6(); see base.py.

    /usr/bin/python3 fragments.py > fragments.hex
"""
from base import *  # noqa: F403
from scapy.layers.inet import fragment
from scapy.layers.inet6 import fragment6

frames.clear()


def data(count):
    return Raw(bytes(i % 251 for i in range(count)))


def both_ways(name, packet, pieces, answer, answers):
    """A packet of ra to rb in fragments, and its answer."""
    for number, piece in enumerate(pieces(packet)):
        put("%s.%d" % (name, number), sent("ra", piece))
        put("%s.%d.wire" % (name, number), wrap(hop(piece), VX, outer_tos=tos(piece)))
    for number, piece in enumerate(answers(answer)):
        put("%s.back.%d" % (name, number), to_a(piece))
        put("%s.back.%d.out" % (name, number), got("ra", hop(piece)))


def cut4(packet):
    return [copy(piece) for piece in fragment(packet, fragsize=200)]


def cut6(packet):
    return [copy(piece) for piece in fragment6(packet, 280)]


udp = UDP(sport=5000, dport=7053) / data(500)
back = UDP(sport=7053, dport=5000) / data(500)
both_ways("fr4.udp", ip("ra", "rb", id=7201) / udp, cut4, ip("rb", "ra", id=7202) / back, cut4)
both_ways("fr6.udp", ip6("ra", "rb") / IPv6ExtHdrFragment(id=0x70010001) / udp, cut6,
          ip6("rb", "ra") / IPv6ExtHdrFragment(id=0x70010002) / back, cut6)
both_ways("fr4.tcp", ip("ra", "rb", id=7203) / TCP(sport=5001, dport=443, seq=7, flags="S") / data(500), cut4,
          ip("rb", "ra", id=7204) / TCP(sport=443, dport=5001, seq=9, flags="SA") / data(500), cut4)
both_ways("fr4.ping", ip("ra", "rb", id=7205) / ICMP(id=7, seq=1) / data(500), cut4,
          ip("rb", "ra", id=7206) / ICMP(type=0, id=7, seq=1) / data(500), cut4)
# a destination option behind the fragment header: the pieces name it, and not UDP, as what follows (RFC 8200, section 4.5)
both_ways("fr6.option", ip6("ra", "rb") / IPv6ExtHdrFragment(id=0x70010003) / IPv6ExtHdrDestOpt() / udp, cut6,
          ip6("rb", "ra") / IPv6ExtHdrFragment(id=0x70010004) / IPv6ExtHdrDestOpt() / back, cut6)

# a packet that its ACL denies: the same to another port
denied = cut4(ip("ra", "rb", id=7207) / UDP(sport=5000, dport=7054) / data(500))
for number, piece in enumerate(denied):
    put("fr4.denied.%d" % number, sent("ra", piece))
# another first fragment of packet 7201, with another port
other = cut4(ip("ra", "rb", id=7201) / UDP(sport=5000, dport=7055) / data(500))[0]
put("fr4.other", sent("ra", other))
put("fr4.other.wire", wrap(hop(other), VX))
# all of its datagram, with a fragment header (RFC 6946); and the later fragment of another with the same id
atomic = ip6("ra", "rb") / IPv6ExtHdrFragment(id=0x70010005) / UDP(sport=5000, dport=7053) / data(40)
put("fr6.atomic", sent("ra", atomic))
put("fr6.atomic.wire", wrap(hop(atomic), VX))
put("fr6.atomic.later", sent("ra", ip6("ra", "rb") / IPv6ExtHdrFragment(id=0x70010005, offset=6, nh=17) / data(40)))
# many: later fragments of a packet each, and first ones
for number in range(3):
    put("fr4.flood.later.%d" % number, sent("ra2", ip("ra2", "rb", id=7300 + number, frag=25, proto=17) / data(40)))
    put("fr4.flood.first.%d" % number, sent("ra2", ip("ra2", "rb", id=7400 + number, flags="MF") / UDP(sport=5000, dport=7053, len=900) / data(40)))

if __name__ == "__main__":
    write()
