// SPDX-License-Identifier: Apache-2.0
// YAML: never crashes; what is read can be written and reads back as the same value.
#include <cstdint>
#include <string_view>

#include "api/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto documents = pelton::api::parse_yaml_documents(text);
  if (!documents.ok()) return 0;
  for (const auto& document : *documents) {
    // YAML admits bytes that are not UTF-8 in few builds; JSON has no form for them.
    if (!pelton::base::Json::parse(document.dump()).ok()) continue;
    const auto back = pelton::api::parse_yaml(pelton::api::to_yaml(document));
    PELTON_CHECK(back.ok());
    PELTON_CHECK(*back == document);
  }
  return 0;
}
