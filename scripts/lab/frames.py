"""Files of generated frames for the rig: one 60-byte UDP frame a flow, shuffled, both directions where wanted.

Plain struct code: scapy would need minutes for a million.
"""

import random
import socket
import struct

TENANT_MAC = "02:00:00:00:00:02"
GATEWAY_MAC = "00:00:5e:00:01:00"
UNDERLAY_MAC = "02:00:00:00:00:12"
# The MAC of the first net_pcap device.
PCAP_MAC = "02:70:63:61:70:00"
ROUTER_MAC = "02:ac:1f:00:01:01"
OURS, PEER = "172.31.0.1", "172.31.0.2"
VNI = 100
LABEL = 300
SIZE = 60


def write(path, flows, encap=None, seed=1, first=0):
    """A pcap file with a frame a flow (at least 1024 frames), as the tenant sends it, or as it arrives in a tunnel.

    first: the number of the first flow. encap: None, "vxlan" or "mpls". Flow i: 10.128.x.y port 1024 + i / 65536 to 20.0.0.1 port 80, turned round in a tunnel.
    """
    order = [first + number % flows for number in range(max(flows, 1024))]
    random.Random(seed).shuffle(order)
    with open(path, "wb", buffering=1 << 20) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for flow in order:
            frame = _in_tunnel(flow, encap) if encap else _from_tenant(flow)
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    return len(order)


def _from_tenant(flow):
    client, server = _ends(flow)
    return _mac(GATEWAY_MAC) + _mac(TENANT_MAC) + b"\x08\x00" + _udp(client, server, bytes(SIZE - 42))


def _in_tunnel(flow, encap):
    client, server = _ends(flow)
    packet = _udp(server, client, bytes(SIZE - 42))
    if encap == "vxlan":
        port, inner = 4789, struct.pack(">II", 0x08000000, VNI << 8) + _mac(ROUTER_MAC) + _mac(UNDERLAY_MAC) + b"\x08\x00" + packet
    else:
        port, inner = 6635, struct.pack(">I", LABEL << 12 | 0x100 | 64) + packet
    entropy = 49152 + (flow * 2654435761 >> 7) % 16384
    outer = _udp((_ip(PEER), entropy), (_ip(OURS), port), inner)
    return _mac(PCAP_MAC) + _mac(UNDERLAY_MAC) + b"\x08\x00" + outer


def _ends(flow):
    return (_ip("10.128.0.0") + (flow & 0xFFFF), 1024 + (flow >> 16)), (_ip("20.0.0.1"), 80)


def _udp(source, destination, payload):
    length = 8 + len(payload)
    header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + length, 0, 0x4000, 64, 17, 0, source[0], destination[0])
    header = header[:10] + struct.pack(">H", _checksum(header)) + header[12:]
    return header + struct.pack(">HHHH", source[1], destination[1], length, 0) + payload


def _checksum(header):
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _mac(text):
    return bytes.fromhex(text.replace(":", ""))


def _ip(text):
    return struct.unpack(">I", socket.inet_aton(text))[0]
