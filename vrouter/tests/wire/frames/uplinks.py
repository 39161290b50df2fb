#!/usr/bin/python3
"""Flows of ra to far ends behind gateways on several uplinks, as they look by each, and answers by each; see base.py.

    /usr/bin/python3 uplinks.py > uplinks.hex
"""
from base import *  # noqa: F403
from scapy.layers.l2 import GRE

frames.clear()
FAR, FAR6 = "198.51.100.9", "2001:db8:9::9"
# what differs by uplink: port, our MAC, the gateway's, the tag; up2 has the tag
UPLINKS = {
    "up0": dict(smac="52:00:00:00:0a:00", dmac="52:00:00:00:0b:00"),
    "up1": dict(smac="52:00:00:00:0a:05", dmac="52:00:00:01:0b:00"),
    "up2": dict(smac="52:00:00:00:0a:06", dmac="52:00:00:02:0b:00", vlan=77),
}


def by(uplink, packet):
    """A frame as it is by this uplink."""
    macs = dict(UPLINKS[uplink])
    vlan = macs.pop("vlan", None)
    ether = Ether(dst=macs["dmac"], src=macs["smac"])
    return (ether / Dot1Q(vlan=vlan) if vlan else ether) / packet


def vxlan(inner, src="10.0.0.1", dst=FAR, sport=0, imac=RTR_B, ismac=RTR_A, vni=504):
    return (IP(src=src, dst=dst, id=0, flags="DF", ttl=64) / UDP(sport=sport, dport=4789, chksum=0)
            / VXLAN(flags=8, vni=vni) / Ether(dst=imac, src=ismac) / inner)


def gre(inner):
    return IP(src="10.0.0.1", dst=FAR, id=0, flags="DF", ttl=64) / GRE(proto=0x8847) / MPLS(label=1506, s=1, cos=0, ttl=64) / inner


def vxlan6(inner):
    return (IPv6(src="fd31::1", dst=FAR6, hlim=64) / UDP(sport=0, dport=4789, chksum=0)
            / VXLAN(flags=8, vni=504) / Ether(dst=RTR_B, src=RTR_A) / inner)


def near(inner):
    return vxlan(inner, dst="10.0.0.2")


# kinds of tunnel, and where ra sends by each; the far end of `near` is the gateway of up0 itself
TUNNELS = {"vxlan": ("10.9.0.9", vxlan), "near": ("10.12.0.9", near), "gre": ("10.10.0.9", gre), "vxlan6": ("10.11.0.9", vxlan6)}
for n in range(64):
    for kind, (to, wire) in TUNNELS.items():
        packet = ip("ra", to, id=700 + n) / UDP(sport=7100 + n, dport=53) / Raw(b"question")
        put("far.%s.%d" % (kind, n), sent("ra", packet))
        for uplink in UPLINKS:
            put("far.%s.%d.%s.wire" % (kind, n, uplink), by(uplink, wire(hop(packet))))
    answer = ip("10.9.0.9", "ra", id=750 + n) / UDP(sport=53, dport=7100 + n) / Raw(b"answer")
    put("far.%d.back.out" % n, got("ra", hop(answer)))
    for uplink, macs in UPLINKS.items():
        back = vxlan(answer, src=FAR, dst="10.0.0.1", sport=51111, imac=RTR_A, ismac=RTR_B, vni=100)
        frame = Ether(dst=macs["smac"], src=macs["dmac"])
        put("far.%d.back.%s" % (n, uplink), (frame / Dot1Q(vlan=77) if "vlan" in macs else frame) / back)
# the same flows to a far end that is the gateway of up0
for n in range(64):
    packet = ip("ra", "10.9.0.9", id=700 + n) / UDP(sport=7100 + n, dport=53) / Raw(b"question")
    put("far.vxlan.%d.beside.wire" % n, by("up0", near(hop(packet))))
# a packet that ends here: what its sender is told is ours, and goes through the tunnel
ttl = ip("10.9.0.9", "ra", id=790, ttl=1) / UDP(sport=53, dport=7100) / Raw(b"answer")
put("far.ttl", Ether(dst=UPLINKS["up1"]["smac"], src=UPLINKS["up1"]["dmac"])
    / vxlan(ttl, src=FAR, dst="10.0.0.1", sport=51111, imac=RTR_A, ismac=RTR_B, vni=100))
told = ip("10.1.1.1", "10.9.0.9", **ERR) / ICMP(type=11) / Raw(bytes(ttl))
for uplink in UPLINKS:
    wire = vxlan(told)
    wire.tos = 0xc0
    put("far.told.%s.wire" % uplink, by(uplink, wire))
# too big by the uplink with the smallest MTU
big = ip("ra", "10.9.0.9", id=791, flags="DF") / UDP(sport=7100, dport=53) / Raw(bytes(1400 - 50 - 28 + 1))
put("far.big", sent("ra", big))
put("far.big.told", got("ra", IP(src="10.1.1.1", dst=V4["ra"], id=0, flags="DF", ttl=64, tos=0xc0)
                        / ICMP(type=3, code=4, nexthopmtu=1350) / Raw(bytes(big)[:548])))
# the gateways of the uplinks without a tag, asked for and answering
for uplink, ours, gateway in ("up0", "10.0.0.1", "10.0.0.2"), ("up1", "10.0.1.1", "10.0.1.2"):
    macs = UPLINKS[uplink]
    put("far.ask.%s" % uplink, Ether(dst=ALL, src=macs["smac"]) / ARP(
        op=1, hwsrc=macs["smac"], psrc=ours, hwdst="00:00:00:00:00:00", pdst=gateway))
    put("far.says.%s" % uplink, Ether(dst=macs["smac"], src=macs["dmac"]) / ARP(
        op=2, hwsrc=macs["dmac"], psrc=gateway, hwdst=macs["smac"], pdst=ours))

if __name__ == "__main__":
    write()
