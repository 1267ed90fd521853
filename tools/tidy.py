#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house style as a test: prints every violation as FILE:LINE: what, use what; exits 1 if any.
Documents are held to the truth: what they name has to exist (references.py).

Exceptions stand in tools/tidy_allow.txt (RULE PATH per line), which may only shrink: an entry that
is no longer needed is a violation too.
"""
import re
import subprocess
import sys
from pathlib import Path

import references

ROOT = Path(__file__).resolve().parent.parent
ALLOW_FILE = ROOT / "tools" / "tidy_allow.txt"
GENERATED = ("src/api/tables/", "src/api/views/")
HEADER_LINES, SOURCE_LINES, TEST_LINES, FUNCTION_LINES, COLUMNS = 250, 600, 1200, 70, 100

OS_ONLY = ("src/os/",)
# rule: (pattern, message, folders where it is fine)
BANS = {
    "raw-clock": (r"(system|steady|high_resolution)_clock::now|\bclock_gettime\(|\bgettimeofday\(|\btime\((NULL|nullptr|0)\)",
                  "a raw clock is banned, use world::Clock", OS_ONLY),
    "sleep": (r"\bsleep_for\(|\bsleep_until\(|\busleep\(|\bnanosleep\(|[^_\w.>:]sleep\(",
              "sleeping is banned, use world::Timers or an event", OS_ONLY),
    "thread": (r"std::(thread|jthread|async|mutex|condition_variable)\b",
               "threads are banned, use world::Executor", OS_ONLY),
    "random": (r"\brand\(\)|std::(random_device|mt19937|uniform_\w+_distribution)|\bgetrandom\(",
               "this randomness is banned, use base::Rng or world::Random", OS_ONLY),
    "getenv": (r"\bgetenv\(", "getenv is banned, pass options down from cli/", OS_ONLY + ("src/cli/",)),
    "iostream": (r"#include <iostream>", "<iostream> is banned, use base::Log or fmt in cli/", ()),
    "regex": (r"#include <regex>", "<regex> is banned, use RE2", ()),
    "using-namespace": (r"\busing namespace\b(?! std::literals)", "using namespace is banned", ()),
    "throw": (r"\bthrow\b(?!ing)", "throwing is banned, return a base::Status", ()),
    "coroutine": (r"\bco_(await|return|yield)\b", "coroutines are banned, use callbacks and states", ()),
    "fstream": (r"#include <(fstream|filesystem)>", "files outside world/ are banned, use world::Files", OS_ONLY),
    "syscall-header": (r"#include <(unistd\.h|sys/(socket|epoll|wait|mount|stat|inotify)\.h|fcntl\.h|signal\.h|pthread\.h)>",
                       "system calls live in os/", OS_ONLY),
    "stub-word": (r"\b(TODO|FIXME|XXX)\b", "unfinished work belongs into an issue", ()),
    "unordered-iteration": (r"for \(.*:.*unordered", "iteration order must not depend on a hash, use std::map", ()),
    "relative-include": (r'#include "[^/"]+"', 'include as "folder/file.h"', ()),
}
HEAVY = {
    "nlohmann/json.hpp": 2, "simdjson.h": 1, "CLI/CLI.hpp": 1, "yaml-cpp/yaml.h": 1, "gmock/gmock.h": 6,
}


def tracked(*patterns):
    out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard",
                          "--", *patterns], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if (ROOT / line).is_file()]


def strip_code(line):
    """The line without string literals and // comments, so that prose does not trip a ban."""
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return line.split("//")[0]


def function_lengths(lines):
    """(first line, length) of top-level blocks that look like functions: brace counting is enough
    for clang-formatted code."""
    start = None
    for number, line in enumerate(lines, 1):
        is_opening = line.rstrip().endswith("{") and not line.startswith((" ", "}", "namespace", "struct", "class",
                                                                          "enum", "extern", "union", "#", "//"))
        if start is None and is_opening and ("(" in line or ")" in line):
            start = number
        elif start is not None and line.startswith("}"):
            if not re.match(r"^};", line):
                yield start, number - start + 1
            start = None


def check_source(path, findings):
    text = (ROOT / path).read_text(errors="replace")
    lines = text.splitlines()
    is_header, is_test = path.endswith(".h"), re.search(r"(_test|_fuzz|_bench)\.cc$", path) is not None
    limit = HEADER_LINES if is_header else TEST_LINES if is_test else SOURCE_LINES
    if not path.startswith(GENERATED) and len(lines) > limit:
        findings.append(("file-length", path, len(lines), f"{len(lines)} lines, at most {limit}: split by idea"))
    if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
        findings.append(("spdx", path, 1, "the first line names the licence (SPDX)"))
    if is_header and "#pragma once" not in text:
        findings.append(("pragma-once", path, 1, "a header begins with #pragma once"))
    if path.startswith(GENERATED):
        return
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and "http" not in line and 'R"' not in line:
            findings.append(("columns", path, number, f"{len(line)} columns, at most {COLUMNS}"))
        code = strip_code(line)
        for rule, (pattern, message, fine) in BANS.items():
            subject = line if rule in ("relative-include", "iostream", "regex", "fstream", "syscall-header",
                                       "stub-word") else code
            if not path.startswith(fine if fine else ("\0",)) and re.search(pattern, subject):
                findings.append((rule, path, number, message))
    if not is_header and not is_test:
        for first, length in function_lengths(lines):
            if length > FUNCTION_LINES:
                findings.append(("function-length", path, first, f"{length} lines, at most {FUNCTION_LINES}"))


def check_heavy(sources, findings):
    for header, allowed in HEAVY.items():
        users = [p for p in sources if f"#include <{header}>" in (ROOT / p).read_text(errors="replace")
                 and not p.endswith(("_test.cc", "_fuzz.cc"))]
        if len(users) > allowed:
            findings.append(("heavy-header", users[-1], 1, f"<{header}> in {len(users)} files, at most {allowed}"))


def check_texts(findings):
    """No path of a developer's machine and no conflict markers, anywhere."""
    for path in tracked():
        data = (ROOT / path).read_bytes()
        if b"\0" in data[:4096]:
            continue
        text = data.decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"(^|[\s\"'=(`])/(work|root)/\w", line) and path != "tools/tidy.py":
                findings.append(("machine-path", path, number, "a path of one machine is banned from the tree"))
            if re.match(r"^(<<<<<<<|>>>>>>>) ", line):
                findings.append(("conflict-marker", path, number, "a conflict marker"))
        if path.endswith(".py") and len(text.splitlines()) > SOURCE_LINES:
            findings.append(("file-length", path, 1, f"at most {SOURCE_LINES} lines"))


def check_documents(findings):
    """Every file, function, link and heading that a document names is there."""
    tree = references.Tree(tracked(), lambda path: (ROOT / path).read_text(errors="replace"))
    for path in tracked("*.md"):
        for number, what in references.broken_references(path, tree.read(path), tree):
            findings.append(("reference", path, number, what))


def main():
    findings = []
    sources = tracked("src/**/*.h", "src/**/*.cc", "src/*.h", "src/*.cc", "bench/**/*.cc")
    for path in sources:
        check_source(path, findings)
    check_heavy(sources, findings)
    check_texts(findings)
    check_documents(findings)

    allowed = set()
    if ALLOW_FILE.exists():
        for line in ALLOW_FILE.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                allowed.add(tuple(line.split()[:2]))
    used = set()
    bad = 0
    for rule, path, number, message in sorted(findings, key=lambda f: (f[1], f[2])):
        if (rule, path) in allowed:
            used.add((rule, path))
            continue
        bad += 1
        print(f"{path}:{number}: {rule}: {message}")
    for rule, path in sorted(allowed - used):
        bad += 1
        print(f"tools/tidy_allow.txt: {rule} {path} is no longer needed: remove the line")
    print(f"tidy: {len(sources)} sources, {bad} violations, {len(used)} exceptions")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
