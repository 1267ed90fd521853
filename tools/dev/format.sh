# SPDX-License-Identifier: Apache-2.0

verb_format() {
  need_packages format
  local files
  mapfile -t files < <(git ls-files --cached --others --exclude-standard \
    'src/*.h' 'src/*.cc' 'tests/*.cc' 'tests/*.h')
  if [[ ${1:-} == --check ]]; then
    clang-format-19 --dry-run --Werror "${files[@]}" && say "${#files[@]} files are in order"
  else
    clang-format-19 -i "${files[@]}" && say "laid out ${#files[@]} files"
  fi
}
