# SPDX-License-Identifier: Apache-2.0
"""A real embedded cluster for end-to-end tests: `pelton up` in a directory of its own, real kubectl.

PELTON is the executable under test, KUBECTL the kubectl (./dev test sets both). Everything that a
cluster starts is ended again, also when a test fails.
"""
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import http.client
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PELTON = os.environ.get("PELTON", str(ROOT / "build" / "release" / "pelton"))
KUBECTL = os.environ.get("KUBECTL", shutil.which("kubectl") or "kubectl")


class Cluster:
    """One embedded cluster. Use as a context manager, or start() and stop()."""

    def __init__(self, nodes=2, park=None, directory=None):
        self.nodes = nodes
        self.park = park or ROOT / "examples" / "parks" / "small.yaml"
        self.directory = Path(directory or tempfile.mkdtemp(prefix="pelton-e2e-"))
        self.kubeconfig = self.directory / "kubeconfig"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.stop()

    def pelton(self, *args, check=True, timeout=120):
        result = subprocess.run([PELTON, *map(str, args)], capture_output=True, text=True,
                                timeout=timeout, stdin=subprocess.DEVNULL)
        if check and result.returncode != 0:
            raise AssertionError(f"pelton {' '.join(map(str, args))}: exit {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}\n{self.logs()}")
        return result

    def start(self):
        try:
            return self.pelton("up", "--nodes", self.nodes, "--park", self.park,
                               "--data-dir", self.directory)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self.pelton("down", "--data-dir", self.directory, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def kubectl(self, *args, input=None, check=True, timeout=90):
        result = subprocess.run([KUBECTL, f"--kubeconfig={self.kubeconfig}", *map(str, args)],
                                capture_output=True, text=True, input=input, timeout=timeout,
                                env={**os.environ, "HOME": str(self.directory)})
        if check and result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, args))}: exit {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}")
        return result

    def popen_kubectl(self, *args):
        return subprocess.Popen([KUBECTL, f"--kubeconfig={self.kubeconfig}", *map(str, args)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={**os.environ, "HOME": str(self.directory)})

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def apply(self, manifest):
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.kubectl("apply", "-f", "-", input=text)

    def pid(self, part):
        """The process of "server" or "agent-node-0", as `pelton status` reports it."""
        status = json.loads(self.pelton("status", "--data-dir", self.directory, "-o", "json").stdout)
        for process in status["processes"]:
            if process["name"] == part:
                return process["pid"]
        raise AssertionError(f"pelton status shows no {part}: {status}")

    def is_served_by(self, pid):
        """Whether the server is that process, and serves: it says so in a file."""
        record = self.directory / "run" / "server.json"
        return record.exists() and json.loads(record.read_text() or "{}").get("pid") == pid

    def kill(self, part):
        """SIGKILL, and waits until the process is gone."""
        pid = self.pid(part)
        handle = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        import select
        select.select([handle], [], [], 10)
        os.close(handle)
        return pid

    def endpoint(self):
        text = self.kubeconfig.read_text()
        return re.search(r"server: https://([\d.]+):(\d+)", text).groups()

    def connection(self, name=None):
        """An HTTPS connection with the credential D/pki/NAME.{crt,key}; None: without credential."""
        host, port = self.endpoint()
        pki = self.directory / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        if name:
            context.load_cert_chain(str(pki / f"{name}.crt"), str(pki / f"{name}.key"))
        return http.client.HTTPSConnection(host, int(port), context=context, timeout=10)

    def request(self, method, path, body=None, name="admin", content_type="application/json"):
        connection = self.connection(name)
        try:
            connection.request(method, path, body=body if body is None else json.dumps(body),
                               headers={"Content-Type": content_type})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def logs(self):
        parts = []
        for log in sorted((self.directory / "log").glob("*.log")):
            parts.append(f"--- {log.name}\n" + log.read_text(errors="replace")[-3000:])
        return "\n".join(parts)


class BareServer:
    """`pelton server` alone, without controllers or nodes; gives a Cluster to speak to it. Ended with
    kill -9, so that a directory can be used again and again. `prefix`: a command that runs another."""

    def __init__(self, directory=None, prefix=()):
        self.is_temporary = directory is None
        self.cluster = Cluster(directory=directory)
        self.prefix = prefix
        self.process = None

    def __enter__(self):
        self.start()
        return self.cluster

    def start(self):
        log = self.cluster.directory / "log"
        log.mkdir(parents=True, exist_ok=True)
        with open(log / "server.log", "ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, PELTON, "server", "--without-controllers", "--data-dir",
                 self.cluster.directory], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: self.is_running() and self.cluster.is_served_by(self.process.pid),
                       what="a server that serves")
        except BaseException:
            print(self.cluster.logs(), flush=True)
            self.__exit__()
            raise

    def is_running(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with code {self.process.returncode}")
        return True

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        if self.is_temporary:
            shutil.rmtree(self.cluster.directory, ignore_errors=True)


def eventually(check, timeout=30, what="the condition"):
    """Polls an outside observer (kubectl has no event for everything) until `check()` is true."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {timeout} s; last: {value!r}")
        time.sleep(0.1)


class ClusterTest(unittest.TestCase):
    """A test class that shares one cluster."""

    NODES = 2
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: pods are made of namespaces")
        cls.cluster = Cluster(nodes=cls.NODES)
        cls.cluster.start()
        cls.kubectl = cls.cluster.kubectl

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()


def pod(name, script, **spec):
    """A pod that runs a shell script once."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 2,
                     "containers": [{"name": "main", "image": "busybox",
                                     "command": ["sh", "-c", script]}], **spec}}


def normal(text):
    """Output without what differs from run to run: uids, ages, times, addresses, suffixes."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\b", "TIME", text)
    text = re.sub(r"\b10\.(64|96)\.\d+\.\d+\b", "IP", text)
    text = re.sub(r"\b(\d+[smhd])+\b", "AGE", text)
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r" +$", "", text, flags=re.M)
