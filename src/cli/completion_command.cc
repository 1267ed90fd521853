// SPDX-License-Identifier: Apache-2.0
// `pelton completion SHELL`: what makes TAB work.
#include <fmt/format.h>

#include "cli/completion_scripts.h"
#include "cli/options.h"
#include "cli/verbs.h"

namespace pelton::cli {

int run_completion(int argc, char** argv) {
  std::string shell;
  Options options(
      "pelton completion",
      "Prints a script that makes TAB complete pelton's verbs, flags, values, and names "
      "of the running cluster.",
      "  source <(pelton completion bash)       # this shell; in ~/.bashrc: every shell\n"
      "  source <(pelton completion zsh)        # in ~/.zshrc after compinit\n"
      "  pelton completion fish | source\n"
      "  pelton completion fish > ~/.config/fish/completions/pelton.fish\n");
  options.positional("shell", shell, "bash, zsh or fish", Values::one_of({"bash", "zsh", "fish"}));
  if (auto code = options.parse(argc, argv)) return *code;
  const std::string_view script = completion_script(shell);
  if (script.empty()) {
    fmt::print(stderr,
               "pelton completion: there is none for \"{}\"; there is for bash, zsh and fish\n",
               shell);
    return 2;
  }
  fmt::print("{}", script);
  return 0;
}

}  // namespace pelton::cli
