// SPDX-License-Identifier: Apache-2.0
// Answers of an object store come from a network: whatever they say, they are read or refused.
#include <cstdint>
#include <string_view>

#include "checkpoint/s3_answers.h"

namespace checkpoint = pelton::checkpoint;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto page = checkpoint::list_page_of(text); page.ok()) {
    PELTON_CHECK(page->objects.size() + page->prefixes.size() <= size);
  }
  if (const auto page = checkpoint::uploads_page_of(text); page.ok()) {
    PELTON_CHECK(page->is_last || !page->next.key.empty());
  }
  if (const auto id = checkpoint::upload_id_of(text); id.ok()) PELTON_CHECK(!id->empty());
  PELTON_CHECK(checkpoint::store_error_of(text).code.size() <= size);
  return 0;
}
