"""A controller that applies batches one after the other, and what must be there of them whatever ends it or the daemon.

    python3 -m lab.load SOCKET FOLDER FIRST     a process of its own: prints the number of each batch that was acknowledged
"""

import contextlib
import pathlib
import sys

import grpc

from lab.client import Client, stubs
from lab.process import Failure

ROUTES = 20


class Load:
    """Batch n replaces ROUTES routes of VRF load by ones that say n, and makes a VRF of its own, in turns with deleting it.

    `sent`, `acknowledged`: the number of the last batch that was.
    """

    def __init__(self, vrouter, v1, service, told=lambda number: None):
        self.vrouter, self.v1, self.service, self._told = vrouter, v1, service, told
        self.sent = self.acknowledged = 0

    def batch(self, client, n):
        v1 = self.v1
        drop = v1.NextHop(drop=v1.NextHop.Drop())
        objects = [v1.Object(vrf=v1.Vrf(name="load", tenant=str(n)))]
        for number in range(ROUTES):
            key = v1.RouteKey(vrf="load", prefix=client.prefix(f"10.{n % 200}.{number}.0/24"))
            objects.append(v1.Object(route=v1.Route(key=key, next_hop=drop, preference=n + 1)))
        gone = [v1.ObjectKey(vrf=f"turn{n - 5}")] if n > 5 else []
        return objects + [v1.Object(vrf=v1.Vrf(name=f"turn{n}"))], gone

    def run(self, first, wanted=lambda: True):
        """From batch `first` on, until the daemon is gone or nothing more is wanted."""
        self.sent = self.acknowledged = first - 1
        with Client(self.vrouter.socket, self.service, self.v1) as client, contextlib.suppress(grpc.RpcError):
            while wanted():
                objects, gone = self.batch(client, self.sent + 1)
                self.sent += 1
                client.apply("load", *objects, delete=gone)
                self.acknowledged = self.sent
                self._told(self.sent)

    def check(self):
        """The last batch that is there: whole, with all that were acknowledged before it, and nothing of later ones."""
        with Client(self.vrouter.socket, self.service, self.v1) as client:
            vrfs = {one.vrf.name: one.vrf.tenant for one in client.objects(self.v1.KIND_VRF)}
            routes = [one.route for one in client.objects(self.v1.KIND_ROUTE, vrf="load" if "load" in vrfs else "")]
        last = int(vrfs.get("load", "0"))
        if not self.acknowledged <= last <= self.sent:
            raise Failure(f"batch {last} is the last, {self.acknowledged} was acknowledged, {self.sent} was sent")
        turns = {f"turn{n}" for n in range(max(1, last - 4), last + 1)}
        if {name for name in vrfs if name.startswith("turn")} != turns:
            raise Failure(f"after batch {last}: {sorted(vrfs)}")
        of = {}
        for route in routes if "load" in vrfs else []:
            of.setdefault(route.key.prefix.address[1], []).append((route.key.prefix.address[2], route.preference))
        for n in range(max(1, last - 199), last + 1):
            wanted = [(number, n + 1) for number in range(ROUTES)]
            if sorted(of.pop(n % 200, [])) != wanted:
                raise Failure(f"batch {n} of {last} is not whole")
        if of:
            raise Failure(f"routes of batches after {last}: {of}")
        return last


class _At:
    """A daemon of which only the socket is known."""

    def __init__(self, socket):
        self.socket = socket


def main():
    socket, folder, first = sys.argv[1:]
    pathlib.Path(folder).mkdir(exist_ok=True)
    v1, service = stubs(folder)
    Load(_At(socket), v1, service, told=lambda number: print(number, flush=True)).run(int(first))


if __name__ == "__main__":
    main()
