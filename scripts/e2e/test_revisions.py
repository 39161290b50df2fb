"""Changes that are undone unless they are confirmed, and kept revisions: traffic comes back by itself, and what is not touched never notices."""

import pathlib
import re
import time

import yaml

from lab import probe
from lab.picture import V4, network
from lab.process import Failure, until


def state_dir(picture):
    return f"{picture.lab.folder}/h1.state"


def cut(picture):
    """A file of h1's network in which red's VIF may send nothing. Its path."""
    objects = network("h1")
    red1 = next(vif for vif in objects["vifs"] if vif["name"] == "red1")
    objects.setdefault("acls", []).append({"name": "nothing", "rules": [{"action": "deny"}]})
    red1["acl_from_vif"] = "nothing"
    path = pathlib.Path(picture.lab.folder) / "cut.yaml"
    path.write_text(yaml.safe_dump(objects, sort_keys=False))
    return str(path)


def answered(netns, address):
    return netns.run("ping", "-n", "-c", "1", "-W", "1", address, check=False).returncode == 0


def waiting(vrouter):
    return vrouter.ask("revisions")["unconfirmed"]


def test_a_change_that_cuts_traffic_is_undone_by_itself(picture):
    h1 = picture.start("h1")
    picture.start("h2")
    red1 = picture["red1"].netns
    probe.ping(red1, V4["2"])
    h1.vrctl("apply", "-f", cut(picture), "--replace", "--confirm", "6s", "--sync", "-m", "by mistake")
    began = time.monotonic()
    probe.no_ping(red1, V4["2"], count=1)
    refused = h1.vrctl("add", "vrf", "green", check=False)
    assert refused.returncode == 1 and "waits to be confirmed" in refused.stderr, refused
    until(lambda: answered(red1, V4["2"]), 20, "traffic to come back by itself")
    took = time.monotonic() - began
    assert 4.0 < took < 15, took
    assert waiting(h1) == []
    probe.ping(red1, V4["2"])
    # what is confirmed stays
    h1.vrctl("apply", "-f", cut(picture), "--replace", "--confirm", "2s", "--sync")
    h1.vrctl("confirm")
    time.sleep(3)
    probe.no_ping(red1, V4["2"], count=1)


def test_a_plan_tells_what_becomes_of_live_flows(picture):
    h1, _ = picture.start_both()
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    with probe.Server(red2, 8080), probe.connect(red1, V4["2"], 8080, seconds=5) as connection:
        probe.echo(connection, b"before" * 100)
        plan = h1.ask("apply", "-f", cut(picture), "--replace", "--dry-run", "--flows")
        flows = plan["flows"]
        assert flows["now_denied"] >= 1 and flows["now_permitted"] == 0, flows
        assert any(cause["by"] == "vif red1" and cause["acl"] == "nothing" for cause in flows["causes"]), flows
        # of the change that it hangs on, and of no other
        touched = {(step["kind"], (step["after"] or step["before"])["name"]): step["flows"] for step in plan["steps"]}
        assert touched["vif", "red1"]["now_denied"] == flows["now_denied"], touched
        probe.echo(connection, b"after" * 100)
    told = h1.vrctl("plan", "-f", cut(picture), "--replace").stdout
    assert "live flows it would deny" in told, told


def test_what_was_not_confirmed_is_undone_after_a_kill(picture):
    h1 = picture.start("h1", more={"state_dir": state_dir(picture)})
    picture.start("h2")
    red1 = picture["red1"].netns
    probe.ping(red1, V4["2"])
    for pause in (0, 5):
        h1.vrctl("apply", "-f", cut(picture), "--replace", "--confirm", "4s", "--sync")
        assert len(waiting(h1)) == 1
        h1.kill()
        time.sleep(pause)
        h1.start()
        if pause == 0:
            # still to be confirmed
            assert len(waiting(h1)) == 1 or answered(red1, V4["2"])
        until(lambda: waiting(h1) == [], 10, "it to be undone")
        until(lambda: answered(red1, V4["2"]), 10, "traffic to come back")
    # confirmed, then killed
    h1.vrctl("apply", "-f", cut(picture), "--replace", "--confirm", "3s", "--sync")
    h1.vrctl("confirm")
    h1.kill()
    h1.start()
    time.sleep(4)
    assert not answered(red1, V4["2"])


def test_a_rollback_leaves_what_is_the_same_alone(picture):
    more = {"state_dir": state_dir(picture)}
    h1 = picture.start("h1", more=more)
    picture.start("h2")
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    first = int(h1.ask("revisions")["revisions"][0]["generation"])
    for n in range(3):
        objects = {"vrfs": [{"name": f"other{n}"}], "routes": [{"vrf": f"other{n}", "prefix": f"10.{n}.0.0/16", "drop": True}]}
        path = pathlib.Path(picture.lab.folder) / f"more{n}.yaml"
        path.write_text(yaml.safe_dump(objects))
        h1.vrctl("apply", "-f", str(path), "-m", f"more {n}")
    h1.kill()
    h1.start()
    told = h1.ask("revisions")["revisions"]
    assert [row["message"] for row in told[:3]] == ["more 2", "more 1", "more 0"], told
    with probe.Server(red2, 8080), probe.connect(red1, V4["2"], 8080, seconds=5) as connection:
        probe.echo(connection, b"before" * 1000)
        numbered = red1.start("ping", "-n", "-i", "0.02", "-c", "200", V4["2"], log="numbered.log")
        until(lambda: "icmp_seq=20 " in numbered.output(), 5, "pings to be answered")
        h1.vrctl("rollback", str(first), "--sync")
        probe.echo(connection, b"after" * 1000)
        numbered.exit_code(20)
        received = int(re.search(r"(\d+) received", numbered.output()).group(1))
        if received != 200:
            raise Failure(f"{200 - received} of 200 pings were lost")
    assert {vrf["name"] for vrf in h1.ask("show", "vrfs")["vrfs"]}.isdisjoint({"other0", "other1", "other2"})
    differs = h1.vrctl("diff", "--generation", str(first))
    assert differs.stdout == "no difference\n", differs


def test_a_damaged_revision_is_named_and_stops_nothing(picture):
    folder = pathlib.Path(state_dir(picture))
    h1 = picture.start("h1", more={"state_dir": str(folder)})
    picture.add_kernel()
    h1.vrctl("add", "vrf", "other")
    h1.stop()
    files = sorted(folder.glob("revision-*"))
    assert len(files) == 2, files
    damaged = bytearray(files[0].read_bytes())
    damaged[-10] ^= 1
    files[0].write_bytes(damaged)
    h1.start()
    probe.ping(picture["red1"].netns, V4["k"])
    assert len(h1.ask("revisions")["revisions"]) == 1
    assert files[0].name in h1.process.output() and "cannot be read" in h1.process.output()


def test_an_upgrade_hands_over_what_waits_and_what_is_kept(picture):
    h1 = picture.start("h1")
    red1 = picture["red1"].netns
    picture.start("h2")
    probe.ping(red1, V4["2"])
    kept = h1.ask("revisions")["revisions"]
    h1.vrctl("apply", "-f", cut(picture), "--replace", "--confirm", "30s", "--sync")
    h1.upgrade()
    assert [row["generation"] for row in h1.ask("revisions")["revisions"]] == [row["generation"] for row in kept]
    row = waiting(h1)[0]
    assert 0 < row["remaining_ms"] <= 30_000, row
    h1.vrctl("confirm", str(row["generation"]))
    assert not answered(red1, V4["2"])
    assert len(h1.ask("revisions")["revisions"]) == len(kept) + 1
