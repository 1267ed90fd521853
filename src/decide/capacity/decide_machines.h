// SPDX-License-Identifier: Apache-2.0
// Which machines to ask for, for the pods that no node has room for. Pure.
//
// Pods are placed as the scheduler places them (decide/placement), with every machine that can be
// had as an empty node besides. Where an unschedulable pod lands on such a machine, it is nominated
// for it (status.nominatedNodeName), and the machine is asked for until it is a Ready node.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "decide/placement/observed.h"

namespace pelton::decide::capacity {

struct Observed {
  placement::World world;
  placement::Objects offers;  ///< machines that can be had, as the Nodes they become
};

/// What a pod's status.nominatedNodeName is to become.
struct Nomination {
  std::string namespace_name, pod_name, pod_uid;
  std::string node_name;  ///< "": none any more
  bool operator==(const Nomination&) const = default;
};

struct Decision {
  std::vector<Nomination> nominations;  ///< sorted by namespace, name
  std::set<std::string> machines;       ///< to be asked for: those that somebody is nominated for
};

Decision decide_machines(const Observed& observed);

}  // namespace pelton::decide::capacity
