// SPDX-License-Identifier: Apache-2.0
#include "decide/health/gpu_watch.h"

#include <gtest/gtest.h>

namespace pelton::decide::health {
namespace {

constexpr base::Instant kNow = base::Instant::from_unix_seconds(50);

std::string cause(GpuWatch& watch, std::string_view line) {
  const auto found = watch.on_line(line, "n", kNow);
  return found ? found->cause + "@" + found->device + " " + severity_name(found->severity) : "";
}

TEST(GpuWatchTest, TellsOfNewUncorrectedErrorsOnly) {
  GpuWatch watch;
  EXPECT_EQ(cause(watch, "GPU-1, 00000000:3B:00.0, 7"), "") << "of before";
  EXPECT_EQ(cause(watch, "GPU-2, 00000000:5E:00.0, 0"), "");
  EXPECT_EQ(cause(watch, "GPU-1, 00000000:3B:00.0, 7"), "");
  EXPECT_EQ(cause(watch, "GPU-1, 00000000:3B:00.0, 9"), "EccUncorrected@00000000:3B:00.0 Degraded");
  EXPECT_EQ(cause(watch, "GPU-1, 00000000:3B:00.0, 0"), "") << "the driver was loaded again";
  EXPECT_EQ(cause(watch, "GPU-1, 00000000:3B:00.0, 1"), "EccUncorrected@00000000:3B:00.0 Degraded");
}

TEST(GpuWatchTest, ADeviceThatDoesNotAnswerIsFatal) {
  GpuWatch watch;
  EXPECT_EQ(cause(watch, "GPU-1, 00000000:3B:00.0, [GPU is lost]"),
            "DeviceLost@00000000:3B:00.0 Fatal");
  EXPECT_EQ(cause(watch, "GPU-1, 00000000:3B:00.0, [GPU requires reset]"),
            "DeviceFailed@00000000:3B:00.0 Fatal");
  EXPECT_EQ(cause(watch,
                  "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.  "
                  "Reboot the system to recover this GPU"),
            "DeviceLost@ Fatal");
}

TEST(GpuWatchTest, WhatIsNoRowSaysNothing) {
  GpuWatch watch;
  for (const char* line : {"", ",", ",,", "GPU-1, x, [N/A]", "GPU-1, x, 99999999999999999999",
                           "GPU-1, x, -", "GPU-1, x, 3, 4", "No devices were found"}) {
    EXPECT_EQ(cause(watch, line), "") << line;
  }
}

}  // namespace
}  // namespace pelton::decide::health
