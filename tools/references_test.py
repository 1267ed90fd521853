# SPDX-License-Identifier: Apache-2.0
"""Tests of the check of what documents name."""
import unittest

from references import Tree, broken_references

FILES = {
    "README.md": "# Top\n\n## See `it` work\n\n```\n# no heading\n```\n",
    "docs/page.md": "# Page\n",
    "src/store/store.cc": "void Store::commit(Transaction t) {}\nvoid Store::recommit() {}\n",
    "src/api/views/pod.h": "class PodView {};\n",
    "tools/tidy.py": "def main():\n",
}


class TheCheck(unittest.TestCase):
    def wrong(self, text, document="docs/page.md"):
        tree = Tree(FILES, FILES.__getitem__)
        return [what for _, what in broken_references(document, text, tree)]

    def test_finds_files_from_the_root_from_src_and_beside_the_document(self):
        self.assertEqual(self.wrong("`src/store/store.cc` `store/store.cc` `page.md` `store/` "
                                    "`api/views/` `tools/tidy.py` `../README.md`"), [])

    def test_tells_what_is_not_there_and_where(self):
        tree = Tree(FILES, FILES.__getitem__)
        self.assertEqual(list(broken_references("README.md", "a\n`cli/main.cc`\n`store/no.cc`\n", tree)),
                         [(3, "there is no store/no.cc")])
        self.assertEqual(self.wrong("`src/cli`"), ["there is no src/cli"])
        self.assertEqual(self.wrong("`api/gone/`"), ["there is no api/gone/"])

    def test_looks_for_names_in_files(self):
        self.assertEqual(self.wrong("`store/store.cc:Store::commit` `tools/tidy.py:main`"), [])
        self.assertEqual(self.wrong("`store/store.cc:commi`"), ["store/store.cc has no commi"])
        self.assertEqual(self.wrong("`store/store.cc:Shop::commit`"),
                         ["store/store.cc has no Shop::commit"])
        self.assertEqual(self.wrong("`gone/store.cc:commit`"), ["there is no gone/store.cc"])

    def test_leaves_alone_what_is_no_path_of_the_tree(self):
        self.assertEqual(self.wrong("`batch/v1` `app.kubernetes.io/name` `src/FOLDER/x_test.cc` "
                                    "`api/v1` `build/release/pelton` `a / b` `pods/log`"), [])

    def test_follows_links_and_their_headings(self):
        self.assertEqual(self.wrong("[a](../README.md#see-it-work) [b](#page) [c](https://x.y/z)"),
                         [])
        self.assertEqual(self.wrong("[a](gone.md) [b](../README.md#no-heading) ![c](no.svg)"),
                         ["there is no gone.md to link to", "../README.md has no heading #no-heading",
                          "there is no no.svg to link to"])


if __name__ == "__main__":
    unittest.main()
