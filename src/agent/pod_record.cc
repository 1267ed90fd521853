// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_record.h"

#include <algorithm>

#include "base/strings.h"

namespace pelton::agent {

using base::Json;

base::Status write_pod_record(world::Files& files, const PodPaths& paths, const PodRecord& record) {
  PELTON_TRY(files.make_directories(paths.directory));
  Json out = Json::object({{"pod", record.pod},
                           {"address", record.address},
                           {"released", record.is_released},
                           {"devices", device_assignment_to_json(record.devices)},
                           {"startTimeUnixNs", record.start_time.unix_ns()}});
  if (record.is_rejected) {
    out.set("rejection", Json::object({{"reason", record.rejection_reason},
                                       {"message", record.rejection_message}}));
  }
  return files.replace(paths.record(), out.dump());
}

base::Result<PodRecord> read_pod_record(world::Files& files, const PodPaths& paths) {
  PELTON_ASSIGN(const std::string text, files.read(paths.record()));
  PELTON_ASSIGN(const Json in, Json::parse(text));
  return PodRecord{.pod = in["pod"],
                   .address = in["address"].as_string(),
                   .devices = device_assignment_from_json(in["devices"]),
                   .start_time = base::Instant::from_unix_ns(in["startTimeUnixNs"].as_int()),
                   .is_released = in["released"].as_bool(),
                   .is_rejected = in.contains("rejection"),
                   .rejection_reason = in.at("rejection.reason").as_string(),
                   .rejection_message = in.at("rejection.message").as_string()};
}

std::vector<int> list_attempts(world::Files& files, const PodPaths& paths,
                               const std::string& container) {
  std::vector<int> numbers;
  const auto entries = files.list(paths.container(container));
  if (!entries.ok()) return numbers;
  for (const auto& entry : *entries) {
    const auto number = base::parse_int(entry.name);
    if (number.ok()) numbers.push_back(static_cast<int>(*number));
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace pelton::agent
