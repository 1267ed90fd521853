// SPDX-License-Identifier: Apache-2.0
// What a pod's containers are given: environment, command line, and the content of volumes. Pure.
//
// A manifest refers to ConfigMaps, Secrets, its own metadata and its node; these functions turn the
// references into text. What is missing and not optional is an error that the pod waits with
// (CreateContainerConfigError), to be tried again.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/quantity.h"
#include "base/json.h"
#include "base/status.h"

namespace pelton::agent {

/// The objects that a pod refers to, by name, and facts about where it runs.
struct PodInputs {
  std::map<std::string, base::Json> config_maps;  ///< those that exist
  std::map<std::string, base::Json> secrets;
  std::string node_name;
  std::string host_address;
  std::string pod_address;
  api::Quantity node_cpu, node_memory;  ///< what resourceFieldRef gives where no limit is set
};

struct ReferencedObjects {
  std::set<std::string> config_maps, secrets;
};
/// Every ConfigMap and Secret that the pod's containers or volumes name, optional or not.
ReferencedObjects referenced_objects(const base::Json& pod);
/// Those that its volumes name: what is followed while the pod runs.
ReferencedObjects mounted_objects(const base::Json& pod);
/// Whether a volume shows the pod's own metadata.
bool shows_metadata(const base::Json& pod);

/// In order of definition; a later definition of a name has replaced the earlier one.
using Environment = std::vector<std::pair<std::string, std::string>>;
void set_variable(Environment& env, const std::string& name, std::string value);
const std::string* find_variable(const Environment& env, const std::string& name);

/// `first`, then the container's envFrom, then its env. NotFound or InvalidArgument names the
/// container, the variable, and the object or key that is missing.
base::Result<Environment> build_environment(const base::Json& pod, const base::Json& container,
                                            const PodInputs& inputs, Environment first);

/// Replaces $(NAME) by its value; an unknown one stays as it is, $$(NAME) becomes $(NAME).
std::string expand_variables(const std::string& text, const Environment& env);

/// command and args with variables replaced. Empty where the container states no command: then the
/// image has to say, which ours cannot (InvalidArgument by the caller).
std::vector<std::string> build_argv(const base::Json& container, const Environment& env);

/// One file that a volume holds.
struct VolumeFile {
  std::string path;  ///< relative to the volume
  std::string bytes;
  uint32_t mode = 0644;
  bool operator==(const VolumeFile&) const = default;
};

struct VolumePlan {
  enum class Kind : uint8_t { Directory, Memory, Content, HostPath };
  std::string name;
  Kind kind = Kind::Directory;
  std::string host_path;          ///< of HostPath
  std::string host_path_type;     ///< "", "Directory", "DirectoryOrCreate", "File", "FileOrCreate"
  std::vector<VolumeFile> files;  ///< of Content: configMap, secret, projected, downwardAPI
  int64_t memory_bytes = 0;       ///< of Memory: how much it may hold
  bool is_read_only() const { return kind == Kind::Content; }
};

/// What each volume of the pod is made of. NotFound names the volume and the ConfigMap, Secret or
/// key that is missing; Unimplemented a kind of volume that is not offered; Forbidden a hostPath
/// that would show the data directory.
base::Result<std::vector<VolumePlan>> plan_volumes(const base::Json& pod, const PodInputs& inputs,
                                                   const std::string& data_directory);

/// The same without the content of files and the size of memory: enough to mount volumes that have
/// been made, also when what they show is gone by now.
base::Result<std::vector<VolumePlan>> plan_mounts(const base::Json& pod,
                                                  const std::string& data_directory);

/// The value of a fieldRef, e.g. metadata.labels['app']. InvalidArgument: no such field.
base::Result<std::string> field_value(const base::Json& pod, const std::string& field_path,
                                      const PodInputs& inputs);
/// The value of a resourceFieldRef, e.g. {containerName, resource: limits.cpu, divisor}.
base::Result<std::string> resource_value(const base::Json& pod, const base::Json& container,
                                         const base::Json& ref, const PodInputs& inputs);

}  // namespace pelton::agent
