// SPDX-License-Identifier: Apache-2.0
#include "os/clock.h"

#include <sys/random.h>
#include <time.h>

#include <cerrno>

#include "os/loop.h"

namespace pelton::os {

base::Instant OsClock::now() {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return base::Instant::from_unix_ns(int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec);
}

base::Duration OsClock::elapsed() {
  return base::Duration::nanoseconds(monotonic_ns());
}

std::string OsRandom::bytes(size_t size) {
  std::string out(size, '\0');
  for (size_t filled = 0; filled < size;) {
    const ssize_t n = ::getrandom(out.data() + filled, size - filled, 0);
    PELTON_CHECK(n > 0 || errno == EINTR);
    if (n > 0) filled += static_cast<size_t>(n);
  }
  return out;
}

}  // namespace pelton::os
