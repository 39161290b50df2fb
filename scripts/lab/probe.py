"""What tenants do to one another: ping, TCP, bulk transfer. Each raises Failure when it does not go as it should."""

import contextlib
import json
import re
import socket
import threading

from lab.process import Failure, until


def ping(netns, address, count=3, size=None, dont_fragment=False):
    """Each of the first `count` pings must be answered, by and by. The fastest round trip in milliseconds."""
    # until as many came or 5 s: without -w, ping gives an answer twice the longest round trip, which a busy machine may exceed
    done = _ping(netns, address, count, size, dont_fragment, "-w", "5")
    answered = all(f"icmp_seq={number} " in done.stdout for number in range(1, count + 1))
    if not answered or "DUP!" in done.stdout:
        raise Failure(f"ping {address} from {netns.name}: not {count} answers\n{done.stdout}{done.stderr}")
    return float(re.search(r"= ([\d.]+)/", done.stdout).group(1))


def no_ping(netns, address, count=2):
    """None of `count` pings may be answered."""
    done = _ping(netns, address, count, None, False)
    if " 0 received" not in done.stdout:
        raise Failure(f"ping {address} from {netns.name} was answered\n{done.stdout}")


def too_big(netns, address, size):
    """The MTU that an unfragmentable ping of `size` bytes of payload is told."""
    done = _ping(netns, address, 1, size, True)
    told = re.search(r"(?:Frag needed and DF set \(mtu = |Packet too big: mtu=)(\d+)", done.stdout)
    if not told:
        raise Failure(f"ping -s {size} {address} from {netns.name}: no too-big answer\n{done.stdout}{done.stderr}")
    return int(told.group(1))


def _ping(netns, address, count, size, dont_fragment, *more):
    options = ["-n", "-c", str(count), "-i", "0.1", "-W", "2", *more]
    if size is not None:
        options += ["-s", str(size)]
    if dont_fragment:
        options += ["-M", "do"]
    return netns.run("ping", *options, address, check=False)


class Server:
    """A TCP server in a namespace that echoes what it gets. Use as a context manager."""

    def __init__(self, netns, port, address="::"):
        self._listener = netns.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(2)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)


def connect(netns, address, port, seconds=3, source_port=0):
    """A TCP connection from the namespace; TimeoutError or ConnectionRefusedError as usual."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = netns.socket(family, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        connection.bind(("", source_port))
        connection.connect((address, port))
    except BaseException:
        connection.close()
        raise
    return connection


def echo(connection, data):
    """Sends and wants it back."""
    sender = threading.Thread(target=connection.sendall, args=(data,), daemon=True)
    sender.start()
    back = bytearray()
    while len(back) < len(data):
        piece = connection.recv(65536)
        if not piece:
            break
        back += piece
    sender.join(1)
    if bytes(back) != data:
        raise Failure(f"TCP: sent {len(data)} bytes, got {len(back)} back, which differ")


def no_connection(netns, address, port, seconds=1.2):
    """A connection must hang (dropped on the way), not be refused or made."""
    try:
        connect(netns, address, port, seconds).close()
    except (TimeoutError, socket.timeout):
        return
    except OSError as error:
        raise Failure(f"TCP to {address} port {port}: {error} instead of silence") from error
    raise Failure(f"TCP to {address} port {port}: connected")


def iperf(client, server, address, seconds=2):
    """TCP throughput from client to server in Mbit/s."""
    listener = server.start("iperf3", "-s", "-1", "-B", address, log=f"iperf3-{server.name}.log")
    until(lambda: "Server listening" in listener.output() or _listens(server), 5, "iperf3 to listen")
    done = client.run("iperf3", "-c", address, "-t", str(seconds), "-J", check=False, seconds=seconds + 20)
    listener.stop()
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        raise Failure(f"iperf3 to {address}: {answer.get('error', done.stderr)}")
    return answer["end"]["sum_received"]["bits_per_second"] / 1e6


def _listens(netns, port=5201):
    return f":{port} " in netns.run("ss", "-Hltn").stdout


def segment(connection):
    """Bytes of TCP in each full packet that this end sends, the options of every packet included."""
    timestamps = 12
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + timestamps


def path_mtu(netns, address):
    """The MTU that the namespace's kernel has learnt towards an address."""
    told = re.search(r"mtu (\d+)", netns.ip("route", "get", address))
    return int(told.group(1)) if told else None
