# SPDX-License-Identifier: BSD-3-Clause
"""Encryption rules as swaks meets them: R1, R2, R5-R8, and mirror_receiver."""

import copy
import re

from harness import case
from outside import Swaks, check, ctl, greeted, hosts, push, routed

MUST = "530 5.7.0"


def ruled(t, *rules, **policy):
    """Rules as (from, to) that require sender encryption; routes for all."""
    conf = routed(t.conf(), {"inside": hosts(("mail.example.org", "192.0.2.21", 25))})
    conf["routes"] = [{"domain": "*", "next_hop": "inside"}]
    conf["policy"] = {"rules": [{"id": f"r{i}", "from": f, "to": to, "sender": "required"}
                                for i, (f, to) in enumerate(rules)], **policy}
    return conf


def refused(t, sender, to, *args):
    """The answer to RCPT in clear begins with 530 5.7.0."""
    s = Swaks(t, "--quit-after", "RCPT", *args, sender=sender, to=to)
    if s.refused:
        assert s.refused.startswith(MUST), s
    return s.refused is not None


# Rule, and envelopes that it is for or is not for.
MATCHES = (
    (("example.com", "*"),
     [("a@example.com", "b@x.example", True), ("a@EXAMPLE.COM", "b@x.example", True),
      ("a@sub.example.com", "b@x.example", False), ("a@notexample.com", "b@x.example", False)]),
    (("*.example.com", "*"),
     [("a@sub.example.com", "b@x.example", True), ("a@a.b.example.com", "b@x.example", True),
      ("a@example.com", "b@x.example", False), ("a@badexample.com", "b@x.example", False)]),
    (("*", "bank.example"),
     [("a@example.com", "b@bank.example", True), ("<>", "b@bank.example", True),
      ("a@example.com", "b@x.example", False), ("a@bank.example", "b@x.example", False)]),
    # A quoted local part has its "@" to itself: the domain is behind the last one.
    (("*", "quoted.example"),
     [("a@example.com", '"b@other.example"@quoted.example', True),
      ("a@example.com", '"b@quoted.example"@other.example', False)]),
    (("<>", "*"), [("<>", "b@x.example", True), ("a@example.com", "b@x.example", False)]),
    (("[192.0.2.1]", "*"),
     [("a@[192.0.2.1]", "b@x.example", True), ("a@[192.0.2.2]", "b@x.example", False)]),
    (("*", "[192.0.2.21]"),
     [("a@example.com", "b@[192.0.2.21]", True), ("a@example.com", "b@[192.0.2.22]", False)]),
    # A-labels and U-labels are the same domain.
    (("*", "bücher.example"),
     [("a@example.com", "b@xn--bcher-kva.example", True),
      ("a@example.com", "b@XN--BCHER-KVA.example", True),
      ("a@example.com", "b@bucher.example", False)]),
)


@case(timeout=60)
def rules_match_domains_wildcards_literals_and_the_null_sender(t):
    t.hop()
    t.gateway(ruled(t))
    for rule, envelopes in MATCHES:
        push(t, ruled(t, rule))
        for sender, to, want in envelopes:
            assert refused(t, sender, to) == want, (rule, sender, to)
            assert not want or not refused(t, sender, to, "--tls"), (rule, sender, to)


@case(timeout=40)
def the_first_enabled_rule_counts_and_without_one_the_default(t):
    hop = t.hop(tls="none")
    conf = ruled(t)
    conf["policy"]["rules"] = [
        {"id": "off", "from": "*", "to": "*", "sender": "required", "enabled": False},
        {"id": "first", "from": "example.com", "to": "*", "sender": "none", "recipient": "none"},
        {"id": "second", "from": "*", "to": "*.example", "sender": "required"},
        {"id": "late", "from": "example.com", "to": "*", "sender": "required"}]
    t.gateway(copy.deepcopy(conf))
    for sender, to, rule, want in (
            ("a@example.com", "b@x.example", "first", False),
            ("a@example.net", "b@x.example", "second", True),
            ("a@example.net", "b@x.test", "default", False)):
        s = Swaks(t, sender=sender, to=to)
        assert (s.refused is not None) == want and s.sent != want, s
        line = t.gw.wait_log(f"from=<{sender}>", f"to=<{to}>", "status=")
        assert want or f"rule={rule} " in line, line
    # As shipped, the default is Optional and Preferred: clear text in, clear text on.
    line = t.gw.wait_log("rule=default", "sender_policy=optional recipient_policy=preferred")
    assert "status=sent" in line and len(hop.complete()) == 2, line
    # "late" can never match: an operator is told.
    code, out = check(t, conf)
    assert code == 0 and "/policy/rules/3" in out, out
    conf["policy"]["default_rule"] = {"sender": "required", "recipient": "required"}
    push(t, copy.deepcopy(conf))
    assert refused(t, "a@example.net", "b@x.test")
    s = Swaks(t, "--tls", sender="a@example.net", to="b@x.test")
    assert s.refused and s.refused.startswith("451 4.7.4"), s


@case(timeout=20)
def a_rule_of_200_bytes_passes_and_one_of_201_does_not(t):
    # "FROM TO SENDER RECIPIENT", after conversion to A-labels.
    for label, wide in (("", 0), ("bücher.", len("xn--bcher-kva."))):
        rest = len("* ") + wide + len(" required preferred")
        for size, ok in ((200, True), (201, False)):
            n = size - rest
            parts = ["a" * 50, "b" * 50, "c" * 40, "d" * (n - 143)]
            assert 0 < len(parts[3]) < 64 and len(".".join(parts)) == n
            conf = t.conf()
            conf["policy"] = {"rules": [{"id": "long", "from": "*", "to": label + ".".join(parts),
                                         "sender": "required", "recipient": "preferred"}]}
            code, out = check(t, conf)
            assert (code == 0) == ok, (size, out)
            assert ok or ("/policy/rules/0" in out and "200" in out), out
            if ok:
                continue
            conf["policy"]["rules"][0].pop("recipient")
            assert check(t, conf)[0] == 0  # "-" is shorter


@case(timeout=40)
def the_size_of_a_rule_is_shown_and_holds_for_rules_that_are_added(t):
    t.gateway(t.conf(level="may"))
    code, out = ctl(t, "rule", "add", "--id", "bank", "*", "bank.example", "required", "required")
    assert code == 0, out
    code, out = ctl(t, "rule", "list")
    line = next(ln for ln in out.splitlines() if "bank.example" in ln)
    assert str(len("* bank.example required required")) in line.split(), out
    # The words of the old user interface are understood, and printed as ours (R4).
    for i, (old, ours) in enumerate((("Always Encrypted", "required"),
                                     ("Optionally Encrypted", "optional"), ("NONE", "none"))):
        code, out = ctl(t, "rule", "add", "--id", f"old{i}", f"old{i}.example", "*", old, "Preferred")
        assert code == 0, out
        assert f"old{i}.example * {ours} preferred" in re.sub(r" +", " ", ctl(t, "rule", "list")[1])
    long = ".".join(["a" * 60, "b" * 60, "c" * 58])
    assert len(f"* {long} required required") == 200
    code, out = ctl(t, "rule", "add", "--id", "fits", "*", long, "required", "required")
    assert code == 0, out
    code, out = ctl(t, "rule", "add", "--id", "long", "*", "x" + long, "required", "required")
    assert code != 0 and "200" in out, out


# ---- "sender, recipient and body" (R7) ----

@case(timeout=40)
def required_means_the_body_or_the_sender_too(t):
    hop = t.hop()
    t.gateway(ruled(t, ("bank.example", "*"), ("*", "vault.example")))
    # Off: the envelope may be read in clear to find the rule.
    s = Swaks(t, sender="a@bank.example")
    assert s.first(r"^<-  (250 2\.1\.0 .*)$") and s.refused.startswith(MUST), s
    s = Swaks(t, sender="a@other.example", to="b@vault.example")
    assert s.first(r"^<-  (250 2\.1\.0 .*)$") and s.refused.startswith(MUST), s
    assert Swaks(t, sender="a@other.example").sent
    # On: no sender that such a rule could still be for. The second one is for everybody.
    push(t, ruled(t, ("bank.example", "*"), ("*", "vault.example"), tls_before_mail=True))
    for sender in ("a@bank.example", "a@other.example", "<>"):
        s = Swaks(t, sender=sender)
        assert s.refused.startswith(MUST) and "RCPT" not in s.out, s
    push(t, ruled(t, ("bank.example", "*"), tls_before_mail=True))
    assert "RCPT" not in Swaks(t, sender="a@bank.example").out
    assert Swaks(t, sender="a@other.example").sent
    assert Swaks(t, "--tls", sender="a@bank.example").sent
    # Neither way did a byte of a refused message reach the next hop.
    assert len(hop.complete()) == 3 and not any(
        "bank.example" in ln for c in hop.conns for ln in c.clear), hop.conns
    # Only selectable if some rule requires sender encryption.
    conf = ruled(t, tls_before_mail=True)
    code, out = check(t, conf)
    assert code == 1 and "/policy/tls_before_mail" in out, out


@case(timeout=30)
def starttls_forgets_the_envelope_that_was_said_in_clear(t):
    hop = t.hop()
    t.gateway(ruled(t, ("*", "vault.example")))
    with t.client(ca=t.ca) as c:
        c.ehlo("clear.example.com")
        c.cmd("MAIL FROM:<clear@example.com>", 250)
        c.cmd("RCPT TO:<b@vault.example>", 530)
        c.cmd("RCPT TO:<b@x.example>", 250)
        c.starttls()
        # RFC 3207 4.2: "The server MUST discard any knowledge obtained from the client".
        assert c.cmd("MAIL FROM:<early@example.com>").code in (250, 503)
        c.ehlo()
        assert c.cmd("RCPT TO:<b@vault.example>").code == 503
        assert c.cmd("DATA").code == 503
        r = c.mail("inside@example.com", ["b@vault.example"], b"x\r\n")
        assert r.code == 250, r
        c.quit()
    took = hop.complete()
    assert len(took) == 1 and took[0].sender == "MAIL FROM:<inside@example.com>", took[0].sender
    assert took[0].rcpts == ["RCPT TO:<b@vault.example>"], took[0].rcpts


# ---- predefined actions (R8) ----

@case(timeout=30)
def a_predefined_action_is_cloned_before_it_is_edited(t):
    t.gateway(t.conf(level="may"))
    code, out = ctl(t, "action", "list")
    predefined = [ln.split()[0] for ln in out.splitlines() if "(predefined)" in ln]
    assert code == 0 and predefined, out
    generation = t.gw.call("status")["generation"]
    for verb in (("set", predefined[0], "inspect=false"), ("remove", predefined[0])):
        code, out = ctl(t, "action", *verb)
        assert code != 0 and "clone" in out, (verb, out)
    assert t.gw.call("status")["generation"] == generation
    code, out = ctl(t, "action", "clone", predefined[0], "mine")
    assert code == 0, out
    code, out = ctl(t, "action", "set", "mine", "inspect=false")
    assert code == 0, out
    # And a listener under it is what others see.
    conf = t.gw.call("config.show")
    conf = conf.get("config", conf)
    assert greeted(t).offered
    conf["listeners"][0]["action"] = "mine"
    push(t, conf)
    assert not greeted(t).offered


# ---- mirror_receiver ----

@case(timeout=60)
def optional_mirrors_the_next_hop_if_it_is_told_to(t):
    offers, lacks = t.hop(addr="192.0.2.21"), t.hop(addr="192.0.2.22", tls="none")

    def conf(addr, mirror):
        c = ruled(t, mirror_receiver=mirror)
        c["next_hops"]["inside"]["hosts"][0]["address"] = addr
        return c
    t.gateway(conf(lacks.addr, False))
    # Offered always, unless the literal reading is asked for.
    assert greeted(t).offered and not lacks.conns
    for hop, mirror, want in ((lacks, True, False), (offers, True, True), (lacks, True, False),
                              (lacks, False, True)):
        push(t, conf(hop.addr, mirror))
        for _ in range(2):
            assert greeted(t).offered == want, (hop.addr, mirror)
        s = Swaks(t, "--tls-optional-strict" if want else "--protocol", *([] if want else ["ESMTP"]))
        assert s.sent, s
    # A rule that demands TLS of senders outranks what the next hop can do.
    c = conf(lacks.addr, True)
    c["policy"]["rules"] = [{"id": "r", "from": "bank.example", "to": "*", "sender": "required"}]
    push(t, c)
    assert greeted(t).offered
    # A next hop that cannot be asked counts as one that offers: nobody is kept waiting for it.
    push(t, conf("192.0.2.28", True))
    assert greeted(t).offered
