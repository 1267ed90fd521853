// SPDX-License-Identifier: Apache-2.0
// What a supervisor and its init say to each other, as JSON lines over a Unix socket.
//
// To init:
//   {"op": "hello", "supervisor": 3}      who speaks is the third supervisor that init started; an
//                                         earlier one is not heard any more. Answered as list is.
//   {"op": "spawn", "key": K, "argv": […], "env": {…}, "stdout": "", "stderr": ""}
//                                         `env` goes over init's own; streams: files to append to
//   {"op": "spawn", "key": K, "parent": SOCKET, "request": {…}}
//                                         the same by the parked parent that listens there; init
//                                         asks it with `request` and adopts the pid that it answers
//   {"op": "signal", "key": K, "number": 9}    to its process group
//   {"op": "signal", "orphan": PID, "number": 9}
//   {"op": "forget", "key": K}            of one that has ended
//   {"op": "exit", "code": 0}             kills what is left, and ends with that code
//   {"op": "list"}                        anybody may ask that, and need not say hello
// From init:
//   {"list": {"supervisor": PID, "children": [{"key", "pid", "exitCode" | "signal", "ended"}],
//             "signals": [15], "orphans": [PID]}}
//   {"started": K, "pid": P}
//   {"failed": K, "code": "NotFound", "message": "…"}     it is as if it had never been asked for
//   {"exited": K, "exitCode" | "signal": N, "ended": 7}   `ended` counts the ends, from 1
//   {"signal": 15}                        init itself got it
//
// A key is the supervisor's name for a child; a spawn whose key is known does nothing, so that
// asking again is safe. Without "pid" a child is still being started. Everything that init tells is
// also in `list`, for a supervisor that was not there.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "world/processes.h"

namespace pelton::launch {

struct SpawnOrder {
  std::string key;
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;
  std::string stdout_path, stderr_path;
  std::string parent;  ///< socket of a parked parent; then `request` takes the place of the above
  base::Json request;
};
base::Json to_json(const SpawnOrder& order);
/// InvalidArgument: no key, or neither argv nor parent.
base::Result<SpawnOrder> spawn_order_of(const base::Json& json);

struct ChildRecord {
  std::string key;
  int pid = 0;  ///< 0: being started
  std::optional<world::ExitState> exit;
  int64_t ended = 0;  ///< its place among the ends; 0: it runs
};

struct InitState {
  int supervisor = 0;  ///< its pid
  std::vector<ChildRecord> children;
  std::vector<int> signals;  ///< that init got, in their order
  std::vector<int> orphans;  ///< descendants that lost their parent and nobody asked for
};
base::Json to_json(const InitState& state);
InitState init_state_of(const base::Json& json);  ///< of what stands below "list"

/// "exitCode" or "signal" in `json`.
void put_exit(base::Json& json, const world::ExitState& exit);
std::optional<world::ExitState> exit_in(const base::Json& json);

}  // namespace pelton::launch
