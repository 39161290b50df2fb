"""Not one packet lost while the control plane is busy: numbered traffic at half the rate at which a worker first overflows, beside changes.

Sources of our own, whose rings hold 1,024 frames, number every frame; sinks say which did not come, or came late. First the rate is searched at
which more than 0.1 % is lost, in trials of seconds. At half of it each row runs so long, in a daemon of its own: without changes, which is what
the machine itself loses, also while a process of its own keeps the other core busy; beside tables that load and go, random changes of routes, ACLs that are replaced, groups that flap, all by clients
of the control socket (bench/src/bin/control.rs); and with stalls of the worker, planted from outside, of which the loss must be seen. A row
holds when every frame came, but for slow spells of the machine, in order, and none where only the changes lead. Exit code 1 when one does not.

Beside it runs lab/speed.py, which knows when the machine itself was slow. Sources know when their rings were full: what was missed in such a spell is told,
and is not the worker's.
"""

import argparse
import json
import pathlib
import shlex
import sys
import time

from lab import ndr, numbered, report, rig, speed
from lab.beside import Beside
from lab.numbered import HUGE_MIB, MEMBERS, Numbered, SETTLE_SECONDS, ring_ms
from lab.process import Failure, Process, until
from lab.stall import Stalls, pauses

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKER_CORE, CLIENT_CORE = rig.WORKER_CORE, 0
SECONDS, TRIAL_SECONDS = 60, 2
# What may be lost at a rate that a worker carries, beside what others took of its core: the machine has pauses that it does not tell.
TOLERATED = 0.001
# Of the rate that the search begins with, which is a little above what the worker takes at most.
PRECISION, ABOVE = 0.02, 1.3
# Of a row's time: in more of it the machine may not be slow, or the row says nothing.
MOST_SLOW = 0.4
# Of the changes that a row asks for.
LEAST_CHANGES = 0.95
# Times that a row runs at most, where what it lost may be the machine's doing.
TIMES = 3
STALL_MS = 1
CLIENT_SECONDS = 300
ROWS = ("nothing", "busy", "load", "load-other", "churn", "acl", "flap-2", "flap-4", "stall")


def client_words(row, given):
    """Of the client of a row's changes; None: there are none."""
    words = {
        "load": ["load", "--routes", given.routes],
        "load-other": ["load", "--routes", given.routes, "--vrf", "blue"],
        "churn": ["churn", "--rate", given.changes, "--vrfs", numbered.VRFS, "--seed", given.seed],
        "acl": ["acl", "--rules", given.rules],
        "flap-2": ["flap", "--members", *MEMBERS[:2]],
        "flap-4": ["flap", "--members", *MEMBERS[:4]],
    }.get(row)
    return words and [*words, "--seconds", given.seconds, *(["--sync"] if given.sync and row != "churn" else [])]


class Changes:
    """The client in the background, on the core of the daemon's control thread."""

    def __init__(self, given, scratch, socket, words):
        command = ("taskset", "-c", str(CLIENT_CORE), str(given.bin / "control"), "--socket", str(socket), *map(str, words))
        self.command = shlex.join(command)
        self._process = Process(command, scratch.folder / "control.log")
        until(lambda: "begins" in self._process.output() or not self._process.is_running(), CLIENT_SECONDS, "the client to begin")

    def end(self, seconds):
        """What it found."""
        code, said = self._process.exit_code(seconds + CLIENT_SECONDS), self._process.output()
        if code != 0:
            raise Failure(f"{self.command}: exit code {code}\n{said[-2000:]}")
        return json.loads(said.strip().splitlines()[-1])


def run_row(row, given, scratch, rate, name):
    """One time of a row, as a dict."""
    ways = {"flap-2": 2, "flap-4": 4}.get(row, 1)
    with Numbered(given.bin, scratch, name, rate, ways) as traffic, speed.Meter(scratch.folder, CLIENT_CORE) as meter:
        before, began = traffic.quiet(), time.monotonic_ns()
        more = {}
        if words := client_words(row, given):
            changes = Changes(given, scratch, traffic.bed.socket, words)
            more = {"changes": changes.end(given.seconds), "command": changes.command}
        elif row == "stall":
            # what the ring holds in a slow build is longer
            milliseconds = max(given.stall_ms, 2 * ring_ms(rate))
            stalls = Stalls(scratch.folder, WORKER_CORE, traffic.bed.process.pid, milliseconds)
            time.sleep(given.seconds)
            count, how = stalls.stop()
            more = {"stalls": count, "stall_ms": milliseconds, "how": how}
        elif row == "busy":
            with Beside(scratch.folder, "busy", CLIENT_CORE):
                time.sleep(given.seconds)
        else:
            time.sleep(given.seconds)
        time.sleep(SETTLE_SECONDS)
        found = traffic.counts().since(before) | more | slow(meter.stop(), traffic.overflows(began), began, rate)
    return {"group": "lossless", "row": row, "rate": rate, **found, "faults": faults(row, found, rate)}


def slow(spells, overflows, began, rate):
    """When the machine was slow after `began`, and what was missed then."""
    spells = [spell for spell in spells if spell.end_ns > began]
    return {"slow_spells": len(spells), "slow_ms": sum(spell.milliseconds for spell in spells),
            "slow_lowest": min((spell.lowest for spell in spells), default=1), "missed_slow": speed.within(overflows, spells, drain_ns(rate)),
            "overflows": overflows[:1000]}


def drain_ns(rate):
    """Until a worker that can do twice as much has made up for a full ring, and for as much again."""
    return int(2 * ring_ms(rate) * 1e6)


def faults(row, found, rate):
    """Why it does not hold, in words; none: it does."""
    lost, why = loss(found) - found["missed_slow"], []
    if found["slow_ms"] > MOST_SLOW * found["seconds"] * 1000:
        why.append(f"the machine was slow for {found['slow_ms']:.0f} ms of {found['seconds']:.0f} s")
    if row == "stall":
        expected = found["stalls"] * (found["stall_ms"] - ring_ms(rate)) * rate * (1 - numbered.TOUCHED) / 1000
        taken = found["waited_ms"] if found["how"] == "taking-the-core" else (1 - found["core"]) * found["seconds"] * 1000
        if taken < found["stalls"] * found["stall_ms"] / 2 or not found["stalls"]:
            why.append(f"the worker was not stalled: {found['stalls']} times, {taken:.1f} ms in all")
        if lost < expected / 2:
            why.append(f"stalls of {found['stall_ms']:.2f} ms, and the bench would not have seen it: {lost} lost, about {expected:.0f} were to be")
        return why
    if lost:
        why.append(f"{lost} lost")
    why += [f"{found[name]} {name}" for name in ("reordered", "repeated") if found[name]]
    if found["strays"]:
        why.append(f"{found['strays']} came where only changes lead")
    changes = found.get("changes", {})
    for wanted, made in (("wanted_per_second", "per_second"), ("wanted_turns", "turns")):
        if wanted in changes and changes[made] < LEAST_CHANGES * changes[wanted] - (made == "turns"):
            why.append(f"{changes[made]:.0f} {made} instead of {changes[wanted]:.0f}")
    return why


def loss(found):
    """Frames that did not come: missed by a ring, dropped, or without a trace."""
    return max(found["missed"] + sum(found["dropped"].values()), found["lost"])


def may_be_the_machine(found, rate):
    """Whether all that was lost may have been so while others had the worker's core: the machine's host, or other processes."""
    gone, lost = found["stolen_ms"] + found["waited_ms"], loss(found) - found["missed_slow"]
    return 0 < lost <= gone * rate / 1000 and gone >= ring_ms(rate) and not found["dropped"]


def search(given, scratch):
    """The rates at which more than TOLERATED and at which anything is first lost, as a dict."""
    def trial(rate, forgiving=True):
        trial.number += 1
        with Numbered(given.bin, scratch, f"trial{trial.number}", rate) as traffic, speed.Meter(scratch.folder, CLIENT_CORE) as meter:
            before, began = traffic.quiet(1.1), time.monotonic_ns()
            time.sleep(given.trial_seconds)
            found = traffic.counts().since(before)
            found |= slow(meter.stop(), traffic.overflows(began), began, rate)
        # what fell due while others had the core, or the machine was slow, is not the worker's
        gone = (found["stolen_ms"] + found["waited_ms"]) * rate / 1000 + found["missed_slow"] if forgiving else 0
        return rate, found["sent"], found["sent"] - int(max(0, min(found["sent"], loss(found)) - gone))
    trial.number = 0
    with Numbered(given.bin, scratch, "most", None) as traffic:
        before = traffic.counts()
        time.sleep(given.trial_seconds)
        found = traffic.counts().since(before)
    most = found["sent"] / found["seconds"] / max(found["core"], 0.01) * ABOVE
    rate, trials = ndr.search(trial, most, TOLERATED, PRECISION)
    found = {"overflows": rate, "tolerated": TOLERATED, "seconds": given.trial_seconds, "precision": PRECISION, "trials": trials}
    try:
        without, trials = ndr.search(lambda offered: trial(offered, forgiving=False), rate, 0, 0.05)
        return found | {"without_loss": without, "trials_without_loss": trials}
    except Failure as none:
        return found | {"without_loss": 0, "none": str(none)}


def line(found):
    """A row of the table."""
    changes, rate = found.get("changes", {}), found["rate"]
    dropped = ", ".join(f"{count} {reason}" for reason, count in found["dropped"].items()) or "0"
    parts = [f"{found['row']:<10} {found['sent']:>12} sent; missed {found['missed']}, dropped {dropped}, lost by number {found['lost']}, "
             f"reordered {found['reordered']}, repeated {found['repeated']}, strays {found['strays']}"]
    if changes:
        rates = f" ({changes['per_second']:.0f}/s)" if "per_second" in changes else f" in {changes.get('turns', changes.get('loads'))} turns"
        parts.append(f"{changes['changes']} changes{rates}, in force after {times(changes['in_force_us'])}")
        if "synced_us" in changes:
            parts.append(f"waited for by Sync {times(changes['synced_us'])}")
    if "stalls" in found:
        parts.append(f"{found['stalls']} stalls of {found['stall_ms']:.2f} ms ({found['how'].replace('-', ' ')})")
    took = ", ".join(f"{time:.0f} us ({name[:-3]})" for name, time in found["latency"].items())
    parts.append(f"frames took {took}, where the ring holds {ring_ms(rate) * 1000:.0f} us")
    parts.append(f"decided again {found['decided_again']}, by the change before {found['overlooked']}, misses {found['misses']}")
    if found["slow_spells"]:
        parts.append(f"the machine was slow {found['slow_spells']} times, {found['slow_ms']:.0f} ms in all, down to {found['slow_lowest']:.0%} of its speed; "
                     f"{found['missed_slow']} were missed then")
    parts.append(f"worker busy in {found['busy']:.1%} of its polls, by {found['frames_a_poll']:.1f} frames; it had "
                 f"{found['core']:.1%} of its core; stolen {found['stolen_ms']:.0f} ms, "
                 f"waited {found['waited_ms']:.1f} ms")
    return ";\n             ".join(parts) + ("\n             NOT HELD: " + "; ".join(found["faults"]) if found["faults"] else "\n             holds")


def times(spread):
    return f"{spread['p50']}/{spread['p99']}/{spread['longest']} us (p50/p99/longest)" if spread else "no figure"


def arguments():
    words = argparse.ArgumentParser(prog="scripts/bench lossless", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--bin", required=True, type=pathlib.Path, help="folder with vrouter, vrctl and control")
    words.add_argument("--seconds", type=float, default=SECONDS, help=f"of each row ({SECONDS}); 3 is a quick look")
    words.add_argument("--row", nargs="+", default=ROWS, choices=ROWS, help="these alone")
    words.add_argument("--rate", type=float, help="frames a second that are offered; default: searched")
    words.add_argument("--trial-seconds", type=float, default=TRIAL_SECONDS, help=f"of a trial of the search ({TRIAL_SECONDS})")
    words.add_argument("--sync", action="store_true", help="each second change is waited for by Sync, else by looks alone")
    words.add_argument("--times", type=int, default=TIMES, help=f"that a row runs at most, where others may have lost its frames ({TIMES})")
    words.add_argument("--stall-ms", type=float, default=STALL_MS, help="of a planted stall (1), once a second; at least twice what the ring holds")
    words.add_argument("--routes", type=int, default=numbered.ROUTES, help="that load and go (1,000,000)")
    words.add_argument("--changes", type=float, default=10_000, help="of routes, a second (10,000)")
    words.add_argument("--rules", type=int, default=numbered.ACL_RULES, help="of an ACL that is replaced (10,000)")
    words.add_argument("--seed", type=int, default=1, help="of the random changes")
    words.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "lossless-report", help="a folder for report.json")
    return words.parse_args()


def several(row, given, scratch, rate):
    """The times of a row: the first that holds, or that lost more than the machine can have taken, or `times` of them."""
    for number in range(given.times):
        found = run_row(row, given, scratch, rate, f"{row}{number}")
        print(line(found), flush=True)
        yield found
        if not found["faults"] or not may_be_the_machine(found, rate):
            return
        if number + 1 < given.times:
            print(f"{row:<10} again: others had the worker's core, for {found['stolen_ms'] + found['waited_ms']:.1f} ms", flush=True)


def main():
    given = arguments()
    _lock = rig.take_machine()
    told = {"machine": report.machine(), "command": shlex.join(sys.argv), "began": time.strftime("%Y-%m-%d %H:%M:%S %Z"), "rows": []}
    with rig.Scratch() as scratch:
        scratch.huge_pages(HUGE_MIB)
        if given.rate:
            rate = given.rate
        else:
            told["search"] = found = search(given, scratch)
            rate = found["overflows"] / 2
            print(f"overflows at {found['overflows'] / 1e6:.3f} Mpps (more than {TOLERATED:.1%} lost, {len(found['trials'])} trials of {found['seconds']} s); "
                  f"nothing at all is lost up to {found['without_loss'] / 1e6:.3f} Mpps", flush=True)
        found, looked = pauses(WORKER_CORE, ring_ms(rate) / 1000)
        told |= {"rate": rate, "ring_ms": ring_ms(rate), "pauses_ms": found}
        print(f"offered are {rate / 1e6:.3f} Mpps, of which the ring holds {ring_ms(rate):.2f} ms; the machine itself paused longer than that "
              f"{'unknown' if found is None else len(found)} times in {looked:.1f} s{f', at most {max(found):.2f} ms' if found else ''}", flush=True)
        failed = []
        for row in given.row:
            rows = list(several(row, given, scratch, rate))
            told["rows"] += rows
            if rows[-1]["faults"]:
                failed.append(row)
    given.out.mkdir(parents=True, exist_ok=True)
    report.write_json(given.out / "report.json", told)
    print(f"{given.out}/report.json; {'not held: ' + ', '.join(failed) if failed else 'all rows hold'}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
