#!/usr/bin/python3
"""Frames of a tenant that floods: later fragments, ARP requests for its gateway, frames to a station that nobody knows.

    /usr/bin/python3 noisy.py > noisy.hex
"""
from base import *  # noqa: F403

frames.clear()

out("noisy.later", "ra2", ip("ra2", "rb", id=900, frag=5, proto=17) / Raw(b"g" * 32), VX)
put("noisy.arp", Ether(dst=ALL, src=MAC["ra2"]) / ARP(op=1, hwsrc=MAC["ra2"], psrc=V4["ra2"], hwdst="00:00:00:00:00:00", pdst="10.1.1.1"))
put("noisy.unknown", Ether(dst="02:00:00:00:99:99", src=MAC["ra2"]) / ip("ra2", "rb", id=901) / UDP(sport=1, dport=2, chksum=0) / Raw(b"u"))
for n in range(256):
    put("noisy.station.%d" % n, Ether(dst=MAC["ra"], src="02:aa:00:00:00:%02x" % n, type=0x88b5) / Raw(bytes(46)))

write()
