#!/usr/bin/python3
"""Questions in bridge lan of bridge.py for stations that are known, and the answers in their names; and questions that go to everybody.

    /usr/bin/python3 suppression.py > suppression.hex
"""
from base import *  # noqa: F403
from bridge import MAC, V4, V6, carried, eth

frames.clear()
ROUTER = "fe80::b3"


def ask(who, target, sender=None):
    return eth(who, ALL, ARP(op=1, hwsrc=MAC[who], psrc=V4[who] if sender is None else sender, pdst=target))


def is_at(who, whom):
    return eth(whom, who, ARP(op=2, hwsrc=MAC[whom], psrc=V4[whom], hwdst=MAC[who], pdst=V4[who]))


def solicit(who, target, source=None):
    low = target.rsplit(":", 1)[1].rjust(4, "0")
    group = "33:33:ff:00:%s:%s" % (low[:2], low[2:])
    packet = IPv6(src=V6[who] if source is None else source, dst="ff02::1:ff00:%s" % low, hlim=255) / ICMPv6ND_NS(tgt=target)
    return eth(who, group, packet if source == "::" else packet / ICMPv6NDOptSrcLLAddr(lladdr=MAC[who]))


def advert(who, whom, target, router=0):
    return eth(whom, who, IPv6(src=target, dst=V6[who], hlim=255) / ICMPv6ND_NA(tgt=target, R=router, S=1, O=0)
               / ICMPv6NDOptDstLLAddr(lladdr=MAC[whom]))


def flooded(name, frame):
    put(name, frame)
    put(name + ".wire", carried(frame, ("vxlan", 5000)))


flooded("sup.ask-ra2", ask("ra", V4["ra2"]))
put("sup.ask-ra2.reply", is_at("ra", "ra2"))
flooded("sup.ask-rb", ask("ra", V4["rb"]))
put("sup.ask-rb.reply", is_at("ra", "rb"))
MAC["other"], V4["other"] = "02:00:00:00:00:07", V4["rb"]
put("sup.ask-rb.other.reply", is_at("ra", "other"))
put("sup.l2-asks-rb", ask("l2", V4["rb"]))
put("sup.l2-asks-rb.reply", is_at("l2", "rb"))
put("sup.ns-ra2", solicit("ra", V6["ra2"]))
put("sup.ns-ra2.reply", advert("ra", "ra2", V6["ra2"]))
put("sup.ns-rb", solicit("ra", V6["rb"]))
put("sup.ns-rb.reply", advert("ra", "rb", V6["rb"]))
put("sup.ns-router", solicit("ra", ROUTER))
put("sup.ns-router.reply", advert("ra", "rb2", ROUTER, router=1))
# nobody is answered: it looks for a duplicate (RFC 5227, RFC 4862), announces itself, or nobody is known
flooded("sup.probe", ask("ra", V4["rb"], "0.0.0.0"))
flooded("sup.announce", ask("ra", V4["ra"]))
flooded("sup.dad", solicit("ra", V6["rb"], "::"))
flooded("sup.unknown", ask("ra", "10.1.1.99"))
flooded("sup.ns-unknown", solicit("ra", "fd01::99"))
# who may speak for others: an announcement of rb's address, a question for its own, and one in rb's name
for name, mac, sender, target in (("announce-other", "l2", V4["rb"], V4["rb"]), ("own", "l2", "10.1.1.98", V4["l2"]), ("for-rb", "rb", V4["rb"], V4["ra2"])):
    flooded("sup." + name, eth("l2", ALL, ARP(op=1, hwsrc=MAC[mac], psrc=sender, pdst=target)))
put("sup.unicast", eth("ra", "ra2", ARP(op=1, hwsrc=MAC["ra"], psrc=V4["ra"], hwdst=MAC["ra2"], pdst=V4["ra2"])))
frame = ask("rb", V4["ra"])
put("sup.back", carried(frame, ("vxlan", 5000), back=True))
put("sup.back.out", frame)

if __name__ == "__main__":
    write()
