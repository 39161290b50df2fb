"""What was acknowledged outlives the daemon: killed under load, on a full disk, on a damaged one, and with a device gone."""

import os
import pathlib
import random
import threading
import time

import yaml

from lab import probe
from lab.client import Client, Refusal, stubs
from lab.load import Load
from lab.picture import V4, V6
from lab.process import Failure, run

# How often the daemon is killed under load: so many times, or as often as fits in the seconds.
KILLS = int(os.environ.get("VROUTER_KILLS", "0"))
SECONDS = 20


def state_dir(picture):
    return f"{picture.lab.folder}/h1.state"


def test_kill_under_load(picture):
    dice = random.Random(7)
    vrouter = picture.start("h1", more={"state_dir": state_dir(picture)})
    v1, service = stubs(picture.lab.folder)
    load = Load(vrouter, v1, service)
    end, kills, last = time.monotonic() + SECONDS, 0, 0
    while kills < KILLS if KILLS else time.monotonic() < end:
        thread = threading.Thread(target=load.run, args=(last + 1,))
        thread.start()
        time.sleep(dice.uniform(0.02, 0.4))
        vrouter.kill()
        thread.join()
        vrouter.start()
        last, kills = load.check(), kills + 1
    print(f"    killed {kills} times, {last} batches")
    probe.ping(picture["red1"].netns, "10.1.1.1")
    if kills < 3 or last < kills:
        raise Failure(f"{kills} kills, {last} batches: that proves nothing")


def shown(vrouter):
    """VRFs, VIFs and routes, but for those of learnt neighbours."""
    vrfs, vifs, routes = (vrouter.ask("show", kind)[kind] for kind in ("vrfs", "vifs", "routes"))
    return vrfs, vifs, [route for route in routes if route["owner"] != "vif"]


def test_forwards_before_any_controller_speaks(picture):
    vrouter = picture.start("h1", more={"state_dir": state_dir(picture)})
    kernel = picture.add_kernel()
    red1 = picture["red1"].netns
    probe.ping(red1, V4["k"])
    before = shown(vrouter)
    assert vrouter.ask("status")["state_dir"] == {"path": state_dir(picture), "batches": 1, "refuses": ""}
    generation = int(vrouter.ask("status")["generation"])
    vrouter.kill()
    vrouter.start()
    probe.ping(red1, V4["k"])
    probe.ping(kernel, V6["1"])
    assert shown(vrouter) == before, (before, shown(vrouter))
    assert int(vrouter.ask("status")["generation"]) > generation
    # a clean end, too
    assert vrouter.stop() == 0
    vrouter.start()
    probe.ping(red1, V4["k"])


def test_a_full_disk_refuses_changes_and_forwarding_goes_on(picture):
    folder = pathlib.Path(state_dir(picture))
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder))
    picture.lab.at_close(lambda *_: run("umount", "-l", str(folder), check=False))
    vrouter = picture.start("h1", more={"state_dir": str(folder)})
    picture.add_kernel()
    v1, service = stubs(picture.lab.folder)
    rules = [v1.Rule(name=f"{n:0>60}") for n in range(20000)]
    with Client(vrouter.socket, service, v1) as client:
        big = lambda n: v1.Object(acl=v1.Acl(name="big", rules=rules[:-n]))  # noqa: E731
        (folder / "filler").write_bytes(bytes(4 << 20))
        for n in range(1, 60):
            try:
                client.apply("load", big(n))
            except Refusal as refusal:
                assert "no space" in str(refusal), refusal
                break
        else:
            raise Failure("the disk was never full")
        assert [len(one.acl.rules) for one in client.objects(v1.KIND_ACL) if one.acl.name == "big"] == [len(rules) - n + 1], "a refused batch changed something"
        probe.ping(picture["red1"].netns, V4["k"])
        (folder / "filler").unlink()
        client.apply("load", v1.Object(vrf=v1.Vrf(name="after")))
    vrouter.kill()
    vrouter.start()
    assert "after" in {vrf["name"] for vrf in vrouter.ask("show", "vrfs")["vrfs"]}
    probe.ping(picture["red1"].netns, V4["k"])


def test_damage_is_named_and_nothing_is_loaded(picture):
    folder = pathlib.Path(state_dir(picture))
    vrouter = picture.start("h1", more={"state_dir": str(folder)})
    probe.ping(picture["red1"].netns, "10.1.1.1")
    check = lambda: run(f"{vrouter.bin}/vrouter", "--check-state", "--config", vrouter.config, check=False)  # noqa: E731
    busy = check()
    assert busy.returncode == 5 and "another daemon" in busy.stderr, busy
    vrouter.stop()
    good = check()
    assert good.returncode == 0 and "vrfs" in good.stdout, good
    journal = folder / "journal-00000000"
    bytes_before = journal.read_bytes()
    damaged = bytearray(bytes_before)
    damaged[bytes_before.index(b"red1")] ^= 1
    journal.write_bytes(damaged)
    bad = check()
    assert bad.returncode == 6 and "journal-00000000: at byte" in bad.stderr and "checksum" in bad.stderr, bad
    try:
        vrouter.start()
        raise AssertionError("it started")
    except Failure as failure:
        assert "ended with 6" in str(failure) and "journal-00000000" in str(failure), failure
    journal.write_bytes(bytes_before)
    vrouter.start()
    probe.ping(picture["red1"].netns, "10.1.1.1")


def test_a_device_that_is_gone_stops_nothing_else(picture):
    host = picture.add_host("h1")
    blue = host.ports.pop("blue1")
    vrouter = picture.start("h1", {"ports": [{"name": "blue1", "devargs": blue}]}, more={"state_dir": state_dir(picture)})
    vrouter.apply(pathlib.Path(__file__).parents[1] / "lab/networks/h1.yaml")
    kernel = picture.add_kernel()
    probe.ping(picture["red1"].netns, V4["k"])
    vrouter.kill()
    device = blue.split("iface=")[1].split(",")[0]
    host.netns.ip("link", "delete", device)
    vrouter.start()
    probe.ping(picture["red1"].netns, V4["k"])
    probe.ping(kernel, V6["1"])
    port = next(port for port in vrouter.ask("show", "ports")["ports"] if port["name"] == "blue1")
    assert not port["link_up"], port


def test_the_state_of_the_configuration_is_put_afterwards(picture):
    vrouter = picture.start("h1", more={"state_dir": state_dir(picture)})
    probe.ping(picture["red1"].netns, "10.1.1.1")
    vrouter.stop()
    good = pathlib.Path(vrouter.config).read_text()

    def start_with(state):
        pathlib.Path(vrouter.config).write_text(good + yaml.safe_dump({"state": state}))
        vrouter.start()

    start_with({"vrfs": [{"name": "red", "tenant": "crimson"}]})
    assert {vrf["name"]: vrf["tenant"] for vrf in vrouter.ask("show", "vrfs")["vrfs"]}["red"] == "crimson"
    probe.ping(picture["red1"].netns, "10.1.1.1")
    vrouter.stop()
    clash = {"name": "other", "port": "red1", "vrf": "red", "mac": "02:aa:00:00:00:99", "addresses": ["10.1.1.99"]}
    try:
        start_with({"vifs": [clash]})
        raise AssertionError("it started")
    except Failure as failure:
        assert "ended with 3" in str(failure) and "vif other: port" in str(failure), failure
    # that it was refused has left nothing
    pathlib.Path(vrouter.config).write_text(good)
    vrouter.start()
    assert {vrf["name"]: vrf["tenant"] for vrf in vrouter.ask("show", "vrfs")["vrfs"]}["red"] == "crimson"
    probe.ping(picture["red1"].netns, "10.1.1.1")
