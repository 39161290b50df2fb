"""Upgrades of daemons whose ports are closed by one process and opened anew by the next, that have huge pages, a TLS listener, or another user:
a TCP connection that goes through such a port goes on, in a network where TCP begins with SYN."""

import os
import pathlib
import pwd
import re
import shutil
import time

from lab import probe
from lab.daemon import Vrouter
from lab.hugepages import HugePages, free_pages
from lab.picture import V4, network
from lab.process import until
from lab.splice import Splice

from test_access import keys
from test_devices import BLUE1_MAC, MEGABYTES, link
from test_guest import PORT, guest, said
from test_upgrade import flow_to, start, strict

# Seconds in which a connection is to go on: TCP sends again after up to twice the time since it was last answered.
GOES_ON = 30
# Huge pages that no daemon can live on, and their bytes.
FEW, PAGE = 16, 2 << 20
NOBODY = pwd.getpwnam("nobody")


def ports(picture, blue1=None):
    """h1, whose port blue1 is this device, if one is given."""
    h1 = picture.add_host("h1")
    if blue1:
        h1.ports["blue1"] = blue1
    return h1


def goes_on(picture, h1, afterwards=lambda: None):
    """A connection from blue1 to blue2 before an upgrade is one after it, by the flow that it had. `afterwards`: what the far end does then."""
    blue1, blue2 = picture["blue1"].netns, picture["blue2"].netns
    until(lambda: link(h1), 10, "the link of blue1")
    with probe.Server(blue2, PORT), probe.connect(blue1, V4["2"], PORT, seconds=GOES_ON) as connection:
        probe.echo(connection, b"before" * 1000)
        before = flow_to(h1, PORT)
        for _ in range(2):
            told = h1.upgrade()
            afterwards()
            assert told["flow_file"]["adopted"] >= 1, told
            print(f"    ports stood still for {told['outage_us'] / 1000:.1f} ms:",
                  ", ".join(f"{phase['name']} {phase['microseconds'] / 1000:.1f}" for phase in told["phases"] if phase["name"].startswith("ports")))
            probe.echo(connection, b"after" * 1000)
            after, status = flow_to(h1, PORT), h1.ask("status")
            assert after["age_ms"] > status["uptime_ms"] and int(after["bytes"]) > int(before["bytes"]), (before, after, status)
            before = after
    assert not {"tcp_not_syn"} & set(h1.drops()), h1.drops()
    # and others can begin one
    probe.ping(blue2, V4["1"])


def test_af_xdp(picture):
    host = ports(picture)
    host.ports = {port: f"net_af_xdp{number},iface={port}" for number, port in enumerate(host.ports)}
    # with enough to open devices more than once, where the kernel is slow to let go of their queues
    goes_on(picture, start(picture, mempool={"mbufs": 32768}))


def test_memif_as_server(picture):
    """DPDK's client, which does not try again by itself, is begun anew each time."""
    path = f"{picture.lab.folder}/memif.sock"
    host = ports(picture, f"net_memif0,role=server,socket={path},socket-abstract=no")
    h1, peers = start(picture), []

    def connect():
        if peers:
            peers.pop().stop()
        peers.append(Splice(host.netns, f"peer{time.monotonic_ns()}", "blue1", f"net_memif0,role=client,socket={path},socket-abstract=no"))
    connect()
    goes_on(picture, h1, connect)


def test_memif_as_client(picture):
    path = f"{picture.lab.folder}/memif.sock"
    host = ports(picture, f"net_memif0,role=client,socket={path},socket-abstract=no")
    Splice(host.netns, "peer", "blue1", f"net_memif0,role=server,socket={path},socket-abstract=no")
    goes_on(picture, start(picture))


def test_vhost_whose_guest_listens(picture):
    path = f"{picture.lab.folder}/vhost.sock"
    host = ports(picture, f"net_vhost0,iface={path},client=1")
    h1 = start(picture)
    Splice(host.netns, "guest", "blue1", f"net_virtio_user0,path={path},server=1,mac={BLUE1_MAC}", room=4096, options=())
    goes_on(picture, h1)


def test_virtio_user(picture):
    """A back end that is not ours, and takes the next front end."""
    path = f"{picture.lab.folder}/vhost.sock"
    host = ports(picture, f"net_virtio_user0,path={path},mac=02:bb:00:00:00:77")
    Splice(host.netns, "backend", "blue1", f"net_vhost0,iface={path}")
    goes_on(picture, start(picture))


def test_a_tap_is_another_device_afterwards(picture):
    host = ports(picture, "net_tap0,iface=tapblue")
    h1 = start(picture)
    host.netns.ip("link", "add", "brblue", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
    host.netns.ip("link", "set", "blue1", "master", "brblue")
    host.netns.ip("link", "set", "brblue", "up")

    def plug():
        host.netns.ip("link", "set", "tapblue", "master", "brblue", "up")
    plug()
    goes_on(picture, h1, plug)


def test_a_guest_that_calls_again(picture):
    """QEMU, whose end of vhost-user connects until it is answered: one connection of a Linux guest's, upgraded in its midst."""
    path = f"{picture.lab.folder}/vm.sock"
    ports(picture, f"net_vhost0,iface={path},tso=1")
    h1 = start(picture)
    one = guest(picture, "guest", path, BLUE1_MAC, V4["1"], f"""
dd if=/dev/urandom of=/data bs=1000 count=600 2>/dev/null
md5sum </data | sed s/^/SENT-/
until ping -c 1 -W 1 {V4["2"]} >/dev/null; do sleep 1; done
some() {{ dd if=/data bs=1000 skip=$1 count=300 2>/dev/null; }}
{{ some 0; echo HALF-WAY >&2; sleep 8; some 300; }} | nc -w 20 {V4["2"]} {PORT} | md5sum | sed s/^/CAME-/
""")
    with probe.Server(picture["blue2"].netns, PORT):
        until(lambda: said(one, "HALF-WAY") and flow_to(h1, PORT)["state"] == "established", 120, "half of the guest's bytes to be sent")
        told = h1.upgrade()
        assert told["flow_file"]["adopted"] >= 1, told
        came = until(lambda: said(one, "CAME-([0-9a-f]{32})"), 90, "the guest's bytes to be back").group(1)
    assert came == said(one, "SENT-([0-9a-f]{32})").group(1), one.output()
    assert not {"tcp_not_syn"} & set(h1.drops()), h1.drops()


def test_huge_pages(picture):
    """Both have their buffers for a moment: the new one is refused where the pages are too few."""
    pages = HugePages(picture.lab, MEGABYTES)
    path = f"{picture.lab.folder}/vhost.sock"
    host = ports(picture, f"net_vhost0,iface={path},client=1")
    h1 = start(picture, eal={"huge_pages": True})
    Splice(host.netns, "guest", "blue1", f"net_virtio_user0,path={path},server=1,mac={BLUE1_MAC}", pages, room=4096, options=())
    with open(f"{pages.folder}/taken", "wb") as taken:
        os.posix_fallocate(taken.fileno(), 0, (free_pages() - FEW) * PAGE)
        done = h1.vrctl("upgrade", f"{h1.bin}/vrouter", check=False)
    os.unlink(taken.name)
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr and h1.process.is_running(), done.stderr
    goes_on(picture, h1)


def test_clients_by_tls_are_answered_by_the_next_one(picture):
    folder = picture.lab.folder
    keys(folder, "cni")
    tls = {"listen": "127.0.0.1:7443", "certificate": f"{folder}/daemon.pem", "key": f"{folder}/daemon.key", "client_ca": f"{folder}/ca.pem"}
    h1 = start(picture, control={"tls": tls}, access={"rules": [{"certificate": "cni", "role": "read"}, {"user": "root", "role": "admin"}]})

    def shown():
        words = ("--server", "tls://127.0.0.1:7443", "--cert", f"{folder}/cni.pem", "--key", f"{folder}/cni.key", "--ca", f"{folder}/ca.pem")
        return h1.host.netns.run(f"{picture.bin}/vrctl", *words, "show", "vrfs").stdout
    assert "blue" in shown()
    pid = h1.process.pid
    goes_on(picture, h1)
    assert h1.process.pid != pid and "blue" in shown()


def test_a_daemon_of_another_user(picture):
    """Its privileges go on with it, and are no more than they were."""
    lab = pathlib.Path(picture.lab.folder)
    folder, bin = lab / "nobody", lab / "bin"
    lab.chmod(0o711)
    for made in (folder, bin):
        made.mkdir(mode=0o755)
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    shutil.copy(f"{picture.bin}/vrouter", bin)
    (bin / "vrctl").symlink_to(f"{picture.bin}/vrctl")
    # those of the unit, as systemd gives them to another user
    kept = ",".join(f"+{name}" for name in ("net_raw", "net_admin", "ipc_lock", "sys_nice", "chown", "setpcap"))
    sets = [word for which in ("--inh-caps", "--ambient-caps", "--bounding-set") for word in (which, f"-all,{kept}")]
    path = f"{folder}/h1.sock"
    h1 = Vrouter(ports(picture), bin, user=("setpriv", "--reuid", str(NOBODY.pw_uid), "--regid", str(NOBODY.pw_gid), "--clear-groups", *sets),
                 more={"socket": path, "flow_table": {"file": f"{folder}/h1.flows"}, "access": {"rules": [{"user": "root", "role": "admin"}]}})
    picture.vrouters["h1"], h1.socket = h1, path
    h1.apply(strict("h1"))
    picture.start("h2", strict("h2"))
    before = privileges(h1)
    goes_on(picture, h1)
    assert privileges(h1) == before and before["Uid"].split() == [str(NOBODY.pw_uid)] * 4, (before, privileges(h1))


def privileges(vrouter):
    with open(f"/proc/{vrouter.process.pid}/status") as file:
        rows = dict(re.findall(r"(\w+):\s*(.*)", file.read()))
    return {name: rows[name] for name in ("Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")}
