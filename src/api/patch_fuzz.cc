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

// As the server admits an object of this kind, new and then over itself.
void check_as(const pelton::api::ResourceInfo& resource, Json object) {
  std::vector<std::string> unknown;
  object.erase("apiVersion");  // whatever it was: take it for this kind
  object.erase("kind");
  if (!pelton::api::decode(resource, object, unknown).ok()) return;
  Json again = object;
  unknown.clear();
  PELTON_CHECK(pelton::api::decode(resource, again, unknown).ok() && unknown.empty());
  PELTON_CHECK(again == object);
  pelton::api::apply_defaults(resource, object);
  Json twice = object;
  pelton::api::apply_defaults(resource, twice);
  PELTON_CHECK(twice == object);
  pelton::api::prepare_for_create(resource, object);
  pelton::api::validate_create(resource, object).ignore("only that it ends");
  pelton::api::apply_defaults(resource, again, false);
  Json status = again;
  pelton::api::prepare_for_update(resource, object, again);
  pelton::api::validate_update(resource, object, again).ignore("only that it ends");
  pelton::api::prepare_for_update(resource, object, status, true);
  pelton::api::validate_status_update(resource, object, status).ignore("only that it ends");
}

void check_object(const Json& object) {
  if (!object.is_object()) return;
  for (const auto* resource : pelton::api::Registry::builtin().resources()) {
    check_as(*resource, object);
  }
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
