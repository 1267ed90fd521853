# SPDX-License-Identifier: Apache-2.0
"""kubectl exec, attach, cp, port-forward and logs: what one does with a pod that runs."""
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest
from pathlib import Path

from cluster import KUBECTL, ClusterTest, eventually, pod

STAY = "trap 'exit 0' TERM; sleep 100000 & wait"
MEGABYTES = 5
PATIENCE = 60


def two_containers(name):
    made = pod(name, STAY)
    main = made["spec"]["containers"][0]
    main["env"] = [{"name": "COLOUR", "value": "blue"}]
    main["workingDir"] = "/tmp"
    made["spec"]["containers"].append({"name": "side", "image": "busybox",
                                       "command": ["sh", "-c", STAY],
                                       "env": [{"name": "COLOUR", "value": "red"}],
                                       "securityContext": {"runAsUser": 1234, "runAsGroup": 4321}})
    return made


class ExecTest(ClusterTest):
    NODES = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.apply(two_containers("two"))
        cls.cluster.apply(pod("done", "echo finished"))
        cls.kubectl("wait", "--for=condition=Ready", "pod/two", f"--timeout={PATIENCE}s")
        cls.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/done",
                    f"--timeout={PATIENCE}s")

    def arguments(self, *args):
        return [KUBECTL, f"--kubeconfig={self.cluster.kubeconfig}", *args]

    def environment(self, **more):
        return {**os.environ, "HOME": str(self.cluster.directory), **more}

    def exec(self, *args, **more):
        return self.kubectl("exec", *args, check=False, **more)

    def process_count(self, marker):
        """How many processes on this machine have this word in their command line, kubectl's and
        the test's own aside."""
        count = 0
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if marker.encode() in command and b"exec" not in command:
                count += 1
        return count

    def test_both_outputs_and_the_exit_code_are_the_commands(self):
        result = self.exec("two", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((result.returncode, result.stdout), (7, "out\n"))
        self.assertEqual(result.stderr, "err\ncommand terminated with exit code 7\n")
        result = self.exec("two", "-c", "main", "--", "true")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        killed = self.exec("two", "-c", "main", "--", "sh", "-c", "kill -TERM $$")
        self.assertEqual(killed.returncode, 128 + signal.SIGTERM)

    def test_a_command_finds_the_surroundings_of_its_container(self):
        script = ("hostname; pwd; echo $COLOUR; id -u; id -G; cat /proc/1/comm; "
                  "grep NoNew /proc/self/status; cmp /proc/self/cgroup /proc/1/cgroup && echo grouped")
        main = self.exec("two", "-c", "main", "--", "sh", "-c", script).stdout.split("\n")
        self.assertEqual(main[:5], ["two", "/tmp", "blue", "0", "0"])
        self.assertEqual(main[5:8], ["bwrap", "NoNewPrivs:\t1", "grouped"])
        side = self.exec("two", "-c", "side", "--", "sh", "-c", script).stdout.split("\n")
        self.assertEqual(side[:5], ["two", "/", "red", "1234", "4321"])
        seen = self.exec("two", "-c", "main", "--", "sh", "-c", f"ls {self.cluster.directory}")
        self.assertNotEqual(seen.returncode, 0, "a command sees the data directory")

    def test_without_a_name_the_first_container_is_meant_unless_another_is_annotated(self):
        result = self.exec("two", "--", "sh", "-c", "echo $COLOUR")
        self.assertEqual(result.stdout, "blue\n")
        self.assertIn('Defaulted container "main" out of: main, side', result.stderr)
        self.kubectl("annotate", "pod", "two", "kubectl.kubernetes.io/default-container=side")
        self.assertEqual(self.exec("two", "--", "sh", "-c", "echo $COLOUR").stdout, "red\n")
        self.kubectl("annotate", "pod", "two", "kubectl.kubernetes.io/default-container-")

    def test_megabytes_go_in_and_come_back_whole(self):
        data = os.urandom(MEGABYTES << 20)
        command = self.arguments("exec", "-i", "two", "-c", "main", "--")
        through = subprocess.run([*command, "cat"], input=data, capture_output=True, timeout=PATIENCE * 2,
                                 env=self.environment())
        self.assertEqual(through.returncode, 0, through.stderr)
        self.assertTrue(through.stdout == data, f"{len(through.stdout)} of {len(data)} bytes")
        summed = subprocess.run([*command, "sha256sum"], input=data, capture_output=True,
                                timeout=PATIENCE * 2, env=self.environment())
        self.assertEqual(summed.stdout.split()[0].decode(), hashlib.sha256(data).hexdigest())

    def test_a_program_that_is_not_there_is_127_and_one_that_may_not_be_run_126(self):
        missing = self.exec("two", "-c", "main", "--", "no-such-program", "x")
        self.assertEqual(missing.returncode, 127)
        self.assertIn('exec: "no-such-program": executable file not found in $PATH', missing.stderr)
        self.assertIn("command terminated with exit code 127", missing.stderr)
        closed = self.exec("two", "-c", "main", "--", "/etc/passwd")
        self.assertEqual(closed.returncode, 126)
        self.assertIn('exec: "/etc/passwd": permission denied', closed.stderr)

    def test_what_cannot_be_entered_is_refused_by_name(self):
        for args, words in [
            (("nobody", "--", "true"), 'pods "nobody" not found'),
            (("two", "-c", "third", "--", "true"), "container third is not valid for pod two"),
            (("done", "--", "true"), "current phase is Succeeded"),
        ]:
            result = self.exec(*args)
            self.assertEqual(result.returncode, 1, result.stdout)
            self.assertIn(words, result.stderr)
        path = "/api/v1/namespaces/default/pods/{}/exec?{}"
        for name, query, code, words in [
            ("done", "command=true&stdout=true", 400, "current phase is Succeeded"),
            ("two", "container=main&stdout=true", 400, "at least 1 command"),
            ("two", "container=main&command=true", 400, "at least 1 of stdin, stdout, stderr"),
            ("two", "container=main&command=true&stdout=true", 400, "Upgrade: websocket"),
            ("two", "command=true&stdout=true", 400, "choose one of: [main side]"),
        ]:
            status, answer = self.cluster.request("GET", path.format(name, query))
            self.assertEqual((status, answer["kind"]), (code, "Status"), answer)
            self.assertIn(words, answer["message"])
        status, answer = self.cluster.request("POST", path.format("two", "command=true&stdout=true"),
                                              name=None)
        self.assertEqual(status, 401, answer)

    def test_a_client_that_speaks_spdy_only_is_told_what_to_use(self):
        result = subprocess.run(self.arguments("exec", "two", "-c", "main", "--", "true"),
                                capture_output=True, text=True, timeout=PATIENCE,
                                env=self.environment(KUBECTL_REMOTE_COMMAND_WEBSOCKETS="false"))
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("SPDY is not spoken here, only WebSocket", result.stderr)

    def test_cp_copies_both_ways(self):
        with tempfile.TemporaryDirectory() as name:
            there, back = Path(name, "there"), Path(name, "back")
            (there / "sub").mkdir(parents=True)
            (there / "sub" / "large").write_bytes(os.urandom(2 << 20))
            (there / "small").write_text("small\n")
            self.kubectl("cp", str(there), "two:/tmp/copy", "-c", "main")
            listed = self.exec("two", "-c", "main", "--", "sh", "-c", "cat /tmp/copy/small")
            self.assertEqual(listed.stdout, "small\n")
            self.kubectl("cp", "two:/tmp/copy", str(back), "-c", "main")
            for path in ["small", "sub/large"]:
                self.assertTrue((back / path).read_bytes() == (there / path).read_bytes(), path)

    def test_a_terminal_has_its_size_a_name_and_a_keyboard(self):
        pid, terminal = pty.fork()
        if pid == 0:
            args = self.arguments("exec", "-it", "two", "-c", "main", "--", "bash", "--norc")
            os.execve(args[0], args, self.environment(TERM="dumb"))
        self.addCleanup(os.close, terminal)
        said = ""

        def resize(rows, columns):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.kill(pid, signal.SIGWINCH)

        def read_until(text):
            nonlocal said
            end = time.monotonic() + PATIENCE
            while text not in said:
                ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
                self.assertTrue(ready, f"{text!r} did not come; the terminal shows:\n{said}")
                try:
                    said += os.read(terminal, 65536).decode(errors="replace")
                except OSError:  # the last process of the terminal has ended
                    self.assertIn(text, said)

        def type_line(text):
            os.write(terminal, text.encode() + b"\n")

        type_line("echo name is $(tty)")
        read_until("name is /dev/pts/")
        # The new size arrives some time after the signal: the shell waits for it itself.
        type_line('until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done; echo size $((40 + 2))')
        resize(33, 77)
        read_until("size 42")
        # What is typed before the shell has left its line editor would not be the program's.
        type_line("echo ready $((1 + 1)); cat")
        read_until("ready 2")
        type_line("typed")
        read_until("typed\r\ntyped\r\n")
        said = ""
        os.write(terminal, b"\x03")
        read_until("bash-")  # its prompt; what came before that would be dropped
        type_line("exit 3")
        read_until("exit code 3")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 3)

    def start_marked(self, marker, script, **streams):
        """kubectl exec of a shell that has a child in the background; both bear the marker."""
        client = subprocess.Popen(
            self.arguments("exec", "-i", "two", "-c", "main", "--", "sh", "-c", script, marker),
            stdout=subprocess.PIPE, env=self.environment(), **streams)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), b"up\n")
        self.assertGreater(self.process_count(marker), 0)
        return client

    def test_with_its_client_a_command_goes_and_all_that_it_started(self):
        marker = "marker-of-the-client"
        client = self.start_marked(
            marker, 'sh -c "sleep 5000; true" $0 & setsid sh -c "sleep 5001; true" $0 & echo up; wait',
            stdin=subprocess.PIPE)
        self.addCleanup(client.stdin.close)
        eventually(lambda: self.process_count(marker) == 3, PATIENCE, "the command's children")
        client.kill()
        client.wait()
        eventually(lambda: self.process_count(marker) == 0, PATIENCE, "the end of the command")

    def test_a_command_goes_with_a_client_whose_input_it_never_read(self):
        marker = "marker-of-the-flood"
        with open("/dev/zero", "rb") as zeros:
            client = self.start_marked(marker, "echo up; sleep 5002; true", stdin=zeros)
            client.kill()
            client.wait()
            eventually(lambda: self.process_count(marker) == 0, 2 * PATIENCE, "the end of the command")

    def test_with_its_pod_a_command_goes_and_its_client_is_told(self):
        self.cluster.apply(pod("short", STAY))
        self.kubectl("wait", "--for=condition=Ready", "pod/short", f"--timeout={PATIENCE}s")
        client = subprocess.Popen(self.arguments("exec", "short", "--", "sh", "-c", "echo up; sleep 5003"),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
        self.assertEqual(client.stdout.readline(), b"up\n")
        self.kubectl("delete", "pod", "short", "--now", "--wait=false")
        _, stderr = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 128 + signal.SIGKILL, stderr)

    def test_attach_shows_what_comes_until_the_container_ends(self):
        self.cluster.apply(pod("talker", "while [ ! -e /tmp/go ]; do sleep 0.1; done; echo said; sleep 1"))
        self.kubectl("wait", "--for=condition=Ready", "pod/talker", f"--timeout={PATIENCE}s")
        client = subprocess.Popen(self.arguments("attach", "talker"), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, env=self.environment())
        eventually(lambda: self.audited("attach"), PATIENCE, "the attachment")
        self.exec("talker", "--", "touch", "/tmp/go")
        stdout, stderr = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, stdout), (0, "said\n"), stderr)

    def audited(self, subresource):
        """The audit log's lines about streams that were opened."""
        return [line for line in self.cluster.logs().splitlines()
                if "audit" in line and f"subresource={subresource}" in line and "code=101" in line]

    def test_exec_is_in_the_audit_log(self):
        self.exec("two", "-c", "main", "--", "true")
        self.assertIn("name=two", self.audited("exec")[-1])


SERVER = """
import hashlib, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        said = self.rfile.read()
        self.wfile.write(hashlib.sha256(said).hexdigest().encode() + said)
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64
server = Server(("127.0.0.1", 8000), Handler)
print("listening", flush=True)
server.serve_forever()
"""


class PortForwardTest(ClusterTest):
    NODES = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        web = pod("web", "")
        web["spec"]["containers"][0]["command"] = ["python3", "-c", SERVER]
        cls.cluster.apply(web)
        cls.kubectl("wait", "--for=condition=Ready", "pod/web", f"--timeout={PATIENCE}s")
        eventually(lambda: "listening" in cls.kubectl("logs", "web").stdout, PATIENCE, "the server")

    def forward(self, remote):
        """kubectl port-forward from a port of its choice; gives it and the port."""
        client = self.cluster.popen_kubectl("port-forward", "web", f":{remote}")
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        line = client.stdout.readline()
        port = re.match(rf"Forwarding from 127\.0\.0\.1:(\d+) -> {remote}$", line)
        self.assertTrue(port, line + (client.stdout.read() if client.poll() is not None else ""))
        return client, int(port[1])

    def ask(self, port, said):
        """Says it, ends its own side, and reads to the end."""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            sender = threading.Thread(target=lambda: (connection.sendall(said),
                                                      connection.shutdown(socket.SHUT_WR)))
            sender.start()
            heard = b""
            while piece := connection.recv(1 << 20):
                heard += piece
            sender.join()
            return heard

    def test_many_connections_at_once_carry_megabytes_both_ways(self):
        client, port = self.forward(8000)
        data = [os.urandom(size) for size in (1, 100, 1 << 20, 3 << 20, 3 << 20, 3 << 20)]
        heard = {}

        def one(i):
            heard[i] = self.ask(port, data[i])

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(data))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * PATIENCE)
        for i, said in enumerate(data):
            wanted = hashlib.sha256(said).hexdigest().encode() + said
            self.assertTrue(heard.get(i) == wanted, f"{len(heard.get(i, b''))} of {len(wanted)} bytes")
        for _ in range(20):  # one after the other, over the same forward
            self.assertEqual(self.ask(port, b"again")[64:], b"again")
        self.assertIsNone(client.poll())

    def test_a_port_where_nobody_listens_is_said(self):
        client, port = self.forward(8001)
        self.assertEqual(self.ask(port, b""), b"")
        output, _ = client.communicate(timeout=PATIENCE)
        self.assertIn("an error occurred forwarding", output.lower())
        self.assertIn("error forwarding port 8001 to pod web, uid ", output)
        self.assertIn("dial tcp 127.0.0.1:8001: connect: connection refused", output)

    def test_who_may_not_is_refused_and_what_is_not_there_is_named(self):
        path = "/api/v1/namespaces/default/pods/{}/portforward"
        status, answer = self.cluster.request("GET", path.format("web"), name=None)
        self.assertEqual(status, 401, answer)
        status, answer = self.cluster.request("GET", path.format("nobody"))
        self.assertEqual((status, answer["message"]), (404, 'pods "nobody" not found'))
        status, answer = self.cluster.request("GET", path.format("web"))
        self.assertEqual(status, 400, answer)
        self.assertIn("Upgrade: websocket", answer["message"])


class LogsTest(ClusterTest):
    NODES = 1

    def test_every_option_of_logs(self):
        crashing = pod("crashing", "echo attempt; exit 1")
        crashing["spec"]["restartPolicy"] = "Always"
        talking = pod("talking", "for i in 1 2 3 4; do echo line $i; done; " + STAY)
        talking["spec"]["containers"].append({"name": "side", "image": "busybox",
                                              "command": ["sh", "-c", "echo beside; " + STAY]})
        self.cluster.apply(crashing)
        self.cluster.apply(talking)
        self.kubectl("wait", "--for=condition=Ready", "pod/talking", f"--timeout={PATIENCE}s")
        logs = lambda *args: self.kubectl("logs", *args).stdout
        eventually(lambda: logs("talking", "-c", "main").count("line") == 4 and
                   logs("talking", "-c", "side"), PATIENCE, "the output")
        self.assertEqual(logs("talking", "-c", "main", "--tail=2"), "line 3\nline 4\n")
        self.assertEqual(logs("talking", "-c", "side"), "beside\n")
        self.assertEqual(sorted(logs("talking", "--all-containers", "--prefix").splitlines()),
                         ["[pod/talking/main] line %d" % i for i in (1, 2, 3, 4)] +
                         ["[pod/talking/side] beside"])
        self.assertEqual(logs("talking", "-c", "main", "--limit-bytes=8"), "line 1\nl")
        self.assertEqual(logs("talking", "-c", "main", "--since=1h"), "".join(f"line {i}\n" for i in (1, 2, 3, 4)))
        self.assertEqual(logs("talking", "-c", "main", "--since-time=2099-01-01T00:00:00Z"), "")
        self.assertRegex(logs("talking", "-c", "main", "--timestamps", "--tail=1"),
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 4\n$")
        eventually(lambda: self.cluster.get("pod", "crashing")["status"]["containerStatuses"][0]
                   ["restartCount"] >= 1, PATIENCE, "a restart")
        self.assertEqual(logs("crashing", "--previous"), "attempt\n")
        none = self.kubectl("logs", "talking", "-c", "main", "--previous", check=False)
        self.assertEqual(none.returncode, 1)
        self.assertIn('previous terminated container "main" in pod "talking" not found', none.stderr)

    def test_a_container_that_waits_has_no_log_and_says_why(self):
        waiting = pod("waiting", "true")
        waiting["spec"]["containers"][0]["image"] = "no/such-image:1"
        self.cluster.apply(waiting)
        eventually(lambda: self.cluster.get("pod", "waiting")["status"].get("containerStatuses"),
                   PATIENCE, "a status")
        result = self.kubectl("logs", "waiting", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn('container "main" in pod "waiting" is waiting to start: ', result.stderr)
        refused = self.kubectl("exec", "waiting", "--", "true", check=False)
        self.assertIn('container not found ("main")', refused.stderr)


if __name__ == "__main__":
    unittest.main()
