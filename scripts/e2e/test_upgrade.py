"""A daemon goes on as another program: flows, objects and sockets stay, and what fails changes nothing."""

import contextlib
import os
import pathlib
import re
import shutil
import stat
import threading
import time

from lab import probe
from lab.datagrams import Answerer, Flows, Stream
from lab.load import Load
from lab.client import Client, stubs
from lab.order import alone
from lab.picture import V4, network
from lab.process import Failure, until

# Seconds without a packet that an upgrade may cost on a machine that is busy otherwise; scripts/drill tells what it costs on a quiet one.
OUTAGE = 1.0


def strict(host):
    """The host's network where TCP begins with SYN: what has no flow any more has no way."""
    objects = network(host)
    return {**objects, "settings": {**objects["settings"], "tcp_strict": True}}


def start(picture, **more):
    """h1 with a flow file and, by default, a state directory, and h2; both strict."""
    path = f"/dev/shm/{picture.lab.prefix}-h1.flows"
    picture.lab.at_close(_remove, path)
    h1 = picture.start("h1", strict("h1"), more={"flow_table": {"file": path}, "state_dir": f"{picture.lab.folder}/h1.state", **more})
    picture.start("h2", strict("h2"))
    return h1


def _remove(path):
    for name in (path, f"{path}.new", f"{path}.refused"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def flow_to(h1, port):
    flows = h1.ask("flows", "--proto", "tcp", "--port", str(port))["flows"]
    assert len(flows) == 1, flows
    return flows[0]


@alone
def test_a_connection_goes_on_across_upgrades(picture):
    h1 = start(picture)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    # Nothing lets red2's port 9000 in, but red1 began.
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=5) as connection:
        probe.echo(connection, b"before" * 1000)
        before = flow_to(h1, 9000)
        for _ in range(3):
            pid = h1.process.pid
            told = h1.upgrade()
            assert told["pid"] == h1.process.pid != pid and told["flow_file"]["adopted"] >= 1, told
            print("   ", f"ports stood still for {told['outage_us'] / 1000:.1f} ms:",
                  ", ".join(f"{phase['name']} {phase['microseconds'] / 1000:.1f}" for phase in told["phases"]))
            probe.echo(connection, b"after" * 1000)
            status, after = h1.ask("status"), flow_to(h1, 9000)
            assert after["age_ms"] > status["uptime_ms"], f"{after} began with the daemon: {status}"
            assert int(after["bytes"]) > int(before["bytes"]) and after["state"] == "established", (before, after)
            before = after
        assert not {"tcp_not_syn", "acl_to_vif"} & set(h1.drops()), h1.drops()
