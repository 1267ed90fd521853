// SPDX-License-Identifier: Apache-2.0
// JSON: never crashes; what is read prints as a text that reads back as the same value.
#include <cstdint>
#include <string_view>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = pelton::base::Json::parse(text);
  if (!value.ok()) return 0;
  const std::string printed = value->dump();
  const auto back = pelton::base::Json::parse(printed);
  PELTON_CHECK(back.ok() && *back == *value && back->dump() == printed);
  PELTON_CHECK(pelton::base::Json::parse(value->dump(2)).value() == *value);
  return 0;
}
