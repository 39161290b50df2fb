"""A Linux guest under QEMU, emulated, on a vhost-user port: its own virtio driver leaves checksums and large segments to us."""

import pathlib
import re

from lab import probe
from lab.kernel import kernel
from lab.picture import V4, network
from lab.process import Failure, until

from test_devices import BLUE1_MAC, link, start

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 9000
# The same bytes there and back, twice: between them the vRouter is started anew.
RUN = f"""
transfer() {{ nc -w 3 {V4["2"]} {PORT} </data | md5sum | sed s/^/CAME-$1-/; }}
dd if=/dev/urandom of=/data bs=1000 count=2000 2>/dev/null
md5sum </data | sed s/^/SENT-/
echo FEATURES-$(cat /sys/class/net/eth0/device/features)
ping -c 3 {V4["2"]} && echo PINGED
transfer 1
echo FIRST-DONE
sleep 2
until ping -c 1 -W 1 {V4["2"]} >/dev/null; do sleep 1; done
transfer 2
"""
# Bits of virtio: we take segments of TCP over IPv4 that are larger than the link's, from it and it from us.
GUEST_TSO4, HOST_TSO4 = 7, 11


def said(guest, what):
    if not guest.is_running() and what not in guest.output():
        raise Failure(f"the guest ended\n{guest.output()}")
    return re.search(what, guest.output())


def test_a_guest_s_tcp_crosses_tunnels_before_and_after_a_restart(picture):
    socket = f"{picture.lab.folder}/vm.sock"
    _, vrouter = start(picture, f"net_vhost0,iface={socket},tso=1")
    vmlinuz, modules = kernel(ROOT / "target/guest")
    guest = picture.hosts["h1"].netns.start(
        f"{ROOT}/scripts/lab/guest", "--socket", socket, "--kernel", str(vmlinuz), "--modules", str(modules), "--accel", "tcg",
        "--mac", BLUE1_MAC, "--address", f"{V4['1']}/24", "--run", RUN, log="guest.log")
    with probe.Server(picture["blue2"].netns, PORT):
        until(lambda: said(guest, "FIRST-DONE"), 120, "the guest's first transfer")
        features = said(guest, "FEATURES-([01]+)").group(1)
        assert features[GUEST_TSO4] == features[HOST_TSO4] == "1", features
        assert said(guest, "PINGED"), guest.output()
        row = next(row for row in vrouter.stats()["vifs"] if row["vif"] == "blue1")
        assert int(row["pieces"]) > 100, row
        vrouter.check_conservation()
        vrouter.kill()
        vrouter.start()
        vrouter.apply(network("h1"))
        until(lambda: link(vrouter), 20, "the link to the guest that lives")
        until(lambda: said(guest, "GUEST-DONE"), 60, "the guest's second transfer")
    sent = said(guest, "SENT-([0-9a-f]{32})").group(1)
    for turn in (1, 2):
        came = said(guest, f"CAME-{turn}-([0-9a-f]{{32}})").group(1)
        assert came == sent, f"turn {turn}: {came}, not {sent}\n{guest.output()}"
