#!/usr/bin/python3
"""What stations that bridge lan of bridge.py does not know send, at ra2 and behind 10.0.0.2, and what is sent to them.

    /usr/bin/python3 learning.py > learning.hex
"""
from base import *  # noqa: F403
from bridge import MAC, carried, eth

frames.clear()
VNI = ("vxlan", 5000)


def hello(who):
    """Of no protocol that anybody checks."""
    return eth(who, ALL, Raw(b"here I am"), type=0x88b5)


put("lrn.behind", hello("behind"))
put("lrn.behind2", hello("02:00:00:00:0a:78"))
put("lrn.behind.far", carried(hello("behind"), VNI, back=True))
put("lrn.far", carried(hello("gone"), VNI, back=True))
stranger = carried(hello("02:00:00:00:0c:01"), VNI, back=True)
stranger[IP].src = "10.0.0.9"
put("lrn.stranger", stranger)
frame = eth("ra", "behind", Raw(b"are you there"), type=0x88b5)
put("lrn.to-behind", frame)
put("lrn.to-behind.wire", carried(frame, VNI))
put("lrn.stolen", eth("rb", "ra", Raw(b"I am rb"), type=0x88b5))

if __name__ == "__main__":
    write()
