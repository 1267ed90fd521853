# SPDX-License-Identifier: Apache-2.0
"""What documents name and the tree does not have. Pure.

In a Markdown document, `src/store/store.cc` in backquotes names a file, `store/` a folder, and
`src/store/store.cc:Store::commit` something in that file; [text](page.md#heading) is a link. Paths
begin at the root, at `src/`, or beside the document. Only what begins with a folder of the tree is
taken for a path; a word in capitals (`src/FOLDER/x.cc`) says that it stands for something else.
"""
import posixpath
import re

SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?P<path>[\w.-]+(?:/[\w.-]+)*/?)(?::(?P<name>~?[A-Za-z_][\w:~]*))?")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```+|~~~+).*?^\1", re.M | re.S)


class Tree:
    """The files of the tree: `files` are paths from its root, `read` gives a file's text."""

    def __init__(self, files, read):
        self.files = set(files)
        self.read = read
        self.folders = {folder for path in self.files for folder in folders_above(path)}
        self.tops = {path.split("/")[0] for path in self.folders} | {
            folder[len("src/"):] for folder in self.folders if folder.count("/") == 1
            and folder.startswith("src/")}

    def find(self, path, document):
        """The file or folder that a document means by `path`, or None."""
        for base in ("", "src", posixpath.dirname(document)):
            found = posixpath.normpath(posixpath.join(base, path))
            if found in self.folders or (found in self.files and not path.endswith("/")):
                return found
        return None


def folders_above(path):
    while path := posixpath.dirname(path):
        yield path


def heading_names(text):
    """The anchors that GitHub gives the headings of a document."""
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", line.lstrip("#").strip()).lower())
            .replace(" ", "-") for line in FENCE.sub("", text).splitlines() if line.startswith("#")}


def is_defined(name, text):
    """Whether the last part of A::b is a word of the text, and so is each part before it."""
    return all(re.search(rf"(?<![\w]){re.escape(part)}\b", text) for part in name.split("::"))


def names_in(text):
    """Yields (line number, path, name or None) of each span that looks like a path."""
    for match in SPAN.finditer(text):
        path = PATH.fullmatch(match[1])
        if not path or "/" not in path["path"]:
            continue
        if any(re.fullmatch(r"[A-Z_]{2,}", part.split(".")[0]) and not part.endswith(".md")
               for part in path["path"].split("/")):
            continue
        yield text.count("\n", 0, match.start()) + 1, path["path"], path["name"]


def broken_references(document, text, tree):
    """Yields (line number, what is wrong)."""
    for line, path, name in names_in(text):
        found = tree.find(path, document)
        if found is None:
            # "batch/v1" and "app.kubernetes.io/name" are no paths; "api/v1.cc" would be one.
            is_path = path.split("/")[0] in tree.tops and (
                path.endswith("/") or "." in posixpath.basename(path) or path.startswith("src/"))
            if is_path or name:
                yield line, f"there is no {path}"
        elif name and (found not in tree.files or not is_defined(name, tree.read(found))):
            yield line, f"{path} has no {name}"
    for match in LINK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        target, _, anchor = match[1].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = document if not target else posixpath.normpath(
            posixpath.join(posixpath.dirname(document), target))
        if found not in tree.files and found not in tree.folders:
            yield line, f"there is no {target} to link to"
        elif anchor and (found not in tree.files or anchor not in heading_names(tree.read(found))):
            yield line, f"{target or document} has no heading #{anchor}"
