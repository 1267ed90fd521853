// SPDX-License-Identifier: Apache-2.0
// A JSON value. Objects of the API, patches, configuration: everything dynamic is one of these.
//
// Object members are kept sorted by name, so that two equal values have one encoding; Kubernetes
// gives no meaning to their order. Integers and fractions are distinct, as in Kubernetes: 1 is an
// Int and prints as 1; 1.0 is a Double. A value is a plain value: copying copies the tree.
// Not thread-safe; distinct values may be used on distinct threads.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace pelton::base {

class Json {
 public:
  using Array = std::vector<Json>;
  struct Member;
  using Object = std::vector<Member>;  ///< sorted by name, names unique
  enum class Type : uint8_t { Null, Bool, Int, Double, String, Array, Object };

  // Defined below, where Member is complete: clang insists.
  Json();  ///< null
  Json(std::nullptr_t);
  Json(bool value);
  Json(int value);
  Json(int64_t value);
  Json(double value);
  Json(const char* value);
  Json(std::string value);
  Json(std::string_view value);
  Json(Array value);
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();
  /// Json::object({{"kind", "Pod"}, …}); a later member of the same name wins.
  static Json object(std::initializer_list<std::pair<std::string_view, Json>> members = {});
  static Json array(std::initializer_list<Json> items = {});

  Type type() const { return static_cast<Type>(value_.index()); }
  const char* type_name()
      const;  ///< "null", "bool", "integer", "number", "string", "array", "object"
  bool is_null() const { return type() == Type::Null; }
  bool is_bool() const { return type() == Type::Bool; }
  bool is_int() const { return type() == Type::Int; }
  bool is_double() const { return type() == Type::Double; }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return type() == Type::String; }
  bool is_array() const { return type() == Type::Array; }
  bool is_object() const { return type() == Type::Object; }

  // Lenient reads: the fallback where the type is another (validation has spoken before).
  bool as_bool(bool fallback = false) const;
  int64_t as_int(int64_t fallback = 0) const;   ///< a Double without fraction counts
  double as_double(double fallback = 0) const;  ///< an Int counts
  const std::string& as_string() const;         ///< "" where it is no string
  const Array& items() const;                   ///< empty where it is no array
  const Object& members() const;                ///< empty where it is no object
  size_t size() const;                          ///< of an array or object; else 0
  bool empty() const { return size() == 0; }

  /// The member or item, or the shared null value where there is none: j["a"]["b"] never fails.
  const Json& operator[](std::string_view name) const;
  const Json& operator[](const char* name) const { return (*this)[std::string_view(name)]; }
  const Json& operator[](size_t index) const;
  const Json& operator[](int index) const { return (*this)[static_cast<size_t>(index)]; }
  /// Follows "spec.template.spec"; null where the path ends early. Names with dots: use [].
  const Json& at(std::string_view dotted_path) const;
  const Json* find(std::string_view name) const;  ///< nullptr where absent
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  // Writes. Null becomes an object or array first. References end when a sibling is added.
  Json& set(std::string_view name, Json value);  ///< returns the stored member
  Json& child(std::string_view name);            ///< the member, made (null) where absent
  Json& make(std::string_view dotted_path);      ///< child() along a path
  bool erase(std::string_view name);             ///< whether it was there
  Json& push_back(Json value);
  Array& mutable_items();
  Object& mutable_members();  ///< the caller keeps order and uniqueness
  Json* find_mutable(std::string_view name);

  bool operator==(const Json& other) const;

  /// Compact; indent > 0: that many spaces per level. Strings as UTF-8, control characters escaped.
  std::string dump(int indent = 0) const;
  void dump_to(std::string& out) const;

  /// Reads one JSON text. InvalidArgument with the byte offset or cause: bad syntax, bad UTF-8,
  /// deeper than 512, trailing bytes. A repeated member: the last wins.
  static Result<Json> parse(std::string_view text);

 private:
  void dump_indented(std::string& out, int indent, int level) const;
  struct Empty;
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

struct Json::Member {
  std::string name;
  Json value;
  bool operator==(const Member&) const = default;
};

inline Json::Json() = default;
inline Json::Json(std::nullptr_t) {}
inline Json::Json(bool value) : value_(value) {}
inline Json::Json(int value) : value_(static_cast<int64_t>(value)) {}
inline Json::Json(int64_t value) : value_(value) {}
inline Json::Json(double value) : value_(value) {}
inline Json::Json(const char* value) : value_(std::string(value)) {}
inline Json::Json(std::string value) : value_(std::move(value)) {}
inline Json::Json(std::string_view value) : value_(std::string(value)) {}
inline Json::Json(Array value) : value_(std::move(value)) {}
inline Json::Json(const Json& other) = default;
inline Json::Json(Json&& other) noexcept = default;
inline Json& Json::operator=(const Json& other) = default;
inline Json& Json::operator=(Json&& other) noexcept = default;
inline Json::~Json() = default;
inline Json Json::array(std::initializer_list<Json> items) {
  return Json(Array(items));
}

/// Appends `text` as a JSON string with quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace pelton::base
