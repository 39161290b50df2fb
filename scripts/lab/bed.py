"""A daemon between devices that need no network: sources, sinks and files. For tests and measurements."""

import json
import os
import pathlib
import re
import signal

import yaml

from lab.process import Failure, Process, run, until

READY_SECONDS = 60


class Bed:
    """A running `vrouter`. bin: the folder with vrouter and vrctl; folder: for its files; devargs: by port; settings: what its configuration
    has beside ports and socket; only_move: it moves frames between ports instead of forwarding; mtu: of the ports, 0: the devices' own. Use as a
    context manager."""

    def __init__(self, bin, folder, name, devargs, settings, only_move=False, prefix=(), mtu=0):
        self.bin, self.name = pathlib.Path(bin), name
        self.socket = pathlib.Path(folder) / f"{name}.sock"
        config = pathlib.Path(folder) / f"{name}.yaml"
        ports = [{"name": port, "devargs": text, **({"mtu": mtu} if mtu else {})} for port, text in devargs.items()]
        config.write_text(yaml.safe_dump({**settings, "socket": str(self.socket), "ports": ports}, sort_keys=False))
        command = (*prefix, str(self.bin / "vrouter"), "--config", str(config), *(["--only-move"] if only_move else []))
        self.command = " ".join(command)
        self.process = Process(command, pathlib.Path(folder) / f"{name}.log")
        try:
            until(self._is_ready, READY_SECONDS, f"{name} to become ready")
        except Failure as failure:
            self.process.stop()
            raise Failure(f"{failure}\n{self.process.output()[-4000:]}") from None

    def _is_ready(self):
        if not self.process.is_running():
            raise Failure(f"{self.name} ended with {self.process.exit_code()}")
        return " ready socket=" in self.process.output()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.resume()
        code = self.process.stop(seconds=20)
        if kind is None and code != 0:
            raise Failure(f"{self.name}: exit code {code} after SIGTERM\n{self.process.output()[-4000:]}")
        # what a test ends with is what the devices gave back
        if kind is None and not re.search(r"mbufs_in_use=0\b", self.process.output()):
            raise Failure(f"{self.name}: buffers were not returned\n{self.process.output()[-1000:]}")

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        if self.process.is_running():
            os.kill(self.process.pid, signal.SIGCONT)

    def vrctl(self, *arguments, seconds=60):
        if not self.process.is_running():
            raise Failure(f"{self.name} ended\n{self.process.output()[-4000:]}")
        return run(str(self.bin / "vrctl"), "--socket", str(self.socket), *arguments, seconds=seconds)

    def apply(self, path):
        self.vrctl("apply", "-f", str(path))

    def stats(self):
        return json.loads(self.vrctl("-o", "json", "stats").stdout)


def port(stats, name):
    """A port's row."""
    return next(row for row in stats["ports"] if row["port"] == name)
