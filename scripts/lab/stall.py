"""Takes a core from who runs there, for a moment and again and again: a stall of a worker, planted from outside; and what the machine itself takes.

    python3 -m lab.stall --core 1 --pid PID --milliseconds 1 --every 1
"""

import argparse
import os
import pathlib
import signal
import sys
import time

from lab.process import Failure, Process, until

SCRIPTS = pathlib.Path(__file__).resolve().parents[1]
# Above all that is not of real time.
PRIORITY = 50
# A while that real-time processes are granted at once (95 % of a second).
SPELL, SPELLS = 0.8, 3
# Times that the process which stalls is begun, at most.
BEGINNINGS = 3
STEAL_MS = 1000 / os.sysconf("SC_CLK_TCK")


def takes_core(core):
    """Whether this process goes before all others on the core from now on."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    return True


def spin(seconds):
    """Has the core for so long."""
    end = time.perf_counter_ns() + int(seconds * 1e9)
    while time.perf_counter_ns() < end:
        pass


def stop(pid, seconds):
    """Stops a whole process for so long."""
    os.kill(pid, signal.SIGSTOP)
    spin(seconds)
    os.kill(pid, signal.SIGCONT)


def pauses(core, longer):
    """Milliseconds of each pause longer than so many seconds that a process has which nobody may interrupt on this core, and the seconds looked at:
    they are the machine's own (its host's, or interrupts)."""
    before = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    found = []
    try:
        if not takes_core(core):
            return None, 0
        for _ in range(SPELLS):
            last = time.perf_counter_ns()
            end = last + int(SPELL * 1e9)
            while last < end:
                now = time.perf_counter_ns()
                if now - last > longer * 1e9:
                    found.append((now - last) / 1e6)
                last = now
            time.sleep(1 - SPELL)
    finally:
        os.sched_setscheduler(0, *before[1:])
        os.sched_setaffinity(0, before[0])
    return found, SPELL * SPELLS


def stolen_ms(core):
    """What the machine's host says that it took from this core, in milliseconds since the start."""
    line = next(line for line in pathlib.Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    return int(line.split()[8]) * STEAL_MS


class Stalls:
    """The process that stalls, in the background."""

    def __init__(self, folder, core, pid, milliseconds):
        command = ("env", f"PYTHONPATH={SCRIPTS}", sys.executable, "-m", "lab.stall", "--core", str(core), "--pid", str(pid),
                   "--milliseconds", str(milliseconds))
        for times_left in reversed(range(BEGINNINGS)):
            self._process = Process(command, folder / "stall.log")
            try:
                until(lambda: "begins" in self._process.output(), 10, "the process that stalls the worker")
                break
            except Failure:
                # seen: one of real time that is ready to run and given no core for half a minute, beside four compilers
                self._process.stop()
                if not times_left:
                    raise

    def stop(self):
        """How often it stalled, and how."""
        self._process.signal(signal.SIGTERM)
        self._process.exit_code()
        words = self._process.output().split()
        return int(words[-1]), words[1]


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--core", type=int, required=True)
    words.add_argument("--pid", type=int, required=True, help="whom to stop where real time is not granted")
    words.add_argument("--milliseconds", type=float, default=1, help="of a stall")
    words.add_argument("--every", type=float, default=1, help="seconds")
    given = words.parse_args()
    times = {"count": 0}

    def end(*_):
        print(times["count"], flush=True)
        os.kill(given.pid, signal.SIGCONT)
        os._exit(0)
    has_core = takes_core(given.core)
    signal.signal(signal.SIGTERM, end)
    print(f"begins {'taking-the-core' if has_core else 'stopping-the-process'}", flush=True)
    due = time.monotonic()
    while True:
        due += given.every
        time.sleep(max(0, due - time.monotonic()))
        spin(given.milliseconds / 1000) if has_core else stop(given.pid, given.milliseconds / 1000)
        times["count"] += 1


if __name__ == "__main__":
    main()
