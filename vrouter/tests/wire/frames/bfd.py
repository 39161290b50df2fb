#!/usr/bin/python3
"""BFD packets of peers, and ours, as the first session of a lab sends them: its discriminator follows from the lab's clock. The peers are
the gateway of up1 (one hop, also by IPv6 on up0), and the far end of the tunnels of uplinks.py, some hops away; see base.py."""
from base import *  # noqa: F403
from scapy.contrib.bfd import BFD

frames.clear()
OURS, THEIRS = 0xD72E329D, 0x01020304
DOWN, INIT, UP, ADMIN = 1, 2, 3, 0
FROM_UP1 = Ether(dst="52:00:00:00:0a:05", src="52:00:00:01:0b:00")
TO_UP1 = Ether(dst="52:00:00:01:0b:00", src="52:00:00:00:0a:05")
FROM_UP0, TO_UP0 = Ether(dst=UP_A, src=UP_B), Ether(dst=UP_B, src=UP_A)


def bfd(state, mine, yours, tx, diag=0, flags="", **more):
    rest = dict(detect_mult=3, min_rx_interval=300000)
    rest.update(more)
    return BFD(version=1, diag=diag, sta=state, flags=flags, my_discriminator=mine, your_discriminator=yours,
               min_tx_interval=tx, echo_rx_interval=0, **rest)


PEERS = {
    "up1": (FROM_UP1 / IP(src="10.0.1.2", dst="10.0.1.1", ttl=255, tos=0xC0, id=0) / UDP(sport=50000, dport=3784),
            TO_UP1 / IP(src="10.0.1.1", dst="10.0.1.2", ttl=255, tos=0xC0, id=0, flags="DF") / UDP(sport=49152, dport=3784)),
    "six": (FROM_UP0 / IPv6(src="fd31::2", dst="fd31::1", hlim=255, tc=0xC0) / UDP(sport=50000, dport=3784),
            TO_UP0 / IPv6(src="fd31::1", dst="fd31::2", hlim=255, tc=0xC0) / UDP(sport=49152, dport=3784)),
    "far": (FROM_UP0 / IP(src="198.51.100.9", dst="10.0.0.1", ttl=254, tos=0xC0, id=0) / UDP(sport=50000, dport=4784),
            TO_UP0 / IP(src="10.0.0.1", dst="198.51.100.9", ttl=255, tos=0xC0, id=0, flags="DF") / UDP(sport=49152, dport=4784)),
}
for name, (comes, goes) in PEERS.items():
    def put_bfd(what, outer, packet):
        put("bfd.%s.%s" % (name, what), outer / packet)
    put_bfd("hello", comes, bfd(DOWN, THEIRS, 0, 1000000))
    put_bfd("up", comes, bfd(UP, THEIRS, OURS, 300000))
    put_bfd("poll", comes, bfd(UP, THEIRS, OURS, 300000, flags="P"))
    put_bfd("final", comes, bfd(UP, THEIRS, OURS, 300000, flags="F"))
    put_bfd("down", comes, bfd(DOWN, THEIRS, OURS, 1000000, diag=1))
    put_bfd("admin", comes, bfd(ADMIN, THEIRS, OURS, 1000000, diag=7))
    put_bfd("ours.down", goes, bfd(DOWN, OURS, 0, 1000000))
    put_bfd("ours.init", goes, bfd(INIT, OURS, THEIRS, 1000000))
    put_bfd("ours.init.expired", goes, bfd(INIT, OURS, THEIRS, 1000000, diag=1))
    put_bfd("ours.init.told", goes, bfd(INIT, OURS, THEIRS, 1000000, diag=3))
    put_bfd("ours.up", goes, bfd(UP, OURS, THEIRS, 300000, flags="P"))
    put_bfd("ours.steady", goes, bfd(UP, OURS, THEIRS, 300000))
    put_bfd("ours.final", goes, bfd(UP, OURS, THEIRS, 300000, flags="F"))
    put_bfd("ours.expired", goes, bfd(DOWN, OURS, 0, 1000000, diag=1))
    put_bfd("ours.told", goes, bfd(DOWN, OURS, THEIRS, 1000000, diag=3))
    put_bfd("ours.farewell", goes, bfd(ADMIN, OURS, THEIRS, 300000, diag=7))
# what is no packet of the session
comes = PEERS["up1"][0]
near = comes.copy()
near[IP].ttl = 254
put("bfd.bad.ttl", near / bfd(UP, THEIRS, OURS, 300000))
far = PEERS["far"][0].copy()
far[IP].ttl = 253
put("bfd.bad.ttl.far", far / bfd(UP, THEIRS, OURS, 300000))
good = bytes(bfd(UP, THEIRS, OURS, 300000))


def bad(name, at, byte):
    put("bfd.bad." + name, comes / Raw(good[:at] + bytes([byte]) + good[at + 1:]))


bad("version", 0, 0x40)
bad("multipoint", 1, 0xC1)
bad("multiplier", 2, 0)
bad("length", 3, 23)
bad("length.more", 3, 25)
bad("stranger", 11, 0x9E)
put("bfd.bad.short", comes / Raw(good[:23]))
put("bfd.bad.empty", comes)
put("bfd.bad.mine", comes / bfd(UP, 0, OURS, 300000))
put("bfd.bad.unheard", comes / bfd(UP, THEIRS, 0, 300000))
put("bfd.bad.authenticated", comes / Raw(good[:1] + bytes([0xC4, 3, 33]) + good[4:] + bytes([1, 9, 1]) + b"secret"))
wrong = copy(comes / bfd(UP, THEIRS, OURS, 300000))
wrong[UDP].chksum = 0x1234
put("bfd.bad.checksum", wrong)
unsummed = copy(PEERS["six"][0] / bfd(UP, THEIRS, OURS, 300000))
unsummed[UDP].chksum = 0
put("bfd.bad.six.unsummed", unsummed)
# from who has no session here
put("bfd.nobody", FROM_UP0 / IP(src="10.0.0.2", dst="10.0.0.1", ttl=255, id=0) / UDP(sport=50000, dport=3784)
    / bfd(DOWN, THEIRS, 0, 1000000))

if __name__ == "__main__":
    write()
