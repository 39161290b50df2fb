"""The rig: the daemon on one core between generated frames and a sink, beside testpmd's bare io on the same frames.

A net_pcap device offers a file again and again, which cannot lose or pace; net_null swallows. Figures are medians of
one-second samples, packets counted per CPU second of the forwarding thread; what counts is ours net of testpmd's floor on
the same frames, in the same minutes. Rounds alternate the two.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import statistics
import sys
import tempfile
import time

import yaml

from lab import frames, hugepages
from lab import ovs as peer
from lab.process import Failure, Process, run, until

CORES = "0,1"
WORKER_CORE = 1
HUGE_PAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
HUGE_SECONDS = 10
SPARE_MBUFS = 32768
LOCK = "/run/vrouter-rig.lock"


class Scratch:
    """A folder, processes and huge pages, given back at the end."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vrouter-rig-"))
        self.number = os.getpid()
        self.processes = []
        self._pages_taken = 0
        # A mount of its own: a fresh machine has none, and its own leaves nothing behind.
        self.huge_folder = self.folder / "huge"
        self.huge_folder.mkdir()
        run("mount", "-t", "hugetlbfs", "none", str(self.huge_folder))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stop()
        for name in ("floor", "rig", "floor2", "rig2"):
            run("rm", "-rf", f"/run/dpdk/{name}{os.getpid()}")
        run("umount", str(self.huge_folder))
        HUGE_PAGES.write_text(str(max(0, int(HUGE_PAGES.read_text()) - self._pages_taken)))
        run("rm", "-rf", str(self.folder))

    def start(self, log, *command):
        process = Process(("taskset", "-c", CORES, *map(str, command)), self.folder / log)
        self.processes.append(process)
        return process

    def huge_pages(self, megabytes):
        """Sees to so many MiB of free pages. Others may take and give back theirs meanwhile, and the kernel may need a while to find some."""
        wanted = megabytes // 2 + 64

        def enough():
            if free_pages() < wanted:
                before = int(HUGE_PAGES.read_text())
                HUGE_PAGES.write_text(str(before - free_pages() + wanted))
                self._pages_taken += int(HUGE_PAGES.read_text()) - before
            return free_pages() >= wanted
        try:
            until(enough, HUGE_SECONDS, "huge pages")
        except Failure:
            raise Failure(f"only {free_pages()} of {wanted} huge pages are free") from None


def free_pages():
    """Huge pages of 2 MiB that nobody uses."""
    return int(re.search(r"HugePages_Free:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))


class Thread:
    """A running thread's CPU time."""

    def __init__(self, pid, prefixes):
        self._task = until(lambda: self._find(pid, prefixes), 30, f"a thread named {' or '.join(prefixes)}*")

    @staticmethod
    def _find(pid, prefixes):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text().startswith(tuple(prefixes)):
                return task
        return None

    def nanoseconds(self):
        return self.times()[0]

    def times(self):
        """Nanoseconds that it ran, and that it could have run but others did."""
        return [int(text) for text in (self._task / "schedstat").read_text().split()[:2]]


def mega_packets(thread, packets, seconds):
    """Median of packets a CPU microsecond over one-second samples. packets(): the count so far."""
    rates = []
    count, cpu = packets(), thread.nanoseconds()
    for _ in range(seconds):
        time.sleep(1)
        now, cpu_now = packets(), thread.nanoseconds()
        if cpu_now > cpu:
            rates.append((now - count) * 1e3 / (cpu_now - cpu))
        count, cpu = now, cpu_now
    if not rates or max(rates) == 0:
        raise Failure("nothing was forwarded")
    return statistics.median(rates)


def testpmd(scratch, pcap, count, seconds):
    """Packets a CPU microsecond of testpmd in io mode."""
    mbufs = count + SPARE_MBUFS
    memory = mbufs * 2700 // 2**20 + 256
    scratch.huge_pages(memory)
    process = scratch.start(
        "testpmd.log", "dpdk-testpmd", "-l", CORES, "-m", memory, "--no-pci", "--no-telemetry", "--huge-unlink",
        "--huge-dir", scratch.huge_folder, f"--file-prefix=floor{os.getpid()}",
        f"--vdev=net_pcap0,rx_pcap={pcap},infinite_rx=1", "--vdev=net_null0,no-rx=1",
        "--", "--forward-mode=io", "--auto-start", "--no-flush-rx", "--stats-period=1", f"--total-num-mbufs={mbufs}",
        "--mbcache=250", "--burst=32", "--txd=1024", "--rxd=1024")

    def packets():
        if not process.is_running():
            raise Failure(f"testpmd ended\n{process.output()[-2000:]}")
        counts = [int(number) for number in re.findall(r"RX-packets: (\d+)", process.output())]
        return max(counts, default=0)
    until(packets, 60, "testpmd to forward")
    thread = Thread(process.pid, ("lcore-worker", "rte-worker"))

    # Its own counters move once a second: sample on that beat.
    def beat():
        before = packets()
        return until(lambda: packets() if packets() > before else None, 5, "testpmd's next figure")
    rates = []
    count, cpu = beat(), thread.nanoseconds()
    for _ in range(seconds):
        now, cpu_now = beat(), thread.nanoseconds()
        rates.append((now - count) * 1e3 / (cpu_now - cpu))
        count, cpu = now, cpu_now
    process.stop()
    return statistics.median(rates)


def vrouter(scratch, bin, pcap, count, direction, tunnel, flows, seconds):
    """Packets a CPU microsecond of the daemon's worker, stateful ACL and tunnel on, and the share that was dropped."""
    mbufs = count + SPARE_MBUFS
    memory = mbufs * 2700 // 2**20 + 256
    table = max(2 * flows, 65536) * 170 // 2**20 + 16
    scratch.huge_pages(memory + table)
    source, sink = f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "net_null0,no-rx=1"
    tenant, fabric = (source, sink) if direction == "encap" else (sink, source)
    socket, config = scratch.folder / "rig.sock", scratch.folder / "rig.yaml"
    config.write_text(yaml.safe_dump({
        "socket": str(socket),
        "workers": {"cores": [WORKER_CORE]},
        "idle": "poll",
        "eal": {"huge_pages": True, "memory_mb": memory, "file_prefix": f"rig{os.getpid()}",
                "args": ["--huge-unlink", "--huge-dir", str(scratch.huge_folder)]},
        "mempool": {"mbufs": mbufs, "cache": 256},
        "ports": [{"name": "tenant", "devargs": tenant}, {"name": "fabric", "devargs": fabric}],
        "limits": {"flows_v4": max(2 * flows, 65536), "new_flows_per_second": 100_000_000},
        "state": state(tunnel),
    }))
    process = scratch.start("vrouter.log", bin / "vrouter", "--config", config)

    def stats():
        if not process.is_running():
            raise Failure(f"vrouter ended\n{process.output()[-4000:]}")
        done = run(bin / "vrctl", "--socket", socket, "-o", "json", "stats", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def packets():
        return int((stats() or {}).get("workers", [{}])[0].get("rx_packets", 0))
    # Every flow is set up before the first sample.
    until(lambda: packets() > 2 * count, 120, "the daemon to forward")
    thread = Thread(process.pid, ("vr-worker",))
    before = stats()
    rate = mega_packets(thread, packets, seconds)
    after = stats()
    process.stop()

    def reasons(stats):
        return {(row["reason"], row["vif"], row["vrf"]): int(row["packets"]) for row in stats["drops"]}
    known = reasons(before)
    drops = {what: count - known.get(what, 0) for what, count in reasons(after).items() if count > known.get(what, 0)}
    received = int(after["conservation"]["received"]) - int(before["conservation"]["received"])
    return rate, sum(drops.values()) / max(received, 1), drops


def ovs(scratch, programs, flows, direction, seconds):
    """Packets a CPU microsecond of OVS-DPDK with conntrack and VXLAN."""
    with peer.Ovs(programs, scratch, flows, direction) as running:
        thread = Thread(running.daemon.pid, ("pmd-",))
        running.wait_warm(flows)
        sent = running.sent()
        rate = mega_packets(thread, running.packets, seconds)
        # its port's figures are renewed every five seconds
        until(lambda: running.sent() > sent, 12, "OVS to send")
    return rate


def state(tunnel):
    """The network of the rig: a tenant behind one VIF with a stateful ACL, and the far end behind a tunnel."""
    via = {
        "vxlan": {"vxlan": {"remote": frames.PEER, "vni": frames.VNI, "mac": frames.UNDERLAY_MAC}},
        "mpls": {"mpls_udp": {"remote": frames.PEER, "label": frames.LABEL}},
    }[tunnel]
    arriving = {
        "vxlan": {"vnis": [{"vni": frames.VNI, "vrf": "red"}]},
        "mpls": {"labels": [{"label": frames.LABEL, "vrf": "red"}]},
    }
    return {
        "settings": {"underlay_vrf": "underlay", "vtep": frames.OURS},
        "vrfs": [{"name": "underlay"}, {"name": "red"}],
        "vifs": [
            {"name": "uplink", "kind": "fabric", "port": "fabric", "vrf": "underlay", "mac": frames.PCAP_MAC,
             "addresses": [frames.OURS], "subnets": ["172.31.0.0/24"]},
            {"name": "tenant", "port": "tenant", "vrf": "red", "mac": frames.TENANT_MAC, "gateway_v4": "10.129.0.1",
             "allowed_sources": ["10.128.0.0/16"], "acl_from_vif": "rig", "acl_to_vif": "rig"},
        ],
        "neighbours": [{"vif": "uplink", "address": frames.PEER, "mac": frames.UNDERLAY_MAC}],
        "routes": [
            {"vrf": "red", "prefix": "20.0.0.0/16", "via": via},
            {"vrf": "red", "prefix": "10.128.0.0/16", "via": {"vif": "tenant"}},
        ],
        "acls": [{"name": "rig", "rules": [{"action": "permit", "protocol": "udp"}]}],
        **arriving[tunnel],
    }


def tsc_mhz():
    """The TSC's rate, which the kernel prints as half the bogomips."""
    return float(re.search(r"bogomips\s*:\s*([\d.]+)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)) / 2


def measure(given):
    """Prints a table; its rows as dicts."""
    mhz = tsc_mhz()
    print(f"TSC {mhz:.0f} MHz; cycles a packet, medians of {given.rounds} rounds of {given.seconds} s")
    line = "{:<9} {:<6} {:>8} {:>12} {:>9} {:>7} {:>7} {:>8}"
    print(line.format("direction", "tunnel", "flows", "testpmd io", "vrouter", "net", "Mpps", "dropped"))
    rows = []
    for direction in given.directions:
        for flows in given.flows:
            row = measure_one(given, mhz, direction, flows)
            rows.append(row)
            floor, our, net = (row[name]["median"] for name in ("floor", "vrouter", "net"))
            beside = "".join(f"  {name} {figures['median']:.0f}" for name, figures in row.get("peers", {}).items())
            print(line.format(direction, given.tunnel, flows, f"{floor:.0f}", f"{our:.0f}", f"{net:.0f}", f"{row['mpps']:.2f}", "0") + beside, flush=True)
    return rows


def measure_one(given, mhz, direction, flows):
    """Floor and daemon in turns, each started anew."""
    with Scratch() as scratch:
        pcap = scratch.folder / "in.pcap"
        count = frames.write(pcap, flows, None if direction == "encap" else given.tunnel)
        floors, ours, drops, peers = [], [], [], []
        for _ in range(given.rounds):
            floors.append(mhz / testpmd(scratch, pcap, count, given.seconds))
            rate, _, reasons = vrouter(scratch, given.bin, pcap, count, direction, given.tunnel, flows, given.seconds)
            ours.append(mhz / rate)
            drops += [f"{reason} {vif} {count}" for (reason, vif), count in reasons.items()]
            if given.ovs:
                peers.append(mhz / ovs(scratch, given.ovs, flows, direction, given.seconds))
        commands = [" ".join(process.command) for process in scratch.processes[:2]]
    if drops:
        raise Failure(f"packets were dropped, the figure is not of forwarding: {drops}")
    return {
        "group": "rig", "scenario": f"rig {given.tunnel}", "about": "a file again and again to a device that swallows, beside testpmd io",
        "run": direction, "flows": flows, "size": 64, "floor": spread(floors), "vrouter": spread(ours),
        "net": spread([our - floor for our, floor in zip(ours, floors)]), "mpps": mhz / statistics.median(ours), "commands": commands,
        **({"peers": {"OVS-DPDK conntrack, net": spread([peer - floor for peer, floor in zip(peers, floors)])}} if peers else {}),
    }


def spread(figures):
    """Median, least and most, and each of them."""
    return {"median": statistics.median(figures), "least": min(figures), "most": max(figures), "all": figures}


def take_machine():
    """The cores and huge pages are this process's alone until it ends; it runs on core 0. Returns what to keep."""
    if os.geteuid() != 0:
        raise Failure("the bench needs root (huge pages)")
    if len(os.sched_getaffinity(0)) < 2:
        raise Failure("the bench needs two cores")
    # Two at once would measure one another.
    lock = open(LOCK, "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failure("another bench is running on this machine") from None
    # tests take and give back huge pages; kept as long as the lock
    lock.pages = open(hugepages.LOCK, "w")
    fcntl.flock(lock.pages, fcntl.LOCK_EX)
    os.sched_setaffinity(0, {0})
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    return lock


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    parser.add_argument("--flows", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--directions", nargs="+", choices=["encap", "decap"], default=["encap", "decap"])
    parser.add_argument("--tunnel", choices=["vxlan", "mpls"], default="vxlan")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--ovs", action="store_true", help="beside OVS-DPDK too, whose packages are fetched when they are not installed")
    given = parser.parse_args()
    _lock = take_machine()
    with peer.Programs() if given.ovs else contextlib.nullcontext() as given.ovs:
        measure(given)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(str(failure))
