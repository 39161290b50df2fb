"""No noisy neighbour: what is left to others when one tenant's port is full of what is dear, on the one worker that all share.

Three tenants of the network of acl-vxlan.yaml: one sends packets of flows that are there, one begins new flows, at a pace; together 70 % of what the worker
carries. The third one's port is always full. First without it, then with each kind of attack, in turns. A figure is the share of what was
offered that was taken from a port; of the tenants' packets none may be dropped.
"""

import argparse
import pathlib
import sys
import time

from lab.bed import Bed, port
from lab.process import Failure
from lab.rig import CORES, WORKER_CORE, Scratch, Thread
from lab.scenario import rules

HUGE_MIB = 700
FLOWS = 100_000
# New flows a second, and the share of what the worker carries that both tenants offer.
NEW_FLOWS, LOAD = 20_000, 0.7
LEAST = 0.95
SETTLE_SECONDS = 2
ATTACKER_MAC = "02:00:00:00:00:06"
GATEWAY_MAC = "00:00:5e:00:01:00"
# The last two: senders whom the bridge learns, more than it may; and each of them now at one port, now at another.
ATTACKS = ("none", "new flows", "fragments", "arp", "unknown unicast", "new stations", "moving stations")
STATIONS = 8192
STATION_MAC = "02:00:00:00:88:01"
QUOTA = {"flows": 10_000, "new_flows_per_second": 5_000}


def tenant(name, mac, clients, more=None):
    return {"name": name, "port": name, "vrf": "red", "mac": mac, "gateway_v4": "10.129.0.1", "allowed_sources": [clients],
            "acl_from_vif": "thousand", **(more or {})}


def network(attack):
    """The three tenants, the third one with a quota; with a second port where stations move."""
    vxlan = {"remote": "172.31.0.2", "vni": 100, "mac": "02:ac:1f:00:02:01"}
    far, learns, moves = {"remote": "172.31.0.2", "vni": 5000}, attack.endswith("stations"), attack == "moving stations"
    # what moves is to be learnt first
    learning = {"learning": True, "ageing": 10, **({"learn_limit": 2 * STATIONS} if moves else {})} if learns else {}
    attacker = {"bridge": "lan", "quota": QUOTA, **({"spoofing_allowed": True} if learns else {})}
    second = [tenant("noisy2", "02:00:00:00:00:08", "10.134.0.0/16", attacker)] if moves else []
    return {
        "settings": {"underlay_vrf": "underlay", "vtep": "172.31.0.1", "lifetimes": {"udp_unanswered": 600}},
        "vrfs": [{"name": "underlay"}, {"name": "red"}],
        "bridges": [{"name": "lan", "vrf": "red", "flood_unknown": True, "vteps": [{"vxlan": far}], **learning}],
        "fdb": [{"bridge": "lan", "mac": STATION_MAC, "vxlan": far}],
        "vifs": [
            {"name": "uplink", "kind": "fabric", "port": "fabric", "vrf": "underlay", "mac": "02:00:00:00:00:34", "addresses": ["172.31.0.1"],
             "subnets": ["172.31.0.0/24"]},
            tenant("old", "02:00:00:00:00:02", "10.128.0.0/16"), tenant("new", "02:00:00:00:00:04", "10.130.0.0/16"),
            tenant("noisy", ATTACKER_MAC, "10.132.0.0/16", attacker), *second,
        ],
        "neighbours": [{"vif": "uplink", "address": "172.31.0.2", "mac": "02:00:00:00:00:12"}],
        "routes": [{"vrf": "red", "prefix": "20.0.0.0/16", "via": {"vxlan": vxlan}}],
        "acls": [{"name": "thousand", "rules": rules(1000)}],
    }


def devargs(folder, rate, attack):
    """By port. The third one's is silent where there is no attack."""
    flow = "size=64,servers=20.0.0.0/16"
    pace = f",rate={rate - NEW_FLOWS}" if rate else ""
    noisy = {
        "none": "net_null0,no-rx=1",
        "new flows": f"source2,flows=new,{flow},clients=10.132.0.0/16,source_mac={ATTACKER_MAC}",
        "unknown unicast": f"source2,flows=1000,{flow},clients=10.132.0.0/16,source_mac={ATTACKER_MAC},destination_mac=02:00:00:00:99:99",
    }
    file = attack.replace(" ", "-")
    second = {"noisy2": f"net_pcap1,rx_pcap={folder / file}.2.pcap,infinite_rx=1"} if attack == "moving stations" else {}
    return {
        "old": f"source0,flows={FLOWS},{flow},clients=10.128.0.0/16{pace}",
        "new": f"source1,flows=new,{flow},clients=10.130.0.0/16,source_mac=02:00:00:00:00:04,rate={NEW_FLOWS}",
        "noisy": noisy.get(attack) or f"net_pcap0,rx_pcap={folder / file}.pcap,infinite_rx=1",
        **second,
        "fabric": "sink3",
    }


def write_files(folder):
    """The frames that sources cannot make."""
    from scapy.layers.inet import IP
    from scapy.layers.l2 import ARP, Ether
    from scapy.packet import Raw
    from scapy.utils import wrpcap
    whose = "10.132.0.1"
    fragment = Ether(dst=GATEWAY_MAC, src=ATTACKER_MAC) / IP(src=whose, dst="20.0.0.1", id=7, frag=5, proto=17) / Raw(bytes(26))
    request = Ether(dst="ff:ff:ff:ff:ff:ff", src=ATTACKER_MAC) / ARP(op=1, hwsrc=ATTACKER_MAC, psrc=whose, pdst="10.129.0.1")
    for name, frame in (("fragments", fragment), ("arp", request)):
        wrpcap(str(folder / f"{name}.pcap"), [bytes(frame)] * 512)
    stations = [bytes.fromhex(STATION_MAC.replace(":", "") + f"02aa0000{number:04x}" + "88b5") + bytes(46) for number in range(STATIONS)]
    for name, frames in (("new-stations", stations), ("moving-stations", stations), ("moving-stations.2", stations[::-1])):
        wrpcap(str(folder / f"{name}.pcap"), frames)


class Tenants:
    """A daemon beside an attack."""

    def __init__(self, given, scratch, rate, attack, name):
        settings = {
            "workers": {"cores": [WORKER_CORE]}, "idle": "poll", "mempool": {"mbufs": 16384 + 2 * STATIONS, "cache": 256},
            "limits": {"flows_v4": 1 << 20, "new_flows_per_second": 1_000_000}, "state": network(attack),
            "eal": {"huge_pages": True, "memory_mb": 144, "file_prefix": f"{name}{scratch.number}",
                    "args": ["--huge-unlink", "--huge-dir", str(scratch.huge_folder)]},
        }
        self.bed = Bed(given.bin, scratch.folder, name, devargs(scratch.folder, rate, attack), settings, prefix=("taskset", "-c", CORES))
        self.attack = attack

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bed.__exit__(*exception)

    def turn(self, seconds):
        """Packets a second that were taken of each tenant, those missed, and those dropped by reason; and the CPU seconds of the worker."""
        thread = Thread(self.bed.process.pid, ("vr-worker-0",))
        time.sleep(SETTLE_SECONDS)
        start, cpu, began = self.bed.stats(), thread.nanoseconds(), time.monotonic()
        time.sleep(seconds)
        end, cpu_end, ended = self.bed.stats(), thread.nanoseconds(), time.monotonic()
        wall, used = ended - began, (cpu_end - cpu) / 1e9

        def vif(stats, name, field):
            return int(next(row for row in stats["vifs"] if row["vif"] == name)[field])
        taken = {name: vif(end, name, "rx_packets") - vif(start, name, "rx_packets") for name in ("old", "new", "noisy")}
        missed = {name: int(port(end, name)["missed"]) - int(port(start, name)["missed"]) for name in ("old", "new")}
        dropped = {name: vif(end, name, "dropped") - vif(start, name, "dropped") for name in ("old", "new")}
        # what its port missed is in a VIF's books nowhere
        return {"taken": taken, "missed": missed, "dropped": dropped, "wall": wall, "cpu": used, "drops": end["drops"]}


def share(turn, name):
    """Of what a tenant offered, what was taken."""
    return turn["taken"][name] / (turn["taken"][name] + turn["missed"][name])


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--bin", required=True, type=pathlib.Path, help="folder with vrouter and vrctl")
    words.add_argument("--seconds", type=float, default=3, help="of each turn")
    words.add_argument("--attack", nargs="*", default=ATTACKS, choices=ATTACKS)
    given = words.parse_args()
    failed, quiet = 0, None
    with Scratch() as scratch:
        scratch.huge_pages(HUGE_MIB)
        write_files(scratch.folder)
        with Tenants(given, scratch, None, "none", "alone") as alone:
            full = alone.turn(given.seconds)
        rate = int((full["taken"]["old"] + full["taken"]["new"]) / full["cpu"] * LOAD)
        print(f"the worker carries {rate / LOAD / 1e6:.2f} Mpps of both tenants; offered are {rate / 1e6:.2f}", flush=True)
        print(f"{'attack':<16} {'old flows':>10} {'new flows':>10} {'attacker':>12} {'of the core':>12}")
        for attack in given.attack:
            with Tenants(given, scratch, rate, attack, f"beside{ATTACKS.index(attack)}") as beside:
                turn = beside.turn(given.seconds)
            old, new = share(turn, "old"), share(turn, "new")
            taken = turn["taken"]["noisy"] / turn["wall"] / 1e6
            # beside no attack: the machine may have other work
            quiet = quiet or old
            bad = old < LEAST * quiet or new < LEAST or any(turn["dropped"].values())
            failed += bad
            print(f"{attack:<16} {old:>10.2%} {new:>10.2%} {taken:>7.3f} Mpps {turn['cpu'] / turn['wall']:>12.1%}{'  FAILED ' + str(turn['dropped']) if bad else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
