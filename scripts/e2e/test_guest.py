"""Linux guests under QEMU, emulated, on vhost-user ports: their own virtio drivers leave checksums and large segments to us."""

import pathlib
import re

from lab import probe
from lab.kernel import kernel
from lab.picture import V4, network
from lab.process import Failure, until

from test_devices import BLUE1_MAC, link, start

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 9000
BLUE9, BLUE9_MAC = "10.1.1.19", "02:bb:00:00:00:19"
DATA = """
dd if=/dev/urandom of=/data bs=1000 count=2000 2>/dev/null
md5sum </data | sed s/^/SENT-/
"""
# The same bytes there and back, twice: between them the vRouter is started anew.
TWICE = DATA + f"""
transfer() {{ nc -w 3 {V4["2"]} {PORT} </data | md5sum | sed s/^/CAME-$1-/; }}
echo FEATURES-$(cat /sys/class/net/eth0/device/features)
ping -c 3 {V4["2"]} && echo PINGED
transfer 1
echo FIRST-DONE
sleep 2
until ping -c 1 -W 1 {V4["2"]} >/dev/null; do sleep 1; done
transfer 2
"""
TO_BLUE9 = DATA + f"""
until ping -c 1 -W 1 {BLUE9} >/dev/null; do sleep 1; done
until nc -w 3 {BLUE9} {PORT} </data; do sleep 1; done
"""
# Bits of virtio: segments of TCP over IPv4 that are larger than the link's may go to the guest, and come from it.
GUEST_TSO4, HOST_TSO4 = 7, 11


def guest(picture, name, socket, mac, address, run):
    vmlinuz, modules = kernel(ROOT / "target/guest")
    return picture.hosts["h1"].netns.start(
        f"{ROOT}/scripts/lab/guest", "--socket", socket, "--kernel", str(vmlinuz), "--modules", str(modules), "--accel", "tcg",
        "--mac", mac, "--address", f"{address}/24", "--run", run, log=f"{name}.log")


def said(guest, what):
    found = re.search(what, guest.output())
    if not found and not guest.is_running():
        raise Failure(f"the guest ended without {what}\n{guest.output()}")
    return found


def row(vrouter, vif):
    return next(row for row in vrouter.stats()["vifs"] if row["vif"] == vif)


def test_a_guest_s_tcp_crosses_tunnels_before_and_after_a_restart(picture):
    socket = f"{picture.lab.folder}/vm.sock"
    _, vrouter = start(picture, f"net_vhost0,iface={socket},tso=1")
    one = guest(picture, "guest", socket, BLUE1_MAC, V4["1"], TWICE)
    with probe.Server(picture["blue2"].netns, PORT):
        until(lambda: said(one, "FIRST-DONE"), 120, "the guest's first transfer")
        features = said(one, "FEATURES-([01]+)").group(1)
        assert features[GUEST_TSO4] == features[HOST_TSO4] == "1", features
        assert said(one, "PINGED"), one.output()
        assert int(row(vrouter, "blue1")["pieces"]) > 100, row(vrouter, "blue1")
        vrouter.check_conservation()
        vrouter.kill()
        vrouter.start()
        vrouter.apply(network("h1"))
        until(lambda: link(vrouter), 20, "the link to the guest that lives")
        until(lambda: said(one, "GUEST-DONE"), 60, "the guest's second transfer")
    sent = said(one, "SENT-([0-9a-f]{32})").group(1)
    for turn in (1, 2):
        came = said(one, f"CAME-{turn}-([0-9a-f]{{32}})").group(1)
        assert came == sent, f"turn {turn}: {came}, not {sent}\n{one.output()}"


def test_two_guests_of_a_host_leave_to_each_other_what_they_take(picture):
    of_h1 = network("h1")
    red1 = next(vif for vif in of_h1["vifs"] if vif["name"] == "red1")
    red1.update(name="blue9", vrf="blue", mac=BLUE9_MAC, addresses=[BLUE9])
    del red1["acl_to_vif"]
    sockets = [f"{picture.lab.folder}/vm{number}.sock" for number in (1, 9)]
    h1 = picture.add_host("h1")
    h1.ports["blue1"], h1.ports["red1"] = (f"net_vhost{number},iface={path},tso=1" for number, path in enumerate(sockets))
    vrouter = picture.start("h1", of_h1)
    nine = guest(picture, "nine", sockets[1], BLUE9_MAC, BLUE9, f"nc -l -p {PORT} | md5sum | sed s/^/CAME-/")
    one = guest(picture, "one", sockets[0], BLUE1_MAC, V4["1"], TO_BLUE9)
    until(lambda: said(nine, "CAME-([0-9a-f]{32})"), 120, "what one guest sends to the other")
    sent, came = said(one, "SENT-([0-9a-f]{32})").group(1), said(nine, "CAME-([0-9a-f]{32})").group(1)
    assert came == sent, f"{came}, not {sent}"
    # 2,000,000 bytes would be 1,382 packets of 1,448
    went = row(vrouter, "blue9")
    assert int(went["tx_bytes"]) > 2_000_000 and int(went["tx_packets"]) < 1000, went
    assert int(row(vrouter, "blue1")["pieces"]) == 0, row(vrouter, "blue1")
