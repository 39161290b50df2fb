"""A client that changes routes at a pace: a process of its own beside a measurement.

A batch puts so many of the routes, each by the next of several ways. Batches follow each other on one call.
"""

import argparse
import ipaddress
import itertools
import json
import pathlib
import shlex
import signal
import sys
import time

import grpc

from lab.client import address, mac, stubs
from lab.process import Failure, Process, until

SCRIPTS = pathlib.Path(__file__).resolve().parents[1]
OWNER = "churn"
IDLE_SECONDS, SHORT_SECONDS = 0.002, 0.0002
# Batches that wait for their answer: the server hangs up on who sends many small messages faster than they are taken.
AHEAD = 8
# What is later than this is not made up for.
LATE_SECONDS = 0.2


def next_hop(v1, via):
    """A way of the YAML language that flows of a bench take: a tunnel or a VIF."""
    (kind, given), = via.items()
    if kind == "vxlan":
        return v1.NextHop(tunnel=v1.Tunnel(remote=address(given["remote"]), vxlan=v1.Tunnel.Vxlan(vni=given["vni"], inner_mac=mac(given["mac"]))))
    if kind == "mpls_udp":
        return v1.NextHop(tunnel=v1.Tunnel(remote=address(given["remote"]), mpls_over_udp=v1.Tunnel.MplsOverUdp(label=given["label"])))
    if kind == "vif":
        return v1.NextHop(vif=v1.NextHop.ViaVif(vif=given))
    raise Failure(f"vias: {kind} is none of vxlan, mpls_udp and vif")


def batches(v1, given):
    """Lists of requests, a list for each batch; all routes by one way, then all by the next."""
    within = ipaddress.ip_network(given["within"])
    prefixes = [v1.Prefix(address=net.network_address.packed, length=net.prefixlen) for net in within.subnets(new_prefix=given["length"])]
    made = []
    for via in given["vias"]:
        hop = next_hop(v1, via)
        puts = [v1.Change(put=v1.Object(route=v1.Route(key=v1.RouteKey(vrf=given["vrf"], prefix=prefix), next_hop=hop))) for prefix in prefixes]
        for first in range(0, len(puts) - given["batch"] + 1, given["batch"]):
            made.append([v1.ApplyRequest(begin=v1.Begin(owner=OWNER)), v1.ApplyRequest(changes=v1.Changes(changes=puts[first:first + given["batch"]])),
                         v1.ApplyRequest(commit=v1.Commit())])
    if not made:
        raise Failure(f"{within} has fewer than {given['batch']} prefixes of length {given['length']}")
    return made


class Turns:
    """Whether changes are wanted: from SIGUSR1 until SIGUSR2. No batch is left open in between, which the daemon would end."""

    def __init__(self):
        self.wanted, self.answered = False, 0
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "wanted", True))
        signal.signal(signal.SIGUSR2, lambda *_: setattr(self, "wanted", False))


def paced(made, pause, turns):
    """The requests, a batch at a time."""
    due = 0
    for sent, batch in enumerate(itertools.cycle(made)):
        while not turns.wanted:
            time.sleep(IDLE_SECONDS)
            due = time.monotonic()
        while sent - turns.answered >= AHEAD:
            time.sleep(SHORT_SECONDS)
        due = max(due + pause, time.monotonic() - LATE_SECONDS)
        time.sleep(max(0, due - time.monotonic()))
        yield from batch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("socket")
    parser.add_argument("changes", type=json.loads, help="vrf, within, length, per_second, batch, vias")
    parser.add_argument("folder", type=pathlib.Path, help="for the messages of the contract")
    given = parser.parse_args()
    turns = Turns()
    v1, service = stubs(given.folder)
    made = batches(v1, given.changes)
    with grpc.insecure_channel(f"unix:{given.socket}") as channel:
        print("begins", flush=True)
        for reply in service.VRouterStub(channel).Apply(paced(made, given.changes["batch"] / given.changes["per_second"], turns)):
            turns.answered += 1
            if reply.WhichOneof("result") == "refused":
                raise Failure(f"{reply.refused.object}: {reply.refused.field}: {reply.refused.reason}")


class Churn:
    """The client in the background, on this process's core, still until `go`."""

    def __init__(self, socket, folder, changes):
        (folder / "stubs").mkdir(exist_ok=True)
        command = ("env", f"PYTHONPATH={SCRIPTS}", sys.executable, "-m", "lab.churn", str(socket), json.dumps(changes), str(folder / "stubs"))
        self.command = shlex.join(command)
        self._process = Process(command, folder / "churn.log")
        try:
            until(lambda: "begins" in self._process.output() or self.check(), 30, "the client to be ready")
        except Failure:
            self.stop()
            raise

    def check(self):
        """Failure when it has ended: something was refused."""
        if not self._process.is_running():
            raise Failure(f"the client ended\n{self._process.output()[-2000:]}")

    def go(self):
        self._process.signal(signal.SIGUSR1)

    def rest(self):
        self.check()
        self._process.signal(signal.SIGUSR2)

    def stop(self):
        self._process.stop()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(str(failure))
