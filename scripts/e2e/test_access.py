"""Who may do what: what the process keeps of its privileges, ports within its reach and beyond, a Python client over TLS, the audit log, and
the systemd unit."""

import json
import os
import pathlib
import re
import signal
import sys

from lab import probe
from lab.daemon import Vrouter
from lab.picture import V4, Tenant
from lab.process import Failure, run, until

UNIT = pathlib.Path(__file__).parents[1] / "vrouter.service"
# capability.h, by bit
BITS = {"NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_NICE": 23}
KEPT = sum(1 << bit for bit in BITS.values())


def threads(vrouter):
    """Of each thread: what the kernel says of it."""
    folder = pathlib.Path(f"/proc/{vrouter.process.pid}/task")
    for thread in folder.iterdir():
        rows = (line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        yield {name: value.strip() for name, value in rows}


def test_every_thread_keeps_what_it_needs_and_no_more(picture):
    h1, _ = picture.start_both()
    seen = list(threads(h1))
    names = {row["Name"] for row in seen}
    assert {"vr-control", "vr-bfd", "vr-worker-0"} <= names and len(seen) >= 5, names
    for row in seen:
        sets = {name: int(row[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        assert sets == {"CapInh": 0, "CapPrm": KEPT, "CapEff": KEPT, "CapBnd": KEPT, "CapAmb": 0}, (row["Name"], sets)
        assert row["NoNewPrivs"] == "1", row["Name"]
    assert "files=needed ones" in re.sub(r"\x1b\[[0-9;]*m", "", h1.process.output()).replace('"', ""), h1.process.output()
    # which is all that forwarding takes
    probe.ping(picture["red1"].netns, V4["2"])


def sends_something(picture):
    """Whatever comes of it: at the end of a test the books are to hold something."""
    picture["red1"].run("ping", "-c", "1", "-W", "1", "10.1.1.1", check=False)


def test_all_is_kept_when_that_is_asked_for(picture):
    h1 = picture.start("h1", more={"privileges": {"drop": False}})
    assert all(row["NoNewPrivs"] == "0" and int(row["CapEff"], 16) & 1 << 21 for row in threads(h1)), "21: SYS_ADMIN"
    sends_something(picture)


def test_ports_come_within_reach_and_not_beyond(picture):
    h1 = picture.start("h1")
    folder = picture.lab.folder
    beyond = f"/var/tmp/{picture.lab.prefix}-beyond"
    os.mkdir(beyond)
    picture.lab.at_close(os.rmdir, beyond)
    kernel = Tenant(picture.lab, "late", h1.host.netns, "02:aa:00:00:00:31", ["10.1.1.31", "fd00:1::31"])
    assert kernel
    within = {
        "late-packet": "net_af_packet7,iface=late",
        "late-tap": "net_tap7,iface=latetap",
        "late-vhost": f"net_vhost7,iface={folder}/late-vhost.sock",
        "late-memif": f"net_memif7,role=server,id=7,socket={folder}/late-memif.sock,socket-abstract=no",
    }
    for name, devargs in within.items():
        h1.vrctl("add", "port", name, "--devargs", devargs, "--sync")
    assert set(within) <= {port["name"] for port in h1.ask("show", "ports")["ports"]}
    assert os.path.exists(f"{folder}/late-vhost.sock") and os.path.exists(f"{folder}/late-memif.sock")
    for number, devargs in enumerate((f"net_vhost8,iface={beyond}/vm.sock", f"net_memif8,role=server,socket={beyond}/m.sock,socket-abstract=no",
                                      f"net_pcap8,tx_pcap={beyond}/frames.pcap", f"net_vhost8,iface={folder}/../../var/tmp/vm.sock")):
        done = h1.vrctl("add", "port", f"beyond{number}", "--devargs", devargs, check=False)
        assert done.returncode == 1 and "is in none of the folders that the daemon may use: privileges.paths" in done.stderr, done.stderr
    assert os.listdir(beyond) == []
    sends_something(picture)
    for name in within:
        h1.vrctl("delete", "port", name, "--sync")


def test_the_kernel_keeps_files_away(picture):
    """What a device opens by a way that the daemon does not see in its arguments."""
    h1 = picture.start("h1")
    name = f"{picture.lab.prefix}-beyond.pcap"
    done = h1.vrctl("add", "port", "beyond", "--devargs", f"net_pcap8,tx_pcap={name}", check=False)
    where = os.readlink(f"/proc/{h1.process.pid}/cwd")
    assert done.returncode == 1 and not os.path.exists(f"{where}/{name}"), done.stderr
    sends_something(picture)


def test_folders_that_are_named_are_within_reach(picture):
    folder = f"/var/tmp/{picture.lab.prefix}-guests"
    os.mkdir(folder)
    picture.lab.at_close(os.rmdir, folder)
    h1 = picture.start("h1", more={"privileges": {"paths": [folder]}})
    h1.vrctl("add", "port", "guest", "--devargs", f"net_vhost7,iface={folder}/vm.sock", "--sync")
    assert os.path.exists(f"{folder}/vm.sock")
    h1.vrctl("delete", "port", "guest", "--sync")
    sends_something(picture)


# ------------------------------------------------------------------------------------------------ over TLS

CLIENT = """
import sys, grpc
sys.path.insert(0, sys.argv[1])
from lab.client import Client, stubs
folder, address, who = sys.argv[2:5]
v1, service = stubs(sys.argv[2])
read = lambda name: open(f"{folder}/{name}", "rb").read()
client = Client(address, service, v1, keys=(read("ca.pem"), read(f"{who}.key"), read(f"{who}.pem")))
with client:
    try:
        client.apply("cni", v1.Object(vrf=v1.Vrf(name="green")))
        print("applied,", len(client.objects(v1.KIND_VRF)), "VRFs")
        client.apply("bgp", v1.Object(vrf=v1.Vrf(name="grey")))
    except grpc.RpcError as error:
        print(error.code().name, error.details())
"""


def keys(folder, *names):
    """An authority, and certificates of it: the daemon's for 127.0.0.1, others with their name."""
    def openssl(*arguments):
        run("openssl", *arguments)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-days", "30", "-subj", "/CN=authority", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    for name in ("daemon", *names):
        with open(f"{folder}/{name}.ext", "w") as extension:
            extension.write("subjectAltName=IP:127.0.0.1")
        openssl("req", *new, "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
        openssl("x509", "-req", "-days", "30", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial",
                "-in", f"{folder}/{name}.csr", "-extfile", f"{folder}/{name}.ext", "-out", f"{folder}/{name}.pem")


def test_a_python_client_comes_in_by_tls(picture):
    folder = picture.lab.folder
    keys(folder, "cni", "stranger")
    tls = {"listen": "127.0.0.1:7443", "certificate": f"{folder}/daemon.pem", "key": f"{folder}/daemon.key", "client_ca": f"{folder}/ca.pem"}
    audit = f"{folder}/audit.log"
    rules = [{"certificate": "cni", "role": "write", "owners": ["cni"]}]
    host = picture.add_host("h1")
    picture.vrouters["h1"] = h1 = Vrouter(host, picture.bin, more={"control": {"tls": tls, "audit": {"file": audit}}, "access": {"rules": rules}})
    script = f"{folder}/client.py"
    with open(script, "w") as file:
        file.write(CLIENT)

    def client(who):
        scripts = str(pathlib.Path(__file__).parents[1])
        return host.netns.run(sys.executable, script, scripts, folder, "127.0.0.1:7443", who).stdout.splitlines()
    said = client("cni")
    assert said[0] == "applied, 1 VRFs", said
    assert said[1].startswith("PERMISSION_DENIED Apply: certificate cni at 127.0.0.1:") and said[1].endswith("not for bgp"), said
    said = client("stranger")
    sends_something(picture)
    assert said[0].startswith("PERMISSION_DENIED Apply needs the role write: certificate stranger at"), said
    # our own client too, and what the audit log has of it all
    shown = host.netns.run(f"{picture.bin}/vrctl", "--server", "tls://127.0.0.1:7443", "--cert", f"{folder}/cni.pem", "--key", f"{folder}/cni.key",
                           "--ca", f"{folder}/ca.pem", "show", "vrfs").stdout
    assert "green" in shown, shown
    lines = until(lambda: (found := entries(audit)) and len(found) >= 3 and found, 5, "the audit log")
    assert [(line["result"], line["certificate"]) for line in lines] == [("applied", ["cni"]), ("denied", ["cni"]), ("denied", ["stranger"])]


def entries(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def test_the_audit_log_is_opened_anew_on_sighup(picture):
    path, moved = f"{picture.lab.folder}/audit.log", f"{picture.lab.folder}/audit.log.1"
    h1 = picture.start("h1", more={"control": {"audit": {"file": path}}})
    first = until(lambda: entries(path), 5, "an entry")
    assert (first[0]["rpc"], first[0]["uid"], first[0]["user"], first[0]["owner"], first[0]["result"]) == ("Apply", 0, "root", "operator", "applied")
    assert first[0]["changes"]["vif"]["put"] >= 1 and first[0]["pid"] > 1 and first[0]["generation"] >= 1
    os.rename(path, moved)
    h1.process.signal(signal.SIGHUP)
    until(lambda: "SIGHUP" in h1.process.output(), 5, "the signal to be taken")
    h1.vrctl("add", "vrf", "later")
    last = until(lambda: os.path.exists(path) and entries(path), 5, "an entry in the new file")
    assert last[-1]["first"] == ["vrf later"], last
    assert len(entries(moved)) == len(first)
    h1.vrctl("delete", "vrf", "later")
    sends_something(picture)


# ------------------------------------------------------------------------------------------------ the unit

def test_the_unit_is_what_systemd_takes_and_says_what_the_daemon_does(picture):
    text = UNIT.read_text()
    unit = f"{picture.lab.folder}/vrouter.service"
    with open(unit, "w") as file:
        file.write(text.replace("/usr/bin/vrouter", f"{picture.bin}/vrouter"))
    done = run("systemd-analyze", "verify", unit)
    complaints = [line for line in done.stderr.splitlines() if "vrouter.service" in line]
    assert not complaints, complaints
    judged = run("systemd-analyze", "security", "--offline=true", unit).stdout
    exposure = re.search(r"Overall exposure level for vrouter.service: ([0-9.]+)", judged)
    if not exposure:
        raise Failure(f"systemd-analyze judges nothing:\n{judged}")
    print(f"    {exposure.group(0)}")
    assert float(exposure.group(1)) < 4.5, judged
    bounding = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE).group(1).split()
    # what it needs before it runs, beside what it keeps
    assert set(bounding) == {f"CAP_{name}" for name in BITS} | {"CAP_CHOWN", "CAP_SETPCAP"}, bounding
