// SPDX-License-Identifier: Apache-2.0
// Structured log: an event name and fields, not prose.
//
// log.info("node.not_ready", {{"node", name}, {"silent_ms", 4000}}). The sink decides the form
// (text on a terminal, JSON lines in a file) and adds the time; a simulation counts and hashes.
#pragma once
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace pelton::base {

enum class Severity : uint8_t { Debug, Info, Warning, Error };

class Log {
 public:
  using Fields = std::initializer_list<std::pair<std::string_view, Json>>;
  virtual ~Log() = default;
  /// Never fails, never blocks for long. Called on the loop's thread.
  virtual void write(Severity severity, std::string_view event, const Json& fields) = 0;

  void debug(std::string_view event, Fields f = {}) {
    write(Severity::Debug, event, Json::object(f));
  }
  void info(std::string_view event, Fields f = {}) {
    write(Severity::Info, event, Json::object(f));
  }
  void warning(std::string_view event, Fields f = {}) {
    write(Severity::Warning, event, Json::object(f));
  }
  void error(std::string_view event, Fields f = {}) {
    write(Severity::Error, event, Json::object(f));
  }
};

/// Drops everything.
class NullLog final : public Log {
 public:
  void write(Severity, std::string_view, const Json&) override {}
};

}  // namespace pelton::base
