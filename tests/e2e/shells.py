# SPDX-License-Identifier: Apache-2.0
"""Real shells with pelton's completion in them: what they offer for a line that is being typed.

bash and zsh complete at a prompt only, so they get a terminal, a line, and the key that puts all
candidates into it. Then the line is turned into the arguments of a printf, which shows the words as
the shell itself understands them: nothing has to be guessed from what was drawn.
"""
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

PATIENCE = 20


class Prompt:
    """A shell at a terminal. `keys` inserts all candidates."""

    def __init__(self, argv, setup, keys, directory, environment):
        self.keys = keys
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(directory)
            os.execvpe(argv[0], argv, environment)
        self.pid = pid
        self.count = 0
        self.type(setup + "\n")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def read_until(self, pattern):
        printed, end = "", time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, printed, re.S)
            if found:
                return found
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"{pattern!r} did not come; the shell printed:\n{printed}")
            printed += os.read(self.terminal, 65536).decode(errors="replace").replace("\r", "")

    def complete(self, line):
        """The words of the line after everything that is offered has been put into it."""
        self.count += 1
        # Split, so that the echo of what is typed is not taken for what is printed.
        self.type(line + self.keys + "\x01" + f"printf '{{%s}}' BEGIN''{self.count} " + "\n")
        self.type(f"echo END''{self.count}\n")
        printed = self.read_until(rf"\{{BEGIN{self.count}\}}(.*)\bEND{self.count}\n").group(1)
        return re.findall(r"\{([^}]*)\}", printed)

    def press(self, line):
        """Asks for completions of the line, and throws it away."""
        self.count += 1
        self.type(line + self.keys + "\x15\x0b")
        self.type(f"echo END''{self.count}\n")
        self.read_until(rf"\bEND{self.count}\n")

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Shells:
    """`candidates(shell, line)`: the words offered for the last word of the line."""

    def __init__(self, directory, pelton):
        self.directory = Path(directory)
        bin_directory = self.directory / "bin"
        bin_directory.mkdir()
        (bin_directory / "pelton").symlink_to(Path(pelton).resolve())
        self.environment = {**os.environ, "PATH": f"{bin_directory}:{os.environ['PATH']}",
                            "HOME": str(self.directory), "TERM": "dumb", "PS1": "$ ",
                            "XDG_DATA_HOME": str(self.directory / "data"),
                            "XDG_CONFIG_HOME": str(self.directory / "config")}
        self.open = {}

    def bash(self):
        return Prompt(["bash", "--norc", "--noprofile"],
                      "bind 'set enable-bracketed-paste off'; source <(pelton completion bash)",
                      "\x1b*", self.directory, self.environment)

    def zsh(self):
        return Prompt(
            ["zsh", "-f"],
            "PROMPT='$ '; autoload -Uz compinit; compinit -u -D; source <(pelton completion zsh); "
            "zle -C all-matches complete-word _generic; bindkey '^T' all-matches; bindkey -e; "
            "bindkey '^T' all-matches; unsetopt zle_bracketed_paste prompt_sp prompt_cr; "
            "zstyle ':completion:all-matches:*' insert yes; "
            "zstyle ':completion:all-matches::::' completer _all_matches _complete",
            "\x14", self.directory, self.environment)

    def candidates(self, shell, line):
        if shell == "fish":
            script = "pelton completion fish | source; complete -C (cat)"
            printed = subprocess.run(["fish", "--no-config", "-c", script], input=line, text=True,
                                     capture_output=True, timeout=PATIENCE, check=True,
                                     cwd=self.directory, env=self.environment).stdout
            return sorted(offered.split("\t")[0] for offered in printed.splitlines())
        if shell not in self.open:
            self.open[shell] = getattr(self, shell)()
        words = self.open[shell].complete(line)
        typed = line.split(" ")
        offered = words[len(typed) - 1:]
        return [] if offered in ([], [typed[-1]]) else sorted(offered)

    def press(self, shell, line):
        """A key for completion, on a line that is not run."""
        if shell == "fish":
            self.candidates(shell, line)
        else:
            self.candidates(shell, "pelton ex")  # it is there
            self.open[shell].press(line)

    def close(self):
        for prompt in self.open.values():
            prompt.close()
