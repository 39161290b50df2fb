"""The non-drop rate by binary search (RFC 2544, section 26.1), at no loss and at a little, with a generator on the other side.

The daemon has a scenario's network on two ports: devices that are given, beside which a command of yours generates, or sources and sinks of our
own, paced. bench/README.md says how TRex and pktgen are driven.
"""

import contextlib
import json
import pathlib
import shlex
import time

from lab import checked
from lab.bed import Bed, port
from lab.process import Failure, run, until
from lab.rig import CORES, WORKER_CORE
from lab.scenario import finite

# Shares of the frames sent that may be lost.
LOSSES = (0, 0.00001)
# What a generator sends at least of what it is asked for; else its own limit is found.
KEEPS_UP = 0.99
TRIALS = 60
# Of a trial; RFC 2544, section 24, says 60.
SECONDS = 2
GENERATOR_SECONDS = 120


def add_arguments(parser):
    """Of the bench."""
    parser.add_argument("--ndr", action="store_true", help="search for the rate without loss instead, by default of acl-vxlan.yaml")
    parser.add_argument("--port", action="append", help="a PCI address (or a DPDK vdev), twice: the search on these, in the order of the run's ports")
    parser.add_argument("--generator", help="the command that generates beside --port")
    parser.add_argument("--run", help="the run of the scenario, by default its first one")
    parser.add_argument("--most", type=float, default=30e6, help="frames a second that the search begins with")
    parser.add_argument("--precision", type=float, default=0.005, help="of --most")
    parser.add_argument("--frames", type=pathlib.Path, help="write the frames that a generator replays to this folder, and search for nothing")


def judge(given):
    """Failure when arguments do not go together."""
    given.ndr = given.ndr or bool(given.port or given.frames)
    if given.port and len(given.port) != 2:
        raise Failure("--port: two of them")
    if bool(given.port) != bool(given.generator):
        raise Failure("--port and --generator: both or neither")
    if not 0 < given.precision < 1 or given.most < 1:
        raise Failure("--precision is within 0 and 1, --most at least 1")


def search(trial, most, loss, precision, least=0):
    """The highest rate in frames a second, to `precision` of `most`, at which a trial and its repetition lose no more than this share, and each trial
    on the way. trial(rate): (sent rate, sent, received). `least` is known to be good. Failure when none is."""
    good, bad, offered, seen, trials = least, None, most, 0, []
    while len(trials) < TRIALS:
        rate, sent, received = trial(offered)
        if not 0 <= received <= sent or sent == 0:
            raise Failure(f"at {offered:.0f} frames a second {sent} were sent and {received} received")
        keeps_up, passes = rate >= KEEPS_UP * offered, sent - received <= loss * sent
        trials.append({"offered": offered, "rate": rate, "sent": sent, "lost": sent - received, "passed": passes})
        if passes and seen != offered and keeps_up:
            # once more: a rate that passed by luck is none
            seen = offered
            continue
        if passes:
            # what does not keep up has sent its best
            good = max(good, min(rate, offered))
            if not keeps_up or bad is None:
                return good, trials
        else:
            bad = offered
        if bad - good <= precision * most:
            break
        offered = (good + bad) / 2
    if good == 0:
        raise Failure(f"more than {loss:.3%} is lost even at {bad:.0f} frames a second: {trials[-1]}")
    return good, trials


class Command:
    """A generator that a command drives: called with --rate, --seconds and --size, it prints {"sent": N, "received": N} in its last line, once
    all that was sent may have come back, and "rate" if it did not send for just that long."""

    def __init__(self, command, size, seconds):
        self._command, self._size, self._seconds = shlex.split(command), size, seconds

    def trial(self, rate):
        words = (*self._command, "--rate", str(int(rate)), "--seconds", str(self._seconds), "--size", str(self._size))
        said = run(*words, seconds=self._seconds + GENERATOR_SECONDS).stdout.strip().splitlines()
        try:
            found = json.loads(said[-1])
            return float(found.get("rate", found["sent"] / self._seconds)), int(found["sent"]), int(found["received"])
        except (IndexError, ValueError, KeyError, TypeError, AttributeError):
            raise Failure(f"{shlex.join(words)} printed no line with sent and received: {said[-1:]}") from None


class Sources:
    """Our own sources and sinks as the generator: a daemon anew for each trial, whose flows are there before frames count."""

    def __init__(self, daemon, row, seconds):
        self._daemon, self._row, self._seconds = daemon, row, seconds

    def trial(self, rate):
        devargs = self._row.devargs(int(rate))
        # every port that goes on has the rate
        offered = {name: text if "rate=" in text or finite(text) is not None or text.startswith("sink") else f"{text},rate={int(rate)}"
                   for name, text in devargs.items()}
        with self._daemon(offered) as bed:
            def counts():
                stats = bed.stats()
                ports = [port(stats, name) for name in offered]
                missed = sum(int(each["missed"]) for each in ports)
                lost = sum(int(each["packets"]) for each in stats["drops"] if each["reason"] != "rx_missed")
                return sum(int(each["rx_packets"]) for each in ports) + missed, missed + lost, max(int(each["rx_packets"]) for each in ports)
            until(lambda: counts()[2] >= self._row.warm, 60 + 2 * self._row.warm / rate, f"{self._row}: flows at {rate:.0f} frames a second")
            before = counts()
            time.sleep(self._seconds)
            after = counts()
        # frames that fell due: a pace is always kept
        sent = after[0] - before[0]
        return rate, sent, sent - (after[1] - before[1])


def daemon(bin, folder, row, name, huge_folder=None, mbufs=32768):
    """devargs -> the row's daemon on these devices."""
    eal = {"huge_pages": bool(huge_folder), "memory_mb": mbufs * 2700 // 2**20 + 32, "file_prefix": name}
    if huge_folder:
        eal["args"] = ["--huge-unlink", "--huge-dir", str(huge_folder)]
    settings = {"workers": {"cores": [WORKER_CORE]}, "idle": "poll", "mempool": {"mbufs": mbufs, "cache": 256}, "eal": eal,
                "limits": row.limits(), "state": row.network()}
    return lambda devargs: Bed(bin, folder, "ndr", devargs, settings, prefix=("taskset", "-c", CORES), mtu=checked.MTU)


def find(row, make, ports, command, most, precision, seconds):
    """A row's non-drop rates as a dict. make: what `daemon` returns; ports: devices in the order of the run's ports, with the generator's command;
    none: our own sources."""
    found = {"group": "ndr", "scenario": row.scenario.name, "about": row.scenario.data["about"], "run": row.run, "flows": row.flows, "size": row.size,
             "seconds": seconds, "most": most, "precision": precision, "rates": [], "generator": command or "sources of our own"}
    with contextlib.ExitStack() as stack:
        if ports and len(row.devargs(most)) != len(ports):
            raise Failure(f"{row}: it has {len(row.devargs(most))} ports")
        if ports:
            bed = stack.enter_context(make(dict(zip(row.devargs(most), ports))))
            trial, found["commands"] = Command(command, row.size, seconds).trial, [bed.command]
        else:
            trial = Sources(make, row, seconds).trial
        known = 0
        for loss in LOSSES:
            known, trials = search(trial, most, loss, precision, least=known)
            found["rates"].append({"loss": loss, "rate": known, "trials": trials})
        if ports:
            found["drops"] = {f"{drop['reason']} {drop['vif']} {drop['vrf']}": int(drop["packets"]) for drop in bed.stats()["drops"]}
    return found


def write_frames(bin, folder, row, out, prefix):
    """The frames that a generator is to send, by port, in files that it can replay: one of each flow and size. Returns their paths."""
    settings = {**checked.SETTINGS, "eal": {"huge_pages": False, "memory_mb": 64, "file_prefix": prefix}}
    sizes = 12 if row.size == "imix" else 1
    written = []
    for name, devargs in row.devargs(rate=1000).items():
        if devargs.startswith("source"):
            path = out / f"{name}.pcap"
            checked.write(bin, folder, settings, checked.alone(devargs, row.flows, row.flows * sizes), path, row.flows * sizes)
            written.append(path)
    return written


def line(row):
    """A row of the table."""
    if "failure" in row:
        return f"ndr {row['scenario']} {row['run']}, {row['flows']} flows of {row['size']} FAILED: {row['failure']}"
    told = "; ".join(f"{rate['rate'] / 1e6:.3f} Mpps at {rate['loss']:.3%} loss ({len(rate['trials'])} trials)" for rate in row["rates"])
    return f"ndr {row['scenario']} {row['run']}, {row['flows']} flows of {row['size']}: {told}"
