// SPDX-License-Identifier: Apache-2.0
// What the user asks of `pelton run`: torchrun's flags, so that a command line written for torchrun
// means the same here. Dashes and underscores are the same in a flag's name, "--name value" and
// "--name=value" too, and a flag that is not given may come from the variable PET_NAME.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace pelton::launch {

/// Variables of the environment, by name.
using Environment = std::map<std::string, std::string>;

struct Options {
  int nnodes = 1;
  std::string nproc_per_node = "1";  ///< a number, "cpu" or "auto"
  std::optional<int> node_rank;
  std::string master_addr;         ///< empty: to be inferred
  std::optional<int> master_port;  ///< 0: any free one
  std::string rdzv_id = "none";
  bool standalone = false;  ///< one node, with a rendezvous of its own on a free port
  int max_restarts = 0;
  bool park = true;  ///< restarts fork from a parent that has imported what the script imports
  std::string role = "default";
  std::string log_dir;                                 ///< empty: the workers write where we write
  int redirects = 0;                                   ///< into log_dir: 1 stdout, 2 stderr, 3 both
  base::Duration grace = base::Duration::seconds(30);  ///< from SIGTERM to SIGKILL
  std::string health_check;  ///< a shell's command: whether this node is fit; empty: none
  base::Duration health_check_timeout = base::Duration::seconds(60);
  bool help = false;
  std::vector<std::string> command;
};

/// Reads the words after `pelton run`. The command starts after "--" or at the first word that is
/// no flag; there, as torchrun does, a script x.py (or -m MODULE) gets `python3 -u` put before it.
/// InvalidArgument names the flag, and what to give instead.
base::Result<Options> parse_options(const std::vector<std::string>& words, const Environment& env);

/// A flag as `pelton run --help` shows it, for completion in a shell.
struct FlagDescription {
  std::vector<std::string> names;    ///< {"-m", "--module"}
  std::string value;                 ///< what stands for it: "N", "DIR"; empty: the flag takes none
  std::vector<std::string> choices;  ///< values that can be listed
  std::string help;                  ///< empty: accepted and not advertised
};
std::vector<FlagDescription> describe_flags();

/// What `pelton run --help` prints.
std::string options_help();

}  // namespace pelton::launch
