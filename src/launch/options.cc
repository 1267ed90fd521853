// SPDX-License-Identifier: Apache-2.0
#include "launch/options.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/strings.h"

namespace pelton::launch {
namespace {

using base::Code;
using base::Result;
using base::Status;

/// What is read, before the parts that depend on each other are put together.
struct Draft {
  Options options;
  bool is_module = false;
  bool no_python = false;
  std::string rdzv_backend = "static";
  std::string rdzv_endpoint;
};

Status bad_value(std::string_view flag, std::string_view value, std::string_view wanted) {
  return base::invalid_argument("--" + std::string(flag) + ": \"" + std::string(value) +
                                "\" is not " + std::string(wanted));
}

Status read_int(std::string_view flag, const std::string& value, int low, int high, int& out) {
  const Result<int64_t> number = base::parse_int(value);
  if (!number.ok() || number.value() < low || number.value() > high) {
    return bad_value(flag, value,
                     "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  out = static_cast<int>(number.value());
  return base::ok();
}

Status set_nnodes(Draft& draft, const std::string& value) {
  const auto parts = base::split(value, ':');
  if (parts.size() == 2 && parts[0] != parts[1]) {
    return base::invalid_argument(
        "--nnodes: the elastic range \"" + value +
        "\" is not offered; give one number, and restart the group by the JobSet's failurePolicy");
  }
  return read_int("nnodes", parts.empty() ? value : std::string(parts[0]), 1, 1'000'000,
                  draft.options.nnodes);
}

Status set_nproc(Draft& draft, const std::string& value) {
  draft.options.nproc_per_node = value;
  if (value == "cpu" || value == "auto") return base::ok();
  int checked = 0;
  if (read_int("nproc-per-node", value, 1, 4096, checked).ok()) return base::ok();
  return bad_value("nproc-per-node", value, "a number from 1 to 4096, cpu or auto");
}

Status set_node_rank(Draft& draft, const std::string& value) {
  int rank = 0;
  PELTON_TRY(read_int("node-rank", value, 0, 1'000'000, rank));
  draft.options.node_rank = rank;
  return base::ok();
}

Status set_master_port(Draft& draft, const std::string& value) {
  int port = 0;
  PELTON_TRY(read_int("master-port", value, 0, 65535, port));
  draft.options.master_port = port;
  return base::ok();
}

Status set_backend(Draft& draft, const std::string& value) {
  if (value != "static" && value != "c10d")
    return bad_value("rdzv-backend", value, "static or c10d");
  draft.rdzv_backend = value;
  return base::ok();
}

Status set_max_restarts(Draft& draft, const std::string& value) {
  return read_int("max-restarts", value, 0, 1'000'000, draft.options.max_restarts);
}

Status set_redirects(Draft& draft, const std::string& value) {
  return read_int("redirects", value, 0, 3, draft.options.redirects);
}

Status set_check_timeout(Draft& draft, const std::string& value) {
  int seconds = 0;
  PELTON_TRY(read_int("health-check-timeout", value, 1, 86400, seconds));
  draft.options.health_check_timeout = base::Duration::seconds(seconds);
  return base::ok();
}

Status set_grace(Draft& draft, const std::string& value) {
  int seconds = 0;
  PELTON_TRY(read_int("grace-seconds", value, 0, 86400, seconds));
  draft.options.grace = base::Duration::seconds(seconds);
  return base::ok();
}

template <std::string Options::* member>
Status set_text(Draft& draft, const std::string& value) {
  draft.options.*member = value;
  return base::ok();
}

Status set_endpoint(Draft& draft, const std::string& value) {
  draft.rdzv_endpoint = value;
  return base::ok();
}

Status accept_without_effect(Draft&, const std::string&) {
  return base::ok();
}

/// One flag of torchrun, or of ours.
struct Flag {
  const char* name;
  const char* value;  ///< what stands for the value in the help; nullptr: the flag takes none
  const char* help;   ///< nullptr: accepted and not advertised
  Status (*set)(Draft&, const std::string& value);
  const char* choices = "";  ///< values that can be listed, with blanks between them
};

constexpr std::array kFlags = {
    Flag{"nnodes", "N", "how many nodes (pods) the group spans; default 1", set_nnodes},
    Flag{"nproc-per-node", "N", "processes on this node: a number, cpu or auto; default 1",
         set_nproc, "cpu auto"},
    Flag{"node-rank", "R", "this node's place from 0; default: JOB_COMPLETION_INDEX",
         set_node_rank},
    Flag{"master-addr", "HOST", "where rank 0 runs; default: pod 0 of this Job, by its DNS name",
         set_text<&Options::master_addr>},
    Flag{"master-port", "PORT", "default 29500; a free one on a single node", set_master_port},
    Flag{"rdzv-backend", "NAME", "static or c10d: the same here", set_backend, "static c10d"},
    Flag{"rdzv-endpoint", "HOST[:PORT]", "another way to give master-addr and master-port",
         set_endpoint},
    Flag{"rdzv-id", "ID", "TORCHELASTIC_RUN_ID", set_text<&Options::rdzv_id>},
    Flag{"rdzv-conf", "K=V,…", nullptr, accept_without_effect},
    Flag{"standalone", nullptr, "one node, with a free port",
         [](Draft& draft, const std::string&) {
           draft.options.standalone = true;
           return base::ok();
         }},
    Flag{"max-restarts", "N", "restarts of a failed group of one node; default 0",
         set_max_restarts},
    Flag{"monitor-interval", "SECONDS", nullptr, accept_without_effect},
    Flag{"start-method", "NAME", nullptr, accept_without_effect},
    Flag{"role", "NAME", "ROLE_NAME; default \"default\"", set_text<&Options::role>},
    Flag{"log-dir", "DIR", "where --redirects puts ATTEMPT/LOCAL_RANK/{stdout,stderr}.log",
         set_text<&Options::log_dir>},
    Flag{"redirects", "0-3", "1: stdout into log-dir, 2: stderr, 3: both", set_redirects,
         "0 1 2 3"},
    Flag{"grace-seconds", "N", "from SIGTERM to SIGKILL when the group is stopped; default 30",
         set_grace},
    Flag{"health-check", "COMMAND",
         "run by sh before workers start here; if it fails, the node is not used",
         set_text<&Options::health_check>},
    Flag{"health-check-timeout", "SECONDS", "then it has failed; default 60", set_check_timeout},
    Flag{"no-park", nullptr, "start workers anew each time, never from a parked parent",
         [](Draft& draft, const std::string&) {
           draft.options.park = false;
           return base::ok();
         }},
    Flag{"module", nullptr, "the command is a Python module",
         [](Draft& draft, const std::string&) {
           draft.is_module = true;
           return base::ok();
         }},
    Flag{"no-python", nullptr, "run x.py itself, without python3 before it",
         [](Draft& draft, const std::string&) {
           draft.no_python = true;
           return base::ok();
         }},
    Flag{"help", nullptr, "this text",
         [](Draft& draft, const std::string&) {
           draft.options.help = true;
           return base::ok();
         }},
};

const Flag* find_flag(std::string_view name) {
  std::string dashed(name);
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  for (const Flag& flag : kFlags) {
    if (dashed == flag.name) return &flag;
  }
  return nullptr;
}

struct ShortName {
  std::string_view short_name, long_name;
};
constexpr ShortName kShortNames[] = {{"-m", "module"}, {"-h", "help"}, {"-r", "redirects"}};

/// The long name of what the user wrote: "-m" is "module".
std::string_view long_name(std::string_view word) {
  for (const ShortName& name : kShortNames) {
    if (word == name.short_name) return name.long_name;
  }
  return word.starts_with("--") ? word.substr(2) : word;
}

/// Sets from the variables that torchrun reads: PET_NNODES and so on.
Status read_environment(const Environment& env, Draft& draft) {
  for (const Flag& flag : kFlags) {
    std::string variable = "PET_" + std::string(flag.name);
    for (char& c : variable) {
      c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    const auto found = env.find(variable);
    if (found == env.end() || (flag.value == nullptr && found->second != "1")) continue;
    PELTON_TRY(flag.set(draft, found->second));
  }
  return base::ok();
}

/// Reads flags up to the command; leaves in `next` the index of the command's first word and in
/// `after_dashes` whether "--" stood before it.
Status read_flags(const std::vector<std::string>& words, Draft& draft, size_t& next,
                  bool& after_dashes) {
  for (next = 0; next < words.size(); ++next) {
    const std::string& word = words[next];
    if (word == "--") {
      after_dashes = true;
      ++next;
      return base::ok();
    }
    if (!word.starts_with('-')) return base::ok();
    const size_t equals = word.find('=');
    const Flag* flag = find_flag(long_name(std::string_view(word).substr(0, equals)));
    if (flag == nullptr) {
      return base::invalid_argument("pelton run has no flag " + word +
                                    "; `pelton run --help` lists them, and -- ends them");
    }
    std::string value;
    if (flag->value == nullptr) {
      if (equals != std::string::npos) return bad_value(flag->name, word, "a flag without value");
    } else if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (next + 1 < words.size()) {
      value = words[++next];
    } else {
      return base::invalid_argument("--" + std::string(flag->name) +
                                    " needs a value: " + flag->value);
    }
    PELTON_TRY(flag->set(draft, value));
  }
  return base::ok();
}

/// Takes HOST or HOST:PORT apart into what was not given otherwise.
Status apply_endpoint(Draft& draft) {
  if (draft.rdzv_endpoint.empty()) return base::ok();
  const size_t colon = draft.rdzv_endpoint.rfind(':');
  if (draft.options.master_addr.empty()) {
    draft.options.master_addr = draft.rdzv_endpoint.substr(0, colon);
  }
  if (colon == std::string::npos || draft.options.master_port) return base::ok();
  int port = 0;
  if (!read_int("rdzv-endpoint", draft.rdzv_endpoint.substr(colon + 1), 0, 65535, port).ok()) {
    return bad_value("rdzv-endpoint", draft.rdzv_endpoint, "HOST or HOST:PORT");
  }
  draft.options.master_port = port;
  return base::ok();
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& words, const Environment& env) {
  Draft draft;
  size_t next = 0;
  bool after_dashes = false;
  PELTON_TRY(read_environment(env, draft));
  PELTON_TRY(read_flags(words, draft, next, after_dashes));
  PELTON_TRY(apply_endpoint(draft));
  Options& options = draft.options;
  if (options.help) return options;
  if (next == words.size()) {
    return base::invalid_argument(
        "pelton run needs a command, for example: pelton run --nproc-per-node 4 -- python "
        "train.py");
  }
  if (options.standalone && options.nnodes != 1) {
    return base::invalid_argument("--standalone is a group of one node, and --nnodes says " +
                                  std::to_string(options.nnodes));
  }
  if (options.redirects != 0 && options.log_dir.empty()) {
    return base::invalid_argument("--redirects needs --log-dir: where to put what is written");
  }
  const bool is_script = !after_dashes && words[next].ends_with(".py") && !draft.no_python;
  if (draft.is_module) {
    options.command = {"python3", "-u", "-m"};
  } else if (is_script) {
    options.command = {"python3", "-u"};
  }
  options.command.insert(options.command.end(), words.begin() + static_cast<std::ptrdiff_t>(next),
                         words.end());
  return options;
}

std::vector<FlagDescription> describe_flags() {
  std::vector<FlagDescription> all;
  for (const Flag& flag : kFlags) {
    FlagDescription described;
    for (const ShortName& name : kShortNames) {
      if (name.long_name == flag.name) described.names.emplace_back(name.short_name);
    }
    described.names.push_back("--" + std::string(flag.name));
    if (flag.value) described.value = flag.value;
    if (flag.help) described.help = flag.help;
    for (const std::string_view choice : base::split(flag.choices, ' ')) {
      if (!choice.empty()) described.choices.emplace_back(choice);
    }
    all.push_back(std::move(described));
  }
  return all;
}

std::string options_help() {
  std::string text =
      "pelton run [FLAGS] -- COMMAND…\n\n"
      "Runs a group of worker processes, in torchrun's place: the same flags, and the same\n"
      "environment for each worker (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, …), "
      "and\n"
      "JAX's. In a Job or JobSet the node's rank and rank 0's address need not be given.\n\n"
      "Examples:\n"
      "  pelton run --standalone --nproc-per-node 4 -- python train.py\n"
      "  pelton run --nnodes 4 -- python train.py      (in each pod of an Indexed Job)\n\n";
  for (const Flag& flag : kFlags) {
    if (flag.help == nullptr) continue;
    std::string left = "  --" + std::string(flag.name);
    if (flag.value != nullptr) left += std::string(" ") + flag.value;
    left.resize(std::max<size_t>(left.size() + 1, 32), ' ');
    text += left + flag.help + "\n";
  }
  return text +
         "\nEnds with the first failed worker's exit code, or 128 + the signal that ended it; the\n"
         "others are stopped. SIGTERM, SIGINT and SIGHUP are passed on to the workers.\n";
}

}  // namespace pelton::launch
