# SPDX-License-Identifier: Apache-2.0
"""Reads the part of YAML that controller-gen writes into CRDs: block mappings and sequences, block
scalars, quoted and plain scalars. Standard library only, so that the generator runs anywhere."""
import re

_INT = re.compile(r"^-?[0-9]+$")


def _scalar(text):
    text = text.strip()
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith('"'):
        return text[1:-1].encode().decode("unicode_escape")
    if text in ("", "null", "~"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text == "{}":
        return {}
    if text == "[]":
        return []
    return int(text) if _INT.match(text) else text


class _Reader:
    def __init__(self, text):
        self.lines = [line for line in text.split("\n") if line.strip() != "---"]
        self.at = 0

    def peek(self):
        """Indent and text of the next line that says something, or (-1, "")."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and not line.lstrip().startswith("#"):
                return len(line) - len(line.lstrip(" ")), line.strip()
            self.at += 1
        return -1, ""

    def block_scalar(self, indent):
        """Skips a block scalar below `indent`; its text does not matter to a table of types."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                return ""
            self.at += 1
        return ""

    def continued(self, indent, text):
        """A plain or quoted scalar that goes on in deeper lines."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            text += " " + line.strip()
            self.at += 1
        return _scalar(text)

    def value(self, indent, text):
        if text[:1] in ("|", ">"):
            return self.block_scalar(indent)
        if text:
            return self.continued(indent, text)
        deeper, line = self.peek()
        if deeper > indent or (deeper == indent and line.startswith("- ")):
            return self.node(deeper)
        return None

    def node(self, indent):
        at, line = self.peek()
        if line.startswith("- ") or line == "-":
            return self.sequence(at)
        return self.mapping(indent)

    def sequence(self, indent):
        items = []
        while True:
            at, line = self.peek()
            if at != indent or not (line.startswith("- ") or line == "-"):
                return items
            rest = line[1:].strip()
            if re.match(r"^[\w.$/-]+:( |$)", rest):  # a mapping begins on the dash's line
                self.lines[self.at] = " " * (indent + 2) + rest
                items.append(self.mapping(indent + 2))
            else:
                self.at += 1
                items.append(self.value(indent, rest))

    def mapping(self, indent):
        members = {}
        while True:
            at, line = self.peek()
            if at != indent or line.startswith("- "):
                return members
            key, _, rest = line.partition(":")
            self.at += 1
            members[_scalar(key)] = self.value(indent, rest.strip())


def load(text):
    return _Reader(text).node(0)
