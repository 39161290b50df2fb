"""The control socket's figures, beside a worker that forwards: routes a second in atomic batches and by one call each, how soon one change is in force,
and what an ACL of 10,000 rules that changes under a million live flows takes until it is in force, and until it is told what became of them; how long
a plan takes that tells what would.

The client (bench/src/bin/control.rs) has its batches ready as bytes. It and the daemon's control threads share core 0, the worker has core 1. Of each
row: the time until every worker forwards by it, as the client sees it, and the CPU time of the daemon's other threads, which is the server's.
"""

import argparse
import json
import pathlib
import sys
import time

from lab.bed import Bed
from lab.process import Failure, run, until
from lab.rig import CORES, WORKER_CORE, Scratch

HUGE_MIB = 500
ROUTES, VRFS = 1_000_000, 4096
# Design: a million routes in a second of the server's time; a change in force within a millisecond, of 99 in 100.
MOST_SECONDS, MOST_P99_US = 1.0, 1000
FLOWS = 100_000
# An ACL of 10,000 rules: in force within 100 ms, and within 5 s it is told how many of a million flows have another verdict.
RULES, LIVE, MOST_SYNC_US, MOST_TOLD_US = 10_000, 1_000_000, 100_000, 5_000_000


def network():
    vxlan = {"remote": "172.31.0.2", "vni": 100, "mac": "02:ac:1f:00:02:01"}
    return {
        "settings": {"underlay_vrf": "underlay", "vtep": "172.31.0.1"},
        "vrfs": [{"name": "underlay"}, {"name": "red"}],
        "vifs": [
            {"name": "uplink", "kind": "fabric", "port": "fabric", "vrf": "underlay", "mac": "02:00:00:00:00:34", "addresses": ["172.31.0.1"],
             "subnets": ["172.31.0.0/16"]},
            {"name": "tenant", "port": "tenant", "vrf": "red", "mac": "02:00:00:00:00:02", "gateway_v4": "10.129.0.1", "allowed_sources": ["10.128.0.0/16"]},
        ],
        "neighbours": [{"vif": "uplink", "address": "172.31.0.2", "mac": "02:00:00:00:00:12"}],
        "routes": [{"vrf": "red", "prefix": "20.0.0.0/16", "via": {"vxlan": vxlan}}],
    }


class Server:
    """A daemon with a worker that forwards all the time: packets of so many flows."""

    def __init__(self, given, scratch, flows=FLOWS):
        settings = {
            "workers": {"cores": [WORKER_CORE]}, "idle": "poll", "mempool": {"mbufs": 8192, "cache": 256}, "state": network(),
            "limits": {"flows_v4": max(1 << 18, flows + flows // 4), "routes": ROUTES + 100_000, "vrfs": VRFS + 16},
            "eal": {"huge_pages": True, "memory_mb": 64, "file_prefix": f"control{scratch.number}",
                    "args": ["--huge-unlink", "--huge-dir", str(scratch.huge_folder)]},
        }
        devargs = {"tenant": f"source0,flows={flows},size=64,clients=10.128.0.0/16,servers=20.0.0.0/16", "fabric": "sink1"}
        self.client, self.vrctl = given.bin / "control", given.bin / "vrctl"
        self.bed = Bed(given.bin, scratch.folder, "control", devargs, settings, prefix=("taskset", "-c", CORES))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bed.__exit__(*exception)

    def ask(self, *words):
        """What the client found, with the CPU seconds that the daemon's threads beside its workers had meanwhile."""
        before = self.cpu_seconds()
        done = run("taskset", "-c", "0", str(self.client), "--socket", str(self.bed.socket), *map(str, words), seconds=300)
        return json.loads(done.stdout) | {"server_seconds": self.cpu_seconds() - before}

    def cpu_seconds(self):
        sum_ns = 0
        for task in pathlib.Path(f"/proc/{self.bed.process.pid}/task").iterdir():
            if not (task / "comm").read_text().startswith("vr-worker"):
                sum_ns += int((task / "schedstat").read_text().split()[0])
        return sum_ns / 1e9

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.bed.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def bulk(server, told, routes, vrfs, batch):
    """Puts and withdraws; rows of the report."""
    before = server.resident_mib()
    put = server.ask("put", "--routes", routes, "--vrfs", vrfs, "--batch", batch)
    mib = server.resident_mib() - before
    told(f"put {routes} routes, {vrfs} VRFs, {batch} a batch", put, f"+{mib:.0f} MiB, {put['bytes'] / 1e6:.0f} MB sent")
    yield put
    if vrfs == 1 and batch == routes:
        yield from one(server, routes)
    gone = server.ask("withdraw", "--routes", routes, "--vrfs", vrfs, "--batch", batch)
    told(f"withdraw {routes} routes, {vrfs} VRFs, {batch} a batch", gone)
    yield gone


def one(server, routes):
    found = server.ask("one", "--routes", routes)
    print(f"one change beside {routes} routes: answered after {found['answered_us']} us, in force after {found['forwarded_us']} us"
          f"{'' if found['forwarded_us']['p99'] < MOST_P99_US else '  NOT REACHED'}", flush=True)
    yield found


def plan(server, scratch):
    """What would become of live flows if half of them were denied by a route: nothing is made."""
    batch = {"routes": [{"vrf": "red", "prefix": "20.0.0.0/17", "via": {"drop": True}}]}
    path = scratch.folder / "plan.json"
    path.write_text(json.dumps(batch))
    began = time.monotonic()
    done = run("taskset", "-c", "0", str(server.vrctl), "--socket", str(server.bed.socket), "plan", "-f", str(path), "-o", "json", seconds=60)
    took = time.monotonic() - began
    flows = json.loads(done.stdout)["flows"]
    print(f"a plan beside {flows['flows']} flows: told after {took:.2f} s: {flows['now_denied']} flows would have another verdict", flush=True)


def acls(given, scratch):
    """A plan, then changes of one rule, then of all of them. Whether all was reached."""
    reached = True
    with Server(given, scratch, given.flows) as server:
        until(lambda: server.bed.stats()["flows"]["used_v4"] >= given.flows, 60, "the flows")
        plan(server, scratch)
        for more in ((), ("--whole",)):
            found = server.ask("rules", "--rules", given.rules, *more)
            late = found["forwarded_us"]["longest"] >= MOST_SYNC_US or found["told_us"]["longest"] >= MOST_TOLD_US
            reached &= not late
            print(f"{'all' if more else 'one'} of {given.rules} rules under {found['flows']} flows: answered after {found['answered_us']} us, "
                  f"in force after {found['forwarded_us']} us, told after {found['told_us']} us: {found['changed']} flows have another verdict"
                  f"{'  NOT REACHED' if late else ''}", flush=True)
    return reached


def told(what, found, more=""):
    rate = found["routes"] / found["seconds"]
    late = "" if found["server_seconds"] * 1_000_000 <= MOST_SECONDS * found["routes"] else "  NOT REACHED"
    print(f"{what:<52} {found['seconds']:>7.3f} s {rate / 1e6:>7.3f} M/s  server {found['server_seconds']:>6.3f} s  {more}{late}", flush=True)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--bin", required=True, type=pathlib.Path, help="folder with vrouter, vrctl and control")
    words.add_argument("--routes", type=int, default=ROUTES)
    words.add_argument("--rounds", type=int, default=3, help="of routes; 0: none")
    words.add_argument("--rules", type=int, default=RULES)
    words.add_argument("--flows", type=int, default=LIVE, help="that live under them")
    given = words.parse_args()
    failed = False
    with Scratch() as scratch:
        scratch.huge_pages(HUGE_MIB)
        failed |= not acls(given, scratch)
        if given.rounds == 0:
            return 1 if failed else 0
        with Server(given, scratch) as server:
            for _ in range(given.rounds):
                for vrfs, batch in ((1, given.routes), (1, 100_000), (VRFS, given.routes)):
                    for found in bulk(server, told, given.routes, vrfs, batch):
                        failed |= found.get("server_seconds", 0) * 1_000_000 > MOST_SECONDS * found["routes"] if "seconds" in found else \
                            found["forwarded_us"]["p99"] >= MOST_P99_US
            calls = server.ask("calls")
            print(f"{'one call a route':<52} {calls['seconds']:>7.3f} s {calls['routes'] / calls['seconds'] / 1e6:>7.3f} M/s")
            drops = server.bed.stats()["drops"]
            print(f"dropped meanwhile: {drops or 'nothing'}")
            failed |= any(drop["reason"] != "rx_missed" for drop in drops)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
