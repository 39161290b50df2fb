"""The fabric port shared with the host's kernel: its SSH and BGP go on while the vRouter owns the NIC.

h1's uplink is taken from the kernel by AF_XDP; the kernel has 172.31.0.1 and the uplink's MAC on host0: a tap of the daemon's, or what is
behind its virtio-user port.
"""

import threading

from lab import probe
from lab.picture import RED_VNI, V4, VTEPS, network
from lab.splice import Splice
from lab.wire import ARP, IP, TCP, UDP, VXLAN, Ether, Raw

PEER = "172.31.0.9"
OURS_V6, KERNEL_V6 = "fd31::1", "fd31::3"
BGP = 179


def tap(_host, mac):
    return f"net_tap0,iface=host0,mac={mac}"


def virtio_user(host, mac):
    """host0 behind a back end that is testpmd's, in place of the kernel's own (vhost-net)."""
    host.lab.veth((host, "host0"), (host, "spliced"))
    host.ip("link", "set", "host0", "address", mac)
    socket = f"{host.lab.folder}/host0.sock"
    Splice(host, "backend", "spliced", f"net_vhost0,iface={socket}")
    return f"net_virtio_user0,path={socket},mac={mac}"


def start(picture, device=tap):
    """h1 with its uplink shared, and k: the kernel's VXLAN, and a neighbour that speaks to the host."""
    h1 = picture.add_host("h1")
    mac = h1.netns.mac("fabric")
    h1.ports["fabric"] = "net_af_xdp0,iface=fabric"
    h1.ports["host"] = device(h1.netns, mac)
    of_h1 = network("h1")
    of_h1["routes"] += [{"vrf": "blue", "prefix": "10.1.1.99/32", "via": {"mpls_udp": {"remote": PEER, "label": 999}}}]
    uplink = next(vif for vif in of_h1["vifs"] if vif["name"] == "uplink")
    uplink.update(exception_port="host", addresses=[VTEPS["h1"], OURS_V6], subnets=["172.31.0.0/24", "fd31::/64"])
    vrouter = picture.start("h1", of_h1)
    assert h1.netns.mac("host0") == mac
    addressed(h1.netns, "host0", VTEPS["h1"], OURS_V6)
    picture.add_kernel()
    addressed(picture.kernel, "eth0", None, KERNEL_V6)
    return vrouter, h1.netns


def addressed(netns, device, v4, v6):
    netns.sysctl(f"net.ipv6.conf.{device}.disable_ipv6", 0)
    netns.ip("link", "set", device, "up")
    if v4:
        netns.ip("address", "add", f"{v4}/24", "dev", device)
    netns.ip("address", "add", f"{v6}/64", "dev", device)


def test_the_host_s_tcp_and_the_tenants_vxlan_share_the_port(picture):
    vrouter, host = start(picture)
    k, red1 = picture.kernel, picture["red1"].netns
    with probe.Server(host, BGP):
        sessions = [probe.connect(k, address, BGP) for address in (VTEPS["h1"], OURS_V6)]
        rates = []
        bulk = threading.Thread(target=lambda: rates.append(probe.iperf(red1, k, V4["k"], 2)))
        bulk.start()
        while bulk.is_alive():
            for session in sessions:
                probe.echo(session, b"keepalive" * 5000)
        bulk.join()
        for session in sessions:
            session.close()
    assert rates and rates[0] > 1, rates
    # Nothing of it went through the slow path or was answered by us.
    drops = vrouter.drops()
    assert not {"local_unanswered", "exception_budget", "not_for_us", "tx_refused"} & set(drops), drops


def test_the_kernel_reaches_out_through_the_port(picture):
    reaches_out(picture, tap)


def test_the_kernel_reaches_out_through_virtio_user(picture):
    reaches_out(picture, virtio_user)


def reaches_out(picture, device):
    vrouter, host = start(picture, device)
    for address in (VTEPS["k"], KERNEL_V6):
        probe.ping(host, address, count=5)
    for address in (VTEPS["h1"], OURS_V6):
        probe.ping(picture.kernel, address, count=5)
    with probe.Server(picture.kernel, BGP):
        for address in (VTEPS["k"], KERNEL_V6):
            with probe.connect(host, address, BGP) as session:
                probe.echo(session, bytes(range(256)) * 1000)
    assert probe.iperf(host, picture.kernel, VTEPS["k"], 1) > 1
    # Both sides know the neighbour.
    probe.ping(picture["red1"].netns, V4["k"])
    assert VTEPS["k"] in host.ip("neighbour", "show", "dev", "host0")
    known = {row["address"]: row["state"] for row in vrouter.ask("show", "neighbours")["neighbours"]}
    assert known[VTEPS["k"]] in ("reachable", "probing"), known


def test_questions_for_the_shared_address_have_one_answer(picture):
    start(picture)
    wire = picture.wire(PEER)
    wire.send(Ether(src=wire.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=wire.mac, psrc=PEER, pdst=VTEPS["h1"]))

    def answers(packet):
        return ARP in packet and packet[ARP].op == 2 and packet[ARP].psrc == VTEPS["h1"]
    mac = picture.hosts["h1"].netns.mac("host0")
    assert wire.expect(answers, "the kernel's answer")[ARP].hwsrc == mac
    # The kernel answers on a port that nobody has, we would not; and tenants' packets find the neighbour that only asked the kernel.
    syn = Ether(src=wire.mac, dst=mac) / IP(src=PEER, dst=VTEPS["h1"]) / TCP(sport=4000, dport=4001, flags="S")
    wire.send(syn)
    wire.expect(lambda packet: TCP in packet and "R" in packet[TCP].flags and packet[IP].src == VTEPS["h1"], "the kernel's RST")
    picture["blue1"].run("ping", "-n", "-c", "1", "-W", "1", "10.1.1.99", check=False)
    wire.expect(lambda packet: UDP in packet and packet[UDP].dport == 6635, "a tenant's packet to the neighbour")
    assert len(wire.seen(answers)) == 1, [packet.summary() for packet in wire.seen(answers)]
    # What is of a tunnel never comes to the kernel, which would say that nobody listens on the port.
    wire.forget()
    wire.send(Ether(src=wire.mac, dst=mac) / IP(src=PEER, dst=VTEPS["h1"]) / UDP(sport=5, dport=4789, chksum=0)
              / VXLAN(vni=RED_VNI + 5, flags="Instance") / Raw(bytes(60)))
    wire.send(syn)
    wire.expect(lambda packet: TCP in packet and "R" in packet[TCP].flags, "the kernel's RST")
    assert not wire.seen(lambda packet: IP in packet and packet[IP].proto == 1), "an ICMP error"
