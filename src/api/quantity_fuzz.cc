// SPDX-License-Identifier: Apache-2.0
// Quantities: never crash; the canonical text reads back as the same amount. (It need not be its
// own canon: 812.5Ki is written 832000, as upstream does, and that, read as decimal, is written
// 832k.)
#include <cstdint>
#include <string_view>

#include "api/quantity.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pelton::api::Quantity;
  const auto quantity =
      Quantity::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!quantity.ok()) return 0;
  const std::string text = quantity->to_string();
  const auto back = Quantity::parse(std::string_view(text));
  PELTON_CHECK(back.ok() && *back == *quantity);
  return 0;
}
