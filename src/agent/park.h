// SPDX-License-Identifier: Apache-2.0
// The park file: which machines there are, and what images mean on them. Pure.
//
//   apiVersion: pelton.dev/v1alpha1
//   kind: Park
//   metadata: {name: small}
//   spec:
//     zones: [{name: local-a}]
//     machineTypes: [{name: tpu-host-1, cpu: "4", memory: 4Gi, accelerators: {google.com/tpu: 1}}]
//     machines: [{type: tpu-host-1, zone: local-a, count: 4, maxCount: 6}]
//     images: [{image: pelton.dev/jax, venv: jax, binds: [{from: ../train-gpt, to: /examples}]}]
//
// `count` machines run from the beginning; those beyond it, up to maxCount, when pods need them
// (docs/adr/0017-machines-asked-for.md).
// The accelerators of a park file are virtual devices: counted and handed out, computing nothing.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "agent/image_table.h"
#include "api/quantity.h"
#include "base/json.h"
#include "base/status.h"

namespace pelton::agent {

struct MachineType {
  std::string name;
  api::Quantity cpu;
  api::Quantity memory;
  std::map<std::string, int64_t> accelerators;  ///< resource name -> virtual devices per machine
  std::map<std::string, std::string> labels;
};

/// One machine, which becomes one node.
struct Machine {
  std::string node_name;  ///< "node-0", "node-1", …: the order of the file
  int index = 0;          ///< from 0; the node's pods have addresses 10.64.(index+1).0/24
  std::string zone;       ///< "" where the park names none
  MachineType type;
  std::map<std::string, std::string> labels;  ///< the type's, with the machine's over them
  bool is_on_demand = false;                  ///< started when pods need it
};

struct Park {
  std::string name;
  std::vector<Machine> machines;
  std::vector<ImageRule> images;

  const Machine* find(const std::string& node_name) const;  ///< nullptr: no such machine
};

/// Where relative paths of a park file begin.
struct ParkOrigin {
  std::string directory;        ///< of the park file, absolute: relative paths start here
  std::string venvs_directory;  ///< a venv without a slash is a directory of this one
};

constexpr int kMaxMachines = 250;  ///< one /24 each in 10.64.0.0/16

/// InvalidArgument names the park, the field, what is wrong and what would be right: an unknown
/// field, machine type or zone, an impossible quantity or count, more than kMaxMachines, no machine
/// that runs from the beginning.
base::Result<Park> parse_park(const base::Json& document, const ParkOrigin& origin);

/// The park as a document that parse_park() reads back, all paths absolute: what a data directory
/// keeps, so that its agents do not depend on the user's file.
base::Json park_to_json(const Park& park);

/// Without a park file: `count` machines of 4 CPUs and 8 GiB without accelerators in zone local-a.
Park default_park(int count);

/// The first `count` of the machines that run from the beginning, and all that are on demand, with
/// names in their new order. InvalidArgument where the park has fewer.
base::Result<Park> take_machines(const Park& park, int count);

}  // namespace pelton::agent
