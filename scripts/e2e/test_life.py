"""Start, stop, crash and what must be refused."""

import os

import yaml

from lab import probe
from lab.picture import V4, network
from lab.process import Failure, run


def test_sigterm_under_traffic_is_a_clean_exit(picture):
    h1, _ = picture.start_both()
    traffic = picture["red1"].netns.start("ping", "-n", "-q", "-i", "0.002", V4["2"], log="ping.log")
    probe.ping(picture["red1"].netns, V4["2"])
    code = h1.stop()
    traffic.stop()
    assert code == 0, f"exit code {code}\n{h1.process.output()}"
    assert not os.path.exists(h1.socket), "the socket is still there"
    del picture.vrouters["h1"]


def test_sigkill_then_start_again(picture):
    h1, _ = picture.start_both()
    probe.ping(picture["red1"].netns, V4["2"])
    h1.kill()
    assert os.path.exists(h1.socket), "a killed daemon cannot remove its socket: this test would prove nothing"
    h1.start()
    h1.apply(network("h1"))
    probe.ping(picture["red1"].netns, V4["2"])


def test_second_daemon_on_the_same_socket_is_refused(picture):
    h1 = picture.start("h1")
    second = {**yaml.safe_load(open(h1.config)), "ports": []}
    second["eal"] = {**second["eal"], "file_prefix": f"{second['eal']['file_prefix']}-second"}
    path = f"{picture.lab.folder}/second.yaml"
    with open(path, "w") as file:
        yaml.safe_dump(second, file)
    done = h1.host.netns.run(f"{h1.bin}/vrouter", "--config", path, check=False)
    assert done.returncode > 0, f"exit code {done.returncode}"
    assert h1.socket in done.stderr + done.stdout, done.stderr + done.stdout
    probe.ping(picture["red1"].netns, "10.1.1.1")
    assert h1.stats()["conservation"], "the first daemon answers no more"


def test_a_device_that_is_not_there(picture):
    host = picture.add_host("h1")
    host.ports["red1"] = "net_af_packet1,iface=nowhere0"
    try:
        picture.start("h1")
    except Failure as failure:
        assert "nowhere0" in str(failure), failure
        return
    raise Failure("it started")


def test_check_config(picture):
    h1 = picture.start("h1")
    probe.ping(picture["red1"].netns, "10.1.1.1")
    good = run(f"{h1.bin}/vrouter", "--check-config", "--config", h1.config)
    assert good.returncode == 0
    config = yaml.safe_load(open(h1.config))
    config["prots"] = config.pop("ports")
    path = f"{picture.lab.folder}/bad.yaml"
    with open(path, "w") as file:
        yaml.safe_dump(config, file)
    bad = run(f"{h1.bin}/vrouter", "--check-config", "--config", path, check=False)
    assert bad.returncode > 0 and "prots" in bad.stderr, bad.stderr
