// SPDX-License-Identifier: Apache-2.0
// Starting and ending the processes of an embedded cluster.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/data_directory.h"
#include "os/os_world.h"

namespace pelton::cli {

struct Part {
  std::string name;                    ///< of its log and run record
  std::vector<std::string> arguments;  ///< of `pelton`
};

/// Starts parts at once, each in a session of its own, its output in log/NAME.log: several on
/// their way up. One that runs or is on its way is not started again.
class PartStart {
 public:
  PartStart(world::World& world, const DataDirectory& directory);
  ~PartStart();

  /// Once. `done`, when all serve (each writes its run record then). Unavailable with the end of
  /// its log where one ends first, or is not ready within `timeout`; the others run on. It may be
  /// called from within, and must not destroy this.
  void run(const std::vector<Part>& parts, base::Duration timeout,
           std::function<void(base::Status)> done);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The same, and waits for it.
base::Status start_parts(os::OsWorld& os, const DataDirectory& directory,
                         const std::vector<Part>& parts, base::Duration timeout);

/// SIGTERM, and SIGKILL after `grace`; returns when the process is gone.
void end_part(os::OsWorld& os, const RunRecord& record, base::Duration grace);

/// In a part: writes its run record now that it serves, and removes it when it ends in order.
base::Status announce_part(os::OsWorld& os, const DataDirectory& directory,
                           const std::string& name);
void withdraw_part(os::OsWorld& os, const DataDirectory& directory, const std::string& name);

}  // namespace pelton::cli
