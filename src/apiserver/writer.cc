// SPDX-License-Identifier: Apache-2.0
#include "apiserver/write.h"

namespace pelton::apiserver {

namespace {
/// The longest beginning of whole characters that fits a manager's name, without what cannot be
/// printed.
std::string manager_from(std::string_view user_agent) {
  std::string out;
  for (char c : user_agent.substr(0, user_agent.find('/'))) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) continue;
    out.push_back(c);
  }
  if (out.size() <= api::fields::kManagerBytesMax) return out;
  size_t end = api::fields::kManagerBytesMax;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0U) == 0x80U) --end;
  out.resize(end);
  return out;
}
}  // namespace

api::fields::Writer writer_of(const Call& call, base::Instant now) {
  api::fields::Writer writer;
  writer.manager = call.query.get("fieldManager");
  if (writer.manager.empty()) writer.manager = manager_from(call.request.headers.get("User-Agent"));
  writer.subresource = call.path.subresource;
  writer.now = now;
  return writer;
}

}  // namespace pelton::apiserver
