// SPDX-License-Identifier: Apache-2.0
// Patches and decoding: any JSON against any JSON never crashes, a merge patch made from two
// objects gives the second, and a decoded object decodes to itself.
#include <cstdint>
#include <string_view>
#include <vector>

#include "api/decode.h"
#include "api/defaults.h"
#include "api/patch.h"
#include "api/validate.h"

namespace {

using pelton::base::Json;

bool has_null(const Json& value) {
  for (const Json::Member& member : value.members()) {
    if (member.value.is_null() || has_null(member.value)) return true;
  }
  return false;
}

void check_object(Json object) {
  const auto* pods = pelton::api::Registry::builtin().find("", "v1", "pods");
  std::vector<std::string> unknown;
  if (!pelton::api::decode(*pods, object, unknown).ok()) return;
  Json again = object;
  unknown.clear();
  PELTON_CHECK(pelton::api::decode(*pods, again, unknown).ok() && unknown.empty());
  PELTON_CHECK(again == object);
  pelton::api::apply_defaults(*pods, object);
  pelton::api::prepare_for_create(*pods, object);
  pelton::api::validate_create(*pods, object).ignore("only that it ends");
}

}  // namespace

// The input is two JSON texts with a zero byte between them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t middle = text.find('\0');
  if (middle == std::string_view::npos) return 0;
  const auto object = Json::parse(text.substr(0, middle));
  const auto patch = Json::parse(text.substr(middle + 1));
  if (!object.ok() || !patch.ok()) return 0;
  const Json merged = pelton::api::merge_patch(*object, *patch);
  if (object->is_object() && patch->is_object() && !has_null(*patch)) {
    const Json made = pelton::api::make_merge_patch(*object, *patch);
    PELTON_CHECK(pelton::api::merge_patch(*object, made) == *patch);
  }
  (void)pelton::api::json_patch(*object, *patch).ok();
  const auto* pod = pelton::api::find_type("io.k8s.api.core.v1.Pod");
  const auto strategic = pelton::api::strategic_merge_patch(*object, *patch, *pod);
  check_object(merged);
  if (strategic.ok()) check_object(*strategic);
  return 0;
}
