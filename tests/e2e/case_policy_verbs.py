# SPDX-License-Identifier: BSD-3-Clause
"""Rules, map and profiles changed by verbs while mail flows: every change is whole, every session
decides by exactly one generation, nobody is sent away."""

import json
import random
import socket
import threading
import time

from harness import case, wait_for
from lablib import GW4
from outside import ctl
from peers import Background, Client, client_context

BODY = b"Subject: x\r\n\r\nhello\r\n"


class Socket:
    """The control socket, kept open: answers in the order of what was asked."""

    def __init__(self, t):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(t.gw.conf["control"]["socket"])
        self.s.settimeout(60)
        self.f = self.s.makefile("rb")

    def call(self, method, **params):
        """(result, error); one of them is None."""
        self.s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method,
                                   "params": params}).encode() + b"\n")
        answer = json.loads(self.f.readline())
        return answer.get("result"), answer.get("error")

    def do(self, method, **params):
        result, error = self.call(method, **params)
        assert error is None, (method, params, error)
        return result

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.f.close()
        self.s.close()


# Two envelopes, and what stands between them. Wherever `all` stands, what is behind it is not
# asked: so the second envelope is never refused without the first being refused too.
ENVELOPES = (("x@one.example", "y@one.example"), ("x@two.example", "y@two.example"))
RULES = [
    {"id": "all", "from": "*", "to": "*", "sender": "optional"},
    {"id": "one", "from": "one.example", "to": "one.example", "sender": "required"},
    {"id": "two", "from": "two.example", "to": "two.example", "sender": "required"}]


def answers(rules):
    """What each envelope is answered at RCPT in clear, by rules in order: a model of first match."""
    out = []
    for sender, to in ENVELOPES:
        for r in rules:
            if (r.get("enabled", True) and r["from"] in ("*", sender.split("@")[1]) and
                    r["to"] in ("*", to.split("@")[1])):
                out.append(530 if r.get("sender") == "required" else 250)
                break
        else:
            out.append(250)
    return tuple(out)


class Load(Background):
    """Sessions in clear that ask for both envelopes again and again, then send one mail in TLS."""

    def __init__(self, t, n):
        super().__init__(n)
        self.t, self.ctx = t, client_context(t.ca)
        self.seen, self.errors, self.sessions, self.asked = [], [], 0, 0
        self.lock = threading.Lock()

    def _run(self, k):
        r = random.Random(k)
        while not self.over.is_set():
            try:
                self._session(r)
            except Exception as e:  # the case fails with it
                self.errors.append(f"client {k}: {type(e).__name__}: {e}")

    @staticmethod
    def _ask(c):
        """Both envelopes' answers; a refusal may come at MAIL or at RCPT, the rest is undone."""
        out = []
        for sender, to in ENVELOPES:
            c.cmd(f"MAIL FROM:<{sender}>", 250)
            out.append(c.cmd(f"RCPT TO:<{to}>").code)
            c.cmd("RSET", 250)
        return tuple(out)

    def _session(self, r):
        begun = time.monotonic()
        with Client(self.t.lab.client, GW4, timeout=30) as c:
            greeted = time.monotonic()
            c.ehlo()
            first = self._ask(c)
            for _ in range(r.randint(1, 3)):
                time.sleep(r.random() * 0.05)
                again = self._ask(c)
                assert again == first, f"one session was answered {first} and {again}"
                with self.lock:
                    self.asked += 1
            c.starttls(self.ctx)
            c.ehlo()
            reply = c.mail(ENVELOPES[0][0], [ENVELOPES[0][1]], BODY)
            assert reply.code == 250, reply
            c.quit()
        with self.lock:
            self.sessions += 1
            self.seen.append((begun, greeted, first))

class Rules:
    """The rules as they should be: each verb is done to the gateway and to a list of ours."""

    def __init__(self, t, s):
        self.t, self.s = t, s
        self.rules = [dict(r) for r in RULES]
        self.generation = 1
        # When each state came to run, at the earliest and at the latest.
        self.states = [(0.0, 0.0, answers(self.rules))]
        self.noise = 0

    def apply(self, method, **params):
        before = time.monotonic()
        result = self.s.do(method, **params)
        if result["published"]:
            self.generation += 1
        assert result["generation"] == self.generation, result
        self.states.append((before, time.monotonic(), answers(self.rules)))

    def at(self, rid):
        return next(i for i, r in enumerate(self.rules) if r["id"] == rid)

    def move(self, r):
        """Never `one` or `two`: they keep their order, see RULES."""
        rid = r.choice(["all"] * 3 + [x["id"] for x in self.rules if x["id"].startswith("n")])
        to = r.randrange(len(self.rules))
        self.rules.insert(to, self.rules.pop(self.at(rid)))
        self.apply("rule.move", id=rid, to=to + 1)

    def toggle(self, r):
        one = self.rules[self.at("all")]
        one["enabled"] = not one.get("enabled", True)
        self.apply("rule.enable" if one["enabled"] else "rule.disable", id="all")

    def add(self, r):
        self.noise += 1
        to, rid = r.randrange(len(self.rules) + 1), f"n{self.noise}"
        self.rules.insert(to, {"id": rid, "from": "*", "to": f"{rid}.example", "sender": "required"})
        self.apply("rule.add", id=rid, at=to + 1, sender="Always Encrypted",
                   **{"from": "*", "to": f"{rid}.example"})

    def remove(self, r):
        extra = [x["id"] for x in self.rules if x["id"].startswith("n")]
        if not extra:
            return self.add(r)
        rid = r.choice(extra)
        self.rules.pop(self.at(rid))
        return self.apply("rule.remove", id=rid)

    def wrong(self, r):
        """Refused: nothing has changed, the next change says so by its generation."""
        method, params = r.choice((
            ("rule.add", {"from": "a b", "to": "*"}), ("rule.remove", {"id": "nobody"}),
            ("rule.add", {"from": "*", "to": "*", "id": "one"}),
            ("rule.move", {"id": "one", "to": 10000}),
            ("rule.disable", {"id": "one", "if_generation": self.generation - 1})))
        result, error = self.s.call(method, **params)
        assert result is None and error is not None, (method, params)

    def compare(self):
        have = self.s.do("rule.list")
        assert have["generation"] == self.generation
        listed = [(x["id"], x["enabled"]) for x in have["rules"]]
        assert listed == [(x["id"], x.get("enabled", True)) for x in self.rules], listed


def judge(load, rules):
    """Each session's answers are those of a state that ran while the session was accepted."""
    states = rules.states
    for begun, greeted, got in load.seen:
        ran = set()
        for i, (since, _, state) in enumerate(states):
            until = states[i + 1][1] if i + 1 < len(states) else float("inf")
            if since <= greeted and until >= begun:
                ran.add(state)
        assert got in ran, f"answered {got} between {begun:.3f} and {greeted:.3f}, when {ran} ran"


def changes(t, count, seconds, workers=2):
    h = t.hop()
    conf = t.conf([(h.addr, h.port)], workers=workers)
    conf["routes"] = [{"domain": "*", "next_hop": "inside"}]
    conf.setdefault("limits", {}).update(errors=1000)
    conf["policy"] = {"rules": [dict(r) for r in RULES]}
    t.gateway(conf)
    r = random.Random(4)
    with Socket(t) as s, Load(t, 6) as load:
        rules = Rules(t, s)
        began, slowest = time.monotonic(), 0
        for n in range(count):
            time.sleep(max(0, began + seconds * n / count - time.monotonic()))
            at = time.monotonic()
            r.choice((rules.move, rules.move, rules.toggle, rules.add, rules.remove))(r)
            slowest = max(slowest, time.monotonic() - at)
            if n % 10 == 9:
                rules.wrong(r)
            if load.errors:
                break
        took = time.monotonic() - began
        rules.compare()
        load.over.set()
        for th in load.threads:
            th.join(40)
    assert not load.errors, load.errors[:3]
    judge(load, rules)
    kinds = {got for _, _, got in load.seen}
    by_worker = t.per_worker("sessions")
    t.note(f"{count} changes in {took:.0f} s, generation {rules.generation}, the slowest "
           f"{1000 * slowest:.0f} ms; {load.sessions} sessions by worker {by_worker}, "
           f"{load.asked} pairs of envelopes, answers {sorted(kinds)}")
    assert rules.generation > count // 2
    assert load.sessions > 50 and min(by_worker) > 0, by_worker
    assert kinds == {(250, 250), (530, 250), (530, 530)}, f"the load saw {kinds}"
    taken = sum(len(c.messages) for c in h.conns)
    assert taken == load.sessions, f"{load.sessions} mails sent, {taken} came"
    assert wait_for(lambda: t.gw.call("status")["old_generations_in_use"] == 0, 20, 0.1)
    t.counters_reach(sessions_refused=0, timeouts=0, transactions_sent=load.sessions)


@case(timeout=240)
def a_thousand_rule_changes_under_load_drop_no_session_and_tear_no_decision(t):
    changes(t, 1000, 20)


@case(timeout=90)
def a_hundred_thousand_lines_are_imported_while_mail_flows(t):
    h = t.hop()
    t.gateway(t.conf([(h.addr, h.port)], workers=2))
    table = f"{t.lab.dir}/large_policy"
    with open(table, "w", encoding="ascii") as f:
        for i in range(100000):
            f.write(f"d{i:05}.example secure match=mx{i:05}.example:.d.example\n")
    done, errors, mails = threading.Event(), [], [0]

    def send():
        while not done.is_set():
            try:
                with Client(t.lab.client, GW4, timeout=30, ca=t.ca) as c:
                    c.begin()
                    reply = c.mail("a@example.com", ["b@example.org"], BODY)
                    assert reply.code == 250, reply
                    mails[0] += 1
                    c.quit()
            except Exception as e:
                errors.append(f"{type(e).__name__}: {e}")
                return
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    at = time.monotonic()
    code, out = ctl(t, "policy", "import", table)
    took = time.monotonic() - at
    done.set()
    sender.join(40)
    assert code == 0 and "100000 added" in out, out[:500]
    assert not errors, errors
    code, out = ctl(t, "policy", "show", "d99999.example:25")
    assert (code, out) == (0, "secure match=mx99999.example:.d.example\n"), out[:500]
    code, out = ctl(t, "rule", "add", "*", "late.example", "-", "required")
    assert code == 0, out[:500]
    t.note(f"imported in {took:.1f} s; {mails[0]} mails meanwhile")
    assert mails[0] > 0


@case(timeout=60)
def two_operators_cannot_undo_each_other_unawares(t):
    h = t.hop()
    t.gateway(t.conf([(h.addr, h.port)]))
    seen = str(t.gw.call("status")["generation"])
    assert ctl(t, "--if-generation", seen, "rule", "add", "*", "a.example", "required", "-")[0] == 0
    code, out = ctl(t, "--if-generation", seen, "rule", "add", "--at", "1", "*", "*", "none", "-")
    assert code == 5 and "changed in the meantime" in out, (code, out)
    code, out = ctl(t, "rule", "list")
    assert code == 0 and "* a.example required -" in out and "* * none" not in out, out


@case(timeout=60)
def what_verbs_changed_is_gone_after_a_restart_unless_it_was_saved(t):
    h = t.hop()
    t.gateway(t.conf([(h.addr, h.port)]))
    for args in (("rule", "add", "--id", "kept", "*", "kept.example", "Optionally Encrypted", "-"),
                 ("list", "add", "never", "192.0.2.77"),
                 ("profile", "clone", "standard", "mine", "min=1.3"),
                 ("config", "save"),
                 ("rule", "add", "--id", "lost", "*", "lost.example", "-", "required")):
        code, out = ctl(t, *args)
        assert code == 0, (args, out)
    path = t.gw.path
    with open(path, encoding="utf-8") as f:
        saved = json.load(f)
    assert saved["policy"]["rules"] == [{"id": "kept", "from": "*", "to": "kept.example",
                                         "sender": "optional"}], saved["policy"]
    assert saved["policy"]["starttls_never"] == ["192.0.2.77"]
    assert saved["tls_profiles"]["mine"]["min"] == "1.3"
    code, out = ctl(t, "config", "reload")
    assert code == 0, out
    code, out = ctl(t, "rule", "list")
    assert "kept" in out and "lost" not in out, out
    code, out = ctl(t, "config", "history")
    assert "rule.add" in out and "profile.clone" in out and "list.add" in out, out
