# SPDX-License-Identifier: Apache-2.0
"""What kubectl prints, ours beside kube-apiserver: habit.yaml is a session of a user, habit.txt the
transcript that kubectl 1.37 leaves of it on kube-apiserver, with its exit codes.

    habit.py            the session on ours, compared with the transcript: every line that differs
    habit.py --record   the session on kube-apiserver, into the transcript (77: there is none)
    habit.py --check    the same, compared

Neither server has controllers or nodes, so what is printed is the API's and kubectl's work alone;
pods that run are the business of tests/e2e. Steps of habit.yaml, in order:

    - run: create configmap colours --from-literal=a=b     kubectl's words
      stdin: |                 a manifest, for -f -
      editor: s/red/blue/      KUBE_EDITOR is a sed script over the file
      shell: true              run is a whole line for a shell, where "kubectl" is the real one
      lines: 3                 it does not end: read so many lines, then end it;
      meanwhile: [label ...]   and run these once its first line is there
      sorted: true             its lines come in any order
      leave_out: {REGEX: why}  lines that differ as meant
      replace: {REGEX: text}   what differs from run to run
"""
import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import yaml

from servers import OurServer, RealServer, oracle_missing

HERE = Path(__file__).resolve().parent
TRANSCRIPT = HERE / "habit.txt"
KUBECTL = os.environ.get("KUBECTL", "kubectl")
SECONDS = 120
NORMAL = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    # Times in the session's manifests are of 2020 or before: a later one is the server's.
    (r"\b20(2[4-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} 20(2[4-9]|[3-9]\d) [\d:]{8} [+-]\d{4}", "TIME"),
    (r"(resourceVersion\"?: )\"\d+\"", r'\1"VERSION"'),
    (r"(?<![\w.-])(\d+[smhdy])+(?![\w.-])", "AGE"),
    (r"\b10\.96\.\d+\.\d+\b", "IP"),
    (r"https://127\.0\.0\.1:\d+", "https://SERVER"),
    (r"/tmp/[\w./-]+", "FILE"),
]


def normal(text, step):
    for pattern, replacement in [*NORMAL, *(step.get("replace") or {}).items()]:
        text = re.sub(pattern, replacement, text)
    lines = []
    for line in text.splitlines():
        # The width of a column depends on what was replaced in it.
        line = re.sub(r"(?<=\S) {2,}", "  ", line).rstrip()
        if not any(re.search(pattern, line) for pattern in step.get("leave_out") or {}):
            lines.append(line)
    return sorted(lines) if step.get("sorted") else lines


class Session:
    def __init__(self, server):
        self.environment = {
            **os.environ, "HOME": str(server.directory), "KUBECONFIG": str(server.kubeconfig),
            "LC_ALL": "C", "TZ": "UTC",
            "PATH": str(Path(KUBECTL).resolve().parent) + os.pathsep + os.environ.get("PATH", "")}

    def start(self, step, words):
        command = (["bash", "-c", words] if step.get("shell") else [KUBECTL, *shlex.split(words)])
        environment = dict(self.environment)
        if "editor" in step:
            environment["KUBE_EDITOR"] = "sed -i -e " + shlex.quote(step["editor"])
        return subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, step):
        """The step's part of the transcript: its words, and what they printed."""
        head = ["$ " + ("" if step.get("shell") else "kubectl ") + step["run"].strip()]
        if "lines" in step:
            return head + self.follow(step)
        with self.start(step, step["run"]) as process:
            try:
                out, err = process.communicate(step.get("stdin", ""), timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                return head + [f"(does not end within {SECONDS} s)"]
        printed = normal(out, step) + ["! " + line for line in normal(err, step)]
        return head + printed + ([f"(exit {process.returncode})"] if process.returncode else [])

    def follow(self, step):
        """Reads from a command that goes on for ever."""
        with self.start(step, step["run"]) as process:
            stop = threading.Timer(SECONDS, process.kill)
            stop.start()
            lines = [process.stdout.readline()]
            for words in step.get("meanwhile") or []:
                subprocess.run([KUBECTL, *shlex.split(words)], env=self.environment, check=True,
                               capture_output=True, timeout=SECONDS)
            while len(lines) < step["lines"] and lines[-1]:
                lines.append(process.stdout.readline())
            stop.cancel()
            process.kill()
        return normal("".join(lines), step)


def transcript_of(server, steps):
    session = Session(server)
    return [session.run(step) for step in steps]


def read_transcript():
    return [part.splitlines() for part in re.split(r"\n\n(?=\$ )", TRANSCRIPT.read_text().rstrip("\n"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    steps = yaml.safe_load((HERE / "habit.yaml").read_text())
    is_real = options.record or options.check
    missing = is_real and oracle_missing()
    if not missing and subprocess.run(["which", KUBECTL], capture_output=True).returncode:
        missing = f"there is no {KUBECTL}: KUBECTL names it"
    if missing:
        print(f"SKIPPED: {missing}")
        return 77
    with (RealServer() if is_real else OurServer()) as server:
        answered = transcript_of(server, steps)
    if options.record:
        # What is left out stands in no transcript; ends of lines do not count.
        TRANSCRIPT.write_text("\n\n".join("\n".join(part) for part in answered) + "\n")
        return 0
    recorded = read_transcript()
    if [part[0] for part in recorded] != [part[0] for part in answered]:
        print("habit.yaml has changed since habit.txt was recorded: habit.py --record")
        return 1
    different = 0
    for want, have in zip(recorded, answered):
        if want != have:
            different += 1
            print("\n".join(difflib.unified_diff(want, have, "kube-apiserver",
                                                 "kube-apiserver now" if is_real else "ours",
                                                 n=2, lineterm="")))
    print(f"{len(steps)} commands: {len(steps) - different} print what they print on kube-apiserver")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
