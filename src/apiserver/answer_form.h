// SPDX-License-Identifier: Apache-2.0
// Objects in the forms that clients ask for: as they are, as rows of a Table, or metadata only.
// Pure.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "api/registry.h"
#include "apiserver/media_type.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::apiserver {

/// What a row of a Table carries beside its cells (query parameter includeObject).
enum class IncludeObject : uint8_t { None, Metadata, Object };

/// BadRequest for an unknown value; "" is Metadata.
base::Result<IncludeObject> parse_include_object(std::string_view text);

/// Position of a list in the history: goes into its metadata.
struct ListPosition {
  std::string resource_version;
  std::string continue_token;        ///< "" at the end
  int64_t remaining_item_count = 0;  ///< shown where > 0
  base::Json to_metadata() const;
};

struct TableOptions {
  IncludeObject include = IncludeObject::Metadata;
  bool has_columns = true;  ///< false: of a later event of a watch
};

/// {kind: Table, columnDefinitions, rows}.
base::Json make_table(const api::ResourceInfo& resource, std::span<const base::Json* const> objects,
                      const ListPosition& position, const TableOptions& options, base::Instant now);

/// {kind: PartialObjectMetadata, apiVersion: meta.k8s.io/v1, metadata}.
base::Json metadata_only(const base::Json& object);
base::Json metadata_only_list(std::span<const base::Json* const> objects,
                              const ListPosition& position);

/// One object in the form; Plain gives a copy.
base::Json shape_object(const api::ResourceInfo& resource, const base::Json& object,
                        AnswerForm form, const TableOptions& options, base::Instant now);

}  // namespace pelton::apiserver
