# SPDX-License-Identifier: BSD-3-Clause
"""Starting, checking, asking, draining, stopping."""

import json
import os
import signal
import subprocess
import time

from harness import case, wait_for



BODY = b"Subject: x\r\n\r\nhello\r\n"


@case()
def drain_finishes_what_runs_and_ends_with_0(t):
    h = t.scripted()
    idle = t.client(ca=t.ca)
    idle.begin()
    with t.client(ca=t.ca) as c:
        c.begin()
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        c.send(b"Subject: drain\r\n\r\nfirst half\r\n")
        t.gw.proc.send_signal(signal.SIGTERM)
        # A session without a transaction is told to come back.
        assert idle.reply().code == 421
        assert idle.eof()
        try:
            with t.client(timeout=3) as late:
                assert late.banner.code == 421
        except (OSError, EOFError):
            pass  # a refused connection is as good
        time.sleep(0.5)
        assert t.gw.proc.poll() is None
        c.send(b"second half\r\n.\r\n")
        assert c.reply().code == 250
    assert t.gw.proc.wait(10) == 0
    assert h.complete()[0].wire.endswith(b"first half\r\nsecond half\r\n.\r\n")


@case()
def drain_cuts_what_takes_too_long(t):
    t.scripted(times={"drain": 1.5})
    with t.client(ca=t.ca) as c:
        c.begin()
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        began = time.monotonic()
        t.gw.proc.send_signal(signal.SIGTERM)
        assert t.gw.proc.wait(10) == 0
        assert time.monotonic() - began >= 1


@case()
def it_stops_with_thousands_of_mails_behind_it_and_starts_again(t):
    """A second instance takes over the control socket's path and the TAP's name."""
    for _ in range(2):
        h = t.scripted()
        with t.client(ca=t.ca) as c:
            c.begin()
            assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
        assert t.gw.stop() == 0
        assert not os.path.exists(t.gw.conf["control"]["socket"])
        h.stop()


@case()
def a_killed_instance_leaves_nothing_that_hinders_the_next(t):
    h = t.scripted()
    t.gw.proc.kill()
    t.gw.proc.wait(5)
    h.stop()
    t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250


def check(t, conf):
    path = f"{t.lab.dir}/check.json"
    with open(path, "w", encoding="utf-8") as f:
        f.write(conf if isinstance(conf, str) else json.dumps(conf))
    p = subprocess.run([f"{t.lab.build}/app/postern/postern", "-t", "-c", path], text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=20)
    return p.returncode, p.stdout


@case()
def check_names_each_fault_by_its_pointer(t):
    status, out = check(t, t.conf())
    assert status == 0, out
    bad = t.conf()
    bad["listeners"][0]["prot"] = 25
    bad["dataplane"]["workers"] = "two"
    bad["routes"][0]["next_hop"] = "nowhere"
    del bad["next_hops"]["inside"]["hosts"]
    status, out = check(t, bad)
    assert status == 1, (status, out)
    for pointer in ("/listeners/0/prot", "/dataplane/workers", "/routes/0/next_hop",
                    "/next_hops/inside/hosts"):
        assert pointer in out, (pointer, out)
    bad = t.conf()
    bad["certificates"]["mx-ecdsa"]["chain"] = f"{t.lab.dir}/none.pem"
    bad["certificates"]["mx-rsa"]["key"] = f"{t.lab.dir}/certs/mx-ecdsa.key"
    bad["next_hops"]["inside"]["ca_file"] = f"{t.lab.dir}/none-either.pem"
    status, out = check(t, bad)
    assert status == 1, (status, out)
    for pointer in ("/certificates/mx-ecdsa", "/certificates/mx-rsa", "/next_hops/inside"):
        assert pointer in out, (pointer, out)
    for text in ("", "{", "[]", "nul", '{"version":1,"version":1}'):
        status, out = check(t, text)
        assert status == 1 and out.strip(), (text, status, out)


@case()
def status_and_stats_answer_on_the_control_socket(t):
    t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
        assert t.counter("transactions_sent") == 1
        assert t.counter("sessions") >= 1
        assert t.counter("client_handshakes") >= 1
        status = t.gw.call("status")
        assert isinstance(status, dict) and status, status
    text = t.gw.ctl("status")
    assert "lan" in text, text
    text = t.gw.ctl("stats")
    assert "transactions_sent" in text, text
    mode = os.stat(t.gw.conf["control"]["socket"]).st_mode & 0o777
    assert mode == 0o660, oct(mode)


@case()
def strange_requests_on_the_control_socket_do_no_harm(t):
    import socket
    t.scripted()

    def ask(data):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(3)
            s.connect(t.gw.conf["control"]["socket"])
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                out = b""
                while got := s.recv(65536):
                    out += got
                return out
            except (ConnectionResetError, BrokenPipeError, TimeoutError):
                return b""
    for data, code in ((b"{\n", -32700), (b"[]\n", -32600), (b'{"jsonrpc":"2.0","id":1}\n', -32600),
                       (b'{"jsonrpc":"2.0","id":1,"method":"frobnicate"}\n', -32601)):
        out = ask(data)
        assert json.loads(out.splitlines()[0])["error"]["code"] == code, (data, out)
    ask(b"x" * 5000000)
    ask(b"[" * 100000 + b"\n")
    ask(b"\0\n\xff\n")
    two = ask(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n{"jsonrpc":"2.0","id":2,"method":"stats"}\n')
    assert [json.loads(x)["id"] for x in two.splitlines()] == [1, 2]
    assert t.gw.call("status")


@case()
def a_second_instance_on_the_same_socket_refuses_to_start(t):
    t.scripted()
    conf = json.loads(json.dumps(t.gw.conf))
    conf["dataplane"]["ports"][0]["iface"] = "lan9"
    conf["log"]["file"] = f"{t.lab.dir}/second.log"
    second = t.lab.start_gateway(conf, wait=False)
    assert second.proc.wait(20) != 0
    assert t.gw.call("status")


@case()
def the_log_is_opened_again_on_sighup(t):
    t.scripted()
    path = t.gw.conf["log"]["file"]
    os.rename(path, path + ".1")
    t.gw.proc.send_signal(signal.SIGHUP)
    assert wait_for(lambda: os.path.exists(path), 5)
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    t.gw.wait_log("status=sent")


@case()
def the_log_can_be_json(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf["log"]["format"] = "json"
    t.gateway(conf)
    with t.client(ca=t.ca) as c:
        c.ehlo('quo"te\\x')
        c.starttls()
        c.ehlo()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250
    t.gw.wait_log('"status":"sent"')
    lines = [json.loads(ln) for ln in t.gw.log().splitlines()]
    sent = [ln for ln in lines if ln.get("status") == "sent"]
    assert len(sent) == 1 and "a@example.com" in sent[0]["from"], sent


@case()
def the_log_escapes_what_the_network_says(t):
    t.scripted()
    with t.client() as c:
        c.send(b"EHLO x\x1b[31m\x07\x00y\r\n")
        c.reply()
        c.send(b"MAIL FROM:<\x1b@\xff.example> status=sent\r\n")
        c.reply()
    time.sleep(0.3)
    with open(t.gw.conf["log"]["file"], "rb") as f:
        raw = f.read()
    assert not any(b < 32 and b != 10 for b in raw), raw


@case(timeout=40)
def too_many_sessions_get_421(t):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)])
    conf.setdefault("limits", {})["sessions"] = 20
    t.gateway(conf)
    assert wait_for(lambda: t.counter("live_sessions") == 0, 5)
    held = []
    try:
        for _ in range(20):
            held.append(t.client())
            assert held[-1].banner.code == 220
        with t.client() as c:
            assert c.banner.code == 421, c.banner
            assert c.eof()
    finally:
        for c in held:
            c.close()
    assert wait_for(lambda: t.counter("live_sessions") == 0, 5)
    with t.client() as c:
        assert c.banner.code == 220
