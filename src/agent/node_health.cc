// SPDX-License-Identifier: Apache-2.0
#include "agent/node_health.h"

#include <utility>

namespace pelton::agent {
namespace {

using base::Json;
using decide::health::NodeFinding;
using decide::health::Severity;

/// A fault that comes a thousand times a second is one Event per so long.
constexpr base::Duration kQuiet = base::Duration::seconds(30);
constexpr base::Duration kLookAtHost = base::Duration::seconds(10);

}  // namespace

HealthSources health_sources(world::Files& files, const std::string& data_directory) {
  HealthSources sources{
      .kernel_log = {"dmesg", "--follow-new", "--notime"}, .gpus = {}, .disk = data_directory};
  // Where the driver's packages, and GKE's installer, put it.
  for (const char* path : {"/usr/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi"}) {
    if (sources.gpus.empty() && files.exists(path)) {
      sources.gpus = decide::health::gpu_command(path);
    }
  }
  return sources;
}

NodeHealth::NodeHealth(world::World world, EventRecorder& events, std::string node_name,
                       HealthSources sources, std::function<void()> changed)
    : world_(world),
      events_(events),
      node_name_(std::move(node_name)),
      sources_(std::move(sources)),
      changed_(std::move(changed)),
      look_(world.timers),
      kernel_log_(world, "node.kernel_log", sources_.kernel_log,
                  [this](std::string_view line) { on_kernel_line(line); }),
      gpu_log_(world, "node.gpus", sources_.gpus, [this](std::string_view line) {
        const auto found = gpus_.on_line(line, node_name_, world_.clock.now());
        if (found) tell(*found);
      }) {}

void NodeHealth::start() {
  if (!sources_.kernel_log.empty()) kernel_log_.start();
  if (!sources_.gpus.empty()) gpu_log_.start();
  if (!sources_.disk.empty()) look_at_host();
}

void NodeHealth::on_kernel_line(std::string_view line) {
  const base::Instant now = world_.clock.now();
  const auto found = decide::health::read_kernel_line(line, node_name_, now, now);
  if (found) tell(*found);
}

void NodeHealth::look_at_host() {
  decide::health::HostReading reading{world_.clock.now(), world_.clock.elapsed(), {}};
  if (const auto space = world_.files.space(sources_.disk); space.ok()) {
    reading.disks.push_back({sources_.disk, space->free_bytes, space->total_bytes});
  }
  for (const NodeFinding& finding : host_.look(reading, node_name_)) tell(finding);
  look_.start(kLookAtHost, [this] { look_at_host(); });
}

void NodeHealth::tell(const NodeFinding& found) {
  if (found.severity == Severity::Note) return;
  const base::Duration elapsed = world_.clock.elapsed();
  const std::string key = found.cause + "\n" + found.device;
  const auto told = told_.find(key);
  if (told != told_.end() && elapsed - told->second < kQuiet) return;
  told_[key] = elapsed;
  world_.log.warning("node.finding", {{"cause", found.cause},
                                      {"device", found.device},
                                      {"severity", severity_name(found.severity)},
                                      {"detail", found.detail}});
  // Events of what has no namespace stand in "default"; a Node's uid is its name there, as a
  // kubelet writes it.
  const Json node =
      Json::object({{"apiVersion", "v1"},
                    {"kind", "Node"},
                    {"metadata", Json::object({{"name", node_name_}, {"uid", node_name_}})}});
  events_.record(node, true, found.cause, found.detail);
  if (found.severity != Severity::Fatal) return;
  condition_ = api::Condition{kDeviceFault, "True", found.cause, found.detail};
  changed_();
}

}  // namespace pelton::agent
