"""How fast the machine is, moment by moment. Its host may slow all cores down for a while and tell nobody: no time is stolen, and a core does a tenth.

    python3 -m lab.speed --core 0        # until it is terminated

A process of real-time priority does the same piece of work again and again, and takes the time. What it works on is in its core's own cache, so that
nobody else's memory accesses slow it down.
"""

import argparse
import dataclasses
import json
import os
import signal
import statistics
import sys
import time

from lab.beside import Beside
from lab.stall import takes_core

# Seconds between two pieces, and what one is: some 10 us, of which the quickest of three counts, as an interrupt delays one alone.
EVERY, WORK, TIMES = 0.002, range(500), 3
# Of its usual speed: below, the machine is slow.
SLOW = 0.7
# Slow pieces that are no further apart are of one spell; one alone is an interrupt.
TOGETHER_NS, LEAST = 20_000_000, 2


@dataclasses.dataclass
class Spell:
    """A while in which the machine was slow, by CLOCK_MONOTONIC, and its lowest speed, of the usual one."""
    begin_ns: int
    end_ns: int
    lowest: float

    @property
    def milliseconds(self):
        return (self.end_ns - self.begin_ns) / 1e6


def spells(pieces):
    """Of pieces, which are (when it began, how long it took) in nanoseconds."""
    if not pieces:
        return []
    usual = statistics.median(took for _, took in pieces)
    found, count = [], []
    for at, (begin, took) in enumerate(pieces):
        if took * SLOW <= usual:
            continue
        # from the piece before, which was not slow yet, to the one after
        since = sum(pieces[at - 1]) if at else begin
        until_ns = pieces[at + 1][0] if at + 1 < len(pieces) else begin + took
        if found and since - found[-1].end_ns <= TOGETHER_NS:
            found[-1] = Spell(found[-1].begin_ns, until_ns, min(found[-1].lowest, usual / took))
            count[-1] += 1
        else:
            found.append(Spell(since, until_ns, usual / took))
            count.append(1)
    return [spell for spell, many in zip(found, count) if many >= LEAST]


def within(overflows, slow, drain_ns):
    """Frames that were missed in overflows that began in one of these spells, or so long after, while what had waited was made up for."""
    return sum(overflow["frames"] for overflow in overflows
               if any(spell.begin_ns <= overflow["at_ns"] <= spell.end_ns + drain_ns for spell in slow))


def piece():
    """When it began, and how long it took."""
    times = [time.monotonic_ns()]
    for _ in range(TIMES):
        sum(WORK)
        times.append(time.monotonic_ns())
    return times[0], min(after - before for before, after in zip(times, times[1:]))


class Meter(Beside):
    """The process that measures, in the background."""

    def __init__(self, folder, core):
        super().__init__(folder, "speed", core)

    def stop(self):
        """The spells that it saw."""
        self._process.signal(signal.SIGTERM)
        self._process.exit_code()
        return [Spell(*spell) for spell in json.loads(self._process.output().splitlines()[-1])]


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--core", type=int, required=True)
    given = words.parse_args()
    pieces = []

    def end(*_):
        print(json.dumps([dataclasses.astuple(spell) for spell in spells(pieces)]), flush=True)
        os._exit(0)
    if not takes_core(given.core):
        print("no real-time priority is granted: a slow moment may be another process's", file=sys.stderr)
    signal.signal(signal.SIGTERM, end)
    print("begins", flush=True)
    while True:
        pieces.append(piece())
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
