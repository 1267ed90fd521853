# SPDX-License-Identifier: Apache-2.0
"""How two answers differ, and which of these differences are meant (differences.yaml)."""
import fnmatch
from pathlib import Path

import yaml

ABSENT = "(absent)"


def diff(expected, actual, path=""):
    """[(path, expected, actual)]: the deepest places at which two JSON values differ."""
    if expected == actual and type(expected) is type(actual):
        return []
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = []
        for key in sorted({*expected, *actual}):
            found += diff(expected.get(key, ABSENT), actual.get(key, ABSENT),
                          f"{path}.{key}" if path else key)
        return found
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [one for index, pair in enumerate(zip(expected, actual))
                for one in diff(*pair, f"{path}[{index}]")]
    return [(path, expected, actual)]


class Meant:
    """Entries of differences.yaml: {requests: glob of FILE/ID, path: glob, reason: text}."""

    def __init__(self, path=Path(__file__).resolve().parent / "differences.yaml"):
        self.entries = yaml.safe_load(path.read_text()) or []
        self.used = [False] * len(self.entries)
        for entry in self.entries:
            if not entry.get("reason"):
                raise ValueError(f"differences.yaml: {entry} says no reason")

    def covers(self, request, path):
        covered = False
        for index, entry in enumerate(self.entries):
            # In a path "[" is itself, not the beginning of a set.
            pattern = entry.get("path", "*").replace("[", "[[]")
            if fnmatch.fnmatchcase(request, entry["requests"]) and fnmatch.fnmatchcase(path, pattern):
                self.used[index] = covered = True
        return covered

    def unused(self):
        return [entry for entry, used in zip(self.entries, self.used) if not used]
