#!/usr/bin/python3
"""Frames of packets of up to 9,000 bytes, over an underlay that carries them; see base.py.

    /usr/bin/python3 jumbo.py > jumbo.hex
"""
from base import *  # noqa: F403
from scapy.layers.inet import fragment

frames.clear()


def data(size):
    return Raw(bytes(i % 251 for i in range(size)))


udp = UDP(sport=5000, dport=7053)
# the largest that fits VXLAN and MPLS-over-UDP, over 9,000
out("jumbo.vxlan", "ra", ip("ra", "rb", id=7201) / udp / data(8950 - 28), VX)
out("jumbo.mpls", "ra", ip("ra", "rb2", id=7202) / udp / data(8968 - 28), MP)
out("jumbo.v6", "ra", ip6("ra", "rb") / udp / data(8950 - 48), VX)
into("jumbo.in", "ra", ip("rb", "ra", id=7203) / udp / data(8950 - 28))
# a gateway answers at length
echo = data(8000)
put("jumbo.echo", sent("ra", ip("ra", "10.1.1.1", id=7204) / ICMP(id=5, seq=6) / echo))
put("jumbo.echo.reply", got("ra", ip("10.1.1.1", "ra", id=0, flags="DF", ttl=64) / ICMP(type=0, id=5, seq=6) / echo))
# to a far end whose MAC is not known yet
held = ip("ra", "10.1.1.30", id=7205) / udp / data(7000)
put("jumbo.held", sent("ra", held))
put("jumbo.held.wire", wrap(hop(held), VX, dmac=UP_C, dst="10.0.0.3", imac=RTR_C))
# in pieces, the first of which is larger than a usual buffer
whole = ip("ra", "rb", id=7206) / udp / data(8972)
put("jumbo.split", sent("ra", whole))
for number, piece in enumerate(fragment(hop(whole), fragsize=(8950 - 20) // 8 * 8)):
    put("jumbo.split.%d.wire" % number, wrap(copy(piece), VX))

if __name__ == "__main__":
    write()
