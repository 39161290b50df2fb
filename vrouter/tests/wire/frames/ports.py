#!/usr/bin/python3
"""Frames to and from a VIF on a port that comes and goes (rh: 10.1.1.18), and numbered ones of others."""
from base import *

frames.clear()
MAC["rh"], V4["rh"] = "02:00:00:00:0a:08", "10.1.1.18"


def pair(name, source, target, sport, dport, body):
    """From one VIF of A to another, as it is sent and as it arrives."""
    packet = IP(src=V4[source], dst=V4[target], id=700) / UDP(sport=sport, dport=dport) / Raw(body)
    put(name, sent(source, packet))
    put(name + ".out", Ether(dst=MAC[target], src=GW) / hop(packet))


for number in range(40):
    pair("numbered.%02d" % number, "ra", "ra2", 7000, 7001, b"number %02d" % number)
pair("hot.to", "ra", "rh", 8000, 8001, b"to the new port")
pair("hot.back", "rh", "ra", 8001, 8000, b"and back")
write()
