"""Stateful ACLs between real TCP stacks."""

from lab import probe
from lab.picture import V4, V6
from lab.wire import TCP, IP, Ether, Raw, Wire


def test_a_port_is_permitted_and_another_stopped(picture):
    h1, _ = picture.start_both()
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    with probe.Server(red1, 80), probe.Server(red1, 8080):
        for address in (V4["1"], V6["1"]):
            with probe.connect(red2, address, 80) as connection:
                probe.echo(connection, b"permitted" * 100)
            before = h1.drops()
            probe.no_connection(red2, address, 8080)
            h1.expect_drop("acl_to_vif", before)


def test_replies_of_a_permitted_flow_come_in(picture):
    picture.start_both()
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    # Nothing lets red2's port 9000 in, but red1 began.
    with probe.Server(red2, 9000):
        for address in (V4["2"], V6["2"]):
            with probe.connect(red1, address, 9000) as connection:
                probe.echo(connection, bytes(range(256)) * 2000)


def test_forged_replies_are_refused(picture):
    h1, h2 = picture.start_both()
    red1, red2 = picture["red1"], picture["red2"]
    heard = Wire(red1.netns, "eth0")
    forger = Wire(red2.netns, "eth0")
    with probe.Server(red2.netns, 9000):
        with probe.connect(red1.netns, V4["2"], 9000, source_port=40000) as connection:
            probe.echo(connection, b"a real flow")
            before = h1.drops()
            forged = Ether(src=forger.mac, dst="00:00:5e:00:01:00") / IP(src=V4["2"], dst=V4["1"]) / TCP(
                sport=9000, dport=40001, flags="SA", seq=1, ack=1)
            forger.send(forged)
            h1.expect_drop("acl_to_vif", before)
            # The same addresses and ports as the real flow, but from the other tenant.
            other = Wire(picture["blue1"].netns, "eth0")
            other.send(Ether(src=other.mac, dst="00:00:5e:00:01:00") / IP(src=V4["2"], dst=V4["1"]) / TCP(
                sport=9000, dport=40000, flags="PA", seq=1, ack=1) / b"forged")
            h1.expect_drop("source_spoofed", before)
            probe.echo(connection, b"still there")
    assert not heard.seen(lambda packet: TCP in packet and packet[TCP].dport == 40001)
    assert not heard.seen(lambda packet: Raw in packet and b"forged" in packet[Raw].load)


def test_a_changed_acl_judges_the_next_packet(picture):
    h1, _ = picture.start_both()
    red1, red2 = picture["red1"].netns, picture["red2"].netns
    with probe.Server(red1, 80):
        with probe.connect(red2, V4["1"], 80, seconds=1) as connection:
            probe.echo(connection, b"permitted")
            h1.apply({"acls": [{"name": "red1-receives", "rules": [{"action": "deny"}]}]})
            before = h1.drops()
            connection.sendall(b"no more")
            h1.expect_drop("acl_to_vif", before)
