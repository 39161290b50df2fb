"""The drill: under numbered traffic, one fault after the other, and what each has cost.

Three streams of numbered datagrams go all the time, each sent back by who gets it: red1 to red2 and blue1 to blue2, by both vRouters, and
from the kernel's VXLAN to red2, by the second one only. A fault may cost packets of what it touches. Of the rest none may be lost, and of batches
none that were acknowledged.
"""

import argparse
import contextlib
import pathlib
import random
import signal
import socket
import sys
import threading
import time

import grpc

from lab import probe
from lab.client import Client, Refusal, stubs
from lab.datagrams import Answerer, Flows, Stream
from lab.load import Load
from lab.picture import V4, Picture, network
from lab.process import Failure, run, until
from lab.space import Lab
from lab.wire import IP, UDP, Ether, Raw, Wire

PORT, FLOWS, PAUSE = 7000, 16, 0.002
QUOTA = {"new_flows_per_second": 500, "flows": 4096}
GATEWAY_MAC, BLUE1_MAC = "00:00:5e:00:01:00", "02:bb:00:00:00:11"
FULL_DISK_MIB = 24
SCRIPTS = pathlib.Path(__file__).resolve().parents[1]
ON_A_TERMINAL = sys.stdout.isatty()


def coloured(code, text):
    return f"\033[{code}m{text}\033[0m" if ON_A_TERMINAL else text


class Site:
    """The picture with a first vRouter that keeps its state and its flows, a controller, and the three streams."""

    def __init__(self, net):
        self.net, lab = net, net.lab
        self.state = pathlib.Path(lab.folder) / "h1.state"
        self.state.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={FULL_DISK_MIB}m", "none", str(self.state))
        lab.at_close(lambda: run("umount", "-l", str(self.state), check=False))
        self._flow_file = pathlib.Path(f"/dev/shm/{lab.prefix}-drill.flows")
        lab.at_close(lambda: self._flow_file.unlink(missing_ok=True))
        host = self.net.add_host("h1")
        # what is to be unplugged is a controller's
        self.blue_port = {"name": "blue1", "devargs": host.ports.pop("blue1")}
        objects = self._objects()
        self.h1 = self.net.start("h1", objects, more={"state_dir": str(self.state), "flow_table": {"file": str(self._flow_file)}})
        self.h2 = self.net.start("h2")
        self.kernel = self.net.add_kernel()
        self.v1, self.service = stubs(lab.folder)
        self.load, self.last = Load(self.h1, self.v1, self.service), 0
        # neighbours are resolved before anything counts
        for netns, address in self._paths():
            probe.ping(netns, address)
        self.streams = [Flows(netns, FLOWS, address, PORT) for netns, address in self._paths()]

    def _objects(self):
        objects = network("h1")
        vifs = [{**vif, **({"quota": QUOTA} if vif["name"] == "blue1" else {})} for vif in objects["vifs"]]
        return {**objects, "vifs": vifs, "ports": [self.blue_port]}

    def _paths(self):
        return ((self.net["red1"].netns, V4["2"]), (self.net["blue1"].netns, V4["2"]), (self.kernel, V4["2"]))

    def client(self):
        return Client(self.h1.socket, self.service, self.v1)

    @contextlib.contextmanager
    def traffic(self):
        """The three streams while the body runs: red, blue, beside."""
        with contextlib.ExitStack() as stack:
            for name in ("red2", "blue2"):
                stack.enter_context(Answerer(self.net[name].netns, name, V4["2"], PORT))
            streams = [stack.enter_context(Stream(flows, PAUSE)) for flows in self.streams]
            time.sleep(0.3)
            yield streams
            time.sleep(0.3)

    @contextlib.contextmanager
    def controller(self):
        """A controller's batches, in a thread, while the body runs; afterwards what must be there is."""
        go_on = threading.Event()
        go_on.set()
        thread = threading.Thread(target=self.load.run, args=(self.last + 1, go_on.is_set), daemon=True)
        thread.start()
        try:
            yield
        finally:
            go_on.clear()
            thread.join(30)
        self.check()

    def check(self):
        before, self.last = self.last, self.load.check()
        return self.last - before

    def start(self):
        self.h1.start()
        until(lambda: _answers(self, "red1"), 10, "red1's packets to be carried again")


def kill_controllers(site):
    """Controllers are killed in the midst of batches."""
    dice, before = random.Random(5), site.last
    for turn in range(5):
        first = site.last + 1
        process = site.net.lab.start("env", f"PYTHONPATH={SCRIPTS}", sys.executable, "-m", "lab.load", site.h1.socket,
                                     f"{site.net.lab.folder}/stubs", str(first), log=f"controller.{turn}.log")
        until(lambda: process.output().count("\n") > 3 or not process.is_running(), 20, "batches of the controller")
        time.sleep(dice.uniform(0, 0.1))
        process.signal(signal.SIGKILL)
        process.exit_code()
        told = [int(line) for line in process.output().split("\n")[:-1]]
        site.load.acknowledged, site.load.sent = told[-1], told[-1] + 1
        site.check()
    return f"5 killed, {site.last - before} batches"


def stall_clients(site):
    """A controller stops in the midst of a batch, and watchers never read; another one goes on."""
    v1, slowest, batches = site.v1, 0, 0
    with contextlib.ExitStack() as stack:
        stalled = stack.enter_context(site.client())
        wait = threading.Event()
        stack.callback(wait.set)

        def half_a_batch():
            yield v1.ApplyRequest(begin=v1.Begin(owner="stalled"))
            yield v1.ApplyRequest(changes=v1.Changes(changes=[v1.Change(put=v1.Object(vrf=v1.Vrf(name="never")))]))
            wait.wait(30)
        call = stalled.calls.Apply(half_a_batch())
        stack.callback(call.cancel)
        for _ in range(20):
            watching = stack.enter_context(site.client()).calls.Watch(v1.WatchRequest(snapshot=True))
            stack.callback(watching.cancel)
        with site.controller():
            end = time.monotonic() + 3
            while time.monotonic() < end:
                begin = time.monotonic()
                with site.client() as client:
                    client.sync(client.apply("drill", v1.Object(vrf=v1.Vrf(name="drill", tenant=str(batches)))))
                slowest, batches = max(slowest, time.monotonic() - begin), batches + 1
        with site.client() as client:
            if any(one.vrf.name == "never" for one in client.objects(v1.KIND_VRF)):
                raise Failure("half a batch was taken")
    return f"{batches} batches of another, in force after {slowest * 1000:.0f} ms at most"


def kill_daemon(site):
    """The daemon is killed under load; a TCP connection goes on."""
    red1, red2 = site.net["red1"].netns, site.net["red2"].netns
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=10) as connection:
        probe.echo(connection, b"before" * 1000)
        with site.controller():
            time.sleep(0.5)
            begin = time.monotonic()
            site.h1.kill()
            site.start()
            away = time.monotonic() - begin
        probe.echo(connection, b"after" * 1000)
    return f"ready again after {away:.2f} s, a TCP connection went on"


def upgrade_daemon(site):
    """The daemon is upgraded under load; a TCP connection goes on."""
    red1, red2 = site.net["red1"].netns, site.net["red2"].netns
    with probe.Server(red2, 9000), probe.connect(red1, V4["2"], 9000, seconds=10) as connection:
        probe.echo(connection, b"before" * 1000)
        with site.controller():
            time.sleep(0.5)
            told = site.h1.upgrade()
        probe.echo(connection, b"after" * 1000)
    return f"ports stood still for {told['outage_us'] / 1000:.1f} ms, {told['flow_file']['adopted']} flows adopted, a TCP connection went on"


def corrupt_journal(site):
    """A bit of the journal turns while the daemon runs: it goes on. The next one names the place and does not start until the file is mended."""
    with site.controller():
        time.sleep(0.5)
    journal = max(site.state.glob("journal-*"), key=lambda path: path.stat().st_size)
    good = journal.read_bytes()
    at = len(good.rstrip(b"\0")) // 2
    with open(journal, "r+b") as file:
        file.seek(at)
        file.write(bytes([good[at] ^ 1]))
    until(lambda: _answers(site, "red1"), 10, "red1's packets to be carried on")
    site.h1.kill()
    try:
        site.h1.start()
        raise Failure("it started with a damaged journal")
    except Failure as failure:
        if "ended with 6" not in str(failure) or journal.name not in str(failure):
            raise
    with open(journal, "r+b") as file:
        file.seek(at)
        file.write(good[at:at + 1])
    site.start()
    site.check()
    return f"{journal.name} refused by name (exit code 6), then mended"


def fill_disk(site):
    """The disk of the state directory is full: changes are refused, and taken again when there is space."""
    v1 = site.v1
    rules = [v1.Rule(name=f"{number:0>60}") for number in range(20_000)]
    filler = site.state / "filler"
    with site.client() as client:
        filler.write_bytes(bytes(4 << 20))
        for taken in range(1, 60):
            try:
                client.apply("drill", v1.Object(acl=v1.Acl(name="big", rules=rules[:-taken])))
            except Refusal as refusal:
                if "no space" not in str(refusal):
                    raise
                break
        else:
            raise Failure("the disk was never full")
        there = [len(one.acl.rules) for one in client.objects(v1.KIND_ACL) if one.acl.name == "big"]
        if there != [len(rules) - taken + 1]:
            raise Failure(f"a refused batch changed something: {there}")
        filler.unlink()
        client.apply("drill", delete=[v1.ObjectKey(acl="big")])
    with site.controller():
        time.sleep(0.5)
    return f"refused batch {taken}, nothing changed; taken again afterwards"


def unplug(site):
    """The port of blue1 goes and comes again: its cable, then the port itself with its VIF."""
    v1, netns = site.v1, site.net.hosts["h1"].netns
    netns.ip("link", "set", "blue1", "down")
    time.sleep(0.5)
    netns.ip("link", "set", "blue1", "up")
    until(lambda: _answers(site, "blue1"), 10, "blue1's packets to be carried again")
    with site.client() as client:
        client.sync(client.apply("operator", delete=[v1.ObjectKey(vif="blue1"), v1.ObjectKey(port="blue1")]))
    time.sleep(0.5)
    site.h1.apply(site._objects())
    until(lambda: _answers(site, "blue1"), 10, "blue1's packets to be carried again")
    return "its cable, then the port; carried again both times"


def _answers(site, tenant):
    with contextlib.suppress(Failure):
        return probe.ping(site.net[tenant].netns, V4["2"], count=1) is not None
    return False


def flood(site):
    """blue1 sends new flows without end; its quota says 500 a second."""
    before = site.h1.drops()
    wire = Wire(site.net["blue1"].netns, "eth0")
    packet = bytearray(bytes(Ether(src=BLUE1_MAC, dst=GATEWAY_MAC) / IP(src=V4["1"], dst=V4["2"]) / UDP(dport=9) / Raw(bytes(18))))
    raw = site.net["blue1"].netns.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    sent, end = 0, time.monotonic() + 3
    while time.monotonic() < end:
        packet[34:36] = (1024 + sent % 60_000).to_bytes(2, "big")
        with contextlib.suppress(BlockingIOError, OSError):
            raw.send(packet)
        sent += 1
        if sent % 64 == 0:
            time.sleep(0.001)
    raw.close()
    wire.close()
    site.h1.expect_drop("new_flow_quota", before)
    refused = site.h1.drops()["new_flow_quota"] - before.get("new_flow_quota", 0)
    return f"{sent} flows offered, {refused} refused by its quota"


# name, what is done, whom it touches
FAULTS = (
    ("controllers killed", kill_controllers, ()),
    ("clients stalled", stall_clients, ()),
    ("daemon killed", kill_daemon, ("red", "blue")),
    ("daemon upgraded", upgrade_daemon, ("red", "blue")),
    ("journal corrupted", corrupt_journal, ("red", "blue")),
    ("disk full", fill_disk, ()),
    ("port unplugged", unplug, ("blue",)),
    ("one tenant floods", flood, ("blue",)),
)


def perform(site, name, fault, touched, most):
    """Prints a row. Whether it holds: of what it does not touch at most this share is lost."""
    said, streams = "", ()
    try:
        with site.traffic() as streams:
            said = fault(site)
        lost = {stream: (len(one.lost()), one.sent) for stream, one in zip(("red", "blue", "beside"), streams)}
        rest = {stream: count for stream, (count, _) in lost.items() if stream not in touched}
        holds = all(count <= most * lost[stream][1] for stream, count in rest.items())
        cost = ", ".join(f"{stream} {lost[stream][0]} of {lost[stream][1]}" for stream in touched) or "-"
        others = ", ".join(f"{stream} {count} of {lost[stream][1]}" for stream, count in rest.items())
    except (Failure, AssertionError, OSError, grpc.RpcError, Refusal) as failure:
        holds, cost, others, said = False, "?", "?", f"{failure}\n{_told(site)}"
    word = coloured(32, "ok    ") if holds else coloured(31, "FAILED")
    print(f"{word} {name:<20} {cost:<32} {others:<48} {said}", flush=True)
    return holds


def _told(site):
    """What the first vRouter says of itself."""
    drops = site.h1.vrctl("drops", check=False).stdout
    return "\n".join([*site.h1.process.output().splitlines()[-10:], drops])


def drill(net, names=(), most=0.0):
    """All faults, or those with these names; those that did not hold."""
    site = Site(net)
    print(f"       {'fault':<20} {'lost of what it touches':<32} {'lost of the rest: none may be':<48} nothing acknowledged is lost, and")
    return [name for name, fault, touched in FAULTS if (not names or name in names) and not perform(site, name, fault, touched, most)]


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--bin", required=True, type=pathlib.Path, help="folder with vrouter and vrctl")
    words.add_argument("fault", nargs="*", choices=[[], *(name for name, _, _ in FAULTS)], help="these alone")
    given = words.parse_args()
    try:
        with Lab() as lab:
            failed = drill(Picture(lab, given.bin), given.fault)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
