# SPDX-License-Identifier: Apache-2.0
"""A network namespace of a test's own, in which links can be cut without a farewell to anybody."""
import contextlib
import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class NetworkNamespace:
    """Lives as long as a process in it. Needs root."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 3600"],
                                       stdout=subprocess.PIPE)
        self.holder.stdout.readline()  # it is in there
        self.link(True)

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def command(self, *argv):
        """The command line that runs another in here (its network only)."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *map(str, argv)]

    def ip(self, *arguments):
        subprocess.run(self.command("ip", *arguments), check=True, capture_output=True)

    def link(self, is_up):
        """Everything in here, or nothing, reaches anybody; nobody is told."""
        self.ip("link", "set", "lo", "up" if is_up else "down")

    def vanish(self, port):
        """What is sent from this port is lost from now on: its peer sees that as a dead machine."""
        if not hasattr(self, "has_rules"):  # by default nothing comes before the local addresses
            self.ip("rule", "add", "pref", "100", "lookup", "local")
            self.ip("rule", "del", "pref", "0")
            self.has_rules = True
        self.ip("rule", "add", "pref", "10", "ipproto", "tcp", "sport", str(port), "blackhole")

    @contextlib.contextmanager
    def entered(self):
        """This thread is in here: sockets that it makes belong here for ever."""
        ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        theirs = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        try:
            self._enter(theirs)
            yield
        finally:
            self._enter(ours)
            os.close(ours)
            os.close(theirs)

    @staticmethod
    def _enter(handle):
        if LIBC.setns(handle, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def connect(self, port, timeout=10):
        with self.entered():
            made = socket.socket()
        made.settimeout(timeout)
        made.connect(("127.0.0.1", port))
        return made

    def listen(self, port):
        with self.entered():
            made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen()
        return made
