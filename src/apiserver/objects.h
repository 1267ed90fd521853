// SPDX-License-Identifier: Apache-2.0
// The store, seen as objects of resources instead of keys and bytes.
//
// Parsed objects are transient; a small cache keeps those that many watchers look at in the same
// moment from being parsed once for each. Used on the loop only.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/registry.h"
#include "base/json.h"
#include "store/store.h"

namespace pelton::apiserver {

using store::Revision;
