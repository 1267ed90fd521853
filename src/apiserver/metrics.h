// SPDX-License-Identifier: Apache-2.0
// metrics.k8s.io/v1beta1, for `kubectl top`: NodeMetrics and PodMetrics, without a metrics server.
//
// Nothing of it is stored. Each request asks the agents of the nodes that it is about for their
// /stats/summary, and answers with what has come in time; a node that does not answer is left out,
// as a metrics server leaves it out. Offered where the API server reaches agents.
#pragma once
#include <optional>
#include <string_view>

#include "apiserver/core.h"

namespace pelton::apiserver {

constexpr std::string_view kMetricsGroup = "metrics.k8s.io";
constexpr std::string_view kMetricsVersion = "v1beta1";

/// get and list of nodes and pods of the group, by labels and fields of the Nodes and Pods.
void handle_metrics(const CorePtr& core, const CallPtr& call);

/// The group's own discovery documents; nullopt for another path.
std::optional<base::Json> metrics_discovery(std::string_view path);
/// Adds the group to the document of /apis, in either form.
void add_metrics_group(base::Json& document);

/// The usage of a Node or Pod by a kubelet's summary; nullopt where that does not know it yet.
std::optional<base::Json> node_metrics(const base::Json& node, const base::Json& summary);
std::optional<base::Json> pod_metrics(const base::Json& pod, const base::Json& summary);

}  // namespace pelton::apiserver
