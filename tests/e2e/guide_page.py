# SPDX-License-Identifier: Apache-2.0
"""A page of the user guide as something that can be run.

What a fenced block is for stands in the words after its language:

    ```sh run            commands, typed one block after the other into the same shell
    ```text output       lines that the block before prints, in this order; … stands for anything
    ```sh fails          commands, of which the last ends with an error
    ```yaml file=a.yaml  the content of a file that the reader saves (also python, …)

Other blocks are only shown. `<!-- cluster: own -->` on a page says that it starts its own cluster.
"""
import dataclasses
import re

FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```$", re.M | re.S)


@dataclasses.dataclass(frozen=True)
class Block:
    kind: str  # "run", "fails", "output" or "file"
    body: str
    line: int  # of the page
    name: str = ""  # of a file


def blocks_of(text):
    """The blocks of a page that mean something, in order. Raises ValueError for an unknown word."""
    blocks = []
    for match in FENCE.finditer(text):
        language, *words = match["info"].split()
        line = text.count("\n", 0, match.start()) + 1
        for word in words:
            kind, _, name = word.partition("=")
            if kind not in ("run", "fails", "output", "file") or (kind == "file") != bool(name):
                raise ValueError(f"line {line}: what does {word!r} after {language} mean?")
            if kind == "output" and not (blocks and blocks[-1].kind in ("run", "fails")):
                raise ValueError(f"line {line}: an output belongs right behind its commands")
            blocks.append(Block(kind, match["body"], line, name))
    return blocks


def has_own_cluster(text):
    return "<!-- cluster: own -->" in text


def missing_line(expected, printed):
    """The first line of `expected` that `printed` lacks in this order, or None. Runs of blanks are
    equal, since columns are as wide as what stands in them."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for wanted in expected.splitlines():
        words = " ".join(wanted.split())
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in words.split("…")))
        if words and not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return None
