"""The bench of losses: every row runs and tells what it is to tell, a planted stall is found, and what was lost is judged as it is to be."""

import json
import pathlib
import sys

from lab import lossless, speed
from lab.order import alone
from lab.process import run

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of a slow build on a busy machine.
QUICK = ("--seconds", "2", "--rate", "40000", "--routes", "5000", "--changes", "200", "--rules", "300", "--sync", "--times", "1")


def programs(picture):
    """The folder of programs, with the client beside them."""
    if not (picture.bin / "control").exists():
        release = ["--release"] if picture.bin.name == "release" else []
        run("cargo", "build", "--quiet", "--manifest-path", str(ROOT / "Cargo.toml"), "--target-dir", str(picture.bin.parent), "-p", "bench",
            "--no-default-features", "--bin", "control", *release, seconds=1200)
    return picture.bin


@alone
def test_every_row_runs_and_a_stall_is_seen(picture):
    out = pathlib.Path(picture.lab.folder) / "lossless"
    done = run("env", f"PYTHONPATH={ROOT / 'scripts'}", sys.executable, "-m", "lab.lossless", "--bin", str(programs(picture)), *QUICK,
               "--out", str(out), check=False, seconds=900)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert (out / "report.json").exists(), done.stdout + done.stderr
    told = json.loads((out / "report.json").read_text())
    rows = {row["row"]: row for row in told["rows"]}
    assert tuple(rows) == lossless.ROWS, done.stdout
    for name, row in rows.items():
        assert f"\n{name} " in done.stdout and row["sent"] > 40_000 and row["strays"] == 0, row
        assert lossless.loss(row) == row["lost"] or row["faults"], row
    for name, least in (("load", 10_000), ("load-other", 10_000), ("churn", 100), ("acl", 1), ("flap-2", 5), ("flap-4", 5)):
        changes = rows[name]["changes"]
        assert changes["changes"] >= least and changes["in_force_us"]["p50"] > 0, rows[name]
    assert all(rows[name]["changes"]["synced_us"]["p50"] > 0 for name in ("load", "acl", "flap-4"))
    stall = rows["stall"]
    assert stall["stalls"] > 0 and lossless.loss(stall) > 0, f"{stall}\n{done.stdout}"


def found(**changes):
    """What a row found in a second at a million frames a second, in which nothing was lost, but for this."""
    row = {"sent": 1_000_000, "missed": 0, "dropped": {}, "lost": 0, "reordered": 0, "repeated": 0, "strays": 0, "stolen_ms": 0.0, "waited_ms": 0.0,
           "seconds": 1.0, "core": 1.0, "missed_slow": 0, "slow_ms": 0.0}
    assert set(changes) <= {*row, "changes", "stalls", "stall_ms", "how"}
    return row | changes


def test_a_row_holds_only_when_every_frame_came_in_order(picture):
    del picture
    stalls = {"stalls": 1, "stall_ms": 3.0, "how": "taking-the-core"}
    for row, changes, wanted in (
            ("churn", {}, None), ("churn", {"missed": 3, "lost": 3}, "3 lost"), ("churn", {"lost": 1}, "1 lost"),
            ("churn", {"dropped": {"acl": 2}, "lost": 2}, "2 lost"), ("churn", {"reordered": 1}, "1 reordered"), ("churn", {"repeated": 1}, "1 repeated"),
            ("churn", {"strays": 1}, "1 came where only changes lead"),
            ("churn", {"missed": 3, "lost": 3, "missed_slow": 2}, "1 lost"), ("churn", {"missed": 3, "lost": 3, "missed_slow": 3, "slow_ms": 399.0}, None),
            ("churn", {"slow_ms": 401.0}, "the machine was slow for 401 ms of 1 s"),
            ("churn", {"changes": {"per_second": 9499, "wanted_per_second": 10_000}}, "9499 per_second instead of 10000"),
            ("churn", {"changes": {"per_second": 9500, "wanted_per_second": 10_000}}, None),
            ("acl", {"changes": {"turns": 50, "wanted_turns": 60.2}}, "50 turns instead of 60"),
            ("stall", {**stalls, "waited_ms": 3.0, "missed": 900, "lost": 900}, None),
            ("stall", {**stalls, "waited_ms": 3.0}, "would not have seen it: 0 lost, about 1676"),
            ("stall", {**stalls, "waited_ms": 3.0, "missed": 800, "lost": 800}, "would not have seen it"),
            ("stall", {**stalls, "missed": 900, "lost": 900}, "the worker was not stalled"),
            ("stall", {**stalls, "stalls": 0}, "the worker was not stalled"),
            ("stall", {**stalls, "how": "stopping-the-process", "core": 0.997, "lost": 900}, None)):
        faults = lossless.faults(row, found(**changes), 1_000_000)
        assert (wanted in "; ".join(faults)) if wanted else not faults, (row, changes, faults)


def test_only_so_much_is_the_machine_s_doing_as_it_took_time(picture):
    del picture
    for changes, may_be in (({}, False), ({"missed": 100, "lost": 100}, False), ({"missed": 900, "lost": 900, "stolen_ms": 1.5}, True),
                            ({"missed": 900, "lost": 900, "waited_ms": 1.5}, True), ({"missed": 3000, "lost": 3000, "waited_ms": 1.5}, False),
                            ({"missed": 3000, "lost": 3000, "missed_slow": 2100, "waited_ms": 1.5}, True),
                            # less than the ring holds
                            ({"missed": 100, "lost": 100, "waited_ms": 0.5}, False), ({"dropped": {"acl": 1}, "lost": 1, "stolen_ms": 1.5}, False)):
        assert lossless.may_be_the_machine(found(**changes), 1_000_000) == may_be, changes


def test_slow_spells_of_the_machine_are_told_from_single_interrupts(picture):
    del picture
    ms = 1_000_000

    def piece(at, took):
        return at * 2 * ms, took * ms // 100
    # a piece takes 0.03 ms; three in a row take more, then one alone, which is an interrupt
    pieces = [piece(at, {50: 5, 51: 30, 52: 6, 80: 50}.get(at, 3)) for at in range(100)]
    [spell] = speed.spells(pieces)
    assert (spell.begin_ns, spell.end_ns, round(spell.lowest, 3)) == (sum(pieces[49]), pieces[53][0], 0.1), spell
    assert speed.spells([]) == [] and speed.spells(pieces[:50]) == []
    overflows = [{"at_ns": at * ms, "lasted_ns": 0, "frames": frames} for at, frames in ((90, 1), (100, 2), (105, 4), (107, 8), (109, 16), (150, 32))]
    assert speed.within(overflows, [spell], 2 * ms) == 2 + 4 + 8, "in it, and while what waited is made up for"
