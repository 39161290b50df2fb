"""README.md's half hour of an operator, line by line: its files, its commands, and what they print."""

import os
import pathlib
import re
import subprocess
import uuid

from lab.process import Failure

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(r"```(yaml|console)\n(.*?)```", re.DOTALL)
SECONDS = 120

# What is otherwise each time, and what it is called here.
VARIES = (
    (r"\d+(\.\d+)? ?(ms|s|m\d\ds) ago", "TIME ago"),
    (r"\d\d:\d\d:\d\d\.\d{6}", "TIME"),
    (r"time=?\s*\d+(\.\d+)? ?ms", "TIME"),
    (r"in \dm\d\ds unless", "in TIME unless"),
    (r"generation \d+", "generation N"),
    (r"of \d+ live flows", "of N live flows"),
    (r"^( operator +)\d+ ", r"\1N "),
    (r"\btcp \d+ > ", "tcp PORT > "),
    (r"\d+\.\d KiB", "SIZE"),
    (r"[ ─]+", " "),
)


def section():
    """The half hour: its blocks, each with its language."""
    text = (ROOT / "README.md").read_text()
    return BLOCK.findall(text.split("\n## An operator's half hour\n")[1].split("\n## ")[0])


def steps(console):
    """(command, what is printed) of a block, in its order."""
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)
    assert parts[0] == "", f"a block begins with {parts[0]!r}"
    return [(command, printed.splitlines()) for command, _, printed in (part.partition("\n") for part in parts[1:])]


def same_each_time(line):
    for pattern, name in VARIES:
        line = re.sub(pattern, name, line)
    return line.strip()


def fits(shown, printed):
    """Whether lines were printed as they are shown: `...` in a line's place is any number of lines, at a line's end any rest of it."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(fits(shown[1:], printed[at:]) for at in range(len(printed) + 1))
    if not printed:
        return False
    one, other = same_each_time(shown[0]), same_each_time(printed[0])
    begins = one.endswith("...") and other.startswith(one.removesuffix("...").rstrip())
    return (begins or one == other) and fits(shown[1:], printed[1:])


class Shell:
    """A bash that sees namespaces, processes and /run of its own: whatever it makes goes with it."""

    def __init__(self, folder, bin):
        self._mark = uuid.uuid4().hex
        place = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "--norc"]
        self._bash = subprocess.Popen(place, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      env={**os.environ, "TMPDIR": folder, "LC_ALL": "C.UTF-8"})
        # its programs are not where cargo puts a release
        self._programs = ("$PWD/target/release", str(pathlib.Path(bin).resolve()))
        self.run("mount -t tmpfs none /run")

    def run(self, command):
        """The lines that a command prints."""
        self._bash.stdin.write(f"{command.replace(*self._programs)}\necho {self._mark}\n")
        self._bash.stdin.flush()
        lines = []
        for line in self._bash.stdout:
            if line.endswith(f"{self._mark}\n"):
                rest = line.removesuffix(f"{self._mark}\n")
                return lines + ([rest] if rest else [])
            lines.append(line.rstrip("\n"))
        raise Failure(f"the shell ended in: {command}\n" + "\n".join(lines))

    def end(self):
        self._bash.kill()
        self._bash.wait()


def test_every_line_of_it(picture):
    shell = Shell(picture.lab.folder, picture.bin)
    picture.lab.at_close(shell.end)
    commands = 0
    for language, block in section():
        if language == "yaml":
            name = re.match(r"# (\S+)\n", block).group(1)
            (pathlib.Path(shell.run("pwd")[0]) / name).write_text(block)
            continue
        for command, shown in steps(block):
            printed = shell.run(command)
            commands += 1
            if not fits(shown, printed):
                both = ["README.md shows:", *shown, "printed is:", *printed]
                raise Failure(f"$ {command}\n" + "\n".join(both))
    assert commands > 30, commands
    left = shell.run("ip netns list")
    assert left == [], left


def test_what_is_not_as_shown_is_seen(picture):
    printed = ["one 1.5s ago", "two", "three"]
    assert fits(["one 7.0s ago", "...", "three"], printed) and fits(["one ...", "two", "three"], printed)
    for shown in (["one 1.5s ago", "two"], ["one", "two", "three"], ["...", "two"], ["one 1.5s ago", "three", "..."], []):
        assert not fits(shown, printed), shown
    assert all(name in " ".join(block for _, block in section()) for name in ("apply", "explain", "capture", "rollback", "pipeline"))
