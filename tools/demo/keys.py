# SPDX-License-Identifier: Apache-2.0
"""Single keys of a terminal, as they are pressed: no Enter, nothing echoed.

The terminal is as it was again when the `with` block is left, whichever way. Where there is no
terminal (a pipe, a job in the background), no key is ever pressed.
"""

import os
import select
import signal
import sys
import termios
import time


class Keys:
  """`with Keys() as keys: keys.wait(0.5)`. In the main thread only, because it handles SIGCONT."""

  def __init__(self, source=None, shown=None):
    self.source = sys.stdin if source is None else source
    self.shown = sys.stdout if shown is None else shown
    self.saved = self.on_continue = None

  @property
  def are_heard(self):
    return self.saved is not None

  def __enter__(self):
    try:
      # A job in the background that touched the terminal would be stopped.
      if (self.source.isatty() and self.shown.isatty()
          and os.tcgetpgrp(self.source.fileno()) == os.getpgrp()):
        self.saved = termios.tcgetattr(self.source.fileno())
    except (OSError, ValueError, termios.error):
      pass
    if self.are_heard:
      # After Ctrl-Z the shell takes the terminal back, and does not give our settings to `fg`.
      self.on_continue = signal.signal(signal.SIGCONT, lambda *_: self.listen())
      self.listen()
    return self

  def __exit__(self, *_):
    if self.are_heard:
      signal.signal(signal.SIGCONT, self.on_continue)
      # Also forgets what was pressed meanwhile, which would reach the shell.
      termios.tcsetattr(self.source.fileno(), termios.TCSAFLUSH, self.saved)
      self.saved = None

  def listen(self):
    """No lines and no echo; Ctrl-C and Ctrl-Z do what they always do."""
    mode = termios.tcgetattr(self.source.fileno())
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(self.source.fileno(), termios.TCSADRAIN, mode)

  def wait(self, seconds):
    """Returns the letters that were pressed, in lower case: at once where one was, else "" after
    `seconds`."""
    if not self.are_heard:
      time.sleep(seconds)
      return ""
    if not select.select([self.source.fileno()], [], [], seconds)[0]:
      return ""
    pressed = os.read(self.source.fileno(), 64)
    if not pressed:  # the terminal has gone
      self.saved = None
      signal.signal(signal.SIGCONT, self.on_continue)
    # Arrows and their like come as an escape and letters, which nobody meant.
    return "" if pressed.startswith(b"\033") else pressed.decode(errors="replace").lower()
