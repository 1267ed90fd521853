// SPDX-License-Identifier: Apache-2.0
// What bound pods take of their nodes: so that no binding, however late it comes, overbooks one.
//
// A scheduler decides from what it saw. One that stalls, or whose request was long under way, may
// ask for a node that its successor has filled meanwhile. So each binding is checked here against
// the newest state, writes under way included: a pod that is about to be bound takes its room at
// once; one that is about to go, or to end, gives it back only when that is durable. Used on the
// loop only.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/pod_resources.h"
#include "base/json.h"

namespace pelton::apiserver {

class NodeRoom {
 public:
  /// Before set_loaded() only what is under way is known; its caller then hands over all stored
  /// pods by note_durable().
  bool is_loaded() const { return is_loaded_; }
  void set_loaded() { is_loaded_ = true; }

  /// A write of the pod was handed to the store (`key` is the store's). Returns its ticket.
  uint64_t note_under_way(const std::string& key, const base::Json& pod, bool is_remove);
  /// That write is over, in whichever way.
  void note_over(uint64_t ticket);
  /// This is what is stored now.
  void note_durable(const std::string& key, const base::Json& pod, bool is_remove);

  /// What pods on the node take, those about to be bound included.
  api::Amounts used(std::string_view node) const;

 private:
  struct Taken {
    std::string node;
    api::Amounts amounts;
  };
  using ByNode = std::map<std::string, api::Amounts, std::less<>>;
  void add(const Taken& taken, int sign);

  bool is_loaded_ = false;
  uint64_t next_ticket_ = 1;
  std::map<std::string, Taken> pods_;  ///< durable, by key
  struct UnderWay {
    std::string key;
    Taken taken;
  };
  std::map<uint64_t, UnderWay> under_way_;  ///< by ticket
  ByNode used_;                             ///< of pods_
};

/// Why a node cannot take `wanted` beside `used`: "Insufficient google.com/tpu: 2 wanted, 1 of 4
/// free", or "". Pure.
std::string lacking_room(const base::Json& node, const api::Amounts& used,
                         const api::Amounts& wanted);

}  // namespace pelton::apiserver
