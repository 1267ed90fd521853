// SPDX-License-Identifier: Apache-2.0
#include "client/kubeconfig.h"

#include <utility>

#include "api/yaml.h"
#include "base/strings.h"

namespace pelton::client {

using base::Json;
using base::Result;
using base::Status;

namespace {

/// The entry of that name in a list of {name, <kind>: …}.
Result<Json> named(const Json& config, const std::string& list, const std::string& kind,
                   const std::string& name) {
  for (const Json& entry : config[list].items()) {
    if (entry["name"].as_string() == name) return entry[kind];
  }
  return base::not_found("the kubeconfig has no " + kind + " named \"" + name + "\"");
}

/// `<field>-data` in base64, or the file that `<field>` names; empty where there is neither.
Result<std::string> pem_of(const Json& from, const std::string& field, world::Files& files,
                           const std::string& directory) {
  if (const std::string& data = from[field + "-data"].as_string(); !data.empty()) {
    auto decoded = base::base64_decode(data);
    if (!decoded.ok()) return decoded.status().with("the kubeconfig's " + field + "-data");
    return decoded;
  }
  const std::string& path = from[field].as_string();
  if (path.empty()) return std::string();
  auto text = files.read(path.starts_with('/') ? path : directory + "/" + path);
  if (!text.ok()) return text.status().with("the kubeconfig's " + field);
  return text;
}

}  // namespace

Result<Kubeconfig> parse_kubeconfig(std::string_view yaml, world::Files& files,
                                    const std::string& directory, std::string_view context_name) {
  PELTON_ASSIGN(const Json config, api::parse_yaml(yaml));
  const std::string wanted =
      context_name.empty() ? config["current-context"].as_string() : std::string(context_name);
  if (wanted.empty()) return base::invalid_argument("the kubeconfig has no current-context");
  PELTON_ASSIGN(const Json context, named(config, "contexts", "context", wanted));
  PELTON_ASSIGN(const Json cluster,
                named(config, "clusters", "cluster", context["cluster"].as_string()));
  PELTON_ASSIGN(const Json user, named(config, "users", "user", context["user"].as_string()));
  Kubeconfig out;
  out.server = cluster["server"].as_string();
  if (out.server.empty()) {
    return base::invalid_argument("the kubeconfig's cluster \"" + context["cluster"].as_string() +
                                  "\" has no server");
  }
  out.server_name = cluster["tls-server-name"].as_string();
  PELTON_ASSIGN(out.ca_pem, pem_of(cluster, "certificate-authority", files, directory));
  PELTON_ASSIGN(out.client_certificate_pem, pem_of(user, "client-certificate", files, directory));
  PELTON_ASSIGN(out.client_key_pem, pem_of(user, "client-key", files, directory));
  out.token = user["token"].as_string();
  if (const std::string& ns = context["namespace"].as_string(); !ns.empty()) {
    out.namespace_name = ns;
  }
  return out;
}

Result<Kubeconfig> load_kubeconfig(world::Files& files, const std::string& path,
                                   std::string_view context) {
  auto text = files.read(path);
  if (!text.ok()) return text.status().with("reading the kubeconfig " + path);
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  auto config = parse_kubeconfig(*text, files, directory, context);
  if (!config.ok()) return config.status().with(path);
  return config;
}

std::string Kubeconfig::to_yaml() const {
  Json cluster = Json::object({{"server", server}});
  if (!ca_pem.empty()) cluster.set("certificate-authority-data", base::base64_encode(ca_pem));
  if (!server_name.empty()) cluster.set("tls-server-name", server_name);
  Json user = Json::object();
  if (!client_certificate_pem.empty()) {
    user.set("client-certificate-data", base::base64_encode(client_certificate_pem));
    user.set("client-key-data", base::base64_encode(client_key_pem));
  }
  if (!token.empty()) user.set("token", token);
  const auto entry = [](const char* kind, Json value) {
    return Json::array({Json::object({{"name", "pelton"}, {kind, std::move(value)}})});
  };
  const Json config =
      Json::object({{"apiVersion", "v1"},
                    {"kind", "Config"},
                    {"clusters", entry("cluster", std::move(cluster))},
                    {"users", entry("user", std::move(user))},
                    {"contexts", entry("context", Json::object({{"cluster", "pelton"},
                                                                {"user", "pelton"},
                                                                {"namespace", namespace_name}}))},
                    {"current-context", "pelton"}});
  return api::to_yaml(config);
}

}  // namespace pelton::client
