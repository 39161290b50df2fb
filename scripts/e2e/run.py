#!/usr/bin/python3
"""Runs the end-to-end tests: the functions test_* of the files test_*.py beside this one, each with a Picture of its own.

usage: run.py --bin FOLDER [--jobs N] [NAME...]     FOLDER holds vrouter and vrctl; NAME: only tests whose name contains it

So many run at a time, each by a process that has its own namespaces, folder and names of DPDK's files; those marked `alone` afterwards.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import importlib
import io
import multiprocessing
import os
import pathlib
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
# Tests wait more than they compute.
JOBS = min(8, 1 + (os.cpu_count() or 1))
_PR_SET_PDEATHSIG = 1
sys.path[:0] = [str(HERE), str(HERE.parent)]

from lab.order import is_alone  # noqa: E402
from lab.picture import Picture  # noqa: E402
from lab.process import Failure  # noqa: E402
from lab.space import Lab  # noqa: E402


def end(picture):
    """What holds at the end of every test: no packet lost track of, and a clean exit."""
    for vrouter in picture.vrouters.values():
        vrouter.check_conservation()
    for vrouter in picture.vrouters.values():
        code = vrouter.stop()
        if code != 0:
            raise Failure(f"{vrouter.host.name}: exit code {code} after SIGTERM\n{vrouter.process.output()}")


def report(picture):
    """What a person wants to see after a failure."""
    for name, vrouter in picture.vrouters.items():
        print(f"    --- {name}: its last lines")
        print(indented("\n".join(vrouter.process.output().splitlines()[-30:])))
        for command in ("stats", "drops"):
            if vrouter.process.is_running():
                done = vrouter.vrctl(command, check=False)
                print(f"    --- {name}: vrctl {command}\n{indented(done.stdout + done.stderr)}")


def indented(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


def tests(names):
    """(name, function) of every test, or of those whose name contains one of `names`."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in list(vars(module).items()):
            title = f"{path.stem[5:]}: {name[5:].replace('_', ' ')}"
            if name.startswith("test_") and (not names or any(part in f"{path.stem[5:]} {name[5:]}" for part in names)):
                yield title, function


def run_test(title, function, bin):
    """Whether it passed, and what is to be said of it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        passed = passes(title, function, bin)
    return passed, said.getvalue()


def passes(title, function, bin):
    start = time.monotonic()
    with Lab() as lab:
        picture = Picture(lab, bin)
        try:
            function(picture)
            end(picture)
            print(f"ok      {time.monotonic() - start:5.1f} s  {title}")
            return True
        except Exception as failure:
            print(f"FAILED  {time.monotonic() - start:5.1f} s  {title}")
            print(indented(str(failure) if isinstance(failure, Failure) else traceback.format_exc()))
            if isinstance(failure, Failure):
                where = traceback.extract_tb(failure.__traceback__)
                print(indented("".join(traceback.format_list(where)[1:3])))
            report(picture)
            return False


def run_all(chosen, bin, jobs):
    """The titles of those that passed and of those that failed; what each says is told when it ends."""
    chosen = list(chosen)
    results = {True: [], False: []}
    for several in (True, False):
        part = [test for test in chosen if is_alone(test[1]) != several]
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(jobs if several else 1, context, _end_with_parent) as pool:
            waited = {pool.submit(run_test, *test, bin): test[0] for test in part}
            for done in concurrent.futures.as_completed(waited):
                passed, said = done.result()
                print(said, end="", flush=True)
                results[passed].append(waited[done])
    return results[True], results[False]


def _end_with_parent():
    # SIGTERM: a lab closes itself then
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="folder of vrouter and vrctl")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"tests at a time ({JOBS})")
    parser.add_argument("names", nargs="*", help="only tests whose name contains one of these")
    given = parser.parse_args()
    for program in ("vrouter", "vrctl"):
        if not (given.bin / program).exists():
            raise Failure(f"{given.bin / program} is missing: cargo build -p vrouter --bins")
    passed, failed = run_all(tests(given.names), given.bin, given.jobs)
    for title in failed:
        print(f"failed: {title}")
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
