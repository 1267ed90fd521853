// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 as a codec (RFC 9112): bytes to messages and back, no sockets, no time.
//
// Strict where leniency lets a request be understood in two ways (smuggling): one length only, no
// folded lines, no bare CR, no space before a colon, tokens as the RFC spells them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "net/http.h"

namespace pelton::net {

struct Limits {
  size_t max_head_bytes = 64 * 1024;
  /// An object may have 3 MiB; a little more, so that the API's own message can say so.
  size_t max_body_bytes = 3 * 1024 * 1024 + 64 * 1024;
};

/// Why a message cannot be read. The stream has no known position any more: answer and close.
struct Http1Error {
  int status = 400;  ///< what a server answers: 400, 413, 431, 501, 505
  std::string message;
};

/// The body of a message, as its head announces it, piece by piece.
class BodyReader {
 public:
  enum class Kind : uint8_t { None, Length, Chunked, UntilClose };
  void reset(Kind kind, uint64_t length);
  Kind kind() const { return kind_; }
  bool is_done() const { return state_ == State::Done; }
  /// Takes from the front of `bytes`. Gives the next piece of payload, a view into what `bytes`
  /// was; empty: more bytes are needed or is_done(). An error in error().
  std::string_view next(std::string_view& bytes);
  const char* error() const { return error_; }  ///< nullptr where there is none

 private:
  enum class State : uint8_t { Size, Data, DataEnd, Trailer, Done };
  std::string_view fail(const char* error);
  bool read_line(std::string_view& bytes);  ///< into line_, without its end
  Kind kind_ = Kind::None;
  State state_ = State::Done;
  uint64_t left_ = 0;
  std::string line_;
  size_t trailer_bytes_ = 0;
  const char* error_ = nullptr;
};

/// A server's reading side. Feed bytes as they come and take requests as they are complete.
class RequestReader {
 public:
  explicit RequestReader(const Limits& limits) : limits_(limits) {}
  void feed(std::string_view bytes) { buffer_.append(bytes); }
  /// The next complete request; nullopt: more bytes are needed, or error() is set.
  std::optional<Request> next();
  const std::optional<Http1Error>& error() const { return error_; }
  /// True once per request that waits for "100 Continue" before it sends its body.
  bool take_wants_continue() { return std::exchange(wants_continue_, false); }
  bool is_in_head() const { return !is_in_body_ && buffered_bytes() > 0; }
  bool is_in_body() const { return is_in_body_; }
  size_t buffered_bytes() const { return buffer_.size() - position_; }
  /// Of the request that next() gave last.
  bool keeps_alive() const { return keeps_alive_; }
  bool is_http_1_0() const { return is_http_1_0_; }
  /// What came after the last request: the connection speaks something else from there on.
  std::string take_rest();

 private:
  bool read_head();
  bool read_body();
  bool parse_head(std::string_view head);
  bool fail(int status, std::string message);
  bool parse_request_line(std::string_view line);
  bool frame_body();

  Limits limits_;
  std::string buffer_;
  size_t position_ = 0;  ///< what is before was consumed
  size_t searched_ = 0;  ///< no end of head begins before
  bool is_in_body_ = false;
  bool wants_continue_ = false;
  bool keeps_alive_ = true;
  bool is_http_1_0_ = false;
  Request request_;
  BodyReader body_;
  std::optional<Http1Error> error_;
};

/// A client's reading side. One reader per connection; expect() before each request.
class ResponseReader {
 public:
  struct Data {
    std::string_view bytes;  ///< valid until the next call
  };
  struct End {};
  /// monostate: more bytes are needed, or error() is set.
  using Event = std::variant<std::monostate, ResponseHead, Data, End>;

  explicit ResponseReader(const Limits& limits) : limits_(limits) {}
  /// An answer to a request of this method comes next. Where the request asked to switch
  /// protocols, a head of status 101 may be the answer: then take_rest() comes next.
  void expect(std::string_view method, bool may_switch = false);
  std::string take_rest();  ///< what came after the head
  void feed(std::string_view bytes);
  Event next();
  /// The peer ended: an End where that ends the body properly, else error() is set.
  Event finish();
  const std::optional<Http1Error>& error() const { return error_; }
  bool has_begun() const { return has_begun_; }  ///< any byte of the answer came
  bool keeps_alive() const { return keeps_alive_; }
  /// Nothing was read beyond the last answer.
  bool is_clean() const { return position_ == buffer_.size(); }

 private:
  enum class State : uint8_t { Idle, Head, Body };
  bool read_head(ResponseHead& head);
  bool fail(std::string message);
  bool frame_body(const ResponseHead& head);

  Limits limits_;
  std::string buffer_;
  size_t position_ = 0;
  size_t searched_ = 0;
  uint64_t body_bytes_ = 0;
  State state_ = State::Idle;
  bool is_head_request_ = false;
  bool may_switch_ = false;
  bool has_begun_ = false;
  bool keeps_alive_ = true;
  BodyReader body_;
  std::optional<Http1Error> error_;
};

/// How the end of an answer's body is told: nothing to tell, a length, chunks, or closing.
struct Framing {
  BodyReader::Kind kind = BodyReader::Kind::None;
  uint64_t length = 0;  ///< for Length
};

/// Appends the head of an answer. Framing and connection fields are ours: of the handler's only a
/// sane Content-Length counts. Fields whose bytes would break the head are left out.
Framing write_response_head(std::string& out, const ResponseHead& head, bool is_head_request,
                            bool is_http_1_0, bool keep_alive);
/// Appends a piece of body; nothing for an empty piece or where there is no body.
void write_body(std::string& out, const Framing& framing, std::string_view bytes);
void write_body_end(std::string& out, const Framing& framing);

/// Appends a whole request; adds Host (where absent) and Content-Length. InvalidArgument where
/// method, target or a field has bytes that would break the framing.
base::Status write_request(std::string& out, const Request& request, std::string_view host);

/// "Not Found" for 404; "Unknown" where we have no word.
std::string_view reason_phrase(int status);

}  // namespace pelton::net
