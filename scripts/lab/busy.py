"""Keeps a core busy as a control thread does that makes large tables: memory is taken, filled, copied and given back, until it is terminated.

    python3 -m lab.busy --core 0
"""

import argparse
import os
import sys

from lab.process import Failure, Process, until
from lab.stall import SCRIPTS

# Bytes of a table; some dozens are made and given back in a second.
TABLE = 32 << 20


class Busy:
    """The process, in the background."""

    def __init__(self, folder, core):
        command = ("env", f"PYTHONPATH={SCRIPTS}", sys.executable, "-m", "lab.busy", "--core", str(core))
        self._process = Process(command, folder / "busy.log")
        try:
            until(lambda: "begins" in self._process.output(), 30, "the process that keeps the core busy")
        except Failure:
            self._process.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.stop()


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--core", type=int, required=True)
    os.sched_setaffinity(0, {words.parse_args().core})
    print("begins", flush=True)
    while True:
        table = bytearray(TABLE)
        table[:] = bytes(TABLE)


if __name__ == "__main__":
    main()
