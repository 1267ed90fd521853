// SPDX-License-Identifier: Apache-2.0
#include "apiserver/answer_form.h"

#include "api/columns.h"
#include "apiserver/api_status.h"

namespace pelton::apiserver {

using base::Json;

base::Result<IncludeObject> parse_include_object(std::string_view text) {
  if (text.empty() || text == "Metadata") return IncludeObject::Metadata;
  if (text == "None") return IncludeObject::None;
  if (text == "Object") return IncludeObject::Object;
  return bad_request("query parameter includeObject=" + std::string(text) +
                     ": want None, Metadata or Object");
}

Json ListPosition::to_metadata() const {
  Json out = Json::object({{"resourceVersion", resource_version}});
  if (!continue_token.empty()) out.set("continue", continue_token);
  if (remaining_item_count > 0) out.set("remainingItemCount", remaining_item_count);
  return out;
}

Json metadata_only(const Json& object) {
  return Json::object({{"kind", "PartialObjectMetadata"},
                       {"apiVersion", "meta.k8s.io/v1"},
                       {"metadata", object["metadata"]}});
}

Json metadata_only_list(std::span<const Json* const> objects, const ListPosition& position) {
  Json items = Json::array();
  for (const Json* object : objects) items.push_back(metadata_only(*object));
  return Json::object({{"kind", "PartialObjectMetadataList"},
                       {"apiVersion", "meta.k8s.io/v1"},
                       {"metadata", position.to_metadata()},
                       {"items", std::move(items)}});
}

namespace {
Json column_definitions(const api::ResourceInfo& resource) {
  Json out = Json::array();
  for (const api::Column& column : api::columns_of(resource)) {
    out.push_back(Json::object({{"name", column.name},
                                {"type", column.type},
                                {"format", column.format},
                                {"description", column.description},
                                {"priority", column.priority}}));
  }
  return out;
}
}  // namespace

Json make_table(const api::ResourceInfo& resource, std::span<const Json* const> objects,
                const ListPosition& position, const TableOptions& options, base::Instant now) {
  Json rows = Json::array();
  for (const Json* object : objects) {
    Json row = Json::object({{"cells", Json(api::cells_of(resource, *object, now))}});
    if (options.include == IncludeObject::Object) row.set("object", *object);
    if (options.include == IncludeObject::Metadata) row.set("object", metadata_only(*object));
    rows.push_back(std::move(row));
  }
  return Json::object(
      {{"kind", "Table"},
       {"apiVersion", "meta.k8s.io/v1"},
       {"metadata", position.to_metadata()},
       {"columnDefinitions", options.has_columns ? column_definitions(resource) : Json::array()},
       {"rows", std::move(rows)}});
}

Json shape_object(const api::ResourceInfo& resource, const Json& object, AnswerForm form,
                  const TableOptions& options, base::Instant now) {
  if (form == AnswerForm::Table) {
    const Json* one = &object;
    ListPosition position;
    position.resource_version = object["metadata"]["resourceVersion"].as_string();
    return make_table(resource, std::span(&one, 1), position, options, now);
  }
  if (form == AnswerForm::PartialObjectMetadata) return metadata_only(object);
  return object;
}

}  // namespace pelton::apiserver
