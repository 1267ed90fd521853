// SPDX-License-Identifier: Apache-2.0
#include "cli/container_shim_command.h"

#include <cstdio>

#include "agent/container_shim.h"
#include "os/os_world.h"
#include "os/self.h"

namespace pelton::cli {

int run_container_shim(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: pelton container-shim DIRECTORY (run by the node agent)\n", stderr);
    return 2;
  }
  auto made = os::make_world({.log_level = base::Severity::Warning});
  if (!made.ok()) {
    std::fprintf(stderr, "pelton container-shim: %s\n", made.status().to_string().c_str());
    return 1;
  }
  os::OsWorld& world = **made;
  // The container's end is the agent's business: signals to our session change nothing.
  world.on_stop_signal([](int) {});
  int code = 1;
  agent::ContainerShim shim(world.world(), argv[1], os::process_id(), [&](int exit_code) {
    code = exit_code;
    world.stop();
  });
  shim.start();
  world.run();
  return code;
}

}  // namespace pelton::cli
