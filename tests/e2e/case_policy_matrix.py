# SPDX-License-Identifier: BSD-3-Clause
"""The matrix: sender and recipient encryption of a rule, how the client came, what the next
hop can do: 96 cells, each a mail from a real client to a real next hop.

One gateway. The recipient's domain says which rule and which next hop: the domain
good.required-allowed.example has the rule of that name and goes to the good one. Next
hops are aiosmtpd (aiosink.py), the client is swaks. What a cell must be is written out
below, not computed, and explain has to foretell it.
"""

import json
import os
import re
import sys

from harness import case, wait_for
from lablib import GW4, ROOT, make_ca, make_cert
from peers import Client

SENDERS = ("required", "none", "optional")
RECIPIENTS = ("none", "preferred", "allowed", "required")
STATES = {"none": "192.0.2.21", "good": "192.0.2.22", "untrusted": "192.0.2.23",
          "broken": "192.0.2.24"}
# How explain calls them.
EXPLAIN = {"none": "no_starttls", "good": "good", "untrusted": "untrusted", "broken": "broken"}

# What became of the mail.
WORDS = {
    "P": "sent, clear",   # the next hop has it, and it came without TLS
    "T": "sent, TLS",
    "S": "530 5.7.0",     # each of these at RCPT, and the next hop has nothing
    "4": "451 4.7.4",
    "5": "451 4.7.5",
}
# (sender, recipient): client in clear, client with TLS; a letter for each of STATES.
GOLDEN = {
    ("required", "none"):      ("SSSS", "PPPP"),
    ("required", "preferred"): ("SSSS", "PTT5"),
    ("required", "allowed"):   ("SSSS", "4TT5"),
    ("required", "required"):  ("SSSS", "4TT5"),
    ("none", "none"):          ("PPPP", "PPPP"),
    ("none", "preferred"):     ("PTT5", "PTT5"),
    ("none", "allowed"):       ("PPPP", "4TT5"),
    ("none", "required"):      ("4TT5", "4TT5"),
    ("optional", "none"):      ("PPPP", "PPPP"),
    ("optional", "preferred"): ("PTT5", "PTT5"),
    ("optional", "allowed"):   ("PPPP", "4TT5"),
    ("optional", "required"):  ("4TT5", "4TT5"),
}
CELLS = [(s, r, tls, state) for s in SENDERS for r in RECIPIENTS for tls in (False, True)
         for state in STATES]


def golden(sender, recipient, tls, state):
    return GOLDEN[sender, recipient][tls][list(STATES).index(state)]


def table(cell):
    """The matrix as docs/policy.md has it."""
    rows = ["| sender | recipient | client | no STARTTLS | good | untrusted | broken |",
            "|---|---|---|---|---|---|---|"]
    for sender in SENDERS:
        for recipient in RECIPIENTS:
            for tls in (False, True):
                got = [WORDS.get(c, c) for c in (cell(sender, recipient, tls, s) for s in STATES)]
                rows.append("| " + " | ".join([sender, recipient, "TLS" if tls else "clear", *got])
                            + " |")
    return rows


# ---- the two sides ----

def domain(sender, recipient, state):
    return f"{state}.{sender}-{recipient}.example"


def configure(t):
    conf = t.conf()
    conf["next_hops"] = {state: {"hosts": [{"name": "mail.example.org", "address": addr}],
                                 "ca_file": t.ca} for state, addr in STATES.items()}
    pairs = list(GOLDEN)
    conf["routes"] = [{"domain": domain(s, r, state), "next_hop": state}
                      for s, r in pairs for state in STATES]
    conf["policy"] = {"rules": [{"id": f"{s}-{r}", "from": "*", "to": f"*.{s}-{r}.example",
                                 "sender": s, "recipient": r} for s, r in pairs]}
    return conf


class Hops:
    """The four next hops, and what they took."""

    def __init__(self, t):
        self.out = f"{t.lab.dir}/aiosink.jsonl"
        certs = f"{t.lab.dir}/certs"
        make_ca(certs, "stranger")
        untrusted = make_cert(certs, "untrusted", ["mail.example.org"], ca="stranger")
        specs = [f"{state} {addr} 25 {untrusted if state == 'untrusted' else certs + '/mail.pem'}"
                 for state, addr in STATES.items()]
        here = os.path.dirname(os.path.abspath(__file__))
        t.procs.append(t.lab.spawn(t.lab.nexthop, ["/usr/bin/python3", f"{here}/aiosink.py",
                                                   self.out, *specs], "aiosink.out"))
        assert wait_for(lambda: all(self.answers(t, a) for a in STATES.values()), 15, 0.1)

    @staticmethod
    def answers(t, addr):
        try:
            Client(t.lab.nexthop, addr, timeout=1).close()
            return True
        except OSError:
            return False

    def taken(self, subject):
        with open(self.out, encoding="utf-8") as f:
            return [row for row in map(json.loads, f) if row["subject"] == subject]


def swaks(t, tls, rcpt, subject):
    """The replies to MAIL, RCPT, DATA and the final dot; None where it did not come to that."""
    out = t.run("swaks", "--server", GW4, *(("--tls",) if tls else ()), "--from",
                "a@client.example", "--to", rcpt, "--header", f"Subject: {subject}", "--body", "x",
                "--helo", "client.example", check=False)
    # " -> MAIL" in clear and " ~> MAIL" in TLS; "<-  250 ok", "<~  250 ok", "<** 530", "<~* 530".
    heard, said = {}, None
    for line in out.splitlines():
        if m := re.match(r" ([-~])> (MAIL|RCPT|DATA|\.$)", line):
            assert (m[1] == "~") == tls, out
            said = m[2]
        elif (m := re.match(r"<[-~*][ *] (\d{3} .*)", line)) and said:
            heard.setdefault(said, m[1])
    return [heard.get(k) for k in ("MAIL", "RCPT", "DATA", ".")]


def letter(heard, took, state):
    """What the cell turned out to be; anything unexpected as it was."""
    mail, rcpt, data, dot = heard
    if dot and dot.startswith("250 ") and rcpt.startswith("250 ") and len(took) == 1 and \
            took[0]["state"] == state:
        return "T" if took[0]["tls"] in ("TLSv1.2", "TLSv1.3") else "P"
    if not took and mail.startswith("250 ") and dot is None and \
            not (data or "5").startswith(("2", "3")):
        for key, word in WORDS.items():
            if rcpt.startswith(word):
                return key
    return f"MAIL {mail}; RCPT {rcpt}; DATA {data}; dot {dot}; taken {took}"


def foretold(t, sender, recipient, tls, state):
    x = t.gw.call("explain", **{"from": "a@client.example", "tls": tls,
                                "to": f"b@{domain(sender, recipient, state)}"})
    if not x["hosts"]:
        r = x["replies"]["rcpt"]
        return next(k for k, v in WORDS.items() if v == f"{r['code']} {r['enhanced']}")
    o = x["hosts"][0]["outcomes"][EXPLAIN[state]]
    if o["rcpt"]["code"] == 250:
        return {"plain": "P", "tls": "T"}[o["channel"]]
    return next(k for k, v in WORDS.items() if v == f"{o['rcpt']['code']} {o['rcpt']['enhanced']}")


@case(timeout=150)
def the_matrix_of_96_cells(t):
    hops = Hops(t)
    t.gateway(configure(t))
    got, wrong = {}, []
    for cell in CELLS:
        sender, recipient, tls, state = cell
        subject = "-".join([*cell[:2], "tls" if tls else "clear", state])
        heard = swaks(t, tls, f"b@{domain(sender, recipient, state)}", subject)
        got[cell] = letter(heard, hops.taken(subject), state)
        told = foretold(t, *cell)
        if not got[cell] == told == golden(*cell):
            wrong.append(f"{subject}: wanted {WORDS[golden(*cell)]}, got {got[cell]}, "
                         f"explain said {told}")
    for row in table(lambda *c: got[c]):
        t.note(row)
    assert not wrong, "\n".join(wrong)
    assert len(got) == 96


@case(timeout=20)
def the_matrix_in_the_manual_is_the_one_that_is_tested(t):
    with open(f"{ROOT}/docs/policy.md", encoding="utf-8") as f:
        page = f.read()
    part = re.search(r"^## The matrix$(.*?)(?=^## |\Z)", page, re.M | re.S)
    assert part, "docs/policy.md has no section `The matrix`"
    rows = [ln for ln in part[1].splitlines() if ln.startswith("|")]
    want = table(golden)
    assert rows == want, "\n" + "\n".join(want)
    t.note(f"{len(rows) - 2} rows")


if __name__ == "__main__":
    sys.stdout.write("\n".join(table(golden)) + "\n")
