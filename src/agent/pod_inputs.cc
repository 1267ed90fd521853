// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_inputs.h"

#include "api/object.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

const Json& container_named(const Json& pod, const std::string& name) {
  static const Json nothing;
  for (const char* list : {"containers", "initContainers"}) {
    for (const Json& container : pod["spec"][list].items()) {
      if (container["name"].as_string() == name) return container;
    }
  }
  return nothing;
}

/// One key of a ConfigMap or Secret; nullopt where it is missing and may be.
base::Result<std::optional<std::string>> key_value(const Json& ref, const PodInputs& inputs,
                                                   bool is_secret) {
  const std::string& name = ref["name"].as_string();
  const std::string& key = ref["key"].as_string();
  const auto& objects = is_secret ? inputs.secrets : inputs.config_maps;
  const char* kind = is_secret ? "secret" : "configmap";
  const auto object = objects.find(name);
  if (object == objects.end()) {
    if (ref["optional"].as_bool()) return std::optional<std::string>();
    return base::not_found(std::string(kind) + " \"" + name + "\" not found");
  }
  if (const Json* value = object->second["data"].find(key)) {
    if (!is_secret) return std::optional(value->as_string());
    PELTON_ASSIGN(std::string bytes, base::base64_decode(value->as_string()));
    return std::optional(std::move(bytes));
  }
  if (const Json* value = object->second["binaryData"].find(key)) {
    PELTON_ASSIGN(std::string bytes, base::base64_decode(value->as_string()));
    return std::optional(std::move(bytes));
  }
  if (ref["optional"].as_bool()) return std::optional<std::string>();
  return base::not_found("couldn't find key " + key + " in " + kind + " \"" + name + "\"");
}

base::Status add_env_from(const Json& source, const PodInputs& inputs, Environment& env) {
  const bool is_secret = source.contains("secretRef");
  const Json& ref = is_secret ? source["secretRef"] : source["configMapRef"];
  const auto& objects = is_secret ? inputs.secrets : inputs.config_maps;
  const auto object = objects.find(ref["name"].as_string());
  if (object == objects.end()) {
    if (ref["optional"].as_bool()) return base::ok();
    return base::not_found(std::string(is_secret ? "secret" : "configmap") + " \"" +
                           ref["name"].as_string() + "\" not found");
  }
  for (const auto& [key, value] : object->second["data"].members()) {
    std::string text = value.as_string();
    if (is_secret) {
      PELTON_ASSIGN(text, base::base64_decode(text));
    }
    set_variable(env, source["prefix"].as_string() + key, std::move(text));
  }
  return base::ok();
}

/// The value of one entry of env; nullopt where an optional reference is missing.
base::Result<std::optional<std::string>> env_value(const Json& pod, const Json& container,
                                                   const Json& entry, const PodInputs& inputs,
                                                   const Environment& env) {
  const Json& from = entry["valueFrom"];
  if (from.is_null()) return std::optional(expand_variables(entry["value"].as_string(), env));
  if (const Json* ref = from.find("fieldRef")) {
    PELTON_ASSIGN(std::string text, field_value(pod, (*ref)["fieldPath"].as_string(), inputs));
    return std::optional(std::move(text));
  }
  if (const Json* ref = from.find("resourceFieldRef")) {
    PELTON_ASSIGN(std::string text, resource_value(pod, container, *ref, inputs));
    return std::optional(std::move(text));
  }
  if (const Json* ref = from.find("configMapKeyRef")) return key_value(*ref, inputs, false);
  if (const Json* ref = from.find("secretKeyRef")) return key_value(*ref, inputs, true);
  return base::invalid_argument("valueFrom names no source");
}

void note_container(const Json& container, ReferencedObjects& out) {
  for (const Json& source : container["envFrom"].items()) {
    if (const Json* ref = source.find("configMapRef")) {
      out.config_maps.insert((*ref)["name"].as_string());
    }
    if (const Json* ref = source.find("secretRef")) out.secrets.insert((*ref)["name"].as_string());
  }
  for (const Json& entry : container["env"].items()) {
    const Json& from = entry["valueFrom"];
    if (const Json* ref = from.find("configMapKeyRef")) {
      out.config_maps.insert((*ref)["name"].as_string());
    }
    if (const Json* ref = from.find("secretKeyRef")) out.secrets.insert((*ref)["name"].as_string());
  }
}

void note_volume(const Json& volume, ReferencedObjects& out) {
  if (const Json* source = volume.find("configMap")) {
    out.config_maps.insert((*source)["name"].as_string());
  }
  if (const Json* source = volume.find("secret")) {
    const Json* name = source->find("secretName");  // of a volume; of a projection it is "name"
    out.secrets.insert((name != nullptr ? *name : (*source)["name"]).as_string());
  }
}

}  // namespace

ReferencedObjects referenced_objects(const Json& pod) {
  ReferencedObjects out = mounted_objects(pod);
  for (const char* list : {"initContainers", "containers"}) {
    for (const Json& container : pod["spec"][list].items()) note_container(container, out);
  }
  return out;
}

ReferencedObjects mounted_objects(const Json& pod) {
  ReferencedObjects out;
  for (const Json& volume : pod.at("spec.volumes").items()) {
    note_volume(volume, out);
    for (const Json& source : volume.at("projected.sources").items()) note_volume(source, out);
  }
  return out;
}

bool shows_metadata(const Json& pod) {
  for (const Json& volume : pod.at("spec.volumes").items()) {
    if (volume.contains("downwardAPI")) return true;
    for (const Json& source : volume.at("projected.sources").items()) {
      if (source.contains("downwardAPI")) return true;
    }
  }
  return false;
}

void set_variable(Environment& env, const std::string& name, std::string value) {
  for (auto& [known, old] : env) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  env.emplace_back(name, std::move(value));
}

const std::string* find_variable(const Environment& env, const std::string& name) {
  for (const auto& [known, value] : env) {
    if (known == name) return &value;
  }
  return nullptr;
}

base::Result<Environment> build_environment(const Json& pod, const Json& container,
                                            const PodInputs& inputs, Environment first) {
  Environment env = std::move(first);
  for (const Json& source : container["envFrom"].items()) {
    PELTON_TRY(add_env_from(source, inputs, env));
  }
  for (const Json& entry : container["env"].items()) {
    const std::string& name = entry["name"].as_string();
    auto value = env_value(pod, container, entry, inputs, env);
    if (!value.ok()) {
      return std::move(value).status().with("container " + container["name"].as_string() +
                                            ", env " + name);
    }
    if (value->has_value()) set_variable(env, name, std::move(**value));
  }
  return env;
}

std::string expand_variables(const std::string& text, const Environment& env) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const size_t close = text[i + 1] == '(' ? text.find(')', i) : std::string::npos;
    if (close == std::string::npos) {
      out += '$';
      continue;
    }
    const std::string* value = find_variable(env, text.substr(i + 2, close - i - 2));
    out += value != nullptr ? *value : text.substr(i, close - i + 1);
    i = close;
  }
  return out;
}

std::vector<std::string> build_argv(const Json& container, const Environment& env) {
  std::vector<std::string> argv;
  for (const char* list : {"command", "args"}) {
    for (const Json& word : container[list].items()) {
      argv.push_back(expand_variables(word.as_string(), env));
    }
  }
  return argv;
}

base::Result<std::string> field_value(const Json& pod, const std::string& path,
                                      const PodInputs& inputs) {
  for (const char* map : {"labels", "annotations"}) {
    const std::string all = std::string("metadata.") + map;
    const Json& values = pod["metadata"][map];
    if (path == all) {  // of a downwardAPI volume
      std::string lines;
      for (const auto& [key, value] : values.members()) {
        if (!lines.empty()) lines += '\n';
        lines += key + "=";
        base::append_json_string(lines, value.as_string());
      }
      return lines;
    }
    if (path.starts_with(all + "['") && path.ends_with("']")) {
      const size_t begin = all.size() + 2;
      return values[path.substr(begin, path.size() - begin - 2)].as_string();
    }
  }
  if (path == "metadata.name") return api::name_of(pod);
  if (path == "metadata.namespace") return api::namespace_of(pod);
  if (path == "metadata.uid") return api::uid_of(pod);
  if (path == "spec.nodeName") return inputs.node_name;
  if (path == "spec.serviceAccountName") return pod.at("spec.serviceAccountName").as_string();
  if (path == "status.podIP" || path == "status.podIPs") return inputs.pod_address;
  if (path == "status.hostIP" || path == "status.hostIPs") return inputs.host_address;
  return base::invalid_argument("fieldPath \"" + path + "\" is not offered");
}

base::Result<std::string> resource_value(const Json& pod, const Json& container, const Json& ref,
                                         const PodInputs& inputs) {
  const std::string& name = ref["containerName"].as_string();
  const Json& subject = name.empty() ? container : container_named(pod, name);
  const std::string& resource = ref["resource"].as_string();
  const size_t dot = resource.find('.');
  const std::string kind = resource.substr(0, dot);
  const std::string what = dot == std::string::npos ? "" : resource.substr(dot + 1);
  if ((kind != "limits" && kind != "requests") || what.empty()) {
    return base::invalid_argument("resource \"" + resource +
                                  "\" is neither limits.* nor requests.*");
  }
  api::Quantity amount = api::Quantity::or_zero(subject["resources"][kind][what]);
  if (kind == "limits" && amount.is_zero()) {
    if (what == "cpu") amount = inputs.node_cpu;
    if (what == "memory") amount = inputs.node_memory;
  }
  const api::Quantity divisor = api::Quantity::or_zero(ref["divisor"]);
  const double unit = divisor.is_zero() ? 1.0 : divisor.to_double();
  const double quotient = amount.to_double() / unit;
  auto whole = static_cast<int64_t>(quotient);
  if (static_cast<double>(whole) < quotient) ++whole;  // rounded up, as a kubelet does
  return std::to_string(whole);
}

}  // namespace pelton::agent
