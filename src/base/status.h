// SPDX-License-Identifier: Apache-2.0
// Success, or an error that says whose next step it is.
//
// A Code tells a program what to do; the reason is for programs that want detail (CamelCase, as
// in a Kubernetes Status); the message is for people: what happened, to which object, what to do.
// A remote call that may or may not have happened is Code::OutcomeUnknown: never retried blindly.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pelton::base {

enum class Code : uint8_t {
  Ok,
  InvalidArgument,     ///< the caller asks for something that can never be: fix the request
  NotFound,            ///< the object does not exist
  AlreadyExists,       ///< an object of this name exists
  Conflict,            ///< the object changed since it was read: read again, decide again
  Forbidden,           ///< the caller is known and may not
  Unauthenticated,     ///< the caller is not known
  FailedPrecondition,  ///< not in the present state: wait for the state, or ask the user
  ResourceExhausted,   ///< a limit is reached (size, quota, disk): ask the user
  Gone,                ///< the requested history is no longer kept: list anew
  Unavailable,         ///< did not happen; retry with back-off
  OutcomeUnknown,      ///< may or may not have happened: observe, then decide
  DataLoss,            ///< stored bytes are not what was written: stop, ask the user
  Unimplemented,       ///< not offered
  Internal,            ///< a bug of ours
};

/// "InvalidArgument" etc.
const char* code_name(Code code);

/// One finding about one field of an object, as in Status.details.causes.
struct Cause {
  std::string reason;   ///< "FieldValueInvalid", "FieldValueRequired", …
  std::string field;    ///< "spec.containers[0].name"
  std::string message;  ///< for people
  bool operator==(const Cause&) const = default;
};

class [[nodiscard]] Status {
 public:
  Status() = default;  ///< Ok
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  Status(Code code, std::string reason, std::string message)
      : code_(code), reason_(std::move(reason)), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::Ok; }
  Code code() const { return code_; }
  const std::string& reason() const { return reason_; }
  const std::string& message() const { return message_; }
  const std::vector<Cause>& causes() const { return causes_; }
  Status& add_cause(Cause cause) {
    causes_.push_back(std::move(cause));
    return *this;
  }
  /// Puts `context` before the message: once per layer, so that it reads as a path to the cause.
  Status with(const std::string& context) && {
    message_ = context + ": " + message_;
    return std::move(*this);
  }
  /// "NotFound: pods a not found"
  std::string to_string() const;
  /// States on purpose that an error does not matter here; `why` is for the reader.
  void ignore([[maybe_unused]] const char* why) const {}

 private:
  Code code_ = Code::Ok;
  std::string reason_;
  std::string message_;
  std::vector<Cause> causes_;
};

inline Status ok() {
  return {};
}
inline Status invalid_argument(std::string message) {
  return {Code::InvalidArgument, std::move(message)};
}
inline Status not_found(std::string message) {
  return {Code::NotFound, std::move(message)};
}
inline Status unavailable(std::string message) {
  return {Code::Unavailable, std::move(message)};
}
inline Status internal_error(std::string message) {
  return {Code::Internal, std::move(message)};
}

/// A value or the reason why there is none. Reading the wrong one ends the process (a bug of ours).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {
    if (std::get<1>(state_).ok()) die("a Result was made from an Ok status");
  }

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  Status status() const { return ok() ? Status() : std::get<1>(state_); }
  const Status& error() const& { return ok() ? die("no error in a Result") : std::get<1>(state_); }

  T& value() & { return ok() ? std::get<0>(state_) : die_with_status(); }
  const T& value() const& {
    return ok() ? std::get<0>(state_) : const_cast<Result*>(this)->die_with_status();
  }
  T&& value() && { return std::move(ok() ? std::get<0>(state_) : die_with_status()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  [[noreturn]] const Status& die(const char* what) const {
    std::fprintf(stderr, "pelton: bug: %s\n", what);
    std::abort();
  }
  [[noreturn]] T& die_with_status() {
    std::fprintf(stderr, "pelton: bug: value of a failed Result: %s\n",
                 std::get<1>(state_).to_string().c_str());
    std::abort();
  }
  std::variant<T, Status> state_;
};

}  // namespace pelton::base

#define PELTON_CONCAT_(a, b) a##b
#define PELTON_CONCAT(a, b) PELTON_CONCAT_(a, b)

/// Returns the error to the caller, if there is one.
#define PELTON_TRY(expr)                                                      \
  do {                                                                        \
    if (::pelton::base::Status pelton_status_ = (expr); !pelton_status_.ok()) \
      return pelton_status_;                                                  \
  } while (false)

/// PELTON_ASSIGN(auto x, f()): declares or assigns x, or returns the error to the caller.
#define PELTON_ASSIGN(lhs, expr) PELTON_ASSIGN_(PELTON_CONCAT(pelton_result_, __LINE__), lhs, expr)
#define PELTON_ASSIGN_(tmp, lhs, expr) \
  auto tmp = (expr);                   \
  if (!tmp.ok()) return tmp.status();  \
  lhs = std::move(tmp).value()

/// Always checked; a failure is a bug of ours. Never for what users, peers or disks can cause.
#define PELTON_CHECK(cond)                                                                  \
  do {                                                                                      \
    if (!(cond)) {                                                                          \
      std::fprintf(stderr, "pelton: bug: %s:%d: %s is false\n", __FILE__, __LINE__, #cond); \
      std::abort();                                                                         \
    }                                                                                       \
  } while (false)
