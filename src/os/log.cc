// SPDX-License-Identifier: Apache-2.0
#include "os/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace pelton::os {
namespace {

struct Look {
  const char* name;
  const char* colour;
};

Look look_of(base::Severity severity) {
  switch (severity) {
    case base::Severity::Debug:
      return {"debug", "\033[2m"};
    case base::Severity::Info:
      return {"info", "\033[32m"};
    case base::Severity::Warning:
      return {"warning", "\033[33m"};
    case base::Severity::Error:
      return {"error", "\033[31m"};
  }
  return {"error", ""};
}

/// A value as people read it: a plain word stays plain, anything else is quoted or JSON.
void append_value(std::string& out, const base::Json& value) {
  if (!value.is_string()) return value.dump_to(out);
  const std::string& text = value.as_string();
  const bool is_plain = !text.empty() && text.find_first_of(" \t\r\n\"=") == std::string::npos;
  if (is_plain) {
    out += text;
  } else {
    base::append_json_string(out, text);
  }
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // a log that cannot be written must not stop what it describes
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

std::string format_log_line(base::Instant now, base::Severity severity, std::string_view event,
                            const base::Json& fields, bool has_colour) {
  const Look look = look_of(severity);
  std::string line = base::format_micro_time(now).substr(11, 12);
  line += ' ';
  if (has_colour) line += look.colour;
  line += look.name;
  if (has_colour) line += "\033[0m";
  line.append(8 - std::string_view(look.name).size(), ' ');
  line += event;
  for (const auto& [name, value] : fields.members()) {
    line += ' ';
    line += name;
    line += '=';
    append_value(line, value);
  }
  line += '\n';
  return line;
}

OsLog::OsLog(world::Clock& clock, base::Severity least, bool to_stderr)
    : clock_(clock), least_(least), to_stderr_(to_stderr), has_colour_(::isatty(2) == 1) {}

base::Status OsLog::open_file(const std::string& path) {
  file_ = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  return file_.is_open() ? base::ok() : errno_status("opening the log " + path, errno);
}

void OsLog::write(base::Severity severity, std::string_view event, const base::Json& fields) {
  if (severity < least_) return;
  const base::Instant now = clock_.now();
  if (to_stderr_) write_all(2, format_log_line(now, severity, event, fields, has_colour_));
  if (!file_.is_open()) return;
  base::Json line = fields.is_object() ? fields : base::Json::object();
  line.set("time", base::format_micro_time(now));
  line.set("level", look_of(severity).name);
  line.set("event", event);
  write_all(file_.get(), line.dump() + '\n');
}

}  // namespace pelton::os
