#!/usr/bin/python3
"""What the host's kernel has of the fabric port, and sends there: A's uplink is 10.0.0.1 and fd0f::1. See base.py.

    /usr/bin/python3 exception.py > exception.hex
"""
from base import *  # noqa: F403

frames.clear()
IN, OUT = Ether(src=UP_C, dst=UP_A), Ether(src=UP_A, dst=UP_C)
V4_IN, V4_OUT = IP(src="10.0.0.3", dst="10.0.0.1", id=77, ttl=1), IP(src="10.0.0.1", dst="10.0.0.3", id=78, ttl=1)
V6_IN, V6_OUT = IPv6(src="fd0f::3", dst="fd0f::1", hlim=1), IPv6(src="fd0f::1", dst="fd0f::3", hlim=1)

put("exc.ssh", IN / V4_IN / TCP(sport=40000, dport=22, flags="S"))
put("exc.ssh.answer", OUT / V4_OUT / TCP(sport=22, dport=40000, flags="SA"))
put("exc.bgp6", IN / V6_IN / TCP(sport=40000, dport=179, flags="S"))
put("exc.bgp6.answer", OUT / V6_OUT / TCP(sport=179, dport=40000, flags="SA"))
put("exc.echo", IN / V4_IN / ICMP(id=5, seq=6) / DATA)
put("exc.echo6", IN / V6_IN / ICMPv6EchoRequest(id=5, seq=6, data=b"echo"))
put("exc.dns", IN / V4_IN / UDP(sport=53, dport=40000) / DATA)
put("exc.dns-fragment", IN / IP(src="10.0.0.3", dst="10.0.0.1", id=79, flags="MF") / UDP(sport=53, dport=40000, len=900, chksum=0) / Raw(bytes(64)))
put("exc.ospf", IN / IP(src="10.0.0.3", dst="10.0.0.1", proto=89) / DATA)
put("exc.to-all", Ether(src=UP_C, dst="01:00:5e:00:00:05") / IP(src="10.0.0.3", dst="224.0.0.5", proto=89, ttl=1) / DATA)
put("exc.too-big", IN / IP(src="10.0.0.3", dst="10.0.0.1", flags="DF") / ICMP(type=3, code=4, nexthopmtu=1400) / IP(src="10.0.0.1", dst="10.0.0.3") / UDP(sport=50000, dport=4789))

# what the kernel sends
put("exc.out.full", OUT / V4_OUT / UDP(sport=9, dport=9) / Raw(bytes(1472)))
put("exc.out.over-mtu", OUT / V4_OUT / UDP(sport=9, dport=9) / Raw(bytes(1473)))
put("exc.out.spoofed", Ether(src=UP_B, dst=UP_C) / V4_OUT / UDP(sport=9, dport=9) / DATA)
put("exc.out.garp", Ether(src=UP_A, dst=ALL) / ARP(op=1, hwsrc=UP_A, psrc="10.0.0.1", pdst="10.0.0.1"))
put("exc.out.rs", Ether(src=UP_A, dst="33:33:00:00:00:02") / IPv6(src="fe80::5000:ff:fe00:a00", dst="ff02::2", hlim=255) / ICMPv6ND_RS())
put("exc.out.short", Raw(bytes(OUT)[:13]))

# the same in VLAN 77
def tagged(name):
    whole = frames[name]
    return Ether(whole[:12] + b"\x81\x00") / Dot1Q(vlan=77, type=int.from_bytes(whole[12:14], "big")) / Raw(whole[14:])


put("exc.ask-us", Ether(src=UP_C, dst=ALL) / ARP(op=1, hwsrc=UP_C, psrc="10.0.0.3", pdst="10.0.0.1"))
for name in ("ssh", "ssh.answer", "bgp6", "bgp6.answer", "out.full", "ask-us"):
    put("exc.tagged." + name, tagged("exc." + name))

write()
