// SPDX-License-Identifier: Apache-2.0
// A page is a worker's memory: whatever stands in it, reading it ends, and no record is read twice.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "launch/heartbeat_page.h"

namespace launch = pelton::launch;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string page = launch::make_page(1, 0);
  launch::PageReader reader;
  uint64_t seen = 0;
  uint64_t highest = 0;
  while (size > 3) {
    const size_t at = (static_cast<size_t>(data[0]) * 256 + data[1]) % page.size();
    const size_t count = std::min<size_t>({data[2] % 64u, size - 3, page.size() - at});
    std::memcpy(page.data() + at, data + 3, count);
    data += 3 + count;
    size -= 3 + count;
    std::vector<launch::Beat> beats;
    launch::PageReader::check(page, 1, 0).ignore("any answer is fine");
    static_cast<void>(launch::tick_in(page));
    reader.read(page, beats);
    uint64_t written = 0;
    std::memcpy(&written, page.data() + 32, sizeof written);
    highest = std::max(highest, written);
    seen += beats.size();
    if (beats.size() > launch::kPageCapacity || seen + reader.lost() != highest) std::abort();
  }
  return 0;
}
