#!/usr/bin/python3
"""Frames of TCP that announces its largest segment (RFC 9293, RFC 6691); see base.py. Scapy computes all checksums anew.

    /usr/bin/python3 mss.py > mss.hex
"""
from base import *  # noqa: F403
from scapy.layers.inet import IPOption_Router_Alert

frames.clear()
SACK = [("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]


def tcp(mss, flags="S", before=(), ports=(5000, 80), behind=SACK):
    return TCP(sport=ports[0], dport=ports[1], seq=7, flags=flags, options=[*before, ("MSS", mss), *behind])


def segment(family, mss, a="ra", b="rb", head=None, **more):
    """A segment of `a` to `b`; `head`: an extension header or IPv4 options."""
    answer = more.pop("answer", False)
    ports = (80, 5000) if answer else (5000, 80)
    flags = more.pop("flags", "SA" if answer else "S")
    upper = tcp(mss, flags, ports=ports, **more)
    if family == 4:
        return ip(a, b, id=9001, **({"options": head} if head else {})) / upper
    return ip6(a, b) / head / upper if head else ip6(a, b) / upper


def to_wire(name, family, mss, wanted, by=VX, b="rb", **more):
    put(name, sent("ra", segment(family, mss, b=b, **more)))
    put(name + ".wire", wrap(hop(segment(family, wanted, b=b, **more)), by))
    put(name + ".as-sent.wire", wrap(hop(segment(family, mss, b=b, **more)), by))


def from_wire(name, family, mss, wanted, by=VX, a="rb", **more):
    put(name, to_a(segment(family, mss, a=a, b="ra", answer=True, **more), by))
    put(name + ".out", got("ra", hop(segment(family, wanted, a=a, b="ra", answer=True, **more))))
    put(name + ".as-sent", got("ra", hop(segment(family, mss, a=a, b="ra", answer=True, **more))))


# tunnels over an underlay of 1500: 1450 by VXLAN, 1468 by MPLS-over-UDP
for family, most, most_mpls in ((4, 1410, 1428), (6, 1390, 1408)):
    name = "mss%d" % family
    for mss in (most + 50, most + 1, most, most - 1, 65535, 0):
        to_wire("%s.%d" % (name, mss), family, mss, min(mss, most))
        from_wire("%s.%d.back" % (name, mss), family, mss, min(mss, most))
    to_wire(name + ".mpls", family, 1460, most_mpls, MP, "rb2")
    from_wire(name + ".mpls.back", family, 1460, most_mpls, ("mpls", 1000), "rb2")
    to_wire(name + ".syn-ack", family, 1460, most, flags="SA")
    # at an odd place
    to_wire(name + ".odd", family, 1460, most, before=[("NOP", None)])
    from_wire(name + ".odd.back", family, 1460, most, before=[("WScale", 3)])
    head = IPv6ExtHdrDestOpt() if family == 6 else [IPOption_Router_Alert()]
    to_wire(name + ".behind-options", family, 1460, most, head=head)
    # no SYN, no MSS, an MSS behind the end of the options
    to_wire(name + ".ack", family, 1460, 1460, flags="A")
    to_wire(name + ".ended", family, 1460, 1460, before=[("EOL", None)])
    local = segment(family, 1460, b="ra2")
    put(name + ".local", sent("ra", local))
    put(name + ".local.out", got("ra2", hop(local)))


# ---------------------------------------------------------------- what is malformed
def with_options(options):
    """A SYN whose options are these bytes."""
    header = bytearray(bytes(TCP(sport=5000, dport=80, seq=7, flags="S")))
    header[12] = (20 + len(options)) // 4 << 4
    packet = ip("ra", "rb", id=9002, proto=6) / Raw(bytes(header) + options)
    whole = bytearray(bytes(IP(bytes(packet))))
    pseudo = bytes(whole[12:20]) + bytes([0, 6]) + (len(whole) - 20).to_bytes(2, "big")
    data = pseudo + bytes(whole[20:36]) + b"\0\0" + bytes(whole[38:])
    total = sum(int.from_bytes(data[at:at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    whole[36:38] = (~total & 0xffff).to_bytes(2, "big")
    return IP(bytes(whole))


for name, options in {
    "length-0": b"\3\0\2\4\5\xb4\0\0",
    "length-1": b"\3\1\2\4\5\xb4\0\0",
    "length-beyond": b"\3\x28\2\4\5\xb4\0\0",
    "mss-of-3": b"\2\3\5\xb4",
    "mss-cut": b"\1\2\4\5",
    "kind-alone": b"\1\1\1\2",
}.items():
    packet = with_options(options)
    put("mss.bad." + name, sent("ra", packet))
    put("mss.bad." + name + ".wire", wrap(hop(packet), VX))
# a wrong checksum stays as wrong as it was; a first fragment stays as it is
wrong = segment(4, 1460)
wrong[TCP].chksum = 0x1234
put("mss.wrong-sum", sent("ra", wrong))
lowered = segment(4, 1410)
lowered[TCP].chksum = 0x1234 + 50
put("mss.wrong-sum.wire", wrap(hop(lowered), VX))
first = ip("ra", "rb", id=9003, flags="MF") / bytes(segment(4, 1460)[TCP])
put("mss.fragment", sent("ra", first))
put("mss.fragment.wire", wrap(hop(first), VX))

if __name__ == "__main__":
    write()
