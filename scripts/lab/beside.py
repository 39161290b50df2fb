"""A module of the lab that runs beside something, on a core of its own, until it is ended."""

import sys

from lab.process import Failure, Process, until
from lab.stall import SCRIPTS


class Beside:
    """`python3 -m lab.NAME --core CORE`, which says that it begins."""

    def __init__(self, folder, name, core):
        command = ("env", f"PYTHONPATH={SCRIPTS}", sys.executable, "-m", f"lab.{name}", "--core", str(core))
        self._process = Process(command, folder / f"{name}.log")
        try:
            until(lambda: "begins" in self._process.output(), 30, f"lab.{name} to begin")
        except Failure:
            self._process.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.stop()
