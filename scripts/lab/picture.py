"""The picture that the demo and the end-to-end tests share.

              underlay 172.31.0.0/24, MTU 1500
     +---------------+---------------+--------------- ... further ends (wires)
     | .1            | .2            | .3
  h1 vRouter      h2 vRouter      k: the Linux kernel's VXLAN, VNI 100
   |     |         |     |           10.1.1.50, fd00:1::50 (red's)
  red1  blue1     red2  blue2
  .11   .11       .12   .12     of 10.1.1.0/24 and fd00:1::/64: red's and blue's are different networks
"""

import pathlib

import yaml

from lab.daemon import Vrouter
from lab.wire import Wire

NETWORKS = pathlib.Path(__file__).parent / "networks"
VTEPS = {"h1": "172.31.0.1", "h2": "172.31.0.2", "k": "172.31.0.3", "k2": "172.31.0.4", "k3": "172.31.0.5"}
TENANTS = {"h1": ("red1", "blue1"), "h2": ("red2", "blue2")}
KERNEL_MAC = "02:aa:00:00:00:50"
RED_VNI = 100
BLUE_LABELS = {"h1": 201, "h2": 202}
V4 = {"1": "10.1.1.11", "2": "10.1.1.12", "k": "10.1.1.50", "far": "10.1.1.60"}
V6 = {"1": "fd00:1::11", "2": "fd00:1::12", "k": "fd00:1::50", "far": "fd00:1::60"}
FAR_MAC, LAN_VNI = "02:aa:00:00:00:60", 5000


def router_mac(host):
    """A host's inner MAC in VXLAN: 02, its VTEP, 01."""
    return ":".join(["02", *(f"{int(byte):02x}" for byte in VTEPS[host].split(".")), "01"])


def network(host):
    """The host's network.yaml as a dict."""
    return yaml.safe_load((NETWORKS / f"{host}.yaml").read_text())


class Underlay:
    """A bridge without addresses; hosts hang on it."""

    def __init__(self, lab, mtu=1500):
        self._lab, self._mtu = lab, mtu
        self._netns = lab.netns("underlay", ipv6=False)
        # A bridge that asks the firewall drops what must be seen to be dropped by us: bad checksums, fragments.
        for name in ("iptables", "ip6tables", "arptables"):
            self._netns.run("sysctl", "-q", "-w", f"net.bridge.bridge-nf-call-{name}=0", check=False)
        self._netns.ip("link", "add", "br0", "mtu", str(mtu), "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        self._netns.ip("link", "set", "br0", "up")

    def widen(self, mtu):
        """The MTU of the bridge, and of what is attached from now on."""
        self._mtu = mtu
        self._netns.ip("link", "set", "br0", "mtu", str(mtu))

    def attach(self, netns, device, name):
        """Gives the namespace a device on the underlay."""
        self._lab.veth((netns, device), (self._netns, name), self._mtu)
        self._netns.ip("link", "set", name, "master", "br0")


class Tenant:
    """A tenant's host: a namespace with one device, eth0, whose far end is a port of a vRouter."""

    def __init__(self, lab, name, host_netns, mac, addresses, mtu=1500):
        self.name, self.netns = name, lab.netns(name)
        lab.veth((self.netns, "eth0"), (host_netns, name), mtu)
        # Before the addresses, so that the link-local one follows the MAC.
        self.netns.ip("link", "set", "eth0", "down")
        self.netns.ip("link", "set", "eth0", "address", mac, "up")
        for address in addresses:
            self.netns.ip("address", "add", f"{address}/{64 if ':' in address else 24}", "dev", "eth0")
        self.netns.ip("route", "add", "default", "via", "10.1.1.1")
        self.netns.ip("-6", "route", "add", "default", "via", "fd00:1::1")

    def run(self, *command, **options):
        return self.netns.run(*command, **options)


class Host:
    """A vRouter's host: a namespace with the uplink and a device per tenant, and no address of the kernel's."""

    def __init__(self, lab, name, underlay, tenants):
        self.name, self.netns = name, lab.netns(name, ipv6=False)
        underlay.attach(self.netns, "fabric", name)
        parts = (yaml.safe_load(path.read_text()) for path in sorted(NETWORKS.glob(f"{name}*.yaml")))
        vifs = {vif["name"]: vif for part in parts for vif in part["vifs"]}
        self.tenants = {
            tenant: Tenant(lab, tenant, self.netns, vifs[tenant]["mac"], vifs[tenant]["addresses"]) for tenant in tenants
        }
        self.ports = {port: f"net_af_packet{number},iface={port}" for number, port in enumerate(["fabric", *tenants])}


class Picture:
    """The parts that are wanted of the picture above, each made when asked for."""

    def __init__(self, lab, bin):
        self.lab, self.bin = lab, bin
        self.hosts, self.tenants, self.vrouters = {}, {}, {}
        self.underlay = Underlay(lab)
        self.kernel = None

    def add_host(self, name, tenants=None):
        host = Host(self.lab, name, self.underlay, TENANTS[name] if tenants is None else tenants)
        self.hosts[name] = host
        self.tenants.update(host.tenants)
        return host

    def start(self, name, network_of_host=None, **options):
        """The host with its vRouter, programmed (by its YAML file if nothing else is given)."""
        host = self.hosts.get(name) or self.add_host(name)
        vrouter = Vrouter(host, self.bin, **options)
        self.vrouters[name] = vrouter
        vrouter.apply(NETWORKS / f"{name}.yaml" if network_of_host is None else network_of_host)
        return vrouter

    def start_both(self):
        return self.start("h1"), self.start("h2")

    def add_kernel(self):
        self.kernel = kernel_vxlan(self.lab, self.underlay)
        return self.kernel

    def wire(self, *addresses, name="x"):
        """A raw end on the underlay that answers ARP for these addresses."""
        netns = self.lab.netns(name, ipv6=False)
        self.underlay.attach(netns, "eth0", name)
        return Wire(netns, "eth0", owns=addresses)

    def __getitem__(self, tenant):
        return self.tenants[tenant]


def kernel_bridge(lab, underlay, name="k", peers=(VTEPS["h1"],)):
    """A host whose kernel bridges its VXLAN, VNI LAN_VNI, with the link of another host, that with FAR_MAC. It floods to the VTEPs `peers`.

    Returns the namespaces of both.
    """
    kernel = lab.netns(name, ipv6=False)
    underlay.attach(kernel, "eth0", name)
    kernel.ip("address", "add", f"{VTEPS[name]}/24", "dev", "eth0")
    kernel.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
    kernel.ip("link", "add", "vx0", "type", "vxlan", "id", str(LAN_VNI), "dstport", "4789", "local", VTEPS[name])
    kernel.run("ethtool", "-K", "vx0", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
    for peer in peers:
        kernel.bridge("fdb", "append", "00:00:00:00:00:00", "dev", "vx0", "dst", peer)
    far = lab.netns("far")
    lab.veth((far, "eth0"), (kernel, "far"), 1450)
    far.ip("link", "set", "eth0", "down")
    far.ip("link", "set", "eth0", "address", FAR_MAC, "up")
    far.ip("address", "add", f"{V4['far']}/24", "dev", "eth0")
    far.ip("address", "add", f"{V6['far']}/64", "dev", "eth0", "nodad")
    for device in ("vx0", "far"):
        kernel.ip("link", "set", device, "master", "br0")
    for device in ("vx0", "br0"):
        kernel.ip("link", "set", device, "up")
    return kernel, far


def kernel_vxlan(lab, underlay, name="k", addresses=(V4["k"], V6["k"]), mac=KERNEL_MAC, vni=RED_VNI):
    """A host with the Linux kernel's VXLAN: it floods to h1 and h2 and learns, and has no static neighbour."""
    netns = lab.netns(name, ipv6=False)
    underlay.attach(netns, "eth0", name)
    netns.ip("address", "add", f"{VTEPS[name]}/24", "dev", "eth0")
    add_vxlan(netns, VTEPS[name], addresses, mac, vni, (VTEPS["h1"], VTEPS["h2"]))
    return netns


def add_vxlan(netns, vtep, addresses, mac, vni, peers):
    """Gives the namespace, which has the address `vtep`, a VXLAN device with these addresses that floods to the VTEPs `peers`."""
    device = f"vx{vni}"
    netns.ip("link", "add", device, "address", mac, "mtu", "1450", "type", "vxlan", "id", str(vni), "dstport", "4789", "local", vtep)
    netns.run("ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
    netns.sysctl(f"net.ipv6.conf.{device}.disable_ipv6", 0)
    netns.ip("link", "set", device, "up")
    for address in addresses:
        netns.ip("address", "add", f"{address}/{64 if ':' in address else 24}", "dev", device)
    for peer in peers:
        netns.bridge("fdb", "append", "00:00:00:00:00:00", "dev", device, "dst", peer)
