# SPDX-License-Identifier: BSD-3-Clause
"""Several workers on a port with one queue, and very many quiet clients."""

import concurrent.futures
import resource
import select

from harness import case, wait_for
from lablib import GW4, GW6
from peers import Client, client_context

BODY = b"Subject: x\r\n\r\nhello\r\n" + b"0123456789" * 2000 + b"\r\n"


def mails_from_many_ports(t, n=60):
    def one(k):
        with t.client(GW6 if k % 2 else GW4, ca=t.ca, timeout=40) as c:
            c.begin()
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
            c.quit()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(n)))


@case(timeout=60, ports=("tap", "af_packet"))
def two_workers_share_one_queue(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)], workers=2)
    conf["dataplane"]["ports"][0]["queues"] = 1
    t.gateway(conf)
    mails_from_many_ports(t)
    assert len(h.complete()) == 60
    shares = t.per_worker("sessions")
    t.note(f"sessions by worker: {shares}; steered {t.counter('steer_sent')}, "
           f"to a wrong owner {t.counter('steer_wrong_owner')}")
    assert len(shares) == 2 and min(shares) >= 5, shares
    # Both families, both legs; the owner is computed anew for each segment.
    assert t.counter("steer_sent") > 0
    assert t.counter("steer_wrong_owner") == 0
    assert min(t.per_worker("nexthop_connects")) >= 1


@case(timeout=60)
def an_injected_misroute_is_counted_and_mail_still_flows(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)], workers=2)
    conf["dataplane"]["ports"][0]["queues"] = 1
    conf["dataplane"]["test"] = {"misroute_every": 100}
    t.gateway(conf)
    mails_from_many_ports(t)
    assert len(h.complete()) == 60
    wrong = t.counter("steer_wrong_owner")
    t.note(f"segments to a wrong owner: {wrong}")
    assert wrong > 0


def memory(t):
    """Resident KiB of the gateway."""
    with open(f"/proc/{t.gw.proc.pid}/status", encoding="ascii") as f:
        return next(int(ln.split()[1]) for ln in f if ln.startswith("VmRSS"))


def live(t):
    """Bytes that live sessions hold: what OpenSSL has, the sessions' records, the TCBs."""
    m = t.gw.call("status")["memory"]
    w = t.stats()["workers"]
    return m["tls_live_bytes"] + sum(x["sessions"] * m["session_bytes"] +
                                     x["tcp_connections"] * x["tcb_bytes"] for x in w)


@case(timeout=240)
def five_thousand_idle_tls_sessions(t):
    count = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > count + 200, f"only {hard} descriptors"
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["dataplane"]["memory_mb"] = 1024
    # All of them come from one address.
    conf.setdefault("limits", {}).update(sessions_per_address=0, handshakes_per_address=0)
    t.gateway(conf)
    ctx = client_context(t.ca)
    held = []

    def open_one(_):
        c = Client(t.lab.client, GW4, timeout=60)
        c.ehlo()
        c.cmd("STARTTLS", 220)
        c.tls(ctx)
        c.ehlo()
        return c
    try:
        # The first ones warm pools and caches up.
        held += [open_one(k) for k in range(100)]
        rss, bytes_ = memory(t), live(t)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            held += pool.map(open_one, range(count - len(held)))
        assert wait_for(lambda: t.counter("live_sessions") == count, 5)
        n = count - 100
        rss = (memory(t) - rss) / n
        each = (live(t) - bytes_) / n / 1024
        t.note(f"{count} idle TLS sessions: RSS {memory(t) // 1024} MiB, {rss:.1f} KiB each; "
               f"live {each:.1f} KiB each (goal for the client leg: 16.5)")
        assert each <= 16.5, each
        # They are idle, not dead.
        for c in held[::500]:
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
        assert not select.select([c.sock for c in held[:500]], [], [], 0)[0]
    finally:
        for c in held:
            c.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    t.counters_reach(30, live_sessions=0)
    # Each of them gave back what it held.
    assert wait_for(lambda: max(t.per_worker("mbufs_in_use")) < 3000, 10), t.per_worker("mbufs_in_use")
