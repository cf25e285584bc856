# SPDX-License-Identifier: BSD-3-Clause
"""What the gateway tells Prometheus while it works."""

import contextlib
import copy
import re
import shutil
import socket
import subprocess
import time

from harness import case, wait_for
from lablib import GW4, LabError, netns

BODY = b"Subject: x\r\n\r\nhello\r\n"
PORT = 9464
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def ask(t, request, port=PORT, address="127.0.0.1", ns=None, timeout=10):
    """Everything the server says to the bytes of a request, by default on the gateway's host."""
    with netns(ns or t.lab.gw):
        s = socket.socket()
    with s:
        s.settimeout(timeout)
        s.connect((address, port))
        s.sendall(request)
        out = b""
        with contextlib.suppress(ConnectionResetError):
            while got := s.recv(65536):
                out += got
    return out.decode()


def get(t, accept="", path="/metrics", **kw):
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\n" + (f"Accept: {accept}\r\n" if accept else "")
    status, _, rest = ask(t, f"{head}\r\n".encode(), **kw).partition("\r\n")
    fields, _, body = rest.partition("\r\n\r\n")
    return int(status.split()[1]), fields, body


def series(text):
    """name{labels} -> value"""
    return {m[1]: float(m[2]) for m in re.finditer(r"^(postern_[^ ]*(?:\{.*\})?) (\S+)$", text, re.M)}


def total(samples, name, /, **labels):
    """The sum of the series of a name that have these labels."""
    want = {f'{k}="{v}"' for k, v in labels.items()}
    return sum(v for k, v in samples.items()
               if k.partition("{")[0] == name and all(w in k for w in want))


def scrape(t, **kw):
    status, fields, body = get(t, OPENMETRICS, **kw)
    assert status == 200 and "application/openmetrics-text; version=1.0.0" in fields, fields
    assert body.endswith("# EOF\n")
    return series(body)


def measured(t, workers=1, **kw):
    h = t.hop(**kw)
    conf = t.conf([(h.addr, h.port)], workers, tls=h.tls)
    conf["metrics"] = {"address": "127.0.0.1", "port": PORT}
    t.gateway(conf)
    return h


def promtool(text):
    tool = shutil.which("promtool") or "/var/cache/postern-test/bin/promtool"
    p = subprocess.run([tool, "check", "metrics"], input=text, text=True, timeout=20,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert p.returncode == 0 and not p.stdout.strip(), p.stdout


@case()
def metrics_count_what_happened_and_promtool_accepts_them(t):
    measured(t, workers=2)
    before = scrape(t)
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
        during = scrape(t)
        assert total(during, "postern_sessions_live") == 1
    with t.client() as c:
        c.cmd("EHLO client.example.com", 250)
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
        assert c.cmd("RCPT TO:<b@example.org>").code == 503
    wait_for(lambda: total(scrape(t), "postern_sessions_live") == 0, 5)
    after = scrape(t)

    def rose(name, by, /, **labels):
        n = total(after, name, **labels) - total(before, name, **labels)
        assert n == by, f"{name} {labels} rose by {n}, not {by}"
    rose("postern_relay_transactions_sent_total", 2)
    rose("postern_handshakes_total", 1, leg="client", version="TLSv1.3", resumed=0)
    rose("postern_handshakes_total", 0, leg="client", version="TLSv1.2")
    rose("postern_handshake_seconds_count", 1, leg="client")
    rose("postern_plaintext_transactions_total", 1, leg="client")
    rose("postern_replies_total", 1, **{"class": "5xx"})
    rose("postern_relay_delivery_uncertain_total", 0)
    assert total(after, "postern_relay_body_bytes_total") > 2 * len(BODY)
    for w in (0, 1):
        name = f'postern_worker_loops_total{{worker="{w}"}}'
        assert after[name] > before[name], name
        assert 0 < after[f'postern_mbufs_in_use{{worker="{w}"}}'] < \
            after[f'postern_mbufs_limit{{worker="{w}"}}']
    # What the control socket says, says the scrape.
    assert t.counter("sessions") == total(scrape(t), "postern_relay_sessions_total")
    status, fields, classic = get(t)
    assert status == 200 and "text/plain; version=0.0.4" in fields
    promtool(classic)


@case()
def metrics_tell_certificates_versions_and_generation(t):
    measured(t)
    s = scrape(t)
    assert total(s, "postern_config_generation") == 1
    assert total(s, "postern_config_reload_total") == 0
    assert total(s, "postern_workers") == 1
    assert abs(total(s, "postern_start_time_seconds") - time.time()) < 60
    for name in ("mx-ecdsa", "mx-rsa"):
        end = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in",
                              t.gw.conf["certificates"][name]["chain"]], text=True, check=True,
                             stdout=subprocess.PIPE).stdout.strip().partition("=")[2]
        want = subprocess.run(["date", "-d", end, "+%s"], text=True, check=True,
                              stdout=subprocess.PIPE).stdout
        assert total(s, "postern_cert_not_after_seconds", name=name) == int(want)
    info = [k for k in s if k.startswith("postern_build_info")]
    assert len(info) == 1 and "OpenSSL 3" in info[0] and "DPDK" in info[0], info
    assert total(s, "postern_dpdk_heap_bytes") >= total(s, "postern_dpdk_heap_used_bytes") > 0
    assert total(s, "postern_tls_heap_bytes") > 0


@case()
def metrics_count_pushes_and_follow_them_to_another_port(t):
    measured(t)
    conf = copy.deepcopy(t.gw.conf)
    conf["routes"][0]["next_hop"] = "nowhere"
    try:
        t.gw.call("config.push", config=conf)
        raise AssertionError("a configuration with a fault was taken")
    except LabError as e:
        assert "/routes/0/next_hop" in str(e), e
    s = scrape(t)
    assert total(s, "postern_config_reload_total", result="refused") == 1
    assert total(s, "postern_config_reload_total", result="ok") == 0
    assert total(s, "postern_config_last_reload_refused") == 1
    assert total(s, "postern_config_generation") == 1
    conf = copy.deepcopy(t.gw.conf)
    conf["metrics"]["port"] = PORT + 1
    del conf["tls_profiles"]["mx"]["certificates"][1], conf["certificates"]["mx-rsa"]
    t.gw.call("config.push", config=conf)
    s = scrape(t, port=PORT + 1)
    assert total(s, "postern_config_reload_total", result="ok") == 1
    assert total(s, "postern_config_last_reload_refused") == 0
    assert total(s, "postern_config_generation") == 2
    assert not any("mx-rsa" in k for k in s)
    assert total(s, "postern_cert_not_after_seconds", name="mx-ecdsa") > time.time()
    with contextlib.suppress(ConnectionRefusedError):
        get(t)
        raise AssertionError("the old port still answers")
    del conf["metrics"]
    t.gw.call("config.push", config=conf)
    with contextlib.suppress(ConnectionRefusedError):
        get(t, port=PORT + 1)
        raise AssertionError("metrics go on without their section")


@case()
def metrics_are_not_on_the_gateways_own_ports_nor_without_a_section(t):
    measured(t)
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        ask(t, request, address=GW4, ns=t.lab.client)
        raise AssertionError("metrics answer on a port of the gateway")
    except ConnectionRefusedError:
        pass
    assert "postern_" not in ask(t, request, 25, GW4, ns=t.lab.client)
    assert t.gw.stop() == 0
    t.gateway(t.conf())
    try:
        ask(t, request)
        raise AssertionError("metrics are served without being asked for")
    except ConnectionRefusedError:
        pass


@case()
def hostile_scrapers_harm_neither_mail_nor_each_other(t):
    measured(t)
    held = []
    for _ in range(40):
        with netns(t.lab.gw):
            s = socket.socket()
        s.settimeout(5)
        with contextlib.suppress(OSError):
            s.connect(("127.0.0.1", PORT))
            s.sendall(b"GET /metr")
            held.append(s)
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    for s in held:
        s.close()

    def served():
        with contextlib.suppress(OSError, IndexError, ValueError):
            return get(t)[0] == 200
        return False
    assert wait_for(served, 10, 0.1)
    for request in (b"\x00" * 100000, b"GET " + b"/" * 100000, b"A: b\r\n" * 20000,
                    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"):
        with contextlib.suppress(OSError):
            assert "postern_" not in ask(t, request + b"\r\n\r\n")
    assert get(t, path="/")[0] == 404
    assert get(t)[0] == 200
