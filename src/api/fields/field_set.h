// SPDX-License-Identifier: Apache-2.0
// Sets of fields of an object: who owns what, and what a change touched.
//
// A field is named by its path, and a path is made of elements in the text form of upstream's
// FieldsV1:
//
//   f:spec               the member spec of an object or map
//   k:{"name":"main"}    the item of a list that has these keys
//   v:"example.com/x"    the item of a set that has this value
//   i:3                  the item at this place
//
// A set is a tree of such elements in which every node may be a member: that `f:labels` is a member
// says that somebody made the map, not that he owns each label. The text of an element is
// canonical, so equal elements are equal texts. Values; pure.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::api::fields {

using Element = std::string;
using Path = std::vector<Element>;

Element member_element(std::string_view name);
/// `keys` is an object of scalars.
Element key_element(const base::Json& keys);
Element value_element(const base::Json& value);

/// For people, as kubectl shows it: .spec.containers[name="main"].image
std::string to_string(const Path& path);

class FieldSet {
 public:
  struct Child;

  FieldSet();
  FieldSet(const FieldSet&);
  FieldSet(FieldSet&&) noexcept;
  FieldSet& operator=(const FieldSet&);
  FieldSet& operator=(FieldSet&&) noexcept;
  ~FieldSet();

  bool empty() const { return !is_member_ && children_.empty(); }
  /// Whether the place that this node stands for is itself in the set. Of a whole set: never.
  bool is_member() const { return is_member_; }
  void set_member(bool is_member) { is_member_ = is_member; }
  /// Sorted by element; none of them empty.
  const std::vector<Child>& children() const { return children_; }
  /// What is below `element`, or nullptr.
  const FieldSet* find(std::string_view element) const;
  bool has(const Path& path) const;

  void insert(const Path& path);
  /// Adds everything of `below` under `element`.
  void attach(Element element, FieldSet below);
  /// Calls with each member's path, parents before children.
  void for_each(const std::function<void(const Path&)>& visit) const;
  bool operator==(const FieldSet&) const;

  /// FieldsV1: {"f:spec":{"f:x":{}}}; "." marks a member that has members below it.
  base::Json to_json() const;
  /// InvalidArgument: no object, an element that is none. Elements of a kind that we do not know
  /// fall away with what is below them, as upstream.
  static base::Result<FieldSet> from_json(const base::Json& json);

 private:
  friend FieldSet unite(const FieldSet& a, const FieldSet& b);
  friend FieldSet subtract(const FieldSet& a, const FieldSet& b);
  friend FieldSet subtract_below(const FieldSet& a, const FieldSet& b);
  friend FieldSet intersect(const FieldSet& a, const FieldSet& b);
  bool is_member_ = false;
  std::vector<Child> children_;
};

struct FieldSet::Child {
  Element element;
  FieldSet below;
  bool operator==(const Child&) const = default;
};

FieldSet unite(const FieldSet& a, const FieldSet& b);
/// The members of `a` that are not members of `b`; what is below a member of `b` stays.
FieldSet subtract(const FieldSet& a, const FieldSet& b);
/// As subtract, and without all that is below a member of `b`.
FieldSet subtract_below(const FieldSet& a, const FieldSet& b);
/// The members of both.
FieldSet intersect(const FieldSet& a, const FieldSet& b);

}  // namespace pelton::api::fields
