# SPDX-License-Identifier: BSD-3-Clause
"""Connections to next hops are kept, checked and used again."""

import time

from harness import case
from peers import Die, reset

BODY = b"Subject: x\r\n\r\nhello\r\n"


def send(t, n=1, rcpt="b@example.org"):
    """One session with n messages."""
    with t.client(ca=t.ca) as c:
        c.begin()
        for _ in range(n):
            r = c.mail("a@example.com", [rcpt], BODY)
            assert r.code == 250, r
        c.quit()


@case()
def a_connection_serves_several_sessions_with_rset_between(t):
    h = t.scripted()
    for _ in range(5):
        send(t)
    assert len(h.conns) == 1, [c.lines() for c in h.conns]
    lines = [ln.split()[0] for ln in h.conns[0].lines()]
    assert lines.count("MAIL") == 5 and lines.count("RSET") >= 4, lines
    for i, verb in enumerate(lines):
        if verb == "MAIL" and "MAIL" in lines[:i]:
            assert "RSET" in lines[lines[:i].index("MAIL"):i], lines
    assert t.counter("nexthop_reused") == 4
    assert len(h.complete()) == 5


@case()
def reuse_off_opens_a_connection_for_each_message(t):
    h = t.scripted(reuse="off")
    send(t, 3)
    send(t, 1)
    assert len(h.conns) == 4 and t.counter("nexthop_reused") == 0
    assert h.wait(lambda h: all("QUIT" in c.lines() for c in h.conns)), \
        [c.lines() for c in h.conns]


@case()
def reuse_session_keeps_a_connection_for_its_client(t):
    h = t.scripted(reuse="session")
    send(t, 3)
    send(t, 2)
    assert [len(c.messages) for c in h.conns] == [3, 2]


@case()
def reuse_is_limited_by_messages_and_age(t):
    h = t.scripted(reuse_messages=2)
    for _ in range(5):
        send(t)
    assert [len(c.messages) for c in h.conns] == [2, 2, 1], [len(c.messages) for c in h.conns]


@case()
def an_idle_connection_is_closed_with_quit(t):
    h = t.scripted(reuse_idle=1.5)
    send(t)
    assert h.wait(lambda h: h.conns[0].ended.is_set(), 6)
    assert h.conns[0].lines()[-1] == "QUIT" and h.conns[0].end == "quit", h.conns[0].lines()
    t.counters_reach(pooled_connections=0)


@case()
def a_connection_that_died_in_the_pool_is_replaced(t):
    h = t.scripted()
    send(t)
    h.conns[0].sock.close()  # FIN while pooled
    time.sleep(0.3)
    send(t)
    assert len(h.conns) == 2 and len(h.complete()) == 2
    reset(h.conns[1].sock)
    time.sleep(0.3)
    send(t)
    assert len(h.conns) == 3 and len(h.complete()) == 3


@case()
def a_connection_that_dies_when_used_again_is_retried_once(t):
    h = t.scripted()
    for stage in ("rset", "mail", "rcpt"):
        for how in (Die(), Die(rst=True)):
            h.on = {}
            send(t)
            old = h.conns[-1]
            h.on = {stage: lambda c, _, old=old, how=how: how if c is old else None}
            before = len(h.conns)
            send(t)
            assert len(h.conns) == before + 1, (stage, how)
    assert t.counter("nexthop_stale") >= 1


@case()
def a_421_in_the_pool_is_not_an_answer_to_anything(t):
    h = t.scripted()
    send(t)
    h.conns[0].say("421 4.4.2 timeout")
    h.conns[0].sock.close()
    time.sleep(0.3)
    send(t)
    assert len(h.conns) == 2 and len(h.complete()) == 2


@case()
def two_clients_at_a_time_do_not_share_a_connection(t):
    h = t.scripted()
    with t.client(ca=t.ca) as a, t.client(ca=t.ca) as b:
        for c in (a, b):
            c.begin()
            c.envelope("a@example.com", "b@example.org")
        for c in (a, b):
            c.cmd("DATA", 354)
        for c in (a, b):
            c.send(BODY + b".\r\n")
            assert c.reply().code == 250
    assert len(h.conns) == 2 and [len(c.messages) for c in h.conns] == [1, 1]


@case()
def a_failed_transaction_does_not_poison_the_connection(t):
    h = t.scripted(on={"rcpt": lambda _c, ln: "550 5.1.1 unknown" if "bad" in ln else None})
    with t.client(ca=t.ca) as c:
        c.begin()
        for _ in range(3):
            c.cmd("MAIL FROM:<a@example.com>", 250)
            c.cmd("RCPT TO:<bad@example.org>", 550)
            c.cmd("RSET", 250)
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    assert len(h.complete()) == 3
    assert all(len(m.rcpts) == 1 for m in h.complete())


@case()
def connections_of_different_next_hops_are_kept_apart(t):
    hops = [t.hop(addr=f"192.0.2.2{i}") for i in (1, 2)]
    conf = t.conf([("192.0.2.21", 25)])
    conf["next_hops"]["two"] = {**conf["next_hops"]["inside"], "hosts": [
        {"name": "mail.example.org", "address": "192.0.2.22"}]}
    # The same host under a looser policy is another class.
    conf["next_hops"]["loose"] = {**conf["next_hops"]["inside"], "level": "encrypt"}
    conf["routes"] = [{"domain": d, "next_hop": n} for d, n in
                      (("example.org", "inside"), ("two.example", "two"),
                       ("loose.example", "loose"))]
    t.gateway(conf)
    for _ in range(2):
        for d in ("example.org", "two.example", "loose.example"):
            send(t, rcpt=f"b@{d}")
    assert [len(h.conns) for h in hops] == [2, 1]
    for h in hops:
        for c in h.conns:
            assert len({m.rcpts[0].split("@")[1] for m in c.messages}) == 1
