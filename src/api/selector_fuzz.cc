// SPDX-License-Identifier: Apache-2.0
// Selectors: never crash; the printed form of a selector reads back as the same selector.
#include <cstdint>
#include <string_view>

#include "api/selector.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pelton::api::FieldSelector;
  using pelton::api::LabelSelector;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto selector = LabelSelector::parse(text); selector.ok()) {
    const auto back = LabelSelector::parse(selector->to_string());
    PELTON_CHECK(back.ok() && back->requirements() == selector->requirements());
  }
  const auto* pods = pelton::api::Registry::builtin().find("", "v1", "pods");
  if (const auto selector = FieldSelector::parse(text, *pods); selector.ok()) {
    const auto back = FieldSelector::parse(selector->to_string(), *pods);
    PELTON_CHECK(back.ok() && back->to_string() == selector->to_string());
  }
  return 0;
}
