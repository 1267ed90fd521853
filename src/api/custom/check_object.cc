// SPDX-License-Identifier: Apache-2.0
#include "api/custom/check_object.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <cmath>
#include <set>

#include "base/strings.h"

namespace pelton::api::custom {

using base::Json;

namespace {
/// The field of findings that are about no single one, as upstream's library names it.
constexpr const char* kNoField = "<nil>";

std::string below(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

std::string below(const std::string& path, size_t index) {
  return fmt::format("{}[{}]", path, index);
}

std::string_view type_name_of(const Json& value) {
  switch (value.type()) {
    case Json::Type::Null:
      return "null";
    case Json::Type::Bool:
      return "boolean";
    case Json::Type::Int:
      return "integer";
    case Json::Type::Double:
      return "number";
    case Json::Type::String:
      return "string";
    case Json::Type::Array:
      return "array";
    case Json::Type::Object:
      return "object";
  }
  return "";
}

bool is_of(Type type, const Json& value) {
  switch (type) {
    case Type::Any:
      return true;
    case Type::Object:
      return value.is_object();
    case Type::Array:
      return value.is_array();
    case Type::String:
      return value.is_string();
    case Type::Integer:
      return value.is_int() ||
             (value.is_double() && value.as_double() == std::floor(value.as_double()));
    case Type::Number:
      return value.is_number();
    case Type::Boolean:
      return value.is_bool();
  }
  return false;
}

size_t count_characters(const std::string& text) {
  size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

/// Numbers are equal by value: 1 is 1.0.
bool is_same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.as_double() == b.as_double();
  return a == b;
}

class Checker {
 public:
  explicit Checker(Findings& findings) : findings_(findings) {}

  void run(const Schema& schema, const std::string& path, const Json& value, const Json* before) {
    if (before != nullptr && *before == value) return;
    const bool is_fit = check_type(schema, path, value);
    check_enum(schema, path, value);
    check_alternatives(schema, path, value);
    if (!is_fit || value.is_null()) return;
    if (value.is_string()) check_text(schema, path, value);
    if (value.is_number()) check_number(schema, path, value);
    if (value.is_array()) check_list(schema, path, value, before);
    if (value.is_object()) check_members(schema, path, value, before);
  }

 private:
  bool check_type(const Schema& schema, const std::string& path, const Json& value) {
    if (value.is_null() && schema.is_nullable) return true;
    std::string wanted(name_of(schema.type));
    bool is_fit = is_of(schema.type, value) && !(value.is_null() && schema.type != Type::Any);
    if (schema.is_int_or_string) {
      wanted = "integer,string";
      is_fit = value.is_string() || is_of(Type::Integer, value);
    }
    if (is_fit) return true;
    const std::string_view found = type_name_of(value);
    findings_.wrong_type(path, value.is_null() ? Json("null") : value,
                         fmt::format("{} in body must be of type {}: \"{}\"", path, wanted, found));
    return false;
  }

  void check_enum(const Schema& schema, const std::string& path, const Json& value) {
    if (schema.values.empty() || (value.is_null() && schema.is_nullable)) return;
    std::vector<std::string> texts;
    for (const Json& allowed : schema.values) {
      if (is_same(allowed, value)) return;
      texts.push_back(allowed.is_string() ? allowed.as_string() : allowed.dump());
    }
    findings_.not_supported(path, value, {texts.begin(), texts.end()});
  }

  void check_text(const Schema& schema, const std::string& path, const Json& value) {
    const std::string& text = value.as_string();
    const auto length = static_cast<int64_t>(count_characters(text));
    if (schema.max_length && length > *schema.max_length) {
      findings_.too_long(path, static_cast<size_t>(*schema.max_length));
    }
    if (schema.min_length && length < *schema.min_length) {
      bad(path, value, fmt::format("should be at least {} chars long", *schema.min_length));
    }
    if (schema.pattern && !re2::RE2::PartialMatch(text, *schema.pattern)) {
      bad(path, value, fmt::format("should match '{}'", schema.pattern_text));
    }
    const bool has_text_format = schema.type == Type::String || schema.type == Type::Any;
    if (has_text_format && !has_format(schema.format, text)) {
      bad(path, value, fmt::format("must be of type {}: {}", schema.format, value.dump()));
    }
  }

  void check_number(const Schema& schema, const std::string& path, const Json& value) {
    const double number = value.as_double();
    if (schema.multiple_of && *schema.multiple_of > 0) {
      const double times = number / *schema.multiple_of;
      if (times != std::floor(times)) {
        bad(path, value, fmt::format("should be a multiple of {}", *schema.multiple_of));
      }
    }
    if (schema.maximum &&
        (number > *schema.maximum || (schema.is_maximum_exclusive && number == *schema.maximum))) {
      bad(path, value,
          fmt::format("should be less than {}{}", schema.is_maximum_exclusive ? "" : "or equal to ",
                      *schema.maximum));
    }
    if (schema.minimum &&
        (number < *schema.minimum || (schema.is_minimum_exclusive && number == *schema.minimum))) {
      bad(path, value,
          fmt::format("should be greater than {}{}",
                      schema.is_minimum_exclusive ? "" : "or equal to ", *schema.minimum));
    }
    if (schema.format == "int32" && schema.type == Type::Integer &&
        (number < INT32_MIN || number > INT32_MAX)) {
      bad(path, value, "must be of type int32: the number does not fit");
    }
  }

  void check_list(const Schema& schema, const std::string& path, const Json& list,
                  const Json* before) {
    const auto count = static_cast<int64_t>(list.size());
    if (schema.min_items && count < *schema.min_items) {
      bad(path, Json(count), fmt::format("should have at least {} items", *schema.min_items));
    }
    if (schema.max_items && count > *schema.max_items) {
      findings_.too_many(path, list.size(), static_cast<size_t>(*schema.max_items));
    }
    if (schema.list != Schema::List::Atomic) check_unique(schema, path, list);
    if (!schema.items) return;
    for (size_t i = 0; i < list.size(); ++i) {
      run(*schema.items, below(path, i), list[i], counterpart(schema, list[i], before));
    }
  }

  /// The item of the list before that has the same keys, or nullptr.
  static const Json* counterpart(const Schema& schema, const Json& item, const Json* before) {
    if (before == nullptr || schema.list != Schema::List::Map) return nullptr;
    const Json keys = keys_of(schema, item);
    for (const Json& old : before->items()) {
      if (keys_of(schema, old) == keys) return &old;
    }
    return nullptr;
  }

  static Json keys_of(const Schema& schema, const Json& item) {
    Json keys = Json::object();
    for (std::string_view key : base::split(schema.list_keys, ',')) {
      if (const Json* value = item.find(key)) keys.set(key, *value);
    }
    return keys;
  }

  void check_unique(const Schema& schema, const std::string& path, const Json& list) {
    std::set<std::string> seen, told;
    for (size_t i = 0; i < list.size(); ++i) {
      const bool is_map = schema.list == Schema::List::Map;
      const Json key = is_map ? keys_of(schema, list[i]) : list[i];
      const std::string text = key.dump();
      if (!seen.insert(text).second && told.insert(text).second) {
        findings_.duplicate(below(path, i), key);
      }
    }
  }

  void check_members(const Schema& schema, const std::string& path, const Json& object,
                     const Json* before) {
    const auto count = static_cast<int64_t>(object.size());
    if (schema.min_members && count < *schema.min_members) {
      bad(path, Json(count),
          fmt::format("should have at least {} properties", *schema.min_members));
    }
    if (schema.max_members && count > *schema.max_members) {
      findings_.too_many(path, object.size(), static_cast<size_t>(*schema.max_members));
    }
    for (const std::string& name : schema.required) {
      if (!object.contains(name)) findings_.required(below(path, name));
    }
    for (const Json::Member& member : object.members()) {
      // Of the metadata's form the server itself takes care.
      if (schema.is_resource && member.name == "metadata") {
        check_restricted_metadata(schema, path, member.value);
      } else if (const Schema* own = schema.member(member.name)) {
        run(*own, below(path, member.name), member.value,
            before == nullptr ? nullptr : before->find(member.name));
      }
    }
  }

  /// A schema may say of names how they look.
  void check_restricted_metadata(const Schema& schema, const std::string& path,
                                 const Json& metadata) {
    const Schema* restricted = schema.property("metadata");
    if (restricted == nullptr) return;
    for (const Property& property : restricted->properties) {
      if (const Json* value = metadata.find(property.name)) {
        run(*property.schema, below(below(path, "metadata"), property.name), *value, nullptr);
      }
    }
  }

  static Findings try_schema(const Schema& schema, const std::string& path, const Json& value) {
    Findings findings;
    Checker(findings).run(schema, path, value, nullptr);
    return findings;
  }

  void check_alternatives(const Schema& schema, const std::string& path, const Json& value) {
    count_good(schema.any_of, path, value, false);
    count_good(schema.one_of, path, value, true);
    size_t good = 0;
    for (const auto& one : schema.all_of) {
      const Findings findings = try_schema(*one, path, value);
      good += findings.empty();
      findings_.add(findings);
    }
    if (good != schema.all_of.size()) {
      alternatives(path, std::string("must validate all the schemas (allOf)") +
                             (good == 0 ? ". None validated" : ""));
    }
    if (schema.not_of && try_schema(*schema.not_of, path, value).empty()) {
      alternatives(path, "must not validate the schema (not)");
    }
  }

  void count_good(const std::vector<std::unique_ptr<const Schema>>& schemas,
                  const std::string& path, const Json& value, bool is_exactly_one) {
    size_t good = 0;
    std::optional<Findings> nearest;
    for (const auto& schema : schemas) {
      Findings findings = try_schema(*schema, path, value);
      good += findings.empty();
      if (!nearest || findings.causes().size() < nearest->causes().size()) {
        nearest = std::move(findings);
      }
    }
    if (schemas.empty() || good == 1 || (good > 0 && !is_exactly_one)) return;
    if (is_exactly_one) {
      alternatives(path, "must validate one and only one schema (oneOf). Found " +
                             (good == 0 ? std::string("none valid")
                                        : fmt::format("{} valid alternatives", good)));
    } else {
      alternatives(path, "must validate at least one schema (anyOf)");
    }
    findings_.add(*nearest);
  }

  void alternatives(const std::string& path, const std::string& what) {
    findings_.invalid(kNoField, "", fmt::format("\"{}\" {}", path, what));
  }
  void bad(const std::string& path, const Json& value, const std::string& what) {
    findings_.invalid(path, value, path + " in body " + what);
  }

  Findings& findings_;
};
}  // namespace

void check_value(Findings& findings, const Schema& schema, const std::string& path,
                 const Json& value, const Json* before) {
  Checker(findings).run(schema, path, value, before);
}

}  // namespace pelton::api::custom
