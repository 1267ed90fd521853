// SPDX-License-Identifier: Apache-2.0
#include "api/protobuf.h"

#include <gtest/gtest.h>

namespace pelton::api {
namespace {

/// One length-delimited field of less than 128 bytes.
std::string field(int number, const std::string& bytes) {
  return std::string(1, static_cast<char>(number << 3 | 2)) +
         std::string(1, static_cast<char>(bytes.size())) + bytes;
}

std::string varint(int number, int value) {
  return std::string(1, static_cast<char>(number << 3)) + std::string(1, static_cast<char>(value));
}

std::string envelope(const std::string& version, const std::string& kind, const std::string& raw) {
  return std::string("k8s\0", 4) + field(1, field(1, version) + field(2, kind)) + field(2, raw) +
         field(3, "") + field(4, "");
}

std::string parsed(const std::string& bytes) {
  auto json = parse_protobuf(bytes);
  return json.ok() ? json->dump() : json.status().message();
}

TEST(Protobuf, ReadsWhatKubectlCreateSends) {
  const std::string meta = field(1, "a") + field(3, "") + field(8, "");  // zero namespace and time
  EXPECT_EQ(
      parsed(envelope("v1", "ConfigMap", field(1, meta) + field(2, field(1, "k") + field(2, "v")))),
      R"({"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"name":"a"}})");
  EXPECT_EQ(parsed(envelope("v1", "Secret", field(2, field(1, "k") + field(2, "\x01\xff")))),
            R"({"apiVersion":"v1","data":{"k":"Af8="},"kind":"Secret"})");
}

TEST(Protobuf, KeepsAPointersZeroAndDropsAPlainOne) {
  // spec: terminationGracePeriodSeconds (4) is a pointer, hostNetwork (11) is not.
  EXPECT_EQ(parsed(envelope("v1", "Pod", field(2, varint(4, 0) + varint(11, 0)))),
            R"({"apiVersion":"v1","kind":"Pod","spec":{"terminationGracePeriodSeconds":0}})");
}

TEST(Protobuf, InlinesWhatJsonInlines) {
  // volumes (1): name (1), volumeSource (2): configMap (19): localObjectReference (1): name (1).
  const std::string config_map = field(1, field(1, "conf"));
  const std::string source = std::string("\x9a\x01", 2) +
                             std::string(1, static_cast<char>(config_map.size())) + config_map;
  EXPECT_EQ(parsed(envelope("v1", "Pod", field(2, field(1, field(1, "v") + field(2, source))))),
            R"({"apiVersion":"v1","kind":"Pod","spec":{"volumes":[{"configMap":{"name":"conf"},)"
            R"("name":"v"}]}})");
}

TEST(Protobuf, ReadsQuantitiesTimesAndPorts) {
  const std::string port = varint(3, 80) + field(4, varint(1, 1) + field(3, "http"));
  EXPECT_EQ(parsed(envelope("v1", "Service", field(2, field(1, port)))),
            R"({"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80,)"
            R"("targetPort":"http"}]}})");
  const std::string capacity = field(1, field(1, "cpu") + field(2, field(1, "4")));
  EXPECT_EQ(parsed(envelope("v1", "Node", field(3, capacity))),
            R"({"apiVersion":"v1","kind":"Node","status":{"capacity":{"cpu":"4"}}})");
}

TEST(Protobuf, RefusesWhatIsNoMessageOfItsKind) {
  const std::string good = envelope("v1", "ConfigMap", field(1, field(1, "a")));
  for (size_t size = 0; size < good.size(); ++size) {
    auto cut = parse_protobuf(good.substr(0, size));  // must not read beyond its end
    EXPECT_TRUE(size >= 4 || !cut.ok());
  }
  EXPECT_FALSE(parse_protobuf(envelope("v1", "Pond", "")).ok());
  EXPECT_FALSE(parse_protobuf(envelope("jobset.x-k8s.io/v1alpha2", "JobSet", "")).ok());
  EXPECT_FALSE(parse_protobuf(envelope("v1", "ConfigMap", field(1, field(1, "\xff")))).ok());
  EXPECT_FALSE(parse_protobuf(envelope("v1", "ConfigMap", varint(1, 1))).ok());
}

}  // namespace
}  // namespace pelton::api
