// SPDX-License-Identifier: Apache-2.0
#include "apiserver/encoding.h"

namespace pelton::apiserver {

using base::Json;

namespace {
constexpr std::string_view kVersion = "resourceVersion";
/// Most objects are smaller.
constexpr size_t kUsualBytes = 4096;

void append_name(std::string& out, std::string_view name) {
  if (out.back() != '{') out.push_back(',');
  base::append_json_string(out, name);
  out.push_back(':');
}

size_t append_version(std::string& out) {
  append_name(out, kVersion);
  out.append("\"\"");
  return out.size() - 1;
}

/// Appends metadata with its members in order; returns where the revision goes.
size_t append_metadata(std::string& out, const Json& metadata) {
  size_t splice_at = 0;
  out.push_back('{');
  for (const Json::Member& member : metadata.members()) {
    if (member.name == kVersion) continue;
    if (splice_at == 0 && member.name > kVersion) splice_at = append_version(out);
    append_name(out, member.name);
    member.value.dump_to(out);
  }
  if (splice_at == 0) splice_at = append_version(out);
  out.push_back('}');
  return splice_at;
}
}  // namespace

EncodedObject encode_object(const Json& object) {
  PELTON_CHECK(object.is_object() && object["metadata"].is_object());
  EncodedObject out;
  out.bytes.reserve(kUsualBytes);
  out.bytes.push_back('{');
  for (const Json::Member& member : object.members()) {
    append_name(out.bytes, member.name);
    if (member.name == "metadata") {
      out.splice_at = append_metadata(out.bytes, member.value);
    } else {
      member.value.dump_to(out.bytes);
    }
  }
  out.bytes.push_back('}');
  return out;
}

}  // namespace pelton::apiserver
