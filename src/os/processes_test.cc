// SPDX-License-Identifier: Apache-2.0
#include "world/processes.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/process_activity.h"
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

TEST_F(ProcessesTest, WhoFailsTakesItsGroupAlongWhereAsked) {
  ProcessSpec spec = shell("sleep 100 & kill -9 $$");
  spec.new_session = true;
  spec.take_group_along = true;
  // The pipe ends with the last that holds its other side: the sleeper.
  spec.on_output = [&](std::string_view piece) {
    if (piece.empty()) stop();
  };
  auto process =
      processes().spawn(std::move(spec), [](ExitState s) { EXPECT_EQ(s.signal, SIGKILL); });
  ASSERT_TRUE(process.ok());
  run();
}

TEST_F(ProcessesTest, AnOrphanIsAdoptedWithItsExitBeforeAndAfterItsEnd) {
  ASSERT_TRUE(processes().keep_orphans().ok());
  for (const bool has_ended : {false, true}) {
    ASSERT_EQ(::mkfifo(path("go").c_str(), 0600), 0);
    int orphan = 0;
    // The subshell's parent ends at once; the orphan ends when it is told.
    processes().run(shell("(read x <" + path("go") + "; exit 7) >/dev/null 2>&1 & echo $!"),
                    [&](Result<ExitState>, std::string output) {
                      orphan = static_cast<int>(base::parse_int(base::trim(output)).value());
                      stop();
                    });
    run();
    EXPECT_THAT(processes().orphans(), ::testing::ElementsAre(orphan));
    const auto release = [&] {
      return processes().spawn(shell("echo >" + path("go")), [](ExitState) {}).value();
    };
    std::unique_ptr<Process> releaser;
    if (has_ended) {
      releaser = release();
      while (!processes().orphans().empty()) settle();
    }
    ExitState state;
    auto adopted = processes().adopt(orphan, [&](ExitState s) {
      state = s;
      stop();
    });
    ASSERT_TRUE(adopted.ok()) << adopted.status().to_string();
    EXPECT_THAT(processes().orphans(), ::testing::IsEmpty());
    if (!has_ended) releaser = release();
    run();
    EXPECT_EQ(state.code, 7);
    EXPECT_EQ(adopted.value()->signal(SIGTERM).code(), Code::NotFound);
    EXPECT_EQ(processes().adopt(orphan, [](ExitState) {}).status().code(), Code::NotFound);
    std::filesystem::remove(path("go"));
  }
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

/// What one process with streams has said so far.
struct Streams {
  std::string out, err;
  int open = 0;  ///< ends that are still to come: of the streams and of the process
  std::optional<ExitState> exit;
  std::unique_ptr<Process> process;
};

class StreamsTest : public ProcessesTest {
 protected:
  void start(ProcessSpec spec) {
    said_.open = spec.on_error_output ? 3 : 2;
    auto process = processes().spawn(std::move(spec), [this](ExitState state) {
      said_.exit = state;
      one_ended();
    });
    ASSERT_TRUE(process.ok()) << process.status().to_string();
    said_.process = std::move(process).value();
  }
  ProcessSpec with_streams(ProcessSpec spec) {
    spec.has_input = true;
    spec.new_session = true;
    spec.on_output = [this](std::string_view piece) { take(said_.out, piece); };
    spec.on_error_output = [this](std::string_view piece) { take(said_.err, piece); };
    return spec;
  }
  ProcessSpec on_terminal(ProcessSpec spec) {
    spec = with_streams(std::move(spec));
    spec.on_error_output = nullptr;
    spec.terminal = world::TerminalSize{.columns = 91, .rows = 17};
    return spec;
  }
  /// Runs until the output holds `text`.
  void run_until_said(const std::string& text) {
    wanted_ = text;
    if (said_.out.find(text) == std::string::npos) run();
    wanted_.clear();
    EXPECT_NE(said_.out.find(text), std::string::npos) << said_.out;
  }
  void take(std::string& into, std::string_view piece) {
    if (piece.empty()) return one_ended();
    into += piece;
    if (!wanted_.empty() && said_.out.find(wanted_) != std::string::npos) stop();
  }
  void one_ended() {
    if (--said_.open == 0) stop();
  }
  Streams said_;
  std::string wanted_;
};

TEST_F(StreamsTest, MegabytesGoThroughAProcessAndComeBackWhole) {
  start(with_streams(shell("cat; echo done >&2")));
  std::string sent;
  for (int i = 0; sent.size() < (4u << 20); ++i) sent += std::to_string(i) + "\n";
  said_.process->write(sent);
  EXPECT_GT(said_.process->queued_input(), 0u);  // nobody waited for the child
  said_.process->end_input();
  run();
  EXPECT_TRUE(said_.out == sent);
  EXPECT_EQ(said_.err, "done\n");
  EXPECT_EQ(said_.exit->code, 0);
}

TEST_F(StreamsTest, InputThatNobodyReadsIsDroppedAndTheWriterIsTold) {
  ProcessSpec spec = with_streams(shell("exec <&-; read line < /dev/null; exit 3"));
  bool is_drained = false;
  spec.on_input_drained = [&] { is_drained = true; };
  start(std::move(spec));
  said_.process->write(std::string(1 << 20, 'x'));
  // Where the child was quicker than we, the bytes are gone at once and nobody waits.
  const bool is_waiting = said_.process->queued_input() > 0;
  run();
  EXPECT_EQ(said_.exit->code, 3);
  if (is_waiting && !is_drained) settle();
  EXPECT_EQ(is_drained, is_waiting);
  EXPECT_EQ(said_.process->queued_input(), 0u);
  said_.process->write("more");
  EXPECT_EQ(said_.process->queued_input(), 0u);
}

TEST_F(StreamsTest, AProcessWhoseOutputIsPausedWaits) {
  start(with_streams(shell("head -c 1000000 /dev/zero; echo end >&2")));
  said_.process->pause_output();
  settle();
  settle();
  EXPECT_EQ(said_.out.size(), 0u);
  EXPECT_FALSE(said_.exit.has_value());
  said_.process->resume_output();
  run();
  EXPECT_EQ(said_.out.size(), 1000000u);
  EXPECT_EQ(said_.err, "end\n");
}

TEST_F(StreamsTest, ATerminalIsATerminalAndTellsItsSizeAndEachNewOne) {
  start(
      on_terminal(shell("trap 'stty size; exit 4' WINCH; test -t 0 && test -t 1 && test -t 2 && "
                        "stty size && tty && while :; do sleep 0.1; done")));
  run_until_said("/dev/pts/");
  EXPECT_EQ(said_.out.substr(0, 7), "17 91\r\n");
  said_.process->resize_terminal({.columns = 100, .rows = 50});
  run();
  EXPECT_NE(said_.out.find("50 100\r\n"), std::string::npos) << said_.out;
  EXPECT_EQ(said_.exit->code, 4);
}

TEST_F(StreamsTest, ControlCTypedAtATerminalInterruptsWhatRunsThere) {
  start(on_terminal(shell("echo ready; exec sleep 100")));
  run_until_said("ready");
  said_.process->write("\x03");
  run();
  EXPECT_EQ(said_.exit->signal, SIGINT);
}

/// A process in namespaces of its own, as a container's first.
class EnterTest : public StreamsTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "entering namespaces needs root";
    ProcessSpec spec;
    spec.argv = {"/usr/bin/unshare",
                 "--mount",
                 "--uts",
                 "--ipc",
                 "--net",
                 "--pid",
                 "--fork",
                 "--mount-proc",
                 "--kill-child",
                 "/bin/sh",
                 "-c",
                 "hostname within; echo up; exec sleep 1000"};
    spec.inherit_env = true;
    spec.on_output = [this](std::string_view piece) {
      if (!piece.empty()) stop();
    };
    holder_ = processes().spawn(std::move(spec), [](ExitState) {}).value();
    run();
    const std::string id = std::to_string(holder_->pid());
    const auto children = world().files.read("/proc/" + id + "/task/" + id + "/children").value();
    enter_.pid = static_cast<int>(base::parse_int(base::trim(children)).value());
    enter_.start_ticks = processes().start_ticks(enter_.pid).value();
    enter_.capabilities = {"CHOWN", "KILL"};
  }
  void TearDown() override {
    if (holder_) static_cast<void>(holder_->signal(SIGKILL));
  }
  ProcessSpec inside(const std::string& script) {
    ProcessSpec spec = with_streams({});
    spec.argv = {"sh", "-c", script};
    spec.env = {"PATH=/usr/bin:/bin", "COLOUR=blue"};
    spec.working_directory = "/usr";
    spec.enter = enter_;
    return spec;
  }
  std::unique_ptr<Process> holder_;
  world::Enter enter_;
};

TEST_F(EnterTest, AProcessWhoEntersHasTheContainersNamespacesAndItsOwnEnvironment) {
  start(
      inside("hostname; echo $COLOUR; pwd; readlink /proc/1/ns/net /proc/self/ns/net | uniq | "
             "wc -l; ls /proc | grep -c '^[0-9]'; exit 5"));
  run();
  EXPECT_EQ(said_.err, "");
  const auto lines = base::split(said_.out, '\n');
  ASSERT_EQ(lines.size(), 6u) << said_.out;
  EXPECT_EQ(lines[0], "within");
  EXPECT_EQ(lines[1], "blue");
  EXPECT_EQ(lines[2], "/usr");
  EXPECT_EQ(lines[3], "1");
  EXPECT_LT(base::parse_int(lines[4]).value(), 8) << "it sees more than its container";
  EXPECT_EQ(said_.exit->code, 5);
}

TEST_F(EnterTest, NoMoreThanTheGivenCapabilitiesAndTheGivenUserAreHad) {
  start(inside("grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status"));
  run();
  EXPECT_EQ(said_.out, "CapEff:\t0000000000000021\nCapBnd:\t0000000000000021\nNoNewPrivs:\t1\n");
  said_ = {};
  enter_.user = 1234;
  enter_.group = 4321;
  start(inside("id -u; id -G; grep CapEff /proc/self/status"));
  run();
  EXPECT_EQ(said_.out, "1234\n4321\nCapEff:\t0000000000000000\n");
}

TEST_F(EnterTest, OneWhoEntersDiesWithTheContainer) {
  start(inside("echo in; sleep 1000"));
  run_until_said("in");
  ASSERT_TRUE(holder_->signal(SIGKILL).ok());
  run();
  EXPECT_EQ(said_.exit->signal, SIGKILL);
}

TEST_F(EnterTest, AProgramThatIsNotThereIsNotFoundAndOneThatMayNotBeRunIsForbidden) {
  ProcessSpec missing = inside("");
  missing.argv = {"no-such-program"};
  EXPECT_EQ(processes().spawn(missing, [](ExitState) {}).status().code(), Code::NotFound);
  ProcessSpec closed = inside("");
  closed.argv = {"/etc/passwd"};
  EXPECT_EQ(processes().spawn(closed, [](ExitState) {}).status().code(), Code::Forbidden);
}

TEST_F(EnterTest, AProcessThatHasEndedIsNotEntered) {
  enter_.start_ticks += 1;
  const auto process = processes().spawn(inside("true"), [](ExitState) {});
  EXPECT_EQ(process.status().code(), Code::NotFound) << process.status().to_string();
}

TEST_F(ProcessesTest, ActivityTellsWhetherAProcessIsStoppedBusyOrGone) {
  std::string heard;
  ProcessSpec spec = shell("while :; do :; done & echo $!; wait");
  spec.new_session = spec.take_group_along = true;
  spec.on_output = [&](std::string_view piece) {
    heard += piece;
    if (heard.ends_with('\n')) stop();
  };
  auto parent = processes().spawn(std::move(spec), [](ExitState) {});
  ASSERT_TRUE(parent.ok());
  run();
  const auto loop = base::parse_int(base::trim(heard));
  ASSERT_TRUE(loop.ok()) << heard;
  const int pid = static_cast<int>(*loop);
  while (processes().activity(pid, false)->processor_time <= base::Duration::milliseconds(50)) {
    ASSERT_EQ(processes().activity(pid, false)->state, 'R');
  }
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  while (processes().activity(pid, false)->state != 'T') continue;  // as soon as it is scheduled
  const int shell_pid = parent.value()->pid();
  // It waits as soon as it has been given the time to say so.
  while (processes().activity(shell_pid, false)->state != 'S') continue;
  const auto waiting = processes().activity(shell_pid, true);
  ASSERT_TRUE(waiting.ok());
  EXPECT_EQ(waiting->resent, 0);
  ASSERT_TRUE(parent.value()->signal_group(SIGKILL).ok());
  EXPECT_EQ(processes().activity(0x7ffffff0, true).status().code(), Code::NotFound);
}

TEST(ProcessActivity, AttemptsToHaveAnAnswerAreCountedForTheProcesssOwnSockets) {
  // As the kernel writes it, with a peer that is cut off in the second line.
  const std::string table =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n"
      "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000003     0        0 "
      "17 1 0000000000000000 100 0 0 10 0\n"
      "   1: 0200000A:D2F0 0300000A:1F90 01 00000400:00000000 01:00000A3C 0000000B     0        0 "
      "18 2 0000000000000000 20 4 30 10 -1\n"
      "   2: 0200000A:D2F2 0300000A:1F90 01 00000400:00000000 01:00000A3C 00000002     0        0 "
      "19 2 0000000000000000 20 4 30 10 -1\n";
  EXPECT_EQ(resent_in(table, {17, 18}), 11);
  EXPECT_EQ(resent_in(table, {18, 19}), 13);
  EXPECT_EQ(resent_in(table, {4}), 0);
  EXPECT_EQ(resent_in("garbled\n", {4}), 0);
}

}  // namespace
}  // namespace pelton::os
