// SPDX-License-Identifier: Apache-2.0
// The executable: a table of verbs.
#include "cli/verbs.h"

int main(int argc, char** argv) {
  return pelton::cli::run(argc, argv);
}
