# SPDX-License-Identifier: Apache-2.0
"""Run by every Python below `pelton run` when it starts: exceptions become known to the supervisor,
JAX finds its coordinator, and does not wait for peers after an exception; PyTorch's steps are seen.
Then the sitecustomize that this one hides, if there is one, runs.
"""

import os
import sys


def _begin():
  if hasattr(sys, "_pelton_began"):  # by another copy of this package, before this one on the path
    return
  sys._pelton_began = True
  if os.environ.get("PELTON_HEARTBEAT"):
    from pelton import heartbeat  # pylint: disable=import-outside-toplevel
    heartbeat.install_exception_hooks()
  if os.environ.get("PELTON_HEARTBEAT") or os.environ.get("PELTON_COORDINATOR"):
    from pelton._on_import import WhenImported  # pylint: disable=import-outside-toplevel
    sys.meta_path[:0] = [WhenImported("jax._src.distributed", _with_jax),
                         WhenImported("torch.optim.optimizer", _with_torch)]


def _with_jax(distributed):
  from pelton import _jax_distributed  # pylint: disable=import-outside-toplevel
  _jax_distributed.install(distributed)


def _with_torch(_):
  import multiprocessing  # pylint: disable=import-outside-toplevel
  import threading  # pylint: disable=import-outside-toplevel
  # Not in what the worker starts itself: the page is not theirs.
  is_worker = multiprocessing.parent_process() is None
  if is_worker and threading.current_thread() is threading.main_thread():
    from pelton import torch  # pylint: disable=import-outside-toplevel
    torch.install()


def _run_hidden():
  from importlib.machinery import PathFinder  # pylint: disable=import-outside-toplevel
  here = os.path.dirname(__file__)
  # Only what stands behind this one: a second copy of it would find the first, and that the second.
  later = sys.path[sys.path.index(here) + 1:] if here in sys.path else []
  spec = PathFinder.find_spec(__name__, [path for path in later if path != here])
  if spec is None or spec.loader is None:
    return
  import importlib.util  # pylint: disable=import-outside-toplevel
  module = importlib.util.module_from_spec(spec)
  sys.modules[__name__] = module
  spec.loader.exec_module(module)


_begin()
_run_hidden()
