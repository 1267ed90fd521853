# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API as the demo uses it: kubectl, each call printed so that it can be copied, and
HTTPS with the same kubeconfig for what is read again and again."""

import base64
import http.client
import json
import os
import pathlib
import shlex
import ssl
import subprocess
import urllib.parse


class Kubectl:
  def __init__(self, kubectl, kubeconfig, tell):
    self.program, self.tell = kubectl, tell
    self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}

  def __call__(self, *arguments, show_output=True):
    """Prints and runs one command. Raises RuntimeError with what kubectl said where it fails."""
    self.tell(f"$ kubectl {shlex.join(arguments)}")
    done = self.quietly(*arguments)
    if show_output:
      for line in done.splitlines():
        self.tell(f"  {line}")
    return done

  def quietly(self, *arguments):
    done = subprocess.run([self.program, *arguments], env=self.environment, text=True,
                          capture_output=True, check=False)
    if done.returncode != 0:
      raise RuntimeError(f"kubectl {shlex.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Api:
  """One HTTPS connection to the API server, opened again where it broke. For one thread."""

  def __init__(self, config, directory):
    """`config` is what `kubectl config view --raw --minify -o json` says; secrets go to files in
    `directory`, which only this user may read."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    self.host = urllib.parse.urlsplit(cluster["server"])
    authority = material(cluster, "certificate-authority", directory)
    self.tls = ssl.create_default_context(cafile=authority)
    self.tls.load_cert_chain(material(user, "client-certificate", directory),
                             material(user, "client-key", directory))
    self.connection = None

  def open(self):
    return http.client.HTTPSConnection(self.host.hostname, self.host.port, context=self.tls,
                                       timeout=10)

  def get(self, path):
    """Returns the JSON object at `path`. Raises OSError or RuntimeError."""
    for attempt in (1, 2):
      try:
        self.connection = self.connection or self.open()
        self.connection.request("GET", path, headers={"Accept": "application/json"})
        answer = self.connection.getresponse()
        body = answer.read()
        break
      except (OSError, http.client.HTTPException) as error:
        self.close()
        if attempt == 2:
          raise OSError(f"GET {path}: {error}") from error
    if answer.status != 200:
      raise RuntimeError(f"GET {path}: {answer.status} {body[:200].decode(errors='replace')}")
    return json.loads(body)

  def lines(self, path):
    """Yields the lines of a log that is followed, until it ends."""
    connection = self.open()
    try:
      connection.request("GET", path)
      connection.sock.settimeout(None)  # a log may be silent for long
      answer = connection.getresponse()
      if answer.status != 200:
        raise RuntimeError(f"GET {path}: {answer.status}")
      for line in answer:
        yield line.decode(errors="replace").rstrip("\n")
    finally:
      connection.close()

  def close(self):
    if self.connection:
      self.connection.close()
    self.connection = None


def material(entry, name, directory):
  """Returns the path of a certificate or key that a kubeconfig names or holds."""
  if name in entry:
    return entry[name]
  path = pathlib.Path(directory) / f"{name}.pem"
  descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
  with os.fdopen(descriptor, "wb") as file:
    file.write(base64.b64decode(entry[f"{name}-data"]))
  return str(path)
