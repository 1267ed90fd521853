// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <gtest/gtest.h>

#include "cli/completion_scripts.h"
#include "cli/options.h"
#include "cli/verbs.h"

namespace pelton::cli {
namespace {

using Words = std::vector<std::string>;

/// Options as a verb declares them.
class CompletionTest : public ::testing::Test {
 protected:
  CompletionTest() {
    options_.positional("kind", kind_, "what kind", Values::one_of({"pod", "podgroup", "node"}));
    options_.positional("name", name_, "its name", Values::asked([this] {
                          ++asked_;
                          return std::vector<Candidate>{{namespace_ + "-" + kind_, "Running"},
                                                        {"other", ""}};
                        }));
    options_.text("-n,--namespace", namespace_, "its namespace");
    options_.text("-o,--output", output_, "the form", Values::one_of({"json", "yaml"}));
    options_.text("--data-dir", directory_, "the directory", Values::directories());
    options_.text("--park", park_, "the park", Values::files());
    options_.texts("--only", only_, "one of them", Values::one_of({"a", "b"}));
    options_.number("--nodes", nodes_, "how many");
    options_.toggle("--show", show_, "print it");
  }

  Words offered(const Words& words) {
    Words result;
    for (const Candidate& candidate : options_.complete(words).candidates) {
      result.push_back(candidate.word);
    }
    return result;
  }
  Values::Kind kind_of(const Words& words) { return options_.complete(words).kind; }

  std::string kind_, name_, namespace_ = "default", output_, directory_, park_;
  std::vector<std::string> only_;
  int64_t nodes_ = 0;
  bool show_ = false;
  int asked_ = 0;
  Options options_{"pelton test", "A test.", "  pelton test\n"};
};

TEST_F(CompletionTest, OffersFlagsThatBeginWithWhatIsTyped) {
  EXPECT_EQ(offered({"--n"}), (Words{"--namespace", "--nodes"}));
  EXPECT_EQ(offered({"-n"}), Words{"-n"});
  EXPECT_EQ(offered({"--help"}), Words{"--help"});
  EXPECT_EQ(offered({"--nothing"}), Words{});
}

TEST_F(CompletionTest, SaysWhatEachFlagIsFor) {
  const Completions completions = options_.complete({"--show"});
  ASSERT_EQ(completions.candidates.size(), 1U);
  EXPECT_EQ(completions.candidates[0].description, "print it");
}

TEST_F(CompletionTest, DoesNotOfferAFlagAgainThatIsGivenUnlessItMayBeRepeated) {
  EXPECT_EQ(offered({"--namespace=x", "--n"}), Words{"--nodes"});
  EXPECT_EQ(offered({"-n", "x", "--n"}), Words{"--nodes"});
  EXPECT_EQ(offered({"--only", "a", "--on"}), Words{"--only"});
}

TEST_F(CompletionTest, OffersTheValuesOfAFlagInBothForms) {
  EXPECT_EQ(offered({"-o", ""}), (Words{"json", "yaml"}));
  EXPECT_EQ(offered({"--output", "y"}), Words{"yaml"});
  EXPECT_EQ(offered({"--output=j"}), Words{"--output=json"});
  EXPECT_EQ(offered({"--show=j"}), Words{});
  EXPECT_EQ(offered({"--unknown=j"}), Words{});
}

TEST_F(CompletionTest, LeavesFilesAndDirectoriesToTheShell) {
  EXPECT_EQ(kind_of({"--park", ""}), Values::Kind::Files);
  EXPECT_EQ(kind_of({"--data-dir=/tm"}), Values::Kind::Directories);
  EXPECT_EQ(to_text({{}, Values::Kind::Files}), ":0\n");
  EXPECT_EQ(to_text({{}, Values::Kind::Directories}), ":16\n");
}

TEST_F(CompletionTest, ANumberIsAnything) {
  EXPECT_EQ(kind_of({"--nodes", ""}), Values::Kind::Anything);
  EXPECT_EQ(to_text(options_.complete({"--nodes", ""})), ":4\n");
}

TEST_F(CompletionTest, OffersPositionalsInTheirOrderWithFlagsAmongThem) {
  EXPECT_EQ(offered({"po"}), (Words{"pod", "podgroup"}));
  EXPECT_EQ(offered({"--show", ""}), (Words{"pod", "podgroup", "node"}));
  EXPECT_EQ(offered({"pod", "--nodes", "3", "o"}), Words{"other"});
}

TEST_F(CompletionTest, NamesAreAskedForWithTheOptionsThatStandBefore) {
  EXPECT_EQ(offered({"-n", "shop", "pod", ""}), (Words{"shop-pod", "other"}));
  EXPECT_EQ(offered({"pod", "--namespace=shop", "sh"}), Words{"shop-pod"});
}

TEST_F(CompletionTest, NamesAreNotAskedForWhereSomethingElseIsTyped) {
  offered({"pod", "--n"});
  offered({"po"});
  offered({"pod", "-o", ""});
  EXPECT_EQ(asked_, 0);
}

TEST_F(CompletionTest, OffersFlagsWhereNothingElseCanStand) {
  const Words all = offered({"pod", "web", ""});
  EXPECT_NE(std::find(all.begin(), all.end(), "--namespace"), all.end());
  EXPECT_EQ(std::find(all.begin(), all.end(), "-n"), all.end());
  EXPECT_EQ(offered({"pod", "web", "x"}), Words{});
}

TEST_F(CompletionTest, AfterTwoDashesNothingIsAFlag) {
  EXPECT_EQ(offered({"--", "--n"}), Words{});
  EXPECT_EQ(offered({"--", "po"}), (Words{"pod", "podgroup"}));
}

TEST_F(CompletionTest, AVerbThatIsAskedSoPrintsCompletionsAndDoesNotRun) {
  std::string marker = kCompleting, word = "--ou";
  char* argv[] = {marker.data(), word.data()};
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(options_.parse(2, argv), 0);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "--output\tthe form\n:4\n");
}

TEST_F(CompletionTest, WhatATerminalMightObeyIsLeftOut) {
  EXPECT_EQ(to_text({{{"good", ""}, {"bad\x1b[2J", ""}, {"worse", "a\nb"}}}), "good\n:4\n");
}

/// What `pelton __complete WORD…` prints.
std::string line(Words words) {
  words.insert(words.begin(), {"pelton", kCompleting});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run(static_cast<int>(argv.size()), argv.data()), 0);
  return ::testing::internal::GetCapturedStdout();
}

TEST(CompleteLine, OffersVerbsButNotThoseThatAreHidden) {
  EXPECT_EQ(line({"ex"}), "explain\tsay why a pod is where it is, or is not\n:4\n");
  EXPECT_EQ(line({"serv"}), ":4\n");
  EXPECT_EQ(line({"nothing", ""}), ":4\n");
  EXPECT_EQ(line({"container-shim", ""}), ":4\n");
}

TEST(CompleteLine, EveryVerbThatIsShownCompletesItsFlags) {
  for (const char* verb : {"up", "down", "status", "top", "run", "kubeconfig", "explain", "sim",
                           "controllers", "completion"}) {
    EXPECT_NE(line({verb, "--he"}).find("--help\t"), std::string::npos) << verb;
  }
}

TEST(CompleteLine, TheControllersAreThoseThatThereAre) {
  EXPECT_EQ(line({"controllers", "--only", "jobset"}), "jobset-controller\n:4\n");
}

TEST(CompleteLine, RunCompletesItsFlagsAndThenFiles) {
  EXPECT_EQ(line({"run", "--nproc-per-node", "c"}), "cpu\n:4\n");
  EXPECT_EQ(line({"run", "--nproc_per_node", "c"}), "cpu\n:4\n");
  EXPECT_EQ(line({"run", "--rdzv-backend=c"}), "--rdzv-backend=c10d\n:4\n");
  EXPECT_EQ(line({"run", "--log-dir", ""}), ":16\n");
  EXPECT_EQ(line({"run", "--standalone", "tr"}), ":0\n");
  EXPECT_EQ(line({"run", "--", "--st"}), ":0\n");
  EXPECT_EQ(line({"run", "train.py", "--st"}), ":0\n");
}

TEST(CompleteLine, AClusterThatIsNotThereHasNoNames) {
  EXPECT_EQ(line({"explain", "--data-dir", "/nonexistent", "pod", ""}), ":4\n");
}

TEST(CompletionScripts, ThereIsOneForEachShellThatIsNamed) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_NE(completion_script(shell).find("__complete"), std::string::npos) << shell;
  }
  EXPECT_TRUE(completion_script("tcsh").empty());
}

}  // namespace
}  // namespace pelton::cli
