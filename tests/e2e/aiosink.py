#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Next hops that are aiosmtpd: aiosink.py OUT SPEC..., each SPEC "STATE ADDRESS PORT CERT":

    none       offers no STARTTLS
    good       offers it, with CERT
    untrusted  the same; its CERT is one that nobody signed
    broken     offers it, and speaks no version of TLS that anybody else speaks

A message that was taken is a JSON line in OUT: the server's state, the envelope, the
subject, and the TLS version it came by, null if in clear.
"""
import asyncio
import json
import signal
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self, state, out):
        self.state, self.out = state, out

    async def handle_DATA(self, _server, session, envelope):
        head = envelope.content.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        subject = [ln[9:] for ln in head if ln.startswith("Subject: ")]
        tls = session.ssl["ssl_object"].version() if session.ssl else None
        self.out.write(json.dumps({"state": self.state, "from": envelope.mail_from,
                                   "to": envelope.rcpt_tos, "subject": "".join(subject),
                                   "tls": tls}) + "\n")
        return "250 2.0.0 taken"


def context(state, cert):
    if state == "none":
        return None
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(cert)
    if state == "broken":
        ctx.set_ciphers("ALL:@SECLEVEL=0")
        ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    return ctx


async def main(out, specs):
    loop = asyncio.get_running_loop()
    for state, addr, port, cert in specs:
        ctx, handler = context(state, cert), Handler(state, out)
        await loop.create_server(
            lambda handler=handler, ctx=ctx: SMTP(
                handler, hostname="mail.example.org", tls_context=ctx, enable_SMTPUTF8=True),
            addr, int(port))
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


with open(sys.argv[1], "w", encoding="utf-8", buffering=1) as file:
    asyncio.run(main(file, [a.split(" ") for a in sys.argv[2:]]))
