"""Flows outlive their daemon: a killed one, and the next one that adopts what it left in the flow file."""

import contextlib
import os
import re
import struct
import time

import yaml

from lab import probe
from lab.hugepages import HugePages
from lab.order import alone
from lab.picture import V4, network
from lab.process import Failure, until

# Seconds without a packet, on ports whose devices stay (AF_PACKET), that a restart may cost.
OUTAGE = 1.0
# Where a flow file has its layout version.
VERSION_AT = 8


def strict(host):
    """The host's network where TCP begins with SYN: what has no flow any more has no way."""
    objects = network(host)
    return {**objects, "settings": {**objects["settings"], "tcp_strict": True}}


def start(picture, folder="/dev/shm"):
    """h1 with a flow file and its objects from the start, and h2; both strict. The file's path, and h1."""
    path = f"{folder}/{picture.lab.prefix}-h1.flows"
    picture.lab.at_close(_remove, path)
    more = {"flow_table": {"file": path}, "state": strict("h1")}
    h1 = picture.start("h1", strict("h1"), more=more)
    picture.start("h2", strict("h2"))
    return path, h1


def _remove(path):
    for name in (path, f"{path}.new", f"{path}.refused"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def flow_to(h1, port):
    flows = h1.ask("flows", "--proto", "tcp", "--port", str(port))["flows"]
    assert len(flows) == 1, flows
    return flows[0]


def retransmissions(netns, port):
    told = netns.run("ss", "-tinH", f"dport = :{port}").stdout
    found = re.search(r"retrans:\d+/(\d+)", told)
    return int(found.group(1)) if found else 0


@alone
def test_a_connection_outlives_its_daemon(picture):
    path, h1 = start(picture)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    # Nothing lets red2's port 9000 in, but red1 began.
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=5) as connection:
        probe.echo(connection, b"before" * 1000)
        before = flow_to(h1, 9000)
        assert h1.ask("status")["flow_file"]["rebuilt"] == "there was no file"
        for _ in range(2):
            numbered = red1.start("ping", "-n", "-i", "0.02", "-c", "250", V4["2"], log="numbered.log")
            until(lambda: "icmp_seq=20 " in numbered.output(), 5, "pings to be answered")
            h1.kill()
            # what nobody carries
            connection.sendall(b"meanwhile")
            h1.start()
            assert connection.recv(100) == b"meanwhile"
            probe.echo(connection, b"after" * 1000)
            numbered.exit_code(20)
            lost = 250 - int(re.search(r"(\d+) received", numbered.output()).group(1))
            resent = retransmissions(red1, 9000)
            assert resent > 0, "nothing was lost: this test would prove nothing"
            print(f"    without a packet for {lost * 0.02:.2f} s, {resent} segments were sent again")
            assert 0 < lost * 0.02 < OUTAGE, f"{lost} pings of one each 20 ms were lost"
            status, after = h1.ask("status"), flow_to(h1, 9000)
            assert status["flow_file"]["rebuilt"] == "" and status["flow_file"]["adopted"] >= 1, status
            assert after["age_ms"] > status["uptime_ms"], f"{after} began with the daemon: {status}"
            assert int(after["bytes"]) > int(before["bytes"]) and after["state"] == "established", (before, after)
            before = after
        assert not {"tcp_not_syn", "acl_to_vif"} & set(h1.drops()), h1.drops()


@alone
def test_a_connection_goes_on_before_any_controller_speaks(picture):
    path = f"/dev/shm/{picture.lab.prefix}-h1.flows"
    picture.lab.at_close(_remove, path)
    h1 = picture.start("h1", strict("h1"), more={"flow_table": {"file": path}, "state_dir": f"{picture.lab.folder}/h1.state"})
    picture.start("h2", strict("h2"))
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=5) as connection:
        probe.echo(connection, b"before" * 1000)
        began = time.monotonic()
        h1.kill()
        h1.start()
        probe.echo(connection, b"after" * 1000)
        print(f"    new bytes came {time.monotonic() - began:.2f} s after the kill")
        status, flow = h1.ask("status"), flow_to(h1, 9000)
        assert status["flow_file"]["adopted"] >= 1 and flow["age_ms"] > status["uptime_ms"], (status, flow)
    assert "tcp_not_syn" not in h1.drops(), h1.drops()


def test_without_its_flows_the_connection_breaks(picture):
    path, h1 = start(picture)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=2) as connection:
        probe.echo(connection, b"before" * 1000)
        h1.kill()
        os.unlink(path)
        h1.start()
        try:
            probe.echo(connection, b"after" * 1000)
        except TimeoutError:
            h1.expect_drop("tcp_not_syn", {})
            return
    raise Failure("it went on without the flow: the test of adoption would prove nothing")


def test_a_daemon_that_ends_in_peace_leaves_its_flows(picture):
    _, h1 = start(picture)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=5) as connection:
        probe.echo(connection, b"before" * 1000)
        assert h1.stop() == 0
        h1.start()
        probe.echo(connection, b"after" * 1000)
        assert h1.ask("status")["flow_file"]["adopted"] >= 1


def test_flows_on_huge_pages_outlive_their_daemon_too(picture):
    path, h1 = start(picture, HugePages(picture.lab, 64).folder)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    assert "huge pages of 2 MiB" in h1.process.output(), h1.process.output()
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=5) as connection:
        probe.echo(connection, b"before" * 1000)
        h1.kill()
        h1.start()
        probe.echo(connection, b"after" * 1000)
        assert h1.ask("status")["flow_file"]["adopted"] >= 1
    assert h1.stop() == 0
    os.unlink(path)
    h1.start()


def test_a_file_of_another_layout_is_refused_and_made_anew(picture):
    path, h1 = start(picture)
    probe.ping(picture["red1"].netns, V4["2"])
    h1.kill()
    with open(path, "r+b") as file:
        file.seek(VERSION_AT)
        ours = struct.unpack("<Q", file.read(8))[0]
        file.seek(VERSION_AT)
        file.write(struct.pack("<Q", ours - 1))
    h1.start()
    told = h1.ask("status")["flow_file"]
    assert told["rebuilt"] == f"layout version: {ours - 1} in the region, ours is {ours}", told
    assert told["rebuilt"] in h1.process.output() and told["rebuilt"] in h1.vrctl("status").stdout
    probe.ping(picture["red1"].netns, V4["2"])
    # what is somebody's is not removed
    h1.kill()
    with open(path, "w") as file:
        file.write("a letter")
    h1.start()
    assert open(f"{path}.refused").read() == "a letter"
    assert "put aside" in h1.ask("status")["flow_file"]["rebuilt"]
    probe.ping(picture["red1"].netns, V4["2"])


def test_two_daemons_never_share_a_file(picture):
    path, h1 = start(picture)
    second = {**yaml.safe_load(open(h1.config)), "ports": [], "socket": f"{picture.lab.folder}/second.sock", "state": {}}
    second["eal"] = {**second["eal"], "file_prefix": f"{second['eal']['file_prefix']}-second"}
    config = f"{picture.lab.folder}/second.yaml"
    with open(config, "w") as file:
        yaml.safe_dump(second, file)
    done = h1.host.netns.run(f"{h1.bin}/vrouter", "--config", config, check=False)
    assert done.returncode == 4 and f"{path}: another process has it" in done.stderr, done.stderr
    probe.ping(picture["red1"].netns, V4["2"])


@alone
def test_a_restart_takes_what_it_takes(picture):
    """Where the time of a restart goes, for people."""
    _, h1 = start(picture)
    begin = time.monotonic()
    h1.kill()
    killed = time.monotonic()
    h1.start()
    print(f"    killed in {killed - begin:.2f} s, ready after {time.monotonic() - killed:.2f} s")
    probe.ping(picture["red1"].netns, V4["2"])
