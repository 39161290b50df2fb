"""What files promise without a daemon is what then happens; and others read the reports."""

import json
import pathlib
from xml.etree import ElementTree

from lab import probe
from lab.picture import V4
from lab.process import run
from lab.wire import ARP, ICMP, IP, UDP, Ether, PcapNgWriter, Wire, wrpcap

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


def test_captures_are_explained_frame_by_frame(picture):
    h1, _ = picture.start_both()
    red1 = Wire(picture["red1"].netns, "eth0")
    frame = Ether(src=red1.mac, dst="00:00:5e:00:01:00")
    frames = [frame / IP(src=V4["1"], dst=V4["2"]) / UDP(sport=5000, dport=9000) / b"forward", frame / IP(src=V4["1"], dst="10.9.9.9") / ICMP(),
              frame / IP(src="10.1.1.99", dst=V4["2"]) / UDP(sport=5000, dport=9000), Ether(src=red1.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=V4["2"]),
              Ether(src="02:00:00:00:00:01", dst="00:00:5e:00:01:00") / IP(src=V4["1"], dst=V4["2"]) / UDP(), frame / IP(src=V4["1"], dst=V4["2"], chksum=1) / UDP()]
    verdicts = ["forward", "no_route", "source_spoofed", None, "mac_spoofed", None]
    folder = pathlib.Path(picture.lab.folder)
    wrpcap(str(folder / "frames.pcap"), frames)
    with PcapNgWriter(str(folder / "frames.pcapng")) as writer:
        for one in frames:
            writer.write(one)
    for name in ("frames.pcap", "frames.pcapng"):
        told = h1.ask("explain", "--vif", "red1", "--pcap", str(folder / name))["frames"]
        assert [row.get("verdict") for row in told] == verdicts, told
        assert told[0]["exit_tunnel_vrf"] == "red" and told[0]["packet"] == f"udp {V4['1']} port 5000 to {V4['2']} port 9000", told[0]
        assert told[3]["unexplained"].startswith("ARP") and "ipv4_checksum" in told[5]["unexplained"], told
    # and that is what happens
    before = h1.drops()
    red1.send(bytes(frames[1]))
    h1.expect_drop("no_route", before)
    before = h1.drops()
    red1.send(bytes(frames[4]))
    h1.expect_drop("mac_spoofed", before)
    (folder / "nothing").write_bytes(b"no capture")
    refused = run(f"{picture.bin}/vrctl", "--socket", h1.socket, "explain", "--vif", "red1", "--pcap", str(folder / "nothing"), check=False)
    assert refused.returncode == 4 and "nothing: no capture" in refused.stderr, refused


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
