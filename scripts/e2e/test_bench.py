"""The bench's scenarios: their frames are what they should be, and a wrong one is seen."""

import pathlib

import yaml

from lab import checked, report
from lab.process import Failure
from lab.scenario import Scenario, rules

SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "bench" / "scenarios"


def first_row(path):
    return next(iter(Scenario(path, quick=True).rows()))


def check(picture, row):
    return checked.check(picture.bin, pathlib.Path(picture.lab.folder), row, f"{picture.lab.prefix}-check")


def test_every_scenario_forwards_what_it_says(picture):
    paths = sorted(SCENARIOS.glob("*.yaml"))
    assert len(paths) >= 7
    for path in paths:
        row = first_row(path)
        sources = sum(devargs.startswith("source") for devargs in row.devargs().values())
        assert check(picture, row) == checked.FRAMES * sources


def refused(what, *wanted):
    try:
        what()
    except Failure as failure:
        assert all(word in str(failure) for word in wanted), failure
    else:
        raise AssertionError(f"no word of {wanted}")


def scenario(picture, **changes):
    data = yaml.safe_load((SCENARIOS / "acl-vxlan.yaml").read_text())
    path = pathlib.Path(picture.lab.folder) / "changed.yaml"
    path.write_text(yaml.safe_dump({**data, **changes}, sort_keys=False))
    return path


def test_a_wrong_frame_a_lost_one_and_a_wrong_field_are_seen(picture):
    wrong = scenario(picture, frames={"fabric": {"VXLAN.vni": 101}})
    refused(lambda: check(picture, first_row(wrong)), "VXLAN.vni is not 101")
    # nothing permits what clients send
    lost = scenario(picture, acls={"thousand": {"rules": 1, "v6": False}})
    data = yaml.safe_load(lost.read_text())
    data["network"]["acls"].append({"name": "thousand", "rules": [{"action": "permit", "protocol": "tcp"}]})
    data["acls"] = {}
    lost.write_text(yaml.safe_dump(data, sort_keys=False))
    refused(lambda: check(picture, first_row(lost)), "256 frames to be forwarded", "acl")
    refused(lambda: Scenario(scenario(picture, colour="red")), "colour: no such field")
    refused(lambda: Scenario(scenario(picture, expect="luck")), "luck is none of hits")
    refused(lambda: Scenario(scenario(picture, rate={"encap": {"run": "decap", "share": 0.5}})), "rate.encap: of a run that comes before")


def test_reports_hold_all_they_are_given(picture):
    figures = {"median": 61.0, "least": 58.0, "most": 70.0, "all": [58.0, 61.0, 70.0]}
    row = {"group": "scenarios", "scenario": "s", "about": "a <b>", "run": "encap", "size": 64, "floor": figures, "vrouter": figures,
           "net": figures, "mpps": 20.0, "commands": ["vrouter --config a&b"], "devargs": {"tenant": "source0"}}
    rows = [{**row, "flows": flows, "reach": reach} for flows, reach in ((1000, 55), (100_000, 70))]
    rows.append({"group": "scenarios", "scenario": "s", "run": "decap", "flows": 1000, "size": 64, "failure": "lost <3>"})
    path = pathlib.Path(picture.lab.folder) / "report.html"
    report.write_html(path, {"machine": report.machine(), "command": "bench", "rows": rows})
    text = path.read_text()
    for wanted in ("61 (58-70)", "class=bad", "class=good", "lost &lt;3&gt;", "a&amp;b", "<svg", "<polyline", "stroke-dasharray"):
        assert wanted in text, wanted
    assert "http" not in text and "src=" not in text, "something from elsewhere"
    assert "61 (58-70)" in report.line(rows[0]) and "FAILED: lost" in report.line(rows[2])


def test_generated_rules_are_always_the_same(picture):
    del picture
    assert rules(1000) == rules(1000) and len(rules(1000)) == len(rules(1000, v6=True)) == 1000
    assert rules(1000)[-1] == {"action": "permit", "protocol": "udp"}
