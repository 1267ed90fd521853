// SPDX-License-Identifier: Apache-2.0
// What a URL path means in the Kubernetes REST scheme, before anything is looked up.
//
//   /api/v1/namespaces/a/pods/x/status           core group, namespaced, subresource
//   /apis/batch/v1/jobs                          named group, all namespaces
//   everything else (/version, /apis/batch, …)   not a resource
#pragma once
#include <string>
#include <string_view>

namespace pelton::apiserver {

struct RequestPath {
  bool is_resource = false;
  std::string path;         ///< decoded, without query and without a trailing slash
  std::string group;        ///< "" for the core group
  std::string version;      ///< "v1"
  std::string ns;           ///< namespace; empty: none in the path
  std::string resource;     ///< plural: "pods"
  std::string name;         ///< empty: the collection
  std::string subresource;  ///< "status", "log", …
};

/// Never fails: what is no resource path has is_resource == false.
/// /api/v1/namespaces/a is the Namespace "a" (which also counts as inside namespace "a").
RequestPath parse_request_path(std::string_view percent_encoded_path);

}  // namespace pelton::apiserver
