"""What files promise without a daemon is what then happens; and others read the reports."""

import json
import pathlib
from xml.etree import ElementTree

from lab import probe
from lab.picture import V4
from lab.process import run

OFFICE = pathlib.Path(__file__).parents[2] / "vrouter/examples/office"

# Whether red2, behind the tunnel, and red1 reach each other by TCP: source, destination, port.
PROMISES = (("red2", "red1", 80, True), ("red2", "red1", 8080, False), ("red1", "red2", 9000, True))


def expectation(source, port, reached):
    ends = {"from_tunnel": "red", "source": V4["2"], "to": "red1"} if source == "red2" else {"from": source, "to": V4["2"]}
    return {**ends, "protocol": "tcp", "port": port, "result": "forward" if reached else "acl_to_vif"}


def test_what_files_promise_then_happens(picture):
    h1, _ = picture.start_both()
    folder = pathlib.Path(picture.lab.folder)
    shown, expected = folder / "shown.yaml", folder / "expected.yaml"
    shown.write_text(h1.vrctl("show", "all", "-o", "yaml").stdout)
    # JSON is YAML
    expected.write_text(json.dumps({"expect": [expectation(source, port, reached) for source, _, port, reached in PROMISES]}))
    told = run(f"{picture.bin}/vrctl", "test", "-f", str(shown), str(expected), "-o", "json")
    met = json.loads(told.stdout)["expectations"]
    assert [row["met"] for row in met] == [True] * len(PROMISES), told.stdout
    places = {"red1": (picture["red1"].netns, V4["1"]), "red2": (picture["red2"].netns, V4["2"])}
    for source, destination, port, reached in PROMISES:
        (netns, _), (far, address) = places[source], places[destination]
        with probe.Server(far, port):
            if reached:
                probe.connect(netns, address, port).close()
            else:
                probe.no_connection(netns, address, port)


def test_no_dpdk_is_needed(picture):
    libraries = run("ldd", f"{picture.bin}/vrctl").stdout
    assert "libc.so" in libraries and "rte_" not in libraries, libraries


def test_reports_are_read_by_others(picture):
    vrctl = f"{picture.bin}/vrctl"
    network = ("-f", str(OFFICE / "staging.yaml"), "-f", str(OFFICE / "tenants.yaml"), str(OFFICE / "expectations.yaml"))
    wrong = pathlib.Path(picture.lab.folder) / "wrong <&>.yaml"
    wrong.write_text('expect: [{name: "a < b & \\"c\\"", from: desk, to: db}]')
    done = run(vrctl, "test", *network, str(wrong), "--report", "junit", check=False)
    assert done.returncode == 1 and "1 of 12 expectations are not met" in done.stderr, done
    suites = ElementTree.fromstring(done.stdout)
    assert (suites.get("tests"), suites.get("failures")) == ("12", "1"), done.stdout
    assert [suite.get("name") for suite in suites] == [str(OFFICE / "expectations.yaml"), str(wrong)], done.stdout
    failed = [case for case in suites.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ['a < b & "c"'], done.stdout
    assert "no_route" in failed[0].find("failure").get("message") and "route: vrf staff" in failed[0].find("failure").text, done.stdout
    lines = run(vrctl, "test", *network, "--report", "tap").stdout.splitlines()
    assert lines[:2] == ["TAP version 13", "1..11"], lines
    assert [line.split()[:2] for line in lines[2:]] == [["ok", str(number)] for number in range(1, 12)], lines
