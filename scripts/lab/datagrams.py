"""Numbered UDP datagrams between namespaces: who answers each flow, and which are lost while things change."""

import contextlib
import select
import socket
import threading
import time

from lab.process import Failure

ANSWER_SECONDS = 5
AT_ONCE = 32  # questions under way
SO_RCVBUFFORCE = 33  # beyond rmem_max: what waits for a busy Python is not lost
# IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, which Python does not name: IP_PMTUDISC_PROBE
IGNORE_PATH = {socket.AF_INET: (socket.IPPROTO_IP, 10, 3), socket.AF_INET6: (socket.IPPROTO_IPV6, 23, 3)}


class Answerer:
    """Answers each datagram to (address, port) with its own name and what it was sent. Use as a context manager.

    `came`: what it was sent, in order. `probes`: it sends what its link takes, whatever it has learnt of the path.
    """

    def __init__(self, netns, name, address, port, probes=False):
        self._name, self.came = name.encode(), []
        self._socket = netns.socket(_family(address), socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)
        if probes:
            self._socket.setsockopt(*IGNORE_PATH[self._socket.family])
        self._socket.bind((address, port))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _answer(self):
        while not self._stop.is_set():
            if select.select([self._socket], [], [], 0.05)[0]:
                data, sender = self._socket.recvfrom(65536)
                self.came.append(data)
                with contextlib.suppress(OSError):  # no way back for the moment
                    self._socket.sendto(self._name + b" " + data, sender)


class Flows:
    """As many UDP flows from a namespace to (address, port), each a socket of its own. `asked`: the number of the last question."""

    def __init__(self, netns, count, address, port):
        self.to = (address, port)
        self.sockets = [netns.socket(_family(address), socket.SOCK_DGRAM) for _ in range(count)]
        self.asked = 0
        for one in self.sockets:
            one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
            one.connect(self.to)
            one.settimeout(ANSWER_SECONDS)
            netns.lab.at_close(one.close)

    def source_ports(self):
        return [one.getsockname()[1] for one in self.sockets]

    def ask(self):
        """Who answers each flow: the next thing that each receives is the answer to what it is asked. What belongs to a Stream is ignored."""
        names = []
        for first in range(0, len(self.sockets), AT_ONCE):
            some = self.sockets[first:first + AT_ONCE]
            self.asked += 1
            question = b"asked %d" % self.asked
            for one in some:
                one.send(question)
            for one in some:
                names.append(self._answer(one, question))
        return names

    def _answer(self, one, question):
        while True:
            try:
                name, _, asked = one.recv(65536).partition(b" ")
            except OSError as error:
                raise Failure(f"no answer from {self.to} to port {one.getsockname()[1]}: {error}") from None
            if asked == question:
                return name.decode()
            if not asked.isdigit():
                raise Failure(f"{name.decode()} answered {asked} to {question}")


class Stream:
    """Numbered datagrams of some Flows in turn, each a `pause` after the last, that an Answerer sends back. Use as a context manager: at its
    end `sent` have been sent and `back` (numbers, as they came) have come back."""

    def __init__(self, flows, pause=0.002):
        self._sockets, self._pause = flows.sockets, pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=body, daemon=True) for body in (self._send, self._receive)]
        self.sent, self.back, self._sent_at = 0, [], []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def lost(self):
        """The numbers that did not come back."""
        return sorted(set(range(self.sent)) - set(self.back))

    def was_sent(self, number):
        """(when it was sent by time.monotonic, its flow's source port)"""
        return self._sent_at[number], self._socket(number).getsockname()[1]

    def _socket(self, number):
        return self._sockets[number % len(self._sockets)]

    def _send(self):
        while not self._stop.is_set():
            self._sent_at.append(time.monotonic())
            with contextlib.suppress(OSError):  # what a router says of an earlier one
                self._socket(self.sent).send(b"%d" % self.sent)
            self.sent += 1
            time.sleep(self._pause)

    def _receive(self):
        # until all came, or nothing has come for a second after the last was sent
        heard = time.monotonic()
        while not self._stop.is_set() or (time.monotonic() - heard < 1 and len(self.back) < self.sent):
            for one in select.select(self._sockets, [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.back.append(int(one.recv(64).split()[-1]))
                    heard = time.monotonic()


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET
