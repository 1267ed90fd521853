// SPDX-License-Identifier: Apache-2.0
#include "world/processes.h"

#include <signal.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/self.h"
#include "os/test_world.h"

namespace pelton::os {
namespace {

using base::Code;
using base::Result;
using world::ExitState;
using world::Process;
using world::ProcessSpec;

class ProcessesTest : public RealWorldTest {
 protected:
  world::Processes& processes() { return world().processes; }
  ProcessSpec shell(const std::string& script) {
    ProcessSpec spec;
    spec.argv = {"/bin/sh", "-c", script};
    spec.inherit_env = true;
    return spec;
  }
  /// Runs it to its end.
  ExitState run_to_end(ProcessSpec spec) {
    ExitState state;
    auto process = processes().spawn(std::move(spec), [&](ExitState s) {
      state = s;
      stop();
    });
    EXPECT_TRUE(process.ok()) << process.status().to_string();
    if (process.ok()) run();
    return state;
  }
};

TEST_F(ProcessesTest, AnExitCodeIsReported) {
  EXPECT_EQ(run_to_end(shell("exit 7")).code, 7);
}

TEST_F(ProcessesTest, ASignalIsReportedAndReachesTheProcess) {
  ExitState state;
  auto process = processes().spawn(shell("exec sleep 100"), [&](ExitState s) {
    state = s;
    stop();
  });
  ASSERT_TRUE(process.ok());
  EXPECT_TRUE(process.value()->signal(SIGTERM).ok());
  run();
  EXPECT_EQ(state.signal, SIGTERM);
  EXPECT_EQ(state.shell_code(), 128 + SIGTERM);
  EXPECT_EQ(process.value()->signal(SIGTERM).code(), Code::NotFound);
}

TEST_F(ProcessesTest, AGroupSignalReachesGrandchildren) {
  ProcessSpec spec = shell("sleep 100 & echo started; wait");
  spec.new_session = true;
  int ends = 0;
  std::unique_ptr<Process> process;
  // The pipe ends when the last holder of its other side is gone: the grandchild too.
  spec.on_output = [&](std::string_view piece) {
    if (piece.empty()) {
      if (++ends == 2) stop();
    } else {
      EXPECT_TRUE(process->signal_group(SIGKILL).ok());
    }
  };
  process = processes()
                .spawn(std::move(spec),
                       [&](ExitState s) {
                         EXPECT_EQ(s.signal, SIGKILL);
                         if (++ends == 2) stop();
                       })
                .value();
  run();
}

TEST_F(ProcessesTest, OurOwnGroupIsNeverSignalled) {
  auto process = processes().spawn(shell("exec sleep 100"), [&](ExitState) { stop(); }).value();
  EXPECT_EQ(process->signal_group(SIGKILL).code(), Code::FailedPrecondition);
  EXPECT_TRUE(process->signal(SIGKILL).ok());
  run();
}

TEST_F(ProcessesTest, RunGivesOutputAndExit) {
  std::string output;
  processes().run(shell("echo out; echo err >&2; exit 3"), [&](Result<ExitState> s, std::string o) {
    EXPECT_EQ(s.value().code, 3);
    output = std::move(o);
    stop();
  });
  run();
  EXPECT_EQ(output, "out\nerr\n");
}

TEST_F(ProcessesTest, OutputAndErrorOutputComeApartAndEachEnds) {
  ProcessSpec spec = shell("echo out; echo err >&2");
  std::string out, err;
  int ends = 0;
  spec.on_output = [&](std::string_view piece) {
    out += piece;
    if (piece.empty() && ++ends == 2) stop();
  };
  spec.on_error_output = [&](std::string_view piece) {
    err += piece;
    if (piece.empty() && ++ends == 2) stop();
  };
  auto process = processes().spawn(std::move(spec), [](ExitState) {});
  ASSERT_TRUE(process.ok());
  run();
  EXPECT_EQ(out, "out\n");
  EXPECT_EQ(err, "err\n");
}

TEST_F(ProcessesTest, AProgramThatIsNotThereIsNotFoundAndNamed) {
  ProcessSpec spec;
  spec.argv = {"pelton-no-such-program"};
  const auto result = processes().spawn(spec, [](ExitState) {});
  EXPECT_EQ(result.status().code(), Code::NotFound);
  EXPECT_NE(result.status().message().find("pelton-no-such-program"), std::string::npos);
  ASSERT_TRUE(world().files.replace(path("not-executable"), "").ok());
  spec.argv = {path("not-executable")};
  EXPECT_EQ(processes().spawn(spec, [](ExitState) {}).status().code(), Code::Forbidden);
  spec.argv = {"true"};
  spec.working_directory = path("none");
  EXPECT_EQ(processes().spawn(spec, [](ExitState) {}).status().code(), Code::NotFound);
  EXPECT_EQ(processes().spawn({}, [](ExitState) {}).status().code(), Code::InvalidArgument);
}

TEST_F(ProcessesTest, EnvironmentDirectoryAndStreamsAreThoseAskedFor) {
  ProcessSpec spec = shell("cat; pwd; echo \"$NAME-${PATH:+path}\"; echo err >&2");
  spec.inherit_env = false;
  spec.env = {"NAME=value"};
  spec.argv[2] = "while read line; do echo $line; done; pwd; echo \"$NAME\"; echo err >&2";
  spec.working_directory = directory_;
  spec.stdin_path = path("in");
  spec.stdout_path = path("out");
  spec.stderr_path = path("err");
  ASSERT_TRUE(world().files.replace(path("in"), "input\n").ok());
  ASSERT_TRUE(world().files.replace(path("out"), "before\n").ok());
  EXPECT_EQ(run_to_end(std::move(spec)).code, 0);
  EXPECT_EQ(world().files.read(path("out")).value(), "before\ninput\n" + directory_ + "\nvalue\n");
  EXPECT_EQ(world().files.read(path("err")).value(), "err\n");
}

TEST_F(ProcessesTest, OurEnvironmentIsInheritedAndOverridden) {
  ::setenv("PELTON_TEST_A", "ours", 1);
  ::setenv("PELTON_TEST_B", "ours", 1);
  ProcessSpec spec = shell("echo $PELTON_TEST_A $PELTON_TEST_B");
  spec.env = {"PELTON_TEST_B=given"};
  spec.stdout_path = path("out");
  EXPECT_EQ(run_to_end(std::move(spec)).code, 0);
  EXPECT_EQ(world().files.read(path("out")).value(), "ours given\n");
}

TEST_F(ProcessesTest, AChildHasNoDescriptorOfOursAndNoBlockedSignal) {
  world_->on_stop_signal([](int) {});  // blocks signals in this thread
  auto file = world().files.open(path("secret"), world::OpenMode::ReadWrite).value();
  auto listener = world().network.listen({"127.0.0.1", 0}, [](auto) {}).value();
  ProcessSpec spec = shell("ls -l /proc/self/fd >&2; grep -E 'Sig(Blk|Ign)' /proc/self/status");
  spec.stdout_path = path("out");
  spec.stderr_path = path("descriptors");
  EXPECT_EQ(run_to_end(std::move(spec)).code, 0);
  EXPECT_EQ(world().files.read(path("out")).value(),
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  const std::string descriptors = world().files.read(path("descriptors")).value();
  EXPECT_NE(descriptors.find(path("descriptors")), std::string::npos);
  for (const char* ours : {"secret", "eventpoll", "eventfd", "signalfd"}) {
    EXPECT_EQ(descriptors.find(ours), std::string::npos) << descriptors;
  }
}

TEST_F(ProcessesTest, ARaisedLimitOfOpenFilesIsOursAlone) {
  const auto limit_of_a_child = [&] {
    ProcessSpec spec = shell("ulimit -Sn");
    spec.stdout_path = path("limits");
    EXPECT_EQ(run_to_end(std::move(spec)).code, 0);
    return world().files.read(path("limits")).value();
  };
  const std::string before = limit_of_a_child();
  raise_open_files_limit();
  EXPECT_EQ(limit_of_a_child(), before + before);  // appended
}

TEST_F(ProcessesTest, AChildThatNobodyHoldsIsStillReaped) {
  auto process = processes().spawn(shell("exit 0"), [](ExitState) { FAIL(); }).value();
  const int pid = process->pid();
  process.reset();
  std::function<void()> look = [&] {
    if (::kill(pid, 0) != 0) return stop();  // a zombie would still be there
    world().timers.after(base::Duration::milliseconds(2), look);
  };
  look();
  run();
}

TEST_F(ProcessesTest, AProcessThatIsNotOurChildCanBeAttachedToByPidAndStart) {
  // The grandchild is orphaned and so no child of ours.
  std::string output;
  processes().run(shell("sleep 100 >/dev/null 2>&1 & echo $!"),
                  [&](Result<ExitState>, std::string o) {
                    output = std::move(o);
                    stop();
                  });
  run();
  const int pid = static_cast<int>(base::parse_int(base::trim(output)).value());
  const uint64_t start = processes().start_ticks(pid).value();
  EXPECT_EQ(processes().attach(pid, start + 1, [](ExitState) {}).status().code(), Code::NotFound);
  auto attached = processes().attach(pid, start, [&](ExitState s) {
    EXPECT_FALSE(s.code || s.signal);
    stop();
  });
  ASSERT_TRUE(attached.ok());
  EXPECT_TRUE(attached.value()->signal(SIGKILL).ok());
  run();
  EXPECT_EQ(processes().start_ticks(pid).status().code(), Code::NotFound);
}

TEST_F(ProcessesTest, AProcessMayBeDestroyedByItsOwnExit) {
  std::unique_ptr<Process> process;
  process = processes()
                .spawn(shell("exit 0"),
                       [&](ExitState) {
                         process.reset();
                         stop();
                       })
                .value();
  run();
}

}  // namespace
}  // namespace pelton::os
