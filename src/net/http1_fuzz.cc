// SPDX-License-Identifier: Apache-2.0
// Requests and answers from arbitrary bytes: no crash, limits held, and what is cut anywhere is
// understood as when it comes in one piece (else two readers could disagree: smuggling).
#include <cstdint>
#include <vector>

#include "net/http1.h"

namespace pelton::net {
namespace {

constexpr Limits kLimits{.max_head_bytes = 2048, .max_body_bytes = 4096};

std::string describe(const Request& request) {
  std::string out = request.method + '\0' + request.target + '\0' + request.body + '\0';
  for (const auto& [name, value] : request.headers.fields()) out += name + '\0' + value + '\0';
  return out;
}

std::vector<std::string> read_requests(std::string_view bytes, size_t step) {
  RequestReader reader(kLimits);
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size() && !reader.error(); at += step) {
    reader.feed(bytes.substr(at, step));
    while (auto request = reader.next()) {
      PELTON_CHECK(request->body.size() <= kLimits.max_body_bytes);
      out.push_back(describe(*request));
    }
  }
  if (reader.error()) out.push_back("error " + std::to_string(reader.error()->status));
  return out;
}

std::string read_answers(std::string_view bytes, size_t step, std::string_view method) {
  ResponseReader reader(kLimits);
  reader.expect(method);
  std::string out;
  for (size_t at = 0; at < bytes.size() && !reader.error(); at += step) {
    reader.feed(bytes.substr(at, step));
    for (;;) {
      const auto event = reader.next();
      if (const auto* head = std::get_if<ResponseHead>(&event)) out += std::to_string(head->status);
      if (const auto* data = std::get_if<ResponseReader::Data>(&event)) out += data->bytes;
      if (std::holds_alternative<ResponseReader::End>(event)) reader.expect(method);
      if (std::holds_alternative<std::monostate>(event)) break;
    }
  }
  reader.finish();
  return out;
}

}  // namespace
}  // namespace pelton::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace std::literals;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = pelton::net::read_requests(bytes, size + 1);
  for (const size_t step : {size_t{1}, size_t{7}}) {
    PELTON_CHECK(pelton::net::read_requests(bytes, step) == whole);
  }
  for (const auto method : {"GET"sv, "HEAD"sv}) {
    PELTON_CHECK(pelton::net::read_answers(bytes, size + 1, method) ==
                 pelton::net::read_answers(bytes, 3, method));
  }
  return 0;
}
