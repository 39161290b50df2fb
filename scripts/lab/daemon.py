"""The daemon under test and its vrctl."""

import json
import os
import signal
import socket
import time

import yaml

from lab.process import Failure, adopt_orphans, run, until

READY_SECONDS = 30


class Vrouter:
    """A running `vrouter` on a Host. bin: the folder with vrouter and vrctl; eal, mempool: what these have beside the usual; mtu: of its
    ports, else the devices' own; more: what the configuration has besides; user: a command that runs another as somebody else."""

    def __init__(self, host, bin, workers=1, limits=None, eal=None, mempool=None, mtu=None, more=None, user=()):
        self.host, self.lab, self.bin = host, host.netns.lab, bin
        self.socket = f"{self.lab.folder}/{host.name}.sock"
        self.config = f"{self.lab.folder}/{host.name}.daemon.yaml"
        self._starts, self._user = 0, user
        with open(self.config, "w") as file:
            yaml.safe_dump({**self._configuration(workers, limits, eal, mempool, mtu), **(more or {})}, file, sort_keys=False)
        self.start()

    def _configuration(self, workers, limits, eal, mempool, mtu):
        return {
            "socket": self.socket,
            "workers": {"count": workers},
            "idle": "backoff",
            "eal": {"huge_pages": False, "memory_mb": 128, "file_prefix": f"{self.lab.prefix}-{self.host.name}", **(eal or {})},
            "mempool": {"mbufs": 8192, **(mempool or {})},
            "ports": [{"name": name, "devargs": devargs, **({"mtu": mtu} if mtu else {})} for name, devargs in self.host.ports.items()],
            "limits": {"flows_v4": 16384, "flows_v6": 4096, **(limits or {})},
        }

    def start(self):
        """Starts it and returns when it says that it is ready (systemd's notify protocol)."""
        self._starts += 1
        notify = f"{self.lab.folder}/{self.host.name}.notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(notify)
            os.chmod(notify, 0o777)
            ready.setblocking(False)
            self.process = self.host.netns.start(
                *self._user, "env", f"NOTIFY_SOCKET={notify}", f"{self.bin}/vrouter", "--config", self.config,
                log=f"{self.host.name}.{self._starts}.log")
            try:
                until(lambda: self._is_ready(ready), READY_SECONDS, f"{self.host.name}'s vrouter to become ready")
            except Failure as failure:
                raise Failure(f"{failure}\n{self.process.output()}") from None
            finally:
                os.unlink(notify)

    def _is_ready(self, ready):
        if not self.process.is_running():
            raise Failure(f"{self.host.name}'s vrouter ended with {self.process.exit_code()}")
        try:
            return b"READY=1" in ready.recv(4096).split(b"\n")
        except BlockingIOError:
            return False

    def upgrade(self, binary=None, **options):
        """Goes on as another program, by default as the same one. What vrctl says of it."""
        adopt_orphans()
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        told = json.loads(self.vrctl("-o", "json", "upgrade", str(binary or f"{self.bin}/vrouter"), *words).stdout)
        self.process.follow(told["pid"])
        return told

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.exit_code()

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.exit_code()

    def vrctl(self, *arguments, check=True):
        return run(f"{self.bin}/vrctl", "--socket", self.socket, *arguments, check=check)

    def ask(self, *arguments):
        """vrctl's answer as JSON."""
        return json.loads(self.vrctl("-o", "json", *arguments).stdout)

    def apply(self, network):
        """Programs a network: a dict, or the path of a YAML file."""
        path = network
        if isinstance(network, dict):
            path = f"{self.lab.folder}/{self.host.name}.network.yaml"
            with open(path, "w") as file:
                yaml.safe_dump(network, file, sort_keys=False)
        return self.vrctl("apply", "--sync", "-f", str(path)).stdout

    def stats(self):
        return self.ask("stats")

    def drops(self):
        """Packets by reason, all VIFs together."""
        counts = {}
        for row in self.stats()["drops"]:
            counts[row["reason"]] = counts.get(row["reason"], 0) + int(row["packets"])
        return counts

    def expect_drop(self, reason, before, at_least=1, seconds=5):
        """Waits until `reason` has grown by `at_least` since `before`, an earlier drops()."""
        def grown():
            return self.drops().get(reason, 0) - before.get(reason, 0) >= at_least
        until(grown, seconds, f"{at_least} more {reason} on {self.host.name}; drops are {self.drops()}, were {before}")

    def check_conservation(self, seconds=3):
        """received + originated + copied = sent + dropped + held + consumed; the counters are read while packets move, so
        the sum may take a few readings to be even."""
        def rows():
            row = {name: int(value) for name, value in self.stats()["conservation"].items()}
            came = row["received"] + row["originated"] + row["copied"]
            went = row["sent"] + row["dropped"] + row["held"] + row["consumed"]
            return came == went, row
        end = time.monotonic() + seconds
        even, row = rows()
        while not even and time.monotonic() < end:
            time.sleep(0.02)
            even, row = rows()
        if not even:
            raise Failure(f"{self.host.name}: packets vanished or came from nowhere: {row}")
        if row["received"] == 0:
            raise Failure(f"{self.host.name}: nothing was received at all")
