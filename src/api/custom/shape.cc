// SPDX-License-Identifier: Apache-2.0
#include "api/custom/shape.h"

#include <algorithm>

#include "api/decode.h"

namespace pelton::api::custom {

using base::Json;
using base::Status;

namespace {
/// Where the walk is, as text that grows and shrinks with it.
class Trail {
 public:
  class Step {
   public:
    Step(std::string& text, std::string_view name) : text_(text), size_(text.size()) {
      if (!text.empty()) text.push_back('.');
      text.append(name);
    }
    Step(std::string& text, size_t index) : text_(text), size_(text.size()) {
      text.append("[").append(std::to_string(index)).append("]");
    }
    ~Step() { text_.resize(size_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    std::string& text_;
    size_t size_;
  };
  Step to(std::string_view name) { return {text_, name}; }
  Step to(size_t index) { return {text_, index}; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class Pruner {
 public:
  explicit Pruner(std::vector<std::string>& unknown) : unknown_(unknown) {}

  /// `schema` null: nothing is known there.
  void run(const Schema* schema, Json& value) {
    if (schema != nullptr && schema->keeps_unknown) return visit_known(*schema, value);
    if (value.is_array()) {
      size_t index = 0;
      for (Json& item : value.mutable_items()) {
        const auto step = trail_.to(index++);
        run(schema == nullptr ? nullptr : schema->items.get(), item);
      }
    } else if (value.is_object()) {
      std::erase_if(value.mutable_members(),
                    [&](Json::Member& member) { return is_unknown(schema, member); });
    }
  }

 private:
  bool is_unknown(const Schema* schema, Json::Member& member) {
    const auto step = trail_.to(member.name);
    if (schema != nullptr) {
      if (schema->is_resource && is_resource_member(member.name)) return false;
      const Schema* own = schema->property(member.name);
      if (own != nullptr || schema->allows_others) {
        run(own != nullptr ? own : schema->others.get(), member.value);
        return false;
      }
    }
    unknown_.push_back(trail_.text());
    return true;
  }

  /// Of what keeps unknown fields: only what the schema knows all the same is pruned.
  void visit_known(const Schema& schema, Json& value) {
    if (value.is_array() && schema.items) {
      size_t index = 0;
      for (Json& item : value.mutable_items()) {
        const auto step = trail_.to(index++);
        visit_known(*schema.items, item);
      }
    } else if (value.is_object()) {
      for (Json::Member& member : value.mutable_members()) {
        if (schema.is_resource && is_resource_member(member.name)) continue;
        const Schema* own = schema.property(member.name);
        if (own == nullptr && !schema.allows_others) continue;
        const auto step = trail_.to(member.name);
        run(own != nullptr ? own : schema.others.get(), member.value);
      }
    }
  }

  std::vector<std::string>& unknown_;
  Trail trail_;
};

class MetadataShaper {
 public:
  MetadataShaper(const ResourceInfo& resource, std::vector<std::string>& unknown)
      : resource_(resource), unknown_(unknown) {}

  Status run(const Schema& schema, Json& value) {
    if (value.is_array() && schema.items) {
      size_t index = 0;
      for (Json& item : value.mutable_items()) {
        const auto step = trail_.to(index++);
        PELTON_TRY(run(*schema.items, item));
      }
    } else if (value.is_object()) {
      for (Json::Member& member : value.mutable_members()) {
        const auto step = trail_.to(member.name);
        if (schema.is_resource && is_resource_member(member.name)) {
          PELTON_TRY(shape(member));
        } else if (const Schema* below = schema.member(member.name)) {
          PELTON_TRY(run(*below, member.value));
        }
      }
    }
    return base::ok();
  }

 private:
  Status shape(Json::Member& member) {
    if (member.name != "metadata") {
      if (member.value.is_string()) return base::ok();
      return {base::Code::InvalidArgument, "BadRequest", trail_.text() + ": must be a string"};
    }
    static const TypeInfo& type = *find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    if (member.value.is_null()) member.value = Json::object();
    for (const std::string& path : api::prune(type, member.value)) {
      unknown_.push_back(trail_.text() + "." + path);
    }
    return normalize_part(resource_, type, trail_.text(), member.value);
  }

  const ResourceInfo& resource_;
  std::vector<std::string>& unknown_;
  Trail trail_;
};

bool is_missing(const Json* value, const Schema& schema) {
  return value == nullptr || is_stray_null(*value, &schema);
}

void drop_stray_nulls(const Schema& schema, Json& object) {
  std::erase_if(object.mutable_members(), [&](const Json::Member& member) {
    const Schema* below = schema.member(member.name);
    return is_stray_null(member.value, below) && !below->default_value;
  });
}

void fill_list(const Schema& schema, Json& list) {
  if (!schema.items) return;
  for (Json& item : list.mutable_items()) {
    if (is_stray_null(item, schema.items.get()) && schema.items->default_value) {
      item = *schema.items->default_value;
    }
    fill_defaults(*schema.items, item);
  }
}
}  // namespace

Status shape_metadata(const ResourceInfo& resource, Json& object,
                      std::vector<std::string>& unknown) {
  return MetadataShaper(resource, unknown).run(*resource.type->schema, object);
}

void prune(const Schema& schema, Json& value, std::vector<std::string>& unknown) {
  Pruner(unknown).run(&schema, value);
}

void fill_defaults(const Schema& schema, Json& value) {
  if (value.is_array()) return fill_list(schema, value);
  if (!value.is_object()) return;
  drop_stray_nulls(schema, value);
  for (const Property& property : schema.properties) {
    if (!property.schema->default_value) continue;
    if (is_missing(value.find(property.name), *property.schema)) {
      value.set(property.name, *property.schema->default_value);
    }
  }
  for (Json::Member& member : value.mutable_members()) {
    const Schema* below = schema.member(member.name);
    if (below == nullptr) continue;
    if (is_stray_null(member.value, below)) member.value = *below->default_value;
    fill_defaults(*below, member.value);
  }
}

}  // namespace pelton::api::custom
