// SPDX-License-Identifier: Apache-2.0
#include "agent/usage_meter.h"

#include <algorithm>

#include "agent/cgroups.h"
#include "agent/process_usage.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr base::Duration kShortest = base::Duration::seconds(1);
/// A look that is asked for, and not so old as this, is answered with the last one.
constexpr base::Duration kFresh = base::Duration::seconds(5);

/// Amounts that are told together.
struct Told {
  base::Instant at;
  std::optional<int64_t> rate;
  base::Duration window;
  int64_t cpu_ns = 0, memory = 0, working_set = 0, rss = 0;
};

void add(Told& sum, const Told& part) {
  sum.at = std::max(sum.at, part.at);
  if (part.rate) sum.rate = sum.rate.value_or(0) + *part.rate;
  sum.window = std::max(sum.window, part.window);
  sum.cpu_ns += part.cpu_ns;
  sum.memory += part.memory;
  sum.working_set += part.working_set;
  sum.rss += part.rss;
}

void set_usage(Json& out, const Told& told) {
  const std::string time = base::format_time(told.at);
  Json& cpu = out.set("cpu", Json::object({{"time", time}, {"usageCoreNanoSeconds", told.cpu_ns}}));
  if (told.rate) {
    cpu.set("usageNanoCores", *told.rate);
    cpu.set("windowNanoSeconds", told.window.ns());
  }
  out.set("memory", Json::object({{"time", time},
                                  {"usageBytes", told.memory},
                                  {"workingSetBytes", told.working_set},
                                  {"rssBytes", told.rss}}));
}

}  // namespace

std::optional<int64_t> nano_cores(const UsageSample& before, const UsageSample& now) {
  const base::Duration passed = now.at - before.at;
  if (passed < kShortest) return std::nullopt;
  const double used = static_cast<double>(std::max<int64_t>(now.cpu_ns - before.cpu_ns, 0));
  return static_cast<int64_t>(used * 1e9 / static_cast<double>(passed.ns()));
}

UsageMeter::UsageMeter(world::World world, std::string node_name, int64_t node_memory_bytes,
                       Containers containers)
    : world_(world),
      node_name_(std::move(node_name)),
      node_memory_bytes_(node_memory_bytes),
      containers_(std::move(containers)),
      started_at_(world.clock.now()),
      timer_(world.timers) {}

void UsageMeter::start(base::Duration period) {
  period_ = period;
  timer_.start(period_, [this] {
    look();
    start(period_);
  });
}

std::optional<UsageMeter::Entry> UsageMeter::begin(const MeteredContainer& container) {
  const auto running = read_running(world_.files, container.paths);
  const auto order = read_order(world_.files, container.paths);
  if (!running || !order.ok()) return std::nullopt;
  return Entry{.container = container,
               .started_at = running->started_at,
               .cgroups = order->cgroups,
               .init_pid = running->init_pid,
               .last = {.at = running->started_at}};
}

void UsageMeter::measure(Entry& entry, base::Instant now) {
  const CgroupUsage usage = entry.cgroups.empty() ? read_process_usage(world_.files, entry.init_pid)
                                                  : read_cgroup_usage(world_.files, entry.cgroups);
  const UsageSample sample{.at = now,
                           .cpu_ns = usage.cpu_ns.value_or(entry.last.cpu_ns),
                           .memory_bytes = usage.memory_bytes.value_or(0),
                           .working_set_bytes = usage.working_set_bytes.value_or(0),
                           .rss_bytes = usage.rss_bytes.value_or(0)};
  const auto rate = nano_cores(entry.last, sample);
  if (!rate) return;
  entry.rate = rate;
  entry.window = now - entry.last.at;
  node_cpu_ns_ += std::max<int64_t>(sample.cpu_ns - entry.last.cpu_ns, 0);
  entry.last = sample;
}

void UsageMeter::look() {
  const base::Instant now = world_.clock.now();
  looked_at_ = now;
  for (auto& [directory, entry] : entries_) entry.is_seen = false;
  for (const MeteredContainer& container : containers_()) {
    auto it = entries_.find(container.paths.directory);
    if (it == entries_.end()) {
      auto entry = begin(container);
      if (!entry) continue;
      it = entries_.emplace(container.paths.directory, std::move(*entry)).first;
    }
    it->second.is_seen = true;
    measure(it->second, now);
  }
  std::erase_if(entries_, [](const auto& item) { return !item.second.is_seen; });
}

Json UsageMeter::summary() {
  const base::Instant now = world_.clock.now();
  const bool lacks_some =
      std::any_of(entries_.begin(), entries_.end(), [](const auto& e) { return !e.second.rate; }) ||
      entries_.size() != containers_().size();
  if (lacks_some || now - looked_at_ >= kFresh) look();
  Told of_node{.at = now, .rate = 0};
  std::map<std::string, std::pair<Json, Told>> pods;  // by uid
  for (const auto& [directory, entry] : entries_) {
    if (!entry.rate) continue;
    const Told told{.at = entry.last.at,
                    .rate = entry.rate,
                    .window = entry.window,
                    .cpu_ns = entry.last.cpu_ns,
                    .memory = entry.last.memory_bytes,
                    .working_set = entry.last.working_set_bytes,
                    .rss = entry.last.rss_bytes};
    add(of_node, told);
    auto& [pod, of_pod] = pods[entry.container.pod_uid];
    add(of_pod, told);
    pod.set("podRef", Json::object({{"name", entry.container.pod_name},
                                    {"namespace", entry.container.namespace_name},
                                    {"uid", entry.container.pod_uid}}));
    pod.set("startTime", base::format_time(entry.container.pod_started_at));
    Json& container =
        pod.child("containers")
            .push_back(Json::object({{"name", entry.container.name},
                                     {"startTime", base::format_time(entry.started_at)}}));
    set_usage(container, told);
  }
  of_node.cpu_ns = node_cpu_ns_;
  Json node =
      Json::object({{"nodeName", node_name_}, {"startTime", base::format_time(started_at_)}});
  set_usage(node, of_node);
  node.child("memory").set("availableBytes",
                           std::max<int64_t>(node_memory_bytes_ - of_node.working_set, 0));
  Json list = Json::array();
  for (auto& [uid, entry] : pods) {
    set_usage(entry.first, entry.second);
    list.push_back(std::move(entry.first));
  }
  return Json::object({{"node", std::move(node)}, {"pods", std::move(list)}});
}

}  // namespace pelton::agent
