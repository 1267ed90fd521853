// SPDX-License-Identifier: Apache-2.0
#include "agent/park.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

/// Reads one mapping and remembers which of its fields are known.
class Reader {
 public:
  Reader(const Json& json, std::string park, std::string field)
      : json_(json), park_(std::move(park)), field_(std::move(field)) {}

  base::Status error(const std::string& name, const std::string& what) const {
    const std::string at = name.empty() ? field_ : field_.empty() ? name : field_ + "." + name;
    return base::invalid_argument("park \"" + park_ + "\": " + at + ": " + what);
  }
  Reader child(const std::string& name) {
    known_.insert(name);
    return {json_[name], park_, field_.empty() ? name : field_ + "." + name};
  }
  Reader item(size_t index) const {
    return {json_[index], park_, field_ + "[" + std::to_string(index) + "]"};
  }
  size_t size() const { return json_.size(); }
  bool is_absent() const { return json_.is_null(); }
  const Json& json() const { return json_; }

  base::Result<std::string> text(const std::string& name, bool is_required) {
    known_.insert(name);
    const Json& value = json_[name];
    if (value.is_null() && !is_required) return std::string();
    if (!value.is_string() || value.as_string().empty()) {
      return error(name, value.is_null() ? "is required"
                                         : "must be a string, is " + std::string(value.dump()));
    }
    return value.as_string();
  }
  base::Result<api::Quantity> quantity(const std::string& name) {
    known_.insert(name);
    if (json_[name].is_null()) return error(name, "is required, e.g. \"4\" or 8Gi");
    auto parsed = api::Quantity::parse(json_[name]);
    if (!parsed.ok()) return error(name, parsed.status().message());
    if (parsed->is_negative() || parsed->is_zero()) {
      return error(name, "must be more than 0, is " + parsed->to_string());
    }
    return parsed;
  }
  base::Result<int64_t> count(const std::string& name, int64_t fallback) {
    known_.insert(name);
    const Json& value = json_[name];
    if (value.is_null()) return fallback;
    if (!value.is_int() || value.as_int() < 0) {
      return error(name, "must be a whole number from 0, is " + value.dump());
    }
    return value.as_int();
  }
  base::Result<std::map<std::string, std::string>> labels(const std::string& name) {
    known_.insert(name);
    std::map<std::string, std::string> out;
    for (const auto& [key, value] : json_[name].members()) {
      if (!value.is_string()) return error(name + "[" + key + "]", "must be a string (quote it)");
      out[key] = value.as_string();
    }
    return out;
  }
  base::Status expect_object() const {
    return json_.is_object() ? base::ok() : error("", "must be a mapping");
  }
  base::Status expect_list() const {
    return json_.is_array() || json_.is_null() ? base::ok() : error("", "must be a list");
  }
  void allow(const std::string& name) { known_.insert(name); }
  base::Status expect_nothing_else() const {
    for (const auto& [name, value] : json_.members()) {
      if (!known_.contains(name)) {
        return error(name, "is no field of a park; known here: " +
                               base::join({known_.begin(), known_.end()}, ", "));
      }
    }
    return base::ok();
  }

 private:
  const Json& json_;
  std::string park_, field_;
  std::set<std::string> known_;
};

std::string resolve(const std::string& directory, const std::string& path) {
  if (path.starts_with('/')) return path;
  std::vector<std::string> parts;
  const std::string whole = directory + "/" + path;
  for (const std::string_view part : base::split(whole, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.emplace_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return "/" + base::join(parts, "/");
}

base::Result<MachineType> read_machine_type(Reader in) {
  PELTON_TRY(in.expect_object());
  MachineType type;
  PELTON_ASSIGN(type.name, in.text("name", true));
  PELTON_ASSIGN(type.cpu, in.quantity("cpu"));
  PELTON_ASSIGN(type.memory, in.quantity("memory"));
  PELTON_ASSIGN(type.labels, in.labels("labels"));
  Reader accelerators = in.child("accelerators");
  for (const auto& [resource, amount] : accelerators.json().members()) {
    if (resource.find('/') == std::string::npos) {
      return accelerators.error(resource, "a device's resource has a domain, e.g. google.com/tpu");
    }
    PELTON_ASSIGN(type.accelerators[resource], accelerators.count(resource, 0));
  }
  PELTON_TRY(in.expect_nothing_else());
  return type;
}

base::Result<ImageRule> read_image(Reader in, const ParkOrigin& origin) {
  PELTON_TRY(in.expect_object());
  ImageRule rule;
  PELTON_ASSIGN(rule.image, in.text("image", true));
  PELTON_ASSIGN(const std::string venv, in.text("venv", false));
  PELTON_ASSIGN(const std::string rootfs, in.text("rootfs", false));
  in.allow("host");
  const bool is_host = in.json()["host"].as_bool();
  if (is_host + !venv.empty() + !rootfs.empty() != 1) {
    return in.error("",
                    "says what the image is by exactly one of host: true, venv: DIRECTORY, "
                    "rootfs: DIRECTORY");
  }
  if (!venv.empty()) {
    rule.kind = ImageRule::Kind::Venv;
    const bool is_name = venv.find('/') == std::string::npos;
    rule.path = resolve(is_name ? origin.venvs_directory : origin.directory, venv);
  } else if (!rootfs.empty()) {
    rule.kind = ImageRule::Kind::RootFilesystem;
    rule.path = resolve(origin.directory, rootfs);
  }
  Reader binds = in.child("binds");
  PELTON_TRY(binds.expect_list());
  for (size_t i = 0; i < binds.size(); ++i) {
    Reader bind = binds.item(i);
    PELTON_TRY(bind.expect_object());
    ImageBind made;
    PELTON_ASSIGN(made.from, bind.text("from", true));
    PELTON_ASSIGN(made.to, bind.text("to", true));
    made.from = resolve(origin.directory, made.from);
    if (!made.to.starts_with('/')) return bind.error("to", "must be an absolute path");
    PELTON_TRY(bind.expect_nothing_else());
    rule.binds.push_back(std::move(made));
  }
  PELTON_TRY(in.expect_nothing_else());
  return rule;
}

std::string name_of(int index) {
  return "node-" + std::to_string(index);
}

base::Status read_machines(Reader in, const std::map<std::string, MachineType>& types,
                           const std::set<std::string>& zones, Park& park) {
  PELTON_TRY(in.expect_list());
  std::vector<std::string> known;
  for (const auto& [name, type] : types) known.push_back(name);
  for (size_t i = 0; i < in.size(); ++i) {
    Reader entry = in.item(i);
    PELTON_TRY(entry.expect_object());
    PELTON_ASSIGN(const std::string type_name, entry.text("type", true));
    const auto type = types.find(type_name);
    if (type == types.end()) {
      return entry.error("type",
                         "no machine type \"" + type_name +
                             "\" in spec.machineTypes; there are: " + base::join(known, ", "));
    }
    PELTON_ASSIGN(const std::string zone, entry.text("zone", false));
    if (!zone.empty() && !zones.contains(zone)) {
      return entry.error("zone", "no zone \"" + zone + "\" in spec.zones");
    }
    PELTON_ASSIGN(const int64_t count, entry.count("count", 1));
    PELTON_ASSIGN(const int64_t most, entry.count("maxCount", count));
    if (most < count) {
      return entry.error("maxCount", "must be at least count, " + std::to_string(count) + ", is " +
                                         std::to_string(most));
    }
    PELTON_ASSIGN(const auto labels, entry.labels("labels"));
    PELTON_TRY(entry.expect_nothing_else());
    for (int64_t n = 0; n < most; ++n) {
      if (park.machines.size() == kMaxMachines) {
        return entry.error(
            n < count ? "count" : "maxCount",
            "a park has at most " + std::to_string(kMaxMachines) + " machines on one host");
      }
      Machine machine{.index = static_cast<int>(park.machines.size()),
                      .zone = zone,
                      .type = type->second,
                      .labels = type->second.labels,
                      .is_on_demand = n >= count};
      machine.node_name = name_of(machine.index);
      for (const auto& [key, value] : labels) machine.labels[key] = value;
      park.machines.push_back(std::move(machine));
    }
  }
  return base::ok();
}

/// Those that run from the beginning.
int64_t running_machines(const Park& park) {
  return std::count_if(park.machines.begin(), park.machines.end(),
                       [](const Machine& machine) { return !machine.is_on_demand; });
}

Json labels_json(const std::map<std::string, std::string>& labels) {
  Json out = Json::object();
  for (const auto& [key, value] : labels) out.set(key, value);
  return out;
}

Json image_json(const ImageRule& rule) {
  Json out = Json::object({{"image", rule.image}});
  if (rule.kind == ImageRule::Kind::Host) out.set("host", true);
  if (rule.kind == ImageRule::Kind::Venv) out.set("venv", rule.path);
  if (rule.kind == ImageRule::Kind::RootFilesystem) out.set("rootfs", rule.path);
  Json binds = Json::array();
  for (const ImageBind& bind : rule.binds) {
    binds.push_back(Json::object({{"from", bind.from}, {"to", bind.to}}));
  }
  if (!binds.empty()) out.set("binds", std::move(binds));
  return out;
}

}  // namespace

const Machine* Park::find(const std::string& node_name) const {
  for (const Machine& machine : machines) {
    if (machine.node_name == node_name) return &machine;
  }
  return nullptr;
}

base::Result<Park> parse_park(const Json& document, const ParkOrigin& origin) {
  const std::string& given_name = document.at("metadata.name").as_string();
  Reader top(document, given_name.empty() ? "(no name)" : given_name, "");
  PELTON_TRY(top.expect_object());
  if (document["apiVersion"].as_string() != "pelton.dev/v1alpha1") {
    return top.error("apiVersion", "must be pelton.dev/v1alpha1");
  }
  if (document["kind"].as_string() != "Park") return top.error("kind", "must be Park");
  for (const char* name : {"apiVersion", "kind", "metadata"}) top.allow(name);
  Park park;
  PELTON_ASSIGN(park.name, top.child("metadata").text("name", true));

  Reader spec = top.child("spec");
  PELTON_TRY(spec.expect_object());
  std::set<std::string> zones;
  Reader zone_list = spec.child("zones");
  PELTON_TRY(zone_list.expect_list());
  for (size_t i = 0; i < zone_list.size(); ++i) {
    Reader zone = zone_list.item(i);
    PELTON_ASSIGN(std::string name, zone.text("name", true));
    PELTON_TRY(zone.expect_nothing_else());
    if (!zones.insert(name).second)
      return zone.error("name", "zone \"" + name + "\" is there twice");
  }
  std::map<std::string, MachineType> types;
  Reader type_list = spec.child("machineTypes");
  PELTON_TRY(type_list.expect_list());
  for (size_t i = 0; i < type_list.size(); ++i) {
    PELTON_ASSIGN(MachineType type, read_machine_type(type_list.item(i)));
    const std::string name = type.name;
    if (!types.emplace(name, std::move(type)).second) {
      return type_list.item(i).error("name", "machine type \"" + name + "\" is there twice");
    }
  }
  PELTON_TRY(read_machines(spec.child("machines"), types, zones, park));
  if (running_machines(park) == 0) {
    return spec.error("machines", "names no machine; add {type, count}");
  }
  Reader images = spec.child("images");
  PELTON_TRY(images.expect_list());
  for (size_t i = 0; i < images.size(); ++i) {
    PELTON_ASSIGN(ImageRule rule, read_image(images.item(i), origin));
    park.images.push_back(std::move(rule));
  }
  PELTON_TRY(spec.expect_nothing_else());
  PELTON_TRY(top.expect_nothing_else());
  return park;
}

Json park_to_json(const Park& park) {
  Json types = Json::array(), zones = Json::array(), machines = Json::array(),
       images = Json::array();
  std::set<std::string> seen_types, seen_zones;
  for (const Machine& machine : park.machines) {
    const MachineType& type = machine.type;
    if (seen_types.insert(type.name).second) {
      Json accelerators = Json::object();
      for (const auto& [resource, count] : type.accelerators) accelerators.set(resource, count);
      types.push_back(Json::object({{"name", type.name},
                                    {"cpu", type.cpu.to_string()},
                                    {"memory", type.memory.to_string()},
                                    {"accelerators", std::move(accelerators)},
                                    {"labels", labels_json(type.labels)}}));
    }
    Json entry = Json::object({{"type", type.name}, {"labels", labels_json(machine.labels)}});
    if (!machine.zone.empty()) {
      entry.set("zone", machine.zone);
      if (seen_zones.insert(machine.zone).second) {
        zones.push_back(Json::object({{"name", machine.zone}}));
      }
    }
    if (machine.is_on_demand) {
      entry.set("count", 0);
      entry.set("maxCount", 1);
    }
    machines.push_back(std::move(entry));
  }
  for (const ImageRule& rule : park.images) images.push_back(image_json(rule));
  return Json::object({{"apiVersion", "pelton.dev/v1alpha1"},
                       {"kind", "Park"},
                       {"metadata", Json::object({{"name", park.name}})},
                       {"spec", Json::object({{"zones", std::move(zones)},
                                              {"machineTypes", std::move(types)},
                                              {"machines", std::move(machines)},
                                              {"images", std::move(images)}})}});
}

Park default_park(int count) {
  Park park{.name = "default"};
  const MachineType type{.name = "host",
                         .cpu = api::Quantity::of(4),
                         .memory = api::Quantity::of_bytes(int64_t{8} << 30)};
  for (int i = 0; i < count; ++i) {
    park.machines.push_back({.node_name = name_of(i), .index = i, .zone = "local-a", .type = type});
  }
  return park;
}

base::Result<Park> take_machines(const Park& park, int count) {
  if (count < 1) return base::invalid_argument("a cluster has at least one node");
  if (const int64_t running = running_machines(park); count > running) {
    return base::invalid_argument("park \"" + park.name + "\" has " + std::to_string(running) +
                                  " machines, not " + std::to_string(count) +
                                  "; raise a count in spec.machines");
  }
  Park taken = park;
  taken.machines.clear();
  for (const Machine& machine : park.machines) {
    if (!machine.is_on_demand && count-- <= 0) continue;
    Machine& kept = taken.machines.emplace_back(machine);
    kept.index = static_cast<int>(taken.machines.size()) - 1;
    kept.node_name = name_of(kept.index);
  }
  return taken;
}

}  // namespace pelton::agent
