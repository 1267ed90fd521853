// SPDX-License-Identifier: Apache-2.0
// Manifests that people have: the example of this tree and, where the published ones lie beside it
// (../shared/manifests), those too. Each is decoded, defaulted and validated as the server does.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/decode.h"
#include "api/defaults.h"
#include "api/object.h"
#include "api/validate.h"
#include "api/yaml.h"

namespace pelton::api {
namespace {

using base::Json;
namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Validates every object of a kind that we serve; returns how many there were.
int check_file(const fs::path& path) {
  auto documents = parse_yaml_documents(read_file(path));
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

TEST(Manifests, OfThisTreeAreAccepted) {
  EXPECT_GT(check_file(fs::path(PELTON_SOURCE_DIR) / "examples/train-gpt/jobset.yaml"), 0);
}

TEST(Manifests, PublishedOnesAreAccepted) {
  const fs::path directory = fs::path(PELTON_SOURCE_DIR) / "../shared/manifests/jobset";
  if (!fs::is_directory(directory)) GTEST_SKIP() << "no published manifests in ../shared/manifests";
  int count = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    // Needs JobSet's gate InPlaceRestart, which is off; a template with placeholders for numbers.
    if (name == "jobset-main-container-mode.yaml" || name == "nccl-test-a4x-max-jobset.yaml") {
      continue;
    }
    if (entry.path().extension() == ".yaml") count += check_file(entry.path());
  }
  EXPECT_GE(count, 5);
}

}  // namespace
}  // namespace pelton::api
