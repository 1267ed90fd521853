# SPDX-License-Identifier: Apache-2.0
"""What restoring from the memory of a peer costs, beside the network itself.

A cluster of two nodes, a job that has saved one part on each. By turns, in one run on one machine:
  fetch     what a worker waits for that lacks a part: {"fetch": ...} at peers.sock, until its agent
            has pulled it from the other node's (TLS both ways), verified and published it
  loopback  as many bytes by one TCP connection, from one process's memory into another's: plain, and
            with TLS (Python's ssl, the same OpenSSL and cipher, one thread at each end)
Both ends share this machine: what they take of its processors, divided by their number, is what
a fetch would take here were it spread over threads without loss.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import ssl
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("PELTON", str(ROOT / "build/release/pelton"))
sys.path.insert(0, str(ROOT / "tests/e2e"))
import test_memory_tier as tier  # noqa: E402
from cluster import Cluster, eventually  # noqa: E402


def ask(memory, question):
  with socket.socket(socket.AF_UNIX) as agent:
    agent.connect(str(memory / "peers.sock"))
    agent.sendall(json.dumps(question).encode() + b"\n")
    with agent.makefile() as lines:
      return json.loads(lines.readline())


def tls(pki, side):
  """As agents speak to each other: both show a certificate of the cluster's."""
  context = ssl.SSLContext(side)
  context.check_hostname = False
  context.load_verify_locations(str(pki / "ca.crt"))
  context.verify_mode = ssl.CERT_REQUIRED
  name = "admin" if side == ssl.PROTOCOL_TLS_CLIENT else "apiserver"
  context.load_cert_chain(str(pki / f"{name}.crt"), str(pki / f"{name}.key"))
  return context


def cipher_of(pki):
  a, b = socket.socketpair()
  client = tls(pki, ssl.PROTOCOL_TLS_CLIENT).wrap_socket(a, do_handshake_on_connect=False)
  if os.fork() == 0:
    tls(pki, ssl.PROTOCOL_TLS_SERVER).wrap_socket(b, server_side=True)
    os._exit(0)
  client.do_handshake()
  os.wait()
  return client.cipher()[0]


def cpu_seconds(directory):
  """That the agents of this cluster have taken so far."""
  ticks = 0
  for process in pathlib.Path("/proc").iterdir():
    try:
      command = (process / "cmdline").read_bytes().split(b"\0")
      if command[1:2] == [b"agent"] and str(directory).encode() in command:
        ticks += sum(map(int, (process / "stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    except (OSError, IndexError):
      pass
  return ticks / os.sysconf("SC_CLK_TCK")


def loopback(size, pki=None):
  """Seconds from connect to the last byte; with TLS where `pki` is given."""
  server = socket.create_server(("127.0.0.1", 0))
  ready, go = os.pipe()
  sender = os.fork()
  if sender == 0:
    data = bytearray(os.urandom(1 << 20)) * (size >> 20)
    os.write(go, b"r")
    connection, _ = server.accept()
    if pki:
      connection = tls(pki, ssl.PROTOCOL_TLS_SERVER).wrap_socket(connection, server_side=True)
    for at in range(0, size, 1 << 18):
      connection.sendall(memoryview(data)[at:at + (1 << 18)])
    os._exit(0)
  into = memoryview(bytearray(size))
  os.read(ready, 1)
  begin = time.perf_counter()
  with socket.create_connection(server.getsockname()) as connection:
    if pki:
      connection = tls(pki, ssl.PROTOCOL_TLS_CLIENT).wrap_socket(connection)
    at = 0
    while at < size:
      at += connection.recv_into(into[at:at + (1 << 20)])
  seconds = time.perf_counter() - begin
  os.waitpid(sender, 0)
  for end in (ready, go):
    os.close(end)
  server.close()
  return seconds


def saved_parts(cluster, shared, size):
  """Two nodes' memory directories, and the name of the part that only the first holds."""
  (shared / "worker.py").write_text(tier.WORKER)
  (shared / "size").write_text(str(size))
  cluster.apply({"apiVersion": "pelton.dev/v1alpha1", "kind": "RecoveryPolicy",
                 "metadata": {"name": "p"}, "spec": {"memoryReplicas": 0}})
  cluster.apply(tier.jobset(2, shared))
  logs = [shared / f"log-{rank}" for rank in range(2)]
  eventually(lambda: all(log.exists() and " saved " in log.read_text() for log in logs), 180,
             "both ranks to have saved")
  (shared / "pause").touch()
  record = cluster.get("recoverypolicy", "p")["status"]["jobSets"][0]
  nodes = [member["node"] for member in record["generation"]["members"]]
  memories = [cluster.directory / "nodes" / node / "jobs" / record["uid"] / "memory" for node in nodes]

  def quiet():
    """Of the newest step that both have saved."""
    steps = [int(log.read_text().split()[-1]) for log in logs]
    time.sleep(1)  # a save may be under way
    return steps[0] if steps == [int(log.read_text().split()[-1]) for log in logs] and \
        len(set(steps)) == 1 else None
  step = eventually(quiet, 60, "the ranks to stand still")
  return memories, f"step-{step:012d}-g1/w00000"


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("--quick", action="store_true", help="3 trials of 16 MiB: does it run?")
  parser.add_argument("--mib", type=int, default=128)
  options = parser.parse_args()
  trials, size = (3, 16 << 20) if options.quick else (20, options.mib << 20)
  shared = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp", prefix="pelton-bench-"))
  fetches, plain, sealed = [], [], []
  cpu = 0
  try:
    with Cluster(nodes=2) as cluster:
      (_, memory), part = saved_parts(cluster, shared, size)
      here = memory / "checkpoint" / part
      pki = cluster.directory / "pki"
      cipher = cipher_of(pki)
      for _ in range(trials):
        begin, cpu_before = time.perf_counter(), cpu_seconds(cluster.directory)
        answer = ask(memory, {"fetch": part})
        fetches.append(time.perf_counter() - begin)
        cpu += cpu_seconds(cluster.directory) - cpu_before
        assert answer == {"done": True}, answer
        assert here.with_suffix(".data").stat().st_size >= size
        for suffix in (".manifest", ".data"):
          here.with_suffix(suffix).unlink()
        plain.append(loopback(size))
        sealed.append(loopback(size, pki))
      (shared / "finish").touch()
  finally:
    shutil.rmtree(shared)
  print(f"{size >> 20} MiB, {trials} trials\n\n| | median ms | p95 ms | GB/s |\n|---|---:|---:|---:|")
  for name, times in (("fetch from a peer", fetches), ("loopback, plain TCP", plain),
                      (f"loopback, TLS ({cipher})", sealed)):
    median = statistics.median(times)
    p95 = sorted(times)[int(len(times) * 0.95) - 1]
    print(f"| {name} | {median * 1e3:.1f} | {p95 * 1e3:.1f} | {size / median / 1e9:.2f} |")
  for name, times in (("loopback, plain", plain), ("loopback, TLS", sealed)):
    ratio = statistics.median(b / a for a, b in zip(fetches, times))
    print(f"\nfetch: {ratio:.2f} of {name} (goal 0.8)")
  cores = len(os.sched_getaffinity(0))
  print(f"\nagents took {cpu / trials / size * 1e9:.2f} s of CPU per GB, both ends; spread evenly over "
        f"{cores} cores, {cpu / trials / cores * 1e3:.0f} ms a fetch")


if __name__ == "__main__":
  main()
