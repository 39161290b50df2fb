"""Figures of one row of a scenario: the daemon that forwards beside the same daemon that only moves, in turns on the same cores; and beside
the row that it is a ratio to.

All of them run all the time, all but one stopped. A figure is the CPU time of the workers' threads over the packets that they received, as cycles of
the time stamp counter; a row's figures are medians over the rounds, and its ratio is the median of the rounds' ratios.
"""

import contextlib
import dataclasses
import os
import pathlib
import statistics
import time

from lab.bed import Bed, port
from lab.churn import Churn
from lab.process import Failure, until
from lab.report import LEAST_SHARE
from lab.rig import CORES, WORKER_CORE, Thread, spread, tsc_mhz
from lab.scenario import finite

MBUFS = 8192
# Where one worker runs, and where a second one does, beside this process.
CORE_ORDER = [WORKER_CORE, 0]
# What a latency is of.
POLICY = ("a worker takes at most 64 frames from each port's ring of 1,024 descriptors in turn, and sends what it made of them at the turn's end: "
          "no frame waits for a fuller burst")
# Of the changes that are asked for.
LEAST_CHANGES = 0.95
# After a turn begins: caches fill, and what fell due while it was stopped is missed.
SETTLE_SECONDS = 0.1
WARM_SECONDS = 300
# Until workers go on by the last change of a turn.
FOLLOW_SECONDS = 5
# Of a turn that a worker is to have of its core, and how much longer a turn may take for that.
LEAST_PART, BUSY_SECONDS = 0.1, 10
# Packets that may be on their way when counters are read, and the share that may pass while one counter is read after the other.
UNDER_WAY, READING = 256, 0.02


@dataclasses.dataclass
class Turn:
    """What one turn counted, by worker."""
    cpu_ns: list
    wall_ns: int
    packets: list
    # statistics before and after
    window: tuple

    @property
    def cycles(self):
        return sum(self.cpu_ns) * tsc_mhz() / 1000 / sum(self.packets)

    @property
    def mpps(self):
        """Packets per CPU microsecond of each worker, all workers together."""
        return sum(packets * 1000 / cpu_ns for packets, cpu_ns in zip(self.packets, self.cpu_ns))

    @property
    def share(self):
        """Of its core that the worker had which had least."""
        return min(self.cpu_ns) / self.wall_ns


class Forwarder:
    """A daemon with its workers' threads, stopped but for its turns."""

    def __init__(self, bin, scratch, row, devargs, only_move, name):
        self.row, self.devargs, self.churn = row, devargs, None
        settings = {
            "workers": {"cores": CORE_ORDER[:row.workers]}, "idle": "poll", "mempool": {"mbufs": MBUFS, "cache": 256},
            "eal": {"huge_pages": True, "memory_mb": 64, "file_prefix": f"{name}{scratch.number}",
                    "args": ["--huge-unlink", "--huge-dir", str(scratch.huge_folder)]},
        }
        if not only_move:
            settings |= {"limits": row.limits(), "state": row.network()}
        self.bed = Bed(bin, scratch.folder, name, devargs, settings, only_move, prefix=("taskset", "-c", CORES))
        try:
            self.threads = [Thread(self.bed.process.pid, (f"vr-worker-{index}",)) for index in range(row.workers)]
            if row.workers > 1:
                prefer_others(self.bed.process.pid)
            if row.changes() and not only_move:
                self.churn = Churn(self.bed.socket, scratch.folder, row.changes())
        except Failure:
            self.bed.process.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.churn:
            self.churn.stop()
        self.bed.__exit__(*exception)

    @property
    def commands(self):
        return [self.bed.command, *([self.churn.command] if self.churn else [])]

    def warm(self):
        """Until finite sources are silent and the others have made what the row asks for, each worker its part. Leaves it stopped."""
        progress = {"at": time.monotonic(), "sum": -1}
        # the workers' parts overlap or not; all of both directions by each is enough in any case
        least = 2 * self.row.warm if self.row.workers > 1 else 0

        def ready():
            stats = self.bed.stats()
            made = {name: int(port(stats, name)["rx_packets"]) for name in self.devargs}
            if sum(made.values()) > progress["sum"]:
                progress.update(at=time.monotonic(), sum=sum(made.values()))
            elif time.monotonic() - progress["at"] > 20:
                raise Failure(f"{self.row}: {self.bed.name} stands still at {made}; drops {stats['drops']}")
            ends = {name: finite(devargs) for name, devargs in self.devargs.items()}
            silent = all(made[name] == end for name, end in ends.items() if end is not None)
            # a source that answers begins late, and its flows are to be answered too
            warm = min((made[name] for name, end in ends.items() if end is None and self.devargs[name].startswith("source")), default=0) >= self.row.warm
            return silent and warm and min(by_worker(stats, "rx_packets")) >= least
        until(ready, WARM_SECONDS, f"{self.row}: {self.bed.name} to be warm")
        self.bed.pause()

    def turn(self, seconds):
        """Runs for so long. What it counted."""
        self.bed.resume()
        if self.churn:
            self.churn.go()
        time.sleep(SETTLE_SECONDS)
        start, cpu = self.bed.stats(), [thread.nanoseconds() for thread in self.threads]
        began = time.monotonic_ns()
        time.sleep(seconds)
        self._work(cpu, LEAST_PART * seconds)
        end, cpu_end = self.bed.stats(), [thread.nanoseconds() for thread in self.threads]
        wall = time.monotonic_ns() - began
        if self.churn:
            self.churn.rest()
            until(lambda: min(by_worker(self.bed.stats(), "generation")) >= int(end["generation"]), FOLLOW_SECONDS,
                  f"{self.row}: {self.bed.name}'s workers to go on by all changes")
        self.bed.pause()
        packets = [after - before for before, after in zip(by_worker(start, "rx_packets"), by_worker(end, "rx_packets"))]
        cpu_ns = [after - before for before, after in zip(cpu, cpu_end)]
        if min(packets) == 0 or min(cpu_ns) == 0:
            raise Failure(f"{self.row}: {self.bed.name} moved nothing")
        return Turn(cpu_ns, wall, packets, (start, end))

    def _work(self, before, seconds):
        """Returns when every worker has had so many seconds of its core, or when others have kept it from that for long."""
        end = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < end and any(thread.nanoseconds() - cpu < seconds * 1e9 for thread, cpu in zip(self.threads, before)):
            time.sleep(0.02)


def prefer_others(pid):
    """A worker that polls on the core of the control threads keeps them from it for seconds, unless they come first."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if not (task / "comm").read_text().startswith("vr-worker"):
            os.setpriority(os.PRIO_PROCESS, int(task.name), -20)


@contextlib.contextmanager
def coming_first():
    """This process and its children before others on its core, where the scheduler groups processes by session."""
    group = pathlib.Path("/proc/self/autogroup")
    told = group.read_text().split() if group.exists() else []
    # the file is empty where the scheduler groups by something else
    if not told:
        yield
        return
    before = told[-1]
    try:
        group.write_text("-20")
    except PermissionError:
        # a container without CAP_SYS_NICE: the workers' CPU time is what counts, it only gets more of it elsewhere
        yield
        return
    try:
        yield
    finally:
        group.write_text(before)


def by_worker(stats, name):
    return [int(row[name]) for row in sorted(stats["workers"], key=lambda row: row["worker"])]


def worker(stats, name):
    return sum(by_worker(stats, name))


def measure(bin, scratch, row, rounds, seconds, rate=None):
    """The row's figures as a dict."""
    against = row.against()
    asked = {"floor": (row, True), "rig": (row, False)}
    if against:
        asked |= {"rig2": (against.row, False), **({"floor2": (against.row, True)} if against.of == "net" else {})}
    turns = {name: [] for name in asked}
    with contextlib.ExitStack() as stack:
        if row.workers > 1:
            stack.enter_context(coming_first())
        running = {}
        for name, (whose, only_move) in asked.items():
            devargs = whose.devargs(rate if whose is row else None)
            running[name] = stack.enter_context(Forwarder(bin, scratch, whose, devargs, only_move, name))
            running[name].warm()
        for _ in range(rounds):
            for name, forwarder in running.items():
                turns[name].append(forwarder.turn(seconds))
        commands = [command for forwarder in running.values() for command in forwarder.commands]
    return figures(row, against, turns, rate) | {"commands": commands}


def figures(row, against, turns, rate):
    """What the turns by name say of the row. Failure when they are of something else."""
    ours, devargs = turns["rig"], row.devargs(rate)
    windows, share = [turn.window for turn in ours], statistics.median(turn.share for turn in ours)
    found = {
        "group": "scenarios",
        "scenario": row.scenario.name, "about": row.scenario.data["about"], "run": row.run, "flows": row.flows, "size": row.size,
        "floor": spread([turn.cycles for turn in turns["floor"]]), "vrouter": spread([turn.cycles for turn in ours]), "net": spread(net(turns)),
        "mpps": statistics.median(turn.mpps for turn in ours), "workers": row.workers,
        "share": share,
        "reach": row.reach(), "capacity": row.capacity, "devargs": devargs, **judged(row, windows, devargs, share), **changed(row, ours),
    }
    if against:
        judged(against.row, [turn.window for turn in turns["rig2"]], against.row.devargs(), min(turn.share for turn in turns["rig2"]))
        found["ratio"] = ratio(against, turns)
    if rate:
        found |= {"rate": rate, "latency": latency(windows, devargs), "policy": POLICY,
                  "floor_latency": latency([turn.window for turn in turns["floor"]], devargs)}
    return found


def net(turns, which=""):
    return [turn.cycles - floor.cycles for turn, floor in zip(turns[f"rig{which}"], turns[f"floor{which}"])]


def ratio(against, turns):
    """The row's figure over the other row's, round by round."""
    ours, theirs = {
        "cycles": lambda: ([turn.cycles for turn in turns["rig"]], [turn.cycles for turn in turns["rig2"]]),
        "net": lambda: (net(turns), net(turns, "2")),
        "throughput": lambda: ([turn.mpps for turn in turns["rig"]], [turn.mpps for turn in turns["rig2"]]),
    }[against.of]()
    rounds = spread([our / their for our, their in zip(ours, theirs)])
    is_reached = (against.most is None or rounds["median"] <= against.most) and (against.least is None or rounds["median"] >= against.least)
    return {"is": rounds["median"], "rounds": rounds, "of": against.of, "to": str(against.row), "other": statistics.median(theirs),
            "most": against.most, "least": against.least, "reached": is_reached}


def changed(row, turns):
    """Route changes a second, by all of which the workers went on (see `turn`). Failure when they were fewer than was asked for."""
    wanted = row.changes()
    if not wanted:
        return {}
    # each batch is a generation; a worker with much to decide anew may go on by the one before for a while and then by several at once
    generations = [int(end["generation"]) - int(start["generation"]) for start, end in (turn.window for turn in turns)]
    rates = [count * wanted["batch"] * 1e9 / turn.wall_ns for count, turn in zip(generations, turns)]
    # a batch may be under way when it ends
    slack = wanted["batch"] * 1e9 / min(turn.wall_ns for turn in turns)
    if statistics.median(rates) + slack < LEAST_CHANGES * wanted["per_second"]:
        raise Failure(f"{row}: {statistics.median(rates):.0f} changes a second instead of {wanted['per_second']}")
    again = sum(worker(end, "revalidated") - worker(start, "revalidated") for start, end in (turn.window for turn in turns))
    return {"changes_per_second": spread(rates), "decided_again": again}


def judged(row, windows, devargs, share):
    """What was received, sent, dropped, lost, and found, all turns together. Failure when that is not what the row says: such figures are
    of something else."""
    def more(read):
        return sum(read(end) - read(start) for start, end in windows)
    books = {name: more(lambda stats, name=name: int(stats["conservation"][name])) for name in ("received", "sent", "dropped")}
    drops = {}
    for start, end in windows:
        def of(drop):
            return drop["reason"], drop["vif"], drop.get("vrf", "")
        old = {of(drop): int(drop["packets"]) for drop in start["drops"]}
        for drop in end["drops"]:
            new = int(drop["packets"]) - old.get(of(drop), 0)
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
    again = 0 if row.changes() else again
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
