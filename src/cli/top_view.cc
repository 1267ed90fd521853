// SPDX-License-Identifier: Apache-2.0
#include "cli/top_view.h"

#include <algorithm>
#include <tuple>

#include "api/columns.h"
#include "api/object.h"
#include "api/quantity.h"
#include "base/strings.h"
#include "client/client.h"
#include "decide/placement/observed.h"
#include "decide/workload/jobset/children.h"

namespace pelton::cli {
namespace {

using base::Instant;
using base::Json;

/// namespace and name.
using Key = std::pair<std::string, std::string>;

Key key_of(const Json& object) {
  return {api::namespace_of(object), api::name_of(object)};
}

std::string created(const Json& object) {
  return object["metadata"]["creationTimestamp"].as_string();
}

/// The cell of kubectl's column.
std::string cell(const char* kind, const Json& object, std::string_view column, Instant now) {
  const api::ResourceInfo& resource = *client::find_resource(kind);
  const auto columns = api::columns_of(resource);
  const Json::Array cells = api::cells_of(resource, object, now);
  for (size_t i = 0; i < columns.size() && i < cells.size(); ++i) {
    if (columns[i].name == column) return cells[i].as_string();
  }
  return "";
}

Usage usage_from(const Json& map) {
  return {api::Quantity::or_zero(map["cpu"]).milli_value(),
          api::Quantity::or_zero(map["memory"]).value()};
}

std::map<Key, Usage> node_usage(const Json::Array& metrics) {
  std::map<Key, Usage> all;
  for (const Json& item : metrics) all[key_of(item)] = usage_from(item["usage"]);
  return all;
}

std::map<Key, Usage> pod_usage(const Json::Array& metrics) {
  std::map<Key, Usage> all;
  for (const Json& item : metrics) {
    Usage& sum = all[key_of(item)];
    for (const Json& container : item["containers"].items()) {
      const Usage one = usage_from(container["usage"]);
      sum.cpu_milli += one.cpu_milli;
      sum.memory_bytes += one.memory_bytes;
    }
  }
  return all;
}

std::optional<Usage> find_usage(const std::map<Key, Usage>& all, const Json& object) {
  const auto found = all.find(key_of(object));
  return found == all.end() ? std::nullopt : std::optional<Usage>(found->second);
}

int64_t amount_of(const api::Amounts& amounts, const std::string& resource) {
  const auto found = amounts.find(resource);
  return found == amounts.end() ? 0 : found->second;
}

std::vector<NodeRow> node_rows(const TopLists& lists, Instant now) {
  std::map<std::string, api::Amounts> requested;
  for (const Json& pod : lists.pods) {
    const std::string& node = pod["spec"]["nodeName"].as_string();
    if (node.empty() || api::has_ended(pod)) continue;
    for (const auto& [resource, amount] : api::requests_of(pod))
      requested[node][resource] += amount;
  }
  const auto usage = node_usage(lists.node_metrics);
  std::vector<NodeRow> rows;
  for (const Json& node : lists.nodes) {
    NodeRow row;
    row.name = api::name_of(node);
    row.status = cell("Node", node, "Status", now);
    row.is_ready = api::is_condition_true(node, "Ready");
    row.has_virtual_accelerators = api::label_of(node, "pelton.dev/virtual-accelerator") == "true";
    row.usage = find_usage(usage, node);
    row.requested = std::move(requested[row.name]);
    row.allocatable = api::allocatable_of(node);
    for (const auto& [resource, total] : row.allocatable) {
      if (!decide::placement::is_accelerator(resource)) continue;
      row.accelerators[resource] = {amount_of(row.requested, resource), total};
    }
    rows.push_back(std::move(row));
  }
  std::sort(rows.begin(), rows.end(),
            [](const NodeRow& a, const NodeRow& b) { return a.name < b.name; });
  return rows;
}

/// The pods of one JobSet as they are now.
struct Workers {
  int64_t ready = 0;
  bool is_waiting = false;  ///< for a node
};

std::map<Key, Workers> workers_of(const Json::Array& pods) {
  std::map<Key, Workers> all;
  for (const Json& pod : pods) {
    const std::string& jobset = api::label_of(pod, decide::workload::kJobSetName);
    if (jobset.empty() || api::has_ended(pod)) continue;
    Workers& workers = all[{api::namespace_of(pod), jobset}];
    workers.ready += api::is_condition_true(pod, "Ready") ? 1 : 0;
    workers.is_waiting |= pod["spec"]["nodeName"].as_string().empty();
  }
  return all;
}

int64_t desired_workers(const Json& jobset) {
  int64_t sum = 0;
  for (const Json& group : jobset["spec"]["replicatedJobs"].items()) {
    const Json& job = group.at("template.spec");
    const int64_t parallelism = job["parallelism"].as_int(1);
    sum += decide::workload::replicas_of(group) *
           std::min(parallelism, job["completions"].as_int(parallelism));
  }
  return sum;
}

std::string jobset_state(const Json& jobset, const Workers& workers, int64_t desired) {
  const std::string& terminal = jobset["status"]["terminalState"].as_string();
  if (!terminal.empty()) return terminal;
  if (api::is_being_deleted(jobset)) return "Terminating";
  if (jobset["spec"]["suspend"].as_bool()) return "Suspended";
  if (workers.is_waiting) return "Pending";
  return workers.ready >= desired ? "Running" : "Starting";
}

std::vector<JobSetRow> jobset_rows(const TopLists& lists, const std::string& namespace_name,
                                   Instant now) {
  const auto workers = workers_of(lists.pods);
  std::vector<std::pair<bool, JobSetRow>> rows;  // whether it has ended
  for (const Json& jobset : lists.jobsets) {
    if (!namespace_name.empty() && api::namespace_of(jobset) != namespace_name) continue;
    const auto found = workers.find(key_of(jobset));
    const Workers own = found == workers.end() ? Workers{} : found->second;
    const int64_t desired = desired_workers(jobset);
    JobSetRow row{api::namespace_of(jobset),
                  api::name_of(jobset),
                  jobset_state(jobset, own, desired),
                  jobset["status"]["restarts"].as_int(),
                  {own.ready, desired},
                  cell("JobSet", jobset, "Age", now),
                  created(jobset)};
    rows.emplace_back(!jobset["status"]["terminalState"].as_string().empty(), std::move(row));
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second.namespace_name, a.second.name) <
           std::tie(b.first, b.second.namespace_name, b.second.name);
  });
  std::vector<JobSetRow> sorted;
  for (auto& [has_ended, row] : rows) sorted.push_back(std::move(row));
  return sorted;
}

/// Why a pending pod does not run: the scheduler's words, or a container's.
std::string waiting_reason(const Json& pod) {
  if (pod["spec"]["nodeName"].as_string().empty()) {
    const Json* scheduled = api::find_condition(pod, "PodScheduled");
    return scheduled ? (*scheduled)["message"].as_string() : "not looked at by the scheduler yet";
  }
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& status : pod["status"][list].items()) {
      const Json& waiting = status["state"]["waiting"];
      if (!waiting["message"].as_string().empty()) return waiting["message"].as_string();
    }
  }
  return "";
}

std::vector<PodRow> pod_rows(const TopLists& lists, const std::string& namespace_name,
                             Instant now) {
  const auto usage = pod_usage(lists.pod_metrics);
  enum Place : uint8_t { Waits, Runs, Ended };
  using Rank = std::tuple<Place, int64_t, std::string, std::string>;
  std::vector<std::pair<Rank, PodRow>> rows;
  for (const Json& pod : lists.pods) {
    if (!namespace_name.empty() && api::namespace_of(pod) != namespace_name) continue;
    PodRow row{api::namespace_of(pod),
               api::name_of(pod),
               pod["spec"]["nodeName"].as_string(),
               pod["status"]["phase"].as_string(),
               cell("Pod", pod, "Status", now),
               "",
               cell("Pod", pod, "Restarts", now),
               find_usage(usage, pod),
               cell("Pod", pod, "Age", now),
               created(pod)};
    const Place place = api::has_ended(pod) ? Ended : row.phase == "Running" ? Runs : Waits;
    if (place == Waits) row.reason = waiting_reason(pod);
    const int64_t busy = place == Runs && row.usage ? -row.usage->cpu_milli : 0;
    Rank rank{place, busy, row.namespace_name, row.name};
    rows.emplace_back(std::move(rank), std::move(row));
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<PodRow> sorted;
  for (auto& [rank, row] : rows) sorted.push_back(std::move(row));
  return sorted;
}

Json cpu_json(int64_t milli) {
  return api::Quantity::of_milli(milli).to_string();
}

Json memory_json(int64_t bytes) {
  return api::Quantity::of_bytes(bytes).to_string();
}

Json node_json(const NodeRow& row) {
  Json accelerators = Json::object();
  for (const auto& [resource, share] : row.accelerators) {
    accelerators.set(resource, Json::object({{"used", share.used}, {"total", share.total}}));
  }
  const auto amounts = [&row](const char* resource, Json used, Json (*form)(int64_t)) {
    return Json::object({{"used", std::move(used)},
                         {"requested", form(amount_of(row.requested, resource))},
                         {"allocatable", form(amount_of(row.allocatable, resource))}});
  };
  return Json::object(
      {{"name", row.name},
       {"status", row.status},
       {"ready", row.is_ready},
       {"virtualAccelerators", row.has_virtual_accelerators},
       {"accelerators", std::move(accelerators)},
       {"cpu", amounts("cpu", row.usage ? cpu_json(row.usage->cpu_milli) : Json(), cpu_json)},
       {"memory",
        amounts("memory", row.usage ? memory_json(row.usage->memory_bytes) : Json(), memory_json)},
       {"pods", Json::object({{"used", amount_of(row.requested, "pods")},
                              {"total", amount_of(row.allocatable, "pods")}})}});
}

Json jobset_json(const JobSetRow& row) {
  return Json::object({{"namespace", row.namespace_name},
                       {"name", row.name},
                       {"state", row.state},
                       {"restarts", row.restarts},
                       {"ready", row.workers.used},
                       {"desired", row.workers.total},
                       {"creationTimestamp", row.created}});
}

Json pod_json(const PodRow& row) {
  const std::string_view cell_text = row.restarts;
  const auto restarts = base::parse_int(cell_text.substr(0, cell_text.find(' ')));
  return Json::object({{"namespace", row.namespace_name},
                       {"name", row.name},
                       {"node", row.node},
                       {"phase", row.phase},
                       {"status", row.status},
                       {"reason", row.reason},
                       {"restarts", restarts.ok() ? *restarts : int64_t{0}},
                       {"cpu", row.usage ? cpu_json(row.usage->cpu_milli) : Json()},
                       {"memory", row.usage ? memory_json(row.usage->memory_bytes) : Json()},
                       {"creationTimestamp", row.created}});
}

template <typename Row>
Json list_json(const std::vector<Row>& rows, Json (*form)(const Row&)) {
  Json list = Json::array();
  for (const Row& row : rows) list.push_back(form(row));
  return list;
}

}  // namespace

TopView observe_top(const TopLists& lists, const std::string& namespace_name, Instant now) {
  return {now, namespace_name, node_rows(lists, now), jobset_rows(lists, namespace_name, now),
          pod_rows(lists, namespace_name, now)};
}

Json to_json(const TopView& view) {
  return Json::object({{"time", base::format_time(view.now)},
                       {"namespace", view.namespace_name},
                       {"nodes", list_json(view.nodes, node_json)},
                       {"jobSets", list_json(view.jobsets, jobset_json)},
                       {"pods", list_json(view.pods, pod_json)}});
}

}  // namespace pelton::cli
