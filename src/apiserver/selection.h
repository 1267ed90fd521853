// SPDX-License-Identifier: Apache-2.0
// The label and field selectors of one list, watch or deletecollection.
#pragma once
#include "api/selector.h"
#include "apiserver/call.h"
#include "base/json.h"

namespace pelton::apiserver {

struct Selection {
  api::LabelSelector labels;
  api::FieldSelector fields;
  bool matches_everything() const {
    return labels.matches_everything() && fields.matches_everything();
  }
  bool matches(const base::Json& object) const {
    return labels.matches(object["metadata"]["labels"]) && fields.matches(object);
  }
};

/// From labelSelector, fieldSelector and the name in the path. BadRequest in upstream's words.
base::Result<Selection> read_selection(const Call& call);

}  // namespace pelton::apiserver
