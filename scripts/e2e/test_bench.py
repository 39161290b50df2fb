"""The bench's scenarios: their frames are what they should be, and a wrong one is seen."""

import pathlib

import yaml

from lab import checked, measure, report
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


def window(**changes):
    """Statistics around a turn in which 100,000 packets were forwarded, but for these changes at its end."""
    def stats(**given):
        values = {"received": 0, "sent": 0, "dropped": 0, "hits": 0, "misses": 0, "revalidated": 0, "lost": 0, "reordered": 0, "repeated": 0,
                  "drops": [], **given}
        books = {name: values[name] for name in ("received", "sent", "dropped")}
        worker = {"flow_hits": values["hits"], "flow_misses": values["misses"], "revalidated": values["revalidated"]}
        ports = [{"port": "a", "traffic": {name: values[name] for name in ("lost", "reordered", "repeated")}}]
        return {"conservation": books, "workers": [worker], "ports": ports, "drops": values["drops"]}
    forwarded = dict.fromkeys(("received", "sent", "hits"), 100_000)
    return [(stats(drops=[{"reason": "acl", "vif": "v", "packets": 3}], dropped=3),
             stats(**{**forwarded, "drops": [{"reason": "acl", "vif": "v", "packets": 3}], "dropped": 3, **changes}))]


def test_figures_of_something_else_are_refused(picture):
    hits, misses, none = (first_row(SCENARIOS / f"{name}.yaml") for name in ("acl-vxlan", "new-flows", "packet-mode"))
    for row, changes in ((hits, {}), (misses, {"hits": 90, "misses": 99_910}), (none, {"hits": 0})):
        found = measure.judged(row, window(**changes), {"a": "sink0"}, 1.0)
        assert found["received"] == 100_000 and not found["drops"], found
    for row, changes, word in (
            (hits, {"drops": [{"reason": "acl", "vif": "v", "packets": 4}], "dropped": 4}, "drops {'acl v': 1}"),
            (hits, {"sent": 97_000}, "100000 received, 97000 sent"),
            (hits, {"lost": 1}, "'lost': 1"), (hits, {"reordered": 2}, "'reordered': 2"), (hits, {"repeated": 2}, "'repeated': 2"),
            (hits, {"misses": 1}, "1 misses"), (hits, {"revalidated": 1}, "1 decided again"), (hits, {"hits": 97_000}, "97000 hits"),
            (misses, {"hits": 200}, "200 hits"), (none, {}, "without flows")):
        refused(lambda row=row, changes=changes: measure.judged(row, window(**changes), {"a": "sink0"}, 1.0), word)
    refused(lambda: measure.judged(hits, window(lost=1), {"a": "sink0"}, 0.5), "50% of its core")
    del picture


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
