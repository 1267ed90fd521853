// SPDX-License-Identifier: Apache-2.0
// The pure parts of the pipeline: paths, media types, authorization, encoding, service IPs.
#include <gtest/gtest.h>

#include "apiserver/authorize.h"
#include "apiserver/call.h"
#include "apiserver/encoding.h"
#include "apiserver/media_type.h"
#include "apiserver/request_path.h"
#include "apiserver/service_ips.h"

namespace pelton::apiserver {
namespace {

using base::Json;

struct PathCase {
  const char* path;
  bool is_resource;
  const char *group, *version, *ns, *resource, *name, *subresource;
};

TEST(RequestPath, ReadsEveryShapeOfAKubernetesPath) {
  const PathCase cases[] = {
      {"/api/v1/pods", true, "", "v1", "", "pods", "", ""},
      {"/api/v1/namespaces/a/pods", true, "", "v1", "a", "pods", "", ""},
      {"/api/v1/namespaces/a/pods/x/log", true, "", "v1", "a", "pods", "x", "log"},
      {"/api/v1/namespaces/a", true, "", "v1", "a", "namespaces", "a", ""},
      {"/api/v1/namespaces/a/status", true, "", "v1", "a", "namespaces", "a", "status"},
      {"/api/v1/namespaces/a/finalize", true, "", "v1", "a", "namespaces", "a", "finalize"},
      {"/api/v1/namespaces", true, "", "v1", "", "namespaces", "", ""},
      {"/apis/batch/v1/namespaces/a/jobs/j/status", true, "batch", "v1", "a", "jobs", "j",
       "status"},
      {"/apis/batch/v1/jobs/", true, "batch", "v1", "", "jobs", "", ""},
      {"/api/v1", false, "", "", "", "", "", ""},
      {"/apis/batch/v1", false, "", "", "", "", "", ""},
      {"/version", false, "", "", "", "", "", ""},
      {"/api/v1/namespaces/a/pods/x/log/more", false, "", "v1", "a", "pods", "x", "log"},
  };
  for (const PathCase& c : cases) {
    const RequestPath p = parse_request_path(c.path);
    EXPECT_EQ(p.is_resource, c.is_resource) << c.path;
    EXPECT_EQ(p.group, c.group) << c.path;
    EXPECT_EQ(p.version, c.version) << c.path;
    EXPECT_EQ(p.ns, c.ns) << c.path;
    EXPECT_EQ(p.resource, c.resource) << c.path;
    EXPECT_EQ(p.name, c.name) << c.path;
    EXPECT_EQ(p.subresource, c.subresource) << c.path;
  }
}

TEST(RequestPath, AnEncodedSlashMakesNoNewPiece) {
  EXPECT_FALSE(parse_request_path("/api/v1/namespaces/a/pods/x%2Fbinding").is_resource);
  EXPECT_FALSE(parse_request_path("/api/v1/namespaces//pods").is_resource);
}

TEST(MediaType, TheFirstFormThatWeHaveWins) {
  const std::pair<const char*, AnswerForm> cases[] = {
      {"", AnswerForm::Plain},
      {"*/*", AnswerForm::Plain},
      {"application/json;as=Table;v=v1;g=meta.k8s.io,application/json", AnswerForm::Table},
      {"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", AnswerForm::Plain},
      {"application/vnd.kubernetes.protobuf,application/json", AnswerForm::Plain},
      {"application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
       "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
       AnswerForm::PartialObjectMetadata},
      {"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
       AnswerForm::Discovery},
  };
  for (const auto& [accept, form] : cases) {
    const auto got = negotiate_answer(accept);
    ASSERT_TRUE(got.ok()) << accept;
    EXPECT_EQ(*got, form) << accept;
  }
  for (const char* accept : {"application/vnd.kubernetes.protobuf", "application/yaml"}) {
    const auto got = negotiate_answer(accept);
    ASSERT_FALSE(got.ok()) << accept;
    EXPECT_EQ(http_code(got.error()), 406) << accept;
  }
}

struct NodeCase {
  bool may;
  const char *verb, *group, *resource, *subresource, *ns, *name, *field_selector;
};

TEST(Authorize, ANodeMayDoWhatItsKubeletNeedsAndNoMore) {
  const NodeCase cases[] = {
      {true, "create", "", "nodes", "", "", "", ""},
      {true, "patch", "", "nodes", "status", "", "n1", ""},
      {false, "patch", "", "nodes", "status", "", "n2", ""},
      {false, "delete", "", "nodes", "", "", "n1", ""},
      {true, "list", "", "nodes", "", "", "", ""},
      {true, "update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n1", ""},
      {false, "update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n2", ""},
      {false, "update", "coordination.k8s.io", "leases", "", "default", "n1", ""},
      {true, "watch", "", "pods", "", "", "", "spec.nodeName=n1"},
      {true, "list", "", "pods", "", "", "", "status.phase!=Failed,spec.nodeName==n1"},
      {false, "list", "", "pods", "", "", "", ""},
      {false, "list", "", "pods", "", "", "", "spec.nodeName=n2"},
      {false, "list", "", "pods", "", "", "", "spec.nodeName!=n1"},
      {true, "patch", "", "pods", "status", "a", "x", ""},
      {false, "patch", "", "pods", "", "a", "x", ""},
      {false, "create", "", "pods", "", "a", "", ""},
      {false, "create", "", "pods", "binding", "a", "x", ""},
      {true, "delete", "", "pods", "", "a", "x", ""},
      {false, "deletecollection", "", "pods", "", "a", "", "spec.nodeName=n1"},
      {true, "create", "", "events", "", "a", "", ""},
      {false, "list", "", "events", "", "a", "", ""},
      {true, "get", "", "secrets", "", "a", "s", ""},
      {true, "watch", "", "secrets", "", "a", "", "metadata.name=s"},
      {false, "list", "", "secrets", "", "a", "", ""},
      {true, "list", "", "services", "", "", "", ""},
      {false, "list", "batch", "jobs", "", "", "", ""},
      {false, "create", "pelton.dev", "gangbindings", "", "a", "", ""},
      {true, "watch", "pelton.dev", "recoverypolicies", "", "a", "", ""},
      {true, "get", "pelton.dev", "recoverypolicies", "", "a", "p", ""},
      {false, "update", "pelton.dev", "recoverypolicies", "", "a", "p", ""},
      {false, "update", "pelton.dev", "recoverypolicies", "status", "a", "p", ""},
      {false, "get", "pelton.dev", "recoverypolicies", "status", "a", "p", ""},
  };
  for (const NodeCase& c : cases) {
    Access access{c.verb, c.group, c.resource, c.subresource, c.ns, c.name, c.field_selector, ""};
    const net::Identity node{"system:node:n1", {"system:nodes"}};
    EXPECT_EQ(authorize(node, access).ok(), c.may)
        << c.verb << " " << c.resource << "/" << c.subresource << " " << c.name << " "
        << c.field_selector;
    // Neither the name alone nor the group alone makes a node; masters may everything.
    EXPECT_FALSE(authorize({"system:node:n1", {}}, access).ok());
    EXPECT_FALSE(authorize({"n1", {"system:nodes"}}, access).ok());
    EXPECT_TRUE(authorize({"a", {"system:masters"}}, access).ok());
  }
}

TEST(Authorize, MetricsAreForWhoMonitorsAndNothingElseIs) {
  const net::Identity monitoring{"prometheus", {"system:monitoring"}};
  const net::Identity node{"system:node:n1", {"system:nodes"}};
  const auto may = [](const net::Identity& who, const char* verb, const char* path) {
    return authorize(who, {verb, "", "", "", "", "", "", path}).ok();
  };
  EXPECT_TRUE(may(monitoring, "get", "/metrics"));
  EXPECT_TRUE(may({"a", {"system:masters"}}, "get", "/metrics"));
  EXPECT_FALSE(may(monitoring, "post", "/metrics"));
  EXPECT_FALSE(may(monitoring, "get", "/version"));
  EXPECT_FALSE(may(node, "get", "/metrics"));
  EXPECT_TRUE(may(node, "get", "/version"));
  EXPECT_FALSE(authorize(monitoring, {"list", "", "pods", "", "", "", "", ""}).ok());
}

TEST(Authorize, SaysNoInKubernetesWords) {
  const base::Status status =
      authorize({"eve", {}}, {"list", "batch", "jobs", "", "a", "", "", ""});
  EXPECT_EQ(status.message(),
            "jobs.batch is forbidden: User \"eve\" cannot list resource \"jobs\" in API group "
            "\"batch\" in the namespace \"a\"");
  EXPECT_EQ(http_code(status), 403);
}

TEST(Authorize, FindsEveryUseOfASecretInAPod) {
  const char* pods[] = {
      R"({"spec":{"volumes":[{"secret":{"secretName":"s"}}]}})",
      R"({"spec":{"volumes":[{"projected":{"sources":[{"secret":{"name":"s"}}]}}]}})",
      R"({"spec":{"containers":[{"env":[{"valueFrom":{"secretKeyRef":{"name":"s"}}}]}]}})",
      R"({"spec":{"initContainers":[{"envFrom":[{"secretRef":{"name":"s"}}]}]}})",
      R"({"spec":{"imagePullSecrets":[{"name":"s"}]}})",
  };
  for (const char* text : pods) {
    const Json pod = Json::parse(text).value();
    EXPECT_TRUE(pod_references(pod, "secrets", "s")) << text;
    EXPECT_FALSE(pod_references(pod, "secrets", "t")) << text;
    EXPECT_FALSE(pod_references(pod, "configmaps", "s")) << text;
  }
}

TEST(Encoding, LeavesTheGapInsideMetadataWhereverItSorts) {
  const char* objects[] = {
      R"({"metadata":{},"kind":"A"})",
      R"({"metadata":{"resourceVersion":"17","name":"a"}})",
      R"({"metadata":{"uid":"u","resourceVersion":"x"},"spec":{"metadata":{"name":"b"}}})",
      R"({"data":{"resourceVersion":"\"resourceVersion\":\"\""},"metadata":{"name":"a"}})",
  };
  for (const char* text : objects) {
    const Json object = Json::parse(text).value();
    EncodedObject encoded = encode_object(object);
    encoded.bytes.insert(encoded.splice_at, "42");
    Json want = object;
    want.make("metadata").set("resourceVersion", "42");
    EXPECT_EQ(encoded.bytes, want.dump()) << text;
  }
}

TEST(ServiceIps, GivesTheLowestFreeAddressAndKeepsWhatWasAskedFor) {
  const IpRange range = IpRange::parse("10.96.0.0/28").value();
  const auto assign = [&](const char* spec, const std::set<std::string>& used) {
    Json service = Json::object({{"spec", Json::parse(spec).value()}});
    const auto got = assign_cluster_ip(service, range, used);
    return got.ok() ? service["spec"]["clusterIP"].as_string() : got.error().message();
  };
  EXPECT_EQ(assign("{}", {}), "10.96.0.10");
  EXPECT_EQ(assign("{}", {"10.96.0.10", "10.96.0.12"}), "10.96.0.11");
  EXPECT_EQ(assign(R"({"clusterIP":"None"})", {}), "None");
  EXPECT_EQ(assign(R"({"type":"ExternalName"})", {}), "");
  EXPECT_EQ(assign(R"({"clusterIP":"10.96.0.3"})", {}), "10.96.0.3");
  EXPECT_NE(assign(R"({"clusterIP":"10.96.0.3"})", {"10.96.0.3"}).find("already allocated"),
            std::string::npos);
  EXPECT_NE(assign(R"({"clusterIP":"10.97.0.3"})", {}).find("not in the valid range"),
            std::string::npos);
  std::set<std::string> all;
  for (uint32_t i = 0; i < 16; ++i) all.insert(format_ipv4(range.first + i));
  EXPECT_NE(assign("{}", all).find("in use"), std::string::npos);
}

}  // namespace
}  // namespace pelton::apiserver
