// SPDX-License-Identifier: Apache-2.0
// The log on stderr, as text lines, and in a file, as JSON lines.
#pragma once
#include <string>

#include "base/log.h"
#include "os/fd.h"
#include "world/clock.h"

namespace pelton::os {

/// "19:04:11.230 info  node.ready node=node-0 after_ms=120"
std::string format_log_line(base::Instant now, base::Severity severity, std::string_view event,
                            const base::Json& fields, bool has_colour);

class OsLog final : public base::Log {
 public:
  OsLog(world::Clock& clock, base::Severity least, bool to_stderr);
  /// Appends JSON lines to a file too; made where absent, mode 0600.
  base::Status open_file(const std::string& path);
  void write(base::Severity severity, std::string_view event, const base::Json& fields) override;

 private:
  world::Clock& clock_;
  base::Severity least_;
  bool to_stderr_;
  bool has_colour_;
  Fd file_;
};

}  // namespace pelton::os
