// SPDX-License-Identifier: Apache-2.0
// Roles and their bindings.
#include <algorithm>

#include "api/names.h"
#include "api/registry.h"
#include "api/validate_kinds.h"

namespace pelton::api {
namespace {

using base::Json;

void check_rules(Findings& findings, const Json& rules, bool is_namespaced) {
  size_t index = 0;
  for (const Json& rule : rules.items()) {
    const Path at = Path("rules")[index++];
    if (rule["verbs"].empty()) {
      findings.required(at / "verbs", "verbs must contain at least one value");
    }
    if (!rule["nonResourceURLs"].empty()) {
      if (is_namespaced) {
        findings.invalid(at / "nonResourceURLs", rule["nonResourceURLs"],
                         "namespaced rules cannot apply to non-resource URLs");
      }
      if (!rule["apiGroups"].empty() || !rule["resources"].empty() ||
          !rule["resourceNames"].empty()) {
        findings.invalid(at / "nonResourceURLs", rule["nonResourceURLs"],
                         "rules cannot apply to both regular resources and non-resource URLs");
      }
      continue;
    }
    if (rule["apiGroups"].empty()) {
      findings.required(at / "apiGroups", "resource rules must supply at least one api group");
    }
    if (rule["resources"].empty()) {
      findings.required(at / "resources", "resource rules must supply at least one resource");
    }
  }
}

// In a RoleBinding, an account without a namespace is one of the binding's.
void check_subject(Findings& findings, const Path& path, const Json& subject, bool is_namespaced) {
  const std::string& kind = subject["kind"].as_string();
  if (subject["name"].as_string().empty()) findings.required(path / "name");
  if (kind == "ServiceAccount") {
    check_with(findings, path / "name", subject["name"], check_dns1123_subdomain);
    if (!subject["apiGroup"].as_string().empty()) {
      findings.not_supported(path / "apiGroup", subject["apiGroup"], {""});
    }
    if (!is_namespaced && subject["namespace"].as_string().empty()) {
      findings.required(path / "namespace");
    }
  } else if (kind == "User" || kind == "Group") {
    if (subject["apiGroup"].as_string() != kRbacGroup) {
      findings.not_supported(path / "apiGroup", subject["apiGroup"], {kRbacGroup});
    }
  } else {
    findings.not_supported(path / "kind", kind, {"ServiceAccount", "User", "Group"});
  }
}

void check_binding(Findings& findings, const Json& binding, bool is_namespaced) {
  std::vector<std::string_view> role_kinds = {"ClusterRole"};
  if (is_namespaced) role_kinds.push_back("Role");
  const Path role("roleRef");
  const Json& reference = binding["roleRef"];
  if (reference["apiGroup"].as_string() != kRbacGroup) {
    findings.not_supported(role / "apiGroup", reference["apiGroup"].as_string(), {kRbacGroup});
  }
  const std::string& kind = reference["kind"].as_string();
  if (std::find(role_kinds.begin(), role_kinds.end(), kind) == role_kinds.end()) {
    findings.not_supported(role / "kind", kind, role_kinds);
  }
  if (reference["name"].as_string().empty()) {
    findings.required(role / "name");
  } else {
    check_with(findings, role / "name", reference["name"], check_path_segment);
  }
  size_t index = 0;
  for (const Json& subject : binding["subjects"].items()) {
    check_subject(findings, Path("subjects")[index++], subject, is_namespaced);
  }
}

}  // namespace

void validate_role(Findings& findings, const Json& role) {
  check_rules(findings, role["rules"], true);
}

void validate_cluster_role(Findings& findings, const Json& role) {
  check_rules(findings, role["rules"], false);
  const Json& aggregation = role["aggregationRule"];
  if (!aggregation.is_object()) return;
  const Path path = Path("aggregationRule") / "clusterRoleSelectors";
  if (aggregation["clusterRoleSelectors"].empty()) {
    findings.required(path,
                      "at least one clusterRoleSelector required if aggregationRule is "
                      "non-nil");
  }
  size_t index = 0;
  for (const Json& selector : aggregation["clusterRoleSelectors"].items()) {
    check_label_selector(findings, path[index++], selector);
  }
}

void validate_role_binding(Findings& findings, const Json& binding) {
  check_binding(findings, binding, true);
}

void validate_cluster_role_binding(Findings& findings, const Json& binding) {
  check_binding(findings, binding, false);
}

void validate_role_binding_update(Findings& findings, const Json& before, const Json& after) {
  if (before["roleRef"] == after["roleRef"]) return;
  findings.invalid("roleRef", after["roleRef"], "cannot change roleRef");
}

}  // namespace pelton::api
