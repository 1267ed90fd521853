# SPDX-License-Identifier: Apache-2.0
"""A client-go program against our server: shared informer (streamed lists), protobuf in, leader
election, and a server that dies under it. Status 77 where the program has not been built."""
import queue
import subprocess
import sys
import threading
import unittest

from servers import ORACLE, OurServer

SECONDS = 90


class Informer:
    """The program, its lines as they come."""

    def __init__(self, server):
        self.process = subprocess.Popen([ORACLE / "informer", server.kubeconfig, "default"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.seen = []

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_for(self, wanted):
        """Reads on until that line comes; it may have come already."""
        while wanted not in self.seen:
            line = self.lines.get(timeout=SECONDS)
            if line is None:
                raise AssertionError(f"the informer ended; it had said {self.seen}")
            self.seen.append(line)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class ClientGo(unittest.TestCase):
    def setUp(self):
        self.server = OurServer()
        self.addCleanup(self.server.stop)
        self.server.start()

    def test_an_informer_follows_and_outlives_the_server(self):
        informer = Informer(self.server)
        self.addCleanup(informer.stop)
        informer.wait_for("SYNCED")
        informer.wait_for("LEADING")
        informer.tell("create a one")
        informer.wait_for("ADD a one")
        informer.tell("update a two")
        informer.wait_for("UPDATE a two")

        # What happens while it is cut off comes after the server is back: kept by the store.
        self.server.restart()
        self.server.json("PATCH", "/api/v1/namespaces/default/configmaps/a",
                         {"data": {"value": "three"}}, "application/merge-patch+json")
        informer.wait_for("UPDATE a three")
        informer.tell("delete a")
        informer.wait_for("DELETE a")


if __name__ == "__main__":
    if not (ORACLE / "informer").exists():
        print(f"SKIPPED: there is no informer in {ORACLE}: ./dev test --all builds it (needs Go 1.26)")
        sys.exit(77)
    unittest.main()
