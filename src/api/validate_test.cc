// SPDX-License-Identifier: Apache-2.0
#include "api/validate.h"

#include <gtest/gtest.h>

#include "api/decode.h"
#include "api/defaults.h"
#include "api/object.h"
#include "api/patch.h"
#include "api/yaml.h"

namespace pelton::api {
namespace {

using base::Json;

const char* kPod = R"(
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: default}
spec:
  containers:
  - {name: c, image: busybox}
)";
const char* kJob = R"(
apiVersion: batch/v1
kind: Job
metadata: {name: j, namespace: default, uid: u1}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox}]
)";
const char* kJobSet = R"(
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: s, namespace: default}
spec:
  replicatedJobs:
  - name: driver
    template: {spec: {completions: 1, template: {spec: {containers: [{name: c, image: busybox}]}}}}
  - name: workers
    replicas: 2
    template: {spec: {completions: 2, template: {spec: {containers: [{name: c, image: busybox}]}}}}
)";

const ResourceInfo& resource_of(const Json& object) {
  const ResourceInfo* info = Registry::builtin().find_kind(gvk_of(object));
  PELTON_CHECK(info != nullptr);
  return *info;
}

// As the server does: decode, default, prepare.
Json prepared(const char* yaml, const char* patch = "{}") {
  Json object = merge_patch(parse_yaml(yaml).value(), parse_yaml(patch).value());
  std::vector<std::string> unknown;
  const base::Status status = decode(resource_of(object), object, unknown);
  EXPECT_TRUE(status.ok()) << status.to_string();
  EXPECT_TRUE(unknown.empty()) << unknown[0];
  apply_defaults(resource_of(object), object);
  prepare_for_create(resource_of(object), object);
  return object;
}

std::string created(const char* yaml, const char* patch = "{}") {
  const Json object = prepared(yaml, patch);
  return validate_create(resource_of(object), object).message();
}

std::string updated(const char* yaml, const char* patch, const char* before_patch = "{}") {
  const Json before = prepared(yaml, before_patch);
  const Json after = merge_patch(before, parse_yaml(patch).value());
  return validate_update(resource_of(before), before, after).message();
}

struct Case {
  const char* patch;
  const char* want;  ///< part of the message; "" where the object is good
};

void expect_created(const char* yaml, std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    const std::string message = created(yaml, c.patch);
    if (*c.want == 0) {
      EXPECT_EQ(message, "") << c.patch;
    } else {
      EXPECT_NE(message.find(c.want), std::string::npos) << c.patch << "\n  " << message;
    }
  }
}

TEST(Validate, SpeaksAsKubeApiserver) {
  const Json pod = prepared(kPod, "{spec: {containers: [{name: c}, {name: c, image: x}]}}");
  const base::Status status = validate_create(resource_of(pod), pod);
  EXPECT_EQ(status.reason(), "Invalid");
  EXPECT_EQ(status.message(),
            "Pod \"a\" is invalid: [spec.containers[0].image: Required value, "
            "spec.containers[1].name: Duplicate value: \"c\"]");
  ASSERT_EQ(status.causes().size(), 2u);
  EXPECT_EQ(status.causes()[0],
            (base::Cause{"FieldValueRequired", "spec.containers[0].image", "Required value"}));
}

TEST(Validate, ChecksMetadata) {
  expect_created(
      kPod,
      {{"{}", ""},
       {"{metadata: {name: A_b}}",
        "metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of"},
       {"{metadata: {name: null}}",
        "metadata.name: Required value: name or generateName is required"},
       {"{metadata: {labels: {'a b': x}}}",
        "metadata.labels: Invalid value: \"a b\": name part must"},
       {"{metadata: {labels: {a: 'x y'}}}",
        "metadata.labels: Invalid value: \"x y\": a valid label"},
       {"{metadata: {annotations: {'-': x}}}", "metadata.annotations: Invalid value: \"-\""},
       {"{metadata: {finalizers: [a b]}}", "metadata.finalizers: Invalid value: \"a b\""},
       {"{metadata: {ownerReferences: [{kind: Job, apiVersion: v1, name: x, uid: ''}]}}",
        "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"}});
}

TEST(Validate, ChecksPods) {
  expect_created(
      kPod,
      {{"{spec: {containers: []}}", "spec.containers: Required value"},
       {"{spec: {containers: [{name: C, image: x}]}}",
        "spec.containers[0].name: Invalid value: \"C\""},
       {"{spec: {restartPolicy: Sometimes}}",
        "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
        "\"OnFailure\", \"Never\""},
       {"{spec: {containers: [{name: c, image: x, volumeMounts: [{name: v, mountPath: /v}]}]}}",
        "spec.containers[0].volumeMounts[0].name: Not found: \"v\""},
       {"{spec: {volumes: [{name: v, emptyDir: {}}, {name: v}]}}",
        "spec.volumes[1].name: Duplicate value: \"v\""},
       {"{spec: {volumes: [{name: v, emptyDir: {}, hostPath: {path: /}}]}}",
        "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"},
       {"{spec: {containers: [{name: c, image: x, ports: [{containerPort: 70000}]}]}}",
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and "
        "65535"},
       {"{spec: {containers: [{name: c, image: x, resources: {requests: {cpu: 2}, limits: {cpu: "
        "1}}}]}}",
        "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal "
        "to cpu "
        "limit of 1"},
       {"{spec: {containers: [{name: c, image: x, resources: {requests: {google.com/tpu: 1}}}]}}",
        "Limit must be set for non overcommitable resources"},
       {"{spec: {containers: [{name: c, image: x, resources: {limits: {google.com/tpu: 500m}}}]}}",
        "must be an integer"},
       {"{spec: {containers: [{name: c, image: x, resources: {limits: {tpus: 1}}}]}}",
        "must be a standard resource"},
       {"{spec: {containers: [{name: c, image: x, resources: {limits: {google.com/tpu: 4}}}]}}",
        ""},
       {"{spec: {containers: [{name: c, image: x, env: [{name: 'A=B'}]}]}}",
        "spec.containers[0].env[0].name: Invalid value"},
       {"{spec: {tolerations: [{operator: Equal, value: x}]}}", "operator must be Exists when"},
       {"{spec: {nodeSelector: {a: '?'}}}", "spec.nodeSelector: Invalid value"},
       {"{spec: {terminationGracePeriodSeconds: -1}}", ""},
       {"{spec: {hostname: a.b}}", "spec.hostname: Invalid value"}});
}

TEST(Validate, KeepsPodsAsTheyAre) {
  EXPECT_EQ(updated(kPod, "{metadata: {labels: {a: b}}}"), "");
  EXPECT_EQ(updated(kPod, "{spec: {activeDeadlineSeconds: 5}}"), "");
  EXPECT_NE(
      updated(kPod, "{spec: {nodeName: x}}").find("spec: Forbidden: pod updates may not change"),
      std::string::npos);
  EXPECT_NE(updated(kPod, "{metadata: {name: b}}")
                .find("metadata.name: Invalid value: \"b\": field is "
                      "immutable"),
            std::string::npos);
  EXPECT_EQ(updated(kPod, "{spec: {schedulingGates: null, nodeSelector: {a: b}}}",
                    "{spec: {schedulingGates: [{name: x.io/y}]}}"),
            "");
}

TEST(Validate, ChecksRecoveryPolicies) {
  const char* policy =
      "{apiVersion: pelton.dev/v1alpha1, kind: RecoveryPolicy, metadata: {name: p, namespace: "
      "default}}";
  EXPECT_EQ(prepared(policy)["spec"]["budget"]["generations"].as_int(), 60);
  expect_created(
      policy,
      {{"{spec: {minReplicas: 2, maxReplicas: 4, meshes: [{name: a, ranks: 3}], rungs: [Shrink]}}",
        ""},
       {"{spec: {minReplicas: 4, maxReplicas: 2}}",
        "spec.minReplicas: Invalid value: 4: must be less than or equal to spec.maxReplicas, 2"},
       {"{spec: {minReplicas: 0}}", "spec.minReplicas: Invalid value: 0"},
       {"{spec: {spares: -1}}", "spec.spares: Invalid value: -1"},
       {"{spec: {rungs: [Pray]}}", "spec.rungs[0]: Unsupported value: \"Pray\""},
       {"{spec: {meshes: [{name: a, ranks: 0}]}}", "spec.meshes[0].ranks: Invalid value: 0"},
       {"{spec: {budget: {generations: 0}}}", "spec.budget.generations: Invalid value: 0"}});
}

TEST(Validate, ChecksJobs) {
  expect_created(
      kJob,
      {{"{}", ""},
       {"{spec: {parallelism: -1}}",
        "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"},
       {"{spec: {completionMode: Indexed, parallelism: 1}}",
        "spec.completions: Required value: when completion mode is Indexed"},
       {"{spec: {completionMode: Other}}", "spec.completionMode: Unsupported value: \"Other\""},
       {"{spec: {template: {spec: {restartPolicy: Always}}}}",
        "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", "
        "\"Never\""},
       {"{spec: {manualSelector: true, selector: {matchLabels: {a: b}}}}",
        "`selector` does not match template `labels`"},
       {"{spec: {backoffLimitPerIndex: 1}}", "requires indexed completion mode"},
       {"{spec: {podFailurePolicy: {rules: [{action: Explode, onExitCodes: {operator: In, values: "
        "[1]}}]}}}",
        "spec.podFailurePolicy.rules[0].action: Unsupported value"}});
  EXPECT_EQ(created(kJob,
                    "{metadata: {name: '"
                    "J"
                    "'}}")
                .substr(0, 10),
            "Job.batch ");
}

TEST(Validate, ChecksIndexedJobs) {
  expect_created(
      kJob,
      {{"{spec: {completionMode: Indexed, completions: 5, parallelism: 100001}}",
        "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when "
        "completion mode is Indexed"},
       {"{spec: {completionMode: Indexed, completions: 2, backoffLimitPerIndex: 1, "
        "maxFailedIndexes: 3}}",
        "spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"},
       {"{spec: {completionMode: Indexed, completions: 100001, backoffLimitPerIndex: 1}}",
        "spec.maxFailedIndexes: Required value: must be specified when completions is above "
        "100000"},
       {"{spec: {completionMode: Indexed, completions: 2, maxFailedIndexes: 1}}",
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"},
       {"{spec: {managedBy: nobody}}",
        "spec.managedBy: Invalid value: \"nobody\": must be a domain-prefixed path"},
       {"{spec: {managedBy: example.com/queue}}", ""},
       {"{spec: {activeDeadlineSeconds: -1}}",
        "spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"},
       {"{spec: {ttlSecondsAfterFinished: -1}}", "spec.ttlSecondsAfterFinished: Invalid value"},
       {"{spec: {podReplacementPolicy: Never}}", "spec.podReplacementPolicy: Unsupported value"}});
}

TEST(Validate, ChecksJobsFailurePolicies) {
  const auto with = [](const std::string& rule) {
    return "{spec: {podFailurePolicy: {rules: [{" + rule + "}]}}}";
  };
  const struct {
    std::string patch, says;
  } cases[] = {
      {with("action: FailJob, onExitCodes: {operator: In, values: [1, 42]}"), ""},
      {with("action: FailJob, onExitCodes: {operator: In, values: [0]}"),
       "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for "
       "the In operator"},
      {with("action: FailJob, onExitCodes: {operator: NotIn, values: [2, 1]}"),
       "rules[0].onExitCodes.values: Invalid value"},
      {with("action: FailJob, onExitCodes: {operator: NotIn, values: [1, 1]}"),
       "rules[0].onExitCodes.values[1]: Duplicate value: 1"},
      {with("action: FailJob, onExitCodes: {containerName: z, operator: In, values: [1]}"),
       "rules[0].onExitCodes.containerName: Invalid value: \"z\": must be one of the container or "
       "initContainer names in the pod template"},
      {with("action: FailIndex, onExitCodes: {operator: In, values: [1]}"),
       "rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be "
       "specified"},
      {with("action: Ignore, onPodConditions: [{type: DisruptionTarget, status: 'Maybe'}]"),
       "rules[0].onPodConditions[0].status: Unsupported value: \"Maybe\""},
      {with("action: Ignore, onPodConditions: [{type: X, status: 'True'}], onExitCodes: {operator: "
            "In, values: [1]}"),
       "specifying both OnExitCodes and OnPodConditions is not supported"},
      {"{spec: {podReplacementPolicy: TerminatingOrFailed, podFailurePolicy: {rules: []}}}",
       "spec.podReplacementPolicy: Invalid value: \"TerminatingOrFailed\": only Failed is "
       "supported when podFailurePolicy is specified"},
      {"{spec: {template: {spec: {restartPolicy: OnFailure}}, podFailurePolicy: {rules: []}}}",
       "only \"Never\" is supported when podFailurePolicy is specified"},
  };
  for (const auto& one : cases) {
    const std::string answer = created(kJob, one.patch.c_str());
    if (one.says.empty()) {
      EXPECT_EQ(answer, "") << one.patch;
    } else {
      EXPECT_NE(answer.find(one.says), std::string::npos) << one.patch << "\n" << answer;
    }
  }
}

TEST(Validate, ChecksJobsSuccessPolicies) {
  const auto with = [](const std::string& rule) {
    return "{spec: {completionMode: Indexed, completions: 4, successPolicy: {rules: [{" + rule +
           "}]}}}";
  };
  const struct {
    std::string patch, says;
  } cases[] = {
      {with("succeededIndexes: '0,2-3', succeededCount: 2"), ""},
      {with(""),
       "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or "
       "succeededIndexes must be specified"},
      {with("succeededIndexes: '2-4'"), "rules[0].succeededIndexes: Invalid value: \"2-4\""},
      {with("succeededIndexes: '2,1'"), "rules[0].succeededIndexes: Invalid value: \"2,1\""},
      {with("succeededIndexes: 'a'"), "rules[0].succeededIndexes: Invalid value: \"a\""},
      {with("succeededCount: 5"),
       "rules[0].succeededCount: Invalid value: 5: must be less than or equal to 4 (the number of "
       "specified completions)"},
      {with("succeededIndexes: '0', succeededCount: 2"),
       "rules[0].succeededCount: Invalid value: 2: must be less than or equal to 1 (the number of "
       "indexes"},
      {"{spec: {successPolicy: {rules: [{succeededCount: 1}]}}}",
       "}: requires indexed completion mode"},
  };
  for (const auto& one : cases) {
    const std::string answer = created(kJob, one.patch.c_str());
    if (one.says.empty()) {
      EXPECT_EQ(answer, "") << one.patch;
    } else {
      EXPECT_NE(answer.find(one.says), std::string::npos) << one.patch << "\n" << answer;
    }
  }
}

TEST(Validate, KeepsWhatAJobIsAboutAndLetsItsSizeChange) {
  const char* indexed = "{spec: {completionMode: Indexed, parallelism: 2, completions: 2}}";
  for (const char* change :
       {"{spec: {completionMode: Indexed}}", "{spec: {managedBy: example.com/x}}",
        "{spec: {podFailurePolicy: {rules: []}}}"}) {
    EXPECT_NE(updated(kJob, change).find("field is immutable"), std::string::npos) << change;
  }
  for (const char* change : {"{spec: {backoffLimitPerIndex: 1}}",
                             "{spec: {successPolicy: {rules: "
                             "[{succeededCount: 1}]}}}"}) {
    EXPECT_NE(updated(kJob, change, indexed).find("field is immutable"), std::string::npos)
        << change;
  }
  EXPECT_EQ(updated(kJob,
                    "{spec: {backoffLimit: 1, activeDeadlineSeconds: 5, ttlSecondsAfterFinished: "
                    "1, suspend: true, parallelism: 0}}"),
            "");
  EXPECT_NE(updated(kJob, "{spec: {completions: 3}}", indexed)
                .find("spec.completions: Invalid value: 3: can only be modified in tandem with "
                      "spec.parallelism"),
            std::string::npos);
}

TEST(Validate, KeepsJobsSelectorAndTemplate) {
  EXPECT_EQ(updated(kJob, "{spec: {parallelism: 3}}"), "");
  EXPECT_EQ(updated(kJob, "{spec: {suspend: true}}"), "");
  EXPECT_NE(updated(kJob, "{spec: {completions: 3}}")
                .find("spec.completions: Invalid value: 3: field is "
                      "immutable"),
            std::string::npos);
  EXPECT_NE(updated(kJob, "{spec: {template: {spec: {nodeSelector: {a: b}}}}}")
                .find("spec.template: Inv"),
            std::string::npos);
  EXPECT_EQ(updated(kJob, "{spec: {template: {spec: {nodeSelector: {a: b}}}}}",
                    "{spec: {suspend: true}}"),
            "")
      << "a queue may say where, before the Job starts";
  EXPECT_EQ(updated(kJob, "{spec: {parallelism: 3, completions: 3}}",
                    "{spec: {completionMode: Indexed, parallelism: 2, completions: 2}}"),
            "")
      << "an elastic Indexed Job";
}

TEST(Validate, ChecksJobSets) {
  expect_created(
      kJobSet,
      {{"{}", ""},
       {"{metadata: {name: this-name-is-long-enough-to-make-the-names-of-the-children-too-long}}",
        "spec.replicatedJobs[0].name: Invalid value: \"driver\""},
       {"{spec: {replicatedJobs: [{name: a}]}}", "spec.replicatedJobs[0].template: Required value"},
       {"{spec: {successPolicy: {operator: Some}}}",
        "spec.successPolicy.operator: Unsupported value: \"Some\": supported values: \"All\", "
        "\"Any\""},
       {"{spec: {successPolicy: {targetReplicatedJobs: [x]}}}",
        "spec.successPolicy.targetReplicatedJobs[0]: Invalid value: \"x\""},
       {"{spec: {failurePolicy: {rules: [{action: FailJobSet, name: '1'}]}}}",
        "failure policy rule name"},
       {"{spec: {failurePolicy: {rules: [{action: RestartJobSet, onJobFailureReasons: [Bad]}]}}}",
        "spec.failurePolicy.rules[0].onJobFailureReasons[0]: Unsupported value: \"Bad\""},
       {"{spec: {failurePolicy: {maxRestarts: 3, rules: [{action: "
        "RestartJobSetAndIgnoreMaxRestarts}]}}}",
        ""},
       {"{spec: {network: {subdomain: 1x}}}", "spec.network.subdomain: Invalid value: \"1x\""},
       {"{spec: {coordinator: {replicatedJob: driver, podIndex: 1}}}",
        "pod index 1 is invalid for replicatedJob driver"},
       {"{spec: {coordinator: {replicatedJob: workers, jobIndex: 1, podIndex: 1}}}", ""},
       {"{spec: {managedBy: me}}", "must be a domain-prefixed path"},
       {"{spec: {ttlSecondsAfterFinished: -1}}", "must be greater than or equal to 0"}});
}

TEST(Validate, ChecksJobSetsDependencies) {
  const char* job = "template: {spec: {template: {spec: {containers: [{name: c, image: x}]}}}}";
  const auto with = [&](const std::string& first, const std::string& second) {
    return "{spec: {replicatedJobs: [{name: a, " + first + job + "}, {name: b, " + second + job +
           "}]}}";
  };
  EXPECT_EQ(created(kJobSet, with("", "dependsOn: [{name: a, status: Ready}], ").c_str()), "");
  EXPECT_NE(created(kJobSet, with("", "dependsOn: [{name: z, status: Ready}], ").c_str())
                .find("cannot depend on replicatedJob: z"),
            std::string::npos);
  EXPECT_NE(created(kJobSet, with("dependsOn: [{name: a, status: Ready}], ", "").c_str())
                .find("DependsOn can't be set for the first"),
            std::string::npos);
  EXPECT_NE(created(kJobSet, with("", "dependsOn: [{name: a, status: Soon}], ").c_str())
                .find("Unsupported value: \"Soon\""),
            std::string::npos);
}

// What `kubectl apply` and `kubectl replace` do with a manifest that has not changed.
base::Status applied_again(const char* yaml) {
  const Json before = prepared(yaml);
  Json after = parse_yaml(yaml).value();
  std::vector<std::string> unknown;
  EXPECT_TRUE(decode(resource_of(after), after, unknown).ok());
  apply_defaults(resource_of(after), after, false);
  prepare_for_update(resource_of(after), before, after);
  return validate_update(resource_of(after), before, after);
}

TEST(Validate, AcceptsAnUnchangedManifestAgain) {
  EXPECT_EQ(applied_again(kPod).to_string(), "Ok");
  EXPECT_EQ(applied_again(kJobSet).to_string(), "Ok");
  EXPECT_NE(applied_again(kJob).message().find("spec.selector: Required value"), std::string::npos)
      << "a Job cannot be replaced: its selector was made from its uid";
}

TEST(Validate, KeepsJobSetsReplicatedJobs) {
  EXPECT_EQ(updated(kJobSet, "{spec: {suspend: true}}"), "");
  const char* change =
      "{spec: {suspend: false, replicatedJobs: [{name: driver, groupName: default, replicas: 1, "
      "template: {spec: {completionMode: Indexed, completions: 1, template: {spec: {restartPolicy: "
      "OnFailure, nodeSelector: {a: b}, containers: [{name: c, image: busybox}]}}}}}]}}";
  EXPECT_NE(updated(kJobSet, change).find("field is immutable"), std::string::npos);
  const char* one =
      "{spec: {suspend: true, replicatedJobs: [{name: driver, template: {spec: {completions: 1, "
      "template: {spec: {containers: [{name: c, image: busybox}]}}}}}]}}";
  EXPECT_EQ(updated(kJobSet, change, one), "") << "a queue says where, when it resumes";
  EXPECT_EQ(updated(kJobSet, "{spec: {network: null}}"), "")
      << "CEL compares only where both exist";
  EXPECT_NE(updated(kJobSet, "{spec: {network: {subdomain: x}}}").find("Value is immutable"),
            std::string::npos);
  EXPECT_NE(updated(kJobSet, "{spec: {replicatedJobs: []}}").find("field is immutable"),
            std::string::npos);
}

TEST(Validate, EvaluatesEveryRuleOfJobSetsSchema) {
  const struct {
    const char* before;
    const char* change;
    const char* says;  ///< "": allowed
  } cases[] = {
      {"{}", "{spec: {network: {enableDNSHostnames: false}}}", "spec.network: Invalid value"},
      {"{}", "{spec: {successPolicy: {operator: Any}}}", "spec.successPolicy: Invalid value"},
      {"{}", "{spec: {startupPolicy: {startupPolicyOrder: InOrder}}}",
       "spec.startupPolicy: Invalid value"},
      {"{spec: {failurePolicy: {maxRestarts: 1}}}", "{spec: {failurePolicy: {maxRestarts: 2}}}",
       "spec.failurePolicy: Invalid value: \"object\": Value is immutable"},
      {"{}", "{spec: {failurePolicy: {maxRestarts: 2}}}", ""},
      {"{spec: {failurePolicy: {maxRestarts: 1}}}", "{spec: {failurePolicy: null}}", ""},
      {"{}", "{spec: {successPolicy: null}}", ""},
      {"{spec: {suspend: true}}", "{spec: {network: {enableDNSHostnames: false}}}",
       "spec.network: Invalid value"},  // suspended or not
      {"{spec: {managedBy: a.io/x}}", "{spec: {managedBy: a.io/y}}",
       "spec.managedBy: Invalid value: \"a.io/y\": field is immutable"},
      {"{spec: {managedBy: a.io/x}}", "{spec: {ttlSecondsAfterFinished: 5, suspend: true}}", ""},
      {"{}", "{spec: {ttlSecondsAfterFinished: -5}}", "must be greater than or equal to 0"},
      {"{}", "{spec: {coordinator: {replicatedJob: nobody}}}", ""},  // not looked at again
  };
  for (const auto& one : cases) {
    const std::string answer = updated(kJobSet, one.change, one.before);
    if (*one.says == 0) {
      EXPECT_EQ(answer, "") << one.change;
    } else {
      EXPECT_NE(answer.find(one.says), std::string::npos) << one.change << "\n" << answer;
    }
  }
}

TEST(Validate, KeepsTheOrderInWhichAJobSetStarts) {
  const char* job = "template: {spec: {template: {spec: {containers: [{name: c, image: x}]}}}}";
  const auto jobs = [&](const std::string& more, const char* order = "AnyOrder") {
    return "{spec: {startupPolicy: {startupPolicyOrder: " + std::string(order) +
           "}, replicatedJobs: [{name: a, " + job + "}, {name: b, " + more + job + "}]}}";
  };
  const std::string ready = "dependsOn: [{name: a, status: Ready}], ";
  EXPECT_NE(created(kJobSet, jobs(ready, "InOrder").c_str())
                .find("spec: Invalid value: \"object\": StartupPolicy and DependsOn APIs are "
                      "mutually exclusive"),
            std::string::npos);
  EXPECT_NE(updated(kJobSet, jobs("dependsOn: [{name: a, status: Complete}], ").c_str(),
                    jobs(ready).c_str())
                .find("spec.replicatedJobs[1].dependsOn: Invalid value: \"array\": Value is "
                      "immutable"),
            std::string::npos);
  EXPECT_NE(created(kJobSet,
                    jobs("dependsOn: [{name: a, status: Ready}, {name: b, status: Ready}, {name: "
                         "c, status: Ready}, {name: d, status: Ready}, {name: e, status: Ready}, "
                         "{name: f, status: Ready}], ")
                        .c_str())
                .find("spec.replicatedJobs[1].dependsOn: Too many: 6: must have at most 5 items"),
            std::string::npos);
}

TEST(Validate, RefusesVolumeClaimsOfJobSetsAndSaysWhatToDo) {
  EXPECT_NE(
      created(kJobSet, "{spec: {volumeClaimPolicies: [{templates: [{metadata: {name: d}}]}]}}")
          .find("spec.volumeClaimPolicies: Forbidden: persistent volume claims are not "
                "offered"),
      std::string::npos);
}

TEST(Validate, LetsAQueueChangeOnlyWhereAndWithWhichLabelsPodsRun) {
  // With the defaults written out: a patch replaces the list as a whole.
  const auto template_with = [](const std::string& spec, const std::string& more = "") {
    return "{spec: {suspend: true, replicatedJobs: [{name: driver, groupName: default, replicas: "
           "1, template: {spec: {completionMode: Indexed, completions: 1, template: {" +
           more + "spec: {" + spec +
           "restartPolicy: OnFailure, containers: [{name: c, image: busybox}]}}}}}]}}";
  };
  const std::string before = template_with("");
  for (const std::string& after :
       {template_with("", "metadata: {labels: {a: b}, annotations: {c: d}}, "),
        template_with("nodeSelector: {a: b}, tolerations: [{operator: Exists}], "),
        template_with("schedulingGates: [{name: x}], ")}) {
    EXPECT_EQ(updated(kJobSet, after.c_str(), before.c_str()), "") << after;
  }
  for (const std::string& after :
       {template_with("affinity: {nodeAffinity: {}}, "), template_with("priority: 1, ")}) {
    EXPECT_NE(
        updated(kJobSet, after.c_str(), before.c_str()).find("spec.replicatedJobs: Invalid value"),
        std::string::npos)
        << after;
  }
}

TEST(Validate, ChecksTheSmallKinds) {
  const char* service =
      "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: d}, spec: {ports: [{port: "
      "1}]}}";
  expect_created(service,
                 {{"{}", ""},
                  {"{spec: {ports: null}}", "spec.ports: Required value"},
                  {"{spec: {ports: null, clusterIP: None}}", ""},
                  {"{spec: {type: X}}", "spec.type: Unsupported value: \"X\""},
                  {"{metadata: {name: a.b}}", "a lowercase RFC 1123 label must consist of"},
                  {"{spec: {ports: [{port: 1}, {port: 2}]}}", "spec.ports[0].name: Required value"},
                  {"{spec: {ports: [{port: 0}]}}", "must be between 1 and 65535"}});
  EXPECT_NE(updated(service, "{spec: {clusterIP: 10.0.0.1}}", "{spec: {clusterIP: None}}")
                .find("may not change once set"),
            std::string::npos);
  const char* config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: d}}";
  expect_created(
      config,
      {{"{data: {a/b: x}}", "data[a/b]: Invalid value: \"a/b\": a valid config key"},
       {"{data: {a: x}, binaryData: {a: eA==}}", "duplicate of key present in binaryData"}});
  EXPECT_NE(updated(config, "{data: {a: y}}", "{immutable: true, data: {a: x}}")
                .find("data: Forbidden: field is immutable when `immutable` is set"),
            std::string::npos);
  const char* node = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";
  expect_created(
      node, {{"{spec: {taints: [{key: a, effect: Later}]}}", "spec.taints[0].effect: Unsupported"},
             {"{metadata: {namespace: x}}", "metadata.namespace: Forbidden: not allowed on this"}});
  expect_created(
      "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: l, namespace: d}}",
      {{"{spec: {leaseDurationSeconds: 0}}",
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"}});
  expect_created(
      "{apiVersion: pelton.dev/v1alpha1, kind: GangBinding, metadata: {name: g, namespace: d}}",
      {{"{spec: {bindings: []}}", "spec.bindings: Required value"},
       {"{spec: {bindings: [{podName: p, nodeName: n1}]}}",
        "spec.bindings[0].podUID: Required value"},
       {"{spec: {bindings: [{podName: p, podUID: u, nodeName: n1}]}}", ""}});
}

}  // namespace
}  // namespace pelton::api
