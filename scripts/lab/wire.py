"""A raw end of a link: frames built and read by scapy, which shares no code with us."""

import errno
import logging
import select
import socket
import struct
import threading

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.contrib.geneve import GENEVE, GeneveOptions  # noqa: E402, F401
from scapy.contrib.mpls import MPLS  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror, TCPerror, UDPerror  # noqa: E402, F401
from scapy.layers.inet6 import (  # noqa: E402, F401
    ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig, IPv6,
)
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether  # noqa: E402, F401
from scapy.layers.vxlan import VXLAN  # noqa: E402
from scapy.packet import Raw, bind_layers  # noqa: E402, F401
from scapy.utils import PcapNgWriter, PcapReader, wrpcap  # noqa: E402, F401

from lab.process import Failure, run, until  # noqa: E402

bind_layers(UDP, MPLS, dport=6635)
bind_layers(GRE, MPLS, proto=0x8847)

_ETH_P_ALL = 3
_OUTGOING = 4
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_TP_STATUS_VLAN_VALID = 0x10


class Wire:
    """Sends frames from a device and remembers those that arrive there. `owns`: addresses answered for (ARP).

    The device should have no address of the kernel's, which would answer too.
    """

    def __init__(self, netns, device, owns=()):
        self.mac = netns.mac(device)
        self.device = device
        self._owns = set(owns)
        self._frames = []
        self._socket = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.bind((device, _ETH_P_ALL))
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, name=f"wire-{device}", daemon=True)
        self._reader.start()
        netns.lab.at_close(self.close)

    def send(self, *packets):
        for packet in packets:
            self._socket.send(bytes(packet))

    def seen(self, wanted=lambda packet: True):
        """Arrived packets, as scapy reads them, that `wanted` accepts."""
        return [packet for packet in map(Ether, list(self._frames)) if wanted(packet)]

    def forget(self):
        self._frames.clear()

    def expect(self, wanted, what, seconds=5):
        """The first packet that `wanted` accepts, among those already there or to come."""
        try:
            return until(lambda: self.seen(wanted), seconds, what)[0]
        except Failure as failure:
            there = "\n".join(f"  {packet.summary()}" for packet in self.seen()[-20:])
            raise Failure(f"{failure}; what came on {self.device}:\n{there or '  nothing'}") from None

    def close(self):
        self._closing.set()
        self._reader.join(1)
        self._socket.close()

    def _read(self):
        while not self._closing.is_set():
            if not select.select([self._socket], [], [], 0.05)[0]:
                continue
            try:
                frame, auxiliary, _, address = self._socket.recvmsg(65536, socket.CMSG_SPACE(20))
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue  # told once each time that the device goes down
            if address[2] == _OUTGOING:
                continue
            frame = _with_tag(frame, auxiliary)
            self._frames.append(frame)
            self._answer(frame)

    def _answer(self, frame):
        if frame[12:14] != b"\x08\x06":
            return
        asked = Ether(frame)[ARP]
        if asked.op == 1 and asked.pdst in self._owns:
            self.send(Ether(src=self.mac, dst=asked.hwsrc) / ARP(
                op=2, hwsrc=self.mac, psrc=asked.pdst, hwdst=asked.hwsrc, pdst=asked.psrc))


def _with_tag(frame, auxiliary):
    """The frame as it was on the wire: the kernel takes an 802.1Q tag off and tells of it beside (struct tpacket_auxdata)."""
    for level, kind, data in auxiliary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, tci, protocol = struct.unpack("=I12xHH", data)
            if status & _TP_STATUS_VLAN_VALID:
                return frame[:12] + struct.pack("!HH", protocol or 0x8100, tci) + frame[12:]
    return frame


def tshark(lab, packets, *fields):
    """What tshark, which is nobody's of ours, reads in these packets: a list of {field: value}."""
    path = f"{lab.folder}/tshark.pcap"
    wrpcap(path, list(packets), linktype=1)
    wanted = [argument for field in fields for argument in ("-e", field)]
    lines = run("tshark", "-n", "-r", path, "-T", "fields", "-E", "occurrence=a", *wanted, seconds=60).stdout.split("\n")
    return [dict(zip(fields, line.split("\t"))) for line in lines[: len(list(packets))]]
