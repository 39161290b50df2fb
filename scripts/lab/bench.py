"""The bench: scenarios of data and the shared rig, each beside its floor; a table, JSON and a page of HTML."""

import argparse
import contextlib
import json
import pathlib
import shlex
import sys
import time

from lab import checked, measure, ndr, ovs, report, rig
from lab.process import Failure
from lab.scenario import SCENARIOS, Scenario

ROOT = pathlib.Path(__file__).resolve().parents[2]
HUGE_MIB = 256


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench scenarios", description=__doc__)
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="the folder with vrouter and vrctl")
    parser.add_argument("--scenario", type=pathlib.Path, nargs="+", help="files of scenarios; default: all of bench/scenarios")
    parser.add_argument("--quick", action="store_true", help="what each scenario calls quick, and short turns: under five minutes in all")
    parser.add_argument("--rounds", type=int, help="of turns; 5, or 3 with --quick")
    parser.add_argument("--seconds", type=float, help="of a turn")
    parser.add_argument("--check-only", action="store_true", help="check the frames and measure nothing")
    parser.add_argument("--no-rig", action="store_true", help="without the rows of the shared rig")
    parser.add_argument("--ovs", action="store_true", help="OVS-DPDK on the shared rig with --quick too")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "bench-report", help="a folder for report.json and report.html")
    parser.add_argument("--budget", type=pathlib.Path, help="what `scripts/bench instructions budget --json` printed, for the report")
    ndr.add_arguments(parser)
    given = parser.parse_args()
    ndr.judge(given)
    seconds = given.seconds or (0.4 if given.quick else 2)
    given.rounds = (3 if given.quick else 5) if given.rounds is None else given.rounds
    if given.rounds < 1:
        raise Failure("--rounds: at least one")
    default = [SCENARIOS / "acl-vxlan.yaml"] if given.ndr else sorted(SCENARIOS.glob("*.yaml"))
    scenarios = [Scenario(path, given.quick) for path in given.scenario or default]
    _lock = rig.take_machine()
    told = {"machine": report.machine(), "command": shlex.join(sys.argv), "began": time.strftime("%Y-%m-%d %H:%M:%S %Z"), "rows": []}
    if given.budget:
        told["budget"] = json.loads(given.budget.read_text())
    if given.ndr:
        told["rows"] = non_drop(scenarios, given)
        if given.frames:
            return f"{len(told['rows'])} rows failed" if told["rows"] else 0
        return tell(told, given)
    print(f"TSC {rig.tsc_mhz():.0f} MHz; cycles a packet, medians of {given.rounds} rounds of {seconds} s (least-most)")
    print(report.header(), flush=True)
    for scenario in scenarios:
        told["rows"] += run(scenario, given, seconds)
    if not given.scenario and not given.no_rig and not given.check_only:
        told["rows"] += shared_rig(given)
    return tell(told, given)


def tell(told, given):
    """Writes the report. The exit code, or what failed."""
    for ratio in report.ratios(told["rows"]):
        print(ratio)
    given.out.mkdir(parents=True, exist_ok=True)
    report.write_json(given.out / "report.json", told)
    report.write_html(given.out / "report.html", told)
    print(f"{given.out}/report.json, {given.out}/report.html")
    failed = sum("failure" in row for row in told["rows"])
    return f"{failed} rows failed" if failed else 0


def non_drop(scenarios, given):
    """The rows of the search for the non-drop rate."""
    rows = []
    for row in (row for scenario in scenarios for row in scenario.rows() if row.run == (given.run or next(iter(scenario.data["runs"])))):
        try:
            with rig.Scratch() as scratch:
                if given.frames:
                    folder = given.frames / f"{row.flows}-{row.size}"
                    folder.mkdir(parents=True, exist_ok=True)
                    print(*ndr.write_frames(given.bin, scratch.folder, row, folder, f"check{scratch.number}"), sep="\n")
                    continue
                scratch.huge_pages(HUGE_MIB)
                make = ndr.daemon(given.bin, scratch.folder, row, f"rig{scratch.number}", scratch.huge_folder)
                rows.append(ndr.find(row, make, given.port, given.generator, given.most, given.precision, given.seconds or ndr.SECONDS))
        except Failure as failure:
            rows.append({"group": "ndr", "scenario": row.scenario.name, "run": row.run, "flows": row.flows, "size": row.size, "failure": str(failure)})
        print(ndr.line(rows[-1]), flush=True)
    return rows


def shared_rig(given):
    """The rows of the rig that other forwarders have too."""
    flows = [1000] if given.quick else [1000, 100_000, 1_000_000]
    rounds, seconds = (1, 1) if given.quick else (given.rounds, 3)
    asked = argparse.Namespace(bin=given.bin, flows=flows, directions=["encap", "decap"], tunnel="vxlan", rounds=rounds, seconds=seconds)
    try:
        programs = ovs.Programs() if given.ovs or not given.quick else contextlib.nullcontext()
    except Failure as failure:
        print(f"without OVS-DPDK: {failure}")
        programs = contextlib.nullcontext()
    with programs as asked.ovs:
        return rig.measure(asked)


def run(scenario, given, seconds):
    """A scenario's rows, printed as they come. One that fails is told of, and the others go on."""
    rows, checked_runs = [], set()
    for row in scenario.rows():
        about = {"group": "scenarios", "scenario": scenario.name, "run": row.run, "flows": row.flows, "size": row.size}
        try:
            with rig.Scratch() as scratch:
                scratch.huge_pages(HUGE_MIB + row.tables_mib())
                if (row.run, row.size) not in checked_runs:
                    frames = checked.check(given.bin, scratch.folder, row, f"check{scratch.number}")
                    checked_runs.add((row.run, row.size))
                    if given.check_only:
                        print(f"{row}: {frames} frames checked", flush=True)
                if given.check_only:
                    continue
                found = measure.measure(given.bin, scratch, row, given.rounds, seconds, rate(row, rows))
                found |= {"checked": frames, **failing(row, found)}
        except Failure as failure:
            found = {**about, "failure": str(failure)}
        rows.append(found)
        print(report.line(found), flush=True)
    return rows


def earlier(row, rows, run):
    """The row of another run with the same flows and size."""
    same = [it for it in rows if (it["run"], it["flows"], it["size"]) == (run, row.flows, row.size) and "failure" not in it]
    if not same:
        raise Failure(f"{row}: there is no figure of {run}")
    return same[0]


def rate(row, rows):
    """Frames a second of a paced row."""
    paced = row.paced()
    return int(earlier(row, rows, paced[0])["mpps"] * 1e6 * paced[1]) if paced else None


def failing(row, found):
    least = row.least_mpps()
    return {"least_mpps": least, "reached": found["mpps"] >= least} if least else {}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
