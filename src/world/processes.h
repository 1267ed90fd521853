// SPDX-License-Identifier: Apache-2.0
// Child processes.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace pelton::world {

/// The size of a terminal, in characters.
struct TerminalSize {
  uint16_t columns = 80;
  uint16_t rows = 24;
};

/// Into whose surroundings a process is put: one more process of a running container.
struct Enter {
  /// A process, named for good (start_ticks). Its mount, PID, network, UTS and IPC namespaces are
  /// entered, and with them its root.
  int pid = 0;
  uint64_t start_ticks = 0;
  uint32_t user = 0;
  uint32_t group = 0;
  std::vector<std::string> capabilities;  ///< the most that it may ever have: "CHOWN", …
  int niceness = 0;                       ///< beyond our own
  std::vector<std::string> cgroups;       ///< directories of control groups that are joined too
};

struct ProcessSpec {
  std::vector<std::string> argv;  ///< argv[0] is looked up in PATH unless it has a slash
  std::vector<std::string> env;   ///< "NAME=value"; the whole environment
  bool inherit_env = false;       ///< our own environment first, then `env` over it
  std::string working_directory;  ///< empty: ours
  /// Files for the child's streams, appended to, made where absent. Empty: /dev/null for stdin;
  /// for the others ours are inherited.
  std::string stdin_path, stdout_path, stderr_path;
  bool new_session = false;  ///< setsid: it survives our terminal
  /// With new_session: where it fails, what is left of its process group is killed too.
  bool take_group_along = false;
  bool die_with_parent = false;  ///< SIGKILL when we end (and it is not detached)
  /// Called with pieces of stdout (and stderr where `merge_stderr`), through a pipe; the empty
  /// piece is the end. Instead of stdout_path.
  std::function<void(std::string_view)> on_output;
  bool merge_stderr = false;
  /// The same for stderr alone, through a pipe of its own. Instead of stderr_path.
  std::function<void(std::string_view)> on_error_output;
  /// stdin is a pipe: Process::write(). Instead of stdin_path.
  bool has_input = false;
  /// All that was written has been taken, after it was not at once.
  std::function<void()> on_input_drained;
  /// The three streams are a terminal of this size, and the session's (new_session). What it shows
  /// comes by on_output; has_input says whether anything may be typed.
  std::optional<TerminalSize> terminal;
  /// argv[0] is then looked up inside, in the PATH of `env`, and die_with_parent is always so.
  std::optional<Enter> enter;
};

/// How a process ended: one is set for a child; none for a process that was attached to.
struct ExitState {
  std::optional<int> code;
  std::optional<int> signal;
  /// As a shell reports it: the code, or 128 + signal.
  int shell_code() const { return code ? *code : 128 + signal.value_or(0); }
};

/// What a process does, and what it has used since it started.
struct ProcessActivity {
  /// Of its first thread, as in /proc/PID/stat: R runs, S sleeps, D waits for a disk, T is stopped
  /// by a signal, t by a debugger.
  char state = '?';
  base::Duration processor_time;  ///< of all its threads, user and system
  int64_t disk_bytes = 0;         ///< read and written; 0 where that may not be known
  int64_t resent = 0;  ///< attempts, of its TCP sockets, to have answered what they have sent now
};

/// A running or ended child. Destroying it neither kills nor waits: on_exit is not called any more.
class Process {
 public:
  virtual ~Process() = default;
  virtual int pid() const = 0;
  /// NotFound after it ended. Never hits another process (pidfd).
  virtual base::Status signal(int number) = 0;
  /// To the child's process group, which is its own where new_session was set.
  virtual base::Status signal_group(int number) = 0;

  // The streams, where the spec asked for them; else these do nothing.
  /// Queues bytes for stdin; never blocks. Dropped where nobody will read them any more.
  virtual void write(std::string_view) {}
  virtual size_t queued_input() const { return 0; }
  /// stdin ends after what is queued. A terminal has no end: nothing happens.
  virtual void end_input() {}
  /// Stops reading what the process writes, so that it has to wait; what was read already comes.
  virtual void pause_output() {}
  virtual void resume_output() {}
  virtual void resize_terminal(TerminalSize) {}
};

class Processes {
 public:
  virtual ~Processes() = default;
  /// NotFound: no such program (or no such process to enter), Forbidden: it may not be run;
  /// the message names it. `on_exit` comes once, on the loop.
  virtual base::Result<std::unique_ptr<Process>> spawn(ProcessSpec spec,
                                                       std::function<void(ExitState)> on_exit) = 0;
  /// When a process started, in clock ticks since boot (field 22 of /proc/PID/stat): with the pid
  /// it names a process for good. NotFound where there is none.
  virtual base::Result<uint64_t> start_ticks(int pid) = 0;
  /// NotFound where it is gone. `with_sockets`: `resent` too, which costs more.
  virtual base::Result<ProcessActivity> activity(int pid, bool with_sockets) = 0;
  /// A running process that is not our child (pidfd). NotFound where the process of that pid and
  /// start is gone. `on_exit` comes once when it ends, without code and signal.
  virtual base::Result<std::unique_ptr<Process>> attach(int pid, uint64_t start_ticks,
                                                        std::function<void(ExitState)> on_exit) = 0;
  /// From here on a descendant that loses its parent becomes our child, and is reaped when it ends:
  /// what a container's first process does for all (PR_SET_CHILD_SUBREAPER).
  virtual base::Status keep_orphans() = 0;
  /// Such a child as one of ours: `on_exit` gets its code or signal, also where it has just ended.
  /// Where it fails, its process group is killed too. NotFound: there is none of that pid.
  virtual base::Result<std::unique_ptr<Process>> adopt(int pid,
                                                       std::function<void(ExitState)> on_exit) = 0;
  /// Our children that were neither spawned nor adopted.
  virtual std::vector<int> orphans() = 0;
  /// Runs to the end and gives exit state and output (stdout and stderr). For short helpers.
  void run(ProcessSpec spec, std::function<void(base::Result<ExitState>, std::string output)> done);
};

}  // namespace pelton::world
