# SPDX-License-Identifier: Apache-2.0
"""A real S3 server (SeaweedFS) on ports of its own, and a proxy before it that does harm.

For tests and benchmarks. The program comes with ./dev setup, as the virtual environment 's3'.
"""

import http.client
import http.server
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

CACHE = pathlib.Path(os.environ.get("PELTON_CACHE") or pathlib.Path(
    os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "pelton"))
WEED = CACHE / "venvs/s3/bin/weed"
BUCKET = "checkpoints"
READY_SECONDS = 60


def quoted(text):
  return urllib.parse.quote(text, safe="")


def free_ports(count):
  sockets = [socket.socket() for _ in range(count)]
  try:
    for each in sockets:
      each.bind(("127.0.0.1", 0))
    return [each.getsockname()[1] for each in sockets]
  finally:
    for each in sockets:
      each.close()


class Server:
  """Runs until stop(); with an owner's key and one that may only read."""

  KEY, SECRET = "OWNER", "owner-secret"
  READER_KEY, READER_SECRET = "READER", "reader-secret"

  def __init__(self, directory=None):
    self._temporary = tempfile.TemporaryDirectory(dir=directory)
    root = pathlib.Path(self._temporary.name)
    config = root / "s3.json"
    config.write_text(json.dumps({"identities": [
        {"name": "owner", "actions": ["Admin", "Read", "Write", "List"],
         "credentials": [{"accessKey": self.KEY, "secretKey": self.SECRET}]},
        {"name": "reader", "actions": ["Read", "List"],
         "credentials": [{"accessKey": self.READER_KEY, "secretKey": self.READER_SECRET}]}]}))
    (root / "data").mkdir()
    services = ["master", "volume", "filer", "s3"]
    ports = free_ports(2 * len(services))
    flags = []
    for service, port, grpc in zip(services, ports[::2], ports[1::2]):
      flags += [f"-{service}.port={port}", f"-{service}.port.grpc={grpc}"]
    self.port = ports[6]
    self.log = open(root / "log", "w")
    self._process = subprocess.Popen(
        [WEED, "server", f"-dir={root / 'data'}", "-s3", f"-s3.config={config}", "-ip=127.0.0.1",
         "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=100",
         "-master.volumeSizeLimitMB=64", *flags], stdout=self.log, stderr=subprocess.STDOUT)
    self._wait_until_ready()

  def _wait_until_ready(self):
    # It answers before it can hold an object.
    end = time.monotonic() + READY_SECONDS
    while True:
      self.request("PUT", "")
      if self.request("PUT", "ready", b"yes")[0] == 200:
        return
      if time.monotonic() > end or self._process.poll() is not None:
        text = pathlib.Path(self.log.name).read_text()[-2000:]
        self.stop()
        raise RuntimeError(f"the S3 server does not come up: {text}")
      time.sleep(0.1)

  @property
  def endpoint(self):
    return f"http://127.0.0.1:{self.port}"

  def environment(self, endpoint=None):
    """For whoever uses it, as the owner."""
    return {"AWS_ENDPOINT_URL": endpoint or self.endpoint, "AWS_ACCESS_KEY_ID": self.KEY,
            "AWS_SECRET_ACCESS_KEY": self.SECRET}

  def curl(self, *arguments, **options):
    return subprocess.run(
        ["curl", "-sS", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{self.KEY}:{self.SECRET}",
         "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *arguments], capture_output=True, **options)

  def request(self, method, key, body=None, query=""):
    """Status and body; past any proxy."""
    body_arguments = ["-T", "-"] if body is not None else []
    result = self.curl("-X", method, "-w", "\n%{http_code}", *body_arguments,
                       f"{self.endpoint}/{BUCKET}/{key}{query}", input=body)
    text, _, status = result.stdout.rpartition(b"\n")
    return int(status or 0), text

  def keys(self, prefix):
    """Of at most 1,000 objects."""
    text = self.request("GET", "", query=f"?list-type=2&prefix={quoted(prefix)}")[1].decode()
    return [part.split("</Key>")[0] for part in text.split("<Key>")[1:]]

  def uploads(self, prefix):
    text = self.request("GET", "", query=f"?prefix={quoted(prefix)}&uploads=")[1].decode()
    return [part.split("</Key>")[0] for part in text.split("<Key>")[1:]]

  def stop(self):
    self._process.kill()
    self._process.wait()
    self.log.close()
    self._temporary.cleanup()


class Proxy:
  """Passes requests on; `fault(method, path, headers)` says what goes wrong, or None:

  500, 503 (any status: an error that says so), "NoSuchBucket", "hang" (no answer while it lives), "cut" (the
  connection ends, the request never arrives), "lost" (it arrives, its answer does not), "half" (the
  answer ends in its middle), "flip" (one bit of the answer's body is another), 200 (it is said to
  have been done).
  """

  def __init__(self, port):
    self.fault = lambda *_: None
    self.seen = []  # (method, path, fault)
    self._ended = threading.Event()
    outer = self

    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = "HTTP/1.1"
      disable_nagle_algorithm = True
      wbufsize = -1  # one write per answer

      def log_message(self, *_):
        pass

      def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = outer.fault(self.command, self.path, self.headers)
        outer.seen.append((self.command, self.path, fault))
        if fault in ("hang", "cut"):
          if fault == "hang":
            outer._ended.wait()
          self.close_connection = True
          return
        if isinstance(fault, int) or fault == "NoSuchBucket":
          code = {503: "SlowDown", 500: "InternalError"}.get(fault, fault)
          fault = 404 if fault == "NoSuchBucket" else fault
          text = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
          return self.answer(fault, {}, b"" if fault == 200 else text)
        backend = http.client.HTTPConnection("127.0.0.1", port)
        backend.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
          if name.lower() != "expect":
            backend.putheader(name, value)
        backend.endheaders(body)
        answer = backend.getresponse()
        text = answer.read()
        backend.close()
        if fault == "lost":
          self.close_connection = True
        elif fault == "flip" and text:
          self.answer(answer.status, answer.headers, bytes([text[0] ^ 1]) + text[1:])
        else:
          self.answer(answer.status, answer.headers, text, is_half=fault == "half")

      def answer(self, status, headers, text, is_half=False):
        self.send_response_only(status)
        for name, value in headers.items():
          if name.lower() not in ("content-length", "connection", "transfer-encoding"):
            self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else len(text)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if is_half:
          text = text[:len(text) // 2]
          self.close_connection = True
        self.wfile.write(text)

      do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    class Listener(http.server.ThreadingHTTPServer):
      daemon_threads = True

      def handle_error(self, *_):
        pass  # who gave up waiting

    self._listener = Listener(("127.0.0.1", 0), Handler)
    self.endpoint = f"http://127.0.0.1:{self._listener.server_address[1]}"
    threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

  def stop(self):
    self._ended.set()
    self._listener.shutdown()
    self._listener.server_close()
