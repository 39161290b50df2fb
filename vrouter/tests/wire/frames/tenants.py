#!/usr/bin/python3
"""What a tenant of another VRF asks while one floods the slow path; see base.py.

    /usr/bin/python3 tenants.py > tenants.hex
"""
from base import *  # noqa: F403

frames.clear()
put("ba.arp", arp("ba", "10.1.1.1"))
put("ba.arp.reply", Ether(dst=MAC["ba"], src=GW) / ARP(op=2, hwsrc=GW, psrc="10.1.1.1", hwdst=MAC["ba"], pdst=V4["ba"]))
put("ba.nd", ns("ba", "fd01::1"))
put("ba.nd.reply", na("ba", "fd01::1", True))
put("ba.echo", sent("ba", ip("ba", "10.1.1.1", id=77) / ICMP(id=7, seq=1) / Raw(b"still there?")))
put("ba.echo.reply", got("ba", ip("10.1.1.1", "ba", id=0, flags="DF", ttl=64) / ICMP(type=0, id=7, seq=1) / Raw(b"still there?")))
# to a VTEP that nobody is: the packet waits for a neighbour; another flow each time
for n in range(32):
    put("ra.resolve.%d" % n, sent("ra", ip("ra", "10.7.0.%d" % n, id=500 + n) / UDP(sport=6000, dport=7053) / Raw(b"wait")))
# two routers that send it to each other
put("loop.in", sent("ra", ip("ra", "10.1.1.66", id=600) / UDP(sport=6001, dport=7053) / Raw(b"round and round")))

if __name__ == "__main__":
    write()
