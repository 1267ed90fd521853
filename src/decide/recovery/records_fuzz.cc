// SPDX-License-Identifier: Apache-2.0
// What a pod's processes send is anybody's bytes: a record that is read is written the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "decide/recovery/records.h"

using pelton::base::Json;
namespace checkpoint = pelton::decide::checkpoint;
namespace recovery = pelton::decide::recovery;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = Json::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!json.ok()) return 0;
  if (const auto report = recovery::pod_report_of(*json); report.ok()) {
    const auto again = recovery::pod_report_of(recovery::to_json(*report));
    if (!again.ok() || recovery::to_json(*again) != recovery::to_json(*report)) std::abort();
  }
  if (const auto generation = recovery::generation_of(*json); generation.ok()) {
    const auto again = recovery::generation_of(recovery::to_json(*generation));
    if (!again.ok() || recovery::to_json(*again) != recovery::to_json(*generation)) std::abort();
  }
  if (const auto author = checkpoint::author_of({reinterpret_cast<const char*>(data), size});
      author.ok()) {
    if (author->writer >= author->writers) std::abort();
  }
  return 0;
}
