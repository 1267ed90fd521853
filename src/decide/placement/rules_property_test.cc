// SPDX-License-Identifier: Apache-2.0
// One gang or pod under random rules in a small cluster: it is placed exactly where some order of
// placing its pods one by one, each by the rules, places them all; and never against a rule.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <optional>

#include "decide/placement/test_objects.h"

namespace pelton::decide::placement {
namespace {

constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";

int pick(int below) {
  return *rc::gen::inRange(0, below);
}

// ---- the rules, stated once more and as plainly as possible, on the objects themselves ----------

struct Placed {
  const Json* pod;
  const Json* node;
};
using State = std::vector<Placed>;

bool selects(const Json& term, const Json& pod) {
  return api::LabelSelector::from_object(term["labelSelector"])->matches(pod["metadata"]["labels"]);
}
std::string domain(const Json& node, const std::string& key) {
  return node["metadata"]["labels"][key].as_string();
}

bool is_apart(const Json& pod, const Json& node, const State& state) {
  const auto clash = [&](const Json& owner, const Json& other, const Json& at) {
    for (const Json& term : owner["spec"]["affinity"]["podAntiAffinity"][kRequired].items()) {
      const std::string& key = term["topologyKey"].as_string();
      const std::string here = domain(node, key);
      if (!here.empty() && here == domain(at, key) && selects(term, other)) return true;
    }
    return false;
  };
  return std::none_of(state.begin(), state.end(), [&](const Placed& p) {
    return clash(pod, *p.pod, *p.node) || clash(*p.pod, pod, *p.node);
  });
}

bool is_near(const Json& pod, const Json& node, const State& state) {
  const auto& terms = pod["spec"]["affinity"]["podAffinity"][kRequired].items();
  if (terms.empty()) return true;
  const auto matches_all = [&](const Json& other) {
    return std::all_of(terms.begin(), terms.end(),
                       [&](const Json& t) { return selects(t, other); });
  };
  bool is_met = true, is_anyone = false;
  for (const Json& term : terms) {
    const std::string& key = term["topologyKey"].as_string();
    const std::string here = domain(node, key);
    if (here.empty()) return false;
    bool is_here = false;
    for (const Placed& p : state) {
      if (!matches_all(*p.pod) || domain(*p.node, key).empty()) continue;
      is_anyone = true;
      is_here = is_here || domain(*p.node, key) == here;
    }
    is_met = is_met && is_here;
  }
  return is_met || (!is_anyone && matches_all(pod));
}

bool is_spread(const Json& pod, const Json& node, const State& state, const Objects& nodes) {
  for (const Json& constraint : pod["spec"]["topologySpreadConstraints"].items()) {
    const std::string& key = constraint["topologyKey"].as_string();
    std::map<std::string, int64_t> counts;
    for (const Json* other : nodes) {
      bool has_labels = true;
      for (const Json& each : pod["spec"]["topologySpreadConstraints"].items()) {
        has_labels = has_labels && !domain(*other, each["topologyKey"].as_string()).empty();
      }
      if (!has_labels) continue;
      counts[domain(*other, key)] += 0;
      for (const Placed& p : state) {
        if (p.node == other && selects(constraint, *p.pod)) ++counts[domain(*other, key)];
      }
    }
    const std::string here = domain(node, key);
    if (here.empty()) return false;
    int64_t least = INT64_MAX;
    for (const auto& [value, count] : counts) least = std::min(least, count);
    if (counts.empty()) least = 0;
    const int64_t self = selects(constraint, pod) ? 1 : 0;
    if (counts[here] + self - least > constraint["maxSkew"].as_int()) return false;
  }
  return true;
}

bool has_room(const Json& pod, const Json& node, const State& state) {
  const int64_t wanted = requests_of(pod)["cpu"];
  if (wanted == 0) return true;  // also where bound pods take more than there is
  int64_t free = api::allocatable_of(node)["cpu"] - wanted;
  for (const Placed& p : state) {
    if (p.node == &node) free -= requests_of(*p.pod)["cpu"];
  }
  return free >= 0;
}

bool may_go(const Json& pod, const Json& node, const State& state, const Objects& nodes) {
  return has_room(pod, node, state) && is_apart(pod, node, state) && is_near(pod, node, state) &&
         is_spread(pod, node, state, nodes);
}

/// In some order, somewhere.
bool can_place(Objects pods, State& state, const Objects& nodes) {
  if (pods.empty()) return true;
  for (size_t i = 0; i < pods.size(); ++i) {
    Objects rest = pods;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    for (const Json* node : nodes) {
      if (!may_go(*pods[i], *node, state, nodes)) continue;
      state.push_back({pods[i], node});
      const bool is_done = can_place(rest, state, nodes);
      state.pop_back();
      if (is_done) return true;
    }
  }
  return false;
}

/// The decision's own assignment, in some order.
bool is_valid(std::vector<Placed> todo, State& state, const Objects& nodes) {
  if (todo.empty()) return true;
  for (size_t i = 0; i < todo.size(); ++i) {
    if (!may_go(*todo[i].pod, *todo[i].node, state, nodes)) continue;
    std::vector<Placed> rest = todo;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    state.push_back(todo[i]);
    const bool is_done = is_valid(rest, state, nodes);
    state.pop_back();
    if (is_done) return true;
  }
  return false;
}

// ---- random clusters ----------------------------------------------------------------------------

Json random_term() {
  Json term = Json::object({{"topologyKey", pick(2) == 0 ? "zone" : "kubernetes.io/hostname"}});
  term.make("labelSelector.matchLabels").set("app", pick(2) == 0 ? "x" : "y");
  return term;
}

void random_rules(Json& pod) {
  pod.make("metadata.labels").set("app", pick(2) == 0 ? "x" : "y");
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    if (pick(3) != 0) continue;
    Json terms = Json::array();
    for (int n = pick(2); n >= 0; --n) terms.push_back(random_term());
    pod.make("spec.affinity").child(kind).set(kRequired, std::move(terms));
  }
  if (pick(3) == 0) {
    Json constraint = random_term();
    constraint.set("maxSkew", 1 + pick(2));
    constraint.set("whenUnsatisfiable", "DoNotSchedule");
    pod.child("spec").set("topologySpreadConstraints", Json::array({std::move(constraint)}));
  }
}

std::string cpu(int amount) {
  return R"({"cpu":")" + std::to_string(amount) + "\"}";
}

Cluster random_cluster() {
  Cluster c;
  const int nodes = 1 + pick(4);
  for (int n = 0; n < nodes; ++n) {
    Json& node = c.node("n" + std::to_string(n), cpu(1 + pick(4)));
    const int zone = pick(5);
    if (zone < 4) node.make("metadata.labels").set("zone", zone < 2 ? "a" : "b");
  }
  for (int i = pick(3); i > 0; --i) {
    random_rules(c.pod("bound-" + std::to_string(i), cpu(1), "n" + std::to_string(pick(nodes))));
  }
  c.jobset("g", R"([{"name":"w"}])");
  const int pods = 1 + pick(4);
  const Json& job = c.job("g", "w", 0, pods);
  for (int i = 0; i < pods; ++i) random_rules(c.member(job, i, cpu(pick(3))));
  return c;
}

std::string describe(const World& world) {
  std::string out;
  for (const Objects* objects : {&world.nodes, &world.pods}) {
    for (const Json* object : *objects) out += object->dump() + "\n";
  }
  return out;
}

TEST(RulesProperty, AGangIsPlacedIffBruteForceFindsAWay) {
  int placed = 0, refused = 0;
  const bool ok = rc::check([&] {
    const Cluster c = random_cluster();
    const World world = c.world();
    std::map<std::string, const Json*> node_named;
    for (const Json* node : world.nodes) node_named[node->at("metadata.name").as_string()] = node;
    State state;
    Objects pending;
    for (const Json* pod : world.pods) {
      const std::string& node = (*pod)["spec"]["nodeName"].as_string();
      if (node.empty()) {
        pending.push_back(pod);
      } else {
        state.push_back({pod, node_named.at(node)});
      }
    }
    const std::map<std::string, std::string> bound = bindings_of(c.decide());
    const bool is_feasible = can_place(pending, state, world.nodes);
    if (bound.size() != (is_feasible ? pending.size() : 0)) RC_FAIL(describe(world));
    std::vector<Placed> chosen;
    for (const Json* pod : pending) {
      if (is_feasible) {
        chosen.push_back({pod, node_named.at(bound.at(pod->at("metadata.name").as_string()))});
      }
    }
    RC_ASSERT(is_valid(chosen, state, world.nodes));
    ++(is_feasible ? placed : refused);
  });
  EXPECT_TRUE(ok);
  EXPECT_GT(placed, 10);
  EXPECT_GT(refused, 10);
}

}  // namespace
}  // namespace pelton::decide::placement
