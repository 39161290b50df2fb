"""One tenants' file on two hosts: guests reach each other as its policies say, and a tag moves nothing else."""

import pathlib

from lab import probe
from lab.picture import VTEPS

# Where guests are; their ports are called like them.
PLACES = {"h1": ("red1", "blue1"), "h2": ("red2", "blue2")}
ADDRESSES = {"red1": "10.1.1.11", "blue1": "10.1.1.12", "red2": "10.1.2.11", "blue2": "10.1.2.12"}

# red1 is a front; red2 is the database, whose network has blue2 too.
TENANTS = """
projects:
  - name: acme
    networks:
      - {name: web, pools: [{prefix: 10.1.1.0/24}], vni: 1001}
      - {name: data, pools: [{prefix: 10.1.2.0/24}], vni: 1002}
    tags:
      - {name: front}
      - {name: base}
    interfaces:
      - {name: red1, network: web, mac: "02:aa:00:00:00:11", addresses: [10.1.1.11], tags: [front]}
      - {name: blue1, network: web, mac: "02:bb:00:00:00:11", addresses: [10.1.1.12]}
      - {name: red2, network: data, mac: "02:aa:00:00:00:12", addresses: [10.1.2.11], tags: [base]}
      - {name: blue2, network: data, mac: "02:bb:00:00:00:12", addresses: [10.1.2.12]}
    policies:
      - {name: front-to-base, from: {tag: front}, to: {tag: base}, protocol: tcp, ports: 9000}
      - {name: base-to-front, from: {tag: base}, to: {tag: front}, protocol: icmp}
"""


def host_file(name):
    address = VTEPS[name]
    return f"""
settings: {{underlay_vrf: underlay, vtep: {address}}}
vrfs: [{{name: underlay}}]
vifs: [{{name: uplink, kind: fabric, port: fabric, vrf: underlay, addresses: [{address}], subnets: [172.31.0.0/24]}}]
"""


def site_file():
    hosts = (
        f"  - {{name: {host}, vtep: {VTEPS[host]}, interfaces: [" + ", ".join(f"{{name: acme/{guest}, port: {guest}}}" for guest in guests) + "]}"
        for host, guests in PLACES.items()
    )
    return "\n".join(["hosts:", *hosts])


def start(picture):
    folder = pathlib.Path(picture.lab.folder)
    (folder / "site.yaml").write_text(site_file())
    (folder / "tenants.yaml").write_text(TENANTS)
    for host in PLACES:
        path = folder / f"{host}-alone.yaml"
        path.write_text(host_file(host))
        picture.start(host, path)
        apply(picture, host)
    for guest, address in ADDRESSES.items():
        netns, gateway = picture[guest].netns, address.rsplit(".", 1)[0] + ".1"
        netns.ip("address", "flush", "dev", "eth0", "scope", "global")
        netns.ip("address", "add", f"{address}/24", "dev", "eth0")
        netns.ip("route", "replace", "default", "via", gateway)


def apply(picture, host, *more):
    folder = pathlib.Path(picture.lab.folder)
    files = [argument for name in (f"{host}-alone", "site", "tenants") for argument in ("-f", str(folder / f"{name}.yaml"))]
    return picture.vrouters[host].vrctl("apply", "--replace", "--sync", *files, *more).stdout


def test_one_tenants_file_on_two_hosts(picture):
    start(picture)
    red1, blue1, red2, blue2 = (picture[guest].netns for guest in ("red1", "blue1", "red2", "blue2"))
    data = bytes(range(256)) * 1024
    with probe.Server(red2, 9000), probe.Server(red2, 9001), probe.Server(red1, 9000):
        with probe.connect(red1, ADDRESSES["red2"], 9000) as connection:
            probe.echo(connection, data)
        probe.no_connection(red1, ADDRESSES["red2"], 9001, seconds=0.5)
        probe.no_connection(red2, ADDRESSES["red1"], 9000, seconds=0.5)
        probe.no_connection(blue1, ADDRESSES["red2"], 9000, seconds=0.5)
        # in its own network too: who has a tag is closed
        probe.no_connection(blue2, ADDRESSES["red2"], 9000, seconds=0.5)
    # the other direction has a policy of its own
    probe.ping(red2, ADDRESSES["red1"])
    probe.no_ping(red1, ADDRESSES["red2"])
    # and within a network what has no tag is open
    probe.ping(red2, ADDRESSES["blue2"])
    for vrouter in picture.vrouters.values():
        vrouter.check_conservation()


def test_a_tag_changes_groups_and_nothing_else(picture):
    start(picture)
    red1, blue1, red2 = (picture[guest].netns for guest in ("red1", "blue1", "red2"))
    path = pathlib.Path(picture.lab.folder) / "tenants.yaml"
    path.write_text(TENANTS.replace("[10.1.1.12]}", "[10.1.1.12], tags: [front]}"))
    for host in PLACES:
        planned = apply(picture, host, "--dry-run").splitlines()
        assert planned[-1].startswith("would create 0, change 2, delete 0, "), planned
        assert sorted(line.split()[2] for line in planned[:-1]) == ["acme.tag.front", "acme.tagged.web"], planned
    with probe.Server(red2, 9000):
        probe.no_connection(blue1, ADDRESSES["red2"], 9000, seconds=0.5)
        with probe.connect(red1, ADDRESSES["red2"], 9000) as live:
            for host in PLACES:
                apply(picture, host)
            with probe.connect(blue1, ADDRESSES["red2"], 9000) as connection:
                probe.echo(connection, bytes(1000))
            probe.echo(live, bytes(1000))
            path.write_text(TENANTS)
            for host in PLACES:
                apply(picture, host)
            probe.echo(live, bytes(1000))
        probe.no_connection(blue1, ADDRESSES["red2"], 9000, seconds=0.5)
