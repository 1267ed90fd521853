// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "net/http1.h"
#include "net/http1_syntax.h"

namespace pelton::net {

bool RequestReader::fail(int status, std::string message) {
  error_ = Http1Error{status, std::move(message)};
  return false;
}

std::optional<Request> RequestReader::next() {
  if (error_) return std::nullopt;
  if (!is_in_body_ && !read_head()) return std::nullopt;
  if (!read_body()) return std::nullopt;
  is_in_body_ = false;
  wants_continue_ = false;
  return std::exchange(request_, Request());
}

std::string RequestReader::take_rest() {
  std::string rest = buffer_.substr(position_);
  buffer_.clear();
  position_ = searched_ = 0;
  return rest;
}

bool RequestReader::read_head() {
  // An empty line before a request is allowed (RFC 9112, 2.2); one is enough.
  if (position_ == 0 && buffer_.starts_with("\r\n")) position_ = 2;
  const size_t end = find_head_end(buffer_, position_, searched_);
  const size_t size = (end == std::string::npos ? buffer_.size() : end) - position_;
  if (size > limits_.max_head_bytes) {
    return fail(431, "the request's head is over " + std::to_string(limits_.max_head_bytes) +
                         " bytes: send fewer or shorter headers");
  }
  if (end == std::string::npos) return false;
  if (!parse_head(std::string_view(buffer_).substr(position_, size))) return false;
  position_ = end;
  searched_ = 0;
  is_in_body_ = true;
  return true;
}

bool RequestReader::parse_head(std::string_view head) {
  request_ = Request();
  const auto line = take_line(head);
  if (!line) return fail(400, "a line does not end with CR LF");
  if (!parse_request_line(*line)) return false;
  if (const char* error = parse_fields(head, request_.headers)) return fail(400, error);
  const auto& fields = request_.headers.fields();
  const auto hosts = std::count_if(fields.begin(), fields.end(), [](const auto& field) {
    return base::equals_ignore_case(field.first, "Host");
  });
  if (hosts > 1 || (hosts == 0 && !is_http_1_0_)) {
    return fail(400, "a request needs exactly one Host header");
  }
  keeps_alive_ = !has_token(request_.headers, "Connection", "close") &&
                 (!is_http_1_0_ || has_token(request_.headers, "Connection", "keep-alive"));
  return frame_body();
}

bool RequestReader::parse_request_line(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return fail(400, "the request line is not \"METHOD TARGET VERSION\"");
  }
  const std::string_view method = line.substr(0, first);
  std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method)) return fail(400, "the method is not a token");
  if (!is_target(target)) return fail(400, "the target has a byte that is not visible ASCII");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return version.starts_with("HTTP/") ? fail(505, "only HTTP/1.1 and HTTP/1.0 are offered")
                                        : fail(400, "the version is not HTTP");
  }
  for (const std::string_view scheme : {"http://", "https://"}) {  // as sent to a proxy
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t path = target.find('/');
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  if (target.front() != '/' && target != "*") return fail(400, "the target is not a path");
  is_http_1_0_ = version == "HTTP/1.0";
  request_.method = method;
  request_.target = target;
  return true;
}

bool RequestReader::frame_body() {
  const BodyFacts facts = read_body_facts(request_.headers, is_http_1_0_);
  if (facts.error != nullptr) return fail(facts.status, facts.error);
  if (facts.length.value_or(0) > limits_.max_body_bytes) {
    return fail(413,
                "the request's body is over " + std::to_string(limits_.max_body_bytes) + " bytes");
  }
  if (facts.is_chunked) {
    body_.reset(BodyReader::Kind::Chunked, 0);
  } else {
    body_.reset(BodyReader::Kind::Length, facts.length.value_or(0));
    request_.body.reserve(static_cast<size_t>(facts.length.value_or(0)));
  }
  wants_continue_ =
      !is_http_1_0_ && !body_.is_done() && has_token(request_.headers, "Expect", "100-continue");
  return true;
}

/// Whether the body is complete. Drops from the buffer what was consumed.
bool RequestReader::read_body() {
  std::string_view rest = std::string_view(buffer_).substr(position_);
  while (!body_.is_done()) {
    const std::string_view piece = body_.next(rest);
    if (body_.error() != nullptr) return fail(400, body_.error());
    if (request_.body.size() + piece.size() > limits_.max_body_bytes) {
      return fail(
          413, "the request's body is over " + std::to_string(limits_.max_body_bytes) + " bytes");
    }
    request_.body.append(piece);
    if (piece.empty()) break;
    wants_continue_ = false;  // it did not wait
  }
  buffer_.erase(0, buffer_.size() - rest.size());
  position_ = 0;
  return body_.is_done();
}

}  // namespace pelton::net
