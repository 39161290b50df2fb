"""Users beside a daemon that is another user's: each command of vrctl does for a reader what it says, or is refused."""

import contextlib
import json
import os
import pathlib
import re
import shutil

from lab import probe
from lab.daemon import Vrouter
from lab.picture import NETWORKS
from lab.process import run

# Numbers of users and groups that no host has.
DAEMON, GROUP, READER, WATCHMAN, STRANGER = 61001, 61002, 61003, 61004, 61005
KEPT = "+net_raw,+net_admin,+ipc_lock,+sys_nice"
READER_SAYS = f"needs the role write: uid {READER} has the role read"
ADMIN_SAYS = f"needs the role admin: uid {READER} has the role read"

# What a reader does, each with a part of what is printed.
READS = (
    ("show all", "red1"),
    ("show routes --vrf red", "10.1.1.11/32"),
    ("sync", "every worker forwards by generation"),
    ("watch routes --snapshot --until 0", "10.1.1.11/32"),
    ("flows", ""),
    ("drops", "packets"),
    ("drops --victims", ""),
    ("hits", "ping"),
    ("stats", "red1"),
    ("status", "generation"),
    ("owners", "operator"),
    ("explain --vif red1 --src 10.1.1.11 --dst 10.1.1.12", "forward"),
    ("export", "red1"),
    ("revisions", "user root"),
    ("diff --generation GENERATION", "no difference"),
    ("hits --routes", "10.1.1.1/32"),
    ("shadow report", "operator"),
)
# What needs more, each with what is said of it.
CHANGES = (
    ("add vrf green", READER_SAYS),
    ("delete vrf red", READER_SAYS),
    ("apply -f FILE", READER_SAYS),
    ("apply -f FILE --replace --dry-run", READER_SAYS),
    ("plan -f FILE", READER_SAYS),
    ("diff -f FILE", READER_SAYS),
    ("confirm", READER_SAYS),
    ("apply -f FILE --shadow", READER_SAYS),
    ("shadow promote", READER_SAYS),
    ("shadow discard", READER_SAYS),
    ("rollback GENERATION", READER_SAYS),
    ("capture -c 1 --lines", ADMIN_SAYS),
    ("trace -c 1", ADMIN_SAYS),
    ("upgrade /usr/bin/true", ADMIN_SAYS),
)
# What asks no daemon.
ALONE = {"fmt", "validate", "expand", "test", "schema", "man", "completions", "help"}


def as_user(user, group, *command):
    return ("setpriv", "--reuid", str(user), "--regid", str(group), "--clear-groups", *command)


@contextlib.contextmanager
def writable_by_all():
    """What this process makes meanwhile; the daemon tells it, as another user, that it is ready."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def start(picture):
    """h1's daemon as a user of its own, with what it keeps of root's rights. Its vrctl is there for others."""
    folder = pathlib.Path(picture.lab.folder)
    programs = folder / "bin"
    programs.mkdir()
    daemon = " ".join(as_user(DAEMON, GROUP, "--inh-caps", KEPT, "--ambient-caps", KEPT, f"{picture.bin}/vrouter"))
    (programs / "vrouter").write_text(f'#!/bin/sh\nexec {daemon} "$@"\n')
    (programs / "vrouter").chmod(0o755)
    shutil.copy(f"{picture.bin}/vrctl", programs / "vrctl")
    for place in (folder, programs):
        os.chown(place, DAEMON, GROUP)
        place.chmod(0o755)
    rules = [{"user": WATCHMAN, "role": "read", "also": ["capture"]}]
    with writable_by_all():
        h1 = Vrouter(picture.add_host("h1"), str(programs), more={"access": {"group": GROUP, "rules": rules}})
    picture.vrouters["h1"] = h1
    h1.apply(NETWORKS / "h1.yaml")
    probe.ping(picture["red1"].netns, "10.1.1.1")
    return h1


def asks(vrouter, user, group, line, **words):
    for name, value in words.items():
        line = line.replace(name, str(value))
    return run(*as_user(user, group, f"{vrouter.bin}/vrctl", "--socket", vrouter.socket, *line.split()), check=False)


def test_every_command_is_a_reader_s_or_refused(picture):
    h1 = start(picture)
    shown = pathlib.Path(f"/proc/{h1.process.pid}/status").read_text()
    assert f"Uid:\t{DAEMON}\t" in shown, shown
    words = {"GENERATION": h1.ask("revisions")["revisions"][0]["generation"], "FILE": NETWORKS / "h1.yaml"}
    candidate = pathlib.Path(picture.lab.folder) / "candidate.yaml"
    candidate.write_text("acls: [{name: tried, rules: []}]\n")
    h1.vrctl("apply", "--shadow", "-f", str(candidate))
    before = h1.ask("export")["network"]
    for line, part in READS:
        done = asks(h1, READER, GROUP, line, **words)
        assert (done.returncode, done.stderr) == (0, "") and part in done.stdout, (line, done)
    for line, part in CHANGES:
        done = asks(h1, READER, GROUP, line, **words)
        assert (done.returncode, done.stdout) == (1, "") and part in done.stderr, (line, done)
    after = h1.ask("export")["network"]
    assert after == before, f"something was changed: {before} became {after}"
    # all commands that there are
    listed = re.search(r"\nCommands:\n(.*?)\n\n", h1.vrctl("--help").stdout, re.DOTALL).group(1)
    commands = {line.split()[0] for line in listed.splitlines()}
    assert commands == ALONE | {line.split()[0] for line, _ in READS + CHANGES}, commands


def test_who_may_capture_beside_reading_does_that_and_no_more(picture):
    h1 = start(picture)
    seen = asks(h1, WATCHMAN, GROUP, "capture --seconds 1 --lines")
    assert seen.returncode == 0 and "0 lost" in seen.stderr, seen
    traced = asks(h1, WATCHMAN, GROUP, "trace --seconds 1 -o json")
    assert traced.returncode == 0 and "ways" in json.loads(traced.stdout), traced
    refused = asks(h1, WATCHMAN, GROUP, "add vrf green")
    assert refused.returncode == 1 and f"uid {WATCHMAN} has the role read" in refused.stderr, refused


def test_who_is_not_in_the_group_does_not_get_in(picture):
    h1 = start(picture)
    for line in ("status", "show vrfs", "add vrf green"):
        done = asks(h1, STRANGER, STRANGER, line)
        assert done.returncode == 3 and "Permission denied" in done.stderr, (line, done)
