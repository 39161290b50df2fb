#!/usr/bin/python3
"""ICMP errors of flows whose initiator comes by a label that names a VIF."""
from base import *

frames.clear()
# what ra2 answered to label.vif, and the far host did not want; it comes by the VNI, not by the label
answer = ip("10.7.7.7", "rb", id=36) / UDP(sport=9, dport=9) / DATA
into("label.vif.error", "ra2", ip("rb", "10.7.7.7", id=37) / ICMP(type=3, code=3) / Raw(bytes(hop(answer))), ("vxlan", 100))

if __name__ == "__main__":
    write()
