// SPDX-License-Identifier: Apache-2.0
// Cells per kind behind api/columns.h; private to api/.
#pragma once
#include <string>

#include "api/columns.h"

namespace pelton::api {

using Cells = base::Json::Array;

/// "5m", or "<unknown>" where there is no time.
std::string age_cell(const base::Json& time, base::Instant now);
/// The text, or "<none>".
std::string or_none(const std::string& text);

Cells pod_cells(const base::Json& pod, base::Instant now);
Cells job_cells(const base::Json& job, base::Instant now);
Cells jobset_cells(const base::Json& jobset, base::Instant now);
Cells node_cells(const base::Json& node, base::Instant now);
Cells service_cells(const base::Json& service, base::Instant now);
Cells event_cells(const base::Json& event, base::Instant now);
Cells endpoint_slice_cells(const base::Json& slice, base::Instant now);

}  // namespace pelton::api
