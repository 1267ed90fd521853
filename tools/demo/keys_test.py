# SPDX-License-Identifier: Apache-2.0
"""Tests of the demo's keys, on a pseudo terminal."""

import os
import pty
import signal
import sys
import termios
import unittest

import keys

PATIENCE_SECONDS = 60


def in_terminal(body):
  """Runs body(keyboard's end is the parent's) in a child that owns a terminal of its own.

  Returns (child's pid, the parent's end). The child's exit code is 0 where body() returned.
  """
  pid, parent_end = pty.fork()
  if pid:
    return pid, parent_end
  code = 1
  try:
    body()
    code = 0
  except BaseException as error:  # goes no further: this is a copy of the test program
    print(f"{type(error).__name__}: {error}", flush=True)
  os._exit(code)


class TheKeys(unittest.TestCase):
  def talk(self, body, *presses):
    """Presses each of `presses` when the child has printed another "> ". Returns what it said."""
    pid, terminal = in_terminal(body)
    said, waiting = b"", list(presses)
    try:
      while True:
        try:
          piece = os.read(terminal, 4096)
        except OSError:  # the child has ended
          break
        if not piece:
          break
        said += piece
        while waiting and said.count(b"> ") > len(presses) - len(waiting):
          os.write(terminal, waiting.pop(0))
    finally:
      os.close(terminal)
      code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    self.assertEqual(code, 0, said.decode())
    self.assertEqual(waiting, [])
    return said.decode()

  def test_come_without_enter_and_are_not_echoed(self):
    def body():
      with keys.Keys() as heard:
        for _ in range(2):
          print("> ", end="", flush=True)
          print(f"[{heard.wait(PATIENCE_SECONDS).upper()}]", flush=True)
    said = self.talk(body, b"w", b"N")
    self.assertEqual(said.replace("\r\n", "\n"), "> [W]\n> [N]\n")

  def test_arrows_are_no_letters(self):
    def body():
      with keys.Keys() as heard:
        print("> ", end="", flush=True)
        print(f"[{heard.wait(PATIENCE_SECONDS)}]", flush=True)
    self.assertIn("[]", self.talk(body, b"\033Ow"))

  def test_leave_the_terminal_as_it_was(self):
    def body():
      before = termios.tcgetattr(0)
      with keys.Keys():
        assert not termios.tcgetattr(0)[3] & (termios.ECHO | termios.ICANON)
        assert termios.tcgetattr(0)[3] & termios.ISIG  # Ctrl-C still interrupts
      assert termios.tcgetattr(0) == before
      try:
        with keys.Keys():
          signal.raise_signal(signal.SIGINT)
      except KeyboardInterrupt:
        pass
      assert termios.tcgetattr(0) == before
    self.talk(body)

  def test_are_heard_again_after_the_job_was_stopped(self):
    def body():
      before = termios.tcgetattr(0)
      with keys.Keys():
        ours = termios.tcgetattr(0)
        termios.tcsetattr(0, termios.TCSANOW, before)  # as a shell does after Ctrl-Z
        signal.raise_signal(signal.SIGCONT)
        assert termios.tcgetattr(0) == ours
      assert signal.getsignal(signal.SIGCONT) == signal.SIG_DFL
    self.talk(body)

  def test_are_not_heard_where_there_is_no_terminal(self):
    reading, writing = os.pipe()
    with os.fdopen(reading) as source, os.fdopen(writing, "w") as shown:
      print("wnq", file=shown, flush=True)
      with keys.Keys(source, shown) as heard:
        self.assertFalse(heard.are_heard)
        self.assertEqual(heard.wait(0), "")

  def test_of_a_job_in_the_background_are_not_touched(self):
    def body():
      child = os.fork()
      if child == 0:
        os.setpgid(0, 0)  # not the terminal's foreground group: touching it would stop us
        with keys.Keys() as heard:
          os._exit(2 if heard.are_heard else 0)
      assert os.waitpid(child, os.WUNTRACED)[1] == 0
    self.talk(body)


if __name__ == "__main__":
  unittest.main()
