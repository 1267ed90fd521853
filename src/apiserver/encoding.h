// SPDX-License-Identifier: Apache-2.0
// Objects as the store keeps them: JSON text with a gap where the store writes the revision.
#pragma once
#include <cstddef>
#include <string>

#include "base/json.h"

namespace pelton::apiserver {

struct EncodedObject {
  std::string bytes;     ///< with "resourceVersion":"" inside metadata
  size_t splice_at = 0;  ///< between these two quotes
};

/// Encodes the object; whatever resourceVersion it has is left out. It must be a JSON object.
EncodedObject encode_object(const base::Json& object);

}  // namespace pelton::apiserver
