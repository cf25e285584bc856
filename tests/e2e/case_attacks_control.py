# SPDX-License-Identifier: BSD-3-Clause
"""T21: the control socket and the configuration as ways in."""

import contextlib
import grp
import json
import os
import shutil
import socket
import stat
import subprocess

from case_attacks import alive
from case_control import connect, line
from harness import case
from lablib import LabError


def push(t, text):
    """A config.push of this JSON text; the error, or None for a success."""
    with connect(t, 20) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"config.push","params":{"config":' + text +
                      b"}}\n")
        got = line(s)
    if got is None:  # too long a line: hung up on
        return {"message": "closed"}
    assert "error" in got or "result" in got, got
    return got.get("error")


def check_file(t, text):
    """postern -t: (exit status, output)."""
    path = f"{t.lab.dir}/hostile.json"
    with open(path, "wb") as f:
        f.write(text)
    p = subprocess.run([f"{t.lab.build}/app/postern/postern", "-t", "-c", path], timeout=30,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return p.returncode, p.stdout.decode("utf-8", "replace")


def texts(conf):
    """Documents that are no configuration: what is wrong, and the text."""
    good = json.dumps(conf)
    at = good.index('"version"')

    def with_(extra):
        return (good[:at] + extra + good[at:]).encode()
    deep = b"[" * 100000 + b"]" * 100000
    return {
        "nested 100,000 deep": deep,
        "objects 50,000 deep": b'{"a":' * 50000 + b"1" + b"}" * 50000,
        "nested 40 deep in a key": with_('"_comment":' + "[" * 40 + "]" * 40 + ","),
        "a key twice": with_('"version":1,'),
        "a key twice, deep down": good.replace('"workers"', '"workers": 1, "workers"', 1).encode(),
        "a key twice by an escape": with_('"versio\\u006e":1,'),
        "NaN": with_('"limits":{"timeouts":{"connect":NaN}},'),
        "Infinity": with_('"limits":{"timeouts":{"connect":Infinity}},'),
        "minus Infinity": with_('"limits":{"timeouts":{"connect":-Infinity}},'),
        "beyond a double": with_('"limits":{"timeouts":{"connect":1e999}},'),
        "beyond 64 bits": with_('"limits":{"recipients":99999999999999999999999},'),
        "negative": with_('"limits":{"recipients":-1},'),
        "a fraction for a number": with_('"limits":{"recipients":1.5},'),
        "a NUL in a string": good.replace('"mx.example.org"', '"mx\\u0000.example.org"', 1).encode(),
        "a line break in a string": good.replace('"mx.example.org"', '"mx\\r\\nX: y"', 1).encode(),
        "no UTF-8": good.encode().replace(b"mx.example.org", b"mx.\xff\xfe.org", 1),
        "half a surrogate": good.replace("mx.example.org", "mx.\\ud800.org", 1).encode(),
        "a BOM": b"\xef\xbb\xbf" + good.encode(),
        "something behind it": good.encode() + b' "and more"',
        "an array": b"[" + good.encode() + b"]",
        "comments": with_("/* x */"),
        "a comma too many": good[:-1].encode() + b",}",
        "an unknown key": with_('"__proto__":{},'),
        "32 MiB of a string": with_('"_comment":"' + "x" * (32 << 20) + '",'),
    }


@case(timeout=120)
def T21_json_that_is_none_changes_nothing(t):
    t.scripted()
    before = t.gw.call("status")["generation"]
    for what, text in texts(t.gw.conf).items():
        # One line a request: where the text is pushed it has no line breaks of its own.
        err = push(t, text.replace(b"\n", b" "))
        assert err is not None, f"{what}: was taken"
        if len(text) < 1 << 20 and "surrogate" not in what:
            status, out = check_file(t, text)
            assert status == 1 and out.strip(), (what, status, out)
            assert "/" in out or "line" in out, (what, out)
    assert t.gw.call("status")["generation"] == before
    with connect(t) as s:
        s.sendall(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"status"}\n{"jsonrpc":"2.0","id":NaN,'
                  b'"method":"status"}\n{"jsonrpc":"2.0","id":3,"method":"status"}\n')
        f = s.makefile("rb")
        assert [json.loads(f.readline()).get("id") for _ in range(3)] == [None, None, 3]
    alive(t)


@case(timeout=60)
def T21_a_key_file_is_judged_by_what_it_leads_to(t):
    t.scripted()
    conf = t.gw.conf
    certs = f"{t.lab.dir}/certs"
    here = f"{t.lab.dir}/links"
    os.makedirs(here)
    shutil.copy(f"{certs}/mx-ecdsa.key", f"{here}/open.key")
    os.chmod(f"{here}/open.key", 0o644)
    os.mkfifo(f"{here}/fifo")
    os.mkdir(f"{here}/dir")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"{here}/sock")
    with open(f"{here}/huge", "wb") as f:
        f.truncate(1 << 33)
    os.chmod(f"{here}/huge", 0o600)
    links = {"open.key": f"{here}/open.key", "fifo": f"{here}/fifo", "dir": f"{here}/dir",
             "zero": "/dev/zero", "null": "/dev/null", "sock": f"{here}/sock", "gone": f"{here}/none",
             "loop": f"{here}/l-loop", "huge": f"{here}/huge", "other": f"{certs}/mail.key",
             "passwd": "/etc/passwd"}
    before = t.gw.call("status")["generation"]

    def using(path):
        new = json.loads(json.dumps(conf))
        new["certificates"]["mx-ecdsa"]["key"] = path
        return json.dumps(new).encode()
    for name, target in links.items():
        os.symlink(target, f"{here}/l-{name}")
        for path in (f"{here}/l-{name}", target):
            try:
                err = push(t, using(path))
            except TimeoutError:
                raise AssertionError(f"no answer for {path}") from None
            assert err is not None, f"{path} was taken for a key"
            text = json.dumps(err)
            assert "/certificates/mx-ecdsa" in text and "BEGIN" not in text and "root:" not in text, text
    assert t.gw.call("status")["generation"] == before
    # A link to a good key is what certificate tools leave behind, and is followed.
    os.symlink(f"{certs}/mx-ecdsa.key", f"{here}/l-good")
    assert push(t, using(f"{here}/l-good")) is None
    sock.close()
    alive(t)


@case(timeout=60)
def T21_the_socket_is_for_its_owner_and_group_alone(t):
    t.scripted()
    path = t.gw.conf["control"]["socket"]
    st = os.stat(path)
    assert stat.S_IMODE(st.st_mode) == 0o660 and st.st_uid == 0, oct(st.st_mode)
    names = {g.gr_name for g in grp.getgrall()}
    if "postern" in names:
        assert st.st_gid == grp.getgrnam("postern").gr_gid
    ask = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
           "s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\\n'); "
           "print(s.recv(100))")

    def try_as(*who):
        return subprocess.run(["setpriv", *who, "/usr/bin/python3", "-c", ask, path], text=True,
                              timeout=20, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    nobody = ("--reuid=65534", "--clear-groups")
    assert "PermissionError" in try_as(*nobody, "--regid=65534")
    assert "jsonrpc" in try_as("--reuid=65534", f"--regid={st.st_gid}", "--clear-groups")
    # Who asked for a change is in the log.
    with contextlib.suppress(LabError):
        t.gw.ctl("log", "level", "info")
    # A second gateway does not take a socket that is in use; a stranger's file is left alone.
    other = {**t.gw.conf, "control": {"socket": f"{t.lab.dir}/file.sock"}}
    with open(f"{t.lab.dir}/file.sock", "w", encoding="ascii") as f:
        f.write("precious")
    other_path = f"{t.lab.dir}/other.json"
    with open(other_path, "w", encoding="ascii") as f:
        json.dump({**other, "log": {"file": f"{t.lab.dir}/other.log"},
                   "dataplane": {**other["dataplane"], "ports": [
                       {**other["dataplane"]["ports"][0], "iface": "h6x0"}]}}, f)
    p = subprocess.run(["ip", "netns", "exec", t.lab.gw, f"{t.lab.build}/app/postern/postern", "-c",
                        other_path], timeout=30, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert p.returncode == 1, p.stdout[-300:]
    with open(f"{t.lab.dir}/file.sock", encoding="ascii") as f:
        assert f.read() == "precious"
    alive(t)
