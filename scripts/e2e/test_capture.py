"""vrctl capture beside real traffic: its files as tshark, capinfos and tcpdump read them, and what becomes of it when its client goes."""

import json
import os
import re
import signal

from lab import probe
from lab.picture import V4
from lab.process import Process, run, until
from lab.wire import ARP, ICMP, IP, Ether, Wire


class Capture:
    """A capture of a vRouter's that has begun."""

    def __init__(self, vrouter, name, *arguments):
        folder = vrouter.lab.folder
        self.path = f"{folder}/{name}.pcapng"
        command = (f"{vrouter.bin}/vrctl", "--socket", vrouter.socket, "capture", "-w", self.path, *arguments)
        self.process = Process(command, f"{folder}/{name}.log")
        until(lambda: "capturing at" in self.process.output() or not self.process.is_running(), 10, f"{name} to begin")
        assert self.process.is_running(), self.process.output()

    def end(self):
        """What vrctl says of it."""
        self.process.signal(signal.SIGTERM)
        assert self.process.exit_code() == 0, self.process.output()
        return self.process.output()

    def read(self, *fields, wanted=""):
        """The file's frames, as tshark reads them: a list of {field: value}."""
        arguments = [argument for field in fields for argument in ("-e", field)]
        lines = run("tshark", "-n", "-r", self.path, "-Y", wanted, "-T", "fields", *arguments, seconds=60).stdout.splitlines()
        return [dict(zip(fields, line.split("\t"))) for line in lines]


def test_a_ping_is_there_as_it_came_and_as_it_left(picture):
    h1, _ = picture.start_both()
    probe.ping(picture["red1"].netns, V4["2"])
    red1 = Wire(picture["red1"].netns, "eth0")
    taken = Capture(h1, "ping", "--at", "rx,tx,drop", "icmp", "or", "(", "vxlan", "100", "and", "icmp", ")")
    pings(picture["red1"].netns, 3)
    told = taken.end()
    assert "12 frames captured, 0 lost" in told, told
    fields = ("frame.interface_name", "frame.packet_flags_direction", "vxlan.vni", "icmp.type", "frame.comment")
    seen = {}
    for row in taken.read(*fields, wanted="icmp"):
        way = (row["frame.interface_name"], int(row["frame.packet_flags_direction"], 0), row["vxlan.vni"], row["icmp.type"])
        seen.setdefault(way, []).append(row["frame.comment"])
    uplink = next(way[0] for way in seen if way[2])
    assert {way: len(comments) for way, comments in seen.items()} == {
        ("red1", 1, "", "8"): 3, (uplink, 2, "100", "8"): 3, (uplink, 1, "100", "0"): 3, ("red1", 2, "", "0"): 3}, seen
    asked, left = seen["red1", 1, "", "8"][0], seen[uplink, 2, "100", "8"][0]
    assert re.fullmatch(rf"vrf red, icmp {V4['1']} > {V4['2']} type 8 code 0 id \d+", asked), asked
    assert left == "entered by vif red1", left
    # what left is what came
    arrived = {bytes(packet) for packet in red1.seen(lambda packet: ICMP in packet and packet[ICMP].type == 0)}
    left = {bytes.fromhex(row["frame"]) for row in frames(taken, "icmp.type == 0 && frame.interface_name == red1")}
    assert len(left) == 3 and left == arrived, (left, arrived)
    # checksums that the device would have put in are there
    for row in frames(taken, "vxlan"):
        header = Ether(bytes.fromhex(row["frame"]))[IP].copy()
        there = header.chksum
        del header.chksum
        assert IP(bytes(header)).chksum == there, row
    # nobody complains about the file, which says what each interface had
    assert re.search(r"Number of packets:\s+12", run("capinfos", "-M", taken.path).stdout), run("capinfos", taken.path).stdout
    assert run("tcpdump", "-Z", "root", "-n", "-r", taken.path, "icmp").stdout.count("ICMP") == 6


def pings(netns, count, *options):
    """So many to red2, each answered once."""
    done = netns.run("ping", "-n", "-c", str(count), "-i", "0.1", *options, V4["2"])
    assert f"{count} received, 0% packet loss" in done.stdout, done.stdout


def frames(taken, wanted):
    """The bytes of those frames."""
    rows = run("tshark", "-n", "-r", taken.path, "-Y", wanted, "-T", "jsonraw", "-J", "frame", seconds=60).stdout
    return [{"frame": found} for found in re.findall(r'"frame_raw": \[\s*"([0-9a-f]+)"', rows)]


def test_a_drop_says_why_and_by_whom(picture):
    h1 = picture.start("h1")
    red1 = Wire(picture["red1"].netns, "eth0")
    drops = Capture(h1, "drops", "--at", "drop", "--vif", "red1", "icmp", "and", "dst", "host", "10.9.9.9")
    before = h1.drops()
    frame = bytes(Ether(src=red1.mac, dst="00:00:5e:00:01:00") / IP(src=V4["1"], dst="10.9.9.9") / ICMP(id=77) / b"dropped")
    red1.send(frame)
    h1.expect_drop("no_route", before)
    assert "1 frames captured, 0 lost" in drops.end()
    row = drops.read("frame.interface_name", "frame.comment", "frame.len")[0]
    assert row["frame.comment"] == f"dropped: no_route by vrf red, vrf red, icmp {V4['1']} > 10.9.9.9 type 8 code 0 id 77", row
    assert (row["frame.interface_name"], row["frame.len"]) == ("red1", str(len(frame))), row
    assert [found["frame"] for found in frames(drops, "icmp")] == [frame.hex()]


def test_a_pipe_is_read_as_it_is_written(picture):
    h1, _ = picture.start_both()
    vrctl = f"{picture.bin}/vrctl --socket {h1.socket}"
    path = f"{picture.lab.folder}/piped"
    command = f"{vrctl} capture --vif red1 icmp | tshark -l -n -i - -c 2 -T fields -e icmp.type > {path}"
    piped = Process(("sh", "-c", command), f"{picture.lab.folder}/piped.log")
    until(lambda: "capturing at rx, tx of vif red1" in piped.output(), 10, "the capture to begin")
    # it ends after two, without the capture's end
    until(lambda: picture["red1"].run("ping", "-c", "1", "-W", "1", V4["2"], check=False) and not piped.is_running(), 20,
          "tshark to read two frames")
    with open(path) as lines:
        assert sorted(set(lines.read().split())) == ["0", "8"]
    lines = h1.vrctl("capture", "--lines", "--seconds", "1", "--at", "drop", "icmp").stdout
    assert lines == "", lines


def test_who_is_killed_makes_room_for_another(picture):
    h1 = picture.start("h1")
    # that the books hold something
    picture["red1"].run("ping", "-c", "1", "-W", "1", "10.1.1.1", check=False)
    used = lambda: next(limit for limit in h1.ask("status")["limits"] if limit["name"] == "captures")["used"]  # noqa: E731
    four = [Capture(h1, f"capture{number}") for number in range(4)]
    assert used() == 4
    fifth = h1.vrctl("capture", "-w", f"{picture.lab.folder}/fifth", check=False)
    assert (fifth.returncode, fifth.stderr) == (1, "vrctl: refused: 4 captures are on already\n"), fifth
    four[1].process.signal(signal.SIGKILL)
    four[1].process.exit_code()
    until(lambda: used() == 3, 5, "the capture of the killed one to end")
    again = Capture(h1, "again", "--seconds", "1")
    assert again.process.exit_code() == 0, again.process.output()
    for one in (four[0], four[2], four[3]):
        one.end()
    until(lambda: used() == 0, 5, "all captures to end")
    bad = h1.vrctl("capture", "tcp", "port", "http", check=False)
    assert (bad.returncode, bad.stderr) == (1, 'vrctl: refused: capture: filter: column 10: "http" is no port (0 to 65535)\n'), bad


def test_a_client_that_stands_still_delays_nobody(picture):
    h1, _ = picture.start_both()
    probe.ping(picture["red1"].netns, V4["2"])
    taken = Capture(h1, "still")
    taken.process.signal(signal.SIGSTOP)
    for _ in range(10):
        pings(picture["red1"].netns, 200, "-q", "-i", "0.002", "-s", "1200")
    taken.process.signal(signal.SIGCONT)
    until(lambda: os.path.getsize(taken.path) > 1000 * 1200, 10, "what waited to be read")
    told = taken.end()
    captured, lost = (int(number.replace("_", "")) for number in re.search(r"([\d_]+) frames captured, ([\d_]+) lost", told).groups())
    assert lost > 0 and captured > 1000, told
    there = run("tshark", "-r", taken.path, "-T", "fields", "-e", "frame.number").stdout.split()
    assert len(there) == captured, (len(there), told)


def test_what_tcpdump_chooses_is_chosen(picture):
    """The same traffic by a filter of ours and by tcpdump's from a capture of everything.

    The captures begin and end one after the other: each filter chooses only what comes while all of them are on, not the ARP of kernels.
    """
    h1, _ = picture.start_both()
    red1 = Wire(picture["red1"].netns, "eth0")
    probe.ping(picture["red1"].netns, V4["2"])
    everything = Capture(h1, "everything")
    chosen = {text: Capture(h1, f"chosen{number}", *text.split()) for number, text in enumerate(
        ("icmp and host 10.1.1.12 or arp and host 10.1.1.77", "udp dst port 4789 and not dst net 172.31.0.2/32", "vxlan 100 and src host 10.1.1.12"))}
    red1.send(Ether(src=red1.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=red1.mac, psrc=V4["1"], pdst="10.1.1.77"))
    pings(picture["red1"].netns, 3)
    picture["blue1"].run("ping", "-c", "2", V4["2"])
    for one in (everything, *chosen.values()):
        one.end()
    for text, one in chosen.items():
        ours = [row["frame"] for row in frames(one, "frame")]
        if text.startswith("vxlan"):
            rows = frames(everything, "vxlan.vni == 100 && ip.src == 10.1.1.12")
        else:
            run("tcpdump", "-r", everything.path, "-w", f"{everything.path}.chosen", "-Z", "root", text)
            rows = frames(type("File", (), {"path": f"{everything.path}.chosen"}), "frame")
        assert sorted(ours) == sorted(row["frame"] for row in rows) and ours, (text, len(ours), len(rows))


def test_a_trace_tells_the_ways_that_packets_take(picture):
    h1, _ = picture.start_both()
    probe.ping(picture["red1"].netns, V4["2"])
    command = (f"{picture.bin}/vrctl", "--socket", h1.socket, "trace", "-o", "json", "-c", "8", "--vif", "red1", "icmp")
    trace = Process(command, f"{picture.lab.folder}/trace.log")
    until(lambda: "waiting for 8 packets" in trace.output(), 10, "the trace to begin")
    pings(picture["red1"].netns, 3)
    picture["red1"].run("ping", "-c", "5", "-i", "0.1", "-W", "1", "10.9.9.9", check=False)
    assert trace.exit_code() == 0, trace.output()
    told = json.loads(trace.output().split("\n", 1)[1])
    ways = [(way["packets"], way["vif"], way["verdict"]) for way in told["ways"]]
    assert ways == [(5, "red1", "no_route"), (3, "red1", "forward")] and told["lost"] == 0, told
    lost, sent = told["ways"]
    assert any(step["name"] == "route" and step["object"] == "vrf red" for step in lost["steps"]), lost
    assert "vxlan vni 100" in sent["result"] and V4["2"] in sent["example"], sent
    for way in (lost, sent):
        stages = {stage["stage"]: stage for stage in way["cycles"]["stages"]}
        # no lane: ICMP
        assert set(stages) == {"rx", "lane_lookup", "classify", "lookup", "decide", "act", "finish"}, way
        whole = sum(stage["mean"] * stage["packets"] for stage in stages.values()) / way["packets"]
        assert whole > 0 and abs(whole - way["cycles"]["mean"]) < 1, way
