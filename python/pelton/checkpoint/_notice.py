# SPDX-License-Identifier: Apache-2.0
"""A save before a node goes: all ranks save the same step, which none of them has passed."""

from pelton import heartbeat


class Notice:
  """Asked at each step: whether that step is to be saved because of a notice.

  Once every rank has been asked to save (heartbeat.save_request), the first to come by proposes the
  next step, by a word that each rank looks at from being asked until it is done. Steps are
  collective, so nobody passes that step before it looks. Who did (its framework lets it run ahead)
  has missed it, and proposes another, farther away; what not all have saved is incomplete, and
  counts for nothing.

  Where a save is a collective, who has missed it would have its peers hang in theirs. There each rank
  ends what it has begun, at each look from the first, and says that it is here; nobody proposes before
  all are: then no step is begun that another has not come to.
  """

  def __init__(self, agree, is_committed, is_alone, are_all_here=lambda by: True):
    """agree(name=, mine=): what the first rank to say something about it has said; without mine: only
    asks, None: nobody has. is_committed(step): whether its checkpoint, or a later one, counts.
    are_all_here(by): of a collective save."""
    self._agree, self._is_committed, self._is_alone = agree, is_committed, is_alone
    self._are_all_here = are_all_here
    self._by, self._round, self._step, self._has_saved = 0, 0, None, False
    self._last, self._stride = None, 1

  def is_due(self, step):
    """Whether this step is the one. Call it for each step that could be saved: the first call says
    that somebody here looks."""
    if step != self._last:
      self._stride = 1 if self._last is None else max(1, step - self._last)
      self._last = step
    by, may_agree = heartbeat.save_request()
    if not by:
      return False
    if by != self._by:
      self._by, self._round, self._step, self._has_saved = by, 0, None, False
    if self._has_saved:
      with heartbeat.phase("save"):
        if self.tell():
          return False
    may_agree = may_agree and (self._step is not None or self._are_all_here(by))
    self._look(step, self._stride if may_agree else None)
    return self._step == step

  def saved(self):
    """This rank's part of that step is saved, or is about to be."""
    self._has_saved = True

  def tell(self):
    """Whether that step is committed: then the job need not wait for it any more, and is told."""
    if not self._is_committed(self._step):
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
    name = f"save-{self._by}-{turn}"
    agreed = self._agree(name=name)
    if agreed is None and mine is not None:
      agreed = self._agree(name=name, mine=str(mine))
    return None if agreed is None else int(agreed)
