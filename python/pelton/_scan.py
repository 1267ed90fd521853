# SPDX-License-Identifier: Apache-2.0
"""Which framework modules a script will import, read from its text: the script is never run.

Looked at are the imports that run when the file is imported (also below `try`, `with` and `if`, but
not below `if __name__ == …` or `if TYPE_CHECKING`), of the script and of the local modules beside
it that it imports.
"""

import ast
import importlib.util
import os

# Slow to import, and known to start no thread and no back-end by that. Anything else is left to the
# worker: what importing it does is not known.
FRAMEWORKS = frozenset({
    "accelerate", "chex", "diffusers", "einops", "equinox", "flax", "grain", "haiku", "jax",
    "jaxlib", "lightning", "ml_dtypes", "numpy", "optax", "orbax", "pandas", "peft", "pyarrow",
    "pytorch_lightning", "safetensors", "scipy", "tokenizers", "torch", "torchaudio",
    "torchvision", "transformers",
})


def frameworks_of(path, directory):
  """Returns the dotted names that the script at `path` imports of FRAMEWORKS, in its order.

  `directory` is where its local modules are. A name may be that of an attribute of a module.
  Raises OSError and SyntaxError (of the script; of a local module it is the worker's affair).
  """
  names = _imports(path)
  found = []
  for name in names:
    local = _local_module(name, directory)
    if local and os.path.abspath(local) != os.path.abspath(path):
      try:
        found += _imports(local)
      except (OSError, SyntaxError, ValueError):
        pass
    else:
      found.append(name)
  return list(dict.fromkeys(name for name in found if name.partition(".")[0] in FRAMEWORKS
                            and not _local_module(name, directory)))


def _local_module(name, directory):
  first = os.path.join(directory, name.partition(".")[0])
  return next((path for path in (first + ".py", os.path.join(first, "__init__.py"))
               if os.path.isfile(path)), None)


def _imports(path):
  with open(path, "rb") as file:
    tree = ast.parse(file.read(), path)
  return list(_of_body(tree.body))


def _of_body(body):
  for node in body:
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
      yield node.module
      yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.If):
      if not _is_special(node.test):
        yield from _of_body(node.body)
      yield from _of_body(node.orelse)
    elif isinstance(node, ast.With):
      yield from _of_body(node.body)
    elif isinstance(node, ast.Try):
      for part in (node.body, node.orelse, node.finalbody):
        yield from _of_body(part)


def _is_special(test):
  return any(isinstance(node, (ast.Name, ast.Attribute)) and
             getattr(node, "id", getattr(node, "attr", "")) in ("__name__", "TYPE_CHECKING")
             for node in ast.walk(test))


def is_module(name):
  """Returns whether `name` is a module that is there; imports the packages above it."""
  try:
    return importlib.util.find_spec(name) is not None
  except (ImportError, AttributeError, ValueError):
    return False
