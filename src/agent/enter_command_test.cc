// SPDX-License-Identifier: Apache-2.0
#include "agent/enter_command.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace pelton::agent {
namespace {

TEST(EnterCommand, RunsAsTheContainersOwnCommandWould) {
  const ShimOrder order{.argv = {"bwrap"},
                        .env = {"A=b"},
                        .user = 1000,
                        .group = 7,
                        .working_directory = "/work dir",
                        .cgroups = {"/cg/memory/x", "/cg/cpu/x"}};
  const RunningRecord running{.init_pid = 41, .main_pid = 42, .init_start_ticks = 77};
  const world::ProcessSpec spec = enter_command(order, running, {"cat", "a b"});
  EXPECT_EQ(spec.argv, (std::vector<std::string>{"cat", "a b"}));
  EXPECT_EQ(spec.env, order.env);
  EXPECT_EQ(spec.working_directory, "/work dir");
  EXPECT_TRUE(spec.new_session);
  ASSERT_TRUE(spec.enter.has_value());
  EXPECT_EQ(spec.enter->pid, 41);
  EXPECT_EQ(spec.enter->start_ticks, 77U);
  EXPECT_EQ(spec.enter->user, 1000U);
  EXPECT_EQ(spec.enter->group, 7U);
  EXPECT_EQ(spec.enter->cgroups, order.cgroups);
  EXPECT_EQ(spec.enter->capabilities, container_capabilities());
}

TEST(EnterCommand, WhatAShellWouldSayIsSaidOfTheProgramOnly) {
  const auto missing = explain_not_started(base::not_found("starting x: No such file"), "x");
  ASSERT_TRUE(missing.has_value());
  EXPECT_EQ(missing->exit_code, 127);
  EXPECT_EQ(missing->text, "exec: \"x\": executable file not found in $PATH");
  const auto forbidden =
      explain_not_started({base::Code::Forbidden, "starting x: Permission denied"}, "x");
  ASSERT_TRUE(forbidden.has_value());
  EXPECT_EQ(forbidden->exit_code, 126);
  EXPECT_FALSE(explain_not_started(base::not_found("changing to the directory /d"), "x"));
  EXPECT_FALSE(explain_not_started(base::unavailable("starting x: out of memory"), "x"));
}

TEST(EnterCommand, JoinsEveryControlGroupBeforeItBecomesTheCommand) {
  const std::string line = base::join(within_cgroups({"/cg/memory/x", "/cg/cpu/x"}, {"nice"}), "|");
  EXPECT_TRUE(line.starts_with("/bin/sh|-c|")) << line;
  EXPECT_TRUE(line.ends_with("|2|/cg/memory/x|/cg/cpu/x|nice")) << line;
}

TEST(EnterCommand, AddsNoShellWhereThereIsNothingToJoin) {
  EXPECT_EQ(within_cgroups({}, {"true"}), std::vector<std::string>{"true"});
}

}  // namespace
}  // namespace pelton::agent
