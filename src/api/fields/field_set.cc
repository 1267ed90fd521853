// SPDX-License-Identifier: Apache-2.0
#include "api/fields/field_set.h"

#include <algorithm>

#include "base/strings.h"

namespace pelton::api::fields {

using base::Json;
using base::Result;
using base::Status;

namespace {
Status bad_element(std::string_view element) {
  return base::invalid_argument("not a path element of FieldsV1: " + std::string(element));
}

/// The canonical form, "" where the kind of element is unknown.
Result<Element> read_element(std::string_view text) {
  if (text.size() < 2 || text[1] != ':') return bad_element(text);
  const std::string_view body = text.substr(2);
  if (text[0] == 'f') return Element(text);
  if (text[0] == 'i') {
    const Result<int64_t> index = base::parse_int(body);
    if (!index.ok()) return bad_element(text);
    return "i:" + std::to_string(*index);
  }
  if (text[0] != 'k' && text[0] != 'v') return Element();
  const Result<Json> value = Json::parse(body);
  if (!value.ok()) return bad_element(text);
  if (text[0] == 'v') return value_element(*value);
  if (!value->is_object()) return bad_element(text);
  return key_element(*value);
}

std::string show(std::string_view element) {
  const std::string_view body = element.substr(2);
  if (element[0] == 'f') return "." + std::string(body);
  if (element[0] == 'i') return "[" + std::string(body) + "]";
  if (element[0] == 'v') return "[=" + std::string(body) + "]";
  const Result<Json> keys = Json::parse(body);
  std::vector<std::string> parts;
  if (keys.ok()) {
    for (const Json::Member& key : keys->members()) {
      parts.push_back(key.name + "=" + key.value.dump());
    }
  }
  return "[" + base::join(parts, ",") + "]";
}
}  // namespace

Element member_element(std::string_view name) {
  return "f:" + std::string(name);
}
Element key_element(const Json& keys) {
  return "k:" + keys.dump();
}
Element value_element(const Json& value) {
  return "v:" + value.dump();
}

std::string to_string(const Path& path) {
  std::string out;
  for (const Element& element : path) out += show(element);
  return out;
}

FieldSet::FieldSet() = default;
FieldSet::FieldSet(const FieldSet&) = default;
FieldSet::FieldSet(FieldSet&&) noexcept = default;
FieldSet& FieldSet::operator=(const FieldSet&) = default;
FieldSet& FieldSet::operator=(FieldSet&&) noexcept = default;
FieldSet::~FieldSet() = default;

bool FieldSet::operator==(const FieldSet& other) const {
  return is_member_ == other.is_member_ && children_ == other.children_;
}

namespace {
template <typename Children>
auto place_of(Children& children, std::string_view element) {
  return std::lower_bound(
      children.begin(), children.end(), element,
      [](const FieldSet::Child& c, std::string_view e) { return c.element < e; });
}
}  // namespace

const FieldSet* FieldSet::find(std::string_view element) const {
  const auto at = place_of(children_, element);
  return at != children_.end() && at->element == element ? &at->below : nullptr;
}

bool FieldSet::has(const Path& path) const {
  const FieldSet* at = this;
  for (const Element& element : path) {
    at = at->find(element);
    if (at == nullptr) return false;
  }
  return at->is_member_;
}

void FieldSet::insert(const Path& path) {
  FieldSet* at = this;
  for (const Element& element : path) {
    auto place = place_of(at->children_, element);
    if (place == at->children_.end() || place->element != element) {
      place = at->children_.insert(place, Child{element, FieldSet()});
    }
    at = &place->below;
  }
  at->is_member_ = true;
}

void FieldSet::attach(Element element, FieldSet below) {
  if (below.empty()) return;
  const auto place = place_of(children_, element);
  if (place == children_.end() || place->element != element) {
    children_.insert(place, Child{std::move(element), std::move(below)});
  } else {
    place->below = unite(place->below, below);
  }
}

namespace {
void visit_below(const FieldSet& set, Path& path, const std::function<void(const Path&)>& visit) {
  if (set.is_member()) visit(path);
  for (const FieldSet::Child& child : set.children()) {
    path.push_back(child.element);
    visit_below(child.below, path, visit);
    path.pop_back();
  }
}
}  // namespace

void FieldSet::for_each(const std::function<void(const Path&)>& visit) const {
  Path path;
  visit_below(*this, path, visit);
}

Json FieldSet::to_json() const {
  Json out = Json::object();
  if (is_member_ && !children_.empty()) out.set(".", Json::object());
  for (const Child& child : children_) out.set(child.element, child.below.to_json());
  return out;
}

Result<FieldSet> FieldSet::from_json(const Json& json) {
  if (!json.is_object()) return base::invalid_argument("FieldsV1 is an object");
  FieldSet out;
  for (const Json::Member& member : json.members()) {
    if (member.name == ".") continue;  // the one above has seen it
    PELTON_ASSIGN(Element element, read_element(member.name));
    if (element.empty()) continue;
    PELTON_ASSIGN(FieldSet below, from_json(member.value));
    if (member.value.contains(".") || member.value.empty()) below.is_member_ = true;
    out.attach(std::move(element), std::move(below));
  }
  return out;
}

FieldSet unite(const FieldSet& a, const FieldSet& b) {
  FieldSet out;
  out.is_member_ = a.is_member_ || b.is_member_;
  auto i = a.children_.begin();
  auto j = b.children_.begin();
  while (i != a.children_.end() || j != b.children_.end()) {
    if (j == b.children_.end() || (i != a.children_.end() && i->element < j->element)) {
      out.children_.push_back(*i++);
    } else if (i == a.children_.end() || j->element < i->element) {
      out.children_.push_back(*j++);
    } else {
      out.children_.push_back({i->element, unite(i->below, j->below)});
      ++i;
      ++j;
    }
  }
  return out;
}

FieldSet subtract(const FieldSet& a, const FieldSet& b) {
  FieldSet out;
  out.is_member_ = a.is_member_ && !b.is_member_;
  for (const FieldSet::Child& child : a.children_) {
    const FieldSet* other = b.find(child.element);
    FieldSet below = other == nullptr ? child.below : subtract(child.below, *other);
    if (!below.empty()) out.children_.push_back({child.element, std::move(below)});
  }
  return out;
}

FieldSet subtract_below(const FieldSet& a, const FieldSet& b) {
  FieldSet out;
  if (b.is_member_) return out;
  out.is_member_ = a.is_member_;
  for (const FieldSet::Child& child : a.children_) {
    const FieldSet* other = b.find(child.element);
    FieldSet below = other == nullptr ? child.below : subtract_below(child.below, *other);
    if (!below.empty()) out.children_.push_back({child.element, std::move(below)});
  }
  return out;
}

FieldSet intersect(const FieldSet& a, const FieldSet& b) {
  FieldSet out;
  out.is_member_ = a.is_member_ && b.is_member_;
  for (const FieldSet::Child& child : a.children_) {
    const FieldSet* other = b.find(child.element);
    if (other == nullptr) continue;
    FieldSet below = intersect(child.below, *other);
    if (!below.empty()) out.children_.push_back({child.element, std::move(below)});
  }
  return out;
}

}  // namespace pelton::api::fields
