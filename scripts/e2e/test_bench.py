"""The bench's scenarios: their frames are what they should be, and a wrong one is seen."""

import pathlib

import yaml

from lab import checked, measure, ndr, report, rig
from lab.hugepages import HugePages
from lab.order import alone
from lab.process import Failure
from lab.scenario import Scenario, rules

SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "bench" / "scenarios"


def first_row(path):
    return next(iter(Scenario(path, quick=True).rows()))


def check(picture, row):
    return checked.check(picture.bin, pathlib.Path(picture.lab.folder), row, f"{picture.lab.prefix}-check")


def test_every_scenario_forwards_what_it_says(picture):
    paths = sorted(SCENARIOS.glob("*.yaml"))
    assert len(paths) >= 10
    for path in paths:
        row = first_row(path)
        sources = sum(devargs.startswith("source") for devargs in row.devargs().values())
        assert check(picture, row) == checked.FRAMES * sources
    # of 1,518 bytes, which no tunnel makes too big
    both = next(row for row in Scenario(SCENARIOS / "acl-vxlan.yaml").rows() if (row.run, row.size) == ("both", "imix"))
    assert check(picture, both) == checked.FRAMES * 2


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
    refused(lambda: Scenario(scenario(picture, workers={"encap": 3})), "workers.encap: 1 or 2")
    refused(lambda: Scenario(scenario(picture, changes={"encap": {"vrf": "red"}})), "changes.encap: needs batch,")
    for given, words in (({"run": "nowhere"}, "against.encap.run: there is no such run"), ({"run": "decap", "of": "luck"}, "against.encap.of: none of cycles"),
                         ({"run": "one-way", "scenario": "acl-mpls-udp"}, "no such run"), ({"run": "decap", "scenario": "nothing"}, "nothing.yaml")):
        refused(lambda given=given: Scenario(scenario(picture, against={"encap": given})), words)


def window(**changes):
    """Statistics around a turn in which 100,000 packets were forwarded, but for these changes at its end."""
    def stats(**given):
        values = {"received": 0, "sent": 0, "dropped": 0, "hits": 0, "misses": 0, "revalidated": 0, "lost": 0, "reordered": 0, "repeated": 0,
                  "drops": [], **given}
        books = {name: values[name] for name in ("received", "sent", "dropped")}
        worker = {"worker": 0, "flow_hits": values["hits"], "flow_misses": values["misses"], "revalidated": values["revalidated"]}
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


def turn(packets, cpu_ns, window=None, wall_ns=1_000_000_000):
    return measure.Turn(cpu_ns, wall_ns, packets, window)


def test_workers_are_measured_each_by_its_cpu_time(picture):
    del picture
    # the second worker had half of its core, and did as much with it
    both = turn([10_000_000, 5_000_000], [1_000_000_000, 500_000_000])
    assert (both.mpps, both.share) == (20, 0.5)
    row = next(row for row in Scenario(SCENARIOS / "two-workers.yaml").rows() if row.run == "split")
    assert row.workers == 2 and row.against().row.workers == 1
    for one, is_reached in ((11_500_000, True), (12_000_000, False)):
        found = measure.ratio(row.against(), {"rig": [both], "rig2": [turn([one], [1_000_000_000])]})
        assert found["is"] == 20_000_000 / one and found["reached"] == is_reached, found
        assert ("NOT REACHED" in report.bounds(found)) != is_reached
    # net of the floors: (200 - 100) / (180 - 100) of these cycles
    against = next(row for row in Scenario(SCENARIOS / "acl-vxlan-v6.yaml").rows() if row.run == "encap").against()
    assert against.of == "net" and against.row.scenario.name == "acl-vxlan"
    turns = {name: [turn([1000], [cpu])] for name, cpu in (("rig", 2000), ("floor", 1000), ("rig2", 1800), ("floor2", 1000))}
    assert abs(measure.ratio(against, turns)["is"] - 1.25) < 1e-9


def test_too_few_route_changes_are_refused(picture):
    del picture
    row = next(row for row in Scenario(SCENARIOS / "route-changes.yaml").rows() if row.run == "beneath")

    def changed(generations):
        stats = [{"generation": at, "workers": [{"worker": 0, "revalidated": again}]} for at, again in ((7, 0), (7 + generations, 30))]
        return measure.changed(row, [turn([1000], [1000], tuple(stats))])
    found = changed(99)
    assert found["changes_per_second"]["median"] == 9900 and found["decided_again"] == 30, found
    assert changed(94)["changes_per_second"]["median"] == 9400
    refused(lambda: changed(93), "9300 changes a second instead of 10000")
    assert measure.judged(row, window(revalidated=500), {"a": "sink0"}, 1.0)
    refused(lambda: measure.judged(row, window(lost=1), {"a": "sink0"}, 1.0), "'lost': 1")


def small(picture, name, words, **changes):
    """A scenario of ours with few flows and other words in it."""
    text = (SCENARIOS / f"{name}.yaml").read_text()
    for old, new in words:
        assert old in text, old
        text = text.replace(old, new)
    path = pathlib.Path(picture.lab.folder) / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(text), "quick": {}, "flows": [500], **changes}, sort_keys=False))
    return Scenario(path)


def measured(picture, scenario, run, seconds=0.3, rounds=1):
    """The row of a run, by short turns of a build that need not be fast."""
    with rig.Scratch() as scratch:
        scratch.huge_pages(256)
        row = next(row for row in scenario.rows() if row.run == run)
        return measure.measure(picture.bin, scratch, row, rounds, seconds, 2000 if row.paced() else None)


@alone
def test_two_workers_are_measured_beside_one(picture):
    HugePages(picture.lab, 512)
    # a build that need not be fast has few flows set up soon
    scenario = small(picture, "two-workers", [("after=4000000", "after=400000")])
    for run in ("disjoint", "shared", "split"):
        found = measured(picture, scenario, run)
        assert found["workers"] == 2 and found["ratio"]["of"] == "throughput" and found["ratio"]["is"] > 0.5, found["ratio"]
        assert "of two-workers one" in report.line(found), report.line(found)
    # answers that nothing permits, because no flow is theirs
    lost = small(picture, "two-workers", [("servers=20.0.0.0/16", "servers=20.0.0.0/16"), ("direction=reply", "first_port=9,direction=reply")])
    refused(lambda: measured(picture, lost, "split"), "drops {'acl")


@alone
def test_routes_change_beside_traffic(picture):
    HugePages(picture.lab, 512)
    # few flows: the routes that change are those of the few servers that they go to
    words = [("per_second: 10000", "per_second: 100"), ("batch: 100", "batch: 10"), ("within: 20.0.0.0/16, length: 26", "within: 20.0.0.0/24, length: 30")]
    # its median: one moment in which the machine stands still is a good part of a second
    found = measured(picture, small(picture, "route-changes", words), "beneath", seconds=1, rounds=3)
    assert found["changes_per_second"]["median"] > 80 and found["decided_again"] > 0 and found["lost"] == 0, found
    assert "route changes a second" in report.line(found)
    # a way that is refused
    words.append(('vias: &vias\n      - {vxlan: {remote: 172.31.0.2, vni: 100, mac: "02:ac:1f:00:02:01"}}', 'vias: &vias\n      - {vxlan: {remote: 172.31.0.2, vni: 100, mac: "00:00:00:00:00:00"}}'))
    refused(lambda: measured(picture, small(picture, "route-changes", words), "beneath"), "the client ended", "mac")
    # more than there is time for
    words = [("per_second: 10000", "per_second: 100000000"), ("batch: 100", "batch: 1")]
    refused(lambda: measured(picture, small(picture, "route-changes", words), "beneath"), "changes a second instead of 100000000")


@alone
def test_latency_stands_beside_its_floor(picture):
    HugePages(picture.lab, 512)
    found = measured(picture, small(picture, "half-load", []), "half")
    for which in ("latency", "floor_latency"):
        told = found[which]
        assert 0 < told["p50_ns"] <= told["p99_ns"] <= told["p999_ns"] <= told["longest_ns"] and told["frames"] > 100, told
    assert "p99.9" in report.line(found)


class Device:
    """A device that forwards so many frames a second, and a generator that sends at most so many; every so-manyth trial loses a frame more."""

    def __init__(self, capacity, fastest=1e9, unlucky=0):
        self.capacity, self.fastest, self.unlucky, self.trials = capacity, fastest, unlucky, 0

    def trial(self, rate):
        self.trials += 1
        sent = min(rate, self.fastest)
        lost = max(0, sent - self.capacity) + (self.unlucky > 0 and self.trials % self.unlucky == 0)
        return sent, int(sent), int(sent) - int(lost)


def test_a_search_finds_what_a_device_can(picture):
    del picture
    for capacity in (300_000, 1_234_567, 9_999_999, 19_999_000):
        rate, trials = ndr.search(Device(capacity).trial, 20e6, 0, 0.001)
        assert capacity - 20_001 <= rate <= capacity + 1, (capacity, rate)
        assert len(trials) <= 22 and trials[0]["offered"] == 20e6
        # a little loss is a little more
        more, _ = ndr.search(Device(capacity).trial, 20e6, 0.1, 0.001, least=rate)
        assert capacity / 0.9 - 20_001 <= more <= capacity / 0.9 + 1 or more == 20e6, (capacity, more)
    # all of it; all that the generator has
    assert ndr.search(Device(30e6).trial, 20e6, 0, 0.001)[0] == 20e6
    assert ndr.search(Device(30e6, fastest=7e6).trial, 20e6, 0, 0.001)[0] == 7e6
    # a rate that passes now and then is none
    rate, trials = ndr.search(Device(5e6, unlucky=2).trial, 20e6, 0.00001, 0.001)
    assert rate > 4.9e6
    refused(lambda: ndr.search(Device(5e6, unlucky=2).trial, 20e6, 0, 0.01), "more than 0.000% is lost even at")
    refused(lambda: ndr.search(Device(0).trial, 20e6, 0, 0.01), "more than 0.000% is lost even at")
    refused(lambda: ndr.search(lambda rate: (rate, 10, 11), 20e6, 0, 0.01), "10 were sent and 11 received")


GENERATOR = """
import argparse, json
words = argparse.ArgumentParser()
for name in ("rate", "seconds", "size"): words.add_argument("--" + name, type=float)
given = words.parse_args()
sent = int(given.rate * given.seconds)
print("as you wish")
print(json.dumps({"sent": sent, "received": min(sent, int(1_000_000 * given.seconds))}))
"""


@alone
def test_a_search_beside_a_generator_and_by_our_own_sources(picture):
    folder = pathlib.Path(picture.lab.folder)
    (folder / "generator.py").write_text(GENERATOR)
    row = next(small(picture, "acl-vxlan", [], sizes=[64]).rows())
    make = ndr.daemon(picture.bin, folder, row, f"{picture.lab.prefix}-ndr", mbufs=4096)
    found = ndr.find(row, make, ["net_null0,no-rx=1", "net_null1,no-rx=1"], f"python3 {folder}/generator.py", 4e6, 0.001, 1)
    assert [rate["loss"] for rate in found["rates"]] == [0, 0.00001] and all(996_000 <= rate["rate"] <= 1_000_001 for rate in found["rates"]), found
    assert "0.99" in ndr.line(found) or "1.000" in ndr.line(found), ndr.line(found)
    refused(lambda: ndr.find(row, make, ["net_null0,no-rx=1", "net_null1,no-rx=1"], "echo nothing", 4e6, 0.001, 1), "printed no line with sent and received")
    # little is forwarded by a slow build on a busy machine, and much by none
    for loss, most, passes in ((0, 2000, True), (0.00001, 60e6, False)):
        rate, sent, received = ndr.Sources(make, row, 0.3).trial(most)
        assert rate == most and sent > 0.25 * most and (sent - received <= loss * sent) == passes, (rate, sent, received)
    found = ndr.find(row, make, None, None, 2000, 0.1, 0.3)
    assert [rate["rate"] for rate in found["rates"]] == [2000, 2000], found
    path = folder / "report.html"
    report.write_html(path, {"machine": report.machine(), "command": "bench", "rows": [found, {**found, "failure": "too much"}]})
    text = path.read_text()
    assert "Non-drop rate" in text and "sources of our own" in text and "too much" in text
    files = ndr.write_frames(picture.bin, folder, row, folder, f"{picture.lab.prefix}-frames")
    assert [len(checked.read(path)) for path in files] == [500, 500]


def test_reports_hold_all_they_are_given(picture):
    figures = {"median": 61.0, "least": 58.0, "most": 70.0, "all": [58.0, 61.0, 70.0]}
    row = {"group": "scenarios", "scenario": "s", "about": "a <b>", "run": "encap", "size": 64, "floor": figures, "vrouter": figures,
           "net": figures, "mpps": 20.0, "commands": ["vrouter --config a&b"], "devargs": {"tenant": "source0"}}
    rows = [{**row, "flows": flows, "reach": reach} for flows, reach in ((1000, 55), (100_000, 70))]
    rows.append({"group": "scenarios", "scenario": "s", "run": "decap", "flows": 1000, "size": 64, "failure": "lost <3>"})
    path = pathlib.Path(picture.lab.folder) / "report.html"
    budget = {"encap": [["ports", 200.0], ["act", 30.5]], "decap": [["ports", 100.0], ["act", 0.0]]}
    report.write_html(path, {"machine": report.machine(), "command": "bench", "rows": rows, "budget": budget})
    text = path.read_text()
    for wanted in ("61 (58-70)", "class=bad", "class=good", "lost &lt;3&gt;", "a&amp;b", "<svg", "<polyline", "stroke-dasharray", "act 30", "<td>230</td>"):
        assert wanted in text, wanted
    assert "http" not in text and "src=" not in text, "something from elsewhere"
    assert "61 (58-70)" in report.line(rows[0]) and "FAILED: lost" in report.line(rows[2])


def test_generated_rules_are_always_the_same(picture):
    del picture
    assert rules(1000) == rules(1000) and len(rules(1000)) == len(rules(1000, v6=True)) == 1000
    assert rules(1000)[-1] == {"action": "permit", "protocol": "udp"}
