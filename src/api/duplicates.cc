// SPDX-License-Identifier: Apache-2.0
#include "api/duplicates.h"

#include <algorithm>
#include <set>

#include "base/json.h"

namespace pelton::api {

namespace {
constexpr int kDepthMax = 512;

/// Walks the text with an eye for names only: whether it is JSON was checked before.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void run() { value("", 0); }
  std::vector<std::string> take() { return std::move(found_); }

 private:
  void skip_space() {
    const size_t at = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(at, rest_.size()));
  }
  bool take(char c) {
    skip_space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// The text of a string with its quotes; "" where there is none.
  std::string_view string() {
    skip_space();
    if (rest_.empty() || rest_[0] != '"') return {};
    size_t end = 1;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
    end = std::min(end + 1, rest_.size());
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return out;
  }

  void value(const std::string& path, int depth) {
    skip_space();
    if (rest_.empty() || depth > kDepthMax) return rest_.remove_prefix(rest_.size());
    if (take('{')) return object(path, depth);
    if (take('[')) return array(path, depth);
    if (!string().empty()) return;
    const size_t end = rest_.find_first_of(",]} \t\r\n");
    rest_.remove_prefix(std::min(end, rest_.size()));
  }

  void object(const std::string& path, int depth) {
    if (take('}')) return;
    std::set<std::string> names;
    do {
      const base::Result<base::Json> name = base::Json::parse(string());
      if (!name.ok() || !take(':')) return rest_.remove_prefix(rest_.size());
      const std::string& text = name->as_string();
      const std::string below = path.empty() ? text : path + "." + text;
      if (!names.insert(text).second &&
          std::find(found_.begin(), found_.end(), below) == found_.end()) {
        found_.push_back(below);
      }
      value(below, depth + 1);
    } while (take(','));
    if (!take('}')) rest_.remove_prefix(rest_.size());
  }

  void array(const std::string& path, int depth) {
    if (take(']')) return;
    size_t index = 0;
    do {
      value(path + "[" + std::to_string(index++) + "]", depth + 1);
    } while (take(','));
    if (!take(']')) rest_.remove_prefix(rest_.size());
  }

  std::string_view rest_;
  std::vector<std::string> found_;
};
}  // namespace

std::vector<std::string> find_duplicate_fields(std::string_view text) {
  Scanner scanner(text);
  scanner.run();
  return scanner.take();
}

}  // namespace pelton::api
