"""Hostile clients of the control socket, beside a client that behaves, and beside packets."""

import contextlib
import multiprocessing
import os
import pathlib
import random
import socket
import struct
import threading
import time

from lab import probe
from lab.order import alone
from lab.picture import V4
from lab.process import Failure, until
from test_ports import Numbered

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SECONDS = 12
# Answers of the client that behaves: on a busy machine each takes its time, and none takes this much.
LATEST = 10
# Not root: what one user takes is no other's. The socket's group, so that it may connect, and read.
STRANGER, GROUP = 65533, 0
GROWTH_MIB = 512


def frame(kind, flags, stream, payload=b""):
    """RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(call, end=False):
    """HEADERS with literal fields without indexing (RFC 7541, section 6.2.2), POST and http from the static table."""
    block = b"\x83\x86"
    for name, value in ((b":path", f"/vrouter.v1.VRouter/{call}".encode()), (b":authority", b"x"),
                        (b"content-type", b"application/grpc"), (b"te", b"trailers")):
        block += b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return lambda stream: frame(1, 5 if end else 4, stream, block)


def message(payload=b"", length=None):
    return b"\0" + struct.pack(">I", len(payload) if length is None else length) + payload


ANY_AMOUNT = frame(4, 0, 0, b"\0\4\x7f\xff\xff\xff") + frame(8, 0, 0, struct.pack(">I", 0x7FFFFFFF - 65535))


def hostile(path, stop, told):
    """A process of another user, until `stop`."""
    os.setgroups([])
    os.setresgid(GROUP, GROUP, GROUP)
    os.setresuid(STRANGER, STRANGER, STRANGER)
    told.put(Hostile(path, stop).work())


class Hostile:
    """Threads that do their worst until told to stop, each on connections of its own. What each managed is counted."""

    def __init__(self, path, stop):
        self.path, self.counts, self._stop = path, {}, stop
        worst = [self.garbage, self.slow_loris, self.half_messages, self.huge_messages, self.flood, self.never_reads, self.resets, self.many]
        self.threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in worst]

    def work(self):
        for thread in self.threads:
            thread.start()
        self._stop.wait()
        for thread in self.threads:
            thread.join(30)
        return self.counts

    def _run(self, worst):
        rng = random.Random(worst.__name__)
        while not self._stop.is_set():
            # hung up on, refused, or nobody takes any more: again
            with contextlib.suppress(OSError):
                worst(rng)
            self.counts[worst.__name__] = self.counts.get(worst.__name__, 0) + 1
            time.sleep(0.01)

    @contextlib.contextmanager
    def connection(self, hello=True):
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(0.5)
            one.connect(self.path)
            if hello:
                one.sendall(PREFACE + frame(4, 0, 0))
            yield one

    def garbage(self, rng):
        with self.connection(rng.random() < 0.7) as one:
            for _ in range(50):
                one.sendall(rng.randbytes(1000))

    def slow_loris(self, rng):
        """A greeting, byte by byte, on many connections."""
        with contextlib.ExitStack() as all:
            ones = [all.enter_context(self.connection(False)) for _ in range(8)]
            for byte in PREFACE[:-1]:
                for one in ones:
                    one.sendall(bytes([byte]))
                if self._stop.wait(0.05):
                    return

    def half_messages(self, _):
        """Messages that claim 4 MiB, of which the last byte never comes."""
        with self.connection() as one:
            for stream in range(1, 64, 2):
                one.sendall(headers("List")(stream) + frame(0, 0, stream, message(b"\x12" * 16000, length=4 << 20)))
            for stream in range(1, 64, 2):
                one.sendall(b"".join(frame(0, 0, stream, b"\x12" * 16000) for _ in range(3)))
            self._stop.wait(1)

    def huge_messages(self, _):
        with self.connection() as one:
            one.sendall(headers("Flows")(1) + frame(0, 0, 1, message(length=0xFFFFFFFF)))
            for _ in range(100):
                one.sendall(frame(0, 0, 1, bytes(16000)))

    def flood(self, _):
        """Calls as fast as they go, and their answers thrown away."""
        with self.connection() as one:
            one.sendall(ANY_AMOUNT)
            status, stream = headers("Status"), 1
            for _ in range(400):
                batch = b""
                for _ in range(16):
                    batch += status(stream) + frame(0, 1, stream, message())
                    stream += 2
                one.sendall(batch)
                one.settimeout(0)
                with contextlib.suppress(BlockingIOError):
                    while one.recv(1 << 20):
                        pass
                one.settimeout(0.5)
                if self._stop.is_set():
                    return

    def never_reads(self, _):
        with self.connection() as one:
            one.sendall(ANY_AMOUNT)
            for stream in range(1, 60, 4):
                one.sendall(headers("Watch")(stream) + frame(0, 1, stream, message(b"\x08\x01")))
                one.sendall(headers("List")(stream + 2) + frame(0, 1, stream + 2, message()))
            self._stop.wait(2)

    def resets(self, _):
        """Streams that are opened and reset at once (CVE-2023-44487)."""
        with self.connection() as one:
            opened = headers("Stats", end=True)
            for stream in range(1, 20000, 2):
                one.sendall(opened(stream) + frame(3, 0, stream, struct.pack(">I", 8)))

    def many(self, _):
        """More connections than there are places, which say nothing."""
        with contextlib.ExitStack() as all:
            for _ in range(40):
                all.enter_context(self.connection(False))
            self._stop.wait(0.5)


def resident(vrouter):
    """MiB."""
    rows = pathlib.Path(f"/proc/{vrouter.process.pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS")) / 1024


@alone
def test_workers_and_other_clients_go_on_beside_hostile_ones(picture):
    h1, _ = picture.start_both()
    os.chmod(picture.lab.folder, 0o711)
    probe.ping(picture["red1"].netns, V4["2"])
    before, most, took = resident(h1), 0, []
    stop, told = multiprocessing.Event(), multiprocessing.Queue()
    strangers = multiprocessing.Process(target=hostile, args=(h1.socket, stop, told), daemon=True)
    strangers.start()
    with Numbered(picture) as numbered:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            start = time.monotonic()
            asked = len(took)
            h1.vrctl("add", "vrf", f"beside{asked}", "--sync")
            if f"beside{asked}" not in h1.vrctl("show", "vrfs").stdout:
                raise Failure("what was acknowledged is not there")
            h1.vrctl("delete", "vrf", f"beside{asked}", "--sync")
            took.append(time.monotonic() - start)
            most = max(most, resident(h1))
    stop.set()
    counts = told.get(timeout=60)
    strangers.join(10)
    print(f"    {len(took)} rounds of four calls beside {counts}, the longest {max(took):.2f} s; "
          f"{numbered.sent} datagrams, none lost; {most - before:.0f} MiB more at most")
    assert all(counts.values()) and len(counts) == 8, counts
    assert len(took) >= 2 and max(took) < 4 * LATEST, took
    assert most - before < GROWTH_MIB, (before, most)
    # and nothing stays taken
    until(lambda: h1.vrctl("status", check=False).returncode == 0, LATEST, "an answer when they are gone")
