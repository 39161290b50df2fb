"""Ports and VIFs come and go while others' traffic runs, and none of that is lost."""

import contextlib
import socket
import threading
import time

from lab import probe
from lab.picture import V4, Tenant
from lab.process import Failure

HOT = "10.1.1.31"
HOT_MAC = "02:aa:00:00:00:31"
NUMBERED_PORT = 7000
ROUNDS = 10


class Numbered:
    """Numbered datagrams from red1 to red2, about a thousand a second. Use as a context manager: at its end, all of them have come, once
    and in order."""

    def __init__(self, picture):
        self._to = picture["red2"].netns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._to.bind((V4["2"], NUMBERED_PORT))
        self._to.settimeout(2)
        self._from = picture["red1"].netns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=body, daemon=True) for body in (self._send, self._receive)]
        self.sent, self._came = 0, []

    def _send(self):
        while not self._stop.is_set():
            self._from.sendto(self.sent.to_bytes(4, "big"), (V4["2"], NUMBERED_PORT))
            self.sent += 1
            time.sleep(0.001)

    def _receive(self):
        # Until nothing has come for two seconds.
        with contextlib.suppress(TimeoutError):
            while True:
                self._came.append(int.from_bytes(self._to.recv(4), "big"))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._from.close()
        self._to.close()
        if kind is None and self._came != list(range(self.sent)):
            missing = sorted(set(range(self.sent)) - set(self._came))
            raise Failure(f"of {self.sent} datagrams {len(self._came)} came, not in order or not {missing[:20]}")


def add(h1, name, devargs, mac):
    h1.vrctl("add", "port", name, "--devargs", devargs)
    h1.vrctl("add", "vif", name, "--port", name, "--vrf", "red", "--mac", mac, "--address", HOT, "--gateway-v4", "10.1.1.1", "--sync")


def delete(h1, name):
    h1.vrctl("delete", "vif", name)
    h1.vrctl("delete", "port", name, "--sync")


def ports(h1):
    return {port["name"]: port for port in h1.ask("show", "ports")["ports"]}


def test_a_port_comes_and_goes_beside_traffic(picture):
    h1, _ = picture.start_both()
    # Neighbours are resolved before the first number.
    probe.ping(picture["red1"].netns, V4["2"])
    before = set(ports(h1))
    hot = Tenant(picture.lab, "hot", h1.host.netns, HOT_MAC, [HOT, "fd00:1::31"])
    with Numbered(picture) as numbered:
        for _ in range(ROUNDS):
            add(h1, "hot", "net_af_packet9,iface=hot", HOT_MAC)
            assert ports(h1)["hot"]["link_up"], ports(h1)
            probe.ping(hot.netns, V4["1"])
            flood = hot.netns.start("ping", "-n", "-q", "-f", "-w", "5", V4["1"], log="flood.log")
            time.sleep(0.2)
            refused = h1.vrctl("delete", "port", "hot", check=False)
            assert refused.returncode == 1 and "still referred to by VIF hot" in refused.stderr, refused.stderr
            # Under its own traffic.
            delete(h1, "hot")
            flood.stop()
            assert set(ports(h1)) == before, ports(h1)
        probe.no_ping(hot.netns, V4["1"], count=1)
    assert numbered.sent > 1000, numbered.sent


def test_a_tap_port_comes_and_goes_beside_traffic(picture):
    h1, _ = picture.start_both()
    probe.ping(picture["red1"].netns, V4["2"])
    host = h1.host.netns
    with Numbered(picture):
        for _ in range(ROUNDS):
            add(h1, "hot", f"net_tap9,iface=hottap,mac={HOT_MAC}", HOT_MAC)
            host.ip("address", "add", f"{HOT}/32", "dev", "hottap")
            host.ip("route", "add", "10.1.1.0/24", "via", "10.1.1.1", "dev", "hottap", "onlink")
            probe.ping(host, V4["1"])
            delete(h1, "hot")
            assert "hottap" not in host.ip("link", "show")


def test_a_refused_batch_leaves_no_device(picture):
    h1 = picture.start("h1")
    host = h1.host.netns
    path = f"{picture.lab.folder}/refused.yaml"
    with open(path, "w") as file:
        file.write("ports: [{name: hot, devargs: 'net_tap9,iface=hottap'}]\n"
                   "vifs: [{name: hot, port: hot, vrf: nowhere, mac: 02:aa:00:00:00:31}]\n")
    refused = h1.vrctl("apply", "-f", path, check=False)
    assert refused.returncode == 1 and "vif hot: vrf: there is no VRF nowhere" in refused.stderr, refused.stderr
    assert "hot" not in ports(h1) and "hottap" not in host.ip("link", "show")
    absent = h1.vrctl("add", "port", "hot", "--devargs", "net_af_packet9,iface=nowhere0", check=False)
    assert absent.returncode == 1 and "port hot: devargs: device" in absent.stderr, absent.stderr
    # The same device opens when nothing is wrong, and its file can be applied again.
    h1.apply({"ports": [{"name": "hot", "devargs": "net_tap9,iface=hottap"}]})
    h1.apply({"ports": [{"name": "hot", "devargs": "net_tap9,iface=hottap"}]})
    assert "hottap" in host.ip("link", "show")
    changed = h1.vrctl("add", "port", "hot", "--replace", "--devargs", "net_tap9,iface=other", check=False)
    assert changed.returncode == 1 and "cannot change" in changed.stderr, changed.stderr
    probe.ping(picture["red1"].netns, "10.1.1.1")
