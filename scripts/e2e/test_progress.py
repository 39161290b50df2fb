"""Who waits at a terminal sees how far a long command is, and nobody else."""

import contextlib
import fcntl
import os
import pathlib
import pty
import struct
import subprocess
import tempfile
import termios
import time

from lab.picture import V4
from lab.process import run
from lab.wire import IP, UDP, Ether, wrpcap

OFFICE = pathlib.Path(__file__).parents[2] / "vrouter/examples/office"
NETWORK = ("-f", str(OFFICE / "staging.yaml"), "-f", str(OFFICE / "tenants.yaml"))
CLEARED = "\x1b[2K"


def at_terminal(*command):
    """Exit code, standard output, and what a terminal of 100 columns got as the standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    # to a file, which never is full
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=printed, stderr=theirs, env={**os.environ, "TERM": "xterm"})
        os.close(theirs)
        told = b""
        # the terminal hangs up when the last one that has it ends
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                told += piece
        os.close(ours)
        code = process.wait(30)
        printed.seek(0)
        return code, printed.read(), told.decode()


def expectations(picture, many):
    path = pathlib.Path(picture.lab.folder) / f"{many}.yaml"
    line = "  - {from: web1, to: db, port: 5432}\n"
    path.write_text("expect:\n" + line * many)
    return str(path)


def enough(few, command):
    """How many are to take some four seconds, as a command takes with `few` of them."""
    began = time.monotonic()
    run(*command)
    return 1 + int(few * 4 / (time.monotonic() - began))


def test_many_expectations_are_counted_for_who_waits(picture):
    def command(many):
        return (f"{picture.bin}/vrctl", "test", *NETWORK, expectations(picture, many))
    many = enough(50, command(50))
    command = command(many)
    code, printed, told = at_terminal(*command)
    assert (code, printed) == (0, f"{many} of {many} expectations are met\n"), printed
    assert "expectations [" in told and f" of {many:,}, " in told and " left" in told, told
    # the line goes when there is something to read
    assert told.rstrip("\r\n").endswith(CLEARED), told[-80:]
    alone = run(*command, seconds=120)
    assert (alone.stdout, alone.stderr) == (printed, ""), alone


def test_nothing_is_told_of_what_is_short(picture):
    command = (f"{picture.bin}/vrctl", "test", *NETWORK, expectations(picture, 2))
    # what others make long on a busy machine is told of
    for _ in range(20):
        began = time.monotonic()
        code, printed, told = at_terminal(*command)
        took = time.monotonic() - began
        assert (code, printed) == (0, "2 of 2 expectations are met\n"), printed
        if took < 0.9:
            break
    assert took < 0.9 and told == "", (took, told)


def test_a_batch_a_capture_and_an_upgrade_are_told(picture):
    h1 = picture.start("h1", more={"privileges": {"paths": [picture.lab.folder]}})
    vrctl = (f"{picture.bin}/vrctl", "--socket", h1.socket)
    folder = pathlib.Path(picture.lab.folder)
    apply = (*vrctl, "apply", "-f", str(folder / "routes.yaml"), "--sync")
    # a fast build is done with few in less time than anybody is told of
    for many in (60_000, 240_000):
        routes = (f"  - {{vrf: red, prefix: 10.{at >> 16}.{at >> 8 & 255}.{at & 255}/32, drop: true}}\n" for at in range(2 << 16, (2 << 16) + many))
        (folder / "routes.yaml").write_text("routes:\n" + "".join(routes))
        code, printed, told = at_terminal(*apply)
        assert code == 0 and printed.startswith(f"{many:_} changes, generation "), printed
        if told:
            break
    assert "reading files, " in told and told.rstrip("\r\n").endswith(CLEARED), told
    alone = run(*apply, seconds=120)
    assert alone.stderr == "", alone
    frame = Ether(dst="00:00:5e:00:01:00", src="02:aa:00:00:00:11") / IP(src=V4["1"], dst=V4["2"]) / UDP(sport=5000, dport=9000)

    def explain(many):
        wrpcap(str(folder / f"{many}.pcap"), [frame] * many)
        return (*vrctl, "explain", "--vif", "red1", "--pcap", str(folder / f"{many}.pcap"))
    many = enough(50, explain(50))
    code, printed, told = at_terminal(*explain(many))
    assert code == 0 and printed.count("forward") == many, printed[:200]
    assert "frames [" in told and f" of {many:,}, " in told, told
    # a program that is none takes as long as it may
    idle = folder / "idle"
    idle.write_text("#!/bin/sh\nexec sleep 30\n")
    idle.chmod(0o755)
    code, _, told = at_terminal(*vrctl, "upgrade", str(idle), "--timeout", "2")
    assert code == 1 and "the next program gets ready, " in told and "vrctl: refused" in told, told
