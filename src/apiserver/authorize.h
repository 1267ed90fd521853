// SPDX-License-Identifier: Apache-2.0
// Who may do what. Pure functions: the pipeline asks them before it acts.
//
// Three sorts of callers: members of system:masters (everything), nodes (system:nodes; what one
// kubelet needs and no more), everybody else (nothing). A node is held in two steps: by the path
// (authorize) and, where the path does not say whose object it is, by the object (admit_node).
#pragma once
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "net/http.h"

namespace pelton::apiserver {

/// One access, as authorization sees it.
struct Access {
  std::string verb;  ///< get list watch create update patch delete deletecollection
  std::string group, resource, subresource, ns, name;
  std::string field_selector;     ///< as sent; only of list and watch
  std::string non_resource_path;  ///< set where this is no resource: "/version"
};

/// "node-3" for system:node:node-3 in group system:nodes; else "".
std::string node_of(const net::Identity& who);

/// Whether the caller may, by what the path says. Forbidden names the user, verb and resource.
base::Status authorize(const net::Identity& who, const Access& access);

/// Whether node `node` may touch this object, for accesses that authorize() let pass: a pod must be
/// bound to it. `object` is the stored object, or on create the new one.
base::Status admit_node(const net::Identity& who, const Access& access, const base::Json& object);

/// Whether a node's access to this Secret or ConfigMap depends on a pod of the node that uses it.
bool needs_referencing_pod(const net::Identity& who, const Access& access);
/// The name of the one object such an access is about; "" where it is about many.
std::string referenced_name(const Access& access);
/// Whether the pod uses the Secret or ConfigMap `name` (volumes, env, envFrom, imagePullSecrets).
bool pod_references(const base::Json& pod, std::string_view resource, std::string_view name);

/// The Forbidden answer, worded as upstream does.
base::Status access_denied(const net::Identity& who, const Access& access, std::string_view why);

}  // namespace pelton::apiserver
