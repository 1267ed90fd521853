// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <charconv>

#include "net/http1.h"
#include "net/http1_syntax.h"

namespace pelton::net {
namespace {

/// Framing and the connection's life are decided by us.
bool is_ours(std::string_view name) {
  for (const std::string_view own :
       {"Connection", "Transfer-Encoding", "Content-Length", "Keep-Alive"}) {
    if (base::equals_ignore_case(name, own)) return true;
  }
  return false;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

Framing choose_framing(const ResponseHead& head, bool is_head_request, bool is_http_1_0) {
  if (head.status < 200 || head.status == 204 || head.status == 304) return {};
  const auto length = parse_length(head.headers.get("Content-Length"));
  if (length) return {BodyReader::Kind::Length, *length};
  if (is_head_request) return {};
  return {is_http_1_0 ? BodyReader::Kind::UntilClose : BodyReader::Kind::Chunked, 0};
}

}  // namespace

Framing write_response_head(std::string& out, const ResponseHead& head, bool is_head_request,
                            bool is_http_1_0, bool keep_alive) {
  const Framing framing = choose_framing(head, is_head_request, is_http_1_0);
  out.append("HTTP/1.1 ").append(std::to_string(head.status)).append(" ");
  out.append(reason_phrase(head.status)).append("\r\n");
  for (const auto& [name, value] : head.headers.fields()) {
    if (!is_ours(name) && is_token(name) && is_field_value(value)) append_field(out, name, value);
  }
  if (framing.kind == BodyReader::Kind::Length) {
    append_field(out, "Content-Length", std::to_string(framing.length));
  } else if (framing.kind == BodyReader::Kind::Chunked) {
    append_field(out, "Transfer-Encoding", "chunked");
  }
  if (head.status == 101) {
    append_field(out, "Connection", "Upgrade");
  } else if (!keep_alive || framing.kind == BodyReader::Kind::UntilClose) {
    append_field(out, "Connection", "close");
  } else if (is_http_1_0) {
    append_field(out, "Connection", "keep-alive");
  }
  out.append("\r\n");
  return is_head_request ? Framing() : framing;
}

void write_body(std::string& out, const Framing& framing, std::string_view bytes) {
  if (bytes.empty() || framing.kind == BodyReader::Kind::None) return;
  if (framing.kind != BodyReader::Kind::Chunked) {
    out.append(bytes);
    return;
  }
  std::array<char, 16> size;
  const auto end = std::to_chars(size.begin(), size.end(), bytes.size(), 16).ptr;
  out.append(size.begin(), end).append("\r\n").append(bytes).append("\r\n");
}

void write_body_end(std::string& out, const Framing& framing) {
  if (framing.kind == BodyReader::Kind::Chunked) out.append("0\r\n\r\n");
}

base::Status write_request(std::string& out, const Request& request, std::string_view host) {
  if (!is_token(request.method)) {
    return base::invalid_argument("\"" + request.method + "\" is not an HTTP method");
  }
  if (!is_target(request.target) || request.target.front() != '/') {
    return base::invalid_argument("\"" + request.target +
                                  "\" is not a path that can be requested: percent-encode it");
  }
  out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\n");
  if (!request.headers.contains("Host")) append_field(out, "Host", host);
  for (const auto& [name, value] : request.headers.fields()) {
    if (is_ours(name)) continue;
    if (!is_token(name) || !is_field_value(value)) {
      return base::invalid_argument("the header \"" + name + "\" cannot be sent");
    }
    append_field(out, name, value);
  }
  if (request.headers.contains("Upgrade")) append_field(out, "Connection", "Upgrade");
  const bool may_have_body =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (may_have_body || !request.body.empty()) {
    append_field(out, "Content-Length", std::to_string(request.body.size()));
  }
  out.append("\r\n").append(request.body);
  return base::ok();
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

}  // namespace pelton::net
