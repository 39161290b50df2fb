"""One run of a scenario from files to files, whose frames scapy and tshark check before figures of it are believed.

The sources' own frames are written by a daemon that only moves; then the daemon under test forwards them, and each frame that comes out is
held against the one that went in, which its stamp names.
"""

from lab.bed import Bed, port
from lab.process import Failure, run, until
from lab.wire import IP, MPLS, UDP, VXLAN, Ether, IPv6, PcapReader

FLOWS, FRAMES = 64, 128
# As sources and sinks have it: a tunnel's headers around a tenant's 1,500 bytes.
MTU = 1600
MAGIC = b"\x76\x52"
LAYERS = {"Ether": Ether, "IP": IP, "IPv6": IPv6, "UDP": UDP, "VXLAN": VXLAN, "MPLS": MPLS}
SETTINGS = {"workers": {"count": 1}, "idle": "backoff", "mempool": {"mbufs": 8192}}


def check(bin, folder, row, prefix):
    """Failure when a frame is lost, malformed or not what it should be. Returns how many frames were checked."""
    settings = {**SETTINGS, "eal": {"huge_pages": False, "memory_mb": 64, "file_prefix": prefix}}
    offered, files = {}, {}
    for name, devargs in row.devargs(rate=1000).items():
        if devargs.startswith("source"):
            offered[name] = folder / f"{name}.in.pcap"
            write(bin, folder, settings, alone(devargs), offered[name])
    for index, name in enumerate(row.devargs()):
        given = f",rx_pcap={offered[name]}" if name in offered else ""
        files[name] = folder / f"{name}.out.pcap"
        settings.setdefault("devargs", {})[name] = f"net_pcap{index}{given},tx_pcap={files[name]}"
    devargs = settings.pop("devargs")
    expected = FRAMES * len(offered)
    settings |= {"limits": {"flows_v4": 4096, "flows_v6": 4096}, "state": row.network()}
    with Bed(bin, folder, "checked", devargs, settings, mtu=MTU) as bed:
        def gone():
            stats = bed.stats()
            return sum(int(port(stats, name)["tx_packets"]) for name in devargs) >= expected
        try:
            until(gone, 10, f"{expected} frames to be forwarded")
        except Failure as failure:
            raise Failure(f"{row}: {failure}: {bed.stats()['drops']}") from None
    sent = {stamp(frame): frame for path in offered.values() for frame in read(path)}
    for name, path in files.items():
        tshark(path)
        for frame in read(path):
            before = sent.pop(stamp(frame), None)
            if before is None:
                raise Failure(f"{row}: a frame left by {name} that nobody sent, or twice: {frame.hex()}")
            compare(row, name, Ether(before), Ether(frame))
    if sent:
        raise Failure(f"{row}: {len(sent)} frames did not arrive")
    return expected


def alone(devargs, flows=FLOWS, frames=FRAMES):
    """The source with so many flows and frames, unpaced, waiting for nobody."""
    words = [word for word in devargs.split(",") if not word.startswith(("rate=", "after=", "frames=", "flows="))]
    return ",".join([*words, f"flows={flows}", f"frames={frames}"])


def write(bin, folder, settings, source, path, frames=FRAMES):
    """A source's frames in a file."""
    with Bed(bin, folder, "source", {"a": source, "b": f"net_pcap0,tx_pcap={path}"}, settings, only_move=True) as bed:
        until(lambda: int(port(bed.stats(), "b")["tx_packets"]) == frames, 10 + frames / 10_000, "a source's frames")


def read(path):
    with PcapReader(str(path)) as reader:
        return [bytes(frame) for frame in reader]


def tshark(path):
    """Failure when tshark finds a malformed frame or a wrong checksum."""
    options = [word for name in ("ip.check_checksum", "udp.check_checksum") for word in ("-o", f"{name}:TRUE")]
    bad = "_ws.malformed or ip.checksum.status == Bad or udp.checksum.status == Bad"
    found = run("tshark", "-r", str(path), *options, "-d", "udp.port==6635,mpls", "-Y", bad).stdout
    if found:
        raise Failure(f"tshark finds fault with\n{found[:2000]}")


def stamp(frame):
    """What names a frame: stream and sequence number."""
    if frame[-16:-14] != MAGIC:
        raise Failure(f"a frame without a stamp: {frame.hex()[:200]}")
    return frame[-14:-8]


def innermost(packet):
    """The tenant's IP packet."""
    found = None
    while packet:
        found = packet if isinstance(packet, (IP, IPv6)) else found
        packet = packet.payload
    return found


def compare(row, port, before, after):
    """The tenant's packet is the same but for one hop, and the frame's fields are those that the scenario says."""
    one, other = innermost(before), innermost(after)
    hops = "ttl" if isinstance(one, IP) else "hlim"
    wanted = one.copy()
    setattr(wanted, hops, getattr(one, hops) - 1)
    if isinstance(one, IP):
        del wanted.chksum
    if bytes(wanted) != bytes(other):
        raise Failure(f"{row}: at {port} came\n{other.show(dump=True)}\nof\n{one.show(dump=True)}")
    for name, value in row.frames().get(port, {}).items():
        layer, field = name.split(".")
        found = after.getlayer(LAYERS[layer])
        if found is None or str(getattr(found, field)) != str(value):
            raise Failure(f"{row}: at {port} {name} is not {value}:\n{after.show(dump=True)}")
