"""Scenarios of the bench: data of bench/scenarios/*.yaml, read and judged. acl-vxlan.yaml explains the fields."""

import copy
import dataclasses
import ipaddress
import pathlib
import random
import re

import yaml

from lab.process import Failure

FIELDS = {"about", "flows", "sizes", "quick", "words", "runs", "workers", "changes", "reach", "least_mpps", "against", "rate", "expect", "acls",
          "capacity", "warm", "frames", "network", "limits"}
AGAINST = {"run", "scenario", "flows", "at", "of", "most", "least"}
CHANGES = {"vrf", "within", "length", "per_second", "batch", "vias"}
# What two runs are compared by: cycles a packet, the same net of the floor, packets of all workers per CPU second of each.
MEASURES = ("cycles", "net", "throughput")
NEEDED = ("about", "flows", "sizes", "runs", "expect", "network")
EXPECTS = ("hits", "misses", "no-flows")
SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "bench" / "scenarios"
# Room for flows beside those that are offered.
SPARE = 1.25
LEAST_CAPACITY = 65536
LIFETIMES = {"udp_unanswered": 3600, "udp_answered": 3600}


class Scenario:
    """One file."""

    def __init__(self, path, quick=False):
        self.path, self.quick = pathlib.Path(path), quick
        self.name = self.path.stem
        try:
            data = yaml.safe_load(self.path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise Failure(f"{path}: {error}") from None
        if not isinstance(data, dict):
            raise Failure(f"{path}: not a mapping")
        data = {**data, **(data.pop("quick", None) or {} if quick else {})}
        data.pop("quick", None)
        self.data = data
        self._judge()

    def _judge(self):
        for field in self.data:
            if field not in FIELDS:
                raise Failure(f"{self.path}: {field}: no such field; there are {', '.join(sorted(FIELDS))}")
        for field in NEEDED:
            if not self.data.get(field):
                raise Failure(f"{self.path}: {field}: needed")
        if self.data["expect"] not in EXPECTS:
            raise Failure(f"{self.path}: expect: {self.data['expect']} is none of {', '.join(EXPECTS)}")
        names = list(self.data["runs"])
        for run, other in self.data.get("rate", {}).items():
            if run not in names or other.get("run") not in names[:names.index(run)]:
                raise Failure(f"{self.path}: rate.{run}: of a run that comes before it")
        for run, workers in self.data.get("workers", {}).items():
            self._need(run in names and workers in (1, 2), f"workers.{run}: 1 or 2, of a run that there is")
        for run, given in self.data.get("changes", {}).items():
            self._need(run in names, f"changes.{run}: there is no such run")
            self._need(set(given) == CHANGES, f"changes.{run}: needs {', '.join(sorted(CHANGES))} and nothing else")
        for run, given in self.data.get("against", {}).items():
            self._need(run in names, f"against.{run}: there is no such run")
            self._need(set(given) <= AGAINST, f"against.{run}: there are {', '.join(sorted(AGAINST))}")
            self._need(given.get("of", "cycles") in MEASURES, f"against.{run}.of: none of {', '.join(MEASURES)}")
            self._need(given.get("run") in (names if "scenario" not in given else self.beside(given["scenario"]).data["runs"]),
                       f"against.{run}.run: there is no such run")

    def _need(self, holds, reason):
        if not holds:
            raise Failure(f"{self.path}: {reason}")

    def beside(self, name):
        """Another scenario by name: of this one's folder, or one of ours."""
        own = self.path.parent / f"{name}.yaml"
        return Scenario(own if own.exists() else SCENARIOS / f"{name}.yaml", self.quick)

    def rows(self):
        """Its measurements in order: each run with each number of flows and size."""
        sizes = self.data["sizes"]
        for size in sizes:
            for flows in sizes[size] if isinstance(sizes, dict) else self.data["flows"]:
                for run in self.data["runs"]:
                    yield Row(self, run, flows, size)


@dataclasses.dataclass
class Against:
    """Another row that a row is a ratio to, by one of MEASURES, and what the ratio may be."""
    row: "Row"
    of: str
    most: float | None
    least: float | None


class Row:
    """One measurement of a scenario: a run with so many flows (or "new" ones) of a size."""

    def __init__(self, scenario, run, flows, size):
        self.scenario, self.run, self.flows, self.size = scenario, run, flows, size
        self._data = scenario.data

    def __str__(self):
        return f"{self.scenario.name} {self.run}, {self.flows} flows of {self.size}"

    def devargs(self, rate=None):
        """By port."""
        values = {"flows": self.flows, "size": self.size, "rate": rate}
        words = {name: str(text).format(**values) for name, text in self._data.get("words", {}).items()}
        try:
            return {port: text.format(**values, **words) for port, text in self._data["runs"][self.run].items()}
        except KeyError as unknown:
            raise Failure(f"{self.scenario.path}: runs.{self.run}: no word {unknown}") from None

    @property
    def expect(self):
        return self._data["expect"]

    @property
    def capacity(self):
        """Flow pairs that the table has room for: the same for all numbers of flows, unless the scenario says."""
        given = self._data.get("capacity")
        if isinstance(given, dict):
            given = given.get(self.run)
        most = max((flows for flows in [*self._data["flows"], self.flows] if flows != "new"), default=0)
        return given or max(int(most * SPARE), LEAST_CAPACITY)

    @property
    def warm(self):
        """Frames of the busiest port before figures are taken."""
        return self._data.get("warm") or 2 * (0 if self.flows == "new" else self.flows) + 1

    def paced(self):
        """(run, share) that the rate is a share of; None: flat out."""
        given = self._data.get("rate", {}).get(self.run)
        return given and (given["run"], given["share"])

    @property
    def workers(self):
        return self._data.get("workers", {}).get(self.run, 1)

    def changes(self):
        """The route changes meanwhile, as lab.churn takes them; None: there are none."""
        return self._data.get("changes", {}).get(self.run)

    def against(self):
        """What it is measured beside, in the same turns; None: nothing."""
        given = self._data.get("against", {}).get(self.run)
        if not given or self.flows not in given.get("at", [self.flows]):
            return None
        scenario = self.scenario.beside(given["scenario"]) if "scenario" in given else self.scenario
        other = Row(scenario, given["run"], given.get("flows", self.flows), self.size)
        return Against(other, given.get("of", "cycles"), given.get("most"), given.get("least"))

    def reach(self):
        """Net cycles a packet to reach; None: nothing is said."""
        return self._data.get("reach", {}).get(self.run, {}).get(self.flows)

    def least_mpps(self):
        return self._data.get("least_mpps")

    def frames(self):
        """By port: fields of every frame that leaves there."""
        return self._data.get("frames", {})

    def limits(self):
        both = {"flows_v4": self.capacity, "flows_v6": self.capacity} if "v6" in str(self._data) else {"flows_v4": self.capacity}
        return {"new_flows_per_second": 1_000_000_000, **both, **self._data.get("limits", {})}

    def tables_mib(self):
        """MiB of the flow tables of the row's daemon and of the one that only moves."""
        limits = {"flows_v4": 131072, "flows_v6": 32768} | self.limits()
        return (limits["flows_v4"] * 170 + limits["flows_v6"] * 300 >> 20) + 40

    def network(self):
        """The network with the generated ACLs, in which flows that are to be there outlive the turns of others."""
        network = copy.deepcopy(self._data["network"])
        if self.expect == "hits":
            network.setdefault("settings", {}).setdefault("lifetimes", LIFETIMES)
        for name, wanted in self._data.get("acls", {}).items():
            wanted = wanted if isinstance(wanted, dict) else {"rules": wanted}
            network.setdefault("acls", []).append({"name": name, "rules": rules(wanted["rules"], wanted.get("v6", False))})
        return network


def rules(count, v6=False, seed=1):
    """So many rules, each time the same: prefixes and ports of all lengths, none of which sources offer by default; the last one permits
    all UDP."""
    chance = random.Random(seed)
    bits, net = (128, 0x2001_0DB8_F000 << 80) if v6 else (32, 192 << 24)
    made = []
    while len(made) < count - 1:
        def prefix():
            length = chance.choice((12, 16, 20, 24, 24, 24, 28, 32, 32)) + (64 if v6 else 0)
            host = bits - length
            kept = chance.getrandbits(length - (48 if v6 else 8)) << host
            return f"{ipaddress.ip_address(net | kept)}/{length}"
        first = chance.choice((0, 22, 53, 443, 1024, 5000, 8080))
        last = chance.choice((first, first, 65535))
        rule = {"action": chance.choice(("permit", "deny")), "protocol": chance.choice(("tcp", "udp", "udp")),
                "source": chance.choice((prefix(), "any")), "destination": prefix()}
        if chance.random() < 0.7:
            rule["destination_ports"] = [f"{first}-{last}"]
        made.append(rule)
    return [*made, {"action": "permit", "protocol": "udp"}]


def finite(devargs):
    """Frames after which a source is silent; None: it is none, or never is."""
    found = re.search(r"\bframes=(\d+)", devargs)
    return int(found.group(1)) if found else None
