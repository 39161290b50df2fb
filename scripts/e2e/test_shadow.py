"""A shadow: real pings and TCP go by the policy in force, the report says who would not, and promoted it is so."""

import yaml

from lab import probe
from lab.picture import V4, V6
from lab.process import until

# Pings are out, SSH comes in; the web stays.
CANDIDATE = {"acls": [{"name": "red1-receives", "rules": [
    {"name": "no-ping", "action": "deny", "protocol": "icmp"},
    {"name": "ping6", "action": "permit", "protocol": "icmpv6"},
    {"name": "web", "action": "permit", "protocol": "tcp", "source": {"group": "red-hosts"}, "destination_ports": 80},
    {"name": "ssh", "action": "permit", "protocol": "tcp", "source": {"group": "red-hosts"}, "destination_ports": 22},
]}]}


def write(host, name, objects):
    path = f"{host.lab.folder}/{name}.yaml"
    with open(path, "w") as file:
        yaml.safe_dump(objects, file)
    return path


def report(host):
    return host.ask("shadow", "report")


def found(told):
    """Change, port or type, whom the rules are about, and both rules' names, by row."""
    return {(row["change"], row["protocol"], row["port"], row["source_match"], row["live"]["name"], row["shadow"]["name"]): row["count"]
            for row in told["rows"]}


def test_what_is_in_force_holds_and_what_is_promoted_is_as_told(picture):
    h1, _ = picture.start_both()
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    told = h1.vrctl("apply", "--shadow", "--sync", "-f", write(h1, "candidate", CANDIDATE)).stdout
    assert "1 VIFs and 0 VRFs have other ACLs" in told, told
    with probe.Server(red1, 80), probe.Server(red1, 22):
        probe.ping(red2, V4["1"], count=3)
        probe.ping(red2, V6["1"], count=2)
        with probe.connect(red2, V4["1"], 80) as connection:
            probe.echo(connection, b"web" * 100)
        before = h1.drops()
        probe.no_connection(red2, V4["1"], 22)
        h1.expect_drop("acl_to_vif", before)
        until(lambda: report(h1)["now_permitted"] > 0, 5, "what SSH would be")
        rows = found(report(h1))
        # one ping program is one flow
        assert rows.pop(("denied", "icmp", None, "", "ping", "no-ping")) == 1, rows
        assert rows.pop(("permitted", "tcp", 22, "group red-hosts", "", "ssh")) >= 1, rows
        assert not rows, rows
        row = next(row for row in report(h1)["rows"] if row["change"] == "permitted")
        assert (row["source"], row["destination"]) == ("tunnel red", "vif red1"), row
        assert (row["live"]["reason"], row["shadow"]["permit"]) == ("acl_to_vif", True), row
        assert row["example"]["source"] == V4["2"], row
        table = h1.vrctl("shadow", "report").stdout
        assert "acl red1-receives rule 3 (ssh)" in table and "group red-hosts" in table, table
        h1.vrctl("shadow", "promote", "--sync")
        with probe.connect(red2, V4["1"], 22) as connection:
            probe.echo(connection, b"ssh" * 100)
        with probe.connect(red2, V4["1"], 80) as connection:
            probe.echo(connection, b"web" * 100)
        probe.no_ping(red2, V4["1"])
        probe.ping(red2, V6["1"], count=2)
    none = h1.vrctl("shadow", "report", check=False)
    assert none.returncode == 1 and "none is on" in none.stderr, none


def test_what_is_discarded_leaves_nothing(picture):
    h1, _ = picture.start_both()
    red2 = picture["red2"].netns
    objects = h1.vrctl("export").stdout
    candidate = write(h1, "candidate", CANDIDATE)
    h1.vrctl("apply", "--shadow", "-f", candidate)
    second = h1.vrctl("apply", "--shadow", "--owner", "cni", "-f", candidate, check=False)
    assert second.returncode == 1 and "operator has one on already" in second.stderr, second
    other = write(h1, "other", {"routes": [{"vrf": "red", "prefix": "10.9.0.0/16", "drop": True}]})
    refused = h1.vrctl("apply", "--shadow", "-f", other, check=False)
    assert refused.returncode == 1 and "a shadow holds policies only" in refused.stderr, refused
    h1.vrctl("shadow", "discard")
    probe.ping(red2, V4["1"], count=3)
    assert h1.vrctl("export").stdout == objects
