"""Network namespaces that vanish with the lab that made them, whatever ends it."""

import contextlib
import ctypes
import glob
import os
import re
import shutil
import signal
import socket
import tempfile

from lab.process import Failure, Process, run

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Lab:
    """Namespaces, links, processes and a scratch folder, all removed by close(). Use as a context manager.

    prefix: of the namespaces' names. folder: the scratch folder; None makes a fresh one. keep: leave everything on success.
    """

    def __init__(self, prefix=None, folder=None, keep=False):
        if os.geteuid() != 0:
            raise Failure("network namespaces need root")
        self.prefix = prefix or f"vt-{os.getpid()}"
        self.keep = keep
        if prefix is None:
            _sweep_dead()
        if _names(self.prefix):
            raise Failure(f"there are namespaces named {self.prefix}-* already: {' '.join(_names(self.prefix))}")
        self.folder = folder or tempfile.mkdtemp(prefix=f"vrouter-{self.prefix}-")
        os.makedirs(self.folder, exist_ok=True)
        self._processes = []
        self._cleanups = contextlib.ExitStack()

    def __enter__(self):
        self._handlers = {number: signal.signal(number, _leave) for number in _SIGNALS}
        return self

    def __exit__(self, kind, _value, _trace):
        if kind is not None or not self.keep:
            self.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def close(self):
        """Ends the processes, newest first, then removes namespaces and folder. Undisturbed by further signals."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self._processes):
            with contextlib.suppress(Exception):
                process.stop()
        with contextlib.suppress(Exception):
            self._cleanups.close()
        remove(self.prefix)
        shutil.rmtree(self.folder, ignore_errors=True)

    def at_close(self, function, *arguments):
        self._cleanups.callback(function, *arguments)

    def netns(self, name, ipv6=True):
        """A namespace with `lo` up. ipv6=False: the kernel there says nothing of its own accord."""
        return Netns(self, f"{self.prefix}-{name}", ipv6)

    def start(self, *command, log, netns=None):
        """A process in the background; `log` is a file's name in the lab's folder."""
        if netns:
            command = ("ip", "netns", "exec", netns.name, *command)
        process = Process(command, os.path.join(self.folder, log), outlives_us=self.keep)
        self._processes.append(process)
        return process

    def veth(self, one, other, mtu=1500):
        """A veth pair between (netns, device) and (netns, device), up, without any offload."""
        (a, name_a), (b, name_b) = one, other
        run("ip", "link", "add", name_a, "mtu", str(mtu), "netns", a.name, "type", "veth",
            "peer", "name", name_b, "mtu", str(mtu), "netns", b.name)
        for netns, device in (one, other):
            netns.run("ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
            netns.ip("link", "set", device, "up")


class Netns:
    """One network namespace."""

    def __init__(self, lab, name, ipv6):
        self.lab, self.name = lab, name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        # No duplicate address detection: addresses are usable at once, and there is only one of each.
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.dad_transmits", 0)
        if not ipv6:
            self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
            self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)

    def sysctl(self, name, value):
        self.run("sysctl", "-q", "-w", f"{name}={value}")

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *arguments).stdout

    def bridge(self, *arguments):
        return run("bridge", "-n", self.name, *arguments).stdout

    def run(self, *command, check=True, seconds=30):
        return run("ip", "netns", "exec", self.name, *command, check=check, seconds=seconds)

    def start(self, *command, log):
        return self.lab.start(*command, log=log, netns=self)

    def pids(self):
        """Of all processes inside."""
        return [int(pid) for pid in run("ip", "netns", "pids", self.name).stdout.split()]

    def mac(self, device):
        return re.search(r"link/ether (\S+)", self.ip("link", "show", "dev", device)).group(1)

    @contextlib.contextmanager
    def entered(self):
        """This thread is inside: sockets opened meanwhile stay there."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.name}") as inside:
            _setns(inside)
            try:
                yield
            finally:
                _setns(outside)

    def socket(self, *arguments):
        with self.entered():
            return socket.socket(*arguments)


def remove(prefix):
    """Removes the namespaces `prefix`-*, ends what still runs inside them, and removes what killed EALs have left."""
    for name in _names(prefix):
        for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", name, check=False)
    for folder in glob.glob(f"/run/dpdk/{prefix}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _names(prefix):
    listed = run("ip", "netns", "list").stdout.splitlines()
    return [line.split()[0] for line in listed if line.startswith(f"{prefix}-")]


def _sweep_dead():
    """Removes what labs have left that were killed: their prefix holds the pid."""
    folders = glob.glob(f"{tempfile.gettempdir()}/vrouter-vt-*")
    for pid in set(re.findall(r"vt-(\d+)-", " ".join(_names("vt") + folders))):
        if not os.path.exists(f"/proc/{pid}"):
            remove(f"vt-{pid}")
            for folder in glob.glob(f"{tempfile.gettempdir()}/vrouter-vt-{pid}-*"):
                shutil.rmtree(folder, ignore_errors=True)


def _setns(file):
    if _LIBC.setns(file.fileno(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _leave(number, _frame):
    raise SystemExit(128 + number)
