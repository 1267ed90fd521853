// SPDX-License-Identifier: Apache-2.0
// Manifests that people have: the example of this tree and, where the published ones lie beside it
// (../shared/manifests), those too. Each is decoded, defaulted and validated as the server does.
#include <gtest/gtest.h>

#include <set>

#include "api/custom/definition.h"
#include "api/custom/establish.h"
#include "api/decode.h"
#include "api/defaults.h"
#include "api/object.h"
#include "api/validate.h"
#include "api/yaml.h"
#include "os/files.h"
#include "os/loop.h"

namespace pelton::api {
namespace {

using base::Json;

// Tests run in the directory of the sources.
class Manifests : public testing::Test {
 protected:
  int check_file(const std::string& path, const Registry& registry = Registry::builtin());
  void check_object(const std::string& path, const ResourceInfo& resource, Json& object);
  std::vector<std::string> files_below(const std::string& directory);
  std::shared_ptr<const Registry> define_all(const std::string& directory);
  std::unique_ptr<os::Loop> loop_ = std::move(os::Loop::make()).value();
  os::OsFiles files_{*loop_, "."};
};

// Validates every object of a kind that we serve; returns how many there were.
int Manifests::check_file(const std::string& path, const Registry& registry) {
  auto text = files_.read(path);
  EXPECT_TRUE(text.ok()) << text.status().to_string();
  auto documents = parse_yaml_documents(text.ok() ? *text : "");
  EXPECT_TRUE(documents.ok()) << path << ": " << documents.status().to_string();
  if (!documents.ok()) return 0;
  int count = 0;
  for (Json& object : *documents) {
    const ResourceInfo* resource = registry.find_kind(gvk_of(object));
    if (!resource) continue;
    ++count;
    check_object(path, *resource, object);
  }
  return count;
}

void Manifests::check_object(const std::string& path, const ResourceInfo& resource, Json& object) {
  std::vector<std::string> unknown;
  EXPECT_EQ(decode(resource, object, unknown).to_string(), "Ok") << path;
  EXPECT_EQ(unknown, std::vector<std::string>()) << path << " " << name_of(object);
  if (resource.is_namespaced) object.child("metadata").child("namespace") = "default";
  if (name_of(object).empty()) object.child("metadata").set("name", "generated");
  object.child("metadata").set("uid", "u");
  apply_defaults(resource, object);
  prepare_for_create(resource, object);
  EXPECT_EQ(validate_create(resource, object).to_string(), "Ok") << path;
  EXPECT_EQ(validate_update(resource, object, object).to_string(), "Ok") << path;
}

// YAML files in the directory and those in it, each with its path.
std::vector<std::string> Manifests::files_below(const std::string& directory) {
  std::vector<std::string> out;
  auto entries = files_.list(directory);
  if (!entries.ok()) return out;
  for (const world::DirectoryEntry& entry : *entries) {
    const std::string path = directory + "/" + entry.name;
    if (entry.name.ends_with(".yaml")) out.push_back(path);
    const std::vector<std::string> below = files_below(path);
    out.insert(out.end(), below.begin(), below.end());
  }
  return out;
}

// Each file is one CustomResourceDefinition, which must be good; returns what serves them.
std::shared_ptr<const Registry> Manifests::define_all(const std::string& directory) {
  Registry::Definitions definitions;
  for (const std::string& path : files_below(directory)) {
    Json object = parse_yaml(files_.read(path).value()).value();
    const ResourceInfo* resource = Registry::builtin().find_kind(gvk_of(object));
    EXPECT_NE(resource, nullptr) << path;
    if (resource == nullptr) continue;
    check_object(path, *resource, object);
    custom::settle_status(object, {}, {});
    definitions.push_back(custom::Definition::compile(object));
  }
  return Registry::with(std::move(definitions));
}

TEST_F(Manifests, PublishedDefinitionsAreAcceptedAndServe) {
  const auto registry = define_all("../shared/crds");
  if (registry->definitions().empty()) GTEST_SKIP() << "no published definitions in ../shared/crds";
  EXPECT_EQ(registry->definitions().size(), 24U) << "all but JobSet's, which is built in";
  int count = 0;
  for (const char* name : {"ray/ray-cluster.yaml", "ray/ray-job.tpu-v6e-multihost.yaml",
                           "dws/dws-queues.yaml", "vllm/vllm-llama3-405b-A3.yaml",
                           "inference-gateway/httproute.yaml", "monitoring/prom.yaml"}) {
    count += check_file(std::string("../shared/manifests/") + name, *registry);
  }
  EXPECT_GE(count, 10);
}

TEST_F(Manifests, OfThisTreeAreAccepted) {
  EXPECT_GT(check_file("examples/train-gpt/jobset.yaml"), 0);
}

TEST_F(Manifests, PublishedOnesAreAccepted) {
  const std::string directory = "../shared/manifests/jobset";
  auto entries = files_.list(directory);
  if (!entries.ok()) GTEST_SKIP() << "no published manifests in ../shared/manifests";
  int count = 0;
  for (const world::DirectoryEntry& entry : *entries) {
    // Needs JobSet's gate InPlaceRestart, which is off; a template with placeholders for numbers.
    if (entry.name == "jobset-main-container-mode.yaml" ||
        entry.name == "nccl-test-a4x-max-jobset.yaml") {
      continue;
    }
    if (entry.name.ends_with(".yaml")) count += check_file(directory + "/" + entry.name);
  }
  EXPECT_GE(count, 5);
}

// The names below a struct of the table, and below the schema of a definition.
void expect_same_fields(const Json& schema, const TypeInfo& type, const std::string& where) {
  std::set<std::string> ours, theirs;
  for (const Field& field : type.fields) {
    ours.emplace(field.name);
    const Json& property = schema["properties"][std::string(field.name)];
    if (field.type && field.type->name.starts_with("dev.pelton.")) {
      expect_same_fields(field.shape == Shape::List ? property["items"] : property, *field.type,
                         where + "." + std::string(field.name));
    }
  }
  for (const auto& [name, property] : schema["properties"].members()) theirs.insert(name);
  EXPECT_EQ(ours, theirs) << where;
}

// What a Kubernetes of others is given for RecoveryPolicy is what our own server serves.
TEST_F(Manifests, TheDefinitionOfRecoveryPolicyIsTheBuiltInKind) {
  auto text = files_.read("deploy/kubernetes/recoverypolicy-crd.yaml");
  ASSERT_TRUE(text.ok()) << text.status().to_string();
  Json definition = std::move((*parse_yaml_documents(*text))[0]);
  const Json schema =
      definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
  expect_same_fields(schema, *find_type("dev.pelton.v1alpha1.RecoveryPolicySpec"), "spec");

  Json mine = Json::object(), theirs = Json::object();
  const ResourceInfo* builtin =
      Registry::builtin().find_kind({"pelton.dev", "v1alpha1", "RecoveryPolicy"});
  ASSERT_NE(builtin, nullptr);
  apply_defaults(*builtin, mine);
  const auto compiled = custom::Definition::compile(definition);
  apply_defaults(compiled->versions()[0]->resource, theirs);
  EXPECT_EQ(mine["spec"].dump(), theirs["spec"].dump());
}

}  // namespace
}  // namespace pelton::api
