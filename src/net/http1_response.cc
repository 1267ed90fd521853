// SPDX-License-Identifier: Apache-2.0
#include "net/http1.h"
#include "net/http1_syntax.h"

namespace pelton::net {

bool ResponseReader::fail(std::string message) {
  error_ = Http1Error{502, std::move(message)};
  return false;
}

void ResponseReader::expect(std::string_view method, bool may_switch) {
  state_ = State::Head;
  may_switch_ = may_switch;
  is_head_request_ = method == "HEAD";
  has_begun_ = false;
  keeps_alive_ = true;
  body_bytes_ = 0;
  searched_ = 0;
}

std::string ResponseReader::take_rest() {
  std::string rest = buffer_.substr(position_);
  buffer_.clear();
  position_ = searched_ = 0;
  return rest;
}

void ResponseReader::feed(std::string_view bytes) {
  buffer_.erase(0, position_);
  searched_ -= std::min(searched_, position_);
  position_ = 0;
  buffer_.append(bytes);
  has_begun_ = has_begun_ || !bytes.empty();
}

ResponseReader::Event ResponseReader::next() {
  if (error_) return {};
  if (state_ == State::Idle) return {};
  if (state_ == State::Head) {
    ResponseHead head;
    do {  // interim answers (1xx) are skipped
      head = ResponseHead();
      if (!read_head(head)) return {};
    } while (head.status < 200 && head.status != 101);
    if (head.status == 101) {
      state_ = State::Idle;
      return head;
    }
    if (!frame_body(head)) return {};
    state_ = State::Body;
    return head;
  }
  std::string_view rest = std::string_view(buffer_).substr(position_);
  const std::string_view piece = body_.is_done() ? std::string_view() : body_.next(rest);
  position_ = buffer_.size() - rest.size();
  if (body_.error() != nullptr) {
    fail(body_.error());
    return {};
  }
  if (!piece.empty()) {
    body_bytes_ += piece.size();
    if (body_bytes_ > limits_.max_body_bytes) {
      fail("the answer's body is over " + std::to_string(limits_.max_body_bytes) + " bytes");
      return {};
    }
    return Data{piece};
  }
  if (!body_.is_done()) return {};
  state_ = State::Idle;
  return End{};
}

ResponseReader::Event ResponseReader::finish() {
  if (error_) return {};
  if (state_ == State::Body && body_.kind() == BodyReader::Kind::UntilClose) {
    state_ = State::Idle;
    return End{};
  }
  fail(state_ == State::Idle   ? "the server closed the connection"
       : state_ == State::Head ? "the server closed the connection before it answered"
                               : "the server closed the connection within its answer");
  return {};
}

bool ResponseReader::read_head(ResponseHead& head) {
  const size_t end = find_head_end(buffer_, position_, searched_);
  const size_t size = (end == std::string::npos ? buffer_.size() : end) - position_;
  if (size > limits_.max_head_bytes) return fail("the answer's head is too long");
  if (end == std::string::npos) return false;
  std::string_view text = std::string_view(buffer_).substr(position_, size);
  const auto line = take_line(text);
  const bool is_status_line = line && line->size() >= 12 &&
                              (line->starts_with("HTTP/1.1 ") || line->starts_with("HTTP/1.0 "));
  const auto status = is_status_line ? parse_length(line->substr(9, 3)) : std::nullopt;
  if (!status || *status < 100 || (line->size() > 12 && (*line)[12] != ' ')) {
    return fail("the answer does not begin with an HTTP/1 status line");
  }
  if (*status == 101 && !may_switch_) {
    return fail("the server switches protocols, which was not asked for");
  }
  if (const char* error = parse_fields(text, head.headers)) return fail(error);
  head.status = static_cast<int>(*status);
  const bool is_http_1_0 = line->starts_with("HTTP/1.0");
  keeps_alive_ = !has_token(head.headers, "Connection", "close") &&
                 (!is_http_1_0 || has_token(head.headers, "Connection", "keep-alive"));
  position_ = end;
  searched_ = 0;
  return true;
}

bool ResponseReader::frame_body(const ResponseHead& head) {
  const BodyFacts facts = read_body_facts(head.headers, false);
  if (facts.error != nullptr) return fail(facts.error);
  if (is_head_request_ || head.status == 204 || head.status == 304) {
    body_.reset(BodyReader::Kind::None, 0);
  } else if (facts.is_chunked) {
    body_.reset(BodyReader::Kind::Chunked, 0);
  } else if (facts.length) {
    body_.reset(BodyReader::Kind::Length, *facts.length);
  } else {
    keeps_alive_ = false;
    body_.reset(BodyReader::Kind::UntilClose, 0);
  }
  return true;
}

}  // namespace pelton::net
