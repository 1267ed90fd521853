# SPDX-License-Identifier: Apache-2.0
"""Watchers that do not read, are gone without a word, or never end their request: they cost the server
no memory for long, and the others no time."""
import http.client
import json
import os
import socket
import ssl
import threading
import time
import unittest

from cluster import BareServer, eventually
from netns import NetworkNamespace

MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = int(os.environ.get("PELTON_EVENTS", "5000"))
BYTES = 16000
SLOW = 20
WRITERS = 4


class SlowAndDeadWatchers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: makes a network namespace")
        # A sanitizer keeps what was freed; that is not what is measured here.
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
        cls.network = NetworkNamespace()
        cls.addClassCleanup(cls.network.close)
        cls.server = BareServer(prefix=cls.network.command())
        cls.cluster = cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__)
        cls.port = int(cls.cluster.endpoint()[1])

    def connect(self, buffer=None):
        """A TLS connection with admin's credential, made within the network namespace."""
        pki = self.cluster.directory / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
        raw = self.network.connect(self.port)
        if buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made = context.wrap_socket(raw, server_hostname="127.0.0.1")
        self.addCleanup(made.close)
        return made

    def http(self, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.sock = self.connect()
        connection.sock.settimeout(timeout)
        return connection

    def begin_watch(self, path, query="watch=true", buffer=None):
        """A watch whose answer has begun; nothing is read of it."""
        made = self.connect(buffer)
        made.sendall(f"GET {path}?{query} HTTP/1.1\r\nHost: pelton\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += made.recv(1)
        self.assertIn(b" 200 ", head)
        return made

    def handles(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    def memory(self):
        with open(f"/proc/{self.server.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))

    def write_events(self, writer, count):
        connection = self.http()
        for number in range(count):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"w{writer}"},
                    "data": {"filling": "x" * BYTES, "sent": str(time.monotonic())}}
            method, path = ("POST", MAPS) if number == 0 else ("PUT", f"{MAPS}/w{writer}")
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            self.assertIn(answer.status, (200, 201), text)
        connection.close()

    def read_all(self, delays):
        """The good watcher: how late each event came."""
        connection = self.http()
        connection.request("GET", MAPS + "?watch=true")
        answer = connection.getresponse()
        while len(delays) < EVENTS:
            data = json.loads(answer.readline())["object"].get("data", {})
            if "sent" in data:
                delays.append(time.monotonic() - float(data["sent"]))
        answer.close()
        connection.close()

    def test_they_are_cut_and_nobody_else_notices(self):
        print(f"\nreplay: PELTON_EVENTS={EVENTS}", flush=True)
        handles, memory = self.handles(), self.memory()
        version = int(self.list_maps()["metadata"]["resourceVersion"])
        delays = []
        good = threading.Thread(target=self.read_all, args=(delays,), daemon=True)
        good.start()
        begun = time.monotonic()
        # Those who will never end the head of their request, with TLS and without a word.
        slowloris = self.connect()
        slowloris.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        silent = self.network.connect(self.port)
        self.addCleanup(silent.close)
        # Those who are gone without a farewell: nothing happens where the first looks.
        vanished = [self.begin_watch("/api/v1/namespaces/default/secrets"), self.begin_watch(MAPS)]
        slow = [self.begin_watch(MAPS, buffer=4096) for _ in range(SLOW)]
        eventually(lambda: self.handles() == handles + 3 + len(vanished) + len(slow), what="all connections")
        for connection in vanished:
            self.network.vanish(connection.getsockname()[1])
        writers = [threading.Thread(target=self.write_events, args=(i, EVENTS // WRITERS))
                   for i in range(WRITERS)]
        for thread in writers:
            thread.start()
        cut_after = self.drip(slowloris)
        for thread in writers:
            thread.join()
        written = time.monotonic()
        good.join(30)
        delays.sort()
        grown = self.memory() - memory
        print(f"{EVENTS} events in {written - begun:.0f} s; late by {delays[len(delays) // 2]:.3f} s in the "
              f"middle, {delays[-1]:.3f} s at most; memory grew by {grown >> 20} MiB", flush=True)
        self.assertEqual(len(delays), EVENTS, "the good watcher gets every event")
        self.assertLess(delays[len(delays) // 2], 0.5)
        self.assertLess(delays[-1], 5)
        # The history keeps each event once; each slow watcher would keep them all.
        self.assertLess(grown, 4 * EVENTS * BYTES)
        self.assertLess(cut_after, 25, "15 s are allowed for a head")
        self.assertEqual(silent.recv(1), b"", "cut, too")
        # One minute without taking anything; half of one without a sign of life.
        eventually(lambda: self.handles() <= handles + 1, timeout=90, what="the end of all others")
        print(f"all gone {time.monotonic() - written:.0f} s after the last event", flush=True)
        self.assertTrue(self.is_cut(slow[0]))
        self.go_on(version)

    def drip(self, connection):
        """A byte each second, until the server has had enough; how long that took."""
        begun = time.monotonic()
        connection.settimeout(1)
        while time.monotonic() < begun + 40:
            try:
                connection.sendall(b"x")
                if not connection.recv(1000):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        return time.monotonic() - begun

    def list_maps(self):
        client = self.http()
        client.request("GET", MAPS)
        answer = json.loads(client.getresponse().read())
        client.close()
        return answer

    def is_cut(self, connection):
        """Whether its end comes, behind what was on its way."""
        connection.settimeout(10)
        try:
            while connection.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def go_on(self, version):
        """What a client-go reflector does that was cut: goes on from where it was, or lists anew."""
        client = self.http()
        client.request("GET", f"{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=5")
        event = json.loads(client.getresponse().readline())
        if event["type"] == "ERROR":
            self.assertEqual(event["object"]["code"], 410)
        else:
            self.assertGreater(int(event["object"]["metadata"]["resourceVersion"]), version)
        self.assertEqual(len(self.list_maps()["items"]), WRITERS)


if __name__ == "__main__":
    unittest.main()
