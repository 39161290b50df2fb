"""A client that keeps the control thread busy: large batches of routes without end, a process of its own.

    python3 -m lab.bulk --socket SOCKET --folder FOLDER --vrf red --routes 200000
"""

import argparse
import pathlib
import sys

from lab.client import Client, stubs

# Changes of a message, which has at most 4 MiB.
MESSAGE = 20_000


def batch(v1, vrf, routes, preference):
    """All routes once, with this preference."""
    def put(number):
        prefix = v1.Prefix(address=(0x14000000 + number).to_bytes(4, "big"), length=32)
        key = v1.RouteKey(vrf=vrf, prefix=prefix)
        return v1.Change(put=v1.Object(route=v1.Route(key=key, preference=preference, next_hop=v1.NextHop(drop=v1.NextHop.Drop()))))
    puts = [put(number) for number in range(routes)]
    pieces = [puts[first:first + MESSAGE] for first in range(0, routes, MESSAGE)]
    return [v1.ApplyRequest(begin=v1.Begin(owner="bulk")), *(v1.ApplyRequest(changes=v1.Changes(changes=piece)) for piece in pieces),
            v1.ApplyRequest(commit=v1.Commit())]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", required=True)
    parser.add_argument("--folder", required=True, help="for what protoc makes")
    parser.add_argument("--vrf", required=True)
    parser.add_argument("--routes", type=int, required=True)
    given = parser.parse_args()
    pathlib.Path(given.folder).mkdir(exist_ok=True)
    v1, service = stubs(given.folder)
    batches = [batch(v1, given.vrf, given.routes, preference) for preference in (100, 101)]
    print("begins", flush=True)
    with Client(given.socket, service, v1) as client:
        while True:
            for one in batches:
                reply = next(client.calls.Apply(iter(one), timeout=60))
                if reply.WhichOneof("result") == "refused":
                    sys.exit(str(reply.refused))


if __name__ == "__main__":
    main()
