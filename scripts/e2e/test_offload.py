"""What a guest leaves to its NIC: checksums, and TCP segments that are larger than its link's. testpmd has the guest's virtio, and sends so
what comes from the namespace blue1."""

import random

from lab.picture import BLUE_LABELS, V4, V6, VTEPS, network
from lab.process import until
from lab.splice import Splice
from lab.wire import IP, MPLS, TCP, UDP, Ether, IPv6, Raw, Wire

from test_devices import BLUE1_MAC, FAR, FAR_LABEL, GATEWAY_MAC, PEER, inner, link, start

FAR6, EACH = "fd00:1::99", 1000
# Port 0 is the guest's NIC, 1 the namespace.
OFFLOADS = f"""
port stop 0
port config 0 tx_offload tcp_tso on
port config 0 tx_offload tcp_cksum on
port config 0 tx_offload udp_cksum on
csum set tcp hw 0
csum set udp hw 0
tso set {EACH} 0
port start 0
set eth-peer 0 {GATEWAY_MAC}
set fwd csum
start
"""


def guest(picture, socket):
    """The guest's NIC, with all that it can leave undone."""
    commands = f"{picture.lab.folder}/guest.commands"
    with open(commands, "w") as file:
        file.write(OFFLOADS)
    return Splice(picture.hosts["h1"].netns, "guest", "blue1", f"net_virtio_user0,path={socket},mac={BLUE1_MAC}", room=16384,
                  options=("--no-lsc-interrupt", f"--cmdline-file={commands}"), auto_start=False)


def started(picture):
    socket = f"{picture.lab.folder}/vhost.sock"
    far, vrouter = start(picture, f"net_vhost0,iface={socket},tso=1")
    route = {"vrf": "blue", "prefix": f"{FAR6}/128", "via": {"mpls_udp": {"remote": PEER, "label": FAR_LABEL}}}
    vrouter.apply({"routes": [route]})
    for netns, device in ((picture["blue1"].netns, "eth0"), (picture.hosts["h1"].netns, "blue1")):
        netns.ip("link", "set", device, "mtu", "9000")
    guest(picture, socket)
    until(lambda: link(vrouter), 10, "the link to the guest")
    return far, vrouter, Wire(picture["blue1"].netns, "eth0")


def whole(packet):
    """These bytes with every checksum and length as scapy has them."""
    kind = IPv6 if packet[0] >> 4 == 6 else IP
    read = kind(packet)
    for layer, fields in ((IP, ("len", "chksum")), (IPv6, ("plen",)), (TCP, ("chksum",)), (UDP, ("len", "chksum"))):
        if layer in read:
            for field in fields:
                delattr(read[layer], field)
    return bytes(read)


def test_large_segments_leave_in_ones_that_fit(picture):
    far, vrouter, wire = started(picture)
    payload = random.Random(5).randbytes(7500)
    for version, (kind, source, to) in enumerate(((IP, V4["1"], FAR), (IPv6, V6["1"], FAR6))):
        ports = dict(sport=6000 + version, dport=80)
        wire.send(Ether(src=BLUE1_MAC, dst=GATEWAY_MAC) / kind(src=source, dst=to) / TCP(**ports, seq=77, flags="PA") / Raw(payload))
        got = b""
        while len(got) < len(payload):
            def mine(packet):
                return MPLS in packet and packet[MPLS].label == FAR_LABEL and TCP in kind(inner(packet)) and kind(inner(packet))[TCP].seq == 77 + len(got)
            came = inner(far.expect(mine, f"the segment at {len(got)}"))
            assert came == whole(came), came.hex()
            segment = kind(came)[TCP]
            piece = bytes(segment.payload)
            assert len(piece) == min(EACH, len(payload) - len(got)), len(piece)
            assert ("P" in segment.flags) == (len(got) + len(piece) == len(payload)), segment.flags
            got += piece
        assert got == payload
    row = next(row for row in vrouter.stats()["vifs"] if row["vif"] == "blue1")
    assert int(row["pieces"]) == 2 * 7, row
    wire.close()


def test_checksums_are_completed(picture):
    far, vrouter, wire = started(picture)
    for number, upper in enumerate((UDP(sport=7000, dport=9), TCP(sport=7001, dport=9, flags="A"))):
        wire.send(Ether(src=BLUE1_MAC, dst=GATEWAY_MAC) / IP(src=V4["1"], dst=FAR, id=number) / upper / Raw(b"some bytes"))
        came = inner(far.expect(lambda packet: MPLS in packet and packet[MPLS].label == FAR_LABEL and IP(inner(packet)).id == number,
                                f"packet {number}"))
        assert came == whole(came), came.hex()
    wire.close()
