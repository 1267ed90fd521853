# SPDX-License-Identifier: Apache-2.0
"""A save before a node goes: all ranks save the same step, which none of them has passed."""

from pelton import heartbeat

from . import _library


class Notice:
  """Asked at each step: whether that step is to be saved because of a notice.

  Once every rank has been asked to save (heartbeat.save_request), the first to come by proposes the
  next step, by a file that each rank looks at from being asked until it is done. Steps are
  collective, so nobody passes that step before it looks. Who did (its framework lets it run ahead)
  has missed it, and proposes another, farther away; what not all have saved is incomplete, and
  counts for nothing.
  """

  def __init__(self, handle, is_alone):
    self._handle, self._is_alone = handle, is_alone
    self._by, self._round, self._step, self._has_saved = 0, 0, None, False
    self._last = None
    heartbeat.save_request()  # says that somebody looks

  def is_due(self, step):
    """Whether this step is the one. Call it once for each step at which save() is called."""
    stride = max(1, step - self._last) if self._last is not None else 1
    self._last = step
    by, may_agree = heartbeat.save_request()
    if not by:
      return False
    if by != self._by:
      self._by, self._round, self._step, self._has_saved = by, 0, None, False
    if self._has_saved and self._tell():
      return False
    self._look(step, stride if may_agree else None)
    return self._step == step

  def finish(self):
    """After the save of that step: it is waited for, since what follows would be lost."""
    self._has_saved = True
    with heartbeat.phase("save"):
      _library.wait(self._handle)
    self._tell()

  def _tell(self):
    """Whether the step is committed: then the job need not wait for it any more."""
    if _library.newest(self._handle) < self._step:
      return False
    heartbeat.saved(self._step)
    return True

  def _look(self, step, stride):
    """Learns the step that is agreed upon, or proposes one (stride: None, not yet)."""
    while True:
      if self._step is None:
        ahead = None if stride is None else 0 if self._is_alone else stride * 4**self._round
        self._step = self._agreed(self._round, None if ahead is None else step + ahead)
      if self._step is None or step <= self._step:
        return
      if self._has_saved and self._agreed(self._round + 1) is None:
        return  # its commit may still come
      self._round, self._step, self._has_saved = self._round + 1, None, False

  def _agreed(self, turn, mine=None):
    what = {"name": f"save-{self._by}-{turn}"}
    agreed = _library.agree(self._handle, what)
    if agreed is None and mine is not None:
      agreed = _library.agree(self._handle, dict(what, mine=str(mine)))
    return None if agreed is None else int(agreed)
