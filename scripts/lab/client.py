"""A client of the control socket in a language that is not the daemon's: the contract is all that it shares with it.

    from lab.client import Client, stubs
    v1, grpc_v1 = stubs("/tmp/stubs")                # protoc makes them of vrouter/proto/vrouter/v1/vrouter.proto
    with Client("/run/vrouter/vrouter.sock", grpc_v1, v1) as client:
        generation = client.apply("example", v1.Object(vrf=v1.Vrf(name="red", tenant="red")))
        client.sync(generation)                      # every worker forwards by it now
        for flow in client.flows(vif="red1"): print(flow)

Needs the Debian packages protobuf-compiler, protobuf-compiler-grpc and python3-grpcio, or grpcio-tools from PyPI.
"""

import importlib
import ipaddress
import pathlib
import sys

import grpc

from lab.process import run

PROTO = pathlib.Path(__file__).parents[2] / "vrouter/proto"
CONTRACT = "vrouter/v1/vrouter.proto"


class Refusal(Exception):
    """What the daemon says of a batch of which it has taken nothing: `change` (index), `object`, `field`, `reason`."""

    def __init__(self, refused):
        super().__init__(f"change {refused.change}: {refused.object}: {refused.field}: {refused.reason}")
        self.change, self.object = refused.change, refused.object
        self.field, self.reason = refused.field, refused.reason


def stubs(folder):
    """Makes the messages and the service of the contract in `folder`, and returns their two modules."""
    run("protoc", "-I", str(PROTO), f"--python_out={folder}", f"--grpc_python_out={folder}",
        "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin", CONTRACT)
    sys.path.insert(0, str(folder))
    return tuple(importlib.import_module(f"vrouter.v1.{name}") for name in ("vrouter_pb2", "vrouter_pb2_grpc"))


def address(text):
    """An IP address as the contract has it: 4 or 16 bytes."""
    return ipaddress.ip_address(text).packed


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


class Client:
    """A connection to the socket at `path`, or by TLS to an address, with `keys`: authority, our key and our certificate, as PEM. Use as a
    context manager."""

    def __init__(self, path, service, messages, keys=None):
        self._v1 = messages
        self._channel = grpc.secure_channel(path, grpc.ssl_channel_credentials(*keys)) if keys else grpc.insecure_channel(f"unix:{path}")
        self.calls = service.VRouterStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._channel.close()

    def apply(self, owner, *objects, create=(), delete=(), **begin):
        """One batch: `objects` are put, then `create` are made, then `delete` (keys) go. Its generation; Refusal. Further fields of Begin:
        take_over, replace, kinds, if_generation, lease_ms."""
        return self._batch(owner, objects, create, delete, begin).applied.generation

    def plan(self, owner, *objects, create=(), delete=(), **begin):
        """What the same batch would do, which is not done."""
        return self._batch(owner, objects, create, delete, {**begin, "dry_run": True}).plan

    def _batch(self, owner, objects, create, delete, begin):
        v1 = self._v1
        changes = [v1.Change(put=one) for one in objects] + [v1.Change(create=one) for one in create]
        changes += [v1.Change(delete=key) for key in delete]
        batch = [v1.ApplyRequest(begin=v1.Begin(owner=owner, **begin)), v1.ApplyRequest(changes=v1.Changes(changes=changes)),
                 v1.ApplyRequest(commit=v1.Commit())]
        reply = next(self.calls.Apply(iter(batch), timeout=10))
        if reply.WhichOneof("result") == "refused":
            raise Refusal(reply.refused)
        return reply

    def keep_alive(self, owner, **lease):
        """The owner is there: its lease begins anew, or with `lease_ms`, so long a one."""
        return self.calls.KeepAlive(self._v1.KeepAliveRequest(owner=owner, **lease), timeout=10)

    def owners(self):
        """Who has objects or a lease, by name."""
        return {one.name: one for one in self.calls.Owners(self._v1.OwnersRequest(), timeout=10).owners}

    def sync(self, generation=0):
        """Returns when every worker forwards by this generation, 0: the newest; grpc.RpcError when it does not."""
        return self.calls.Sync(self._v1.SyncRequest(generation=generation), timeout=10).generation

    def objects(self, kind=0, **where):
        """All objects of a kind."""
        chunks = self.calls.List(self._v1.ListRequest(kind=kind, **where), timeout=10)
        return [one for chunk in chunks for one in chunk.objects]

    def flows(self, **wanted):
        chunks = self.calls.Flows(self._v1.FlowsRequest(**wanted), timeout=10)
        return [flow for chunk in chunks for flow in chunk.flows]

    def stats(self):
        return self.calls.Stats(self._v1.StatsRequest(), timeout=10)

    def prefix(self, text):
        network = ipaddress.ip_network(text)
        return self._v1.Prefix(address=network.network_address.packed, length=network.prefixlen)
