"""FRR's bfdd in a namespace, with the zebra that tells it of interfaces: a BFD peer that shares no code with us."""

import json
import os
import shutil
import signal
import tempfile

from lab.process import hasten, run, until

_DAEMONS = "/usr/lib/frr"


class Bfdd:
    """A running bfdd with these peers: lines of its configuration, `peer ...` first. Its files are in a folder of its own, as it runs as user
    frr, which may not look into the lab's."""

    def __init__(self, netns, name, *peers):
        self.netns, self.name = netns, name
        self.folder = tempfile.mkdtemp(prefix=f"{netns.lab.prefix}-{name}-")
        netns.lab.at_close(shutil.rmtree, self.folder, True)
        text = "bfd\n" + "".join(" {}\n".format("\n  ".join((*lines, "no shutdown")) + "\n !") for lines in peers)
        for file, content in {"zebra.conf": "", "bfdd.conf": text}.items():
            with open(f"{self.folder}/{file}", "w") as written:
                written.write(content)
        os.chmod(self.folder, 0o755)
        shutil.chown(self.folder, "frr", "frr")
        self.zebra = self._start("zebra")
        until(lambda: os.path.exists(f"{self.folder}/zserv.api"), 10, "zebra's socket")
        self.start()

    def _start(self, daemon, *more):
        return self.netns.start(
            f"{_DAEMONS}/{daemon}", "-f", f"{self.folder}/{daemon}.conf", "-i", f"{self.folder}/{daemon}.pid", "-z", f"{self.folder}/zserv.api",
            "--vty_socket", self.folder, "-P", "0", "--log", "stdout", *more, log=f"{self.name}.{daemon}.log")

    def start(self):
        """Again after its end too."""
        self.bfdd = self._start("bfdd", "--bfdctl", f"{self.folder}/bfdd.sock")
        until(lambda: os.path.exists(f"{self.folder}/bfdd.vty"), 10, "bfdd's socket")
        hasten(self.bfdd.pid)

    def kill(self):
        """Without a word to its peers."""
        self.bfdd.signal(signal.SIGKILL)
        self.bfdd.exit_code()
        for left in ("bfdd.vty", "bfdd.sock", "bfdd.pid"):
            if os.path.exists(f"{self.folder}/{left}"):
                os.unlink(f"{self.folder}/{left}")

    def pause(self):
        self.bfdd.signal(signal.SIGSTOP)

    def resume(self):
        self.bfdd.signal(signal.SIGCONT)

    def vtysh(self, *commands):
        asked = [part for command in commands for part in ("-c", command)]
        return run("vtysh", "--vty_socket", self.folder, "-d", "bfdd", *asked).stdout

    def peers(self):
        """{address: how bfdd says that its session stands}"""
        return {row["peer"]: row for row in json.loads(self.vtysh("show bfd peers json"))}

    def counters(self):
        return {row["peer"]: row for row in json.loads(self.vtysh("show bfd peers counters json"))}
