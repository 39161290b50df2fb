"""A service behind three VTEPs, each the Linux kernel's: every flow has one of them, by weight, and keeps it."""

import contextlib

from lab import probe
from lab.datagrams import Answerer, Flows
from lab.picture import RED_VNI, V4, VTEPS, kernel_vxlan, network

WEIGHTS = {"k": 1, "k2": 2, "k3": 5}
OWN = {"k": ("10.1.1.50", "fd00:1::50"), "k2": ("10.1.1.51", "fd00:1::51"), "k3": ("10.1.1.52", "fd00:1::52")}
MACS = {"k": "02:aa:00:00:00:50", "k2": "02:aa:00:00:00:51", "k3": "02:aa:00:00:00:52"}
SERVICE = {"10.9.0.9": "10.9.0.9/32", "fd00:9::9": "fd00:9::9/128"}
PORT = 7000
FLOWS = 320


def paths(*names):
    return [{"vxlan": via(name), "weight": WEIGHTS[name], "name": name} for name in names]


def by(*names):
    """Routes of red to the service by these VTEPs."""
    return {"routes": [{"vrf": "red", "prefix": prefix, "via": {"ecmp": paths(*names)}} for prefix in SERVICE.values()]}


def group(*names, **more):
    """A next-hop group of these VTEPs."""
    return {"next_hop_groups": [{"name": "service", "vrf": "red", "paths": paths(*names), **more}]}


def via(name):
    return {"remote": VTEPS[name], "vni": RED_VNI, "mac": MACS[name]}


def start(picture):
    """The kernels, and h1, where red1 receives nothing but answers; they know one another."""
    kernels = {}
    for name, addresses in OWN.items():
        kernels[name] = kernel_vxlan(picture.lab, picture.underlay, name, addresses, MACS[name])
        kernels[name].sysctl("net.ipv6.conf.lo.disable_ipv6", 0)
        for prefix in SERVICE.values():
            kernels[name].ip("address", "add", prefix, "dev", "lo")
    of_h1 = network("h1")
    of_h1["routes"] = [{"vrf": "red", "prefix": f"{own}/{128 if ':' in own else 32}", "via": {"vxlan": via(name)}}
                       for name, addresses in OWN.items() for own in addresses] + by(*WEIGHTS)["routes"]
    h1 = picture.start("h1", of_h1)
    for addresses in OWN.values():
        for own in addresses:
            probe.ping(picture["red1"].netns, own, count=1)
    h1.apply({"acls": [{"name": "red1-receives", "rules": [{"action": "deny"}]}]})
    return h1, kernels


@contextlib.contextmanager
def serving(kernels):
    with contextlib.ExitStack() as all_of_them:
        for name, netns in kernels.items():
            for address in SERVICE:
                all_of_them.enter_context(Answerer(netns, name, address, PORT))
        yield


def check_shares(names):
    """Within six standard deviations of what the weights say."""
    for name, weight in WEIGHTS.items():
        share = weight / sum(WEIGHTS.values())
        mean, room = len(names) * share, 6 * (len(names) * share * (1 - share)) ** 0.5
        assert abs(names.count(name) - mean) <= room, f"{name}: {names.count(name)} of {len(names)}, not {mean:.0f} +- {room:.0f}"
    assert names.count("k3") > names.count("k"), names


def test_flows_spread_by_weight_over_kernel_vteps_and_stay(picture):
    h1, kernels = start(picture)
    with serving(kernels):
        for address in SERVICE:
            flows = Flows(picture["red1"].netns, FLOWS, address, PORT)
            first = flows.ask()
            check_shares(first)
            assert flows.ask() == first and flows.ask() == first, "a flow's packets went two ways"
            # what the vRouter says is what the kernels saw
            said = {flow["source_port"]: flow["path"] for flow in h1.ask("flows", "--dst", SERVICE[address], "--proto", "udp")["flows"]}
            assert said == dict(zip(flows.source_ports(), first)), said
    # It was as answers that they came in: what a VTEP begins does not.
    before = h1.drops()
    assert "acl_to_vif" not in before, before
    probe.no_connection(kernels["k3"], V4["1"], PORT, seconds=0.5)
    h1.expect_drop("acl_to_vif", before)


def test_a_vtep_that_is_withdrawn_moves_its_flows_only(picture):
    h1, kernels = start(picture)
    red1 = picture["red1"].netns
    with serving(kernels), contextlib.ExitStack() as all_of_them:
        address = next(iter(SERVICE))
        for netns in kernels.values():
            all_of_them.enter_context(probe.Server(netns, 80))
        sessions = [all_of_them.enter_context(probe.connect(red1, address, 80)) for _ in range(16)]
        paths = {flow["source_port"]: flow["path"] for flow in h1.ask("flows", "--proto", "tcp")["flows"]}
        flows = Flows(red1, FLOWS, address, PORT)
        first = flows.ask()
        h1.apply(by("k", "k3"))
        second = flows.ask()
        moved = {now for was, now in zip(first, second) if was == "k2"}
        assert moved == {"k", "k3"}, moved
        assert all(was == now for was, now in zip(first, second) if was != "k2"), "a flow of another VTEP moved"
        # TCP of the others goes on
        staying = [session for session in sessions if paths[session.getsockname()[1]] != "k2"]
        assert staying, paths
        for session in staying:
            probe.echo(session, b"still here" * 100)
        # it comes back: nobody moves, new flows find it
        h1.apply(by("k", "k2", "k3"))
        assert flows.ask() == second
        assert "k2" in Flows(red1, FLOWS, address, PORT).ask()
        for session in staying:
            probe.echo(session, b"still here" * 100)


def test_one_update_of_a_group_moves_the_flows_of_all_its_routes(picture):
    h1, kernels = start(picture)
    red1 = picture["red1"].netns
    # the service's own routes, and many others
    others = [f"10.{100 + n // 250}.{n % 250}.0/24" for n in range(2000)]
    routes = [{"vrf": "red", "prefix": prefix, "via": {"group": "service"}} for prefix in [*SERVICE.values(), *others]]
    h1.apply({**group(*WEIGHTS), "routes": routes})
    with serving(kernels):
        flows = [Flows(red1, FLOWS, address, PORT) for address in SERVICE]
        first = [one.ask() for one in flows]
        for names in first:
            check_shares(names)
        h1.apply(group("k", "k3"))
        second = [one.ask() for one in flows]
        for before, after in zip(first, second):
            assert {now for was, now in zip(before, after) if was == "k2"} == {"k", "k3"}
            assert all(was == now for was, now in zip(before, after) if was != "k2"), "a flow of another VTEP moved"
        # it comes back: nobody moves; and by addresses alone new flows have one VTEP
        h1.apply(group("k", "k2", "k3", hash="addresses"))
        assert [one.ask() for one in flows] == second
        for address in SERVICE:
            assert len(set(Flows(red1, 32, address, PORT).ask())) == 1
    shown = h1.ask("show", "next-hop-groups")["next_hop_groups"]
    assert [path["name"] for path in shown[0]["paths"]] == ["k", "k2", "k3"] and shown[0]["hash"] == "addresses", shown
