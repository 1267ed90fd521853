// SPDX-License-Identifier: Apache-2.0
// Fuzzes custom kinds: a definition made of the input's schema, and an object of that kind.
#include <cstdint>
#include <string_view>

#include "api/custom/definition.h"
#include "api/custom/establish.h"
#include "api/decode.h"
#include "api/defaults.h"
#include "api/fields/managed_fields.h"
#include "api/fields/typed.h"
#include "api/openapi.h"
#include "api/validate.h"
#include "base/json.h"

namespace {

using pelton::api::Registry;
using pelton::base::Json;

Json definition_of(Json schema, Json columns) {
  Json version = Json::object({{"name", "v1"},
                               {"served", true},
                               {"storage", true},
                               {"additionalPrinterColumns", std::move(columns)},
                               {"subresources", Json::object({{"status", Json::object()}})}});
  version.make("schema").set("openAPIV3Schema", std::move(schema));
  return Json::object(
      {{"apiVersion", "apiextensions.k8s.io/v1"},
       {"kind", "CustomResourceDefinition"},
       {"metadata", Json::object({{"name", "widgets.example.com"}})},
       {"spec", Json::object({{"group", "example.com"},
                              {"scope", "Namespaced"},
                              {"names", Json::object({{"plural", "widgets"}, {"kind", "Widget"}})},
                              {"versions", Json::array({std::move(version)})}})}});
}

void use(const Registry& registry, Json object) {
  namespace api = pelton::api;
  const api::ResourceInfo* resource = registry.find("example.com", "v1", "widgets");
  if (resource == nullptr) return;
  api::openapi_v3(registry, {"example.com", "v1"});
  if (!object.is_object()) return;
  object.erase("apiVersion");
  object.erase("kind");
  api::fields::find_faults(*resource->type, object);
  std::vector<std::string> unknown;
  if (!api::decode(*resource, object, unknown).ok()) return;
  const Json before = object;
  api::apply_defaults(*resource, object);
  const Json once = object;
  api::apply_defaults(*resource, object);
  if (!(once == object)) __builtin_trap();
  api::validate_create(*resource, object).ignore("only that it ends");
  api::validate_update(*resource, before, object).ignore("only that it ends");
  api::fields::compare(*resource->type, before, object);
  api::fields::merge(*resource->type, before, object);
  api::fields::fields_of(*resource->type, object);
  api::cells_of(*resource, object, {});
  Json again = api::convert(object, *resource);
  if (!(api::convert(again, *resource) == again)) __builtin_trap();
}

}  // namespace

// The input is three lines of JSON: a schema, columns, an object.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace api = pelton::api;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t first = text.find('\n');
  if (first == std::string_view::npos) return 0;
  const size_t second = text.find('\n', first + 1);
  if (second == std::string_view::npos) return 0;
  auto schema = Json::parse(text.substr(0, first));
  auto columns = Json::parse(text.substr(first + 1, second - first - 1));
  auto object = Json::parse(text.substr(second + 1));
  if (!schema.ok() || !columns.ok() || !object.ok()) return 0;
  Json definition = definition_of(std::move(*schema), std::move(*columns));
  const api::ResourceInfo* kind =
      Registry::builtin().find("apiextensions.k8s.io", "v1", "customresourcedefinitions");
  std::vector<std::string> unknown;
  if (!api::decode(*kind, definition, unknown).ok()) return 0;
  api::apply_defaults(*kind, definition);
  if (!api::validate_create(*kind, definition).ok()) return 0;
  api::custom::settle_status(definition, {}, {});
  api::custom::warnings_about(definition);
  const auto registry = Registry::with({api::custom::Definition::compile(definition)});
  use(*registry, std::move(*object));
  return 0;
}
