// SPDX-License-Identifier: Apache-2.0
#include "cli/completion_scripts.h"

namespace pelton::cli {
namespace {

// Needs bash 4.3; the package bash-completion is not needed. What is typed is never evaluated: a
// TAB must not run a $(command) that stands on the line.
constexpr std::string_view kBash = R"script(# Completion of pelton for bash:
#   source <(pelton completion bash)
_pelton() {
  local line=${COMP_LINE:0:COMP_POINT} blank word i
  local -a typed=()
  COMPREPLY=()
  # Bash breaks words at = and : too. A word of ours ends only where a blank stands.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    blank=${line%%[![:blank:]]*}
    line=${line#"$blank"}
    ((i < COMP_CWORD)) || word=$line
    if [[ ${#typed[@]} -gt 0 && -z $blank ]]; then
      typed[-1]+=$word
    else
      typed+=("$word")
    fi
    line=${line#"$word"}
  done
  local current=${typed[-1]} lead=
  # Only what stands behind the last break is replaced.
  [[ $COMP_WORDBREAKS != *=* ]] || lead=${current%"${current##*=}"}
  [[ $COMP_WORDBREAKS != *:* ]] || [[ $current != *:* ]] || lead=${current%"${current##*[=:]}"}
  for i in "${!typed[@]}"; do
    word=${typed[i]//[\'\"\\]/}
    [[ $word != '~/'* ]] || word=$HOME/${word#'~/'}
    typed[i]=${word/=\~\//=$HOME/}
  done
  local out
  out=$("${typed[0]}" __complete "${typed[@]:1}" 2>/dev/null) || return 0
  case ${out##*:} in
    0)
      mapfile -t COMPREPLY < <(compgen -f -- "${current#"$lead"}")
      compopt -o filenames 2>/dev/null
      ;;
    16)
      mapfile -t COMPREPLY < <(compgen -d -- "${current#"$lead"}")
      compopt -o filenames 2>/dev/null
      ;;
    *)
      while IFS=$'\t' read -r word _; do
        [[ $word == :* ]] || COMPREPLY+=("${word#"$lead"}")
      done <<<"$out"
      ;;
  esac
  return 0
}
complete -F _pelton pelton
)script";

constexpr std::string_view kZsh = R"script(#compdef pelton
# Completion of pelton for zsh, where compinit has run:
#   source <(pelton completion zsh)
# or, for good, as the file _pelton in a directory of $fpath.
_pelton() {
  local -a typed lines candidates
  local out line word
  typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
  typed=("${(@)typed/#\~\//$HOME/}")
  typed=("${(@)typed/=\~\//=$HOME/}")
  out=$("${${(Q)words[1]}/#\~\//$HOME/}" __complete "${typed[@]}" 2>/dev/null) || return 1
  lines=("${(@f)out}")
  for line in "${(@)lines[1,-2]}"; do
    word=${line%%$'\t'*}
    if [[ $line == *$'\t'* ]]; then
      candidates+=("${word//:/\\:}:${line#*$'\t'}")
    else
      candidates+=("${word//:/\\:}")
    fi
  done
  case ${lines[-1]} in
    :0) compset -P '--*='; _files ;;
    :16) compset -P '--*='; _path_files -/ ;;
    *) ((${#candidates})) && _describe -t values 'pelton' candidates ;;
  esac
}
if [[ ${funcstack[1]} == _pelton ]]; then
  _pelton "$@"
else
  compdef _pelton pelton
fi
)script";

constexpr std::string_view kFish = R"script(# Completion of pelton for fish:
#   pelton completion fish | source
# or, for good:
#   pelton completion fish > ~/.config/fish/completions/pelton.fish
function __pelton_complete
    set -l typed (commandline -opc) (commandline -ct)
    set typed (string replace -r '^~/' "$HOME/" -- $typed)
    set -l current $typed[-1]
    set -l out ($typed[1] __complete $typed[2..-1] 2>/dev/null)
    or return
    set -l lead (string match -r -- '^--[^=]*=' $current)
    switch "$out[-1]"
        case ':0'
            for path in (__fish_complete_path (string replace -- "$lead" '' $current))
                echo "$lead"$path
            end
        case ':16'
            for path in (__fish_complete_directories (string replace -- "$lead" '' $current) '')
                echo "$lead"$path
            end
        case '*'
            for line in $out[1..-2]
                echo $line
            end
    end
end
complete -c pelton -f -a '(__pelton_complete)'
)script";

}  // namespace

std::string_view completion_script(std::string_view shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return {};
}

}  // namespace pelton::cli
