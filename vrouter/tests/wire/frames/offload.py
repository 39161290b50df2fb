#!/usr/bin/python3
"""Frames in which a guest left the transport checksum undone (it says be ef), and large TCP segments that are to be cut; and what whole ones
are, by scapy. See base.py.

    /usr/bin/python3 offload.py > offload.hex
"""
from base import *  # noqa: F403
from scapy.layers.inet import fragment
from scapy.layers.sctp import SCTP, SCTPChunkData

frames.clear()
UNDONE = 0xbeef
TIMES = [("NOP", None), ("NOP", None), ("Timestamp", (7, 9))]
IN_VXLAN, IN_MPLS = 1450 - 20 - 32, 1468 - 20 - 32


def data(size):
    return Raw(bytes(i % 251 for i in range(size)))


def tcp(**more):
    return TCP(sport=40000, dport=80, seq=0xfffffa00, ack=5, window=999, options=TIMES, **more)


def undone(packet):
    """The same packet as the guest sends it."""
    frame = copy(packet)
    for layer in (TCP, UDP, SCTP):
        if layer in frame:
            frame[layer].chksum = UNDONE
    return frame


def cut(packet, each):
    """The packet in segments with so much payload, as its sender would have sent them."""
    whole = copy(packet)
    payload = bytes(whole[TCP].payload)
    segments = []
    for number, at in enumerate(range(0, len(payload), each)):
        one = copy(packet)
        one[TCP].remove_payload()
        one[TCP].seq = (whole[TCP].seq + at) % 2**32
        one[TCP].flags = str(whole[TCP].flags).translate({ord(c): None for c in ("FP" if at + each < len(payload) else "") + ("C" if number else "")})
        if IPv6 in one:
            del one.plen
        else:
            one.id = (whole.id + number) % 2**16
            del one.len, one.chksum
        del one[TCP].chksum
        segments.append(copy(one / Raw(payload[at:at + each])))
    return segments


def large(name, packet, each, by):
    put(name, sent("ra", undone(packet)))
    for number, segment in enumerate(cut(hop(packet), each)):
        put("%s.%d.wire" % (name, number), wrap(segment, by, outer_tos=tos(packet)))


# IDs and sequence numbers go round; the first says CWR, the last one FIN and PSH
large("off.tcp4", ip("ra", "rb", id=0xfffe, flags="DF", tos=2) / tcp(flags="FPAC") / data(4000), IN_VXLAN, VX)
large("off.tcp6", ip6("ra", "rb", tc=0xb8) / tcp(flags="PA") / data(4001), IN_VXLAN - 20, VX)
large("off.mpls4", ip("ra", "rb2", id=9) / tcp(flags="PA") / data(3000), IN_MPLS, MP)
large("off.ext6", ip6("ra", "rb") / IPv6ExtHdrDestOpt() / tcp(flags="PA") / data(3000), 1000, VX)
large("off.whole", ip("ra", "rb", id=10) / tcp(flags="PA") / data(64000), IN_VXLAN, VX)
# no more than one segment holds
large("off.one", ip("ra", "rb", id=11) / tcp(flags="PA") / data(100), IN_VXLAN, VX)

# checksums alone
for name, packet in {
    "udp4": ip("ra", "rb", id=20) / UDP(sport=5000, dport=7053) / data(33),
    "udp6": ip6("ra", "rb") / UDP(sport=5000, dport=7053) / data(34),
    "tcp4": ip("ra", "rb", id=21) / tcp(flags="A") / data(35),
    "sctp4": ip("ra", "rb", id=22) / SCTP(sport=5000, dport=7053, tag=9) / SCTPChunkData(data=b"0123456789"),
    # what would sum to 0 is sent as ffff
    "zero": ip("ra", "rb", id=23) / UDP(sport=5000, dport=7053) / Raw(bytes(2)),
}.items():
    if name == "zero":
        packet = copy(packet)
        packet[UDP].payload = Raw(int(packet[UDP].chksum).to_bytes(2, "big"))
        del packet[UDP].chksum
        assert copy(packet)[UDP].chksum == 0xffff
    put("off.sum.%s" % name, sent("ra", undone(packet)))
    put("off.sum.%s.wire" % name, wrap(hop(packet), VX))
    put("off.sum.%s.padded" % name, bytes(sent("ra", undone(packet))) + b"padding")

# to another VIF: as they are to a guest, whole to others
for v, one in (("4", ip("ra", "ra2", id=30)), ("6", ip6("ra", "ra2"))):
    packet = one / tcp(flags="PA") / data(4000)
    put("off.local%s" % v, sent("ra", undone(packet)))
    put("off.local%s.guest" % v, got("ra2", hop(undone(packet))))
    for number, segment in enumerate(cut(hop(packet), 1448 if v == "4" else 1428)):
        put("off.local%s.%d.out" % (v, number), got("ra2", segment))
packet = ip("ra", "ra2", id=31) / UDP(sport=5000, dport=7053) / data(33)
put("off.local-udp", sent("ra", undone(packet)))
put("off.local-udp.guest", got("ra2", hop(undone(packet))))
put("off.local-udp.out", got("ra2", hop(packet)))

# segments that do not fit: told, or in pieces if they may be
packet = ip("ra", "rb", id=40, flags="DF") / tcp(flags="PA") / data(6000)
put("off.big", sent("ra", undone(packet)))
put("off.big.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                        / ICMP(type=3, code=4, nexthopmtu=1450) / Raw(bytes(undone(packet))[:548])))
packet = ip("ra", "rb", id=41) / tcp(flags="PA") / data(4000)
put("off.pieces", sent("ra", undone(packet)))
count = 0
for segment in cut(hop(packet), 2000):
    for piece in fragment(segment, fragsize=(1450 - 20) // 8 * 8):
        put("off.pieces.%d.wire" % count, wrap(copy(piece), VX))
        count += 1
# a packet in pieces has its checksum before
packet = ip("ra", "rb", id=42) / UDP(sport=5000, dport=7053) / data(1472)
put("off.split", sent("ra", undone(packet)))
for number, piece in enumerate(fragment(hop(packet), fragsize=(1450 - 20) // 8 * 8)):
    put("off.split.%d.wire" % number, wrap(copy(piece), VX))

# to a far end whose MAC is not known yet
packet = ip("ra", "10.1.1.30", id=50) / tcp(flags="PA") / data(3000)
put("off.held", sent("ra", undone(packet)))
for number, segment in enumerate(cut(hop(packet), IN_VXLAN)):
    put("off.held.%d.wire" % number, wrap(segment, VX, dmac=UP_C, dst="10.0.0.3", imac=RTR_C))
packet = ip("ra", "10.1.1.30", id=51) / UDP(sport=5000, dport=7053) / data(33)
put("off.held-udp", sent("ra", undone(packet)))
put("off.held-udp.wire", wrap(hop(packet), VX, dmac=UP_C, dst="10.0.0.3", imac=RTR_C))


# bridged: the frame that each segment would have been, with its tag
def eth(to, packet):
    return Ether(src=MAC["ra"], dst=to) / packet


def in_vni(frame, dst=UP_B):
    return (Ether(dst=dst, src=UP_A) / IP(src="10.0.0.1", dst="10.0.0.2", id=0, flags="DF", ttl=64) / UDP(sport=0, dport=4789, chksum=0)
            / VXLAN(flags=8, vni=5000) / Raw(bytes(frame)))


packet = ip("ra", "rb", id=60, ttl=9) / tcp(flags="PA") / data(3000)
put("off.bridged", eth(MAC["rb"], undone(packet)))
for number, segment in enumerate(cut(packet, IN_VXLAN)):
    put("off.bridged.%d.wire" % number, in_vni(eth(MAC["rb"], segment)))
packet = ip("ra", "10.1.1.255", id=61) / UDP(sport=5000, dport=7053) / data(33)
put("off.flooded", eth(ALL, undone(packet)))
put("off.flooded.out", eth(ALL, packet))

# an uplink behind a guest's NIC: the outer checksum of IPv6 is verified, and was left undone
inner = ip("rb", "ra", id=70) / UDP(sport=7053, dport=5000) / data(33)
put("off.outer", to_a(inner, sport=51111))
put("off.outer.out", got("ra", hop(inner)))

if __name__ == "__main__":
    write()
