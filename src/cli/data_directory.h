// SPDX-License-Identifier: Apache-2.0
// Where an embedded cluster keeps what: one directory, one layout, in one place.
//
//   config.json      what one `pelton up` chose and the next keeps: the port
//   lock             held by the server while it lives; says who holds it
//   kubeconfig       the administrator's, for kubectl
//   park.json        the park of this cluster
//   pki/NAME.{crt,key}
//   store/           the API server's memory
//   nodes/NAME/      one agent's: pods, volumes, logs
//   dns/             the name server's records
//   run/NAME.json    running processes: pid and start
//   run/NAME.starting  the same of those that do not serve yet
//   log/NAME.log
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "agent/park.h"
#include "base/status.h"
#include "world/files.h"
#include "world/processes.h"

namespace pelton::cli {

struct DataDirectory {
  std::string root;  ///< absolute

  std::string config() const { return root + "/config.json"; }
  std::string lock() const { return root + "/lock"; }
  std::string kubeconfig() const { return root + "/kubeconfig"; }
  std::string park() const { return root + "/park.json"; }
  std::string pki() const { return root + "/pki"; }
  std::string certificate(const std::string& name) const { return pki() + "/" + name + ".crt"; }
  std::string key(const std::string& name) const { return pki() + "/" + name + ".key"; }
  std::string store() const { return root + "/store"; }
  std::string node(const std::string& name) const { return root + "/nodes/" + name; }
  std::string dns() const { return root + "/dns"; }
  std::string run() const { return root + "/run"; }
  std::string log(const std::string& name) const { return root + "/log/" + name + ".log"; }
};

/// The default directory: $XDG_DATA_HOME or ~/.local/share, then pelton/default.
std::string default_data_directory();
/// $XDG_CACHE_HOME or ~/.cache, then pelton: what `./dev` fetched lies there.
std::string default_cache_directory();
/// `path` made absolute from the working directory.
DataDirectory data_directory(const std::string& path);

/// What one `pelton up` decided and the next keeps.
struct ClusterConfig {
  uint16_t port = 0;  ///< of the API server on 127.0.0.1
  static base::Result<ClusterConfig> read(world::Files& files, const DataDirectory& directory);
  base::Status write(world::Files& files, const DataDirectory& directory) const;
};

/// The park that the last `pelton up` kept.
base::Result<agent::Park> load_park(world::Files& files, const DataDirectory& directory);

/// A process of the cluster, as run/NAME.json records it.
struct RunRecord {
  std::string name;
  int pid = 0;
  uint64_t start_ticks = 0;
};

/// Written by whoever starts a process, so that one that does not serve yet can be ended too.
base::Status write_starting_record(world::Files& files, world::Processes& processes,
                                   const DataDirectory& directory, const std::string& name,
                                   int pid);
/// Written by the process itself once it serves; takes the starting record's place.
base::Status write_run_record(world::Files& files, world::Processes& processes,
                              const DataDirectory& directory, const std::string& name, int pid);
/// Both records of one that ends.
void remove_records(world::Files& files, const DataDirectory& directory, const std::string& name);
/// Records whose process still runs, sorted by name. Stale ones are left out.
std::vector<RunRecord> running(world::Files& files, world::Processes& processes,
                               const DataDirectory& directory);
/// The same of those that do not serve yet.
std::vector<RunRecord> starting(world::Files& files, world::Processes& processes,
                                const DataDirectory& directory);

}  // namespace pelton::cli
