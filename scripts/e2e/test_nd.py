"""IPv6 neighbour discovery against the Linux kernel: as a neighbour of the underlay, and as a tenant that autoconfigures."""

import json

from lab import probe
from lab.picture import network
from lab.process import Failure, until
from lab.wire import ICMPv6NDOptSrcLLAddr, Wire
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo

OURS, KERNEL = "fd31::1", "fd31::9"
GATEWAY_MAC = "00:00:5e:00:01:00"
PREFIX = "fd77::/64"


def neighbour_of(netns, address):
    """The MAC that the kernel has for an address."""
    rows = json.loads(netns.ip("-j", "-6", "neighbour", "show", address) or "[]")
    return rows[0].get("lladdr") if rows else None


def underlay_v6():
    h1 = network("h1")
    uplink = next(vif for vif in h1["vifs"] if vif["name"] == "uplink")
    uplink["addresses"].append(OURS)
    uplink["subnets"].append("fd31::/64")
    return h1


def kernel_host(picture, name="k6"):
    netns = picture.lab.netns(name)
    picture.underlay.attach(netns, "eth0", name)
    netns.ip("address", "add", f"{KERNEL}/64", "dev", "eth0")
    return netns


def known_as(vrouter, mac):
    rows = vrouter.ask("show", "neighbours")
    rows = rows["neighbours"] if isinstance(rows, dict) else rows
    return any(row["address"] == KERNEL and row["mac"] == mac and row["learnt"] for row in rows)


def test_the_kernel_and_we_resolve_each_other_on_the_underlay(picture):
    vrouter = picture.start("h1", underlay_v6())
    mac = picture.hosts["h1"].netns.mac("fabric")
    kernel = kernel_host(picture)
    probe.ping(kernel, OURS)
    if neighbour_of(kernel, OURS) != mac:
        raise Failure(f"the kernel has {neighbour_of(kernel, OURS)} for us, not {mac}")
    until(lambda: known_as(vrouter, kernel.mac("eth0")), 5, "the kernel among our neighbours")
    # Our link-local address is that of the MAC.
    link_local = link_local_of(mac)
    probe.ping(kernel, f"{link_local}%eth0")


def link_local_of(mac):
    a, b, c, d, e, f = (int(byte, 16) for byte in mac.split(":"))
    return f"fe80::{(a ^ 2) << 8 | b:x}:{c << 8 | 0xff:x}:{0xfe00 | d:x}:{e << 8 | f:x}"


def test_the_kernel_s_new_mac_is_followed(picture):
    vrouter = picture.start("h1", underlay_v6())
    kernel = kernel_host(picture)
    probe.ping(kernel, OURS)
    for mac in ("02:00:00:00:66:01", "02:00:00:00:66:02"):
        kernel.ip("link", "set", "eth0", "down")
        kernel.ip("link", "set", "eth0", "address", mac)
        # With it the kernel tells its neighbours when it comes up; without, its next solicitation does.
        kernel.sysctl("net.ipv6.conf.eth0.ndisc_notify", int(mac.endswith("1")))
        kernel.ip("link", "set", "eth0", "up")
        kernel.ip("address", "replace", f"{KERNEL}/64", "dev", "eth0")
        until(lambda: probe_ok(kernel), 10, f"answers to {mac}")
        until(lambda: known_as(vrouter, mac), 5, f"{mac} among our neighbours")
        probe.ping(kernel, OURS)


def probe_ok(kernel):
    try:
        return probe.ping(kernel, OURS, count=1) is not None
    except Failure:
        return False


def test_our_addresses_are_defended(picture):
    picture.start("h1", underlay_v6())
    kernel = kernel_host(picture)
    kernel.sysctl("net.ipv6.conf.eth0.accept_dad", 1)
    kernel.sysctl("net.ipv6.conf.eth0.dad_transmits", 1)
    kernel.ip("address", "add", f"{OURS}/64", "dev", "eth0")
    kernel.ip("address", "add", "fd31::77/64", "dev", "eth0")
    until(lambda: "dadfailed" in kernel.ip("-6", "address", "show", "dev", "eth0", "to", OURS), 5, "a duplicate noticed")
    until(lambda: "tentative" not in kernel.ip("-6", "address", "show", "dev", "eth0", "to", "fd31::77"), 5, "a free one")


def autoconfiguring():
    """blue1 has no IPv6 address but what it makes itself; red1 is beside it in the VRF."""
    h1 = network("h1")
    blue = next(vif for vif in h1["vifs"] if vif["name"] == "blue1")
    blue.update(addresses=["10.1.1.11"], allowed_sources=[PREFIX], gateway_v6="fd77::1",
                router_advertisement={"prefixes": [{"prefix": PREFIX}], "max_interval": 4})
    h1["routes"].append({"vrf": "blue", "prefix": PREFIX, "via": {"vif": "blue1"}})
    return h1


def test_a_tenant_autoconfigures_from_our_advertisements(picture):
    # A tenant that has IPv6 by its kernel's defaults, duplicate address detection included.
    vrouter = picture.start("h1", autoconfiguring())
    picture.start("h2", behind())
    tenant = picture["blue1"].netns
    tenant.sysctl("net.ipv6.conf.eth0.accept_dad", 1)
    tenant.sysctl("net.ipv6.conf.eth0.dad_transmits", 1)
    tenant.sysctl("net.ipv6.conf.eth0.accept_ra", 2)
    tenant.ip("-6", "address", "flush", "dev", "eth0", "scope", "global")
    tenant.ip("-6", "route", "flush", "default")
    tenant.ip("link", "set", "eth0", "down")
    tenant.ip("link", "set", "eth0", "up")
    tenant.ip("route", "add", "default", "via", "10.1.1.1")

    def configured():
        return [row["local"] for link in json.loads(tenant.ip("-j", "-6", "address", "show", "dev", "eth0"))
                for row in link["addr_info"] if row["scope"] == "global" and not row.get("tentative")]
    until(configured, 15, "an address of the prefix")
    address = configured()[0]
    if not address.startswith("fd77::"):
        raise Failure(f"{address} is not of {PREFIX}")
    routes = json.loads(tenant.ip("-j", "-6", "route", "show", "default"))
    if [(row["gateway"], row["protocol"]) for row in routes] != [("fe80::1", "ra")]:
        raise Failure(f"default routes: {routes}")
    probe.ping(tenant, "fd77::1")
    # through us, and over a tunnel to a host behind the other vRouter
    probe.ping(tenant, "fd00:1::12")
    if neighbour_of(tenant, "fe80::1") != GATEWAY_MAC:
        raise Failure("the router is not our gateway")
    # No router any more: the default route goes, the address stays.
    off = autoconfiguring()
    blue = next(vif for vif in off["vifs"] if vif["name"] == "blue1")
    del blue["router_advertisement"]
    vrouter.apply(off)
    until(lambda: not json.loads(tenant.ip("-j", "-6", "route", "show", "default") or "[]"), 10, "no default route")
    probe.ping(tenant, "fd77::1")


def behind():
    h2 = network("h2")
    h2["routes"].append({"vrf": "blue", "prefix": PREFIX, "via": {"mpls_udp": {"remote": "172.31.0.1", "label": 201}}})
    return h2


def test_scapy_reads_our_advertisements(picture):
    picture.start("h1", autoconfiguring())
    probe.ping(picture["blue1"].netns, "10.1.1.1")
    wire = Wire(picture["blue1"].netns, "eth0")
    heard = wire.expect(lambda packet: ICMPv6ND_RA in packet, "an advertisement", seconds=10)
    assert heard[ICMPv6ND_RA].routerlifetime == 1800, heard
    assert heard[ICMPv6NDOptSrcLLAddr].lladdr == GATEWAY_MAC, heard
    assert heard[ICMPv6NDOptMTU].mtu == 1500, heard
    assert (heard[ICMPv6NDOptPrefixInfo].prefix, heard[ICMPv6NDOptPrefixInfo].prefixlen) == ("fd77::", 64), heard
