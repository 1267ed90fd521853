// SPDX-License-Identifier: Apache-2.0
// Manifests that people have: the example of this tree and, where the published ones lie beside it
// (../shared/manifests), those too. Each is decoded, defaulted and validated as the server does.
#include <gtest/gtest.h>

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
  int check_file(const std::string& path);
  std::unique_ptr<os::Loop> loop_ = std::move(os::Loop::make()).value();
  os::OsFiles files_{*loop_, "."};
};

// Validates every object of a kind that we serve; returns how many there were.
int Manifests::check_file(const std::string& path) {
  auto text = files_.read(path);
  EXPECT_TRUE(text.ok()) << text.status().to_string();
  auto documents = parse_yaml_documents(text.ok() ? *text : "");
  EXPECT_TRUE(documents.ok()) << path << ": " << documents.status().to_string();
  if (!documents.ok()) return 0;
  int count = 0;
  for (Json& object : *documents) {
    const ResourceInfo* resource = Registry::builtin().find_kind(gvk_of(object));
    if (!resource) continue;
    ++count;
    std::vector<std::string> unknown;
    EXPECT_EQ(decode(*resource, object, unknown).to_string(), "Ok") << path;
    EXPECT_EQ(unknown, std::vector<std::string>()) << path << " " << name_of(object);
    if (resource->is_namespaced) object.child("metadata").child("namespace") = "default";
    if (name_of(object).empty()) object.child("metadata").set("name", "generated");
    object.child("metadata").set("uid", "u");
    apply_defaults(*resource, object);
    prepare_for_create(*resource, object);
    EXPECT_EQ(validate_create(*resource, object).to_string(), "Ok") << path;
    EXPECT_EQ(validate_update(*resource, object, object).to_string(), "Ok") << path;
  }
  return count;
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

}  // namespace
}  // namespace pelton::api
