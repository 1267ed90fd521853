// SPDX-License-Identifier: Apache-2.0
#include "apiserver/selection.h"

namespace pelton::apiserver {

base::Result<Selection> read_selection(const Call& call) {
  Selection out;
  base::Result<api::LabelSelector> labels =
      api::LabelSelector::parse(call.query.get("labelSelector"));
  if (!labels.ok()) return bad_request(labels.error().message());
  out.labels = std::move(labels).value();
  PELTON_ASSIGN(out.fields,
                api::FieldSelector::parse(call.query.get("fieldSelector"), *call.resource));
  return out;
}

}  // namespace pelton::apiserver
