// SPDX-License-Identifier: Apache-2.0
#include "launch/init_protocol.h"

namespace pelton::launch {

using base::Json;

void put_exit(Json& json, const world::ExitState& exit) {
  if (exit.code) json.set("exitCode", *exit.code);
  if (exit.signal) json.set("signal", *exit.signal);
}

std::optional<world::ExitState> exit_in(const Json& json) {
  world::ExitState exit;
  if (json["exitCode"].is_int()) exit.code = static_cast<int>(json["exitCode"].as_int());
  if (json["signal"].is_int()) exit.signal = static_cast<int>(json["signal"].as_int());
  if (!exit.code && !exit.signal) return std::nullopt;
  return exit;
}

Json to_json(const SpawnOrder& order) {
  Json json = Json::object({{"op", "spawn"}, {"key", order.key}});
  if (!order.parent.empty()) {
    json.set("parent", order.parent);
    json.set("request", order.request);
    return json;
  }
  Json& argv = json.set("argv", Json(Json::Array()));
  for (const std::string& word : order.argv) argv.push_back(word);
  Json& env = json.set("env", Json::object());
  for (const auto& [name, value] : order.env) env.set(name, value);
  if (!order.stdout_path.empty()) json.set("stdout", order.stdout_path);
  if (!order.stderr_path.empty()) json.set("stderr", order.stderr_path);
  return json;
}

base::Result<SpawnOrder> spawn_order_of(const Json& json) {
  SpawnOrder order;
  order.key = json["key"].as_string();
  if (order.key.empty()) return base::invalid_argument("spawn: key: required");
  order.parent = json["parent"].as_string();
  order.request = json["request"];
  for (const Json& word : json["argv"].items()) order.argv.push_back(word.as_string());
  for (const Json::Member& entry : json["env"].members()) {
    order.env[entry.name] = entry.value.as_string();
  }
  order.stdout_path = json["stdout"].as_string();
  order.stderr_path = json["stderr"].as_string();
  if (order.argv.empty() && order.parent.empty()) {
    return base::invalid_argument("spawn " + order.key + ": argv or parent: required");
  }
  return order;
}

Json to_json(const InitState& state) {
  Json children{Json::Array()}, signals{Json::Array()}, orphans{Json::Array()};
  for (const ChildRecord& child : state.children) {
    Json& json = children.push_back(Json::object({{"key", child.key}}));
    if (child.pid != 0) json.set("pid", child.pid);
    if (child.exit) put_exit(json, *child.exit);
    if (child.ended != 0) json.set("ended", child.ended);
  }
  for (const int number : state.signals) signals.push_back(number);
  for (const int pid : state.orphans) orphans.push_back(pid);
  return Json::object({{"supervisor", state.supervisor},
                       {"children", children},
                       {"signals", signals},
                       {"orphans", orphans}});
}

InitState init_state_of(const Json& json) {
  InitState state;
  state.supervisor = static_cast<int>(json["supervisor"].as_int());
  for (const Json& child : json["children"].items()) {
    state.children.push_back({.key = child["key"].as_string(),
                              .pid = static_cast<int>(child["pid"].as_int()),
                              .exit = exit_in(child),
                              .ended = child["ended"].as_int()});
  }
  for (const Json& number : json["signals"].items()) {
    state.signals.push_back(static_cast<int>(number.as_int()));
  }
  for (const Json& pid : json["orphans"].items()) {
    state.orphans.push_back(static_cast<int>(pid.as_int()));
  }
  return state;
}

}  // namespace pelton::launch
