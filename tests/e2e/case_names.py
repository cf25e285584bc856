# SPDX-License-Identifier: BSD-3-Clause
"""Names end to end: where mail goes when DNS says so (RFC 5321 5.1, RFC 7505), what a client is
called, and what happens to everybody else while DNS is silent."""

import contextlib
import threading
import time

from dns import Dns
from harness import case, wait_for
from lablib import CLIENT6, GW6, run
from outside import Swaks, hosts

HOST = {n: f"192.0.2.{n}" for n in range(21, 30)}
OTHER = "192.0.2.11"


def directly(t, dns, **section):
    """Everything by the MX of its domain, but example.org, whose host has an address."""
    conf = t.conf()
    conf["dns"] = {"servers": [dns.server], "timeout": 2, **section}
    conf["next_hops"] = {"out": {"mx": True, "reuse": "off", "max_tries": 5},
                         "fixed": hosts(("mail.example.org", HOST[29], 25))}
    conf["routes"] = [{"domain": "*", "next_hop": "out"},
                      {"domain": "example.org", "next_hop": "fixed"}]
    return conf


def taken(hop):
    """Recipients of what a next hop took."""
    return [r for m in hop.complete() for r in m.rcpts]


def refusal(t, domain, *args):
    s = Swaks(t, *args, to=f"b@{domain}")
    return (s.refused or "")[:10].rstrip() if not s.sent else "sent"


@case(timeout=40)
def routes_name_hosts_and_their_addresses_are_asked_for(t):
    zone = {"relay.example.net": {"A": [HOST[21]]},
            "six.example.net": {"AAAA": ["2001:db8::22"]},
            "two.example.net": {"CNAME": "relay.example.net"},
            "dead.example.net": {"A": [HOST[28], HOST[23]]},
            "broken.example.net": "SERVFAIL"}
    four, six, second = t.hop(), t.hop(addr="2001:db8::22"), t.hop(addr=HOST[23])
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = directly(t, dns)
        conf["next_hops"] = {n: hosts((n, None, 25)) for n in (*zone, "nowhere.example.net")}
        conf["next_hops"]["both"] = hosts(("broken.example.net", None, 25),
                                          ("relay.example.net", None, 25))
        conf["routes"] = [{"domain": n if "." in n else f"{n}.example", "next_hop": n}
                          for n in conf["next_hops"]]
        t.gateway(conf)
        for domain, hop in (("relay.example.net", four), ("six.example.net", six),
                            ("two.example.net", four), ("dead.example.net", second),
                            ("both.example", four)):
            assert refusal(t, domain) == "sent", domain
            assert hop.complete() and taken(hop)[-1] == f"RCPT TO:<b@{domain}>", taken(hop)
        # A name that the operator gave and DNS does not know is the operator's to put right.
        assert refusal(t, "nowhere.example.net").startswith("451")
        assert refusal(t, "broken.example.net") == "451 4.4.3"
        line = t.gw.wait_log("status=sent", "to=<b@two.example.net>")
        assert "nexthop=two.example.net[192.0.2.21:25]" in line, line
        # Asked for once, while the answer lives.
        before = dns.count("relay.example.net", "A")
        assert refusal(t, "relay.example.net") == "sent"
        assert dns.count("relay.example.net", "A") == before


@case(timeout=60)
def mail_goes_to_the_mx_in_the_order_of_preference(t):
    zone = {f"mx{n}.test": {"A": [a]} for n, a in HOST.items()}
    zone.update({
        "first.example": {"MX": [(20, "mx22.test"), (10, "mx21.test")]},
        "dead.example": {"MX": [(10, "mx28.test"), (20, "mx27.test"), (30, "mx22.test")]},
        "gone.example": {"MX": [(10, "no-such.test"), (20, "mx22.test")]},
        "equal.example": {"MX": [(10, f"mx{n}.test") for n in (21, 22, 23)]},
        "null.example": {"MX": [(0, ".")]},
        "nomx.example": {"A": [HOST[23]]},
        "mxless.example": {"TXT": ["no mail here"]},
        "six.example": {"MX": [(10, "mxsix.test")]}, "mxsix.test": {"AAAA": ["2001:db8::24"]},
        "half.example": {"MX": [(10, "broken.test"), (20, "mx22.test")]},
        "allbroken.example": {"MX": [(10, "broken.test")]}, "broken.test": "SERVFAIL",
        "nohost.example": {"MX": [(10, "no-such.test")]},
        "circle.example": {"MX": [(10, "circle2.test")]},
        "circle2.test": {"CNAME": "circle2.test"},
        "broken.example": "SERVFAIL"})
    hops = {n: t.hop(addr=HOST[n]) for n in (21, 22, 23)}
    hops[24] = t.hop(addr="2001:db8::24")
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = directly(t, dns)
        conf["next_hops"]["via"] = {"mx": True, "mx_domain": "first.example"}
        conf["routes"].append({"domain": "*.via.example", "next_hop": "via"})
        t.gateway(conf)
        for domain, hop in (("first.example", 21), ("dead.example", 22), ("gone.example", 22),
                            ("nomx.example", 23), ("half.example", 22), ("six.example", 24),
                            ("any.via.example", 21)):
            assert refusal(t, domain) == "sent", domain
            assert taken(hops[hop])[-1] == f"RCPT TO:<b@{domain}>", (domain, taken(hops[hop]))
        # RFC 5321 4.1.3: a literal is its own address.
        assert refusal(t, "[192.0.2.22]") == "sent" and "[192.0.2.22]" in taken(hops[22])[-1]
        # Both that are dead were tried, and in order.
        faults = [ln for ln in t.gw.log().splitlines() if "event=nexthop-fault" in ln]
        assert len(faults) == 2 and "mx28.test" in faults[0] and "mx27.test" in faults[1], faults
        for domain, want in (("null.example", "556 5.1.10"), ("nowhere.example", "550 5.1.2"),
                             ("mxless.example", "550 5.1.2"), ("broken.example", "451 4.4.3"),
                             ("allbroken.example", "451 4.4.3"), ("nohost.example", "550 5.1.2")):
            got = refusal(t, domain)
            assert got == want, (domain, got)
        assert refusal(t, "circle.example")[:3] in ("451", "550")
        for domain in ("null.example", "nowhere.example"):
            line = t.gw.wait_log(f"to=<b@{domain}>", "reason=no_such_host")
            assert "status=rejected" in line, line
        # "the sender-SMTP MUST randomize them": forty messages all to the same of three would
        # happen once in 3^39.
        hops.pop(24)
        before = {n: len(taken(h)) for n, h in hops.items()}
        for _ in range(40):
            with t.client(ca=t.ca) as c:
                c.begin(tls=False)
                assert c.mail("a@example.com", ["b@equal.example"], b"x\r\n").code == 250
        spread = {n: len(taken(h)) - before[n] for n, h in hops.items()}
        t.note(f"40 messages over three MX of equal preference: {spread}")
        assert sum(spread.values()) == 40 and all(spread.values()), spread


@case(timeout=60)
def while_dns_is_silent_the_others_are_served(t):
    hop = t.hop(addr=HOST[29])
    with Dns(zone={"silent.example": "SILENCE", OTHER: "SILENCE"}, ns=t.lab.gw) as dns:
        t.gateway(directly(t, dns, timeout=3))
        got = {}

        def stuck():
            begin = time.monotonic()
            got["answer"] = refusal(t, "silent.example")
            got["took"] = time.monotonic() - begin
        asker = threading.Thread(target=stuck)
        asker.start()
        assert wait_for(lambda: dns.count("silent.example") > 0, 10)
        served = 0
        while asker.is_alive():
            with t.client(ca=t.ca, timeout=2) as c:
                c.begin()
                assert c.mail("a@example.com", ["b@example.org"], b"x\r\n").code == 250
                served += asker.is_alive()
        asker.join()
        t.note(f"{served} messages of others while one waited {got['took']:.1f} s for DNS")
        assert got["answer"] == "451 4.4.3" and served >= 20, (got, served)
        assert len(hop.complete()) >= served
        # A client whose name nobody tells waits for its greeting as long as DNS may take, and
        # holds up nobody else; then it is greeted, without a name.
        late = []

        def greeted():
            begin = time.monotonic()
            with t.client(source=OTHER, timeout=20) as c:
                late.append((c.banner.code, time.monotonic() - begin))
        asker = threading.Thread(target=greeted)
        asker.start()
        assert wait_for(lambda: dns.count(OTHER, "PTR") > 0, 10)
        with t.client(ca=t.ca, timeout=2) as c:
            c.begin()
            assert c.mail("a@example.com", ["b@example.org"], b"x\r\n").code == 250
        asker.join()
        assert late[0][0] == 220 and late[0][1] < 3 + 4, late


@contextlib.contextmanager
def more_clients(t, n):
    """Addresses that the client's machine has besides."""
    addresses = [f"192.0.2.{40 + i}" for i in range(n)]
    for a in addresses:
        run("ip", "-n", t.lab.client, "addr", "add", f"{a}/24", "dev", "eth0")
    try:
        yield addresses
    finally:
        for a in addresses:
            run("ip", "-n", t.lab.client, "addr", "del", f"{a}/24", "dev", "eth0")


@case(timeout=40)
def a_client_is_called_by_a_name_only_if_its_address_confirms_it(t):
    # What the PTR says, what that name has (None: the address), and the client's name.
    table = (("good.example.net", None, "good.example.net"),
             ("liar.example.net", "192.0.2.99", "unknown"),
             ("gone.example.net", "NXDOMAIN", "unknown"),
             ("NXDOMAIN", "NXDOMAIN", "unknown"),
             ("SERVFAIL", "NXDOMAIN", "unknown"),
             # T6: a name is a stranger's word.
             ("evil\r\nX-Injected: yes", None, "unknown"),
             ("evil\r\n250 ok.example.net", None, "unknown"),
             ("evil)(b\0.example.net", None, "unknown"),
             ("evil[192.0.2.1] b.example.net", None, "unknown"))
    hop = t.hop(addr=HOST[29])
    with more_clients(t, len(table)) as addresses, Dns(ns=t.lab.gw) as dns:
        for addr, (name, forward, _) in zip(addresses, table):
            dns.set(addr, name if name in ("NXDOMAIN", "SERVFAIL") else {"PTR": [name]})
            dns.set(name, forward if forward == "NXDOMAIN" else {"A": [forward or addr]})
        t.gateway(directly(t, dns))
        for n, (addr, (_, _, name)) in enumerate(zip(addresses, table)):
            sender = f"ptr{n}@example.com"
            assert Swaks(t, "--local-interface", addr, sender=sender).sent, n
            assert dns.count(addr, "PTR") > 0, n
            line = t.gw.wait_log("status=sent", f"from=<{sender}>")
            assert f"client={name}[{addr}]:" in line, (n, line)
            m = hop.complete()[-1]
            assert f"({name} [{addr}])\r\n".encode() in m.wire, (n, m.wire)
            assert b"X-Injected" not in m.wire and b"evil" not in m.wire, m.wire
        # The same for an address of 128 bits.
        dns.set(CLIENT6, {"PTR": ["six.example.net"]})
        dns.set("six.example.net", {"AAAA": [CLIENT6]})
        assert Swaks(t, "--local-interface", CLIENT6, server=GW6, sender="six@example.com").sent
        line = t.gw.wait_log("status=sent", "from=<six@example.com>")
        assert f"client=six.example.net[{CLIENT6}]:" in line, line
        assert "evil" not in t.gw.log() and "X-Injected" not in t.gw.log()


@case(timeout=40)
def without_any_dns_server_mail_to_fixed_hosts_goes_on(t):
    hop = t.hop(addr=HOST[29])
    # Taken and closed again: nothing answers there but ICMP.
    with Dns(ns=t.lab.gw) as dns:
        conf = directly(t, dns, timeout=2)
    t.gateway(conf)
    begin = time.monotonic()
    assert refusal(t, "example.org") == "sent"
    assert time.monotonic() - begin < 2 + 4
    assert taken(hop) == ["RCPT TO:<b@example.org>"]
    assert refusal(t, "example.net") == "451 4.4.3"
    # The failure is remembered for five seconds: the next greeting is at once.
    begin = time.monotonic()
    with t.client() as c:
        assert c.banner.code == 220
    assert time.monotonic() - begin < 1


@case(timeout=40)
def an_answer_lives_no_longer_than_the_operator_says(t):
    first, second = t.hop(addr=HOST[21]), t.hop(addr=HOST[22])
    zone = {"relay.example.net": {"A": [HOST[21]], "ttl": 600}}
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = directly(t, dns, max_ttl=1, negative_ttl=1)
        conf["next_hops"]["out"] = hosts(("relay.example.net", None, 25))
        conf["next_hops"]["late"] = hosts(("late.example.net", None, 25))
        conf["routes"].append({"domain": "late.example", "next_hop": "late"})
        t.gateway(conf)
        assert refusal(t, "x.example") == "sent" and first.complete()
        assert refusal(t, "late.example").startswith("451")
        # The zone says ten minutes, and a minute for what is not there.
        dns.set("relay.example.net", {"A": [HOST[22]]})
        dns.set("late.example.net", {"A": [HOST[22]]})
        assert wait_for(lambda: refusal(t, "x.example") == "sent" and second.complete(), 10, 0.5)
        assert wait_for(lambda: refusal(t, "late.example") == "sent", 10, 0.5)
