// SPDX-License-Identifier: Apache-2.0
#include "agent/enter_command.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace pelton::agent {
namespace {

TEST(EnterCommand, JoinsEveryControlGroupThenTheNamespacesThenGivesUpPrivileges) {
  const ShimOrder order{.user = 1000,
                        .group = 7,
                        .working_directory = "/work dir",
                        .cgroups = {"/cg/memory/x", "/cg/cpu/x"}};
  const auto argv = build_enter_command({}, order, {.main_pid = 42}, {"cat", "a b"});
  const std::string line = base::join(argv, "|");
  EXPECT_TRUE(line.starts_with("/bin/sh|-c|")) << line;
  const auto at = [&](const std::string& part) {
    const size_t found = line.find(part);
    EXPECT_NE(found, std::string::npos) << part << " in " << line;
    return found;
  };
  EXPECT_LT(at("|2|/cg/memory/x|/cg/cpu/x|"), at("nsenter|--target=42|"));
  EXPECT_LT(at("--wdns=/work dir|"), at("|/usr/bin/setpriv|--bounding-set=-all,+chown,"));
  EXPECT_LT(at("--reuid=1000|--regid=7|"), at("|--|cat|a b"));
  EXPECT_EQ(line.find("sys_admin"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with("|--|cat|a b")) << line;
}

TEST(EnterCommand, AddsNoShellWhereThereIsNothingToJoin) {
  EXPECT_EQ(within_cgroups({}, {"true"}), std::vector<std::string>{"true"});
}

}  // namespace
}  // namespace pelton::agent
