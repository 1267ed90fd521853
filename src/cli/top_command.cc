// SPDX-License-Identifier: Apache-2.0
// `pelton top`: the cluster on one screen, live or once.
#include <fmt/format.h>

#include "base/strings.h"
#include "cli/blocking.h"
#include "cli/live_names.h"
#include "cli/options.h"
#include "cli/top_lines.h"
#include "cli/top_source.h"
#include "cli/top_view.h"
#include "cli/verbs.h"
#include "os/os_world.h"
#include "os/self.h"

namespace pelton::cli {
namespace {

constexpr base::Duration kLeastInterval = base::Duration::milliseconds(100);
/// Who asked for one picture waits so long for the usage in it.
constexpr base::Duration kMeasurePatience = base::Duration::seconds(3);
constexpr int kStdin = 0, kStdout = 1;

struct TopOptions {
  std::string data_dir = default_data_directory();
  std::string namespace_name = "default";
  bool is_all_namespaces = false;
  bool is_once = false;
  std::string output;
  std::string interval_text = "2s";
  base::Duration interval;
};

/// "2s", "500ms", "1m", "2".
base::Result<base::Duration> parse_interval(const std::string& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string unit = text.substr(digits);
  const auto count = base::parse_int(text.substr(0, digits));
  constexpr int64_t kMost = 86'400'000;
  const int64_t unit_ms = unit == "ms"                  ? 1
                          : unit.empty() || unit == "s" ? 1000
                          : unit == "m"                 ? 60'000
                                                        : 0;
  if (!count.ok() || unit_ms == 0 || *count > kMost / unit_ms ||
      base::Duration::milliseconds(*count * unit_ms) < kLeastInterval) {
    return base::invalid_argument(
        fmt::format("--interval {}: give a time such as 2s, 500ms or 1m, at least 100ms", text));
  }
  return base::Duration::milliseconds(*count * unit_ms);
}

/// One picture on stdout.
base::Status print_once(os::OsWorld& os, const TopOptions& options) {
  TopSource source(os.world(), data_directory(options.data_dir));
  PELTON_TRY(await<base::Status>(os, [&](auto done) { source.refresh(std::move(done)); }));
  world::Timer patience(os.world().timers);
  await<bool>(os, [&](std::function<void(bool)> done) {
    if (!source.is_measuring()) return done(true);
    patience.start(kMeasurePatience, [done] { done(false); });
    source.on_measured([&source, done] {
      if (!source.is_measuring()) done(true);
    });
  });
  source.on_measured(nullptr);
  const TopView view = observe_top(source.lists(), options.namespace_name, os.world().clock.now());
  if (options.output == "json") {
    fmt::print("{}\n", to_json(view).dump(2));
    return base::ok();
  }
  const int columns = os::is_terminal(kStdout) ? os::terminal_columns(0) : 0;
  for (const Line& line : lines_of(view, "", {static_cast<size_t>(columns), 0})) {
    fmt::print("{}\n", line.text);
  }
  return base::ok();
}

/// The screen that refreshes itself.
class LiveTop {
 public:
  LiveTop(os::OsWorld& os, const TopOptions& options)
      : os_(os),
        options_(options),
        source_(os.world(), data_directory(options.data_dir)),
        next_(os.world().timers) {}

  base::Status run() {
    os_.on_stop_signal([this](int) { os_.stop(); });
    PELTON_ASSIGN(screen_, os_.open_screen({.on_key = [this](char key) { on_key(key); },
                                            .on_resize = [this] { draw(); },
                                            .on_gone = [this] { os_.stop(); }}));
    view_.now = os_.world().clock.now();
    view_.namespace_name = options_.namespace_name;
    source_.on_measured([this] { on_fresh(); });
    refresh();
    os_.run();
    return base::ok();
  }

 private:
  void on_key(char key) {
    if (key == 'q' || key == 'Q') os_.stop();
  }

  void refresh() {
    source_.refresh([this](const base::Status& status) {
      if (status.ok()) {
        failing_since_.reset();
        on_fresh();
      } else {
        const base::Instant now = os_.world().clock.now();
        if (!failing_since_) failing_since_ = now;
        alarm_ = fmt::format("no answer since {}, trying again every {} s: {}",
                             base::format_time(*failing_since_), options_.interval.to_seconds(),
                             status.message());
        draw();
      }
      next_.start(options_.interval, [this] { refresh(); });
    });
  }

  void on_fresh() {
    if (failing_since_) return;  // usage alone does not make the picture a new one
    alarm_.clear();
    view_ = observe_top(source_.lists(), options_.namespace_name, os_.world().clock.now());
    draw();
  }

  void draw() {
    const world::TerminalSize size = screen_->size();
    const auto lines = lines_of(view_, alarm_, {size.columns, size.rows});
    std::string frame = "\x1b[H";
    for (size_t i = 0; i < lines.size(); ++i) {
      if (i > 0) frame += "\r\n";
      // Cleared before it is written: a cursor at the last column is still on its character.
      frame += "\x1b[K";
      if (lines[i].style == Line::Style::Heading) frame += "\x1b[7m";
      if (lines[i].style == Line::Style::Alarm) frame += "\x1b[1;31m";
      frame += lines[i].text + "\x1b[0m";
    }
    if (lines.size() < size.rows) frame += "\r\n\x1b[J";
    screen_->write(frame);
  }

  os::OsWorld& os_;
  const TopOptions& options_;
  TopSource source_;
  world::Timer next_;
  std::unique_ptr<os::Screen> screen_;
  TopView view_;
  std::string alarm_;
  std::optional<base::Instant> failing_since_;
};

base::Status top(const TopOptions& options) {
  PELTON_ASSIGN(auto os,
                os::make_world({.log_level = base::Severity::Error, .log_to_stderr = false}));
  const bool is_live = !options.is_once && options.output.empty() && os::is_terminal(kStdin) &&
                       os::is_terminal(kStdout);
  return is_live ? LiveTop(*os, options).run() : print_once(*os, options);
}

constexpr const char* kExamples =
    "  pelton top                       # live; q ends it\n"
    "  pelton top -A --interval 5s      # of all namespaces, every five seconds\n"
    "  pelton top --once                # print it and end, as without a terminal\n"
    "  pelton top -o json | jq -r '.pods[] | select(.reason != \"\") | .name + \": \" + .reason'\n"
    "\n"
    "With -o json, once:\n"
    "  time, namespace (\"\": all)\n"
    "  nodes[]    name, status, ready, virtualAccelerators, accelerators {RESOURCE: {used, "
    "total}},\n"
    "             cpu and memory {used, requested, allocatable}, pods {used, total}\n"
    "  jobSets[]  namespace, name, state, restarts, ready, desired, creationTimestamp\n"
    "  pods[]     namespace, name, node, phase, status, reason, restarts, cpu, memory,\n"
    "             creationTimestamp\n"
    "Accelerators are those that pods request. What is not measured is null, and '-' in the "
    "table.\n";

}  // namespace

int run_top(int argc, char** argv) {
  TopOptions chosen;
  Options options("pelton top",
                  "Shows the nodes, JobSets and pods of an embedded cluster with what they use: "
                  "live on a terminal, once elsewhere.",
                  kExamples);
  options.text("-n,--namespace", chosen.namespace_name, "of JobSets and pods",
               live_names("Namespace", chosen.data_dir));
  options.toggle("-A,--all-namespaces", chosen.is_all_namespaces,
                 "JobSets and pods of all of them");
  options.toggle("--once", chosen.is_once, "print one picture and end");
  options.text("--interval", chosen.interval_text, "between two pictures: 2s, 500ms, 1m");
  options.text("-o,--output", chosen.output, "json (once), or nothing for a table",
               Values::one_of({"json"}));
  options.text("--data-dir", chosen.data_dir, "the cluster's data directory",
               Values::directories());
  if (auto code = options.parse(argc, argv)) return *code;
  if (!chosen.output.empty() && chosen.output != "json") {
    fmt::print(stderr, "pelton top: -o {}: the forms are a table (no -o) and json; see --help\n",
               chosen.output);
    return 2;
  }
  const auto interval = parse_interval(chosen.interval_text);
  if (!interval.ok()) {
    fmt::print(stderr, "pelton top: {}\n", interval.error().message());
    return 2;
  }
  chosen.interval = *interval;
  if (chosen.is_all_namespaces) chosen.namespace_name.clear();
  const base::Status status = top(chosen);
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton top: {}\n", status.message());
  return 1;
}

}  // namespace pelton::cli
