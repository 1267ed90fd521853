// SPDX-License-Identifier: Apache-2.0
#include "api/custom/definition.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <tuple>

#include "api/columns_kinds.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::api::custom {

using base::Json;

namespace {
// In upstream's order, which is another than that of its own kinds.
constexpr std::string_view kVerbs[] = {"delete", "deletecollection", "get",    "list",
                                       "patch",  "create",           "update", "watch"};
/// While its definition is being deleted nothing new comes.
constexpr std::string_view kLastVerbs[] = {"delete", "deletecollection", "get", "list", "watch"};
constexpr std::string_view kGetPatchUpdate[] = {"get", "patch", "update"};

/// "v2beta3" -> (stability, 2, 3); nothing where the name is of another form.
struct Rank {
  int stability = 0;  ///< 3 stable, 2 beta, 1 alpha, 0 no such name
  int major = 0, minor = 0;
};

int take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number <= 0) return 0;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

Rank rank_of(std::string_view name) {
  Rank rank;
  if (!name.starts_with('v')) return {};
  name.remove_prefix(1);
  rank.major = take_number(name);
  if (rank.major == 0) return {};
  rank.stability = 3;
  if (name.empty()) return rank;
  for (const auto& [word, stability] :
       {std::pair<std::string_view, int>{"beta", 2}, {"alpha", 1}}) {
    if (!name.starts_with(word)) continue;
    name.remove_prefix(word.size());
    rank.stability = stability;
    rank.minor = take_number(name);
    return rank.minor > 0 && name.empty() ? rank : Rank();
  }
  return {};
}

/// "com.example.v1.Widget", as upstream names the types of custom kinds.
std::string type_name(const std::string& group, const std::string& version,
                      const std::string& kind) {
  std::vector<std::string> parts;
  for (std::string_view part : base::split(group, '.'))
    parts.insert(parts.begin(), std::string(part));
  parts.push_back(version);
  parts.push_back(kind);
  return base::join(parts, ".");
}

std::vector<std::string_view> views_of(const Json& list) {
  std::vector<std::string_view> out;
  for (const Json& text : list.items()) out.push_back(text.as_string());
  return out;
}

void add_column(Version& version, Column column, std::string_view path) {
  base::Result<JsonPath> parsed = JsonPath::parse(path);
  version.columns.push_back(column);
  version.paths.push_back(parsed.ok() ? std::optional(std::move(*parsed)) : std::nullopt);
}

void read_columns(const Json& columns, Version& version) {
  version.columns.push_back(
      {"Name", "string", "name", 0, "The object's name, unique in its namespace."});
  for (const Json& column : columns.items()) {
    const std::string& path = column["jsonPath"].as_string();
    std::string_view description = column["description"].as_string();
    if (description.empty()) {
      version.texts.push_back("Custom resource definition column (in JSONPath format): " + path);
      description = version.texts.back();
    }
    add_column(
        version,
        {column["name"].as_string(), column["type"].as_string(), column["format"].as_string(),
         static_cast<int>(column["priority"].as_int()), description},
        path);
  }
  if (columns.empty()) {
    add_column(version, {"Age", "date", "", 0, "Time since the object was created."},
               ".metadata.creationTimestamp");
  }
}

void read_subresources(const Json& from, Version& version, std::string_view group,
                       std::string_view kind) {
  if (from["scale"].is_object()) {
    version.scale = {from["scale"]["specReplicasPath"].as_string(),
                     from["scale"]["statusReplicasPath"].as_string(),
                     from["scale"]["labelSelectorPath"].as_string()};
    version.parts.push_back({"scale", "autoscaling", "v1", "Scale", kGetPatchUpdate});
  }
  if (from["status"].is_object()) {
    version.parts.push_back({"status", group, version.name, kind, kGetPatchUpdate});
  }
}

Json cell_of(std::string_view type, const Json& value, base::Instant now) {
  if (value.is_null()) return {};
  if (type == "integer") {
    return value.is_number() ? Json(static_cast<int64_t>(value.as_double())) : Json();
  }
  if (type == "number") return value.is_number() ? value : Json();
  if (type == "boolean") return value.is_bool() ? value : Json();
  if (type == "date") {
    if (!value.is_string()) return {};
    return base::parse_time(value.as_string()).ok() ? Json(age_cell(value, now))
                                                    : Json("<invalid>");
  }
  return cell_text(value);
}
}  // namespace

bool comes_before(std::string_view a, std::string_view b) {
  const Rank x = rank_of(a), y = rank_of(b);
  const auto key = [](const Rank& r) { return std::tie(r.stability, r.major, r.minor); };
  if (key(x) != key(y)) return key(x) > key(y);
  return a < b;
}

Definition::Definition(const Json& definition) : object_(definition) {
  is_terminating_ = api::is_being_deleted(object_);
  is_established_ = is_condition_true(object_, "Established");
  hash_ = base::hash64(object_["spec"].dump() + object_["status"]["acceptedNames"].dump());
  std::vector<std::unique_ptr<Version>> versions;
  for (const Json& version : object_["spec"]["versions"].items()) {
    versions.push_back(make_version(version));
  }
  // check_definition.h lets none without a stored version in.
  const auto stored = std::find_if(versions.begin(), versions.end(),
                                   [](const auto& version) { return version->is_storage; });
  PELTON_CHECK(stored != versions.end());
  storage_ = stored->get();
  for (const auto& version : versions) version->resource.storage = &storage_->resource;
  std::sort(versions.begin(), versions.end(),
            [](const auto& a, const auto& b) { return comes_before(a->name, b->name); });
  std::move(versions.begin(), versions.end(), std::back_inserter(versions_));
}

std::unique_ptr<Version> Definition::make_version(const Json& from) const {
  auto out = std::make_unique<Version>();
  Version& version = *out;
  version.name = from["name"].as_string();
  version.is_served = from["served"].as_bool();
  version.is_storage = from["storage"].as_bool();
  version.text = &from["schema"]["openAPIV3Schema"];
  version.schema = compile_schema(*version.text, true);
  version.type_name = type_name(group(), version.name, kind());
  version.type.name = version.type_name;
  version.type.schema = version.schema.get();
  if (from["deprecated"].as_bool()) {
    version.deprecation = from["deprecationWarning"].as_string();
    if (version.deprecation.empty()) {
      version.deprecation = group() + "/" + version.name + " " + kind() + " is deprecated";
    }
  }
  read_columns(from["additionalPrinterColumns"], version);
  read_subresources(from["subresources"], version, group(), kind());
  version.short_names = views_of(names()["shortNames"]);
  version.categories = views_of(names()["categories"]);
  for (const Json& field : from["selectableFields"].items()) {
    std::string_view path = field["jsonPath"].as_string();
    if (path.starts_with('.')) path.remove_prefix(1);
    version.selectable.push_back(path);
  }
  ResourceInfo& resource = version.resource;
  resource.group = group();
  resource.version = version.name;
  resource.kind = kind();
  resource.list_name = names()["listKind"].as_string();
  resource.plural = plural();
  resource.singular = names()["singular"].as_string();
  resource.short_names = version.short_names;
  resource.categories = version.categories;
  resource.verbs = std::span<const std::string_view>(kVerbs);
  if (is_terminating_) resource.verbs = std::span<const std::string_view>(kLastVerbs);
  resource.subresources = version.parts;
  resource.selectable_fields = version.selectable;
  resource.type = &version.type;
  resource.is_namespaced = object_["spec"]["scope"].as_string() == "Namespaced";
  resource.has_generation = true;
  resource.name_pattern = "subdomain";
  resource.custom = &version;
  return out;
}

std::shared_ptr<const Definition> Definition::compile(const Json& definition) {
  return std::make_shared<const Definition>(definition);
}

Json::Array custom_cells(const Version& version, const Json& object, base::Instant now) {
  Json::Array cells;
  cells.emplace_back(api::name_of(object));
  for (size_t i = 0; i < version.paths.size(); ++i) {
    std::vector<const Json*> found;
    if (version.paths[i]) found = version.paths[i]->find(object);
    cells.push_back(found.empty() ? Json() : cell_of(version.columns[i + 1].type, *found[0], now));
  }
  return cells;
}

}  // namespace pelton::api::custom
