// SPDX-License-Identifier: Apache-2.0
#include "api/protobuf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "api/registry.h"
#include "api/schema.h"
#include "base/strings.h"
#include "base/time.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Result;
using base::Status;

constexpr int kDepthMax = 64;
constexpr std::string_view kMagic("k8s\0", 4);

enum class WireType : uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

/// One value as it lies on the wire.
struct WireValue {
  uint32_t number = 0;
  WireType type = WireType::Varint;
  uint64_t integer = 0;    ///< Varint, Fixed64, Fixed32
  std::string_view bytes;  ///< Bytes
};

Status malformed(std::string_view what) {
  return base::invalid_argument(fmt::format("not a protobuf message: {}", what));
}

/// Takes one value after the other from a message.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}
  bool at_end() const { return rest_.empty(); }

  Result<WireValue> next() {
    PELTON_ASSIGN(const uint64_t tag, varint());
    WireValue value;
    value.number = static_cast<uint32_t>(tag >> 3);
    value.type = static_cast<WireType>(tag & 7);
    if (value.number == 0 || tag >> 3 > 0x1fffffff) return malformed("bad field number");
    switch (value.type) {
      case WireType::Varint: {
        PELTON_ASSIGN(value.integer, varint());
        return value;
      }
      case WireType::Fixed64:
        return fixed(value, 8);
      case WireType::Fixed32:
        return fixed(value, 4);
      case WireType::Bytes: {
        PELTON_ASSIGN(const uint64_t size, varint());
        if (size > rest_.size()) return malformed("a field is longer than the message");
        value.bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return value;
      }
    }
    return malformed("unknown wire type");
  }

  Result<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return malformed("it ends within a number");
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return malformed("a number is too long");
  }

 private:
  Result<WireValue> fixed(WireValue value, size_t size) {
    if (rest_.size() < size) return malformed("it ends within a number");
    for (size_t i = 0; i < size; ++i) {
      value.integer |= static_cast<uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    }
    rest_.remove_prefix(size);
    return value;
  }

  std::string_view rest_;
};

const WireMessage* find_message(std::string_view type_name) {
  const auto all = wire_messages();
  const auto it = std::lower_bound(
      all.begin(), all.end(), type_name,
      [](const WireMessage& m, std::string_view name) { return m.type_name < name; });
  return it != all.end() && it->type_name == type_name ? &*it : nullptr;
}

bool is_utf8(std::string_view text) {
  // The JSON parser checks it; a quoted copy of the text is JSON exactly when it is UTF-8.
  std::string quoted;
  base::append_json_string(quoted, text);
  return Json::parse(quoted).ok();
}

/// The fields of a small message that is a value in JSON (Time, Quantity, IntOrString), by number.
Result<std::vector<WireValue>> small_message(const WireValue& value) {
  if (value.type != WireType::Bytes) return malformed("a message was expected");
  std::vector<WireValue> fields(4);
  WireReader reader(value.bytes);
  while (!reader.at_end()) {
    PELTON_ASSIGN(const WireValue field, reader.next());
    if (field.number < fields.size()) fields[field.number] = field;
  }
  return fields;
}

Result<Json> read_text(const WireValue& value) {
  if (value.type != WireType::Bytes) return malformed("a text was expected");
  if (!is_utf8(value.bytes)) return malformed("a text is not UTF-8");
  return Json(value.bytes);
}

Result<Json> read_time(const WireValue& value, bool is_micro) {
  PELTON_ASSIGN(const auto fields, small_message(value));
  const auto seconds = static_cast<int64_t>(fields[1].integer);
  const auto nanos = static_cast<int64_t>(fields[2].integer);
  constexpr int64_t kSecondsMax = 9'000'000'000;  // nanoseconds since 1970 must fit
  if (seconds < -kSecondsMax || seconds > kSecondsMax || nanos < 0 || nanos > 999'999'999) {
    return malformed("a time is out of range");
  }
  if (fields[1].number == 0 && fields[2].number == 0) return Json();  // Go's zero time: not set
  const auto t = base::Instant::from_unix_ns(seconds * 1'000'000'000 + nanos);
  return Json(is_micro ? base::format_micro_time(t) : base::format_time(t));
}

Result<Json> read_int_or_string(const WireValue& value) {
  PELTON_ASSIGN(const auto fields, small_message(value));
  if (fields[1].integer == 0) {
    return Json(static_cast<int64_t>(static_cast<int32_t>(fields[2].integer)));
  }
  if (fields[3].number == 0) return Json("");
  return read_text(fields[3]);
}

Status read_message(const WireMessage& message, const TypeInfo& type, std::string_view bytes,
                    int depth, Json& out);

/// One value of the field's type, whatever the field's shape.
Result<Json> read_value(const Field& field, const WireValue& value, int depth) {
  switch (field.value) {
    case ValueType::String:
      return read_text(value);
    case ValueType::Bool:
      return Json(value.integer != 0);
    case ValueType::Int32:
      return Json(static_cast<int64_t>(static_cast<int32_t>(value.integer)));
    case ValueType::Int64:
      return Json(static_cast<int64_t>(value.integer));
    case ValueType::Double:
      return Json(std::bit_cast<double>(value.integer));
    case ValueType::Bytes:
      return Json(base::base64_encode(value.bytes));
    case ValueType::Quantity: {
      PELTON_ASSIGN(const auto fields, small_message(value));
      if (fields[1].number == 0) return Json("0");
      return read_text(fields[1]);
    }
    case ValueType::IntOrString:
      return read_int_or_string(value);
    case ValueType::Time:
      return read_time(value, false);
    case ValueType::MicroTime:
      return read_time(value, true);
    case ValueType::Any:
    case ValueType::StructOrBool:
      return Json();  // managedFields and the like: ours to keep
    case ValueType::Struct:
      break;
  }
  const WireMessage* message = find_message(field.type->name);
  if (!message) return malformed(fmt::format("{} has no protobuf form", field.type->name));
  if (value.type != WireType::Bytes) return malformed("a message was expected");
  Json object = Json::object();
  PELTON_TRY(read_message(*message, *field.type, value.bytes, depth + 1, object));
  return object;
}

Status read_map_entry(const Field& field, const WireValue& value, int depth, Json& out) {
  if (value.type != WireType::Bytes) return malformed("a map entry was expected");
  std::string key;
  Json item = field.value == ValueType::Struct ? Json::object() : Json("");
  WireReader reader(value.bytes);
  while (!reader.at_end()) {
    PELTON_ASSIGN(const WireValue part, reader.next());
    if (part.number == 1) {
      PELTON_ASSIGN(const Json text, read_text(part));
      key = text.as_string();
    } else if (part.number == 2) {
      PELTON_ASSIGN(item, read_value(field, part, depth));
    }
  }
  out.child(field.name).set(key, std::move(item));
  return base::ok();
}

/// Numbers of a list may come one by one or packed into one field.
Status read_list_item(const Field& field, const WireValue& value, int depth, Json& out) {
  Json& list = out.child(field.name);
  const bool is_number = field.value == ValueType::Int32 || field.value == ValueType::Int64 ||
                         field.value == ValueType::Bool;
  if (is_number && value.type == WireType::Bytes) {
    WireReader packed(value.bytes);
    while (!packed.at_end()) {
      WireValue item;
      PELTON_ASSIGN(item.integer, packed.varint());
      PELTON_ASSIGN(Json number, read_value(field, item, depth));
      list.push_back(std::move(number));
    }
    return base::ok();
  }
  PELTON_ASSIGN(Json item, read_value(field, value, depth));
  list.push_back(std::move(item));
  return base::ok();
}

bool is_zero(const Json& value) {
  return value.is_null() || value == Json(false) || value == Json(0) || value == Json("");
}

Status read_field(const WireField& wire, const TypeInfo& type, const WireValue& value, int depth,
                  Json& out) {
  if (wire.inlined >= 0) {
    if (value.type != WireType::Bytes) return malformed("a message was expected");
    return read_message(wire_messages()[static_cast<size_t>(wire.inlined)], type, value.bytes,
                        depth + 1, out);
  }
  const Field* field = type.find(wire.json_name);
  if (!field) return base::ok();  // of Go's type, but not served
  if (field->shape == Shape::Map) return read_map_entry(*field, value, depth, out);
  if (field->shape == Shape::List) return read_list_item(*field, value, depth, out);
  PELTON_ASSIGN(Json json, read_value(*field, value, depth));
  if (json.is_null() || (wire.omits_zero && is_zero(json))) return base::ok();
  out.set(wire.json_name, std::move(json));
  return base::ok();
}

/// Fields without a row in the table are newer than it: skipped, as protobuf has it.
Status read_message(const WireMessage& message, const TypeInfo& type, std::string_view bytes,
                    int depth, Json& out) {
  if (depth > kDepthMax) return malformed("nested too deep");
  WireReader reader(bytes);
  while (!reader.at_end()) {
    PELTON_ASSIGN(const WireValue value, reader.next());
    const auto it =
        std::lower_bound(message.fields.begin(), message.fields.end(), value.number,
                         [](const WireField& f, uint32_t number) { return f.number < number; });
    if (it == message.fields.end() || it->number != value.number) continue;
    PELTON_TRY(read_field(*it, type, value, depth, out));
  }
  return base::ok();
}

/// The types of objects that are sent and are no resource.
const TypeInfo* find_object_type(const std::string& api_version, const std::string& kind) {
  if (const ResourceInfo* resource = Registry::builtin().find_kind(api_version, kind)) {
    return resource->type;
  }
  if (kind == "DeleteOptions")
    return find_type("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
  if (kind == "Binding") return find_type("io.k8s.api.core.v1.Binding");
  return nullptr;
}

}  // namespace

Result<Json> parse_protobuf(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return malformed("the envelope's magic bytes are missing");
  std::string api_version, kind;
  std::string_view raw;
  WireReader envelope(bytes.substr(kMagic.size()));
  while (!envelope.at_end()) {
    PELTON_ASSIGN(const WireValue value, envelope.next());
    if (value.number == 2) raw = value.bytes;
    if (value.number != 1) continue;
    PELTON_ASSIGN(const auto type_meta, small_message(value));
    api_version = type_meta[1].bytes;
    kind = type_meta[2].bytes;
  }
  const TypeInfo* type = find_object_type(api_version, kind);
  const WireMessage* message = type ? find_message(type->name) : nullptr;
  if (!message) {
    return malformed(fmt::format("no kind \"{}\" in version \"{}\"", kind, api_version));
  }
  Json object = Json::object({{"apiVersion", api_version}, {"kind", kind}});
  PELTON_TRY(read_message(*message, *type, raw, 0, object));
  return object;
}

}  // namespace pelton::api
