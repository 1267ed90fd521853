// SPDX-License-Identifier: Apache-2.0
// What the generated views are made of.
//
// A view reads an object through typed accessors without owning or copying it: PodView(json)
// .spec().node_name(). Absent reads as empty, so that chains never fail; has_x() asks. A view must
// not outlive the Json it looks at, nor survive a change of it. As cheap to copy as a pointer.
#pragma once
#include <cstddef>
#include <string>

#include "base/json.h"

namespace pelton::api {

class View {
 public:
  explicit View(const base::Json& json) : json_(&json) {}
  const base::Json& json() const { return *json_; }
  /// Whether there is anything at all.
  explicit operator bool() const { return !json_->is_null(); }

 protected:
  const base::Json& at(std::string_view name) const { return (*json_)[name]; }
  const base::Json* json_;
};

/// The items of a list, each as a view.
template <typename Item>
class ListView {
 public:
  explicit ListView(const base::Json& json) : items_(&json.items()) {}
  class Iterator {
   public:
    explicit Iterator(const base::Json* at) : at_(at) {}
    Item operator*() const { return Item(*at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const base::Json* at_;
  };
  Iterator begin() const { return Iterator(items_->data()); }
  Iterator end() const { return Iterator(items_->data() + items_->size()); }
  size_t size() const { return items_->size(); }
  bool empty() const { return items_->empty(); }
  Item operator[](size_t index) const { return Item((*items_)[index]); }

 private:
  const base::Json::Array* items_;
};

}  // namespace pelton::api
