// SPDX-License-Identifier: Apache-2.0
#include "launch/plan.h"

#include <algorithm>

#include "base/strings.h"

namespace pelton::launch {
namespace {

using base::Result;
using base::Status;

constexpr int kDefaultPort = 29500;            // torchrun's
constexpr std::string_view kNoRunId = "none";  // torchrun's word where --rdzv-id is not given

std::string find_or(const Environment& env, const std::string& name, const std::string& fallback) {
  const auto found = env.find(name);
  return found == env.end() || found->second.empty() ? fallback : found->second;
}

/// The longest name that the hosts file gives to an address that `hostname` also stands for.
std::string full_name(const std::string& hostname, const std::string& hosts_file) {
  std::string best = hostname;
  for (std::string_view line : base::split(hosts_file, '\n')) {
    line = line.substr(0, line.find('#'));
    std::string spaced(line);
    std::replace(spaced.begin(), spaced.end(), '\t', ' ');
    const auto names = base::split(spaced, ' ');
    if (std::find(names.begin(), names.end(), hostname) == names.end()) continue;
    for (std::string_view name : names) {
      if (name.starts_with(hostname + ".") && name.size() > best.size()) best = name;
    }
  }
  return best;
}

Status choose_node_rank(const Options& options, const Surroundings& around, GroupPlan& plan) {
  if (options.node_rank) {
    plan.node_rank = *options.node_rank;
  } else if (plan.nnodes > 1) {
    const std::string index = find_or(around.environment, "JOB_COMPLETION_INDEX",
                                      find_or(around.environment, "NODE_RANK", ""));
    const Result<int64_t> rank = base::parse_int(index);
    if (!rank.ok() || rank.value() < 0 || rank.value() > 1'000'000) {
      return base::invalid_argument("a group of " + std::to_string(plan.nnodes) +
                                    " nodes: which one is this? Give --node-rank, or run in a Job "
                                    "of completionMode Indexed, which sets JOB_COMPLETION_INDEX");
    }
    plan.node_rank = static_cast<int>(rank.value());
  }
  if (plan.node_rank < plan.nnodes) return base::ok();
  return base::invalid_argument("node rank " + std::to_string(plan.node_rank) +
                                " is outside a group of " + std::to_string(plan.nnodes) +
                                " nodes: ranks start at 0");
}

Status choose_master(const Options& options, const Surroundings& around, GroupPlan& plan) {
  const Environment& env = around.environment;
  if (options.standalone || (plan.nnodes == 1 && options.master_addr.empty())) {
    plan.master_addr = "127.0.0.1";
    plan.master_port = options.master_port.value_or(0);
    return base::ok();
  }
  plan.master_addr = options.master_addr;
  if (plan.master_addr.empty()) plan.master_addr = find_or(env, "MASTER_ADDR", "");
  if (plan.master_addr.empty()) {
    plan.master_addr =
        name_of_pod_0(around.hostname, find_or(env, "JOB_COMPLETION_INDEX", ""), around.hosts_file);
  }
  if (plan.master_addr.empty()) {
    return base::invalid_argument("a group of " + std::to_string(plan.nnodes) +
                                  " nodes: where is rank 0? Give " +
                                  "--master-addr; it can be inferred only in a pod of an Indexed "
                                  "Job with a headless Service");
  }
  const std::string port = find_or(env, "MASTER_PORT", std::to_string(kDefaultPort));
  const Result<int64_t> number = base::parse_int(port);
  if (!options.master_port && (!number.ok() || number.value() < 1 || number.value() > 65535)) {
    return base::invalid_argument("MASTER_PORT: \"" + port + "\" is not a port");
  }
  plan.master_port = options.master_port ? *options.master_port : static_cast<int>(number.value());
  if (plan.master_port == 0 && plan.nnodes > 1) {
    return base::invalid_argument("port 0 means any free port, and a group of " +
                                  std::to_string(plan.nnodes) +
                                  " nodes has to agree on one: give --master-port");
  }
  return base::ok();
}

}  // namespace

std::string name_of_pod_0(const std::string& hostname, const std::string& index,
                          const std::string& hosts_file) {
  if (index.empty() || !hostname.ends_with("-" + index)) return "";
  const std::string own = full_name(hostname, hosts_file);
  return hostname.substr(0, hostname.size() - index.size()) + "0" + own.substr(hostname.size());
}

Result<GroupPlan> plan_group(const Options& options, const Surroundings& around) {
  GroupPlan plan;
  plan.nnodes = options.nnodes;
  plan.max_restarts = options.max_restarts;
  plan.grace = options.grace;
  plan.health_check = options.health_check;
  plan.health_check_timeout = options.health_check_timeout;
  plan.run_id = options.rdzv_id;
  plan.role = options.role;
  plan.may_park = options.park && find_or(around.environment, "PELTON_PARK", "1") != "0";
  plan.log_dir = options.log_dir;
  plan.redirects = options.redirects;
  plan.command = options.command;
  PELTON_TRY(choose_node_rank(options, around, plan));
  PELTON_TRY(choose_master(options, around, plan));
  const Result<int64_t> count = base::parse_int(options.nproc_per_node);
  plan.local_world_size = count.ok() ? static_cast<int>(count.value()) : std::max(1, around.cpus);
  plan.limit_threads = plan.local_world_size > 1 && !around.environment.contains("OMP_NUM_THREADS");
  if (plan.nnodes > 1 && plan.max_restarts > 0) {
    // One node's restart would leave the workers of the others in a collective that never ends.
    plan.max_restarts = 0;
    plan.warnings.push_back(
        "--max-restarts has no effect in a group of several nodes: the whole group is restarted by "
        "the failurePolicy of its JobSet");
  }
  return plan;
}

Place place_in(const GroupPlan& plan, int64_t generation, int master_port) {
  return {.generation = generation,
          .job_uid = "",
          .run_id = "",
          .node_rank = plan.node_rank,
          .nnodes = plan.nnodes,
          .first_rank = plan.node_rank * plan.local_world_size,
          .local_world_size = plan.local_world_size,
          .world_size = plan.world_size(),
          .master_addr = plan.master_addr,
          .master_port = master_port,
          .restore = "",
          .failures = ""};
}

std::string restore_of(const decide::recovery::Generation& generation) {
  if (!generation.restore) return "";
  return std::to_string(generation.restore->generation) + ":" +
         std::to_string(generation.restore->step);
}

Place place_in(const GroupPlan& plan, const decide::recovery::Generation& generation,
               size_t index) {
  const int base_port = plan.master_port != 0 ? plan.master_port : kDefaultPort;
  return {.generation = generation.number,
          .job_uid = generation.job_uid,
          .run_id = "",
          .node_rank = static_cast<int>(index),
          .nnodes = static_cast<int>(generation.members.size()),
          .first_rank = generation.first_rank_of(index),
          .local_world_size = generation.members[index].ranks,
          .world_size = generation.world_size(),
          .master_addr = generation.members[0].address,
          .master_port = generation.port_from(base_port),
          .restore = restore_of(generation),
          .failures = to_text(generation.observed)};
}

Environment worker_environment(const GroupPlan& plan, const Place& place, int local_rank,
                               const std::string& page) {
  const std::string rank = std::to_string(place.first_rank + local_rank);
  const std::string world = std::to_string(place.world_size);
  const std::string node = std::to_string(place.node_rank);
  const std::string port = std::to_string(place.master_port);
  Environment env = {
      {"RANK", rank},
      {"LOCAL_RANK", std::to_string(local_rank)},
      {"WORLD_SIZE", world},
      {"LOCAL_WORLD_SIZE", std::to_string(place.local_world_size)},
      {"NODE_RANK", node},
      {"GROUP_RANK", node},
      {"GROUP_WORLD_SIZE", std::to_string(place.nnodes)},
      {"ROLE_RANK", rank},
      {"ROLE_NAME", plan.role},
      {"ROLE_WORLD_SIZE", world},
      {"MASTER_ADDR", place.master_addr},
      {"MASTER_PORT", port},
      {"TORCHELASTIC_RESTART_COUNT", std::to_string(place.attempt())},
      {"TORCHELASTIC_MAX_RESTARTS", std::to_string(plan.max_restarts)},
      // As torchrun --standalone does, so that a restart is known from another start.
      {"TORCHELASTIC_RUN_ID",
       plan.run_id == kNoRunId && !place.run_id.empty() ? place.run_id : plan.run_id},
      // The launcher serves no store: rank 0 does, as it does without a launcher.
      {"TORCHELASTIC_USE_AGENT_STORE", "False"},
      {"JAX_COORDINATOR_ADDRESS", place.master_addr + ":" + port},
      {"JAX_NUM_PROCESSES", world},
      {"JAX_PROCESS_ID", rank},
      {"PELTON_GENERATION", std::to_string(place.generation)},
      {"PELTON_HEARTBEAT", page},
      {"PELTON_JOB_UID", place.job_uid},
      {"PELTON_RESTORE", place.restore},
      {"PELTON_FAILURES_OBSERVED", place.failures},
  };
  if (place.has_coordinator) env["PELTON_COORDINATOR"] = env["JAX_COORDINATOR_ADDRESS"];
  if (plan.limit_threads) env["OMP_NUM_THREADS"] = "1";
  return env;
}

std::string worker_log_path(const GroupPlan& plan, int local_rank, int attempt,
                            const std::string& stream) {
  const int bit = stream == "stdout" ? 1 : 2;
  if ((plan.redirects & bit) == 0) return "";
  return plan.log_dir + "/attempt_" + std::to_string(attempt) + "/" + std::to_string(local_rank) +
         "/" + stream + ".log";
}

}  // namespace pelton::launch
