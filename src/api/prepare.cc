// SPDX-License-Identifier: Apache-2.0
// What the server decides about an object on its way in: the part of upstream's strategies that is
// neither defaulting nor validation.
#include <algorithm>
#include <map>

#include "api/defaults.h"
#include "api/native.h"
#include "api/object.h"
#include "api/quantity.h"

namespace pelton::api {
namespace {

using base::Json;

constexpr const char* kServerMetadata[] = {"creationTimestamp", "deletionGracePeriodSeconds",
                                           "deletionTimestamp", "generation",
                                           "selfLink",          "uid"};

void copy_member(const Json& from, Json& to, std::string_view name) {
  if (const Json* value = from.find(name)) {
    to.set(name, *value);
  } else {
    to.erase(name);
  }
}

// A Job finds its pods by its uid; a user may do that by hand (manualSelector).
void prepare_job(Json& job) {
  Json& spec = job.child("spec");
  if (spec["manualSelector"].as_bool()) return;
  const std::string uid = uid_of(job);
  Json& labels = spec.child("template").child("metadata").child("labels");
  for (const char* key : {"job-name", "batch.kubernetes.io/job-name"}) {
    if (!labels.contains(key)) labels.set(key, name_of(job));
  }
  for (const char* key : {"controller-uid", "batch.kubernetes.io/controller-uid"}) {
    if (!labels.contains(key)) labels.set(key, uid);
  }
  spec.child("selector").child("matchLabels").set("batch.kubernetes.io/controller-uid", uid);
  if (!labels_of(job).empty()) return;
  Json copy = job["spec"]["template"]["metadata"]["labels"];
  job.child("metadata").set("labels", std::move(copy));
}

// A pod says from its beginning why nobody schedules it.
void prepare_pod(Json& pod) {
  Json status = Json::object({{"phase", "Pending"}, {"qosClass", qos_class(pod["spec"])}});
  if (!pod["spec"]["schedulingGates"].empty()) {
    status.set("conditions",
               Json::array({Json::object(
                   {{"type", "PodScheduled"},
                    {"status", "False"},
                    {"reason", "SchedulingGated"},
                    {"message", "Scheduling is blocked due to non-empty scheduling gates"},
                    {"lastProbeTime", nullptr},
                    {"lastTransitionTime", pod["metadata"]["creationTimestamp"]}})}));
  }
  pod.set("status", std::move(status));
}

// A Service that is another's name has no address; others say of what kind theirs are.
void settle_addresses(Json& service) {
  Json& spec = service.child("spec");
  if (spec["type"].as_string() == "ExternalName") {
    for (const char* field :
         {"clusterIP", "clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy"}) {
      spec.erase(field);
    }
    return;
  }
  const auto set_absent = [&spec](const char* field, Json value) {
    if (spec[field].is_null() || spec[field] == Json("")) spec.set(field, std::move(value));
  };
  set_absent("ipFamilies", Json::array({"IPv4"}));
  set_absent("ipFamilyPolicy", "SingleStack");
  const Json ip = spec["clusterIP"];
  if (!ip.as_string().empty()) set_absent("clusterIPs", Json::array({ip}));
}

// The first of a pod's addresses is said in two ways; the older one wins.
void agree_on_addresses(Json& status) {
  if (!status.is_object()) return;
  const Json first = status["podIPs"][size_t{0}]["ip"];
  const Json ip = status["podIP"];
  if (ip.as_string().empty() && !first.as_string().empty()) {
    status.set("podIP", first);
  } else if (!ip.as_string().empty() && !(ip == first)) {
    status.set("podIPs", Json::array({Json::object({{"ip", ip}})}));
  }
}

// Through /status come the status and, of built-in kinds, what the metadata says.
Json with_new_status(const ResourceInfo& resource, const Json& before, const Json& after) {
  Json result = before;
  copy_member(after, result, "status");
  if (!is_native(resource)) {
    copy_member(after["metadata"], result.child("metadata"), "resourceVersion");
    return result;
  }
  copy_member(after, result, "metadata");
  for (const char* name : kServerMetadata) {
    copy_member(before["metadata"], result.child("metadata"), name);
  }
  if (resource.kind == "Pod") {
    copy_member(before["metadata"], result.child("metadata"), "ownerReferences");
    agree_on_addresses(result.child("status"));
  }
  return result;
}

// Whether anything but metadata and the type's name differs. A status that is no subresource is a
// field like others.
bool differs_in_spec(const Json& before, const Json& after, bool counts_status) {
  const auto strip = [counts_status](const Json& object) {
    Json copy = object;
    for (const char* name : {"metadata", "apiVersion", "kind"}) copy.erase(name);
    if (!counts_status) copy.erase("status");
    return copy;
  };
  return !(strip(before) == strip(after));
}

using Amounts = std::map<std::string, Quantity>;

void add_amounts(const Json& list, Amounts& total) {
  for (const char* name : {"cpu", "memory"}) {
    const Quantity amount = Quantity::or_zero(list[name]);
    if (!amount.is_zero()) total[name] += amount;
  }
}

}  // namespace

void prepare_for_create(const ResourceInfo& resource, Json& object) {
  Json& metadata = object.child("metadata");
  for (const char* name : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"}) {
    metadata.erase(name);
  }
  metadata.erase("generation");
  if (resource.has_generation) metadata.set("generation", 1);
  // A Node's agent writes its first status with the object itself.
  if (resource.has_status() && (resource.custom || resource.kind != "Node")) object.erase("status");
  if (resource.custom != nullptr) return;
  if (resource.kind == "Job") prepare_job(object);
  if (resource.kind == "Pod") {
    prepare_pod(object);
  } else if (resource.kind == "Job") {
    object.set("status", Json::object());
  } else if (resource.kind == "Namespace") {
    object.child("spec").set("finalizers", Json::array({"kubernetes"}));
    object.set("status", Json::object({{"phase", "Active"}}));
  } else if (resource.kind == "Service") {
    settle_addresses(object);
    object.set("status", Json::object({{"loadBalancer", Json::object()}}));
  }
}

void prepare_for_update(const ResourceInfo& resource, const Json& before, Json& after,
                        bool is_status_update) {
  if (is_status_update) {
    after = with_new_status(resource, before, after);
    return;
  }
  // No reference into `after` is held while members are added to it: they move.
  for (const char* name : kServerMetadata) {
    copy_member(before["metadata"], after.child("metadata"), name);
  }
  if (resource.has_status()) copy_member(before, after, "status");
  if (resource.custom == nullptr && resource.kind == "Namespace") {
    copy_member(before["spec"], after.child("spec"), "finalizers");
  }
  if (resource.custom == nullptr && resource.kind == "Service") settle_addresses(after);
  const bool counts_status = resource.custom != nullptr && !resource.has_status();
  if (resource.has_generation && differs_in_spec(before, after, counts_status)) {
    after.child("metadata").set("generation", generation_of(before) + 1);
  }
}

std::string qos_class(const Json& pod_spec) {
  Amounts requests, limits;
  bool is_guaranteed = true;
  for (const char* list : {"containers", "initContainers"}) {
    for (const Json& container : pod_spec[list].items()) {
      const Json& resources = container["resources"];
      add_amounts(resources["requests"], requests);
      add_amounts(resources["limits"], limits);
      for (const char* name : {"cpu", "memory"}) {
        if (Quantity::or_zero(resources["limits"][name]).is_zero()) is_guaranteed = false;
      }
    }
  }
  if (requests.empty() && limits.empty()) return "BestEffort";
  return is_guaranteed && (requests.empty() || requests == limits) ? "Guaranteed" : "Burstable";
}

}  // namespace pelton::api
