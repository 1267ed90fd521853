// SPDX-License-Identifier: Apache-2.0
// Whether a CustomResourceDefinition can be served: names, versions, columns, and schemas that are
// structural (every value has a type, so that pruning and defaulting know what is there).
//
// Fields and reasons are kube-apiserver's; CEL rules are not compiled. Pure.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "api/validate.h"
#include "base/json.h"

namespace pelton::api::custom {

/// Who approved a definition under k8s.io or kubernetes.io.
inline constexpr std::string_view kApprovalAnnotation = "api-approved.kubernetes.io";
/// Groups that are Kubernetes' own.
bool is_protected_group(std::string_view group);

void check_definition(Findings& findings, const base::Json& definition);
void check_definition_update(Findings& findings, const base::Json& before, const base::Json& after);

/// Whether the schema of one version is well formed; `path` is that of openAPIV3Schema.
void check_schema(Findings& findings, const std::string& path, const base::Json& schema);
/// Whether it is structural besides.
void check_structural(Findings& findings, const std::string& path, const base::Json& schema);

/// Calls with the schema and all schemas inside it, those of allOf and the like included.
void for_each_schema(const base::Json& schema, const std::function<void(const base::Json&)>& visit);

}  // namespace pelton::api::custom
