// SPDX-License-Identifier: Apache-2.0
#include "agent/event_recorder.h"

#include <fmt/format.h>

#include "api/object.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr size_t kMaxSeen = 4096;

}  // namespace

EventRecorder::EventRecorder(client::Client& client, world::Clock& clock, std::string component,
                             std::string host)
    : client_(client), clock_(clock), component_(std::move(component)), host_(std::move(host)) {}

void EventRecorder::record(const base::Json& object, bool is_warning, const std::string& reason,
                           const std::string& message, const std::string& container) {
  using base::Json;
  const base::Instant now = clock_.now();
  const std::string space =
      api::namespace_of(object).empty() ? "default" : api::namespace_of(object);
  const std::string time = base::format_time(now);
  const std::string key = api::uid_of(object) + '\n' + container + '\n' + reason + '\n' + message;
  if (seen_.size() > kMaxSeen) seen_.clear();
  const auto lost = [](const base::Result<Json>&) {};
  if (const auto known = seen_.find(key); known != seen_.end()) {
    client_.patch({"Event", space, known->second.name}, client::PatchType::Merge,
                  Json::object({{"count", ++known->second.count}, {"lastTimestamp", time}}), "",
                  lost);
    return;
  }
  const uint64_t hash = base::hash64(key, static_cast<uint64_t>(now.unix_ns()));
  const std::string name = api::name_of(object) + "." + fmt::format("{:016x}", hash);
  seen_[key] = {name};
  Json about = api::make_object_reference(object);
  about.set("apiVersion", "v1");
  if (about["kind"].as_string().empty()) about.set("kind", "Pod");
  if (!container.empty()) about.set("fieldPath", "spec.containers{" + container + "}");
  client_.create(
      Json::object({{"apiVersion", "v1"},
                    {"kind", "Event"},
                    {"metadata", Json::object({{"name", name}, {"namespace", space}})},
                    {"involvedObject", std::move(about)},
                    {"reason", reason},
                    {"message", message},
                    {"type", is_warning ? "Warning" : "Normal"},
                    {"source", Json::object({{"component", component_}, {"host", host_}})},
                    {"reportingComponent", component_},
                    {"reportingInstance", host_},
                    {"firstTimestamp", time},
                    {"lastTimestamp", time},
                    {"count", 1}}),
      lost);
}

}  // namespace pelton::agent
