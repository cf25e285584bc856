# SPDX-License-Identifier: BSD-3-Clause
"""The worked examples of docs/policy.md are what a gateway says.

Each `json` block of the section is pushed over a plain configuration, and the commands of the
`console` blocks behind it are run; what follows each command in the page must be what it
prints. With PST_WRITE_EXAMPLES=1 the page is rewritten instead of compared.
"""

import json
import os
import re
import shlex

from dns import Dns
from harness import case
from lablib import ROOT, make_cert

PAGE = f"{ROOT}/docs/policy.md"
ZONE = {
    "bank.example": {"MX": [(10, "mx1.bank.example"), (20, "mx2.bank.example")]},
    "mx1.bank.example": {"A": ["203.0.113.25"]}, "mx2.bank.example": {"A": ["203.0.113.26"]},
    "ciphermail.com": {"MX": [(10, "mail.ciphermail.com")]},
    "mail.ciphermail.com": {"A": ["192.0.2.23"]}, "tls.example.com": {"A": ["192.0.2.22"]},
}
BLOCK = re.compile(r"^```(json|console)\n(.*?)^```\n", re.M | re.S)
SECTION = re.compile(r"^## Worked examples\n(.*?)(?=^## |\Z)", re.M | re.S)


def commands(text):
    """[(command, what the page says that it prints)] of a console block."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.M)
    assert parts[0] == "", f"a console block begins with {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2]))


def plain(output):
    """Without what is another in each run."""
    return re.sub(r"generation \d+", "generation N", "\n".join(
        ln.rstrip() for ln in output.rstrip("\n").split("\n"))) + "\n"


class Walk:
    """Goes through the section: configurations are pushed, commands run, outputs noted."""

    def __init__(self, t, dns):
        self.t, self.ran, self.wrong = t, 0, []
        self.base = t.conf()
        self.base["dns"] = {"servers": [dns.server], "timeout": 2}

    def push(self, text):
        part = json.loads(text.replace("/etc/postern/authority.pem", self.t.ca))
        self.t.gw.call("config.push", config={**self.base, **part})

    def run(self, text):
        out = ""
        for command, said in commands(text):
            words = shlex.split(command)
            assert words[0] == "posternctl", command
            got = plain(self.t.gw.ctl(*words[1:]))
            self.ran += 1
            if got != plain(said):
                self.wrong.append(f"$ {command}\n{got}--- instead of\n{said}")
            out += f"\n$ {command}\n{got}" if out else f"$ {command}\n{got}"
        return out

    def block(self, m):
        if m[1] == "json":
            self.push(m[2])
            return m[0]
        return f"```console\n{self.run(m[2])}```\n"


@case(timeout=60)
def the_worked_examples_of_the_manual_are_what_the_gateway_says(t):
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    section = SECTION.search(page)
    assert section, "docs/policy.md has no section `Worked examples`"
    certs = f"{t.lab.dir}/certs"
    t.hop(addr="192.0.2.22", cert=make_cert(certs, "alternative", ["alternative.com"]))
    t.hop(addr="192.0.2.23", cert=make_cert(certs, "ciphermail", ["mail.ciphermail.com"]))
    with Dns("127.0.0.1", 0, ZONE, ns=t.lab.gw) as dns:
        walk = Walk(t, dns)
        t.gateway(walk.base)
        text = BLOCK.sub(walk.block, section[1])
    if os.environ.get("PST_WRITE_EXAMPLES"):
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(page[:section.start(1)] + text + page[section.end(1):])
        return
    assert not walk.wrong, "\n".join(walk.wrong)
    assert walk.ran >= 20, f"only {walk.ran} commands"
    t.note(f"{walk.ran} commands")
