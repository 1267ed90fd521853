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
    "jaxlib", "lightning", "ml_dtypes", "numpy", "optax", "orbax", "pandas", "peft", "pelton",
    "pyarrow", "pytorch_lightning", "safetensors", "scipy", "tokenizers", "torch", "torchaudio",
    "torchvision", "transformers",
})


class Unknown(Exception):
  """The script sets a variable, before an import that reads it, to what only running it tells."""


def frameworks_of(path, directory, prefixes):
  """Returns (names, settings) for the script at `path`, whose local modules are in `directory`.

  `names` are the dotted names that it imports of FRAMEWORKS, in its order; one may be that of an
  attribute of a module. `settings` are the (variable, text, only if unset) that it puts into
  os.environ before, of variables that begin with one of `prefixes`. Raises Unknown, OSError and
  SyntaxError (of the script; of a local module it is the worker's affair).
  """
  names, settings, pending = [], [], []
  for event in _expanded(path, directory):
    if not isinstance(event, str):
      pending.append(event)
    elif event.partition(".")[0] in FRAMEWORKS and not _local_module(event, directory):
      names.append(event)
      settings += pending
      pending = []
  kept = []
  for line, variable, text, if_unset in settings:
    if variable is None or (variable.startswith(prefixes) and text is None):
      raise Unknown(f"line {line} sets {variable or 'variables of the environment'} to what is only "
                    f"known when the script runs, before it imports {names[-1]}")
    if variable.startswith(prefixes):
      kept.append((variable, text, if_unset))
  return list(dict.fromkeys(names)), kept


def _expanded(path, directory):
  """Yields what _of_body yields, local modules in the place where they are first imported."""
  seen = {os.path.abspath(path)}
  for event in _events(path):
    local = _local_module(event, directory) if isinstance(event, str) else None
    if not local:
      yield event
    elif os.path.abspath(local) not in seen:
      seen.add(os.path.abspath(local))
      try:
        yield from _events(local)
      except (OSError, SyntaxError, ValueError):
        pass


def _local_module(name, directory):
  first = os.path.join(directory, name.partition(".")[0])
  return next((path for path in (first + ".py", os.path.join(first, "__init__.py"))
               if os.path.isfile(path)), None)


def _events(path):
  with open(path, "rb") as file:
    tree = ast.parse(file.read(), path)
  return list(_of_body(tree.body))


def _of_body(body):
  """Yields names of imports, and (line, variable, text, only if unset) of settings, in order."""
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
    elif isinstance(node, ast.Assign):
      yield from (_setting(target.slice, node.value) for target in node.targets
                  if isinstance(target, ast.Subscript) and _is_environ(target.value))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
      yield from _of_call(node.value)


def _of_call(call):
  function = call.func
  if isinstance(function, ast.Attribute) and _is_environ(function.value):
    if function.attr == "setdefault" and len(call.args) == 2:
      yield _setting(*call.args, if_unset=True)
    elif function.attr in ("setdefault", "update"):
      yield call.lineno, None, None, False
  elif isinstance(function, ast.Attribute) and function.attr == "putenv":
    yield call.lineno, None, None, False


def _is_environ(node):
  return getattr(node, "attr", getattr(node, "id", "")) == "environ"


def _setting(variable, value, if_unset=False):
  def text(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
  return value.lineno, text(variable), text(value), if_unset


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
