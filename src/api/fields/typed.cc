// SPDX-License-Identifier: Apache-2.0
#include "api/fields/typed.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/fields/place.h"
#include "base/strings.h"

namespace pelton::api::fields {

using base::Json;

namespace {
using Kind = Place::Kind;

bool is_list(Kind kind) {
  return kind == Kind::Keyed || kind == Kind::Set;
}

// ---- fields_of ----------------------------------------------------------------------------------

FieldSet collect(const Place& place, const Json& value) {
  FieldSet out;
  const Kind kind = place.kind_for(&value, nullptr);
  if (kind == Kind::Leaf) {
    out.set_member(true);
  } else if (is_list(kind)) {
    for (const Json& item : value.items()) {
      FieldSet below = collect(place.item(), item);
      below.set_member(true);
      out.attach(place.element_of(item), std::move(below));
    }
  } else {
    for (const Json::Member& member : value.members()) {
      FieldSet below = collect(place.member(member.name), member.value);
      const bool is_bare =
          member.value.is_null() || (member.value.is_object() && member.value.empty());
      if (is_bare || !place.names(member.name)) below.set_member(true);
      out.attach(member_element(member.name), std::move(below));
    }
  }
  return out;
}

// ---- compare ------------------------------------------------------------------------------------

void attach_all(Comparison& to, const Element& element, Comparison from) {
  to.added.attach(element, std::move(from.added));
  to.modified.attach(element, std::move(from.modified));
  to.removed.attach(element, std::move(from.removed));
}

void mark(Comparison& at, const Json* before, const Json* after, bool is_leaf) {
  if (before == nullptr) {
    at.added.set_member(true);
  } else if (after == nullptr) {
    at.removed.set_member(true);
  } else if (is_leaf) {
    at.modified.set_member(true);
  }
}

Comparison compare_at(const Place& place, const Json* before, const Json* after);

/// The items of a list by element. Stored lists may have several of one key.
using Items = std::map<Element, std::vector<const Json*>>;
Items items_by_element(const Place& place, const Json* list) {
  Items out;
  if (list == nullptr) return out;
  for (const Json& item : list->items()) out[place.element_of(item)].push_back(&item);
  return out;
}

Comparison compare_many(const std::vector<const Json*>& before,
                        const std::vector<const Json*>& after) {
  Comparison out;
  const bool same = std::equal(before.begin(), before.end(), after.begin(), after.end(),
                               [](const Json* a, const Json* b) { return *a == *b; });
  if (same) return out;
  mark(out, before.empty() ? nullptr : before[0], after.empty() ? nullptr : after[0], true);
  return out;
}

Comparison compare_lists(const Place& place, const Json* before, const Json* after) {
  Comparison out;
  const Items olds = items_by_element(place, before);
  Items news = items_by_element(place, after);
  for (const auto& [element, old] : olds) {
    const auto found = news.find(element);
    static const std::vector<const Json*> kNone;
    const std::vector<const Json*>& now = found == news.end() ? kNone : found->second;
    attach_all(out, element,
               old.size() == 1 && now.size() <= 1
                   ? compare_at(place.item(), old[0], now.empty() ? nullptr : now[0])
                   : compare_many(old, now));
    if (found != news.end()) news.erase(found);
  }
  for (const auto& [element, now] : news) {
    attach_all(out, element,
               now.size() == 1 ? compare_at(place.item(), nullptr, now[0]) : compare_many({}, now));
  }
  return out;
}

Comparison compare_members(const Place& place, const Json* before, const Json* after) {
  Comparison out;
  const Json none;
  const Json& olds = before != nullptr ? *before : none;
  const Json& news = after != nullptr ? *after : none;
  for (const Json::Member& member : olds.members()) {
    attach_all(out, member_element(member.name),
               compare_at(place.member(member.name), &member.value, news.find(member.name)));
  }
  for (const Json::Member& member : news.members()) {
    if (olds.contains(member.name)) continue;
    attach_all(out, member_element(member.name),
               compare_at(place.member(member.name), nullptr, &member.value));
  }
  return out;
}

Comparison compare_at(const Place& place, const Json* before, const Json* after) {
  if (before != nullptr && after != nullptr && *before == *after) return {};
  const Kind kind = place.kind_for(before, after);
  const bool both_empty =
      (before == nullptr || before->empty()) && (after == nullptr || after->empty());
  Comparison out;
  if (kind == Kind::Leaf || both_empty) {
    mark(out, before, after, true);
    return out;
  }
  out = is_list(kind) ? compare_lists(place, before, after) : compare_members(place, before, after);
  mark(out, before, after, false);
  return out;
}

// ---- merge --------------------------------------------------------------------------------------

Json merge_at(const Place& place, const Json* live, const Json* config);

struct Sequence {
  std::vector<Element> elements;
  std::map<Element, const Json*> items;  ///< the first of each element
  Sequence(const Place& place, const Json& list) {
    for (const Json& item : list.items()) {
      elements.push_back(place.element_of(item));
      items.emplace(elements.back(), &item);
    }
  }
  const Json* find(const Element& element) const {
    const auto found = items.find(element);
    return found == items.end() ? nullptr : found->second;
  }
};

/// Walks both lists at once. Live's own items are taken as they come; those that config has too
/// wait for their turn in config's order.
class ListMerger {
 public:
  ListMerger(const Place& place, const Json& live, const Json& config)
      : place_(place), live_(live), config_(config), olds_(place, live), news_(place, config) {
    for (const Element& element : news_.elements) {
      if (olds_.find(element) != nullptr) shared_.push_back(&element);
    }
  }

  Json run() {
    const size_t live_end = olds_.elements.size(), config_end = news_.elements.size();
    while (at_live_ < live_end || at_config_ < config_end) {
      if (at_live_ < live_end) {
        const Element& element = olds_.elements[at_live_];
        const bool is_shared = news_.find(element) != nullptr;
        if (!is_shared) {
          out_.push_back(live_[at_live_++]);
          continue;
        }
        const bool is_next = at_config_ < config_end && element == news_.elements[at_config_];
        const bool is_out_of_order =
            next_shared_ < shared_.size() && *shared_[next_shared_] != element;
        if (is_next || merged_.count(element) > 0 || (at_config_ < config_end && is_out_of_order)) {
          ++at_live_;
          if (!is_next) continue;
        }
      }
      if (at_config_ < config_end) take_config();
    }
    return std::move(out_);
  }

 private:
  void take_config() {
    const Element& element = news_.elements[at_config_];
    merged_.insert(element);
    out_.push_back(merge_at(place_.item(), olds_.find(element), &config_.items()[at_config_++]));
    if (next_shared_ < shared_.size() && *shared_[next_shared_] == element) ++next_shared_;
  }

  Place place_;
  const Json& live_;
  const Json& config_;
  Sequence olds_, news_;
  std::vector<const Element*> shared_;  ///< config's elements that live has, in config's order
  std::set<Element> merged_;
  Json out_ = Json::array();
  size_t at_live_ = 0, at_config_ = 0, next_shared_ = 0;
};

Json merge_at(const Place& place, const Json* live, const Json* config) {
  if (config == nullptr) return *live;
  if (live == nullptr) return *config;
  const Kind kind = place.kind_for(live, config);
  if (kind == Kind::Leaf || live->is_null() || config->is_null()) return *config;
  if (is_list(kind)) return ListMerger(place, *live, *config).run();
  Json out = *live;
  for (const Json::Member& member : config->members()) {
    out.set(member.name,
            merge_at(place.member(member.name), live->find(member.name), &member.value));
  }
  return out;
}

// ---- remove_fields ------------------------------------------------------------------------------

/// What is left; null where nothing is.
Json remove_at(const Place& place, const Json& value, const FieldSet& fields) {
  const Kind kind = place.kind_for(&value, nullptr);
  if (kind == Kind::Leaf) return value;
  Json out = is_list(kind) ? Json::array() : Json::object();
  const auto keep = [&](const Element& element, const Place& below, const Json& child) {
    const FieldSet* set = fields.find(element);
    if (set == nullptr) return std::optional<Json>(child);
    if (set->is_member()) return std::optional<Json>();
    return std::optional<Json>(remove_at(below, child, *set));
  };
  if (is_list(kind)) {
    for (const Json& item : value.items()) {
      auto kept = keep(place.element_of(item), place.item(), item);
      if (kept && !kept->is_null()) out.push_back(std::move(*kept));
    }
  } else {
    for (const Json::Member& member : value.members()) {
      auto kept = keep(member_element(member.name), place.member(member.name), member.value);
      if (kept && !kept->is_null()) out.set(member.name, std::move(*kept));
    }
  }
  return out.empty() ? Json() : out;
}

// ---- with_named_parents -------------------------------------------------------------------------

FieldSet name_parents(const Place& place, const FieldSet& set) {
  FieldSet out;
  out.set_member(set.is_member());
  const bool has_members = place.kind() == Kind::Object || place.kind() == Kind::Map;
  for (const FieldSet::Child& child : set.children()) {
    const bool is_member_name = child.element.starts_with("f:");
    const std::string_view name = std::string_view(child.element).substr(2);
    if (is_member_name && has_members) {
      FieldSet below = name_parents(place.member(name), child.below);
      if (place.names(name)) below.set_member(true);
      out.attach(child.element, std::move(below));
    } else if (!is_member_name && is_list(place.kind())) {
      out.attach(child.element, name_parents(place.item(), child.below));
    } else {
      out.attach(child.element, child.below);
    }
  }
  return out;
}

// ---- find_faults --------------------------------------------------------------------------------

class FaultFinder {
 public:
  void run(const Place& place, const Json& value) {
    const Kind kind = place.kind_for(&value, nullptr);
    if (kind == Kind::Leaf || value.is_null()) return;
    if (is_list(kind)) return run_list(place, value);
    for (const Json::Member& member : value.members()) {
      path_.push_back(member_element(member.name));
      if (place.kind() == Kind::Object && !place.names(member.name) && !place.is_open()) {
        fault("field not declared in schema");
      } else {
        run(place.member(member.name), member.value);
      }
      path_.pop_back();
    }
  }
  std::vector<std::string> take() { return std::move(faults_); }

 private:
  void run_list(const Place& place, const Json& list) {
    std::map<Element, int> seen;
    int index = 0;
    for (const Json& item : list.items()) {
      const Element element = place.element_of(item);
      if (element.empty()) {
        std::vector<std::string> keys;
        for (std::string_view key : base::split(place.keys(), ',')) {
          keys.push_back("\"" + std::string(key) + "\"");
        }
        fault(
            fmt::format("element {}: associative list with keys has an element that omits all "
                        "key fields [{}] (and doesn't have default values for any key fields)",
                        index, base::join(keys, " ")));
      } else if (++seen[element] == 2) {
        fault("duplicate entries for key " + to_string({element}));
      }
      ++index;
      path_.push_back(element.empty() ? "i:" + std::to_string(index - 1) : element);
      run(place.item(), item);
      path_.pop_back();
    }
  }
  void fault(const std::string& what) { faults_.push_back(to_string(path_) + ": " + what); }

  Path path_;
  std::vector<std::string> faults_;
};
}  // namespace

FieldSet fields_of(const TypeInfo& type, const Json& object) {
  FieldSet out = collect(Place(type), object);
  out.set_member(false);
  return out;
}

Comparison compare(const TypeInfo& type, const Json& before, const Json& after) {
  Comparison out = compare_at(Place(type), &before, &after);
  out.added.set_member(false);
  out.modified.set_member(false);
  out.removed.set_member(false);
  return out;
}

Json merge(const TypeInfo& type, const Json& live, const Json& config) {
  return merge_at(Place(type), &live, &config);
}

Json remove_fields(const TypeInfo& type, const Json& object, const FieldSet& fields) {
  Json out = remove_at(Place(type), object, fields);
  return out.is_null() ? Json::object() : out;
}

FieldSet with_named_parents(const TypeInfo& type, const FieldSet& set) {
  return name_parents(Place(type), set);
}

std::vector<std::string> find_faults(const TypeInfo& type, const Json& object) {
  FaultFinder finder;
  finder.run(Place(type), object);
  return finder.take();
}

}  // namespace pelton::api::fields
