// SPDX-License-Identifier: Apache-2.0
// One piece of work done by several threads at once, for a caller that waits for it.
#pragma once
#include <functional>

namespace pelton::os {

/// As many as the processors that this process may use, at most `most`.
size_t useful_threads(size_t most);

/// Calls `work` on `threads` threads, the caller's among them; returns when all calls have.
void run_on_threads(size_t threads, const std::function<void()>& work);

}  // namespace pelton::os
