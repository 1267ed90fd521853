# SPDX-License-Identifier: Apache-2.0
"""Says in the heartbeat page, four times a second, that another thread can have the interpreter's lock.

Who waits for its peers has let go of it: frameworks do so before they wait. Whoever sits in a C
function that keeps it stamps nothing, and that is how its supervisor tells the one from the others
(src/decide/health/rank_watch.h). A collection of all garbage keeps it too, for good reasons, so that
is said beside it.
"""

import _thread
import atexit
import gc
import os
import signal
import time

SECONDS = 0.25
WORDS = 2  # the last stamp, by CLOCK_MONOTONIC in nanoseconds; 1 while garbage is collected

_stop = None  # ends what start() has begun


def start(words, at):
  """Stamps words[at] from now on, until this process ends; not in its children.

  The thread is none of `threading`'s, which the script could see or wait for, and takes no signals.
  Where there can be no thread nothing is stamped, of which nothing is concluded.
  """
  global _stop
  stop()
  lock, is_going = _thread.allocate_lock(), [True]
  clock, sleep = time.monotonic_ns, time.sleep

  def tick():
    while True:
      with lock:
        if not is_going:
          return
        words[at] = clock()
      sleep(SECONDS)

  def on_collection(phase, info):
    if info["generation"] == 2:
      words[at + 1] = phase == "start"

  def end():
    with lock:
      is_going.clear()
      words[at] = words[at + 1] = 0
    forget_callback()

  def forget_callback():
    if on_collection in gc.callbacks:
      gc.callbacks.remove(on_collection)

  end.in_child = forget_callback
  before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # a thread inherits it
  try:
    _thread.start_new_thread(tick, ())
  except RuntimeError:
    return
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
  words[at] = clock()  # that thread may not get the lock before the script enters such a function
  gc.callbacks.append(on_collection)
  _stop = end


@atexit.register
def stop():
  """Takes the stamp back: what the interpreter does at its end is nobody's business."""
  global _stop
  if _stop is not None:
    _stop()
    _stop = None


def _forget():
  """In a child: it has no such thread, and the page is its parent's."""
  global _stop
  if _stop is not None:
    _stop.in_child()
    _stop = None


os.register_at_fork(after_in_child=_forget)
