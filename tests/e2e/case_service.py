# SPDX-License-Identifier: BSD-3-Clause
"""What the gateway tells the service manager."""

import contextlib
import os
import signal
import socket

from harness import case, wait_for


class Manager:
    """What a service manager hears on its socket."""

    def __init__(self, path):
        self.path, self.heard = path, []
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.s.bind(path)
        self.s.setblocking(False)

    def messages(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self.s.recv(4096).decode())
        return self.heard

    def count(self, word):
        return sum(word in m.split("\n") for m in self.messages())

    def close(self):
        self.s.close()
        os.unlink(self.path)


@case(timeout=40)
def the_service_manager_hears_ready_watchdog_and_stopping(t):
    m = Manager(f"{t.lab.dir}/notify.sock")
    try:
        t.gateway(env={"NOTIFY_SOCKET": m.path, "WATCHDOG_USEC": "4000000"})
        assert m.count("READY=1") == 1, m.heard
        assert wait_for(lambda: m.count("WATCHDOG=1") >= 3, 10), m.heard
        assert m.count("STOPPING=1") == 0
        # A line of status after ten seconds.
        assert wait_for(lambda: any(h.startswith("STATUS=") for h in m.messages()), 12), m.heard
        t.gw.proc.send_signal(signal.SIGTERM)
        assert t.gw.proc.wait(10) == 0
        assert m.count("STOPPING=1") == 1, m.heard
        assert m.count("READY=1") == 1
    finally:
        m.close()


@case()
def a_start_that_fails_is_never_ready(t):
    m = Manager(f"{t.lab.dir}/notify.sock")
    try:
        conf = t.conf()
        conf["control"]["socket"] = f"{t.lab.dir}/no/such/directory/c.sock"
        gw = t.lab.start_gateway(conf, wait=False, env={"NOTIFY_SOCKET": m.path})
        assert gw.proc.wait(20) == 1
        assert not m.messages(), m.heard
    finally:
        m.close()
