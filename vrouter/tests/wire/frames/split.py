#!/usr/bin/python3
"""Frames of packets that leave in pieces (RFC 791, section 3.2), cut by scapy's fragment(); see base.py.

    /usr/bin/python3 split.py > split.hex
"""
from base import *  # noqa: F403
from scapy.layers.inet import fragment

frames.clear()
BYTES = Raw(bytes(i % 251 for i in range(1472)))


def pieces(packet, mtu):
    """The packet one hop later, in pieces that fit."""
    return [copy(piece) for piece in fragment(hop(packet), fragsize=(mtu - 20) // 8 * 8)]


def to_wire(name, packet, mtu, by=VX):
    put(name, sent("ra", packet))
    for number, piece in enumerate(pieces(packet, mtu)):
        put("%s.%d.wire" % (name, number), wrap(piece, by, outer_tos=packet.tos))


# by VXLAN 1450, by MPLS-over-UDP 1468; the last piece has 48 and 32 bytes behind its header
udp = UDP(sport=5000, dport=7053)
to_wire("split.vxlan", ip("ra", "rb", id=7101, tos=0xb8) / udp / BYTES, 1450)
to_wire("split.mpls", ip("ra", "rb2", id=7102) / udp / BYTES, 1468, MP)
to_wire("split.one-more", ip("ra", "rb", id=7103) / udp / Raw(bytes(1450 - 27)), 1450)
to_wire("split.tcp", ip("ra", "rb", id=7104) / TCP(sport=5000, dport=80, seq=7, flags="A") / Raw(bytes(1460)), 1450)
to_wire("split.icmp", ip("ra", "rb", id=7105) / ICMP(id=7, seq=1) / BYTES, 1450)
fits = ip("ra", "rb", id=7106) / udp / Raw(bytes(1450 - 28))
put("split.fits", sent("ra", fits))
put("split.fits.wire", wrap(hop(fits), VX))

# what was a piece before: offsets go on, and the last one says that more follow if it did
whole = ip("ra", "rb", id=7107) / UDP(sport=5000, dport=7053, len=4000) / Raw(bytes(i % 249 for i in range(3992)))
for number, piece in enumerate(fragment(whole, fragsize=1480)):
    to_wire("split.piece%d" % number, copy(piece), 1450)
# its end would be behind that of any datagram
beyond = ip("ra", "rb", id=7108, frag=8100) / Raw(bytes(1480))
put("split.beyond", sent("ra", beyond))

# out of a tunnel to a tenant's link of 576
wide = ip("rb", "ra", id=7109) / UDP(sport=7053, dport=5000) / Raw(bytes(i % 251 for i in range(1400)))
put("split.back", to_a(wide))
for number, piece in enumerate(pieces(wide, 576)):
    put("split.back.%d.out" % number, got("ra", piece))

# with Don't Fragment, and with options: told
for name, more in {"whole": dict(flags="DF"), "options": dict(options=[IPOption(b"\x94\x04\0\0")])}.items():
    packet = ip("ra", "rb", id=7110, **more) / udp / Raw(bytes(1440))
    put("split." + name, sent("ra", packet))
    packet = copy(packet)
    put("split.%s.told" % name, got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                                    / ICMP(type=3, code=4, nexthopmtu=1450) / Raw(bytes(packet)[:548])))
packet = ip("ra", "rb", id=7101, tos=0xb8) / udp / BYTES
put("split.vxlan.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                            / ICMP(type=3, code=4, nexthopmtu=1450) / Raw(bytes(packet)[:548])))

# to a far end whose MAC is not known yet: as many as are held; nobody answers twice
slow = ip("ra", "10.1.1.30", id=7111) / udp / BYTES
put("split.to-c", sent("ra", slow))
for number, piece in enumerate(pieces(slow, 1450)):
    put("split.to-c.%d.wire" % number, wrap(piece, VX, dmac=UP_C, dst="10.0.0.3", imac=RTR_C))

if __name__ == "__main__":
    write()
