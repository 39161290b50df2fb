"""The VTEP as a neighbour of the underlay."""

from lab.picture import V4, VTEPS, network
from lab.process import Failure, until
from lab.wire import ARP, ICMP, IP, Ether, UDP

PEER = "172.31.0.9"


def test_vtep_answers_arp_and_echo(picture):
    picture.start("h1")
    wire = picture.wire(PEER)
    mac = picture.hosts["h1"].netns.mac("fabric")
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))
    answer = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2, "an ARP answer")
    assert (answer[ARP].hwsrc, answer[ARP].psrc) == (mac, VTEPS["h1"])
    payload = bytes(range(200))
    wire.send(Ether(src=wire.mac, dst=mac) / IP(src=PEER, dst=VTEPS["h1"]) / ICMP(id=5, seq=9) / payload)
    echo = wire.expect(lambda packet: ICMP in packet and packet[ICMP].type == 0, "an echo reply")
    assert (echo[ICMP].id, echo[ICMP].seq, bytes(echo[ICMP].payload)) == (5, 9, payload)
    # For another's address: silence.
    wire.forget()
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst="172.31.0.77"))
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))
    wire.expect(lambda packet: ARP in packet and packet[ARP].psrc == VTEPS["h1"], "the answer to the second question")
    assert not wire.seen(lambda packet: ARP in packet and packet[ARP].psrc == "172.31.0.77")


def far_network():
    h1 = network("h1")
    route = {"vrf": "blue", "prefix": "10.1.1.99/32", "via": {"mpls_udp": {"remote": PEER, "label": 999}}}
    h1["routes"].append(route)
    return h1


def test_packets_wait_for_a_neighbour(picture):
    vrouter = picture.start("h1", far_network())
    # Nobody answers for PEER: the packets end as drops with a name.
    before = vrouter.drops()
    ping = ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", "10.1.1.99"]
    picture["blue1"].run(*ping, check=False)

    def unresolved():
        now = vrouter.drops()
        names = ("neighbour_unresolved", "neighbour_hold_full")
        return sum(now.get(name, 0) - before.get(name, 0) for name in names) >= 3
    until(unresolved, 15, "three packets dropped for want of a neighbour")
    # Now someone does: those that wait are sent, the first included.
    wire = picture.wire(PEER)
    picture["blue1"].run(*ping, check=False)
    until(lambda: len(wire.seen(lambda packet: UDP in packet and packet[UDP].dport == 6635)) >= 3, 10,
          "three held packets")


def test_a_neighbour_s_new_mac_is_followed(picture):
    vrouter = picture.start("h1", far_network())
    old = picture.wire(PEER, name="old")
    picture["blue1"].run("ping", "-n", "-c", "1", "-W", "1", "10.1.1.99", check=False)
    old.expect(lambda packet: UDP in packet and packet[UDP].dport == 6635, "a packet to the old MAC")
    old.close()
    new = picture.wire(PEER, name="new")
    new.send(Ether(src=new.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=new.mac, psrc=PEER, pdst=PEER))

    def followed():
        picture["blue1"].run("ping", "-n", "-c", "1", "-W", "1", "10.1.1.99", check=False)
        return new.seen(lambda packet: UDP in packet and packet[UDP].dport == 6635 and packet[Ether].dst == new.mac)
    try:
        until(followed, 10, "a packet to the new MAC")
    except Failure as failure:
        raise Failure(f"{failure}\n{vrouter.vrctl('show', 'neighbours', check=False).stdout}") from None
