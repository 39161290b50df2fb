#!/usr/bin/python3
"""Frames of tunnels whose outer packets the underlay has cut, with scapy's fragment() and fragment6(); see base.py.

    /usr/bin/python3 assembly.py > assembly.hex
"""
from underlay6 import *  # noqa: F403
from scapy.layers.inet import fragment
from scapy.layers.inet6 import fragment6

frames.clear()
LINK = Ether(dst=UP_A, src=UP_B)


def cut4(upper, protocol, number, size, tos=0, src="10.0.0.2"):
    return [copy(piece) for piece in fragment(IP(src=src, dst="10.0.0.1", id=number, proto=protocol, tos=tos) / Raw(bytes(upper)), fragsize=size)]


def cut6(upper, number, size):
    return fragment6(IPv6(src=VTEP_B, dst=VTEP_A) / IPv6ExtHdrFragment(id=number) / upper, size)


def to_wire(name, pieces, answer, tos=None):
    for number, piece in enumerate(pieces):
        put("%s.%d" % (name, number), LINK / piece)
    after = hop(answer)
    if tos is not None:
        after.tos = tos
        del after.chksum
    put(name + ".out", got("ra", after))


# each tunnel over both families, in pieces of 40 bytes: four with Ethernet inside, else three
for at, by in enumerate(BYS):
    upper = behind(theirs(4, by), by, 51111, 1000, RTR_A, RTR_B)
    to_wire("asm.%s.4" % by, cut4(upper, 47 if by == "gre" else 17, 8100 + at, 40), theirs(4, by))
    to_wire("asm.%s.6" % by, cut6(upper, 0x81000000 + at, 88), theirs(4, by))

# the largest packet of a tenant, by an underlay of 1,500
big = ip("rb", "ra", id=8201) / UDP(sport=7053, dport=5000) / Raw(bytes(i % 251 for i in range(1472)))
to_wire("asm.big", cut4(behind(big, "vxlan", 51111, 0, RTR_A, RTR_B), 17, 8202, 1480), big)
# the largest of 9,000 bytes by the same underlay, and one that is larger than what is put together
jumbo = ip("rb", "ra", id=8208) / UDP(sport=7053, dport=5000) / Raw(bytes(i % 251 for i in range(8950 - 28)))
to_wire("asm.jumbo", cut4(behind(jumbo, "vxlan", 51111, 0, RTR_A, RTR_B), 17, 8209, 1480), jumbo)
large = ip("rb", "ra", id=8203) / UDP(sport=7053, dport=5000) / Raw(bytes(9200))
for number, piece in enumerate(cut4(behind(large, "vxlan", 51111, 0, RTR_A, RTR_B), 17, 8204, 1480)):
    put("asm.large.%d" % number, LINK / piece)
# congestion is marked on one piece
marked = theirs(4, "vxlan", tos=0x2a)
pieces = cut4(behind(marked, "vxlan", 51111, 0, RTR_A, RTR_B), 17, 8205, 40, tos=0x2a)
pieces[1].tos = 0x2b
del pieces[1].chksum
to_wire("asm.marked", pieces, marked, tos=0x2b)
# another sender's
other = theirs(4, "vxlan")
to_wire("asm.other", cut4(behind(other, "vxlan", 51111, 0, RTR_A, RTR_B), 17, 8206, 40, src="10.0.0.9"), other)
# eight bytes of the second piece of asm.vxlan.4 once more, with other bytes; behind its end; not a whole number of eight bytes; none
second = cut4(behind(theirs(4, "vxlan"), "vxlan", 51111, 1000, RTR_A, RTR_B), 17, 8100 + BYS.index("vxlan"), 40)
put("asm.overlap", LINK / IP(src="10.0.0.2", dst="10.0.0.1", id=second[0].id, proto=17, flags="MF", frag=9) / Raw(bytes(8)))
put("asm.behind", LINK / IP(src="10.0.0.2", dst="10.0.0.1", id=second[0].id, proto=17, flags="MF", frag=100) / Raw(bytes(8)))
put("asm.ragged", LINK / IP(src="10.0.0.2", dst="10.0.0.1", id=8207, proto=17, flags="MF", frag=9) / Raw(bytes(9)))
put("asm.empty", LINK / IP(src="10.0.0.2", dst="10.0.0.1", id=8207, proto=17, flags="MF", frag=9))
put("asm.beyond", LINK / IP(src="10.0.0.2", dst="10.0.0.1", id=8207, proto=17, frag=8190) / Raw(bytes(64)))

if __name__ == "__main__":
    write()
