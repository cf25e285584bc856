# SPDX-License-Identifier: BSD-3-Clause
"""Session tickets of a live gateway, as openssl s_client sees them: across reloads, workers and
restarts, by listener and by client network, under keys of its own and of a file."""

import os

from case_attacks import alive
from case_attacks_tls import s_client
from harness import case
from lablib import GW4, GW6, LabError

VERSIONS = ("-tls1_2", "-tls1_3")


class Visitor:
    """s_client with one file that keeps its session."""

    def __init__(self, t, version, port=465, addr=GW4):
        self.t, self.version, self.port, self.addr = t, version, port, addr
        self.path = f"{t.lab.dir}/tickets{version}-{port}.pem"

    def call(self, *args):
        """(whether the session was resumed, all that s_client says)"""
        if self.addr == GW4:
            out = s_client(self.t, self.version, *args, port=self.port, hold=0.15)
        else:
            cmd = (f"(sleep 0.15; printf 'quit\\r\\n'; sleep 0.15) | openssl s_client -connect "
                   f"'[{self.addr}]:{self.port}' -servername mx.example.org {self.version} "
                   f"{' '.join(args)} 2>&1")
            out = self.t.run("sh", "-c", cmd, check=False, timeout=20)
        assert "Reused, TLSv1." in out or "New, TLSv1." in out, out
        return "Reused, TLSv1." in out, out

    def first(self):
        """A visit with empty hands; keeps what it gets, and says whether that was a ticket."""
        reused, out = self.call("-sess_out", self.path)
        assert not reused
        return "TLS session ticket:" in out

    def again(self, keep=False):
        return self.call("-sess_in", self.path, *(["-sess_out", self.path] if keep else []))[0]


def push(t, conf):
    return t.gw.call("config.push", config=conf)


def ticketed(t, workers=1, **profile):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)], workers)
    conf["tls_profiles"]["mx"].update({"tickets": 2, **profile})
    return conf


@case(timeout=90)
def tickets_are_good_with_every_worker_and_after_a_reload(t):
    conf = ticketed(t, workers=2)
    t.gateway(conf)
    for version in VERSIONS:
        v = Visitor(t, version)
        assert v.first(), "no ticket came"
        before = t.per_worker("client_resumed")
        # Which worker it meets is the port's hash: both within a few visits.
        for n in range(40):
            assert v.again(), (version, n)
            if all(a > b for a, b in zip(t.per_worker("client_resumed"), before)):
                break
        else:
            raise AssertionError(f"one worker alone: {t.per_worker('client_resumed')}")
        # New contexts, another schedule of keys, and the same again.
        conf["tls_profiles"]["mx"]["tickets"] = 1
        assert push(t, conf)["tls_built"] >= 1
        assert v.again(), (version, "lost by new contexts")
        conf["ticket_keys"] = {"rotate": 60 if version == "-tls1_2" else 7200, "lifetime": 1800}
        push(t, conf)
        assert v.again(), (version, "lost by another schedule")
        push(t, conf)
        assert v.again(), (version, "lost by a reload")
        conf["tls_profiles"]["mx"]["tickets"] = 2
        push(t, conf)
    assert t.counter("tickets_issued") >= 4 and t.counter("tickets_unknown_key") == 0
    alive(t)


@case(timeout=90)
def a_restart_ends_tickets_unless_their_keys_are_in_a_file(t):
    path = f"{t.lab.dir}/tickets.key"
    one, two = os.urandom(80).hex(), os.urandom(80).hex()

    def write(*lines, mode=0o600):
        with open(path, "w", encoding="ascii") as f:
            f.write("# " + str(len(lines)) + " keys\n" + "".join(f"{ln}\n" for ln in lines))
        os.chmod(path, mode)

    def restart():
        assert t.gw.stop() == 0
        t.gateway(conf)

    conf = ticketed(t)
    t.gateway(conf)
    visitors = [Visitor(t, version) for version in VERSIONS]
    for v in visitors:
        assert v.first() and v.again()
    restart()
    for v in visitors:
        assert not v.again(), "a key of before the restart"
    assert t.counter("tickets_unknown_key") == 2
    write(one)
    conf["ticket_keys"] = {"file": path}
    push(t, conf)
    for v in visitors:
        assert v.first() and v.again()
    restart()
    for v in visitors:
        assert v.again(), "lost by a restart, though the key is in a file"
    # Another key encrypts; the old one is good, and its tickets are renewed.
    write(two, one)
    t.gw.call("config.reload")
    before = t.counter("tickets_old_key")
    for v in visitors:
        assert v.again(keep=True)
    assert t.counter("tickets_old_key") == before + 2, (before, t.counter("tickets_old_key"))
    write(two)
    t.gw.call("config.reload")
    # In TLS 1.2 s_client does not write down the ticket that came for the one it had.
    assert not visitors[0].again() and visitors[0].first()
    assert visitors[1].again(), "the ticket was not renewed"
    # What is wrong with a file is said, and the keys of before stay.
    for lines, mode, says in (((two,), 0o644, "0644"), ((two, "00"), 0o600, "line 3"),
                              ((), 0o600, "no key")):
        write(*lines, mode=mode)
        try:
            t.gw.call("config.reload")
        except LabError as e:
            assert "/ticket_keys/file" in str(e) and says in str(e) and two not in str(e), e
        else:
            raise AssertionError(f"taken: {lines} {mode:o}")
        assert visitors[1].again()
    os.unlink(path)
    alive(t)


@case(timeout=90)
def tickets_are_switched_by_listener_and_by_client_network(t):
    conf = ticketed(t, tickets_except=["198.51.100.0/24", "2001:db8::/32"])
    first = conf["listeners"][1]
    conf["listeners"] += [{**first, "name": "without", "port": 4650, "tickets": 0},
                          {**first, "name": "with", "port": 4651, "tickets": 1}]
    t.gateway(conf)
    for version in VERSIONS:
        v = Visitor(t, version)
        assert v.first() and v.again()
        # The profile is the same, so the session would do: the listener says no.
        other = Visitor(t, version, port=4650)
        assert not other.first(), (version, "a ticket where there are none")
        other.path = v.path
        assert not other.again(), (version, "resumed where there are no tickets")
        # The network: IPv6 clients are excepted.
        six = Visitor(t, version, addr=GW6)
        six.path = f"{v.path}.six"
        assert not six.first(), (version, "a ticket for an excepted client")
        six.path = v.path
        assert not six.again(), (version, "an excepted client was resumed")
        assert v.again(), "the ticket is still good for others"
    # Live: off in the profile, on at one listener; and another network.
    conf["tls_profiles"]["mx"].update(tickets=0, tickets_except=["192.0.2.77/32"])
    push(t, conf)
    for version in VERSIONS:
        assert not Visitor(t, version).first()
        v = Visitor(t, version, port=4651)
        assert v.first() and v.again()
        six = Visitor(t, version, port=4651, addr=GW6)
        six.path = v.path
        assert six.again(), (version, "no longer excepted")
    alive(t)
