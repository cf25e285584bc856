# SPDX-License-Identifier: BSD-3-Clause
"""A running gateway is given other configurations, as an operator would; mail never notices."""

import copy
import json
import os
import shutil
import signal
import subprocess

from harness import case, wait_for
from lablib import make_cert

BODY = b"Subject: x\r\n\r\nhello\r\n"


def ctl(t, *args, stdin=None):
    """Exit code, output and errors of posternctl."""
    p = subprocess.run([f"{t.lab.build}/app/posternctl/posternctl", "-s",
                        t.gw.conf["control"]["socket"], *args], input=stdin, text=True,
                       capture_output=True, timeout=20, check=False)
    return p.returncode, p.stdout, p.stderr


def send(t):
    with t.client(ca=t.ca) as c:
        c.begin()
        assert c.mail("a@example.com", ["b@example.org"], BODY).code == 250


def shown(t):
    code, out, err = ctl(t, "config", "show")
    assert code == 0, err
    return out


@case()
def what_runs_is_shown_and_pushed_back_without_a_change(t):
    t.scripted()
    text = shown(t)
    assert json.loads(text) == t.gw.conf
    code, out, err = ctl(t, "config", "push", "-", stdin=text)
    assert (code, out) == (0, "no change\ngeneration 1 runs on\n"), out + err
    assert shown(t) == text


@case()
def a_session_finishes_under_the_configuration_it_began_with(t):
    t.scripted()
    conf = copy.deepcopy(t.gw.conf)
    conf["listeners"][0]["hostname"] = "other.example.org"
    conf["limits"]["message_size"] = 77777
    with t.client(ca=t.ca) as c:
        c.begin()
        c.envelope("a@example.com", "b@example.org")
        code, out, err = ctl(t, "config", "push", "-", stdin=json.dumps(conf))
        assert code == 0 and "generation 2 runs" in out, out + err
        assert "/listeners/0/hostname" in out and "/limits/message_size" in out, out
        assert t.gw.call("status")["old_generations_in_use"] == 1
        rows = t.gw.call("sessions.list")["sessions"]
        assert [(r["from"], r["generation"]) for r in rows] == [("<a@example.com>", 1)], rows
        with t.client(ca=t.ca) as new:
            assert "other.example.org" in str(new.banner)
            assert "SIZE 77777" in str(new.ehlo())
        c.cmd("DATA", 354)
        c.send(BODY + b".\r\n")
        assert c.reply().code == 250
    assert wait_for(lambda: t.gw.call("status")["old_generations_in_use"] == 0, 5)
    code, out, err = ctl(t, "config", "rollback")
    assert code == 0, err
    with t.client(ca=t.ca) as c:
        assert "other.example.org" not in str(c.banner)
    send(t)


@case()
def a_bad_push_says_where_as_postern_t_does_and_changes_nothing(t):
    t.scripted()
    before = shown(t)
    conf = copy.deepcopy(t.gw.conf)
    conf["limits"]["errors"] = 0
    conf["certificates"]["mx-ecdsa"]["chian"] = "x"
    path = f"{t.lab.dir}/bad.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump(conf, f)
    want = subprocess.run([f"{t.lab.build}/app/postern/postern", "-t", "-c", path], text=True,
                          capture_output=True, check=False).stderr
    for verb in ("check", "push"):
        code, out, err = ctl(t, "config", verb, path)
        assert code == 4 and err == want and out == "", (code, out, err, want)
    # What only the files tell is found as well: nothing is half published.
    conf = copy.deepcopy(t.gw.conf)
    conf["certificates"]["mx-ecdsa"]["chain"] = f"{t.lab.dir}/none.pem"
    code, _, err = ctl(t, "config", "push", "-", stdin=json.dumps(conf))
    assert code == 4 and "/certificates/mx-ecdsa" in err, err
    conf = copy.deepcopy(t.gw.conf)
    conf["dataplane"]["workers"] = 2
    code, _, err = ctl(t, "config", "push", "-", stdin=json.dumps(conf))
    assert code == 4 and "/dataplane/workers: restart_required" in err, err
    code, _, err = ctl(t, "--if-generation", "5", "config", "push", "-", stdin=before)
    assert code == 5, err
    assert shown(t) == before
    assert t.gw.call("status")["generation"] == 1
    send(t)


@case()
def a_new_certificate_in_the_same_file_is_taken_by_reload_and_by_sighup(t):
    d = f"{t.lab.dir}/live"
    os.makedirs(d, exist_ok=True)
    for name in ("lab-ca.pem", "lab-ca.key"):
        shutil.copy(f"{t.lab.dir}/certs/{name}", d)

    def renew():
        os.chmod(make_cert(d, "live", ["mx.example.org"]), 0o600)

    renew()
    h = t.hop()
    conf = t.conf([(h.addr, h.port)], 1, tls=h.tls)
    for c in conf["certificates"].values():
        c.clear()
        c["chain"] = f"{d}/live.pem"
    t.gateway(conf)

    def serial():
        with t.client(ca=t.ca) as c:
            c.ehlo()
            c.starttls()
            return c.sock.getpeercert()["serialNumber"]

    first = serial()
    renew()
    assert serial() == first, "nobody told it"
    code, out, err = ctl(t, "config", "reload")
    assert code == 0 and "no change\n" in out and "generation 2 runs" in out, out + err
    second = serial()
    assert second != first
    renew()
    t.gw.proc.send_signal(signal.SIGHUP)
    assert wait_for(lambda: t.gw.call("status")["generation"] == 3, 5)
    assert serial() not in (first, second)
    # A file that is half written changes nothing.
    with open(f"{d}/live.pem", "w", encoding="ascii") as f:
        f.write("-----BEGIN CERT")
    code, _, err = ctl(t, "config", "reload")
    assert code == 4 and "/certificates/" in err, err
    serial()


@case()
def socket_log_and_file_move_while_it_runs(t):
    t.scripted()
    send(t)
    old_socket, old_log = t.gw.conf["control"]["socket"], t.gw.conf["log"]["file"]
    conf = copy.deepcopy(t.gw.conf)
    conf["control"]["socket"] = f"{t.lab.dir}/moved.sock"
    conf["log"] = {"file": f"{t.lab.dir}/moved.log", "format": "json"}
    code, _, err = ctl(t, "config", "push", "-", stdin=json.dumps(conf))
    assert code == 0, err
    assert not os.path.exists(old_socket)
    t.gw.conf = conf
    send(t)
    assert wait_for(lambda: any(json.loads(x).get("status") == "sent"
                                for x in t.gw.log().splitlines()), 5)
    with open(old_log, encoding="utf-8") as f:
        assert not any(x.startswith("{") for x in f)
    code, out, err = ctl(t, "config", "save")
    assert code == 0 and t.gw.path in out, out + err
    with open(t.gw.path, encoding="utf-8") as f:
        assert f.read() == shown(t)
    t.gw.wait_log("audit", "config.save")


@case()
def a_session_is_killed_with_421_and_its_message_is_not_stored(t):
    h = t.scripted()
    with t.client(ca=t.ca) as c:
        c.begin()
        c.envelope("a@example.com", "b@example.org")
        c.cmd("DATA", 354)
        c.send(b"Subject: x\r\n\r\nhalf\r\n")
        row = t.gw.call("sessions.list")["sessions"][0]
        assert ctl(t, "session", "show", row["id"])[0] == 0
        code, out, err = ctl(t, "session", "kill", row["id"])
        assert code == 0, out + err
        assert c.reply().code == 421
        assert c.eof()
    assert not h.complete()
    assert ctl(t, "session", "kill", row["id"])[0] == 6
    send(t)
