// SPDX-License-Identifier: Apache-2.0
// Strategic merge patch: a merge patch that knows, from the field table, which lists are maps in
// disguise (containers by name) and obeys directives written beside the data.
#include <fmt/format.h>

#include <algorithm>

#include "api/patch.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Result;
using base::Status;

constexpr std::string_view kDirective = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kOrder = "$setElementOrder/";
constexpr std::string_view kDelete = "$deleteFromPrimitiveList/";

Status bad_request(std::string message) {
  return {base::Code::InvalidArgument, "BadRequest", std::move(message)};
}

// A patch's object without directives, for where there is nothing to merge into. Items that ask
// for their own deletion fall away.
Json without_directives(const Json& patch) {
  if (patch.is_array()) {
    Json result = Json::array();
    for (const Json& item : patch.items()) {
      const std::string& directive = item[kDirective].as_string();
      if (directive == "delete" || (directive == "replace" && item.size() == 1)) continue;
      result.push_back(without_directives(item));
    }
    return result;
  }
  if (!patch.is_object()) return patch;
  Json result = Json::object();
  for (const Json::Member& member : patch.members()) {
    if (member.name.starts_with("$") || member.value.is_null()) continue;
    result.set(member.name, without_directives(member.value));
  }
  return result;
}

bool same_key(const Json& a, const Json& b, std::string_view key) {
  return !a[key].is_null() && a[key] == b[key];
}

template <typename Same>
size_t index_in(const Json::Array& list, const Json& item, const Same& is_same) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (is_same(item, list[i])) return i;
  }
  return SIZE_MAX;
}

// The order that upstream gives a merged list: what `order` (a list of keys, or of objects that
// carry the key) names comes in that order; the rest keeps its place relative to those neighbours
// that it already had in `before`.
template <typename Same>
Json::Array put_in_order(Json::Array merged, const Json::Array& order, const Json::Array& before,
                         const Same& is_same) {
  struct Ranked {
    size_t rank;
    Json item;
  };
  std::vector<Ranked> named, rest;
  for (Json& item : merged) {
    const size_t rank = index_in(order, item, is_same);
    if (rank != SIZE_MAX) {
      named.push_back({rank, std::move(item)});
    } else {
      rest.push_back({index_in(before, item, is_same), std::move(item)});
    }
  }
  const auto by_rank = [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; };
  std::stable_sort(named.begin(), named.end(), by_rank);
  std::stable_sort(rest.begin(), rest.end(), by_rank);
  Json::Array result;
  auto left = rest.begin();
  auto right = named.begin();
  while (left != rest.end() || right != named.end()) {
    bool takes_left = right == named.end();
    if (!takes_left && left != rest.end()) {
      const size_t place = index_in(before, right->item, is_same);
      takes_left = left->rank != SIZE_MAX && place != SIZE_MAX && left->rank < place;
    }
    result.push_back(std::move(takes_left ? (left++)->item : (right++)->item));
  }
  return result;
}

class Merger {
 public:
  Status merge_struct(Json& object, const Json& patch, const TypeInfo* type,
                      const std::string& path) {
    const Json& directive = patch[kDirective];
    if (directive.as_string() == "replace") {
      object = without_directives(patch);
      return base::ok();
    }
    if (directive.as_string() == "delete") {
      object = Json::object();
      return base::ok();
    }
    if (!directive.is_null() && directive.as_string() != "merge") {
      return bad_request(fmt::format("Unknown patch type found: {}", directive.dump()));
    }
    if (!object.is_object()) object = Json::object();
    if (const Json* keep = patch.find(kRetainKeys)) {
      PELTON_TRY(retain_keys(object, *keep, patch, path));
    }
    for (const Json::Member& member : patch.members()) {
      if (member.name.starts_with("$")) {
        PELTON_TRY(list_directive(object, member, patch, type, path));
        continue;
      }
      PELTON_TRY(merge_member(object, member, patch, type, path));
    }
    return base::ok();
  }

 private:
  static std::string below(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
  }

  Status merge_member(Json& object, const Json::Member& member, const Json& patch,
                      const TypeInfo* type, const std::string& path) {
    if (member.value.is_null()) {
      object.erase(member.name);
      return base::ok();
    }
    const Field* field = type ? type->find(member.name) : nullptr;
    const std::string here = below(path, member.name);
    if (member.value.is_object()) {
      // As upstream: deleted by directive, and nothing comes of a directive about what is absent.
      const Json& directive = member.value[kDirective];
      if (directive.as_string() == "delete" ||
          (!directive.is_null() && !object.contains(member.name))) {
        object.erase(member.name);
        return base::ok();
      }
      const bool is_struct = field && field->value == ValueType::Struct;
      return merge_struct(object.child(member.name), member.value,
                          is_struct ? field->type : nullptr, here);
    }
    const bool is_merged = member.value.is_array() && field && field->shape == Shape::List &&
                           field->patch_strategy == PatchStrategy::Merge;
    if (!is_merged) {
      object.set(member.name, member.value);
      return base::ok();
    }
    const Json* order = patch.find(std::string(kOrder) + member.name);
    return merge_list(object.child(member.name), member.value, order, *field, here);
  }

  Status merge_list(Json& list, const Json& patch, const Json* order, const Field& field,
                    const std::string& path) {
    const bool is_new = !list.is_array();
    if (is_new) list = Json::array();
    const Json::Array before = list.items();
    if (field.merge_key.empty()) {
      for (const Json& item : patch.items()) {
        const auto& items = list.items();
        if (std::find(items.begin(), items.end(), item) == items.end()) list.push_back(item);
      }
    } else {
      PELTON_TRY(merge_items(list, patch, field, path));
    }
    if (!is_new) apply_order(list, patch, before, field);
    if (order) apply_order(list, *order, before, field);
    return base::ok();
  }

  Status merge_items(Json& list, const Json& patch, const Field& field, const std::string& path) {
    const std::string_view key = field.merge_key;
    for (const Json& item : patch.items()) {
      if (item[kDirective].as_string() == "replace" && item[key].is_null()) {
        list = without_directives(patch);  // {"$patch": "replace"} stands for the whole list
        return base::ok();
      }
    }
    for (const Json& item : patch.items()) {
      if (!item.is_object() || item[key].is_null()) {
        return bad_request(fmt::format("map: {} does not contain declared merge key: {} ({})",
                                       item.dump(), key, path));
      }
      Json::Array& items = list.mutable_items();
      const auto is_it = [&](const Json& have) { return same_key(have, item, key); };
      const std::string& directive = item[kDirective].as_string();
      if (directive == "delete") {
        std::erase_if(items, is_it);
        continue;
      }
      auto found = std::find_if(items.begin(), items.end(), is_it);
      if (found == items.end()) {
        items.push_back(without_directives(item));
      } else {
        PELTON_TRY(merge_struct(*found, item, field.type, path));
      }
    }
    return base::ok();
  }

  void apply_order(Json& list, const Json& order, const Json::Array& before, const Field& field) {
    const std::string_view key = field.merge_key;
    const auto is_same = [&](const Json& a, const Json& b) {
      return key.empty() ? a == b : b.is_object() ? same_key(a, b, key) : a[key] == b;
    };
    Json::Array& items = list.mutable_items();
    items = put_in_order(std::move(items), order.items(), before, is_same);
  }

  // $setElementOrder/x where x itself is not in the patch, and $deleteFromPrimitiveList/x.
  Status list_directive(Json& object, const Json::Member& member, const Json& patch,
                        const TypeInfo* type, const std::string& path) {
    const std::string_view name = member.name;
    if (name == kDirective || name == kRetainKeys) return base::ok();
    const bool is_order = name.starts_with(kOrder);
    if (!is_order && !name.starts_with(kDelete)) {
      return bad_request(fmt::format("unknown directive \"{}\" in the patch", name));
    }
    if (!member.value.is_array()) {
      return bad_request(fmt::format("\"{}\" must be an array ({})", name, path));
    }
    const std::string_view target = name.substr((is_order ? kOrder : kDelete).size());
    Json* list = object.find_mutable(target);
    if (!list || !list->is_array()) return base::ok();
    if (!is_order) {
      const auto& gone = member.value.items();
      std::erase_if(list->mutable_items(), [&](const Json& item) {
        return std::find(gone.begin(), gone.end(), item) != gone.end();
      });
      return base::ok();
    }
    const Field* field = type ? type->find(target) : nullptr;
    if (field && !patch.contains(target)) {
      const Json::Array before = list->items();
      apply_order(*list, member.value, before, *field);
    }
    return base::ok();
  }

  Status retain_keys(Json& object, const Json& keep, const Json& patch, const std::string& path) {
    const auto& kept = keep.items();
    const auto is_kept = [&](std::string_view name) {
      return std::any_of(kept.begin(), kept.end(),
                         [&](const Json& k) { return k.as_string() == name; });
    };
    for (const Json::Member& member : patch.members()) {
      if (member.name.starts_with("$") || member.value.is_null() || is_kept(member.name)) continue;
      return bad_request(
          fmt::format("invalid patch format of retainKeys: {} is set but not in $retainKeys",
                      below(path, member.name)));
    }
    std::erase_if(object.mutable_members(),
                  [&](const Json::Member& m) { return !is_kept(m.name); });
    return base::ok();
  }
};

}  // namespace

Result<Json> strategic_merge_patch(const Json& object, const Json& patch, const TypeInfo& type) {
  if (!patch.is_object()) {
    return bad_request(
        fmt::format("a strategic merge patch is an object, not {}", patch.type_name()));
  }
  Json result = object;
  PELTON_TRY(Merger().merge_struct(result, patch, &type, ""));
  return result;
}

}  // namespace pelton::api
