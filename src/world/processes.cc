// SPDX-License-Identifier: Apache-2.0
#include "world/processes.h"

namespace pelton::world {
namespace {

/// What one run() has seen; ends when both the output's end and the exit are there.
struct Run {
  std::unique_ptr<Process> process;
  std::string output;
  std::optional<ExitState> exit;
  bool has_output_ended = false;
  std::function<void(base::Result<ExitState>, std::string)> done;
};

void finish_if_complete(const std::shared_ptr<Run>& run) {
  if (!run->exit || !run->has_output_ended || !run->done) return;
  auto done = std::exchange(run->done, nullptr);
  run->process.reset();
  done(*run->exit, std::move(run->output));
}

}  // namespace

void Processes::run(ProcessSpec spec,
                    std::function<void(base::Result<ExitState>, std::string output)> done) {
  auto run = std::make_shared<Run>();
  run->done = std::move(done);
  spec.merge_stderr = true;
  spec.on_output = [run](std::string_view piece) {
    run->output += piece;
    if (piece.empty()) run->has_output_ended = true;
    finish_if_complete(run);
  };
  auto process = spawn(std::move(spec), [run](ExitState state) {
    run->exit = state;
    finish_if_complete(run);
  });
  if (process.ok()) {
    run->process = std::move(process).value();
  } else {
    std::exchange(run->done, nullptr)(process.status(), "");
  }
}

}  // namespace pelton::world
