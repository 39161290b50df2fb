"""Numbered traffic through one worker, of which it is known to the frame what was lost: the network and the daemon of `scripts/bench lossless`.

    tenant    100,000 flows behind an ACL of 10,000 rules ──▶ fabric     by VXLAN to the members of a next-hop group
    touched   10,000 flows, a tenth of the frames         ──▶ second     by two tunnels, where routes may flip
                                                              elsewhere  where all routes lead that change beneath no flow: nothing may come
"""

import dataclasses
import ipaddress
import pathlib
import time

from lab.bed import Bed, port
from lab.process import Failure, until
from lab.rig import CORES, WORKER_CORE, Thread
from lab.scenario import rules
from lab.stall import stolen_ms

HUGE_MIB = 500
FLOWS, TOUCHED_FLOWS = 100_000, 10_000
# Of all frames, those of flows that are touched.
TOUCHED = 0.1
ACL_RULES, ROUTES, VRFS = 10_000, 1_000_000, 64
SOURCES, SINKS = ("tenant", "touched"), ("fabric", "second", "elsewhere")
MEMBERS = ("172.31.0.2", "172.31.0.3", "172.31.0.4", "172.31.0.5")
# Ways of the flows that are touched; bench/src/churn.rs knows them.
TOUCHED_WAYS = ("172.31.2.2", "172.31.2.3")
# Descriptors of a source's ring.
RING = 1024
# After changes end: what is under way comes.
SETTLE_SECONDS = 0.2
WARM_SECONDS = 120


def vxlan(remote):
    octets = ipaddress.ip_address(remote).packed
    return {"vxlan": {"remote": remote, "vni": 100, "mac": f"02:ac:1f:{octets[2]:02x}:{octets[3]:02x}:01"}}


def network(ways):
    """With so many members of the group that the tenant's flows go by."""
    def fabric(name, number, address, subnet):
        return {"name": name, "kind": "fabric", "port": name, "vrf": "underlay", "mac": f"02:00:00:00:00:{number:02x}", "addresses": [address],
                "subnets": [subnet]}

    def tenant(name, number, clients, acl):
        return {"name": name, "port": name, "vrf": "red", "mac": f"02:00:00:00:00:{number:02x}", "gateway_v4": "10.129.0.1", "allowed_sources": [clients],
                "acl_from_vif": acl}
    near = [*(("fabric", address) for address in MEMBERS), *(("second", address) for address in TOUCHED_WAYS), ("elsewhere", "172.31.255.2")]
    paths = [{"name": f"m{number}", **vxlan(address)} for number, address in enumerate(MEMBERS[:ways])]
    return {
        "settings": {"underlay_vrf": "underlay", "vtep": "172.31.0.1", "lifetimes": {"udp_unanswered": 3600}},
        "vrfs": [{"name": "underlay"}, {"name": "red"}, {"name": "blue"}],
        "vifs": [
            fabric("fabric", 0x34, "172.31.0.1", "172.31.0.0/24"), fabric("second", 0x35, "172.31.2.1", "172.31.2.0/24"),
            fabric("elsewhere", 0x36, "172.31.255.1", "172.31.255.0/24"),
            tenant("tenant", 2, "10.128.0.0/16", "tenant"), tenant("touched", 4, "10.130.0.0/16", "touched"),
        ],
        "neighbours": [{"vif": vif, "address": address, "mac": f"02:00:00:00:01:{number:02x}"} for number, (vif, address) in enumerate(near)],
        "next_hop_groups": [{"name": "ways", "vrf": "red", "paths": paths}],
        "routes": [
            {"vrf": "red", "prefix": "20.0.0.0/16", "via": {"group": "ways"}}, {"vrf": "red", "prefix": "21.0.0.0/16", "via": vxlan(TOUCHED_WAYS[0])},
            # where the routes of bench/src/changes.rs lead
            {"vrf": "underlay", "prefix": "172.31.1.0/24", "via": {"gateway": "172.31.255.2"}},
        ],
        "acls": [{"name": "tenant", "rules": rules(ACL_RULES)}, {"name": "touched", "rules": rules(100)}],
    }


def devargs(rate):
    """By port; rate: frames a second of both sources together, None: as fast as they are taken."""
    def source(number, flows, clients, servers, mac, share):
        pace = f",rate={max(1, int(rate * share))}" if rate else ""
        return f"source{number},flows={flows},size=64,clients={clients},servers={servers},source_mac={mac}{pace}"
    return {
        "tenant": source(0, FLOWS, "10.128.0.0/16", "20.0.0.0/16", "02:00:00:00:00:02", 1 - TOUCHED),
        "touched": source(1, TOUCHED_FLOWS, "10.130.0.0/16", "21.0.0.0/16", "02:00:00:00:00:04", TOUCHED),
        **{name: f"sink{number + 2}" for number, name in enumerate(SINKS)},
    }


def ring_ms(rate):
    """How long a worker may stand still until the tenant's ring is full, in milliseconds."""
    return RING / (rate * (1 - TOUCHED)) * 1000


@dataclasses.dataclass
class Counts:
    """What became of the frames so far, and of the worker's time."""
    made: int
    missed: int
    dropped: dict
    lost: int
    reordered: int
    repeated: int
    strays: int
    # frames by the nanoseconds that they waited and were forwarded in, at most
    latency: dict
    decided_again: int
    # went by what was so before a change
    overlooked: int
    misses: int
    polls: int
    busy_polls: int
    stolen_ms: float
    waited_ms: float
    cpu_ms: float
    at: float

    def since(self, before):
        """A dict of the differences."""
        found = {}
        for field in dataclasses.fields(self):
            old, new = getattr(before, field.name), getattr(self, field.name)
            if isinstance(new, dict):
                found[field.name] = {name: count - old.get(name, 0) for name, count in new.items() if count != old.get(name, 0)}
            else:
                found[field.name] = new - old
        found["latency"] = quantiles(found["latency"])
        found["sent"] = found.pop("made") + found["missed"]
        found["seconds"] = found.pop("at")
        polls, busy = found.pop("polls"), found.pop("busy_polls")
        found |= {"busy": busy / polls if polls else 0, "frames_a_poll": (found["sent"] - found["missed"]) / busy if busy else 0}
        found["core"] = found.pop("cpu_ms") / 1000 / found["seconds"]
        return found


def quantiles(frames):
    """In microseconds, of frames by nanoseconds; {} without any."""
    found, below, count = {}, 0, sum(frames.values())
    shares = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999, "longest_us": 1}
    for longest, more in sorted(frames.items()):
        below += more
        found |= {name: longest / 1000 for name, share in shares.items() if name not in found and below >= share * count}
    return found


class Numbered:
    """A daemon that forwards it. rate: of `devargs`; ways: of `network`."""

    def __init__(self, bin, scratch, name, rate, ways=1):
        settings = {
            "workers": {"cores": [WORKER_CORE]}, "idle": "poll", "mempool": {"mbufs": 16384, "cache": 256}, "state": network(ways),
            "limits": {"flows_v4": 1 << 18, "routes": ROUTES + 100_000, "vrfs": VRFS + 16, "new_flows_per_second": 100_000_000},
            "eal": {"huge_pages": True, "memory_mb": 144, "file_prefix": f"{name}{scratch.number}",
                    "args": ["--huge-unlink", "--huge-dir", str(scratch.huge_folder)]},
        }
        self.bed = Bed(bin, scratch.folder, name, devargs(rate), settings, prefix=("taskset", "-c", CORES))
        try:
            self.thread = Thread(self.bed.process.pid, ("vr-worker-0",))
            self._comes_first()
            until(self._is_warm, WARM_SECONDS, f"{name}: all flows")
        except Failure:
            self.bed.process.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bed.__exit__(*exception)

    def _comes_first(self):
        """Before processes of other sessions, where the scheduler groups by these."""
        try:
            pathlib.Path(f"/proc/{self.bed.process.pid}/autogroup").write_text("-20")
        except OSError:
            pass

    def _is_warm(self):
        stats = self.bed.stats()
        return all(int(port(stats, name)["rx_packets"]) >= 2 * flows for name, flows in zip(SOURCES, (FLOWS, TOUCHED_FLOWS)))

    def counts(self):
        (cpu, waited), at = (nanoseconds / 1e6 for nanoseconds in self.thread.times()), time.monotonic()
        stats, stolen = self.bed.stats(), stolen_ms(WORKER_CORE)
        worker = stats["workers"][0]

        def all_of(ports, read):
            return sum(int(read(port(stats, name))) for name in ports)
        drops = {}
        for drop in stats["drops"]:
            if drop["reason"] != "rx_missed":
                drops[drop["reason"]] = drops.get(drop["reason"], 0) + int(drop["packets"])
        latency = {}
        for bucket in (bucket for name in SINKS for bucket in port(stats, name)["traffic"]["latency"]["buckets"]):
            latency[int(bucket["longest_ns"])] = latency.get(int(bucket["longest_ns"]), 0) + int(bucket["frames"])
        return Counts(
            made=all_of(SOURCES, lambda row: row["rx_packets"]), missed=all_of(SOURCES, lambda row: row["missed"]), dropped=drops,
            **{name: all_of(SINKS, lambda row, name=name: row["traffic"][name]) for name in ("lost", "reordered", "repeated")},
            strays=all_of(("elsewhere",), lambda row: row["traffic"]["stamped"]), latency=latency,
            decided_again=int(worker["revalidated"]), overlooked=int(worker.get("overlooked", 0)), misses=int(worker["flow_misses"]),
            polls=int(worker["polls"]), busy_polls=int(worker["busy_polls"]), stolen_ms=stolen, waited_ms=waited, cpu_ms=cpu, at=at,
        )

    def overflows(self, since_ns):
        """Times after this one, by CLOCK_MONOTONIC, in which a source's ring was found full."""
        stats = self.bed.stats()
        told = (overflow for name in SOURCES for overflow in port(stats, name)["traffic"]["overflows"])
        told = ({name: int(value) for name, value in overflow.items()} for overflow in told)
        return sorted((overflow for overflow in told if overflow["at_ns"] >= since_ns), key=lambda overflow: overflow["at_ns"])

    def quiet(self, seconds=5):
        """Returns what is counted once nothing has been lost for half a second, or after so long: what was lost while flows began is of no row."""
        end, before = time.monotonic() + seconds, self.counts()
        while time.monotonic() < end:
            time.sleep(0.5)
            now = self.counts()
            if now.missed == before.missed and now.lost == before.lost:
                return now
            before = now
        return before
