"""The service manager's store of descriptors, with a stand-in for the service manager: clients that connect between two daemons wait for the next."""

import os
import pathlib
import signal
import socket
import threading
import time

from lab import probe
from lab.process import Failure, until

# Starts the daemon as a service manager does: what was stored is open from descriptor 3 on.
STARTER = """
import os, socket, sys
path, count, names, *command = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as manager:
    manager.connect(path)
    _, given, _, _ = socket.recv_fds(manager, 1, int(count))
spare = [os.dup2(one, 100 + at) for at, one in enumerate(given)]
for at, one in enumerate(spare):
    os.dup2(one, 3 + at)
os.closerange(3 + len(spare), 256)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


class Manager:
    """Plays the service manager for a daemon that was started before: its store, and what it is told."""

    def __init__(self, vrouter):
        self.vrouter, self.lab = vrouter, vrouter.lab
        self.path, self.store, self.told = f"{self.lab.folder}/manager.notify", {}, []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        self.lab.at_close(self._socket.close)
        self._starts = 0

    def start(self):
        """Starts the daemon with what is in the store."""
        self._starts += 1
        giving = f"{self.lab.folder}/giving.{self._starts}"
        command = [f"{self.vrouter.bin}/vrouter", "--config", self.vrouter.config]
        environment = ["env", f"NOTIFY_SOCKET={self.path}", "FDSTORE=8"]
        if self.store:
            names = ":".join(self.store)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(giving)
                listener.listen()
                starter = [*environment, "/usr/bin/python3", "-c", STARTER, giving, str(len(self.store)), names, os.path.abspath(command[0]), *command[1:]]
                self.vrouter.process = self.vrouter.host.netns.start(*starter, log=f"managed.{self._starts}.log")
                with listener.accept()[0] as helper:
                    socket.send_fds(helper, [b"x"], list(self.store.values()))
        else:
            self.vrouter.process = self.vrouter.host.netns.start(*environment, *command, log=f"managed.{self._starts}.log")
        self.wait("READY=1")

    def wait(self, word):
        self.told = []
        try:
            until(lambda: self._hear() or word in self.told, 30, f"{word} of the daemon")
        except Failure as failure:
            raise Failure(f"{failure}\n{self.told}\n{self.vrouter.process.output()}") from None

    def _hear(self):
        try:
            text, given, _, _ = socket.recv_fds(self._socket, 4096, 4)
        except BlockingIOError:
            return
        words = text.decode().split("\n")
        self.told += words
        if "FDSTORE=1" in words:
            name = next(word.partition("=")[2] for word in words if word.startswith("FDNAME="))
            if name in self.store:
                os.close(self.store[name])
            (self.store[name],) = given


def carries(picture):
    """The daemon, whose objects went with the one before, carries packets once it has them again."""
    picture.vrouters["h1"].apply(pathlib.Path(__file__).parents[1] / "lab/networks/h1.yaml")
    probe.ping(picture["red1"].netns, "10.1.1.1")


def asks(vrouter):
    """`vrctl status` in a thread: what it ended with."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(vrouter.vrctl("status", check=False)))
    thread.start()
    return thread, ended


def test_clients_wait_for_the_next_daemon(picture):
    h1 = picture.start("h1")
    assert h1.stop() == 0
    manager = Manager(h1)
    manager.start()
    assert list(manager.store) == ["control"], manager.store
    inode = os.stat(h1.socket).st_ino
    for how in (signal.SIGTERM, signal.SIGKILL):
        h1.process.signal(how)
        h1.process.exit_code()
        assert os.stat(h1.socket).st_ino == inode, "the socket's file has gone"
        thread, ended = asks(h1)
        time.sleep(0.3)
        assert thread.is_alive() and not ended, f"a client was refused: {ended}"
        manager.start()
        thread.join(20)
        assert ended and ended[0].returncode == 0, ended
        assert os.stat(h1.socket).st_ino == inode and "the one of the daemon before" in h1.process.output(), h1.process.output()
    # without what was kept there is a new one
    h1.process.signal(signal.SIGKILL)
    h1.process.exit_code()
    manager.store.clear()
    manager.start()
    assert os.stat(h1.socket).st_ino != inode and h1.ask("status")
    carries(picture)


def test_the_manager_is_told_which_process_goes_on(picture):
    h1 = picture.start("h1")
    assert h1.stop() == 0
    manager = Manager(h1)
    manager.start()
    h1.upgrade()
    manager.wait(f"MAINPID={h1.process.pid}")
    thread, ended = asks(h1)
    thread.join(20)
    assert ended[0].returncode == 0, ended
    # what the manager has kept is the socket of the new one, too
    h1.process.signal(signal.SIGTERM)
    assert h1.process.exit_code() == 0
    thread, ended = asks(h1)
    manager.start()
    thread.join(20)
    assert ended and ended[0].returncode == 0, ended
    carries(picture)


def test_what_is_kept_and_is_not_the_socket_is_left(picture):
    h1 = picture.start("h1")
    assert h1.stop() == 0
    manager = Manager(h1)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{picture.lab.folder}/other.sock")
        other.listen()
        manager.store["control"], manager.store["odd"] = os.dup(other.fileno()), os.dup(other.fileno())
        manager.start()
    assert h1.ask("status") and "means nothing here" in h1.process.output(), h1.process.output()
    carries(picture)
