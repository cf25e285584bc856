# SPDX-License-Identifier: BSD-3-Clause
"""Who is spared STARTTLS, who must use it, and whose TLS is broken: S4, S10, S11, on both legs."""

import copy
import itertools
import re

from dns import Dns
from harness import case, wait_for
from lablib import GW6
from outside import (STARTTLS, Fleet, Swaks, check, ctl, greeted, hosts, push, routed,
                     s_client, talks)

ONE, OTHER = "192.0.2.10", "192.0.2.11"
CONFLICT = "451 4.7.5"


def offered(t, **who):
    """To which of the two clients STARTTLS is offered."""
    return {s for s in who.values() if greeted(t, s).offered}


# ---- clients (S10, S11) ----

@case(timeout=60)
def starttls_is_not_offered_to_clients_on_the_never_list(t):
    # .11 has a name that its address confirms; .10 claims the same name.
    zone = {OTHER: {"PTR": ["old.legacy.example"]}, ONE: {"PTR": ["old.legacy.example"]},
            "old.legacy.example": {"A": [OTHER]}}
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = t.conf(level="may")
        conf["dns"] = {"servers": [dns.server], "timeout": 3}
        t.gateway(copy.deepcopy(conf))
        for entry, spared in ((None, set()), (OTHER, {OTHER}), ("192.0.2.10/31", {ONE, OTHER}),
                              ("192.0.2.11/32", {OTHER}), ("2001:db8::/32", {GW6}),
                              ("old.legacy.example", {OTHER}), ("*.legacy.example", {OTHER}),
                              ("legacy.example", set()), ("other.example", set())):
            if entry:
                code, out = ctl(t, "list", "add", "never", entry)
                assert code == 0, out
            assert offered(t, a=ONE, b=OTHER) == {ONE, OTHER} - spared, entry
            # The list is of addresses, and this is one more of the same machine's.
            assert greeted(t, server=GW6).offered == (GW6 not in spared), entry
            if entry:
                code, out = ctl(t, "list", "remove", "never", entry)
                assert code == 0, out
        # Not offered is not accepted either, and mail in clear is welcome.
        conf["policy"] = {"starttls_never": [OTHER]}
        push(t, conf)
        with t.client(source=OTHER) as c:
            c.ehlo()
            assert c.cmd("STARTTLS").code == 502
        assert Swaks(t, "--local-interface", OTHER).sent
        line = t.gw.wait_log("status=sent", "client=old.legacy.example[192.0.2.11]")
        assert "client_tls=none" in line, line
        # Implicit TLS is another thing: nobody offers it.
        assert Swaks(t, "--local-interface", OTHER, "--tls-on-connect", port=465).sent


@case(timeout=60)
def clients_on_the_required_list_must_use_starttls(t):
    zone = {OTHER: {"PTR": ["new.partner.example"]}, "new.partner.example": {"A": [OTHER]}}
    with Dns(zone=zone, ns=t.lab.gw) as dns:
        conf = t.conf(level="may")
        conf["dns"] = {"servers": [dns.server], "timeout": 3}
        t.gateway(copy.deepcopy(conf))
        for entry in (OTHER, "192.0.2.11/32", "new.partner.example", "*.partner.example"):
            conf["policy"] = {"starttls_required": [entry]}
            push(t, copy.deepcopy(conf))
            s = Swaks(t, "--local-interface", OTHER)
            assert s.offered and s.refused and s.refused.startswith("530 5.7.0"), (entry, s)
            assert Swaks(t, "--local-interface", OTHER, "--tls").sent, entry
            assert Swaks(t).sent, entry
        # A rule None is beaten: both speak, so it is a conflict, and never a silent winner.
        conf["policy"] = {"starttls_required": [OTHER],
                          "rules": [{"id": "lax", "to": "*", "sender": "none"}]}
        push(t, copy.deepcopy(conf))
        s = Swaks(t, "--local-interface", OTHER)
        assert s.refused and s.refused.startswith(CONFLICT), s
        t.gw.wait_log("reason=policy_conflict")
        assert Swaks(t, "--local-interface", OTHER, "--tls").sent


@case(timeout=40)
def an_exempt_client_and_a_demand_are_a_conflict_that_is_told(t):
    conf = t.conf(level="may")
    conf["policy"] = {"starttls_never": [OTHER],
                      "rules": [{"id": "bank", "from": "bank.example", "to": "*",
                                 "sender": "required"}]}
    t.gateway(copy.deepcopy(conf))
    s = Swaks(t, "--local-interface", OTHER, sender="a@bank.example")
    assert s.refused and s.refused.startswith(CONFLICT), s
    line = t.gw.wait_log("reason=policy_conflict")
    assert "a@bank.example" in line, line
    assert t.counter("policy_conflicts") == 1
    assert Swaks(t, "--local-interface", OTHER).sent
    # In TLS the demand is met, and nobody asks what was offered.
    assert Swaks(t, "--local-interface", OTHER, "--tls-on-connect", port=465,
                 sender="a@bank.example").sent
    # The same entry twice is nobody's wish.
    conf["policy"]["starttls_required"] = [OTHER]
    code, out = check(t, conf)
    assert code == 1 and re.search(r"/policy/starttls_(never|required)/0", out), out


# ---- next hops ----

@case(timeout=60)
def starttls_is_not_used_with_next_hops_on_the_never_list(t):
    fleet = Fleet(t, {"192.0.2.21": {"cert": "mail"}, "192.0.2.22": {"cert": "mail"}})
    conf = routed(t.conf(), {"a.example": hosts(("mx.old.example", "192.0.2.21", 25)),
                             "b.example": hosts(("mx.new.example", "192.0.2.22", 25))})
    t.gateway(copy.deepcopy(conf))
    number = itertools.count()
    # An entry, and whether a.example is spared by it; b.example never is.
    for entry, spared in (("192.0.2.99", False), ("192.0.2.21", True), ("192.0.2.20/31", True),
                          ("mx.old.example", True), ("*.old.example", True), ("a.example", True),
                          ("old.example", False)):
        conf["policy"] = {"starttls_never": [entry]}
        push(t, copy.deepcopy(conf))
        for domain, addr, clear in (("a.example", "192.0.2.21", spared),
                                    ("b.example", "192.0.2.22", False)):
            before = len(fleet.said(addr, "TLS connection established"))
            sender = f"s{next(number)}@example.com"
            s = Swaks(t, to=f"x@{domain}", sender=sender)
            assert s.sent, (entry, domain, s)
            line = t.gw.wait_log("status=sent", f"from=<{sender}>")
            assert ("server_tls=none" in line) == clear, (entry, line)
            if not clear:
                assert wait_for(lambda: len(fleet.said(addr, "TLS connection established")) >
                                before, 3), (entry, domain)  # noqa: B023
    # An exemption beats the global level, and is in conflict with a demand.
    conf["policy"] = {"starttls_never": ["192.0.2.21"], "outbound": "encrypt"}
    push(t, copy.deepcopy(conf))
    assert Swaks(t, to="x@a.example").sent
    for demand in ({"rules": [{"id": "r", "to": "a.example", "recipient": "required"}]},
                   {"map": {"[mx.old.example]": {"level": "encrypt"}}},
                   {"rules": [{"id": "m", "to": "*", "recipient": "allowed"}]}):
        conf["policy"] = {"starttls_never": ["192.0.2.21"], **demand}
        push(t, copy.deepcopy(conf))
        s = Swaks(t, "--tls", to="x@a.example")
        assert s.refused and s.refused.startswith(CONFLICT), (demand, s)
    # Allowed mirrors a plain sender: then it demands nothing.
    assert Swaks(t, to="x@a.example").sent
    assert t.counter("policy_conflicts") == 3
    assert len([ln for ln in t.gw.log().splitlines() if "policy_conflict" in ln]) >= 3


@case(timeout=40)
def next_hops_on_the_required_list_get_mail_in_tls_or_not_at_all(t):
    Fleet(t, {"192.0.2.21": {"smtpd_tls_security_level": "none"}, "192.0.2.22": {"cert": "mail"}})
    conf = routed(t.conf(), {"a.example": hosts(("mx.a.example", "192.0.2.21", 25)),
                             "b.example": hosts(("mx.b.example", "192.0.2.22", 25))})
    t.gateway(copy.deepcopy(conf))
    assert Swaks(t, to="x@a.example").sent
    for entry in ("192.0.2.21", "192.0.2.0/24", "mx.a.example", "*.a.example", "a.example"):
        conf["policy"] = {"starttls_required": [entry]}
        push(t, copy.deepcopy(conf))
        # Clients of the network are meant as well: they come in TLS.
        s = Swaks(t, "--tls", to="x@a.example")
        assert s.refused and s.refused.startswith("451 4.7.4"), (entry, s)
        assert Swaks(t, "--tls", to="x@b.example").sent, entry
    # It beats Preferred; against None it is a conflict.
    conf["policy"] = {"starttls_required": ["mx.b.example"],
                      "rules": [{"id": "n", "to": "b.example", "recipient": "none"}]}
    push(t, copy.deepcopy(conf))
    s = Swaks(t, to="x@b.example")
    assert s.refused and s.refused.startswith(CONFLICT), s


# ---- the memory of broken TLS (S4) ----

def remembered(t):
    """[(address, leg)] of `posternctl broken-tls list`."""
    code, out = ctl(t, "broken-tls", "list")
    assert code == 0, out
    return sorted(re.findall(r"^(\S+)\s+(client|nexthop)\s", out, re.M))


@case(timeout=60)
def a_next_hop_whose_tls_is_broken_gets_mail_in_clear_for_a_while(t):
    # It offers STARTTLS and then has no version in common with us.
    fleet = Fleet(t, {"192.0.2.21": {"cert": "mail", "smtpd_tls_protocols": "TLSv1"}})

    def attempts():
        return len(fleet.said("192.0.2.21", "SSL_accept error"))

    def attempted(n):
        return wait_for(lambda: attempts() >= n, 3) and attempts() == n

    conf = routed(t.conf(), {"a.example": hosts(("mx.a.example", "192.0.2.21", 25)),
                             "must.example": hosts(("mx.m.example", "192.0.2.21", 25),
                                                   level="encrypt")})
    t.gateway(copy.deepcopy(conf))
    # Off, as shipped: TLS that fails is no reason to do without.
    s = Swaks(t, to="x@a.example")
    assert s.refused and s.refused.startswith("451 4.7.5") and attempted(1), s
    assert remembered(t) == []
    conf["policy"] = {"broken_tls": {"enabled": True}}
    push(t, copy.deepcopy(conf))
    # The first in TLS, which fails, and then in clear on a new connection; the second in clear.
    assert Swaks(t, to="x@a.example").sent and attempted(2)
    assert remembered(t) == [("192.0.2.21", "nexthop")]
    assert Swaks(t, to="x@a.example").sent and attempted(2)
    for line in [ln for ln in t.gw.log().splitlines() if "status=sent" in ln]:
        assert "server_tls=none" in line, line
    # Never for a mandatory demand: of the next hop, or of a rule.
    s = Swaks(t, to="x@must.example")
    assert s.refused and s.refused.startswith("451 4.7.5") and attempted(3), s
    conf["policy"]["rules"] = [{"id": "r", "to": "a.example", "recipient": "required"}]
    push(t, copy.deepcopy(conf))
    s = Swaks(t, to="x@a.example")
    assert s.refused and s.refused.startswith("451 4.7.5") and attempted(4), s
    conf["policy"].pop("rules")
    push(t, copy.deepcopy(conf))
    # It outlives a publication, and not a flush.
    assert Swaks(t, to="x@a.example").sent and attempted(4)
    code, out = ctl(t, "broken-tls", "flush")
    assert code == 0 and out.startswith("1 "), out
    assert remembered(t) == []
    assert Swaks(t, to="x@a.example").sent and attempted(5)
    # An hour, or what is said: then TLS is tried again.
    conf["policy"]["broken_tls"]["ttl"] = 1
    push(t, copy.deepcopy(conf))
    ctl(t, "broken-tls", "flush")
    assert Swaks(t, to="x@a.example").sent and attempted(6)
    assert wait_for(lambda: Swaks(t, to="x@a.example").sent and attempts() >= 7, 15, 0.5)
    code, out = check(t, {**conf, "policy": {"broken_tls": {"enabled": True, "ttl": 3601}}})
    assert code == 1 and "/policy/broken_tls/ttl" in out, out


@case(timeout=60)
def a_client_whose_tls_is_broken_is_not_offered_it_for_a_while(t):
    conf = t.conf(level="may")
    t.gateway(copy.deepcopy(conf))
    broken = (*STARTTLS, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")

    def fails():
        assert not talks(s_client(t, *broken, "-bind", ONE))

    fails()
    assert offered(t, a=ONE, b=OTHER) == {ONE, OTHER} and remembered(t) == []
    conf["policy"] = {"broken_tls": {"enabled": True}}
    push(t, copy.deepcopy(conf))
    fails()
    assert wait_for(lambda: remembered(t) == [(ONE, "client")], 3), remembered(t)
    assert offered(t, a=ONE, b=OTHER) == {OTHER}
    assert Swaks(t).sent
    # Who may have to encrypt must be able to.
    conf["policy"]["rules"] = [{"id": "r", "from": "bank.example", "to": "*", "sender": "required"}]
    push(t, copy.deepcopy(conf))
    assert offered(t, a=ONE, b=OTHER) == {ONE, OTHER}
    s = Swaks(t, sender="a@bank.example")
    assert s.refused and s.refused.startswith("530 5.7.0"), s
    conf["policy"].pop("rules")
    push(t, copy.deepcopy(conf))
    assert offered(t, a=ONE, b=OTHER) == {OTHER}
    code, out = ctl(t, "broken-tls", "flush")
    assert code == 0 and out.startswith("1 "), out
    assert offered(t, a=ONE, b=OTHER) == {ONE, OTHER}
