// SPDX-License-Identifier: Apache-2.0
// Manifests and records of a log come from a disk that may have been changed by anybody: what is
// read is written the same, and its boxes can be reckoned with. So are names of versions, and what
// agents answer.
#include <cstdint>
#include <string_view>

#include "decide/checkpoint/log.h"
#include "decide/checkpoint/memory.h"
#include "decide/checkpoint/observed_failures.h"
#include "decide/checkpoint/restore.h"

using pelton::base::Json;
namespace checkpoint = pelton::decide::checkpoint;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  checkpoint::unseal(text, "it").status().ignore("only that it does not crash");
  if (const auto version = checkpoint::memory_version(text)) {
    PELTON_CHECK(checkpoint::memory_directory(*version) == text);
  }
  if (const auto named = checkpoint::parse_restore(text); named.ok() && *named) {
    PELTON_CHECK(**checkpoint::parse_restore(checkpoint::to_text(**named)) == **named);
  }
  if (const auto failures = checkpoint::parse_failures(text); failures.ok()) {
    PELTON_CHECK(*checkpoint::parse_failures(checkpoint::to_text(*failures)) == *failures);
  }
  const auto json = Json::parse(text);
  if (!json.ok()) return 0;
  checkpoint::peer_parts(*json).status().ignore("either way");
  checkpoint::peer_fetched(*json).ignore("either way");
  if (const auto manifest = checkpoint::manifest_of(*json); manifest.ok()) {
    const auto again = checkpoint::manifest_of(checkpoint::to_json(*manifest));
    PELTON_CHECK(again.ok() && *again == *manifest);
    checkpoint::check_complete({*manifest}).ignore("either way");
    for (const auto& tensor : manifest->tensors) {
      const auto reads =
          checkpoint::plan_reads({tensor, checkpoint::whole(tensor)}, {{&*again, 0}});
      reads.status().ignore("either way");
    }
  }
  if (const auto record = checkpoint::record_of(*json); record.ok()) {
    const auto again = checkpoint::record_of(checkpoint::to_json(*record));
    PELTON_CHECK(again.ok() && checkpoint::to_json(*again) == checkpoint::to_json(*record));
  }
  return 0;
}
