// SPDX-License-Identifier: Apache-2.0
#include "api/decode.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/custom/shape.h"
#include "api/native.h"
#include "api/quantity.h"
#include "base/strings.h"
#include "base/time.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Status;

// Where a value stands. A chain on the stack, which becomes text only where something is wrong
// there: the walk goes through every value of every object that arrives.
class Place {
 public:
  Place(const char* name) : name_(name) {}
  Place(const Place& parent, std::string_view name) : parent_(&parent), name_(name) {}
  Place(const Place& parent, size_t index) : parent_(&parent), index_(index), is_item_(true) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::string text() const {
    const std::string before = parent_ ? parent_->text() : "";
    if (is_item_) return fmt::format("{}[{}]", before, index_);
    return before.empty() ? std::string(name_) : fmt::format("{}.{}", before, name_);
  }

 private:
  const Place* parent_ = nullptr;
  std::string_view name_;
  size_t index_ = 0;
  bool is_item_ = false;
};

void prune_struct(const TypeInfo& type, Json& object, const Place& path,
                  std::vector<std::string>& unknown);

void prune_field(const Field& field, Json& value, const Place& path,
                 std::vector<std::string>& unknown) {
  if (field.value != ValueType::Struct && field.value != ValueType::StructOrBool) return;
  if (field.shape == Shape::Single) {
    prune_struct(*field.type, value, path, unknown);
  } else if (field.shape == Shape::List && value.is_array()) {
    size_t index = 0;
    for (Json& item : value.mutable_items()) {
      prune_struct(*field.type, item, Place(path, index++), unknown);
    }
  } else if (field.shape == Shape::Map && value.is_object()) {
    for (Json::Member& member : value.mutable_members()) {
      prune_struct(*field.type, member.value, Place(path, member.name), unknown);
    }
  }
}

void prune_struct(const TypeInfo& type, Json& object, const Place& path,
                  std::vector<std::string>& unknown) {
  if (!object.is_object()) return;
  Json::Object& members = object.mutable_members();
  std::erase_if(members, [&](Json::Member& member) {
    const Field* field = type.find(member.name);
    const Place field_path(path, member.name);
    if (!field) {
      unknown.push_back(field_path.text());
      return true;
    }
    prune_field(*field, member.value, field_path, unknown);
    return false;
  });
}

// Walks an object along its table and makes every value what its type says.
class Normalizer {
 public:
  explicit Normalizer(const ResourceInfo& resource) : resource_(resource) {}

  Status run_struct(const TypeInfo& type, Json& object, const Place& path) {
    if (!object.is_object()) return mismatch(path, "object", object);
    std::erase_if(object.mutable_members(),
                  [](const Json::Member& m) { return m.value.is_null(); });
    for (Json::Member& member : object.mutable_members()) {
      if (const Field* field = type.find(member.name)) {
        PELTON_TRY(run_field(*field, member.value, Place(path, member.name)));
      }
    }
    return base::ok();
  }

 private:
  Status run_field(const Field& field, Json& value, const Place& path) {
    if (field.shape == Shape::List) {
      if (!value.is_array()) return mismatch(path, "array", value);
      size_t index = 0;
      for (Json& item : value.mutable_items()) {
        PELTON_TRY(run_value(field, item, Place(path, index++)));
      }
      return base::ok();
    }
    if (field.shape == Shape::Map) {
      if (!value.is_object()) return mismatch(path, "object", value);
      for (Json::Member& member : value.mutable_members()) {
        PELTON_TRY(run_value(field, member.value, Place(path, member.name)));
      }
      return base::ok();
    }
    return run_value(field, value, path);
  }

  // One value of a field, an item of its list, or a value of its map. A null item or map value
  // counts as the type's zero, as upstream.
  Status run_value(const Field& field, Json& value, const Place& path) {
    switch (field.value) {
      case ValueType::Struct:
        if (value.is_null()) value = Json::object();
        return run_struct(*field.type, value, path);
      case ValueType::StructOrBool:
        return value.is_bool() ? base::ok() : run_struct(*field.type, value, path);
      case ValueType::String:
        if (value.is_null()) value = Json("");
        return value.is_string() ? base::ok() : mismatch(path, "string", value);
      case ValueType::Bool:
        return value.is_bool() ? base::ok() : mismatch(path, "boolean", value);
      case ValueType::Int32:
      case ValueType::Int64:
        if (!value.is_int()) return mismatch(path, "integer", value);
        if (field.value == ValueType::Int32 &&
            value.as_int() != static_cast<int32_t>(value.as_int())) {
          return bad(path, fmt::format("{} does not fit an int32", value.as_int()));
        }
        return base::ok();
      case ValueType::Double:
        return value.is_number() ? base::ok() : mismatch(path, "number", value);
      case ValueType::Bytes:
        return run_bytes(value, path);
      case ValueType::Quantity:
        return run_quantity(value, path);
      case ValueType::IntOrString:
        return value.is_int() || value.is_string() ? base::ok()
                                                   : mismatch(path, "integer or string", value);
      case ValueType::Time:
      case ValueType::MicroTime:
        return run_time(field.value == ValueType::MicroTime, value, path);
      case ValueType::Any:
        return base::ok();
    }
    return base::ok();
  }

  Status run_bytes(Json& value, const Place& path) {
    if (value.is_null()) value = Json("");
    if (!value.is_string()) return mismatch(path, "string", value);
    auto bytes = base::base64_decode(value.as_string());
    if (!bytes.ok()) return bad(path, "illegal base64 data: " + bytes.error().message());
    value = Json(base::base64_encode(*bytes));
    return base::ok();
  }

  Status run_quantity(Json& value, const Place& path) {
    if (value.is_null()) value = Json("0");
    if (!value.is_string() && !value.is_number()) return mismatch(path, "string or number", value);
    auto quantity = Quantity::parse(value);
    if (!quantity.ok()) return bad(path, quantity.error().message());
    value = Json(quantity->to_string());
    return base::ok();
  }

  Status run_time(bool is_micro, Json& value, const Place& path) {
    if (!value.is_string()) return mismatch(path, "string", value);
    auto time = base::parse_time(value.as_string());
    if (!time.ok()) return bad(path, time.error().message());
    value = Json(is_micro ? base::format_micro_time(*time) : base::format_time(*time));
    return base::ok();
  }

  Status mismatch(const Place& path, std::string_view wanted, const Json& found) {
    return bad(path, fmt::format("expected {}, got {}", wanted, found.type_name()));
  }

  Status bad(const Place& place, const std::string& detail) {
    const std::string path = place.text();
    Status status(
        base::Code::InvalidArgument, "BadRequest",
        fmt::format("{} in version \"{}\" cannot be handled as a {}: {}: {}", resource_.kind,
                    resource_.version, resource_.kind, path.empty() ? "body" : path, detail));
    status.add_cause({"FieldValueInvalid", path, detail});
    return status;
  }

  const ResourceInfo& resource_;
};

bool is_empty_part(const TypeInfo& type, const Field& field, const Json& value) {
  if (!value.empty() || field.is_required || field.shape == Shape::Single) return false;
  // The only optional list that upstream always writes; and no owners is other than no list.
  if (type.name == "io.k8s.api.discovery.v1.EndpointSlice") return false;
  return field.name != "managedFields";
}

void drop_empty_in(const TypeInfo& type, Json& object) {
  std::erase_if(object.mutable_members(), [&](Json::Member& member) {
    const Field* field = type.find(member.name);
    if (field == nullptr) return false;
    if (is_empty_part(type, *field, member.value)) return true;
    if (field->value != ValueType::Struct && field->value != ValueType::StructOrBool) return false;
    if (field->shape == Shape::Single) {
      drop_empty_in(*field->type, member.value);
    } else if (field->shape == Shape::List) {
      for (Json& item : member.value.mutable_items()) drop_empty_in(*field->type, item);
    } else {
      for (Json::Member& entry : member.value.mutable_members()) {
        drop_empty_in(*field->type, entry.value);
      }
    }
    return false;
  });
}

}  // namespace

void drop_empty(const ResourceInfo& resource, Json& object) {
  if (is_native(resource)) drop_empty_in(*resource.type, object);
}

std::vector<std::string> prune(const TypeInfo& type, Json& object) {
  std::vector<std::string> unknown;
  prune_struct(type, object, "", unknown);
  return unknown;
}

Status normalize(const ResourceInfo& resource, Json& object) {
  return Normalizer(resource).run_struct(*resource.type, object, "");
}

Status normalize_part(const ResourceInfo& resource, const TypeInfo& type, const std::string& path,
                      Json& part) {
  return Normalizer(resource).run_struct(type, part, path.c_str());
}

Status decode(const ResourceInfo& resource, Json& object,
              std::vector<std::string>& unknown_fields) {
  const auto bad_request = [](std::string message) {
    return Status(base::Code::InvalidArgument, "BadRequest", std::move(message));
  };
  if (!object.is_object()) {
    return bad_request(fmt::format("the body must be a JSON object ({}), not {}", resource.kind,
                                   object.type_name()));
  }
  const std::string wanted_version = resource.api_version();
  for (const auto& [name, wanted] :
       {std::pair<std::string_view, std::string_view>{"apiVersion", wanted_version},
        {"kind", resource.kind}}) {
    const Json& found = object[name];
    if (found.is_null() || (found.is_string() && found.as_string().empty())) {
      object.set(name, wanted);
    } else if (found.as_string() != wanted) {
      return bad_request(fmt::format("the {} in the data ({}) does not match the expected {} ({})",
                                     name == "kind" ? "kind" : "API version",
                                     found.is_string() ? found.as_string() : found.dump(),
                                     name == "kind" ? "kind" : "API version", wanted));
    }
  }
  if (resource.custom != nullptr) {
    PELTON_TRY(custom::shape_metadata(resource, object, unknown_fields));
    custom::prune(*resource.type->schema, object, unknown_fields);
    return base::ok();
  }
  std::vector<std::string> unknown = prune(*resource.type, object);
  unknown_fields.insert(unknown_fields.end(), unknown.begin(), unknown.end());
  return normalize(resource, object);
}

Status strict_error(const ResourceInfo& resource, const std::vector<std::string>& problems) {
  return {base::Code::InvalidArgument, "BadRequest",
          fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", resource.kind,
                      resource.version, resource.kind, strict_message(problems))};
}

std::string strict_message(const std::vector<std::string>& problems) {
  return "strict decoding error: " + base::join(problems, ", ");
}

}  // namespace pelton::api
