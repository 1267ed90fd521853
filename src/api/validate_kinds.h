// SPDX-License-Identifier: Apache-2.0
// The rules per kind behind api/validate.h; private to api/.
#pragma once
#include <string>
#include <string_view>

#include "api/validate.h"
#include "base/json.h"

namespace pelton::api {

/// A field's path as kubectl shows it: Path("spec") / "containers" [0] / "name".
class Path {
 public:
  explicit Path(std::string text) : text_(std::move(text)) {}
  Path operator/(std::string_view name) const {
    return Path(text_.empty() ? std::string(name) : text_ + "." + std::string(name));
  }
  Path operator[](size_t index) const { return Path(text_ + "[" + std::to_string(index) + "]"); }
  Path key(std::string_view name) const { return Path(text_ + "[" + std::string(name) + "]"); }
  operator const std::string&() const { return text_; }

 private:
  std::string text_;
};

// Building blocks. Each looks at one value and reports under `path`.
void check_with(Findings& findings, const Path& path, const base::Json& value,
                std::string (*check)(std::string_view));  ///< names.h rules; "" is not looked at
void check_labels(Findings& findings, const Path& path, const base::Json& labels);
void check_one_of(Findings& findings, const Path& path, const base::Json& value,
                  std::initializer_list<std::string_view> supported);  ///< null passes
void check_at_least(Findings& findings, const Path& path, const base::Json& value, int64_t least);
/// A label's key where it stands alone, also where it is empty.
void check_label_key(Findings& findings, const Path& path, const base::Json& key);
/// runAsUser and its like of a pod's or container's securityContext.
void check_user_ids(Findings& findings, const Path& path, const base::Json& context);
void check_port(Findings& findings, const Path& path, const base::Json& value);
void check_label_selector(Findings& findings, const Path& path, const base::Json& selector);
void check_immutable(Findings& findings, const Path& path, const base::Json& before,
                     const base::Json& after);
/// Required members, enums and list-map keys of a type as the field table states them.
void check_by_table(Findings& findings, const Path& path, const TypeInfo& type,
                    const base::Json& value);

// Kinds.
void validate_pod_spec(Findings& findings, const Path& path, const base::Json& spec);
void validate_pod_template(Findings& findings, const Path& path, const base::Json& pod_template);
void validate_pod_update(Findings& findings, const base::Json& before, const base::Json& after);
void validate_containers(Findings& findings, const Path& path, const base::Json& spec);
void validate_job(Findings& findings, const base::Json& job);
void validate_job_status(Findings& findings, const base::Json& before, const base::Json& after);
void validate_job_update(Findings& findings, const base::Json& before, const base::Json& after);
void validate_jobset(Findings& findings, const base::Json& jobset);
void validate_jobset_update(Findings& findings, const base::Json& before, const base::Json& after);
void validate_service(Findings& findings, const base::Json& service);
void validate_service_update(Findings& findings, const base::Json& before, const base::Json& after);
void validate_node(Findings& findings, const base::Json& node);
void validate_node_update(Findings& findings, const base::Json& before, const base::Json& after);
void validate_lease(Findings& findings, const base::Json& lease);
void validate_config(Findings& findings, const base::Json& object);  ///< ConfigMap and Secret
void validate_config_update(Findings& findings, const base::Json& before, const base::Json& after);
void validate_role(Findings& findings, const base::Json& role);
void validate_cluster_role(Findings& findings, const base::Json& role);
void validate_role_binding(Findings& findings, const base::Json& binding);
void validate_cluster_role_binding(Findings& findings, const base::Json& binding);
void validate_role_binding_update(Findings& findings, const base::Json& before,
                                  const base::Json& after);  ///< of both kinds of binding
void validate_service_status(Findings& findings, const base::Json& service);
void validate_endpoint_slice(Findings& findings, const base::Json& slice);
void validate_endpoint_slice_update(Findings& findings, const base::Json& before,
                                    const base::Json& after);
void validate_event(Findings& findings, const base::Json& event);
void validate_event_update(Findings& findings, const base::Json& before, const base::Json& after);
void validate_namespace_status(Findings& findings, const base::Json& after);
void validate_gang_binding(Findings& findings, const base::Json& binding);
void validate_recovery_policy(Findings& findings, const base::Json& policy);

}  // namespace pelton::api
