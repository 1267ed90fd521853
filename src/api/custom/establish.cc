// SPDX-License-Identifier: Apache-2.0
#include "api/custom/establish.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "api/custom/check_definition.h"
#include "api/custom/check_object.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::api::custom {

using base::Json;

namespace {
using Names = std::set<std::string, std::less<>>;

void take(Names& names, const Json& name) {
  if (!name.as_string().empty()) names.insert(name.as_string());
}

/// Which of the wanted names become the accepted ones.
class NameSettler {
 public:
  NameSettler(Json& definition, const std::vector<const Json*>& others)
      : wanted_(definition["spec"]["names"]), accepted_(definition["status"]["acceptedNames"]) {
    for (const Json* other : others) {
      if (!((*other)["spec"]["group"] == definition["spec"]["group"])) continue;
      const Json& names = (*other)["status"]["acceptedNames"];
      take(resources_, names["plural"]);
      take(resources_, names["singular"]);
      for (const Json& name : names["shortNames"].items()) take(resources_, name);
      take(kinds_, names["kind"]);
      take(kinds_, names["listKind"]);
    }
  }

  /// The condition NamesAccepted.
  Condition run() {
    settle("plural", resources_, "PluralConflict");
    settle("singular", resources_, "SingularConflict");
    settle_short_names();
    settle("kind", kinds_, "KindConflict");
    settle("listKind", kinds_, "ListKindConflict");
    copy("categories");
    for (const char* required : {"plural", "kind"}) {
      if (accepted_[required].is_null()) accepted_.set(required, "");
    }
    if (!reason_.empty()) return {"NamesAccepted", "False", reason_, message_};
    return {"NamesAccepted", "True", "NoConflicts", "no conflicts found"};
  }
  Json take_accepted() { return std::move(accepted_); }

 private:
  void copy(std::string_view field) {
    if (wanted_[field].empty() && wanted_[field].as_string().empty()) {
      accepted_.erase(field);
    } else {
      accepted_.set(field, wanted_[field]);
    }
  }

  void settle(std::string_view field, const Names& taken, std::string reason) {
    const std::string& name = wanted_[field].as_string();
    if (name == accepted_[field].as_string() || !taken.contains(name)) return copy(field);
    conflict(name, std::move(reason));
  }

  void settle_short_names() {
    const auto& own = accepted_["shortNames"].items();
    std::vector<std::string> taken;
    for (const Json& name : wanted_["shortNames"].items()) {
      const bool is_own = std::find(own.begin(), own.end(), name) != own.end();
      if (!is_own && resources_.contains(name.as_string())) taken.push_back(name.as_string());
    }
    if (taken.empty()) return copy("shortNames");
    conflict(taken.front(), "ShortNamesConflict");
  }

  void conflict(const std::string& name, std::string reason) {
    reason_ = std::move(reason);
    message_ = "\"" + name + "\" is already in use";
  }

  Json wanted_;
  Json accepted_;
  Names resources_, kinds_;
  std::string reason_, message_;
};

void add_stored_version(Json& definition) {
  for (const Json& version : definition["spec"]["versions"].items()) {
    if (!version["storage"].as_bool()) continue;
    const Json name = version["name"];
    Json& stored = definition.make("status.storedVersions");
    if (stored.is_null()) stored = Json::array();
    const auto& known = stored.items();
    if (std::find(known.begin(), known.end(), name) == known.end()) stored.push_back(name);
    return;
  }
}

void note_approval(Json& definition, base::Instant now) {
  if (!is_protected_group(definition["spec"]["group"].as_string())) return;
  const std::string& approval = annotation_of(definition, kApprovalAnnotation);
  const bool is_approved = !approval.starts_with("unapproved");
  set_condition(definition,
                {"KubernetesAPIApprovalPolicyConformant", is_approved ? "True" : "False",
                 is_approved ? "ApprovedAnnotation" : "UnapprovedAnnotation",
                 is_approved ? "approved in " + approval : "not approved: \"" + approval + "\""},
                now);
}
}  // namespace

bool is_definition(const Json& object) {
  return object["kind"].as_string() == "CustomResourceDefinition" &&
         object["apiVersion"].as_string() == "apiextensions.k8s.io/v1";
}

void settle_status(Json& definition, const std::vector<const Json*>& others, base::Instant now) {
  if (!definition["status"].is_object()) definition.set("status", Json::object());
  add_stored_version(definition);
  note_approval(definition, now);
  const bool is_settled = definition["status"]["acceptedNames"] == definition["spec"]["names"] &&
                          find_condition(definition, "Established") != nullptr;
  if (is_settled) return;
  NameSettler settler(definition, others);
  const Condition names = settler.run();
  definition.child("status").set("acceptedNames", settler.take_accepted());
  set_condition(definition, names, now);
  if (is_condition_true(definition, "Established")) return;
  if (names.status == "True") {
    set_condition(
        definition,
        {"Established", "True", "InitialNamesAccepted", "the initial names have been accepted"},
        now);
  } else {
    set_condition(definition, {"Established", "False", "NotAccepted", "not all names are accepted"},
                  now);
  }
}

void mark_terminating(Json& definition, base::Instant now) {
  if (!has_finalizer(definition, kCleanupFinalizer)) {
    definition.make("metadata.finalizers").push_back(kCleanupFinalizer);
  }
  set_condition(definition,
                {"Terminating", "True", "InstanceDeletionPending",
                 "CustomResourceDefinition marked for deletion; CustomResource deletion will begin "
                 "soon"},
                now);
}

void note_waiting(Json& definition, size_t objects_left, base::Instant now) {
  set_condition(definition,
                {"Terminating", "True", "InstanceDeletionInProgress",
                 fmt::format("CustomResource deletion is in progress: {} remaining", objects_left)},
                now);
}

std::vector<std::string> warnings_about(const Json& definition) {
  std::vector<std::string> out;
  size_t rules = 0;
  std::set<std::string> formats;
  for (const Json& version : definition["spec"]["versions"].items()) {
    for_each_schema(version["schema"]["openAPIV3Schema"], [&](const Json& schema) {
      rules += schema["x-kubernetes-validations"].size();
      const std::string& format = schema["format"].as_string();
      const Type type = type_of(schema["type"].as_string());
      if (!format.empty() && !is_known_format(format, type)) formats.insert(format);
    });
  }
  for (const std::string& format : formats) out.push_back("unrecognized format \"" + format + "\"");
  if (rules > 0) {
    out.push_back(fmt::format(
        "{} rule{} in x-kubernetes-validations (CEL) {} not evaluated: objects of kind {} that "
        "break {} are accepted",
        rules, rules == 1 ? "" : "s", rules == 1 ? "is" : "are",
        definition["spec"]["names"]["kind"].as_string(), rules == 1 ? "it" : "them"));
  }
  if (definition["spec"]["conversion"]["strategy"].as_string() == "Webhook") {
    out.emplace_back(
        "spec.conversion.strategy: the webhook is not called: between versions only apiVersion "
        "changes, as with strategy None");
  }
  return out;
}

}  // namespace pelton::api::custom
