# SPDX-License-Identifier: Apache-2.0
"""Has something done once the program itself imports a module, and nothing where it never does."""

import importlib.util
import sys


class WhenImported:
  """A finder for sys.meta_path: `then(module)` is called when the module `name` has run."""

  def __init__(self, name, then):
    self._name, self._then = name, then

  def find_spec(self, name, path=None, target=None):
    if name != self._name:
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.loader is not None:
      execute = spec.loader.exec_module

      def execute_and_call(module):
        execute(module)
        self._then(module)

      spec.loader.exec_module = execute_and_call
    return spec
