// SPDX-License-Identifier: Apache-2.0
// Whether a decoded and defaulted object makes sense.
//
// All findings at once, as a Status InvalidArgument with reason "Invalid" (422) whose causes name
// the fields as kubectl shows them: `spec.containers[0].image: Required value`. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/registry.h"
#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

/// Collects findings about fields in upstream's words.
class Findings {
 public:
  void required(const std::string& field, const std::string& detail = "");
  void invalid(const std::string& field, const base::Json& value, const std::string& detail);
  void wrong_type(const std::string& field, const base::Json& value, const std::string& detail);
  void duplicate(const std::string& field, const base::Json& value);
  void forbidden(const std::string& field, const std::string& detail);
  void not_supported(const std::string& field, const base::Json& value,
                     const std::vector<std::string_view>& supported);
  void too_long(const std::string& field, size_t limit_bytes);
  void not_found(const std::string& field, const base::Json& value);
  void too_many(const std::string& field, size_t count, size_t limit);
  void add(const Findings& others);
  bool empty() const { return causes_.empty(); }
  const std::vector<base::Cause>& causes() const { return causes_; }
  /// Ok where empty; else `Pod "a" is invalid: …`.
  base::Status to_status(const ResourceInfo& resource, std::string_view name) const;

 private:
  std::vector<base::Cause> causes_;
};

base::Status validate_create(const ResourceInfo& resource, const base::Json& object);
/// Also what may not change. `before` is the stored object.
base::Status validate_update(const ResourceInfo& resource, const base::Json& before,
                             const base::Json& after);
/// Through /status: metadata and status only.
base::Status validate_status_update(const ResourceInfo& resource, const base::Json& before,
                                    const base::Json& after);

/// Objects over this many bytes of JSON are refused (RequestEntityTooLarge).
inline constexpr size_t kObjectBytesMax = 3 * 1024 * 1024;

}  // namespace pelton::api
