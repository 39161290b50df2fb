#!/usr/bin/python3
"""Runs the end-to-end tests: the functions test_* of the files test_*.py beside this one, each with a Picture of its own.

usage: run.py --bin FOLDER [NAME...]     FOLDER holds vrouter and vrctl; NAME: only tests whose name contains it
"""

import argparse
import importlib
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

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


def passes(title, function, bin):
    start = time.monotonic()
    with Lab() as lab:
        picture = Picture(lab, bin)
        try:
            function(picture)
            end(picture)
            print(f"ok      {time.monotonic() - start:5.1f} s  {title}", flush=True)
            return True
        except Exception as failure:
            print(f"FAILED  {time.monotonic() - start:5.1f} s  {title}")
            print(indented(str(failure) if isinstance(failure, Failure) else traceback.format_exc()))
            if isinstance(failure, Failure):
                where = traceback.extract_tb(failure.__traceback__)
                print(indented("".join(traceback.format_list(where)[1:3])))
            report(picture)
            sys.stdout.flush()
            return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="folder of vrouter and vrctl")
    parser.add_argument("names", nargs="*", help="only tests whose name contains one of these")
    given = parser.parse_args()
    for program in ("vrouter", "vrctl"):
        if not (given.bin / program).exists():
            raise Failure(f"{given.bin / program} is missing: cargo build -p vrouter --bins")
    results = [passes(title, function, given.bin) for title, function in tests(given.names)]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
