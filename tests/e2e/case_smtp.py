# SPDX-License-Identifier: BSD-3-Clause
"""SMTP as both sides see it: keywords, parameters, chunks, the Received field."""

import re
import time

from harness import case
from lablib import CLIENT4, CLIENT6, GW4, GW6
from peers import stuff

BODY = b"Subject: x\r\n\r\nhello\r\n"


@case()
def ehlo_offers_what_it_should_and_starttls_only_in_clear(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["listeners"].append({"name": "less", "port": 2525, "tls": "none", "action": "inbound",
                              "hostname": "mx.example.org",
                              "discard_keywords": ["CHUNKING", "DSN"]})
    t.gateway(conf)
    base = {"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN", "CHUNKING"}
    with t.client(ca=t.ca) as c:
        assert c.banner.text.startswith("mx.example.org"), c.banner
        plain = words(c.ehlo())
        c.starttls()
        tls = words(c.ehlo())
        assert c.cmd("STARTTLS").code in (500, 502, 503)
    assert plain == base | {"STARTTLS"} and tls == base, (plain, tls)
    with t.client(port=465, implicit=True, ca=t.ca) as c:
        assert words(c.ehlo()) == base
    with t.client(port=2525) as c:
        assert words(c.ehlo()) == base - {"CHUNKING", "DSN"}
        assert c.cmd("STARTTLS").code in (500, 502)
        c.cmd("MAIL FROM:<a@example.com>", 250)
        c.cmd("RCPT TO:<b@example.org>", 250)


def words(reply):
    return {ln.split()[0] for ln in reply.lines[1:]}


@case()
def a_reply_of_many_lines_comes_in_one_piece(t):
    t.scripted()
    with t.client() as c:
        for _ in range(20):
            c.send(b"EHLO client.example.com\r\n")
            got = c.sock.recv(65536)
            assert got.endswith(b"\r\n") and re.search(rb"(^|\n)250 [^\n]*\r\n$", got), got


@case()
def envelope_parameters_reach_the_next_hop(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        c.cmd("MAIL FROM:<\u00fcser@example.com> BODY=8BITMIME SMTPUTF8 SIZE=100 RET=HDRS "
              "ENVID=id+2B7", 250)
        c.cmd("RCPT TO:<b@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.org", 250)
        c.cmd('RCPT TO:<"odd name"@example.org>', 250)
        c.cmd("DATA", 354)
        c.send(stuff(BODY))
        assert c.reply().code == 250
    m = h.complete()[0]
    for part in ("FROM:<\u00fcser@example.com>", "BODY=8BITMIME", "SMTPUTF8", "RET=HDRS",
                 "ENVID=id+2B7"):
        assert part in m.sender, m.sender
    assert "NOTIFY=SUCCESS,FAILURE" in m.rcpts[0] and "ORCPT=rfc822;b@example.org" in m.rcpts[0], m.rcpts
    assert '<"odd name"@example.org>' in m.rcpts[1], m.rcpts


@case()
def the_null_sender_passes(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("", ["b@example.org"], BODY).code == 250
    assert h.complete()[0].sender.startswith("MAIL FROM:<>")


@case()
def received_names_the_client_and_its_tls(t):
    h = t.scripted()
    for addr, ip in ((GW4, CLIENT4), (GW6, CLIENT6)):
        for tls in (False, True):
            with t.client(addr, ca=t.ca, source=ip) as c:
                c.begin(tls)
                assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
                # RFC 5321 4.4, and no `for` with several recipients: it would tell Bcc.
                assert c.mail("a@example.com", ["b@example.org", "c@example.org"], BODY).code == 250
            one, two = h.complete()[-2:]
            for m in (one, two):
                assert m.split() == stuff(BODY), m.wire
                field = m.received.decode()
                literal = f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"
                assert field.startswith("Received: from client.example.com ("), field
                assert literal in field and "by mx.example.org" in field, field
                assert f"with {'ESMTPS' if tls else 'ESMTP'} id " in field, field
                assert ("TLS_AES" in field) == tls, field
                assert re.search(r";\s+\w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n$", field), field
                assert all(len(ln) <= 998 for ln in field.split("\r\n"))
            assert "for <b@example.org>" in one.received.decode()
            assert "for <" not in two.received.decode()


@case()
def received_can_be_left_out(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["listeners"][0]["received"] = False
    t.gateway(conf)
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    assert h.complete()[0].wire == stuff(BODY)


@case(timeout=60)
def dots_survive_every_split(t):
    """A message sent in two TCP segments, cut at each place in turn."""
    h = t.scripted()
    body = b"Subject: d\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n.\r\r\n"[:-3] + b"\r\n"
    wire = stuff(body)
    with t.client(timeout=20) as c:
        c.ehlo()
        for cut in range(1, len(wire)):
            c.envelope("a@example.com", "b@example.org")
            c.cmd("DATA", 354)
            c.send(wire[:cut])
            time.sleep(0.003)
            c.send(wire[cut:])
            r = c.reply()
            assert r.code == 250, (cut, r)
            assert h.complete()[-1].split() == wire, cut
        # And one byte at a time.
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        for b in wire:
            c.send(bytes([b]))
        assert c.reply().code == 250
        assert h.complete()[-1].split() == wire


@case()
def bdat_chunks_become_one_message(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        for chunks, want in (
                ([b"Subject: b\r\n\r\n", b".leading\r\n", b"tail"], b"Subject: b\r\n\r\n.leading\r\ntail"),
                ([b"a\r", b"\n.", b"\r\nb\r\n"], b"a\r\n.\r\nb\r\n"),
                ([b"x", b""], b"x"), ([b""], b"")):
            c.envelope("a@example.com", "b@example.org")
            for i, chunk in enumerate(chunks):
                last = b" LAST" if i + 1 == len(chunks) else b""
                c.send(b"BDAT %d%s\r\n" % (len(chunk), last) + chunk)
                assert c.reply().code == 250, chunks
            assert h.complete()[-1].split() == stuff(want), (chunks, h.complete()[-1].wire)
    assert not any("BDAT" in ln for conn in h.conns for ln in conn.lines())


@case()
def bdat_out_of_order_is_refused_and_its_bytes_swallowed(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        # No recipient: the chunk's bytes must not be read as commands.
        c.send(b"BDAT 17 LAST\r\nMAIL FROM:<e@x>\r\n")
        assert c.reply().code == 503
        assert c.silent(0.3)
        c.envelope("a@example.com", "b@example.org")
        c.send(b"BDAT 5\r\nhello")
        assert c.reply().code == 250
        assert c.cmd("DATA").code == 503
        assert c.cmd("MAIL FROM:<z@example.com>").code == 503
        c.cmd("RSET", 250)
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    for bad in ("-1", "+1", "0x10", "99999999999999999999", "", "x LAST", "1 LAST x"):
        with t.client(ca=t.ca) as c:
            c.begin()
            c.envelope("a@example.com", "b@example.org")
            assert c.cmd(f"BDAT {bad}".rstrip()).code in (500, 501, 552), bad
            # What is not a size cannot be swallowed: the session may end here.
            try:
                r = c.mail("a@example.com", ["b@example.org"], BODY)
                assert r.code in (250, 503), (bad, r)
            except (AssertionError, EOFError, OSError):
                pass
    assert not any(m.complete and b"hello" in m.wire and b"Subject" not in m.wire for m in h.messages)


@case()
def pipelined_transactions_are_answered_in_order(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        one = (b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nBDAT 3 LAST\r\nhi.")
        c.send(b"RSET\r\n" + one * 20 + b"NOOP\r\nQUIT\r\n")
        codes = [c.reply().code for _ in range(63)]
        assert codes == [250] * 62 + [221], codes
        assert c.eof()
    assert len(h.complete()) == 20


@case()
def replies_do_not_wait_for_acknowledgements(t):
    """Nagle against delayed ACK would cost 40 ms a round, tickets included."""
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["tls_profiles"]["mx"]["tickets"] = 2
    t.gateway(conf)
    with t.client(port=465, implicit=True, ca=t.ca) as c:
        c.ehlo()
        began = time.monotonic()
        for _ in range(40):
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
        took = time.monotonic() - began
    t.note(f"40 mails in lock-step in {took * 1000:.0f} ms")
    assert took < 3, took


@case()
def a_route_goes_by_domain_without_regard_to_case(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@EXAMPLE.Org", "c@example.net"], BODY).code == 250
    assert len(h.complete()[0].rcpts) == 2
