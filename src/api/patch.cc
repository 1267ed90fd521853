// SPDX-License-Identifier: Apache-2.0
#include "api/patch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Result;
using base::Status;

constexpr size_t kOperationsMax = 10'000;
constexpr size_t kResultBytesMax = 64 * 1024 * 1024;

Status bad_request(std::string message) {
  return {base::Code::InvalidArgument, "BadRequest", std::move(message)};
}

Status unfit(std::string message) {
  return {base::Code::InvalidArgument, "Invalid", std::move(message)};
}

Status missing(std::string_view path) {
  return unfit(
      fmt::format("the server rejected our request due to an error in our request: path "
                  "\"{}\" does not exist",
                  path));
}

// An RFC 6901 pointer as its unescaped parts.
Result<std::vector<std::string>> parse_pointer(const Json& text) {
  std::vector<std::string> parts;
  if (!text.is_string()) return bad_request("JSON patch: \"path\" must be a string");
  const std::string& pointer = text.as_string();
  if (pointer.empty()) return parts;
  if (pointer[0] != '/') {
    return bad_request(fmt::format("JSON patch: path \"{}\" must begin with '/'", pointer));
  }
  for (std::string_view part : base::split(std::string_view(pointer).substr(1), '/')) {
    std::string name;
    for (size_t i = 0; i < part.size(); ++i) {
      if (part[i] == '~' && i + 1 < part.size() && (part[i + 1] == '0' || part[i + 1] == '1')) {
        name += part[++i] == '0' ? '~' : '/';
      } else {
        name += part[i];
      }
    }
    parts.push_back(std::move(name));
  }
  if (pointer == "/") parts.emplace_back();
  return parts;
}

// "3" within a list of `size` items; size_t(-1) otherwise.
size_t parse_index(const std::string& part, size_t size) {
  const bool is_canonical = !part.empty() && (part.size() == 1 || part[0] != '0') &&
                            part.find_first_not_of("0123456789") == std::string::npos;
  if (!is_canonical) return SIZE_MAX;
  auto index = base::parse_int(part);
  return index.ok() && static_cast<size_t>(*index) < size ? static_cast<size_t>(*index) : SIZE_MAX;
}

// The value under the first `count` parts, or nullptr.
Json* follow(Json& root, const std::vector<std::string>& parts, size_t count) {
  Json* at = &root;
  for (size_t i = 0; i < count && at; ++i) {
    if (at->is_object()) {
      at = at->find_mutable(parts[i]);
    } else if (at->is_array()) {
      const size_t index = parse_index(parts[i], at->size());
      at = index == SIZE_MAX ? nullptr : &at->mutable_items()[index];
    } else {
      at = nullptr;
    }
  }
  return at;
}

Status add_value(Json& root, const std::vector<std::string>& parts, Json value,
                 const std::string& path) {
  if (parts.empty()) {
    root = std::move(value);
    return base::ok();
  }
  Json* parent = follow(root, parts, parts.size() - 1);
  if (!parent) return missing(path);
  const std::string& last = parts.back();
  if (parent->is_object()) {
    parent->set(last, std::move(value));
    return base::ok();
  }
  if (!parent->is_array()) return missing(path);
  Json::Array& items = parent->mutable_items();
  const size_t index = last == "-" ? items.size() : parse_index(last, items.size() + 1);
  if (index == SIZE_MAX) return missing(path);
  items.insert(items.begin() + static_cast<ptrdiff_t>(index), std::move(value));
  return base::ok();
}

Status remove_value(Json& root, const std::vector<std::string>& parts, const std::string& path) {
  Json* parent = parts.empty() ? nullptr : follow(root, parts, parts.size() - 1);
  if (!parent) return missing(path);
  if (parent->is_object()) return parent->erase(parts.back()) ? base::ok() : missing(path);
  const size_t index = parse_index(parts.back(), parent->size());
  if (!parent->is_array() || index == SIZE_MAX) return missing(path);
  Json::Array& items = parent->mutable_items();
  items.erase(items.begin() + static_cast<ptrdiff_t>(index));
  return base::ok();
}

bool is_prefix(const std::vector<std::string>& prefix, const std::vector<std::string>& of) {
  return prefix.size() < of.size() && std::equal(prefix.begin(), prefix.end(), of.begin());
}

Status apply_operation(Json& root, const Json& operation) {
  const std::string& op = operation["op"].as_string();
  const std::string& path = operation["path"].as_string();
  PELTON_ASSIGN(const auto parts, parse_pointer(operation["path"]));
  const bool has_value = operation.contains("value");
  if (!has_value && (op == "add" || op == "replace" || op == "test")) {
    return bad_request(fmt::format("JSON patch: \"{}\" of \"{}\" has no \"value\"", op, path));
  }
  if (op == "add") return add_value(root, parts, operation["value"], path);
  if (op == "remove") return remove_value(root, parts, path);
  if (op == "replace") {
    Json* target = follow(root, parts, parts.size());
    if (!target) return missing(path);
    *target = operation["value"];
    return base::ok();
  }
  if (op == "test") {
    const Json* target = follow(root, parts, parts.size());
    const bool is_equal = target ? *target == operation["value"] : operation["value"].is_null();
    return is_equal ? base::ok() : unfit(fmt::format("testing value {} failed", path));
  }
  if (op == "move" || op == "copy") {
    PELTON_ASSIGN(const auto from, parse_pointer(operation["from"]));
    Json* source = follow(root, from, from.size());
    if (!source) return missing(operation["from"].as_string());
    Json value = *source;
    if (op == "move") {
      if (is_prefix(from, parts)) return unfit("a value cannot be moved into itself: " + path);
      if (!from.empty()) {
        PELTON_TRY(remove_value(root, from, operation["from"].as_string()));
      }
    }
    return add_value(root, parts, std::move(value), path);
  }
  return bad_request(fmt::format("JSON patch: unknown operation \"{}\"", op));
}

// A rough size of the tree, to stop patches that copy a value into itself over and over.
size_t weight(const Json& value) {
  size_t total = 16 + (value.is_string() ? value.as_string().size() : 0);
  for (const Json& item : value.items()) total += weight(item);
  for (const Json::Member& member : value.members()) {
    total += member.name.size() + weight(member.value);
  }
  return total;
}

}  // namespace

Json merge_patch(Json object, const Json& patch) {
  if (!patch.is_object()) return patch;
  if (!object.is_object()) object = Json::object();
  for (const Json::Member& member : patch.members()) {
    if (member.value.is_null()) {
      object.erase(member.name);
    } else if (member.value.is_object()) {
      Json& child = object.child(member.name);
      child = merge_patch(std::move(child), member.value);
    } else {
      object.set(member.name, member.value);
    }
  }
  return object;
}

Result<Json> json_patch(const Json& object, const Json& patch) {
  if (!patch.is_array()) {
    return bad_request(
        fmt::format("a JSON patch is an array of operations, not {}", patch.type_name()));
  }
  if (patch.size() > kOperationsMax) {
    return Status(base::Code::ResourceExhausted, "RequestEntityTooLarge",
                  fmt::format("The allowed maximum operations in a JSON patch is {}, got {}",
                              kOperationsMax, patch.size()));
  }
  Json result = object;
  size_t copied = 0;
  for (const Json& operation : patch.items()) {
    if (operation["op"].as_string() == "copy") {
      copied += weight(result);
      if (copied > kResultBytesMax) return bad_request("JSON patch: copies too much");
    }
    PELTON_TRY(apply_operation(result, operation));
  }
  return result;
}

Json make_merge_patch(const Json& before, const Json& after) {
  Json patch = Json::object();
  for (const Json::Member& member : before.members()) {
    if (!after.contains(member.name)) patch.set(member.name, Json());
  }
  for (const Json::Member& member : after.members()) {
    const Json* old = before.find(member.name);
    if (old && *old == member.value) continue;
    if (old && old->is_object() && member.value.is_object()) {
      patch.set(member.name, make_merge_patch(*old, member.value));
    } else {
      patch.set(member.name, member.value);
    }
  }
  return patch;
}

}  // namespace pelton::api
