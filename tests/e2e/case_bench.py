# SPDX-License-Identifier: BSD-3-Clause
"""The bench harness: that it runs, counts what there was, and tells it in a form that can be
read. Never how fast anything is: no figure is held against a time here.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile

import jsonschema

from harness import Skip, case
from lablib import HOP4, LabError, ROOT, run, wait_for

CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync"]
with open(f"{ROOT}/bench/report/result.schema.json", encoding="utf-8") as schema_file:
    SCHEMA = json.load(schema_file)


def program(t):
    return f"{t.lab.build}/bench/harness/postern-bench"


def judge(path):
    """The document, if the schema takes it."""
    with open(path, encoding="utf-8") as f:
        doc = json.load(f)
    errors = [f"/{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in
              jsonschema.validators.validator_for(SCHEMA)(SCHEMA).iter_errors(doc)]
    assert not errors, f"{path}: {errors[:5]}"
    return doc


def report(t, *results):
    """bench-report's page and, as Chromium has drawn it, the page's root element's attributes."""
    page = f"{t.lab.dir}/report.html"
    t.run(f"{ROOT}/scripts/bench-report", *results, "-o", page)
    with open(page, encoding="utf-8") as f:
        text = f.read()
    # Nothing may be fetched: the one address in it names SVG's namespace.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    chromium = shutil.which("chromium")
    if not chromium:
        t.note("no chromium: the report was not looked at")
        return text, None
    with tempfile.TemporaryDirectory() as profile:
        dom = subprocess.run([chromium, *CHROMIUM, f"--user-data-dir={profile}", "--dump-dom",
                              f"file://{page}"], stdout=subprocess.PIPE, check=True, timeout=60,
                             stderr=subprocess.DEVNULL, text=True).stdout
    root = re.search(r"<html[^>]*>", dom).group(0)
    assert "data-error" not in root, root
    return dom, int(re.search(r'data-plots="(\d+)"', root).group(1))


def sink(t, *more):
    out = f"{t.lab.dir}/sink.out"
    if os.path.exists(out):
        os.unlink(out)
    p = t.lab.spawn(t.lab.nexthop, [program(t), "sink", "--kernel", "--at", f"{HOP4}:4025/starttls",
                                    "--at", f"{HOP4}:4465/implicit", "--at", f"{HOP4}:4026/none",
                                    "--cert", f"{t.lab.dir}/certs/mail.pem", *more], "sink.out")
    t.procs.append(p)

    def said():
        with open(out, encoding="utf-8") as f:
            return f.read().splitlines()
    assert wait_for(lambda: said() or p.poll() is not None, 10) and said() == ["ready"], said()
    return p, said


def load(t, to, *opts):
    path = f"{t.lab.dir}/load.json"
    t.run(program(t), "load", "--to", to, "--json", path, *opts)
    return judge(path)["results"][0]


@case(timeout=60)
def a_load_of_kernel_sockets_reaches_the_sink_whole_through_the_gateway(t):
    p, said = sink(t)
    t.gateway(t.conf([(HOP4, 4025)]))
    r = load(t, "192.0.2.1:25", "--sessions", "20", "--messages", "3", "--concurrency", "4")
    assert r["counts"]["done"] == r["counts"]["full"] == 20 and r["counts"]["failed"] == 0, r
    assert r["counts"]["messages"] == 60 == r["latency"]["message"]["n"], r
    open_loop = load(t, "192.0.2.1:465", "--tls", "implicit", "--rate", "50", "--seconds", "0.5",
                     "--size", "20000", "--concurrency", "100")
    n = open_loop["counts"]
    assert n["failed"] == n["refused"] == n["unfinished"] == 0 and n["done"] > 5, n
    assert open_loop["latency"]["session"]["n"] == n["done"] == n["messages"]
    t.lab.end(p)
    counts = json.loads(said()[-1])
    assert counts["messages"] == 60 + n["messages"] and counts["failed"] == 0, counts
    # Each of them whole: what the gateway adds is its Received, and no more than that.
    sent = r["counts"]["bytes"] + n["bytes"]
    assert sent < counts["bytes"] < sent + 600 * counts["messages"], (sent, counts)


@case(timeout=60)
def sessions_are_held_until_standard_input_ends_and_resumed_if_wanted(t):
    p, said = sink(t)
    cmd = ["ip", "netns", "exec", t.lab.client, program(t), "load", "--to", f"{HOP4}:4025", "--hold",
           "--sessions", "30", "--messages", "0", "--json", f"{t.lab.dir}/hold.json"]
    with subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert json.loads(held.stdout.readline()) == {"held": 30, "failed": 0}
        there = t.run("ss", "-Htn", "state", "established", "sport", "=", ":4025", ns=t.lab.nexthop)
        assert len(there.splitlines()) == 30, there
        held.stdin.close()
        assert held.wait(20) == 0
    assert judge(f"{t.lab.dir}/hold.json")["results"][0]["counts"]["done"] == 30
    c = load(t, f"{HOP4}:4025", "--sessions", "20", "--concurrency", "2", "--resume")["counts"]
    assert c["full"] == 2 and c["resumed"] == 18, c
    t.lab.end(p)
    assert json.loads(said()[-1])["resumed"] == 18


@case(timeout=60)
def a_load_on_nobody_ends_with_1_and_says_why(t):
    for opts, status, words in (
            (["--to", f"{HOP4}:4999", "--sessions", "3"], 1, "refused"),
            (["--to", f"{HOP4}:0"], 2, "--to"),
            (["--to", "::1:25"], 2, "--to"),
            (["--sessions", "3"], 2, "--to"),
            (["--to", f"{HOP4}:25", "--hold"], 2, "--sessions"),
            (["--to", f"{HOP4}:25", "--size", "ten"], 2, "--size"),
            (["--to", f"{HOP4}:25", "more"], 2, "options")):
        try:
            t.run(program(t), "load", *opts)
        except LabError as e:
            assert f"exit {status}" in str(e) and words in str(e), e
        else:
            raise AssertionError(f"{opts} was accepted")


@case(timeout=120)
def a_small_ring_run_gives_a_result_and_a_report_that_draws_itself(t):
    path, other = f"{t.lab.dir}/ring.json", f"{t.lab.dir}/load.json"
    t.run(program(t), "ring", "--repetitions", "1", "--scale", "0.05", "--silent",
          "--case", "handshake/full/p256$|message/4k/10/reused|idle/p256", "--json", path, timeout=100)
    doc = judge(path)
    assert {r["case"] for r in doc["results"]} == {"handshake/full/p256", "message/4k/10/reused",
                                                   "idle/p256"}
    for r in doc["results"]:
        assert any(m["median"] > 0 for m in r["metrics"].values()), r["case"]
    sink(t)
    load(t, f"{HOP4}:4026", "--tls", "none", "--sessions", "50")
    page, plots = report(t, path, other)
    for words in ("handshake/full/p256", "Over kernel sockets", doc["host"]["cpu"]):
        assert words in page, words
    if plots is not None:
        assert plots >= 4 and page.count("<figure>") == plots, plots


@case(timeout=30)
def the_report_refuses_what_is_no_result_and_names_it(t):
    for text, words in (("{", "not JSON"), ("[]", "no result"), ('{"schema": "x"}', "no result"),
                        ('{"schema": "postern-bench/1", "results": []}', "no results"),
                        ('{"schema": "postern-bench/1", "results": [{"case": 1}]}', "/results/0")):
        path = f"{t.lab.dir}/bad.json"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        try:
            t.run(f"{ROOT}/scripts/bench-report", path, "-o", f"{t.lab.dir}/bad.html")
        except LabError as e:
            assert f"{path}: " in str(e) and words in str(e) and "Traceback" not in str(e), e
        else:
            raise AssertionError(f"{text} was accepted")


@case(timeout=900, long=True)
def a_quick_ring_run_is_a_result(t):
    path = f"{t.lab.dir}/ring.json"
    t.run(program(t), "ring", "--quick", "--silent", "--json", path, timeout=600)
    assert len(judge(path)["results"]) > 10
    _, plots = report(t, path)
    assert plots is None or plots >= 4


@case(timeout=900, long=True)
def servers_side_by_side_are_a_result(t):
    for name in ("nginx", "haproxy"):
        if not shutil.which(name):
            raise Skip(f"{name} is not installed")
    path = f"{t.lab.dir}/peers.json"
    # Not inside one of the lab's namespaces: it makes its own.
    run(f"{ROOT}/bench/peers/run", "--no-install", "--build", t.lab.build, "--seconds", "0.5",
        "--repetitions", "1", "--retries", "0", "--idle-sessions", "100", "--name",
        f"{t.lab.name}p", "-o", path, timeout=800)
    doc = judge(path)
    assert len(doc["servers"]) == 6 and len(doc["results"]) == 36
    page, plots = report(t, path)
    for s in doc["servers"]:
        assert s["shape"] in page, s
    assert plots is None or plots >= 8
