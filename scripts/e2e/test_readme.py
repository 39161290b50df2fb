"""What README.md shows is so: its configurations are good, and its vrctl commands work on a live vRouter."""

import pathlib
import re
import shlex

from lab import probe
from lab.picture import NETWORKS, V4
from lab.process import run

# Users and groups that a reader has; this host has root.
NAMES = re.compile(r"\b(user|group): (vrouter|frr|cni|netops|noc)\b")
ROOT = pathlib.Path(__file__).parents[2]
# All but the half hour, which test_half_hour.py runs.
README = re.sub("\n## An operator's half hour\n.*?(?=\n## )", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_configurations_are_good(picture):
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert blocks, "README.md shows no configuration"
    for number, block in enumerate(blocks):
        path = f"{picture.lab.folder}/readme{number}.yaml"
        with open(path, "w") as file:
            file.write(NAMES.sub(r"\1: root", block))
        run(f"{picture.bin}/vrouter", "--check-config", "--config", path)


def test_vrctl_commands_work(picture):
    vrouter, _ = picture.start_both()
    probe.ping(picture["red1"].netns, V4["2"])
    pods = pathlib.Path(picture.lab.folder) / "pods.yaml"
    pods.write_text("groups: [{name: pods, prefixes: [10.7.7.0/24]}]\n")
    candidate = pathlib.Path(picture.lab.folder) / "candidate.yaml"
    candidate.write_text("acls: [{name: tried, rules: [{action: permit}]}]\n")
    office = (ROOT / "vrouter/examples/office").glob("*.yaml")
    cloud = (ROOT / "vrouter/examples/cloud").glob("*.yaml")
    files = {"network.yaml": str(NETWORKS / "h1.yaml"), "pods.yaml": str(pods), "candidate.yaml": str(candidate)}
    files |= {path.name: str(path) for path in office}
    files |= {f"cloud/{path.name}": str(path) for path in cloud}
    lines = re.findall(r"^vrctl (.*)$", README, re.MULTILINE)
    assert len(lines) >= 8, lines
    for line in lines:
        arguments = shlex.split(line, comments=True)
        if arguments[0] in ("--server", "upgrade"):  # with certificates: test_access.py; to another program: test_upgrade.py
            continue
        if ">" in arguments:
            arguments = arguments[: arguments.index(">")]
        arguments = [files.get(argument, argument) for argument in arguments]
        if arguments[0] == "watch":  # it follows until it is stopped
            watched = run("timeout", "1", f"{picture.bin}/vrctl", "--socket", vrouter.socket, *arguments, check=False)
            assert watched.returncode == 124 and watched.stdout, watched
            continue
        vrouter.vrctl(*arguments)
