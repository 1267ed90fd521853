# SPDX-License-Identifier: Apache-2.0
"""The two API servers that are compared: kube-apiserver with etcd, and ours. Each on loopback, in a
directory of its own, with nothing running beside it that would write objects.

    with RealServer() as server:
        status, headers, body = server.request("GET", "/api/v1/pods")
"""
import base64
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PELTON = os.environ.get("PELTON", str(ROOT / "build" / "release" / "pelton"))
CACHE = Path(os.environ.get("PELTON_CACHE") or
             Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pelton")
ORACLE = Path(os.environ.get("PELTON_ORACLE", CACHE / "oracle" / "bin"))
START_SECONDS = 120
SERVICE_RANGE = "10.96.0.0/16"
# Policies of a cluster, not of the API: they need a controller (accounts) or fill in what the
# embedded cluster does without (docs/kubernetes-differences.md).
DISABLED_ADMISSION = "ServiceAccount,DefaultTolerationSeconds,Priority,TaintNodesByCondition"


def oracle_missing():
    """Why the real server cannot be started here, or None."""
    for program in ("kube-apiserver", "etcd"):
        if not (ORACLE / program).exists():
            return f"there is no {program} in {ORACLE}: ./dev test --all builds it (needs Go 1.26)"
    return None


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Server:
    """What both have in common: a directory, processes, and requests over TLS."""

    def __init__(self, prefix):
        self.directory = Path(tempfile.mkdtemp(prefix=prefix))
        self.kubeconfig = self.directory / "kubeconfig"
        self.processes = []
        self.port = 0
        self.headers = {}
        self.context = None
        self._connection = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *unused):
        self.stop()

    def spawn(self, name, *command, **options):
        log = open(self.directory / f"{name}.log", "wb")
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT, **options)
        log.close()
        self.processes.append(process)
        return process

    def stop(self):
        self.close()
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        shutil.rmtree(self.directory, ignore_errors=True)

    def logs(self):
        return "\n".join(f"--- {log.name}\n" + log.read_text(errors="replace")[-3000:]
                         for log in sorted(self.directory.glob("*.log")))

    def connection(self, timeout=60):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context,
                                           timeout=timeout)

    def close(self):
        if self._connection:
            self._connection.close()
            self._connection = None

    def request(self, method, path, body=None, headers=None):
        """(status, headers, bytes). One kept connection, opened anew after an error."""
        if self._connection is None:
            self._connection = self.connection()
        try:
            self._connection.request(method, path, body=body,
                                     headers={**self.headers, **(headers or {})})
            response = self._connection.getresponse()
            return response.status, response.headers, response.read()
        except BaseException:
            self.close()
            raise

    def json(self, method, path, body=None, content_type="application/json"):
        status, _, answer = self.request(
            method, path, None if body is None else json.dumps(body), {"Content-Type": content_type})
        return status, json.loads(answer or b"null")

    def wait_until_ready(self, path="/readyz"):
        end = time.monotonic() + START_SECONDS
        while True:
            for process in self.processes:
                if process.poll() is not None:
                    raise AssertionError(f"{process.args[0]} ended: {process.returncode}\n{self.logs()}")
            try:
                if self.request("GET", path)[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > end:
                raise AssertionError(f"not ready within {START_SECONDS} s\n{self.logs()}")
            time.sleep(0.1)


class RealServer(Server):
    """kube-apiserver over etcd that syncs. `disabled`: admission plugins to leave out."""

    def __init__(self, disabled=DISABLED_ADMISSION):
        super().__init__("pelton-oracle-")
        self.disabled = disabled

    def start(self):
        client, peer, self.port = free_ports(3)
        here, etcd = self.directory, f"http://127.0.0.1:{client}"
        self.etcd = self.spawn(
            "etcd", ORACLE / "etcd", "--data-dir", here / "etcd", "--listen-client-urls", etcd,
            "--advertise-client-urls", etcd, "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--log-level", "warn")
        subprocess.run(["openssl", "genrsa", "-out", here / "sa.key", "2048"], check=True,
                       capture_output=True)
        (here / "tokens.csv").write_text('oracle-token,admin,1,"system:masters"\n')
        self.api = self.spawn(
            "kube-apiserver", ORACLE / "kube-apiserver", "--etcd-servers", etcd,
            "--cert-dir", here / "certs", "--secure-port", self.port, "--bind-address", "127.0.0.1",
            "--token-auth-file", here / "tokens.csv", "--authorization-mode", "Node,RBAC",
            "--service-account-key-file", here / "sa.key",
            "--service-account-signing-key-file", here / "sa.key",
            "--service-account-issuer", "https://oracle", "--allow-privileged=true",
            "--service-cluster-ip-range", SERVICE_RANGE,
            *(["--disable-admission-plugins", self.disabled] if self.disabled else []))
        certificate = here / "certs" / "apiserver.crt"
        end = time.monotonic() + START_SECONDS
        while not certificate.exists() or not certificate.stat().st_size:
            if self.api.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"kube-apiserver made no certificate\n{self.logs()}")
            time.sleep(0.05)
        self.context = ssl.create_default_context(cafile=certificate)
        self.headers = {"Authorization": "Bearer oracle-token"}
        self.wait_until_ready()
        self.write_kubeconfig(certificate)

    def write_kubeconfig(self, certificate):
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "oracle",
            "clusters": [{"name": "oracle", "cluster": {
                "server": f"https://127.0.0.1:{self.port}",
                "certificate-authority-data": base64.b64encode(certificate.read_bytes()).decode()}}],
            "users": [{"name": "admin", "user": {"token": "oracle-token"}}],
            "contexts": [{"name": "oracle", "context": {"cluster": "oracle", "user": "admin"}}]}
        self.kubeconfig.write_text(json.dumps(config))


class OurServer(Server):
    """`pelton server` without controllers."""

    def __init__(self, controllers=False):
        super().__init__("pelton-server-")
        self.arguments = [] if controllers else ["--without-controllers"]

    def restart(self):
        """Ends it by SIGKILL, and starts it again at the same port and on the same data."""
        self.close()
        self.api.kill()
        self.api.wait()
        self.processes.remove(self.api)
        (self.directory / "data" / "run" / "server.json").unlink()
        self.start()

    def start(self):
        if not self.port:
            (self.port,) = free_ports(1)
        data = self.directory / "data"
        self.api = self.spawn("pelton", PELTON, "server", "--data-dir", data, "--port", self.port,
                              *self.arguments)
        self.kubeconfig = data / "kubeconfig"
        end = time.monotonic() + START_SECONDS
        while not (data / "run" / "server.json").exists():
            if self.api.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"pelton server did not start\n{self.logs()}")
            time.sleep(0.05)
        pki = data / "pki"
        self.context = ssl.create_default_context(cafile=pki / "ca.crt")
        self.context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.wait_until_ready()


if __name__ == "__main__":
    sys.exit("this is a module of the oracle's tests: see record.py and replay.py")
