"""OVS-DPDK as the rig's peer: conntrack and VXLAN on one core, fed by the same files.

It runs from the distribution's packages, which are unpacked in a folder when they are not installed, in a network namespace of its own with a
database of its own: nothing of the host's is touched, and nothing stays behind.
"""

import os
import pathlib
import re
import shutil
import tempfile
import time

from lab import frames
from lab.process import Failure, run, until

PACKAGE = "openvswitch-switch-dpdk"
ZONE = 5
# OVS makes a pool of at most 262,144 buffers for each MTU, and a file that is offered again and again keeps a buffer for each frame.
PER_PORT = 200_000
PORTS_OFPORT, OUT_OFPORT, TUNNEL_OFPORT = 10, 2, 3
DAEMON = "usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"


class Programs:
    """Where OVS's programs are. Use as a context manager: what was unpacked is removed."""

    def __init__(self):
        self.root, self._unpacked = pathlib.Path("/"), None
        if not (self.root / DAEMON).exists():
            self._unpack()

    def _unpack(self):
        folder = self._unpacked = pathlib.Path(tempfile.mkdtemp(prefix="vrouter-ovs-"))
        (folder / "debs" / "partial").mkdir(parents=True)
        try:
            run("apt-get", "install", "-y", "--no-install-recommends", "--download-only", "-o", f"Dir::Cache::archives={folder}/debs",
                PACKAGE, seconds=300)
            for package in sorted((folder / "debs").glob("*.deb")):
                run("dpkg", "-x", str(package), str(folder / "root"))
        except Failure:
            self.__exit__()
            raise
        self.root = folder / "root"
        if not (self.root / DAEMON).exists():
            self.__exit__()
            raise Failure(f"the packages of {PACKAGE} have no {DAEMON}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._unpacked:
            shutil.rmtree(self._unpacked, ignore_errors=True)

    def command(self, folder, path, *arguments):
        """A program with its libraries, which keeps its files in this folder."""
        places = (f"OVS_{name}DIR={folder}" for name in ("RUN", "LOG", "DB", "SYSCONF"))
        return ("env", *places, f"LD_LIBRARY_PATH={self.root}/usr/lib/x86_64-linux-gnu:{self.root}/usr/lib", str(self.root / path), *map(str, arguments))


class Ovs:
    """A running OVS-DPDK in a Scratch's folder, forwarding what its files hold. Use as a context manager."""

    def __init__(self, programs, scratch, flows, direction):
        self._programs, self._scratch = programs, scratch
        # a new one each time: what it wrote before is not to be found again
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ovs-", dir=scratch.folder))
        self._netns = f"vrouter-ovs-{os.getpid()}"
        self._processes = []
        self._ports = max(1, -(-flows // PER_PORT))
        scratch.huge_pages(2048 + 1100 * (self._ports - 1))
        run("ip", "netns", "add", self._netns)
        try:
            self._start()
            self._wire(flows, direction)
            self._pass(direction)
        except Exception:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            process.stop()
        run("ip", "netns", "del", self._netns, check=False)
        run("rm", "-rf", f"/run/dpdk/ovs{os.getpid()}")

    def _launch(self, log, path, *arguments):
        process = self._scratch.start(log, "ip", "netns", "exec", self._netns, *self._programs.command(self.folder, path, *arguments))
        self._processes.append(process)
        return process

    def _run(self, path, *arguments):
        return run("ip", "netns", "exec", self._netns, *self._programs.command(self.folder, path, *arguments), seconds=60).stdout

    def _start(self):
        data = self.folder
        self._db = f"unix:{data}/db.sock"
        self._run("usr/bin/ovsdb-tool", "create", f"{data}/conf.db", self._programs.root / "usr/share/openvswitch/vswitch.ovsschema")
        run("ip", "-n", self._netns, "link", "set", "lo", "up")
        self._launch("ovsdb.log", "usr/sbin/ovsdb-server", f"{data}/conf.db", f"--remote=p{self._db}", f"--unixctl={data}/db.ctl")
        until((data / "db.sock").exists, 10, "ovsdb-server")
        self._set("--no-wait", "init")
        memory = 1536 + 1100 * (self._ports - 1)
        extra = f"--no-pci --no-telemetry --huge-unlink --huge-dir {self._scratch.huge_folder} --file-prefix=ovs{os.getpid()}"
        self._set("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true", "other_config:dpdk-lcore-mask=0x1",
                  "other_config:pmd-cpu-mask=0x2", f"other_config:dpdk-alloc-mem={memory}", f"other_config:dpdk-extra=\"{extra}\"")
        self.daemon = self._launch("ovs.log", DAEMON, self._db, f"--unixctl={data}/vs.ctl", f"--log-file={data}/vs.log")
        until(self._is_ready, 60, "ovs-vswitchd")

    def _is_ready(self):
        if not self.daemon.is_running():
            raise Failure(f"ovs-vswitchd ended\n{self.daemon.output()[-3000:]}")
        return (self.folder / "vs.ctl").exists() and "true" in self._set("get", "Open_vSwitch", ".", "dpdk_initialized")

    def _set(self, *arguments):
        return self._run("usr/bin/ovs-vsctl", f"--db={self._db}", "--timeout=60", *arguments)

    def _ask(self, *arguments):
        return self._run("usr/bin/ovs-appctl", "-t", f"{self.folder}/vs.ctl", *arguments)

    def _wire(self, flows, direction):
        """Bridges, the tunnel, and a port for each file."""
        self._set("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev", "fail-mode=secure",
                  "protocols=OpenFlow13")
        self._set("add-br", "br-phys", "--", "set", "bridge", "br-phys", "datapath_type=netdev", f"other_config:hwaddr=\"{frames.PCAP_MAC}\"")
        run("ip", "-n", self._netns, "address", "add", f"{frames.OURS}/24", "dev", "br-phys")
        run("ip", "-n", self._netns, "link", "set", "br-phys", "up")
        self._set("add-port", "br-int", "vx0", "--", "set", "interface", "vx0", "type=vxlan", f"options:remote_ip={frames.PEER}",
                  f"options:key={frames.VNI}", f"ofport_request={TUNNEL_OFPORT}")
        self._ask("tnl/neigh/set", "br-phys", frames.PEER, frames.UNDERLAY_MAC)
        into, out = ("br-int", "br-phys") if direction == "encap" else ("br-phys", "br-int")
        for number in range(self._ports):
            share = flows // self._ports
            pcap = self.folder / f"ovs{number}.pcap"
            frames.write(pcap, share, None if direction == "encap" else "vxlan", first=number * share)
            self._set("add-port", into, f"p{number}", "--", "set", "interface", f"p{number}", "type=dpdk", f"mtu_request={1500 + 1024 * number}",
                      f"options:dpdk-devargs=\"net_pcap{number},rx_pcap={pcap},infinite_rx=1\"", f"ofport_request={PORTS_OFPORT + number}")
        self._set("add-port", out, "n0", "--", "set", "interface", "n0", "type=dpdk", "options:dpdk-devargs=\"net_null0,no-rx=1\"",
                  f"ofport_request={OUT_OFPORT}")

    def _pass(self, direction):
        """Every packet goes through conntrack."""
        bridge = f"unix:{self.folder}/br-int.mgmt"

        def flow(text):
            self._run("usr/bin/ovs-ofctl", "-O", "OpenFlow13", "add-flow", bridge, text)
        self._run("usr/bin/ovs-ofctl", "-O", "OpenFlow13", "del-flows", bridge)
        to = TUNNEL_OFPORT if direction == "encap" else OUT_OFPORT
        for source in range(PORTS_OFPORT, PORTS_OFPORT + self._ports) if direction == "encap" else [TUNNEL_OFPORT]:
            flow(f"table=0,in_port={source},ip,ct_state=-trk,actions=ct(table=1,zone={ZONE})")
        flow(f"table=1,ct_state=+trk+new,ip,actions=ct(commit,zone={ZONE}),output:{to}")
        flow(f"table=1,ct_state=+trk+est,ip,actions=output:{to}")

    def packets(self):
        """Received by the thread that forwards."""
        told = self._ask("dpif-netdev/pmd-stats-show", "-pmd", "1")
        return int(re.search(r"packets received: (\d+)", told).group(1))

    def sent(self):
        """By the port that swallows."""
        return int(self._set("get", "interface", "n0", "statistics:tx_packets").strip() or 0)

    def connections(self):
        return int(self._ask("dpctl/ct-get-nconns").split()[-1])

    def wait_warm(self, flows):
        """Every flow has its connection."""
        until(lambda: self.connections() >= flows * 0.99, 300, f"{flows} connections of OVS")
        time.sleep(1)
