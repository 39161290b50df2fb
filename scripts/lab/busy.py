"""Keeps a core busy as a control thread does that makes large tables: memory is taken, filled, copied and given back, until it is terminated.

    python3 -m lab.busy --core 0
"""

import argparse
import os

# Bytes of a table; some dozens are made and given back in a second.
TABLE = 32 << 20


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
