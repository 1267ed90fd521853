// SPDX-License-Identifier: Apache-2.0
#include "agent/remote_command.h"

#include <gtest/gtest.h>

namespace pelton::agent {
namespace {

TEST(RemoteCommand, TheNewestProtocolOfBothIsChosenWhateverTheOrder) {
  const auto choose = [](const std::vector<std::string>& offered) {
    return choose_protocol(offered, remote_protocols());
  };
  EXPECT_EQ(choose({"v4.channel.k8s.io", "v5.channel.k8s.io"}), "v5.channel.k8s.io");
  EXPECT_EQ(choose({"channel.k8s.io", "v4.channel.k8s.io"}), "v4.channel.k8s.io");
  EXPECT_FALSE(choose({"base64.channel.k8s.io"}).has_value());
  EXPECT_FALSE(choose({}).has_value());
}

TEST(RemoteCommand, TheWordsOfACommandKeepTheirOrderAndTheirBytes) {
  const auto options = read_remote_options(
      "/exec/a/b/c?command=sh&command=-c&command=echo+a%26b%3Dc&command=&output=1");
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->command, (std::vector<std::string>{"sh", "-c", "echo a&b=c", ""}));
  EXPECT_TRUE(options->has_stdout);
  EXPECT_FALSE(options->has_stdin || options->has_stderr || options->is_tty);
}

TEST(RemoteCommand, NoStreamsAndATerminalWithTwoOutputsAreRefused) {
  EXPECT_EQ(read_remote_options("/exec/a/b/c?command=x").status().message(),
            "you must specify at least 1 of stdin, stdout, stderr");
  EXPECT_FALSE(read_remote_options("/exec/a/b/c?command=x&error=1&tty=1").ok());
  EXPECT_TRUE(read_remote_options("/exec/a/b/c?command=x&input=1&output=1&tty=1").ok());
  EXPECT_FALSE(read_remote_options("/exec/a/b/c?command=x&output=0").ok());
}

TEST(RemoteCommand, ATerminalsSizeIsReadOrPassedOver) {
  const auto size = read_terminal_size(R"({"Width":120,"Height":40})");
  ASSERT_TRUE(size.has_value());
  EXPECT_EQ(size->columns, 120);
  EXPECT_EQ(size->rows, 40);
  for (const char* bad : {"", "{}", "[1,2]", R"({"Width":-1,"Height":2})",
                          R"({"Width":65536,"Height":2})", R"({"Width":"80","Height":2})"}) {
    EXPECT_FALSE(read_terminal_size(bad).has_value()) << bad;
  }
}

TEST(RemoteCommand, AnExitCodeIsACauseByWhichKubectlExits) {
  EXPECT_EQ(exit_status(0)["status"].as_string(), "Success");
  const base::Json failed = exit_status(7);
  EXPECT_EQ(failed["status"].as_string(), "Failure");
  EXPECT_EQ(failed["reason"].as_string(), "NonZeroExitCode");
  EXPECT_EQ(failed.at("details.causes")[0]["reason"].as_string(), "ExitCode");
  EXPECT_EQ(failed.at("details.causes")[0]["message"].as_string(), "7");
}

TEST(RemoteCommand, AMessageIsLedByItsChannel) {
  EXPECT_EQ(remote_message(RemoteChannel::Stderr, "x"), "\x02x");
  EXPECT_EQ(remote_message(RemoteChannel::Close, std::string_view("\0", 1)),
            std::string("\xff\0", 2));
}

}  // namespace
}  // namespace pelton::agent
