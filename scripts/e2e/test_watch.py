"""What happens is told to whoever watches: objects, neighbours, links."""

import json

from lab import probe
from lab.picture import V4, VTEPS
from lab.process import until


class Watch:
    """`vrctl watch` in the background."""

    def __init__(self, vrouter, *arguments):
        self._process = vrouter.lab.start(f"{vrouter.bin}/vrctl", "--socket", vrouter.socket, "-o", "json", "watch", *arguments,
                                          log=f"{vrouter.host.name}.watch")

    def events(self, **fields):
        """What was told so far and has these fields."""
        events = [json.loads(line) for line in self._process.output().splitlines() if line.endswith("}")]
        return [event for event in events if fields.items() <= event.items()]

    def wait(self, wanted, **fields):
        def found():
            return [event for event in self.events(**fields) if wanted(event)]
        return until(found, 5, f"an event {fields}; there are {self.events()}")


def test_objects_neighbours_and_links(picture):
    h1 = picture.start("h1")
    watch = Watch(h1, "--snapshot")
    watch.wait(lambda event: event["object"]["name"] == "red1", event="listed", kind="vif")
    picture.start("h2")
    probe.ping(picture["red1"].netns, V4["2"])
    learnt = watch.wait(lambda event: event["object"]["address"] == VTEPS["h2"] and event["object"]["learnt"], event="put", kind="neighbour")
    assert learnt[0]["owner"] == "", learnt
    h1.apply({"ports": [{"name": "hot", "devargs": "net_tap9,iface=hottap"}]})
    watch.wait(lambda event: event["object"]["name"] == "hot" and event["object"]["link_up"], event="put", kind="port", owner="operator")
    h1.host.netns.ip("link", "set", "hottap", "down")
    watch.wait(lambda event: event["object"]["name"] == "hot" and not event["object"]["link_up"], event="put", kind="port", owner="")
    h1.host.netns.ip("link", "set", "hottap", "up")
    h1.vrctl("delete", "port", "hot", "--sync")
    watch.wait(lambda event: event["key"] == "hot", event="deleted", kind="port")
    generations = [event["generation"] for event in watch.events()]
    assert generations == sorted(generations), generations
    assert not watch.events(event="lost")
