// SPDX-License-Identifier: Apache-2.0
// Any JSON as FieldsV1: never crashes; what is read is written so that it reads back the same.
#include <cstdint>
#include <string_view>

#include "api/fields/managed_fields.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pelton::api::fields::FieldSet;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = pelton::base::Json::parse(text);
  if (!json.ok()) return 0;
  const auto managed = pelton::api::fields::read_managed_fields(*json);
  if (managed.ok()) {
    const auto written = pelton::api::fields::write_managed_fields(*managed);
    const auto again = pelton::api::fields::read_managed_fields(written);
    PELTON_CHECK(again.ok());
    PELTON_CHECK(pelton::api::fields::write_managed_fields(*again) == written);
  }
  const auto set = FieldSet::from_json(*json);
  if (!set.ok()) return 0;
  const auto again = FieldSet::from_json(set->to_json());
  PELTON_CHECK(again.ok() && *again == *set);
  set->for_each([&](const auto& path) { PELTON_CHECK(set->has(path)); });
  PELTON_CHECK(subtract(*set, *set).empty());
  PELTON_CHECK(unite(*set, *set) == *set && intersect(*set, *set) == *set);
  return 0;
}
