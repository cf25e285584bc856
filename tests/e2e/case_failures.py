# SPDX-License-Identifier: BSD-3-Clause
"""What a proxy without a queue does when one of its sides fails: it never owns a
message, never says 250 on its own, and never turns half a message into a whole one.
"""

import os
import threading
import time

from harness import case, wait_for
from lablib import GW4
from peers import NOTHING, Die, Mute, Stall, stuff

BODY = b"Subject: x\r\n\r\nhello\r\n"
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 4 * 80 * 1024  # 5 MiB, one line


def later(reply, event, seconds=10):
    """A hook that answers when the event is set."""
    def hook(*_):
        event.wait(seconds)
        return reply
    return hook


def first(n, otherwise):
    """A hook that does `otherwise` for the first n times, then the usual."""
    left = [n]

    def hook(*_):
        left[0] -= 1
        return otherwise if left[0] >= 0 else None
    return hook


def begin(t, tls=True, **kw):
    c = t.client(ca=t.ca, **kw)
    c.begin(tls)
    return c


def rcpt_code(t):
    """MAIL and RCPT of a fresh session: the reply to RCPT; the session must live on."""
    with begin(t) as c:
        c.cmd("MAIL FROM:<a@example.com>", 250)
        r = c.cmd("RCPT TO:<b@example.org>")
        assert c.cmd("NOOP").code == 250
        if r.code != 250:
            assert c.cmd("DATA").code in (503, 554)
        c.quit()
    return r


# ---- before DATA ----

@case()
def next_hop_that_refuses_gives_451(t):
    t.gateway(t.conf([("192.0.2.29", 25)]))
    r = rcpt_code(t)
    assert r.code == 451 and r.text.startswith("4.4.1"), r


@case()
def next_hop_that_is_not_there_gives_451(t):
    t.gateway(t.times(t.conf([("192.0.2.99", 25)]), connect=1.5))
    began = time.monotonic()
    r = rcpt_code(t)
    assert r.code == 451 and r.text.startswith("4.4.1"), r
    assert time.monotonic() - began < 8


@case(timeout=60)
def next_hop_death_before_rcpt_gives_451(t):
    h = t.scripted(times={"banner": 1.5, "ehlo": 1.5, "tls": 1.5, "mail": 1.5, "rcpt": 1.5})
    for stage in ("connect", "banner", "ehlo", "starttls", "tls", "mail", "rcpt"):
        for how in (Die(), Die(rst=True), Mute()):
            h.on = {stage: how}
            r = rcpt_code(t)
            assert r.code == 451, (stage, how, r)
    h.on = {}
    assert rcpt_code(t).code == 250


@case()
def next_hop_that_greets_with_an_error_gives_4xx(t):
    h = t.scripted()
    for banner in ("421 4.3.2 busy", "554 5.3.2 no service"):
        h.on = {"banner": banner}
        r = rcpt_code(t)
        assert 400 <= r.code < 500, (banner, r)


@case()
def failover_takes_the_second_host(t):
    good = t.hop(addr="192.0.2.22")
    bad = t.hop(addr="192.0.2.21")
    t.gateway(t.times(t.conf([("192.0.2.29", 25), ("192.0.2.21", 25), ("192.0.2.22", 25)]),
                      banner=1.5, ehlo=1.5))
    # The first host refuses; the second fails in these ways.
    for stage, how in (("connect", Die(rst=True)), ("banner", Die()), ("banner", "421 4.3.2 busy"),
                       ("banner", Mute()), ("ehlo", Die()), ("starttls", "454 4.7.0 not now"),
                       ("tls", Die())):
        bad.on = {stage: how}
        for c in good.conns:
            c.sock.close()  # nothing is to come from the pool
        n = len(good.complete())
        with begin(t) as c:
            r = c.mail("a@example.com", ["b@example.org"], BODY)
        assert r.code == 250, (stage, how, r)
        assert len(good.complete()) == n + 1


# ---- DATA and the body ----

@case()
def never_354_before_the_next_hops(t):
    go = threading.Event()
    t.scripted(on={"data": later("354 go on", go)})
    with begin(t) as c:
        c.envelope("a@example.com", "b@example.org")
        c.send(b"DATA\r\n")
        assert c.silent(0.8)
        go.set()
        assert c.reply().code == 354
        c.send(stuff(BODY))
        assert c.reply().code == 250


@case()
def next_hops_refusal_of_data_is_passed_on(t):
    h = t.scripted()
    for answer, code in (("451 4.3.0 later", 451), ("554 5.7.1 no", 554)):
        h.on = {"data": answer}
        with begin(t) as c:
            c.envelope("a@example.com", "b@example.org")
            assert c.cmd("DATA").code == code
            h.on = {}
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250


@case(timeout=40)
def next_hop_death_at_data_gives_451_and_no_354(t):
    h = t.scripted(times={"data": 1.5})
    for how in (Die(), Die(rst=True), Mute()):
        h.on = {"data": how}
        with begin(t) as c:
            c.envelope("a@example.com", "b@example.org")
            r = c.cmd("DATA")
            assert r.code == 451, (how, r)
            h.on = {}
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250


@case()
def ok_only_after_the_next_hops_ok(t):
    go = threading.Event()
    t.scripted(on={"dot": later("250 2.0.0 mine now", go)})
    with begin(t) as c:
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        c.send(stuff(BODY))
        assert c.silent(0.8)
        go.set()
        r = c.reply()
        assert r.code == 250 and "mine now" in r.text, r


@case()
def next_hops_verdict_on_the_message_is_passed_on(t):
    h = t.scripted()
    for answer in ("550 5.7.1 spam", "452 4.3.1 full", "554 5.6.0 lines\n554 of text"):
        h.on = {"dot": answer}
        with begin(t) as c:
            r = c.mail("a@example.com", ["b@example.org"], BODY)
            assert r.code == int(answer[:3]) and answer.split()[-1] in r.text, r
            assert c.cmd("NOOP").code == 250


@case(timeout=60)
def next_hop_death_in_the_body_gives_451(t):
    # A small receive buffer: what a stalled peer's kernel takes must not be all of it.
    h = t.scripted(times={"block": 2}, hop={"rcvbuf": 65536})
    for how in (Die(), Die(rst=True), Stall()):
        h.on = {"body": lambda c, data, how=how: how if len(data) > 1000000 else None}
        with begin(t) as c:
            c.sock.settimeout(30)
            c.envelope("a@example.com", "b@example.org")
            c.cmd("DATA", 354)
            c.send(stuff(BIG))
            r = c.reply()
            assert r.code == 451 and r.text.startswith("4.4.2"), (how, r)
            h.on = {}
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250, how


@case(timeout=40)
def next_hop_lost_after_the_dot_is_451_and_logged_as_uncertain(t):
    h = t.scripted(times={"dot": 2})
    for n, how in enumerate((Die(), Die(rst=True), Mute()), 1):
        h.on = {"dot": how}
        with begin(t) as c:
            r = c.mail("a@example.com", ["b@example.org"], BODY)
            assert r.code == 451 and r.text.startswith("4.4.2"), (how, r)
            t.counters_reach(delivery_uncertain=n)
    t.gw.wait_log("uncertain")
    assert len(h.complete()) == 3


@case(timeout=40)
def client_that_leaves_in_the_body_sends_no_dot(t):
    h = t.scripted()
    ways = {
        "fin": lambda c: c.close(),
        "rst": lambda c: c.reset(),
        "tls_close_then_fin": lambda c: c.sock.unwrap() and None,
    }
    for n, (name, leave) in enumerate(ways.items(), 1):
        c = begin(t)
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        # It even ends like a message that lacks only the dot.
        c.send(b"Subject: half\r\n\r\n" + b"x" * 300000 + b"\r\n.\r")
        try:
            leave(c)
        except OSError:
            pass
        c.close()
        assert h.wait(lambda h, n=n: len(h.conns) >= n and h.conns[n - 1].ended.is_set()), name
        assert not h.complete(), name
        t.counters_reach(transactions_aborted=n)
    assert len(h.messages) == len(ways)
    t.counters_reach(live_sessions=0)


@case(timeout=40)
def plain_client_that_leaves_in_the_body_sends_no_dot(t):
    h = t.scripted()
    for n, leave in enumerate(("close", "reset"), 1):
        c = begin(t, tls=False)
        c.envelope("a@example.com", "b@example.org")
        c.send(b"BDAT 100000\r\n" + b"x" * 100000 + b"BDAT 50 LAST\r\n" + b"y" * 49)
        getattr(c, leave)()
        assert h.wait(lambda h, n=n: len(h.conns) >= n and h.conns[n - 1].ended.is_set())
        assert not h.complete()


@case()
def client_that_leaves_before_data_frees_the_next_hop(t):
    h = t.scripted()
    for n in range(3):
        c = begin(t)
        c.envelope("a@example.com", "b@example.org")
        c.close() if n else c.quit()
    t.counters_reach(live_sessions=0)
    # One connection at most is kept, and it is reset before anybody else's mail.
    with begin(t) as c:
        c.envelope("z@example.com", "z@example.org")
    assert len(h.conns) <= 3
    for c in h.conns:
        lines = [ln.split()[0] for ln in c.lines()]
        mails = [i for i, ln in enumerate(lines) if ln == "MAIL"]
        assert all("RSET" in lines[a:b] for a, b in zip(mails, mails[1:])), lines
    assert not h.messages


@case(timeout=40)
def a_slow_next_hop_slows_the_client_and_costs_no_memory(t):
    go = threading.Event()
    t.scripted(on={"body": lambda *_: go.wait(10) and None})
    with begin(t) as c:
        before = rss(t)
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        sent = [0]
        data = stuff(b"x" * 998 + b"\r\n") [:-3] * 40000  # 40 MB

        def feed():
            for i in range(0, len(data), 65536):
                c.send(data[i:i + 65536])
                sent[0] = i
            c.send(b".\r\n")
        th = threading.Thread(target=feed, daemon=True)
        th.start()
        time.sleep(2)
        stuck, grown = sent[0], rss(t) - before
        go.set()
        th.join(25)
        c.sock.settimeout(20)
        assert c.reply().code == 250
    assert stuck < 16 << 20, f"{stuck} bytes were taken"
    assert grown < 16 << 10, f"RSS rose by {grown} KiB"


def rss(t):
    with open(f"/proc/{t.gw.proc.pid}/status", encoding="ascii") as f:
        return next(int(ln.split()[1]) for ln in f if ln.startswith("VmRSS"))


# ---- recipients ----

@case()
def verdicts_are_per_recipient_and_in_order(t):
    h = t.scripted(on={"rcpt": lambda _c, line: "550 5.1.1 unknown" if "bad" in line else
                       "452 4.2.2 full" if "full" in line else None})
    with begin(t) as c:
        names = ("one", "bad", "two", "full", "bad2", "three")
        c.send(b"MAIL FROM:<a@example.com>\r\n" +
               b"".join(b"RCPT TO:<%s@example.org>\r\n" % n.encode() for n in names) + b"DATA\r\n")
        codes = [c.reply().code for _ in range(len(names) + 2)]
        assert codes == [250, 250, 550, 250, 452, 550, 250, 354], codes
        c.send(stuff(BODY))
        assert c.reply().code == 250
        assert [r[8:].split("@")[0].strip("<") for r in h.messages[0].rcpts] == \
            ["one", "two", "three"], h.messages[0].rcpts
        # All refused: there is nobody to send to.
        c.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<bad@example.org>\r\nDATA\r\n")
        codes = [c.reply().code for _ in range(3)]
        assert codes[:2] == [250, 550] and codes[2] in (503, 554), codes
    assert len(h.messages) == 1


@case()
def another_route_class_in_one_transaction_gets_452(t):
    a, b = t.hop(addr="192.0.2.21"), t.hop(addr="192.0.2.22")
    conf = t.conf([("192.0.2.21", 25)])
    conf["next_hops"]["other"] = {**conf["next_hops"]["inside"], "hosts": [
        {"name": "mail.example.org", "address": "192.0.2.22"}]}
    conf["routes"] = [{"domain": "example.org", "next_hop": "inside"},
                      {"domain": "example.net", "next_hop": "other"}]
    t.gateway(conf)
    with begin(t) as c:
        c.cmd("MAIL FROM:<a@example.com>", 250)
        c.cmd("RCPT TO:<b@example.org>", 250)
        r = c.cmd("RCPT TO:<b@example.net>", 452)
        assert r.text.startswith("4.5.3"), r
        c.cmd("RCPT TO:<c@EXAMPLE.org>", 250)
        c.cmd("DATA", 354)
        c.send(stuff(BODY))
        assert c.reply().code == 250
        # What was put off goes on its own.
        assert c.mail("a@example.com", ["b@example.net"], BODY).code == 250
    assert len(a.complete()) == 1 and len(a.complete()[0].rcpts) == 2
    assert len(b.complete()) == 1
    assert t.counter("recipients_other_class") == 1


@case()
def a_domain_without_a_route_is_refused(t):
    h = t.scripted()
    with begin(t) as c:
        c.cmd("MAIL FROM:<a@example.com>", 250)
        r = c.cmd("RCPT TO:<b@elsewhere.example>")
        assert 500 <= r.code < 600, r
        c.cmd("RCPT TO:<b@example.org>", 250)
    assert all("elsewhere" not in ln for c in h.conns for ln in c.lines())


# ---- TLS ----

@case()
def what_a_client_sends_behind_starttls_does_not_survive(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.ehlo()
        c.send(b"STARTTLS\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<evil@example.org>\r\n")
        try:
            r = c.reply()
            tls = r.code == 220
            if tls:
                c.tls()
        except (EOFError, OSError):
            tls = False
        if not tls:
            assert c.eof()  # to hang up is right as well
        else:
            c.ehlo()
            assert c.silent(0.5)
            # RFC 3207 4.2: what was known before is forgotten.
            assert c.cmd("RCPT TO:<b@example.org>").code == 503
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    t.counters_reach(starttls_injection=1)
    assert all("evil" not in ln for conn in h.conns for ln in conn.lines())


@case()
def tls_forgets_the_envelope(t):
    t.scripted()
    with t.client(ca=t.ca) as c:
        c.ehlo()
        c.envelope("a@example.com", "b@example.org")
        r = c.cmd("STARTTLS")
        if r.code == 220:
            c.tls()
            assert c.cmd("DATA").code == 503
            c.ehlo()
            assert c.cmd("RCPT TO:<b@example.org>").code == 503
        else:
            assert r.code == 503, r


@case()
def what_a_next_hop_sends_behind_its_220_does_not_survive(t):
    def inject(c, _):
        c.sock.sendall(b"220 2.0.0 go\r\n250-mail.example.org\r\n250-INJECTED\r\n250 SIZE 1\r\n"
                       b"250 2.1.0 forged\r\n550 5.1.1 forged\r\n")
        return NOTHING
    h = t.scripted(on={"starttls": inject})
    with begin(t) as c:
        c.cmd("MAIL FROM:<a@example.com>", 250)
        r = c.cmd("RCPT TO:<b@example.org>")
        assert r.code in (250, 451) and "forged" not in r.text, r
    t.counters_reach(starttls_injection=1)
    h.on = {}
    with begin(t) as c:
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250


@case()
def required_tls_that_is_not_offered_puts_mail_off(t):
    h = t.scripted(hop={"tls": "starttls"})
    h.tls = "none"  # it no longer says STARTTLS
    r = rcpt_code(t)
    assert r.code == 451 and r.text.startswith("4.7"), r
    assert not any("MAIL" in ln for c in h.conns for ln in c.lines())


@case()
def optional_tls_that_is_not_offered_lets_mail_go_in_clear(t):
    h = t.scripted(level="may")
    h.tls = "none"
    with begin(t) as c:
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    assert h.conns[-1].tls is None


@case()
def a_certificate_that_does_not_verify_puts_mail_off(t):
    from lablib import make_ca, make_cert
    d = f"{t.lab.dir}/certs"
    if not os.path.exists(f"{d}/evil.pem"):
        make_ca(d, "evil")
        make_cert(d, "evil", ["mail.example.org"], ca="evil")
        make_cert(d, "othername", ["other.example.org"])
    h = t.hop(cert=f"{d}/evil.pem", addr="192.0.2.21")
    g = t.hop(cert=f"{d}/othername.pem", addr="192.0.2.22")
    conf = t.conf([("192.0.2.21", 25)])
    inside = conf["next_hops"]["inside"]
    conf["next_hops"]["name"] = {**inside, "hosts": [{"name": "mail.example.org",
                                                      "address": "192.0.2.22"}]}
    conf["next_hops"]["trusting"] = {**inside, "level": "encrypt"}
    conf["next_hops"]["named"] = {**conf["next_hops"]["name"], "match": ["other.example.org"]}
    conf["routes"] = [{"domain": f"{n}.example", "next_hop": n}
                      for n in ("inside", "name", "trusting", "named")]
    t.gateway(conf)
    for domain, ok in (("inside", False), ("name", False), ("trusting", True), ("named", True)):
        with begin(t) as c:
            c.cmd("MAIL FROM:<a@example.com>", 250)
            r = c.cmd(f"RCPT TO:<b@{domain}.example>")
            assert r.code == (250 if ok else 451), (domain, r)
            assert ok or r.text.startswith("4.7.5"), (domain, r)
    assert h.conns and g.conns


@case()
def sessions_with_the_next_hop_are_resumed(t):
    h = t.scripted(reuse="off")
    for _ in range(4):
        with begin(t) as c:
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
            c.quit()
    assert [c.tls[2] for c in h.conns][0] is False
    assert any(c.tls[2] for c in h.conns[1:]), [c.tls for c in h.conns]
    assert t.counter("nexthop_resumed") >= 1


# ---- limits ----

@case(timeout=40)
def a_message_that_went_round_is_refused(t):
    h = t.scripted()
    def trace(n):
        return b"Received: from a by b; now\r\n" * n + b"Subject: round\r\n\r\nx\r\n"
    with begin(t) as c:
        assert c.mail("a@example.com", ["b@example.org"], trace(20)).code == 250
        n = len(h.complete())
        r = c.mail("a@example.com", ["b@example.org"], trace(60))
        assert r.code == 554 and r.text.startswith("5.4.6"), r
        assert len(h.complete()) == n
        # The same words in the body are text.
        r = c.mail("a@example.com", ["b@example.org"], b"\r\n" + trace(60))
        assert r.code == 250, r


@case(timeout=40)
def our_own_mail_coming_back_is_a_loop(t):
    """The next hop is the gateway itself."""
    conf = t.conf([(GW4, 25)], level="encrypt")
    t.gateway(t.times(conf, dot=5, banner=3, rcpt=5))
    with begin(t) as c:
        c.sock.settimeout(25)
        c.cmd("MAIL FROM:<a@example.com>", 250)
        r = c.cmd("RCPT TO:<b@example.org>")
        if r.code == 250:
            r = c.cmd("DATA")
            if r.code == 354:
                c.send(stuff(BODY))
                r = c.reply()
        assert r.code >= 400, r
    assert t.gw.proc.poll() is None


@case(timeout=40)
def a_message_over_the_size_is_refused(t):
    conf = t.conf([("192.0.2.21", 25)])
    conf["limits"] = {"message_size": 200000}
    h = t.hop()
    t.gateway(conf)
    with begin(t) as c:
        r = c.cmd("MAIL FROM:<a@example.com> SIZE=200001")
        assert r.code == 552, r
        r = c.mail("a@example.com", ["b@example.org"], b"x" * 500000)
        assert r.code == 552, r
        # The same by BDAT.
        c.envelope("a@example.com", "b@example.org")
        c.send(b"BDAT 300000 LAST\r\n" + b"y" * 300000)
        assert c.reply().code == 552
        assert not h.complete()
        assert c.mail("a@example.com", ["b@example.org"], b"x" * 100000).code == 250
    assert len(h.complete()) == 1


@case(timeout=40)
def silence_of_a_client_ends_its_session(t):
    h = t.scripted(times={"client_command": 1.5, "client_data": 1.5, "client_tls": 1.5})
    with begin(t) as c:
        assert c.reply().code == 421
        assert c.eof()
    with t.client(ca=t.ca) as c:
        c.ehlo()
        c.cmd("STARTTLS", 220)
        assert c.eof()	# no handshake comes
    with begin(t) as c:
        # A byte now and then does not help: the limit is for the whole command.
        began = time.monotonic()
        try:
            for ch in b"NOOP and more and more and more and more":
                c.send(bytes([ch]))
                if not c.silent(0.2):
                    break
        except OSError:
            pass
        assert time.monotonic() - began < 5
    with begin(t) as c:
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        c.send(b"Subject: slow\r\n\r\n")
        try:
            assert c.reply().code == 421
        except EOFError:
            pass
    assert not h.complete()
    t.counters_reach(timeouts=4, live_sessions=0)


# ---- smuggling ----

SMUGGLE = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n.\n", b"\r.\r\n", b"\n.\r",
           b"\r\n\0.\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"]


@case(timeout=60)
def only_crlf_dot_crlf_ends_a_message(t):
    h = t.scripted()
    for seq in SMUGGLE:
        n = len(h.complete())
        with begin(t) as c:
            c.envelope("a@example.com", "b@example.org")
            c.cmd("DATA", 354)
            c.send(b"Subject: s\r\n\r\nx" + seq + b"MAIL FROM:<smuggled@example.com>\r\n"
                   b"RCPT TO:<smuggled@example.org>\r\nDATA\r\nevil\r\n.\r\n")
            r = c.reply()
            assert r.code in (250, 550), (seq, r)
            # No second answer; after a refusal hanging up is right as well.
            assert c.silent(0.2) or (r.code == 550 and c.eof()), (seq, r)
        done = h.complete()[n:]
        assert len(done) == (r.code == 250), seq
        for m in done:
            rest = m.split()
            assert b"\nMAIL FROM:<smug" not in rest.replace(b"\r\n", b"\n").split(b"\n.\n")[-1] \
                or rest.endswith(b"evil\r\n.\r\n"), rest
    assert all("smuggled" not in ln for conn in h.conns for ln in conn.lines())


@case(timeout=30)
def what_is_not_smtp_is_hung_up_on(t):
    t.scripted()
    for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /x HTTP/1.0\r\n\r\n"):
        with t.client() as c:
            c.send(junk)
            r = c.reply()
            assert r.code in (421, 554), r
            assert c.eof()
    with t.client() as c:
        c.ehlo()
        codes = []
        for _ in range(40):
            try:
                codes.append(c.cmd("FROBNICATE").code)
            except (EOFError, OSError):
                break
        assert codes and codes[-1] == 421 and codes[0] == 500, codes
    # And garbage where TLS is due.
    with t.client(port=465, greet=False) as c:
        c.send(os.urandom(3000))
        c.sock.settimeout(5)
        try:
            while c.sock.recv(1000):
                pass
        except ConnectionResetError:
            pass


@case()
def local_commands_get_local_answers(t):
    h = t.scripted()
    with begin(t) as c:
        for line, code in (("NOOP", 250), ("VRFY b@example.org", 252), ("EXPN list", 502),
                           ("HELP", 214), ("RSET", 250), ("RCPT TO:<b@example.org>", 503),
                           ("DATA", 503), ("STARTTLS", 503), ("MAIL FROM:<a@example.com> X=1", 555),
                           ("MAIL FROM:<>", 250), ("MAIL FROM:<a@example.com>", 503)):
            r = c.cmd(line)
            assert r.code == code or (line.startswith("STARTTLS") and 500 <= r.code < 504), (line, r)
        c.quit()
    assert not h.conns, "nothing of this concerns the next hop"


@case()
def what_the_next_hop_lacks_is_said_to_the_client(t):
    h = t.scripted(hop={"keywords": ("PIPELINING", "SIZE 100000")})
    with begin(t) as c:
        c.cmd("MAIL FROM:<\u00fc@example.com> SMTPUTF8", 250)
        r = c.cmd("RCPT TO:<b@example.org>")
        assert r.code == 550 and r.text.startswith("5.6.7"), r
        c.cmd("RSET", 250)
        assert c.cmd("MAIL FROM:<a@example.com> BODY=7BIT", 250)
        assert c.cmd("RCPT TO:<b@example.org>", 250)
        c.cmd("RSET", 250)
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    assert len(h.complete()) == 1
