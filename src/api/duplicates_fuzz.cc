// SPDX-License-Identifier: Apache-2.0
// Any bytes: it ends; JSON written by us has no member twice.
#include <cstdint>
#include <string_view>

#include "api/duplicates.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)pelton::api::find_duplicate_fields(text);
  const auto json = pelton::base::Json::parse(text);
  if (json.ok()) PELTON_CHECK(pelton::api::find_duplicate_fields(json->dump()).empty());
  return 0;
}
