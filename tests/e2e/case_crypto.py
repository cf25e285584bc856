# SPDX-License-Identifier: BSD-3-Clause
"""The crypto engine as an operator has it: back-ends configured, seen, changed, refused."""

import copy
import os
import re

from harness import Skip, case, wait_for
from lablib import LabError
from outside import check, ctl, push
from peers import client_context

BODY = b"Subject: x\r\n\r\nhello\r\n"
CORES = {"driver": "lcore", "lcores": 1}
KEYS = {"ecdsa": (25, 465), "rsa": (26, 466)}


def both_keys(t, conf, **crypto):
    """conf with a listener of either kind for each kind of key, and this crypto section."""
    for kind in KEYS:
        conf["tls_profiles"][kind] = {"certificates": [f"mx-{kind}"]}
        conf["actions"][kind] = {"starttls_profile": kind, "implicit_profile": kind}
    conf["listeners"] = [
        {"name": f"{kind}{port}", "address": "any", "port": port, "action": kind,
         "tls": "starttls" if port < 100 else "implicit", "hostname": "mx.example.org"}
        for kind, ports in KEYS.items() for port in ports]
    conf["crypto"] = crypto
    return conf


def send(t, port, ctx=None):
    """One message; the client checks the certificate."""
    ctx = ctx or client_context(t.ca)
    with t.client(port=port, greet=port < 100, timeout=30) as c:
        if port > 100:
            c.tls(ctx)
            c.banner = c.reply()
        c.ehlo()
        if port < 100:
            c.starttls(ctx)
            c.ehlo()
        r = c.mail("a@example.com", ["b@example.org"], BODY)
        assert r.code == 250, r
        c.quit()


def send_all(t, rounds=1):
    ports = [p for ports in KEYS.values() for p in ports]
    for _ in range(rounds):
        for port in ports:
            send(t, port)
    return rounds * len(ports)


def kinds(t):
    """{kind: (asked, offloaded)} of all workers."""
    return {o["kind"]: (o["asked"], o["offloaded"])
            for o in t.gw.call("crypto.show")["total"]["operations"]}


def backend(t, name):
    """What workers say of it, and what it says itself."""
    r = t.gw.call("crypto.show")
    return {**next(b for b in r["backends"] if b["name"] == name),
            **next(b for b in r["total"]["backends"] if b["name"] == name)}


def grown(before, after, kind):
    return tuple(b - a for a, b in zip(before[kind], after[kind]))


def nothing_is_left(t, timeout=10):
    """Every operation and every job is back where it came from."""
    last = {}

    def there():
        last.update(t.gw.call("crypto.show")["total"])
        ops, jobs = last["pools"]["ops"], last["pools"]["jobs"]
        return (ops["free"] == ops["total"] > 0 and ops["quarantined"] == 0 and
                jobs["in_use"] == jobs["waiting"] == 0 and
                not any(b["out"] for b in last["backends"]))
    assert wait_for(there, timeout, 0.1), last


@case(timeout=60)
def handshakes_of_both_keys_are_done_on_crypto_lcores(t):
    h = t.hop()
    t.gateway(both_keys(t, t.conf([(h.addr, h.port)], workers=2, reuse="off"),
                        backends={"cores": CORES}, deadline=5))
    n = send_all(t, 2)
    assert len(h.complete()) == n
    k = kinds(t)
    t.note(f"{n} messages: {k}")
    for kind in ("ecdsa_sign", "rsa_sign"):
        assert k[kind] == (n // 2, n // 2), (kind, k)
    # A key and a secret for each leg; where the next hop's session was not resumed, signatures too.
    for kind in ("keygen", "derive"):
        assert k[kind] == (2 * n, 2 * n), (kind, k)
    assert k["verify"][0] == k["verify"][1] > 0, k
    assert k["rsa_decrypt"] == k["eddsa_sign"] == (0, 0), k
    b = backend(t, "cores")
    assert b["breaker"] == "closed" and b["completed"] == sum(o for _, o in k.values()), b
    assert b["ops"] == b["completed"] and b["cpu"] > 0 and not b["failed"] and not b["timeouts"], b
    nothing_is_left(t)
    code, out = ctl(t, "--per-worker", "crypto")
    assert code == 0 and re.search(r"^cores +lcore +closed +0 +[1-9]\d* +0 +0 ", out, re.M), out
    assert re.search(rf"^rsa_sign +{n // 2} +{n // 2} .* us +cores, sync$", out, re.M), out
    assert "\nworker 1\n" in out and "redone" not in out, out
    code, out = ctl(t, "status")
    assert "crypto      1 back-ends, 0 with an open breaker\n" in out, out
    assert t.counter("submitted") == b["completed"] and t.counter("paused") > 0


@case(timeout=90)
def mail_goes_on_while_a_back_end_misbehaves(t):
    """Whatever it does but to give a wrong secret, which only the peer can find out."""
    h = t.hop()
    drill = {"driver": "fault", "around": "cores", "options": {
        "seed": "5", "drop": "40", "error": "100", "delay": "100", "reorder": "50", "double": "50",
        "late": "40", "stall": "20", "full": "50", "partial": "50", "delay_us": "1000",
        "lost_ms": "200"}}
    t.gateway(both_keys(t, t.conf([(h.addr, h.port)], reuse="off"),
                        backends={"cores": CORES, "drill": drill}, operations={"default": ["drill"]},
                        deadline=0.05, breaker_after=1000000))
    n = send_all(t, 10)
    assert len(h.complete()) == n
    b = backend(t, "drill")
    t.note(f"{n} messages: injected {b['injected']}, failed {b['failed']}, late {b['timeouts']}, "
           f"redone {t.counter('redone')}")
    assert b["around"] == "cores" and b["injected"] > 0, b
    assert b["failed"] > 0 and b["timeouts"] > 0 and t.counter("redone") > 0, b
    nothing_is_left(t)
    code, out = ctl(t, "crypto")
    assert code == 0 and "around cores, " in out and re.search(r"^redone +\d+ ", out, re.M), out


@case(timeout=60)
def a_breaker_opens_and_mail_goes_round_the_back_end(t):
    h = t.hop()
    drill = {"driver": "fault", "around": "cores", "options": {"error": "1000"}}
    t.gateway(both_keys(t, t.conf([(h.addr, h.port)], reuse="off"), probe=3600, breaker_after=3,
                        backends={"cores": CORES, "drill": drill}, deadline=5))
    n = send_all(t, 2)
    assert len(h.complete()) == n
    b = backend(t, "drill")
    assert b["breaker"] == "open" and b["completed"] == 0 and 3 <= b["failed"] < 10, b
    assert t.counter("breaker_opened") == 1, b
    code, out = ctl(t, "status")
    assert "crypto      2 back-ends, 1 with an open breaker\n" in out, out
    nothing_is_left(t)


@case(timeout=60)
def the_order_of_back_ends_is_changed_while_mail_flows(t):
    h = t.hop()
    conf = both_keys(t, t.conf([(h.addr, h.port)], reuse="off"), backends={"cores": CORES},
                     deadline=5)
    t.gateway(copy.deepcopy(conf))
    send_all(t)
    before = kinds(t)
    assert before["rsa_sign"][1] == before["rsa_sign"][0] > 0, before
    conf["crypto"]["operations"] = {"default": ["cores"], "rsa_sign": ["sync"], "derive": []}
    push(t, copy.deepcopy(conf))
    send_all(t)
    after = kinds(t)
    asked, offloaded = grown(before, after, "rsa_sign")
    assert asked == 2 and offloaded == 0, (before, after)
    asked, offloaded = grown(before, after, "derive")
    assert asked > 0 and offloaded == 0, (before, after)
    asked, offloaded = grown(before, after, "ecdsa_sign")
    assert asked == offloaded == 2, (before, after)
    code, out = ctl(t, "crypto")
    assert re.search(r"^rsa_sign .*  sync$", out, re.M), out
    # Back, as any other change.
    code, out = ctl(t, "config", "rollback")
    assert code == 0, out
    send_all(t)
    assert grown(after, kinds(t), "rsa_sign") == (2, 2), (after, kinds(t))
    # What is fixed at start is refused with its place, and nothing changed.
    for change, pointer in (({"ops": 64}, "/crypto/ops"), ({"jobs": 64}, "/crypto/jobs"),
                            ({"backends": {"cores": CORES, "more": CORES}}, "/crypto/backends"),
                            ({"backends": {"cores": {**CORES, "depth": 8}}},
                             "/crypto/backends/cores/depth")):
        other = copy.deepcopy(conf)
        other["crypto"].update(change)
        try:
            push(t, other)
        except LabError as e:
            assert "restart_required" in str(e) and pointer in str(e), e
        else:
            raise AssertionError(f"{change} was taken")
    other = copy.deepcopy(conf)
    other["crypto"]["operations"]["derive"] = ["qat"]
    try:
        push(t, other)
    except LabError as e:
        assert "/crypto/operations/derive/0" in str(e) and "qat" in str(e), e
    else:
        raise AssertionError("a back-end that is not there was taken")
    send_all(t)
    nothing_is_left(t)


@case(timeout=60)
def without_forward_secrecy_there_is_no_key_exchange_to_do(t):
    h = t.hop(tls="none")
    conf = t.conf([(h.addr, h.port)], tls="none")
    conf["tls_profiles"]["mx"].update(certificates=["mx-rsa"], sender={"pfs": "none"})
    conf["crypto"] = {"backends": {"cores": CORES}, "deadline": 5}
    t.gateway(conf)
    ctx = client_context(t.ca)
    ctx.set_ciphers("AES128-GCM-SHA256")
    for port in (25, 465, 25):
        send(t, port, ctx)
    k = kinds(t)
    assert k["rsa_decrypt"] == (3, 3), k
    assert all(v == (0, 0) for kind, v in k.items() if kind != "rsa_decrypt"), k
    nothing_is_left(t)


@case(timeout=60)
def a_model_forbids_and_requires_drivers(t):
    conf = t.conf([("192.0.2.21", 25)])
    conf["models"] = {
        "generic": {"pfs_capable": True},
        "small": {"pfs_capable": True, "crypto_forbid": ["lcore", "named"]},
        "large": {"pfs_capable": True, "crypto_require": "lcore"}}
    conf["crypto"] = {"backends": {"cores": CORES}}
    for model in ("generic", "large"):
        code, out = check(t, conf, "--model", model)
        assert code == 0, out
    code, out = check(t, conf, "--model", "small")
    assert code == 1 and "/crypto/backends/cores/driver: model small forbids" in out, out
    named = {**conf, "crypto": {"named": {"engine": "e"}}}
    code, out = check(t, named, "--model", "small")
    assert code == 1 and "/crypto/named: model small forbids" in out, out
    conf["model"] = "large"
    t.gateway(copy.deepcopy(conf))
    # A push cannot take the driver out of use either.
    other = copy.deepcopy(conf)
    other["crypto"]["operations"] = {"default": ["sync"]}
    try:
        push(t, other)
    except LabError as e:
        assert "/crypto" in str(e) and "model large requires" in str(e), e
    else:
        raise AssertionError("the model's driver could be put out of use")
    code, out = check(t, {**conf, "crypto": {}})
    assert code == 1 and "/crypto: model large requires crypto driver \"lcore\"" in out, out


@case(timeout=30)
def what_is_wrong_with_back_ends_is_told_before_the_start(t):
    def fault(crypto, *words, **sections):
        conf = {**t.conf([("192.0.2.21", 25)]), "crypto": crypto, **sections}
        code, out = check(t, conf)
        line = next((ln for ln in out.splitlines() if all(w in ln for w in words)), None)
        assert code == 1 and line, (words, out)
        t.note(line.replace(t.lab.dir, "DIR"))

    fault({"backends": {"q": {"driver": "qta"}}}, "/crypto/backends/q/driver", "known are: sync, lcore")
    fault({"backends": {"c": {**CORES, "cores": [1000]}}}, "/crypto/backends/c/cores/0", "not there")
    fault({"backends": {"c": {**CORES, "options": {"speed": "9"}}}}, "/crypto/backends/c", "speed")
    fault({"backends": {"d": {"driver": "fault"}}}, "/crypto/backends/d/around", "missing")
    fault({"backends": {"d": {"driver": "fault", "around": "c"}, "c": CORES}},
          "/crypto/backends/d/around", "put it above")
    fault({"backends": {"c": CORES}, "operations": {"derive": ["qat"]}},
          "/crypto/operations/derive/0", "no crypto back-end \"qat\"")
    fault({"backends": {"c": CORES}, "named": {"engine": "e"}}, "/crypto/named", "either")
    fault({}, "/models/generic/crypto_forbid/0", "known are",
          models={"generic": {"pfs_capable": True, "crypto_forbid": ["lcor"]}})
    # Two threads on one core can run: a warning.
    conf = t.conf([("192.0.2.21", 25)])
    conf["dataplane"]["cores"] = [0]
    conf["crypto"] = {"backends": {"c": {**CORES, "cores": [0]}}}
    code, out = check(t, conf)
    assert code == 0 and "warning: /crypto/backends/c/cores/0: a worker has core 0 too" in out, out


@case(timeout=60)
def an_engine_by_name_signs_for_all_workers(t):
    module = f"{t.lab.build}/tests/unit/named/engine_async.so"
    if not os.path.exists(module):
        raise Skip("this build has OpenSSL in the program itself, and no engines")
    h = t.hop()
    named = {"engine": "pst-async", "path": module,
             "settings": {"MODE": "thread", "DELAY_US": "500"}}
    conf = both_keys(t, t.conf([(h.addr, h.port)], workers=2, reuse="off"), named=named)
    t.gateway(copy.deepcopy(conf))
    n = send_all(t, 2)
    assert len(h.complete()) == n
    code, out = ctl(t, "status")
    assert code == 0 and "crypto      by OpenSSL's pst-async\n" in out, out
    code, out = ctl(t, "crypto")
    assert code == 0 and out.startswith("OpenSSL engine pst-async\n"), out
    conf["crypto"]["named"]["settings"]["DELAY_US"] = "1"
    try:
        push(t, conf)
    except LabError as e:
        assert "restart_required" in str(e) and "/crypto/named/settings" in str(e), e
    else:
        raise AssertionError("another setting was taken")
