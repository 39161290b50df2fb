"""A daemon goes on as another program: flows, objects and sockets stay, and what fails changes nothing."""

import contextlib
import os
import pathlib
import re
import struct
import threading
import time

import grpc

from lab import probe
from lab.client import Client, stubs
from lab.datagrams import Answerer, Flows, Stream
from lab.load import Load
from lab.order import alone
from lab.picture import V4, network
from lab.process import Failure, until

# Seconds without a packet that an upgrade may cost on a machine that is busy otherwise; scripts/drill tells what it costs on a quiet one.
OUTAGE = 1.0


def strict(host):
    """The host's network where TCP begins with SYN: what has no flow any more has no way."""
    objects = network(host)
    return {**objects, "settings": {**objects["settings"], "tcp_strict": True}}


def start(picture, eal=None, **more):
    """h1 with a flow file and, by default, a state directory, and h2; both strict."""
    path = f"/dev/shm/{picture.lab.prefix}-h1.flows"
    picture.lab.at_close(_remove, path)
    h1 = picture.start("h1", strict("h1"), eal=eal, more={"flow_table": {"file": path}, "state_dir": f"{picture.lab.folder}/h1.state", **more})
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


@alone
def test_numbered_packets_tell_what_an_upgrade_costs(picture):
    h1 = start(picture)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    probe.ping(red1, V4["2"])
    with Answerer(red2, "red2", V4["2"], 7000), Stream(Flows(red1, 16, V4["2"], 7000), 0.002) as stream:
        time.sleep(0.5)
        told = h1.upgrade()
        time.sleep(1.5)
    lost, twice = len(stream.lost()), len(stream.back) - len(set(stream.back))
    print(f"    {lost} of {stream.sent} packets were lost and {twice} came twice, one each 2 ms; ports stood still for {told['outage_us'] / 1000:.1f} ms")
    assert lost * 0.002 < OUTAGE, f"{lost} of {stream.sent} were lost"
    assert lost < stream.sent // 2 and stream.sent > 200, stream.sent


def test_what_was_programmed_is_there_without_a_state_directory(picture):
    h1 = start(picture, state_dir=None)
    h1.vrctl("add", "route", "--vrf", "red", "10.77.0.0/16", "--via", "drop: true", "--sync")
    h1.apply({"ports": [{"name": "late", "devargs": "net_tap9,iface=late"}]})
    before = h1.ask("show", "all")
    told = h1.upgrade()
    after = h1.ask("show", "all")
    assert told["version"] and not any(differences(before, after).values()), differences(before, after)
    print(f"    with a tap among its ports: they stood still for {told['outage_us'] / 1000:.1f} ms")
    # and batches are taken again
    h1.vrctl("delete", "port", "late", "--sync")


def differences(before, after):
    """What only one of the two shows, but for what is learnt and its routes. A tap has a MAC of its own in each process, and devices say by and by that they have a link."""
    def rows(shown, kind):
        listed = shown[kind] if isinstance(shown[kind], list) else [shown[kind]]
        told = [row for row in listed if not (isinstance(row, dict) and (row.get("learnt") or row.get("owner") == "vif"))]
        return [{**row, "mac": "", "link_up": True} if kind == "ports" else row for row in told]
    kinds = [kind for kind in before if kind != "generation"]
    return {kind: [row for row in [*rows(before, kind), *rows(after, kind)] if row not in rows(before, kind) or row not in rows(after, kind)] for kind in kinds}


# ------------------------------------------------------------------------------------------------ what fails

HEIR = """#!/usr/bin/python3
import json, socket, sys, time
channel = socket.socket(fileno=0)
hello = json.loads(channel.recv(65536))["Hello"]
def say(word):
    channel.send(json.dumps(word).encode())
def hear():
    return json.loads(channel.recv(65536) or b'"gone"')
"""


def program(picture, name, text, mode=0o755):
    """A program in a folder from which the daemon may run some."""
    path = pathlib.Path(picture.lab.folder) / name
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(h1, binary, *options):
    """What vrctl says of an upgrade that does not come about: the same process goes on, and takes changes."""
    done = h1.vrctl("upgrade", str(binary), *options, check=False)
    assert done.returncode == 1 and h1.process.is_running(), (done.returncode, done.stderr, h1.process.output())
    h1.vrctl("add", "route", "--vrf", "red", "10.78.0.0/16", "--via", "drop: true", "--sync")
    h1.vrctl("delete", "route", "--vrf", "red", "10.78.0.0/16", "--sync")
    pids = h1.host.netns.pids()
    assert pids == [h1.process.pid], f"others are left: {pids}"
    return done.stderr


def test_a_bad_program_changes_nothing(picture):
    h1 = start(picture)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    folder = picture.lab.folder
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=5) as connection:
        probe.echo(connection, b"before" * 1000)
        bad = [
            (f"{folder}/nothing", "No such file or directory"),
            (folder, "is no regular file"),
            (program(picture, "plain", "#!/bin/sh\nexit 0\n", 0o644), "is not executable"),
            (program(picture, "open", "#!/bin/sh\nexit 0\n", 0o777), "can be written by others"),
            (program(picture, "quits", "#!/bin/sh\necho who am I >&2\nexit 7\n"), "it ended with 7; it said:\nwho am I"),
            (program(picture, "dies", "#!/bin/sh\nkill -9 $$\n"), "signal 9 ended it"),
            (program(picture, "noise", "no program at all\n"), "cannot be run: Exec format error"),
            (program(picture, "fails", HEIR + 'say({"Failed": {"reason": "no memory"}})\nsys.exit(4)\n'), "the new program fails: no memory: it ended with 4"),
            (program(picture, "babbles", HEIR + 'say({"Better": 1})\ntime.sleep(60)\n'), "unknown variant `Better`"),
            ("/var/lib", "is no regular file"),
        ]
        for binary, why in bad:
            told = refused(h1, binary)
            assert why in told, (binary, told)
        began = time.monotonic()
        told = refused(h1, program(picture, "hangs", "#!/bin/sh\nexec sleep 100\n"), "--timeout", "1")
        assert "took more than 1.0 s: it was ended" in told and time.monotonic() - began < 10, told
        probe.echo(connection, b"after" * 1000)
        # and a good one does it
        h1.upgrade()
        probe.echo(connection, b"after" * 1000)


def test_a_program_out_of_reach_is_refused_by_name(picture):
    h1 = start(picture)
    beyond = pathlib.Path(f"/var/tmp/{picture.lab.prefix}-beyond")
    beyond.mkdir()
    picture.lab.at_close(lambda: [beyond.joinpath("vrouter").unlink(), beyond.rmdir()])
    beyond.joinpath("vrouter").write_text("#!/bin/sh\n")
    beyond.joinpath("vrouter").chmod(0o755)
    told = refused(h1, beyond / "vrouter")
    assert "Permission denied" in told and "privileges.paths" in told, told


def test_another_layout_or_other_places_are_refused(picture):
    h1 = start(picture)
    path = f"/dev/shm/{picture.lab.prefix}-h1.flows"
    with open(path, "r+b") as file:
        file.seek(8)
        ours = struct.unpack("<Q", file.read(8))[0]
        file.seek(8)
        file.write(struct.pack("<Q", ours - 1))
        file.flush()
        told = refused(h1, f"{h1.bin}/vrouter")
        assert f"layout version: {ours - 1} in the region, ours is {ours}" in told, told
        file.seek(8)
        file.write(struct.pack("<Q", ours))
    text = pathlib.Path(h1.config).read_text()
    for change, why in ((("h1.sock", "h2.sock"), "socket is another"), (("h1.flows", "h2.flows"), "flow_table.file is another"),
                        (("limits:", "limmits:"), "limmits")):
        pathlib.Path(h1.config).write_text(text.replace(*change))
        told = refused(h1, f"{h1.bin}/vrouter")
        assert why in told, told
    pathlib.Path(h1.config).write_text(text)
    h1.upgrade()


@alone
def test_who_fails_when_it_has_taken_over_loses_nothing(picture):
    h1 = start(picture)
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    heir = program(picture, "late", HEIR + '''
say({"Ready": {"version": "9.9.9", "waits": ["fabric", "red1", "blue1"]}})
assert hear() == "Stopped" and hear() == "Yours"
print("too late", file=sys.stderr)
sys.exit(9)
''')
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=10) as connection:
        probe.echo(connection, b"before" * 1000)
        h1.vrctl("add", "route", "--vrf", "red", "10.79.0.0/16", "--via", "drop: true")
        done = h1.vrctl("upgrade", str(heir), check=False)
        assert done.returncode == 3 and "it ended with 9; it said:\ntoo late" in done.stderr and "begins anew" in done.stderr, done.stderr
        probe.echo(connection, b"after" * 1000)
        until(lambda: (told := h1.vrctl("status", check=False)).returncode == 0 or print(told.stderr), 5, "the daemon to serve again")
        assert h1.process.is_running() and flow_to(h1, 9000)["age_ms"] > h1.ask("status")["uptime_ms"]
        assert any(route["prefix"] == "10.79.0.0/16" for route in h1.ask("show", "routes", "--vrf", "red")["routes"])
        # and it is upgraded as ever
        h1.upgrade()
        probe.echo(connection, b"after" * 1000)


# ------------------------------------------------------------------------------------------------ clients

def test_changes_meanwhile_are_refused_and_questions_answered(picture):
    h1 = start(picture)
    slow = program(picture, "slow", HEIR + "time.sleep(3)\n")
    upgrade = threading.Thread(target=h1.vrctl, args=("upgrade", str(slow)), kwargs={"check": False})
    upgrade.start()
    change = pathlib.Path(picture.lab.folder) / "change.yaml"
    change.write_text("routes: [{vrf: red, prefix: 10.80.0.0/16, via: {drop: true}}]\n")
    route = ("apply", "-f", str(change))
    done = until(lambda: (told := h1.vrctl(*route, check=False)).returncode != 0 and told, 3, "a change to be refused")
    assert done.returncode == 3 and "an upgrade is under way: nothing was changed" in done.stderr, done.stderr
    done = h1.vrctl("upgrade", str(slow), check=False)
    assert done.returncode == 1 and "an upgrade is under way already" in done.stderr, done.stderr
    assert h1.ask("status")["generation"] and h1.ask("stats")
    upgrade.join()
    h1.vrctl(*route, "--sync")


@alone
def test_nothing_acknowledged_is_lost_and_watchers_are_told(picture):
    h1 = start(picture)
    v1, service = stubs(picture.lab.folder)
    load, first, ended = Load(h1, v1, service), 1, []
    for _ in range(3):
        with Client(h1.socket, service, v1) as client:
            watching = threading.Thread(target=lambda: ended.append(_end_of(client.calls.Watch(v1.WatchRequest(snapshot=True)))))
            watching.start()
            going = threading.Event()
            going.set()
            controller = threading.Thread(target=load.run, args=(first, going.is_set))
            controller.start()
            time.sleep(0.5)
            h1.upgrade()
            controller.join(10)
            watching.join(10)
            going.clear()
            assert not controller.is_alive() and not watching.is_alive(), "a client was not told"
        assert load.acknowledged >= first, "nothing was acknowledged: this test would prove nothing"
        first = load.check() + 1
    assert ended == [(grpc.StatusCode.UNAVAILABLE, "an upgrade is under way: try again")] * 3, ended


def _end_of(call):
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code(), error.details()


def test_who_only_reads_upgrades_nothing(picture):
    h1 = start(picture, access={"rules": [{"user": "root", "role": "write", "also": ["settings", "ports"]}]})
    done = h1.vrctl("upgrade", f"{h1.bin}/vrouter", check=False)
    assert done.returncode == 1 and "Upgrade" in done.stderr and "admin" in done.stderr, done.stderr
