// SPDX-License-Identifier: Apache-2.0
#include "api/decode.h"

#include <gtest/gtest.h>

#include "api/defaults.h"
#include "api/object.h"

namespace pelton::api {
namespace {

using base::Json;

Json json(std::string_view text) {
  auto value = Json::parse(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : Json();
}

const ResourceInfo& resource(std::string_view group, std::string_view version,
                             std::string_view plural) {
  const ResourceInfo* info = Registry::builtin().find(group, version, plural);
  PELTON_CHECK(info != nullptr);
  return *info;
}

const ResourceInfo& pods() {
  return resource("", "v1", "pods");
}

TEST(Decode, PrunesUnknownFieldsAndNamesThem) {
  Json pod = json(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","lables":{}},"spec":
      {"foo":1,"containers":[{"name":"a"},{"name":"b","img":"x","env":[{"name":"X","val":"1"}]}],
       "nodeSelector":{"any":"thing"}}})");
  std::vector<std::string> unknown;
  ASSERT_TRUE(decode(pods(), pod, unknown).ok());
  EXPECT_EQ(unknown, (std::vector<std::string>{"metadata.lables", "spec.containers[1].env[0].val",
                                               "spec.containers[1].img", "spec.foo"}));
  EXPECT_EQ(pod["spec"]["nodeSelector"]["any"].as_string(), "thing");
  EXPECT_EQ(
      strict_error(pods(), {"unknown field \"spec.foo\""}).message(),
      "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field "
      "\"spec.foo\"");
}

TEST(Decode, MakesQuantitiesTimesAndNullsCanonical) {
  Json pod = json(R"({"metadata":{"name":"a","creationTimestamp":null},"spec":{"containers":[
      {"name":"a","resources":{"requests":{"cpu":0.5,"memory":"1024Mi"},"limits":{"cpu":2}}}]},
      "status":{"startTime":"2026-01-02T05:00:00.5+02:00"}})");
  std::vector<std::string> unknown;
  ASSERT_TRUE(decode(pods(), pod, unknown).ok());
  const Json& resources = pod["spec"]["containers"].items()[0]["resources"];
  EXPECT_EQ(resources.dump(), R"({"limits":{"cpu":"2"},"requests":{"cpu":"500m","memory":"1Gi"}})");
  EXPECT_EQ(pod["status"]["startTime"].as_string(), "2026-01-02T03:00:00Z");
  EXPECT_FALSE(pod["metadata"].contains("creationTimestamp"));
  EXPECT_EQ(pod["kind"].as_string(), "Pod");
}

TEST(Decode, DropsEmptyListsAndMapsOfGoTypesThatNeedNotBeThere) {
  const auto dropped = [](const ResourceInfo& info, const char* text) {
    Json object = json(text);
    std::vector<std::string> unknown;
    EXPECT_TRUE(decode(info, object, unknown).ok());
    drop_empty(info, object);
    object.erase("kind");
    object.erase("apiVersion");
    return object.dump();
  };
  EXPECT_EQ(dropped(pods(), R"({"metadata":{"name":"a","labels":{},"managedFields":[]},"spec":{
                    "nodeSelector":{},"containers":[{"env":[]}],"tolerations":[],
                    "volumes":[{"name":"v","emptyDir":{}}]}})"),
            R"({"metadata":{"managedFields":[],"name":"a"},"spec":{"containers":[{}],)"
            R"("volumes":[{"emptyDir":{},"name":"v"}]}})");
  EXPECT_EQ(dropped(resource("jobset.x-k8s.io", "v1alpha2", "jobsets"),
                    R"({"spec":{"replicatedJobs":[]}})"),
            R"({"spec":{"replicatedJobs":[]}})");
  EXPECT_EQ(dropped(resource("discovery.k8s.io", "v1", "endpointslices"),
                    R"({"endpoints":[],"ports":[]})"),
            R"({"endpoints":[],"ports":[]})");
}

TEST(Decode, RefusesWrongTypesWithTheFieldsPath) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"({"spec":{"containers":"x"}})", "spec.containers: expected array, got string"},
      {R"({"spec":{"containers":[{"name":1}]}})",
       "spec.containers[0].name: expected string, got integer"},
      {R"({"spec":{"terminationGracePeriodSeconds":"1"}})", "expected integer, got string"},
      {R"({"spec":{"hostNetwork":1}})", "spec.hostNetwork: expected boolean, got integer"},
      {R"({"spec":{"nodeSelector":{"a":true}}})", "spec.nodeSelector.a: expected string, got bool"},
      {R"({"spec":{"priority":3000000000}})", "spec.priority: 3000000000 does not fit an int32"},
      {R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"1 core"}}}]}})",
       "spec.containers[0].resources.limits.cpu: quantities must match"},
      {R"({"metadata":{"creationTimestamp":"today"}})", "metadata.creationTimestamp"},
      {R"({"kind":"Job"})", "the kind in the data (Job) does not match the expected kind (Pod)"},
      {R"({"apiVersion":"v2"})", "the API version in the data (v2)"},
      {R"([])", "must be a JSON object"},
  };
  for (const auto& [text, want] : kCases) {
    Json pod = json(text);
    std::vector<std::string> unknown;
    const base::Status status = decode(pods(), pod, unknown);
    EXPECT_EQ(status.reason(), "BadRequest") << text;
    EXPECT_NE(status.message().find(want), std::string::npos) << text << ": " << status.message();
  }
  Json secret = json(R"({"data":{"a":"&&&"}})");
  std::vector<std::string> unknown;
  EXPECT_NE(decode(resource("", "v1", "secrets"), secret, unknown).message().find("illegal base64"),
            std::string::npos);
}

TEST(Defaults, FillAPodAsUpstream) {
  Json pod = json(R"({"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"a:5000/x",
      "ports":[{"containerPort":80}],"livenessProbe":{"httpGet":{"port":80},"periodSeconds":3},
      "resources":{"limits":{"cpu":"1"}}},{"name":"d","image":"x:v1"},
      {"name":"e","image":"x@sha256:1"}],
      "volumes":[{"name":"v","configMap":{"name":"m"}},{"name":"w"}]}})");
  apply_defaults(pods(), pod);
  const Json& spec = pod["spec"];
  const Json& c = spec["containers"].items()[0];
  EXPECT_EQ(spec["restartPolicy"].as_string(), "Always");
  EXPECT_EQ(spec["dnsPolicy"].as_string(), "ClusterFirst");
  EXPECT_EQ(spec["terminationGracePeriodSeconds"].as_int(), 30);
  EXPECT_EQ(spec["schedulerName"].as_string(), "default-scheduler");
  EXPECT_EQ(spec["securityContext"].dump(), "{}");
  EXPECT_TRUE(spec["enableServiceLinks"].as_bool());
  EXPECT_EQ(c["imagePullPolicy"].as_string(), "Always");
  EXPECT_EQ(spec["containers"].items()[1]["imagePullPolicy"].as_string(), "IfNotPresent");
  EXPECT_EQ(spec["containers"].items()[2]["imagePullPolicy"].as_string(), "IfNotPresent");
  EXPECT_EQ(c["ports"].items()[0]["protocol"].as_string(), "TCP");
  EXPECT_EQ(c["livenessProbe"]["httpGet"].dump(), R"({"path":"/","port":80,"scheme":"HTTP"})");
  EXPECT_EQ(c["livenessProbe"]["periodSeconds"].as_int(), 3);
  EXPECT_EQ(c["livenessProbe"]["failureThreshold"].as_int(), 3);
  EXPECT_EQ(c["resources"].dump(), R"({"limits":{"cpu":"1"},"requests":{"cpu":"1"}})");
  EXPECT_EQ(spec["volumes"].items()[0]["configMap"]["defaultMode"].as_int(), 420);
  EXPECT_TRUE(spec["volumes"].items()[1].contains("emptyDir"));
  Json again = pod;
  apply_defaults(pods(), again);
  EXPECT_EQ(again, pod) << "defaulting twice changes nothing";
}

TEST(Defaults, FillServiceJobSecretNamespace) {
  Json service = json(R"({"spec":{"ports":[{"port":80}],"clusterIP":"None"}})");
  apply_defaults(resource("", "v1", "services"), service);
  EXPECT_FALSE(service["spec"].contains("ipFamilies")) << "no default: nobody owns it";
  prepare_for_create(resource("", "v1", "services"), service);
  EXPECT_EQ(service["spec"].dump(),
            R"({"clusterIP":"None","clusterIPs":["None"],"internalTrafficPolicy":"Cluster",)"
            R"("ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","ports":[{"port":80,)"
            R"("protocol":"TCP","targetPort":80}],"sessionAffinity":"None","type":"ClusterIP"})");
  Json job = json(R"({"metadata":{"name":"j"},"spec":{"template":{"metadata":{"labels":{"a":"b"}},
      "spec":{"containers":[{"name":"c","image":"x"}],"restartPolicy":"Never"}}}})");
  apply_defaults(resource("batch", "v1", "jobs"), job);
  EXPECT_EQ(job["spec"]["completions"].as_int(), 1);
  EXPECT_EQ(job["spec"]["parallelism"].as_int(), 1);
  EXPECT_EQ(job["spec"]["backoffLimit"].as_int(), 6);
  EXPECT_EQ(job["spec"]["completionMode"].as_string(), "NonIndexed");
  EXPECT_EQ(job["spec"]["podReplacementPolicy"].as_string(), "TerminatingOrFailed");
  EXPECT_EQ(label_of(job, "a"), "b");
  EXPECT_FALSE(job.at("spec.template.spec").contains("enableServiceLinks")) << "a template, no pod";
  Json queue = json(R"({"spec":{"parallelism":3}})");
  apply_defaults(resource("batch", "v1", "jobs"), queue);
  EXPECT_FALSE(queue["spec"].contains("completions"));
  Json secret = json(R"({"data":{"b":"eA=="},"stringData":{"a":"hi"}})");
  apply_defaults(resource("", "v1", "secrets"), secret);
  EXPECT_EQ(secret.dump(), R"({"data":{"a":"aGk=","b":"eA=="},"type":"Opaque"})");
  Json space = json(R"({"metadata":{"name":"n"}})");
  apply_defaults(resource("", "v1", "namespaces"), space);
  EXPECT_EQ(label_of(space, "kubernetes.io/metadata.name"), "n");
}

TEST(Defaults, FillAJobSetAsItsWebhookAndLeaveItsPodsAlone) {
  const ResourceInfo& jobsets = resource("jobset.x-k8s.io", "v1alpha2", "jobsets");
  const char* text = R"({"metadata":{"name":"s"},"spec":{"failurePolicy":{"rules":[{}]},
      "replicatedJobs":[{"name":"w","template":{"spec":{"template":{"spec":{"containers":[
      {"name":"c","image":"x"}]}}}}}]}})";
  Json jobset = json(text);
  apply_defaults(jobsets, jobset);
  const Json& spec = jobset["spec"];
  EXPECT_EQ(spec["successPolicy"]["operator"].as_string(), "All");
  EXPECT_EQ(spec["startupPolicy"]["startupPolicyOrder"].as_string(), "AnyOrder");
  EXPECT_EQ(spec["network"].dump(),
            R"({"enableDNSHostnames":true,"publishNotReadyAddresses":true})");
  EXPECT_EQ(spec["failurePolicy"]["maxRestarts"].as_int(-1), 0);
  EXPECT_EQ(spec["failurePolicy"]["rules"].items()[0]["name"].as_string(), "failurePolicyRule0");
  const Json& job = spec["replicatedJobs"].items()[0];
  EXPECT_EQ(job["replicas"].as_int(), 1);
  EXPECT_EQ(job["groupName"].as_string(), "default");
  EXPECT_EQ(
      job.at("template.spec").dump(),
      R"({"completionMode":"Indexed","template":{"spec":{"containers":[{"image":"x","name":"c"}],)"
      R"("restartPolicy":"OnFailure"}}})");
  Json updated = json(text);
  apply_defaults(jobsets, updated, false);
  EXPECT_FALSE(updated["spec"].contains("successPolicy")) << "the webhook defaults on create only";
}

TEST(Prepare, GivesAJobItsSelectorAndEmptiesItsStatus) {
  const ResourceInfo& jobs = resource("batch", "v1", "jobs");
  Json job = json(
      R"({"metadata":{"name":"j","uid":"u1","generation":7},"spec":{},"status":{"active":1}})");
  prepare_for_create(jobs, job);
  EXPECT_EQ(job["status"].dump(), "{}") << "as upstream shows a Job that nobody has looked at";
  EXPECT_EQ(generation_of(job), 1);
  EXPECT_EQ(labels_of(job), job.at("spec.template.metadata.labels"));
  EXPECT_EQ(job.at("spec.selector").dump(),
            R"({"matchLabels":{"batch.kubernetes.io/controller-uid":"u1"}})");
  EXPECT_EQ(job.at("spec.template.metadata.labels").dump(),
            R"({"batch.kubernetes.io/controller-uid":"u1","batch.kubernetes.io/job-name":"j",)"
            R"("controller-uid":"u1","job-name":"j"})");
}

TEST(Prepare, KeepsWhatAnUpdateMayNotTouch) {
  const Json before = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","uid":"u",
      "generation":1,"creationTimestamp":"t"},"spec":{"x":1},"status":{"phase":"Running"}})");
  Json after = json(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","uid":"v",
      "labels":{"l":"1"}},"spec":{"x":2},"status":{"phase":"Failed"}})");
  Json status = after;
  prepare_for_update(pods(), before, after);
  EXPECT_EQ(uid_of(after), "u");
  EXPECT_EQ(generation_of(after), 2);
  EXPECT_EQ(after.at("status.phase").as_string(), "Running");
  prepare_for_update(pods(), before, status, true);
  EXPECT_EQ(status.at("status.phase").as_string(), "Failed");
  EXPECT_EQ(status.at("spec.x").as_int(), 1);
  EXPECT_EQ(uid_of(status), "u");
  EXPECT_EQ(labels_of(status)["l"].as_string(), "1") << "the metadata of a built-in kind";
}

TEST(Prepare, TellsWhyAGatedPodWaits) {
  Json pod = json(R"({"metadata":{"name":"a"},"spec":{"schedulingGates":[{"name":"x/y"}]}})");
  prepare_for_create(pods(), pod);
  EXPECT_EQ(pod["status"]["conditions"][size_t{0}]["reason"].as_string(), "SchedulingGated");
}

TEST(Prepare, LetsThePodIpWinOverTheListOfThem) {
  const Json before = json(R"({"metadata":{"name":"a"},"spec":{},"status":{"podIP":"10.0.0.1"}})");
  Json after = before;
  after.child("status").set("podIPs", Json::array({Json::object({{"ip", "nonsense"}})}));
  prepare_for_update(pods(), before, after, true);
  EXPECT_EQ(after["status"]["podIPs"].dump(), R"([{"ip":"10.0.0.1"}])");
}

TEST(Prepare, ClassifiesPodsByTheirResources) {
  EXPECT_EQ(qos_class(json(R"({"containers":[{"name":"a"}]})")), "BestEffort");
  EXPECT_EQ(qos_class(json(R"({"containers":[{"resources":{"requests":{"cpu":"1"}}}]})")),
            "Burstable");
  EXPECT_EQ(qos_class(json(R"({"containers":[{"resources":{"requests":{"cpu":"1","memory":"1Gi"},
      "limits":{"cpu":"1000m","memory":"1024Mi"}}}]})")),
            "Guaranteed");
}

TEST(Convert, TurnsEventsIntoTheirOtherVersion) {
  const ResourceInfo& core = resource("", "v1", "events");
  const ResourceInfo& events = resource("events.k8s.io", "v1", "events");
  const Json old = json(R"({"apiVersion":"v1","kind":"Event","involvedObject":{"name":"p"},
      "message":"m","reason":"r","count":2})");
  const Json converted = convert(old, events);
  EXPECT_EQ(converted.dump(),
            R"({"apiVersion":"events.k8s.io/v1","deprecatedCount":2,"kind":"Event","note":"m",)"
            R"("reason":"r","regarding":{"name":"p"}})");
  EXPECT_EQ(convert(converted, core), old);
  EXPECT_EQ(events.store_key("ns", "e"), "/core/events/ns/e");
}

}  // namespace
}  // namespace pelton::api
