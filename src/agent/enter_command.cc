// SPDX-License-Identifier: Apache-2.0
#include "agent/enter_command.h"

namespace pelton::agent {

std::vector<std::string> build_enter_command(const SandboxTools& tools, const ShimOrder& order,
                                             const RunningRecord& running,
                                             const std::vector<std::string>& command) {
  std::vector<std::string> argv = {tools.nice,
                                   "-n",
                                   kContainerNiceness,
                                   tools.nsenter,
                                   "--target=" + std::to_string(running.main_pid),
                                   "--mount",
                                   "--uts",
                                   "--ipc",
                                   "--net",
                                   "--pid",
                                   "--root",
                                   "--wdns=" + order.working_directory,
                                   "--"};
  std::string bounding = "--bounding-set=-all";
  for (const std::string& name : container_capabilities()) {
    bounding += ",+";
    for (const char c : name) bounding += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  for (const std::string& word :
       {tools.setpriv, bounding, std::string("--inh-caps=-all"), std::string("--no-new-privs"),
        "--reuid=" + std::to_string(order.user), "--regid=" + std::to_string(order.group),
        std::string("--clear-groups"), std::string("--")}) {
    argv.push_back(word);
  }
  argv.insert(argv.end(), command.begin(), command.end());
  return within_cgroups(order.cgroups, std::move(argv));
}

std::vector<std::string> within_cgroups(const std::vector<std::string>& cgroups,
                                        std::vector<std::string> command) {
  if (cgroups.empty()) return command;
  constexpr const char* kJoin =
      "n=$1; shift; while [ $n -gt 0 ]; do echo 0 > \"$1/cgroup.procs\" || exit 125; shift; "
      "n=$((n - 1)); done; exec \"$@\"";
  std::vector<std::string> argv = {"/bin/sh", "-c", kJoin, "join", std::to_string(cgroups.size())};
  argv.insert(argv.end(), cgroups.begin(), cgroups.end());
  argv.insert(argv.end(), std::make_move_iterator(command.begin()),
              std::make_move_iterator(command.end()));
  return argv;
}

}  // namespace pelton::agent
