// SPDX-License-Identifier: Apache-2.0
// The one file that includes simdjson.
#include <simdjson.h>

#include <algorithm>

#include "base/json.h"

namespace pelton::base {
namespace {

constexpr size_t kDepthMax = 512;
/// Texts up to this size share one parser's buffers (20 times as large).
constexpr size_t kKeptBytes = 32 * 1024;

Json convert(simdjson::dom::element element);

Json convert_object(simdjson::dom::object object) {
  Json result = Json::object();
  Json::Object& members = result.mutable_members();
  members.reserve(object.size());
  bool is_sorted = true;
  for (const auto& field : object) {
    if (!members.empty() && field.key <= members.back().name) is_sorted = false;
    members.push_back({std::string(field.key), convert(field.value)});
  }
  if (is_sorted) return result;
  std::stable_sort(members.begin(), members.end(),
                   [](const auto& a, const auto& b) { return a.name < b.name; });
  Json::Object unique;  // of equal names, the last
  unique.reserve(members.size());
  for (Json::Member& member : members) {
    if (!unique.empty() && unique.back().name == member.name) {
      unique.back() = std::move(member);
    } else {
      unique.push_back(std::move(member));
    }
  }
  members = std::move(unique);
  return result;
}

Json convert(simdjson::dom::element element) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::ARRAY: {
      Json::Array items;
      // A local: iterating over the temporary of value_unsafe() would outlive it.
      const simdjson::dom::array array = element.get_array().value_unsafe();
      items.reserve(array.size());
      for (simdjson::dom::element item : array) {
        items.push_back(convert(item));
      }
      return Json(std::move(items));
    }
    case element_type::OBJECT:
      return convert_object(element.get_object().value_unsafe());
    case element_type::INT64:
      return Json(element.get_int64().value_unsafe());
    case element_type::UINT64:
      // Kubernetes' integers are int64; what does not fit is a number.
      return Json(static_cast<double>(element.get_uint64().value_unsafe()));
    case element_type::DOUBLE:
      return Json(element.get_double().value_unsafe());
    case element_type::STRING:
      return Json(element.get_string().value_unsafe());
    case element_type::BOOL:
      return Json(element.get_bool().value_unsafe());
    case element_type::NULL_VALUE:
      break;
  }
  return Json();
}

}  // namespace

Result<Json> Json::parse(std::string_view text) {
  if (text.empty()) text = "";  // simdjson copies from where it points, also nothing
  // Its buffers are many times the text's size: kept for the next text, unless this one is large.
  static thread_local simdjson::dom::parser kept;
  simdjson::dom::parser large;
  simdjson::dom::parser& parser = text.size() <= kKeptBytes ? kept : large;
  if (parser.capacity() < text.size() || parser.max_depth() != kDepthMax) {
    const size_t capacity = text.size() <= kKeptBytes ? kKeptBytes : text.size();
    if (auto error = parser.allocate(capacity, kDepthMax)) {
      return invalid_argument(std::string("JSON: ") + simdjson::error_message(error));
    }
  }
  simdjson::dom::element root;
  // simdjson reads beyond the end; parse(…, true) copies into a padded buffer.
  if (auto error = parser.parse(text.data(), text.size(), true).get(root)) {
    return invalid_argument(std::string("JSON: ") + simdjson::error_message(error));
  }
  return convert(root);
}

}  // namespace pelton::base
