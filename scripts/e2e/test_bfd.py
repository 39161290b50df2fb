"""BFD with FRR's bfdd on the leaf routers and behind them; the network is that of test_uplinks.py."""

import itertools
import os
import pathlib
import subprocess
import sys
import time

from lab import probe
from lab.datagrams import Answerer, Flows, Stream
from lab.frr import Bfdd
from lab.order import alone
from lab.picture import KERNEL_MAC, RED_VNI, V4
from lab.process import hasten, until
from lab.wire import IP, UDP, VXLAN, PcapReader, Wire, wrpcap
from test_uplinks import FAR, FLOWS, OURS, PORT, Network, af_packet, busiest_first, check, ready, spread

SCRIPTS = pathlib.Path(__file__).resolve().parents[1]
MS, MULTIPLIER = 50, 3
# From the cut to the last packet that is lost: the detection time, and what a busy machine of two cores adds.
SECONDS = 0.05 * MULTIPLIER + 0.25
# Another address of k's.
FAR2 = "172.31.20.4"
HELD_SECONDS = 30
# Routes of one batch, and how long it must keep the control thread from answering: longer than a switch may take.
BATCH = 200_000
BUSY_SECONDS = 0.5


def timers():
    return (f"detect-multiplier {MULTIPLIER}", f"transmit-interval {MS}", f"receive-interval {MS}")


def session(name, remote, **more):
    return {"name": name, "vrf": "underlay", "remote": remote, "min_tx": MS, "min_rx": MS, "multiplier": MULTIPLIER, **more}


def sessions(network):
    return {row["name"]: row for row in network.vrouter.ask("show", "bfd")["bfd_sessions"]}


def are_up(network, *names):
    rows = sessions(network)
    return all(rows[name]["state"] == "up" and rows[name]["live"]["remote_state"] == "up" for name in names)


def with_leaves(picture, ports=None):
    """Sessions with both leaves. ports: further ones of h1's."""
    network = Network(picture, af_packet, ports=ports)
    hasten(network.vrouter.process.pid)
    network.answers_by(*network.leaves)
    ready(network)
    network.frr = {
        leaf.name: Bfdd(leaf.netns, leaf.name, (f"peer 172.31.{leaf.number}.1 local-address {leaf.address} interface host", *timers()))
        for leaf in network.leaves
    }
    network.vrouter.apply({"bfd_sessions": [session(leaf.name, leaf.address) for leaf in network.leaves]})
    until(lambda: are_up(network, "leaf1", "leaf2"), 10, "both sessions to come up")
    return network


@alone
def test_a_silent_gateway_is_left_within_the_detection_time(picture):
    network = with_leaves(picture)
    for leaf in network.leaves:
        said = network.frr[leaf.name].peers()[f"172.31.{leaf.number}.1"]
        assert said["status"] == "up" and said["remote-transmit-interval"] == MS and said["remote-detect-multiplier"] == MULTIPLIER, said
    live = sessions(network)["leaf1"]["live"]
    assert live["tx_interval_us"] == MS * 1000 and live["detection_time_us"] == MS * 1000 * MULTIPLIER, live
    flows = Flows(network.red1, FLOWS, V4["k"], PORT)
    with Answerer(network.k, "k", V4["k"], PORT):
        first = spread(network, flows)
        dying, other = busiest_first(network, first)
        network.answers_by(other)
        with Stream(flows, pause=0.001) as stream:
            time.sleep(0.3)
            cut_at = time.monotonic()
            dying.fall("host")
            until(lambda: sessions(network)[dying.name]["failed"], 5, f"{dying.name}'s session to fail")
            time.sleep(0.5)
        assert stream.lost(), "the silence was not felt at all"
        check(stream, cut_at, SECONDS, [port for port, leaf in first.items() if leaf is dying])
        assert set(network.ways(flows).values()) == {other}
        assert sessions(network)[other.name]["live"]["failures"] == 0
        told = network.vrouter.vrctl("explain", "--vif", "red1", "--src", V4["1"], "--dst", V4["k"], "--proto", "udp", "--dport", str(PORT)).stdout
        assert "BFD session has failed" in told, told
        # it is there again
        dying.rise("host")
        until(lambda: are_up(network, dying.name), 10, f"{dying.name}'s session to come up")
        assert network.ways(flows) == first


def test_who_ends_by_will_keeps_its_flows_and_who_is_killed_loses_them(picture):
    network = with_leaves(picture)
    flows = Flows(network.red1, FLOWS, V4["k"], PORT)
    with Answerer(network.k, "k", V4["k"], PORT):
        first = spread(network, flows)
        one, other = network.leaves
        peer = f"peer 172.31.{one.number}.1 local-address {one.address} interface host"
        network.frr[one.name].vtysh("configure terminal", "bfd", peer, "shutdown")
        until(lambda: sessions(network)[one.name]["live"]["remote_state"] == "admin_down", 5, "the leaf to say that it does not watch")
        row = sessions(network)[one.name]
        assert row["state"] == "down" and not row["failed"], row
        assert network.ways(flows) == first
        network.frr[one.name].vtysh("configure terminal", "bfd", peer, "no shutdown")
        until(lambda: are_up(network, one.name), 10, "the session to come up again")
        # its kernel goes on forwarding: flows that move lose nothing
        with Stream(flows) as stream:
            time.sleep(0.2)
            network.frr[one.name].kill()
            until(lambda: sessions(network)[one.name]["failed"], 5, "the session to fail")
            time.sleep(0.3)
        assert not stream.lost(), f"{len(stream.lost())} of {stream.sent} were lost"
        assert set(network.ways(flows).values()) == {other}
        network.frr[one.name].start()
        until(lambda: are_up(network, one.name), 10, "the session to come up again")
        assert network.ways(flows) == first
        # a session that is taken away says so, and its peer does not take it for a failure
        network.vrouter.vrctl("delete", "bfd", one.name)
        until(lambda: network.frr[one.name].peers()[f"172.31.{one.number}.1"]["status"] == "down", 5, "the peer to hear of it")
        said = network.frr[one.name].peers()[f"172.31.{one.number}.1"]
        assert said["remote-diagnostic"] == "administratively down", said
        assert network.ways(flows) == first


def test_paths_to_a_far_end_move_when_its_session_fails(picture):
    network = Network(picture, af_packet)
    hasten(network.vrouter.process.pid)
    network.answers_by(*network.leaves)
    ready(network)
    network.k.ip("address", "add", f"{FAR2}/32", "dev", "lo")
    for leaf in network.leaves:
        leaf.netns.ip("route", "replace", f"{FAR2}/32", "via", f"172.31.{leaf.number + 2}.3")
    bfdd = Bfdd(network.k, "k", (f"peer {OURS} multihop local-address {FAR}", "minimum-ttl 254", *timers()))
    path = [{"vxlan": {"remote": remote, "vni": RED_VNI, "mac": KERNEL_MAC}, "name": name} for name, remote in (("a", FAR), ("b", FAR2))]
    network.vrouter.apply({
        "bfd_sessions": [session("k", FAR, multihop=True)],
        "next_hop_groups": [{"name": "ks", "vrf": "red", "paths": path}],
        "routes": [{"vrf": "red", "prefix": f"{V4['k']}/32", "via": {"group": "ks"}}],
    })
    until(lambda: are_up(network, "k"), 10, "the session to come up")
    heard = [leaf.heard for leaf in network.leaves]

    def far_ends(flows):
        for wire in heard:
            wire.forget()
        assert set(flows.ask()) == {"k"}
        question = b"asked %d" % flows.asked

        def is_question(packet):
            return VXLAN in packet and UDP in packet[VXLAN] and bytes(packet[VXLAN][UDP].payload) == question

        def found():
            ends = {packet[VXLAN][UDP].sport: packet[IP].dst for wire in heard for packet in wire.seen(is_question)}
            return ends if len(ends) == FLOWS else None
        return until(found, 5, "each flow's question at the leaves")

    flows = Flows(network.red1, FLOWS, V4["k"], PORT)
    with Answerer(network.k, "k", V4["k"], PORT):
        first = far_ends(flows)
        assert set(first.values()) == {FAR, FAR2} and far_ends(flows) == first, first
        # the far end goes on answering: flows that move lose nothing
        with Stream(flows) as stream:
            time.sleep(0.2)
            bfdd.pause()
            until(lambda: sessions(network)["k"]["failed"], 5, "the session to fail")
            time.sleep(0.3)
        assert not stream.lost(), f"{len(stream.lost())} of {stream.sent} were lost"
        assert set(far_ends(flows).values()) == {FAR2}
        bfdd.resume()
        until(lambda: are_up(network, "k"), 10, "the session to come up again")
        assert set(far_ends(flows).values()) == {FAR2}, "who has moved stays"


@alone
def test_a_busy_worker_starves_no_session(picture):
    # a tenant whose port always has frames, each of a new flow, and one that takes them
    network = with_leaves(picture, {"flood": "source0,flows=new,clients=20.1.0.0/16,servers=20.2.0.1", "sink": "sink0"})
    vif = {"vrf": "flood", "gateway_v4": "20.0.0.1"}
    before = network.vrouter.stats()["workers"][0]
    network.vrouter.apply({
        "vrfs": [{"name": "flood"}],
        "vifs": [
            {"name": "flood", "port": "flood", "mac": "02:00:00:00:00:02", "addresses": ["20.1.0.1"], "spoofing_allowed": True, **vif},
            {"name": "sink", "port": "sink", "mac": "02:00:00:00:00:03", "addresses": ["20.2.0.1"], "spoofing_allowed": True, **vif},
        ],
    })
    first = sessions(network)
    captures = {leaf: Capture(leaf) for leaf in network.leaves}
    used = cpu_seconds(network.vrouter.process.pid, "vr-worker-0")
    start = time.monotonic()
    time.sleep(HELD_SECONDS)
    share = (cpu_seconds(network.vrouter.process.pid, "vr-worker-0") - used) / (time.monotonic() - start)
    rows = sessions(network)
    after = network.vrouter.stats()["workers"][0]
    polls, busy = (int(after[key]) - int(before[key]) for key in ("polls", "busy_polls"))
    packets = int(after["rx_packets"]) - int(before["rx_packets"])
    assert busy * 100 > polls * 95, f"the worker was not busy: {busy} of {polls} polls, {packets} packets"
    for leaf, capture in captures.items():
        ours, theirs = (capture.gaps(address) for address in (f"172.31.{leaf.number}.1", leaf.address))
        live, was = rows[leaf.name]["live"], first[leaf.name]["live"]
        silent = [gap for gap in theirs if gap > MS * MULTIPLIER / 1000 - 0.02]
        # bfdd may be late where the machine has other work; then its session fails by right
        assert max(ours) < MS * MULTIPLIER / 1000, f"{leaf.name} heard nothing of us for {max(ours):.3f} s"
        assert live["failures"] - was["failures"] <= len(silent), f"{live}; {leaf.name} was silent for {max(theirs):.3f} s at most"
        print(f"    {leaf.name}: we were silent for {max(ours):.3f} s at most, it for {max(theirs):.3f} s; {live['failures'] - was['failures']} failures")
    until(lambda: are_up(network, *rows), 10, "the sessions to be up")
    print(f"    {packets // HELD_SECONDS} packets a second, {100 * busy // polls} % of the polls busy, {share:.0%} of a core")
    # the books are read at rest
    for gone in (("vif", "flood"), ("port", "flood")):
        network.vrouter.vrctl("delete", *gone, "--sync")


class Capture:
    """What BFD says at a leaf, with times."""

    def __init__(self, leaf):
        self._path = f"{leaf.netns.lab.folder}/{leaf.name}.pcap"
        self._process = leaf.netns.start("tcpdump", "-i", "host", "-n", "-U", "-w", self._path, "udp port 3784", log=f"{leaf.name}.tcpdump.log")
        until(lambda: "listening" in self._process.output(), 10, "tcpdump to listen")

    def gaps(self, source):
        """Seconds between two packets of this sender, both of which say that the session is up."""
        self._process.stop()
        with PcapReader(self._path) as packets:
            told = [(float(packet.time), bytes(packet[UDP].payload)[1] >> 6) for packet in packets if packet[IP].src == source]
        return [after[0] - before[0] for before, after in itertools.pairwise(told) if before[1] == after[1] == 3]


def cpu_seconds(pid, thread):
    """What a thread has used of a processor."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == thread:
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    raise AssertionError(f"no thread {thread}")


@alone
def test_a_batch_of_routes_does_not_delay_the_switch(picture):
    network = with_leaves(picture)
    flows = Flows(network.red1, FLOWS, V4["k"], PORT)
    with Answerer(network.k, "k", V4["k"], PORT):
        first = spread(network, flows)
        dying, other = busiest_first(network, first)
        network.answers_by(other)
        bulk = picture.lab.start(
            "env", f"PYTHONPATH={SCRIPTS}", sys.executable, "-m", "lab.bulk", "--socket", network.vrouter.socket,
            "--folder", f"{picture.lab.folder}/stubs", "--vrf", "red", "--routes", str(BATCH), log="bulk.log")
        until(lambda: "begins" in bulk.output(), 90, "the batches to be made")
        # while the control thread makes a batch it answers nobody: cut when a question has waited long
        waits = []
        until(lambda: bulk.is_running() and is_busy(network, waits), 60, "the control thread to be busy")
        with Stream(flows, pause=0.001) as stream:
            time.sleep(0.1)
            cut_at = time.monotonic()
            dying.fall("host")
            end = time.monotonic() + 2
            while time.monotonic() < end:
                is_busy(network, waits)
        assert bulk.is_running(), bulk.output()
        bulk.stop()
        check(stream, cut_at, SECONDS, [port for port, leaf in first.items() if leaf is dying])
        until(lambda: sessions(network)[dying.name]["failed"], 10, "the model to be told")
        assert set(network.ways(flows).values()) == {other}
        print(f"    a question to the control thread waited up to {max(waits):.2f} s")


def is_busy(network, waits):
    """Asks, and whether the answer came late."""
    start = time.monotonic()
    network.vrouter.ask("status")
    waits.append(time.monotonic() - start)
    return waits[-1] > BUSY_SECONDS


def test_tshark_reads_our_packets(picture):
    network = with_leaves(picture)
    wire = Wire(network.leaves[0].netns, "host")
    ours = lambda packet: IP in packet and packet[IP].src == "172.31.1.1" and UDP in packet and packet[UDP].dport == 3784  # noqa: E731
    until(lambda: len(wire.seen(ours)) >= 5, 5, "packets of ours")
    path = f"{picture.lab.folder}/bfd.pcap"
    wrpcap(path, wire.seen(ours)[:5])
    fields = ["ip.ttl", "udp.srcport", "udp.checksum.status", "bfd.version", "bfd.sta", "bfd.detect_time_multiplier", "bfd.message_length",
              "bfd.desired_min_tx_interval", "bfd.required_min_rx_interval", "_ws.malformed"]
    command = ["tshark", "-r", path, "-o", "udp.check_checksum:TRUE", "-T", "fields", *(part for field in fields for part in ("-e", field))]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(told) == 5, told
    for row in told:
        ttl, source, checksum, *rest = row.split("\t")
        assert (ttl, checksum, rest) == ("255", "1", ["1", "0x03", "3", "24", str(MS * 1000), str(MS * 1000), ""]), row
        assert 49152 <= int(source), row
    assert len({row.split("\t")[1] for row in told}) == 1, "more than one source port"
    probe.ping(network.red1, V4["k"])
