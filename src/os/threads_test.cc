// SPDX-License-Identifier: Apache-2.0
#include "os/threads.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "os/ask_line.h"
#include "os/fd.h"

namespace pelton::os {
namespace {

TEST(Threads, EachDoesTheWorkOnceAndAllHaveEndedThen) {
  std::atomic<int> calls = 0;
  run_on_threads(4, [&] { ++calls; });
  EXPECT_EQ(calls, 4);
  EXPECT_GE(useful_threads(8), 1u);
  EXPECT_EQ(useful_threads(1), 1u);
}

/// Answers one question with these bytes, and ends.
class OneAnswer {
 public:
  explicit OneAnswer(const std::string& answer) {
    char name[] = "/tmp/pelton-ask-XXXXXX";
    directory_ = ::mkdtemp(name);
    path = directory_ + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    thread_ = std::thread([this, answer] {
      const Fd peer(::accept(listener_.get(), nullptr, nullptr));
      char byte = 0;
      while (byte != '\n' && ::recv(peer.get(), &byte, 1, 0) == 1) question += byte;
      for (const char c : answer) ::send(peer.get(), &c, 1, MSG_NOSIGNAL);
    });
  }
  ~OneAnswer() {
    thread_.join();
    ::unlink(path.c_str());
    ::rmdir(directory_.c_str());
  }
  std::string path, question;

 private:
  std::string directory_;
  Fd listener_;
  std::thread thread_;
};

TEST(AskLine, TheAnswerIsOneLineHoweverItComes) {
  OneAnswer server("{\"parts\": [1]}\nmore");
  const auto answer = ask_line(server.path, "what?", base::Duration::seconds(20));
  EXPECT_EQ(*answer, "{\"parts\": [1]}");
}

TEST(AskLine, AnEndWithoutAnAnswerNamesTheSocket) {
  OneAnswer server("half a li");
  const auto answer = ask_line(server.path, "what?", base::Duration::seconds(20));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().message(), server.path + ": it ended without an answer");
}

TEST(AskLine, NobodyThereIsSaidAtOnce) {
  EXPECT_EQ(ask_line("/tmp/no-such-socket", "?", base::Duration::seconds(20)).error().code(),
            base::Code::Unavailable);
  EXPECT_EQ(ask_line(std::string(200, 'x'), "?", base::Duration::seconds(20)).error().code(),
            base::Code::InvalidArgument);
}

}  // namespace
}  // namespace pelton::os
