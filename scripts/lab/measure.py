"""Figures of one row of a scenario: the daemon that forwards beside the same daemon that only moves, in turns on one core.

Both run all the time, one of them stopped. A figure is the CPU time of the worker's thread over the packets that it received, as cycles of
the time stamp counter; a row's figures are medians over the rounds.
"""

import dataclasses
import statistics
import time

from lab.bed import Bed, port
from lab.process import Failure, until
from lab.report import LEAST_SHARE
from lab.rig import CORES, WORKER_CORE, Thread, spread, tsc_mhz
from lab.scenario import finite

MBUFS = 8192
# After a turn begins: caches fill, and what fell due while it was stopped is missed.
SETTLE_SECONDS = 0.1
WARM_SECONDS = 300
# Packets that may be on their way when counters are read, and the share that may pass while one counter is read after the other.
UNDER_WAY, READING = 256, 0.02


@dataclasses.dataclass
class Turn:
    """What one turn counted."""
    cpu_ns: int
    wall_ns: int
    packets: int
    cycles: float


class Forwarder:
    """A daemon with its worker's thread, stopped but for its turns."""

    def __init__(self, bin, scratch, row, devargs, only_move):
        self.row, self.devargs = row, devargs
        name = "floor" if only_move else "rig"
        huge = scratch.huge_folder
        settings = {
            "workers": {"cores": [WORKER_CORE]}, "idle": "poll", "mempool": {"mbufs": MBUFS, "cache": 256},
            "eal": {"huge_pages": True, "memory_mb": 64, "file_prefix": f"{name}{scratch.number}",
                    "args": ["--huge-unlink", "--huge-dir", str(huge)]},
        }
        if not only_move:
            settings |= {"limits": row.limits(), "state": row.network()}
        self.bed = Bed(bin, scratch.folder, name, devargs, settings, only_move, prefix=("taskset", "-c", CORES))
        self.thread = Thread(self.bed.process.pid, ("vr-worker",))
        self.before = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bed.__exit__(*exception)

    def warm(self):
        """Until finite sources are silent and the others have made what the row asks for. Leaves it stopped."""
        progress = {"at": time.monotonic(), "sum": -1}

        def ready():
            stats = self.bed.stats()
            made = {name: int(port(stats, name)["rx_packets"]) for name in self.devargs}
            if sum(made.values()) > progress["sum"]:
                progress.update(at=time.monotonic(), sum=sum(made.values()))
            elif time.monotonic() - progress["at"] > 20:
                raise Failure(f"{self.row}: {self.bed.name} stands still at {made}; drops {stats['drops']}")
            ends = {name: finite(devargs) for name, devargs in self.devargs.items()}
            silent = all(made[name] == end for name, end in ends.items() if end is not None)
            warm = max((made[name] for name, end in ends.items() if end is None), default=0) >= self.row.warm
            return stats if silent and warm else None
        self.before = until(ready, WARM_SECONDS, f"{self.row}: {self.bed.name} to be warm")
        self.bed.pause()

    def turn(self, seconds):
        """Runs for so long. What it counted, and the statistics around."""
        self.bed.resume()
        time.sleep(SETTLE_SECONDS)
        start, cpu = self.bed.stats(), self.thread.nanoseconds()
        began = time.monotonic_ns()
        time.sleep(seconds)
        end, cpu_end = self.bed.stats(), self.thread.nanoseconds()
        wall = time.monotonic_ns() - began
        self.bed.pause()
        packets = worker(end, "rx_packets") - worker(start, "rx_packets")
        if packets == 0 or cpu_end == cpu:
            raise Failure(f"{self.row}: {self.bed.name} moved nothing")
        return Turn(cpu_end - cpu, wall, packets, (cpu_end - cpu) * tsc_mhz() / 1000 / packets), start, end


def worker(stats, name):
    return sum(int(row[name]) for row in stats["workers"])


def measure(bin, scratch, row, rounds, seconds, rate=None):
    """The row's figures as a dict."""
    devargs = row.devargs(rate)
    turns, floors, windows = [], [], []
    with Forwarder(bin, scratch, row, devargs, True) as floor:
        floor.warm()
        with Forwarder(bin, scratch, row, devargs, False) as forwarder:
            forwarder.warm()
            for _ in range(rounds):
                floors.append(floor.turn(seconds)[0])
                turn, start, end = forwarder.turn(seconds)
                turns.append(turn)
                windows.append((start, end))
            forwarder.bed.resume()
            commands = [floor.bed.command, forwarder.bed.command]
    nets = [turn.cycles - floor.cycles for turn, floor in zip(turns, floors)]
    share = statistics.median(turn.cpu_ns / turn.wall_ns for turn in turns)
    found = {
        "group": "scenarios",
        "scenario": row.scenario.name, "about": row.scenario.data["about"], "run": row.run, "flows": row.flows, "size": row.size,
        "floor": spread([turn.cycles for turn in floors]), "vrouter": spread([turn.cycles for turn in turns]), "net": spread(nets),
        "mpps": statistics.median(turn.packets * 1000 / turn.cpu_ns for turn in turns),
        "share": share,
        "reach": row.reach(), "capacity": row.capacity, "devargs": devargs, "commands": commands,
        **judged(row, windows, devargs, share),
    }
    if rate:
        found |= {"rate": rate, "latency": latency(windows, devargs)}
    return found


def judged(row, windows, devargs, share):
    """What was received, sent, dropped, lost, and found, all turns together. Failure when that is not what the row says: such figures are
    of something else."""
    def more(read):
        return sum(read(end) - read(start) for start, end in windows)
    books = {name: more(lambda stats, name=name: int(stats["conservation"][name])) for name in ("received", "sent", "dropped")}
    drops = {}
    for start, end in windows:
        old = {(drop["reason"], drop["vif"]): int(drop["packets"]) for drop in start["drops"]}
        for drop in end["drops"]:
            new = int(drop["packets"]) - old.get((drop["reason"], drop["vif"]), 0)
            if new:
                drops[f"{drop['reason']} {drop['vif']}"] = drops.get(f"{drop['reason']} {drop['vif']}", 0) + new
    hits, misses, again = (more(lambda stats, name=name: worker(stats, name)) for name in ("flow_hits", "flow_misses", "revalidated"))
    def sinks(stats, name):
        return sum(int(port(stats, each)["traffic"][name]) for each in devargs)
    lost = {name: more(lambda stats, name=name: sinks(stats, name)) for name in ("lost", "reordered", "repeated")}
    faults = []
    if books["dropped"] or drops:
        faults.append(f"drops {drops}")
    slack = UNDER_WAY * len(windows) + READING * books["received"]
    if abs(books["received"] - books["sent"]) > slack:
        faults.append(f"{books['received']} received, {books['sent']} sent")
    if any(lost.values()):
        faults.append(f"{lost}")
    received = books["received"]
    # misses are exact; counters that are compared are read while packets move
    if row.expect == "hits" and (misses or again or abs(hits - received) > slack):
        faults.append(f"{received} packets, but {hits} hits, {misses} misses, {again} decided again")
    if row.expect == "misses" and hits > received / 1000:
        faults.append(f"{hits} hits of {received} packets")
    if row.expect == "no-flows" and hits + misses:
        faults.append(f"{hits} hits and {misses} misses without flows")
    if faults and share < LEAST_SHARE:
        faults.append(f"the worker had {share:.0%} of its core")
    if faults:
        raise Failure(f"{row}: the figure would be of something else: {'; '.join(faults)}")
    return {**books, **lost, "drops": drops, "hits": hits, "misses": misses}


def latency(windows, devargs):
    """The figures of the frames of all turns, in nanoseconds."""
    counts = {}
    for name in devargs:
        for sign, which in ((-1, 0), (1, 1)):
            for window in windows:
                for bucket in port(window[which], name)["traffic"]["latency"]["buckets"]:
                    counts[int(bucket["longest_ns"])] = counts.get(int(bucket["longest_ns"]), 0) + sign * int(bucket["frames"])
    frames = sum(counts.values())
    if not frames:
        raise Failure("no frame came with a time")

    def at(share):
        below = 0
        for longest, count in sorted(counts.items()):
            below += count
            if count and below >= share * frames:
                return longest
        return max(counts)
    return {"frames": frames, "p50_ns": at(0.5), "p99_ns": at(0.99), "p999_ns": at(0.999), "longest_ns": at(1)}
