// SPDX-License-Identifier: Apache-2.0
// Amounts of resources: "500m", "8Gi", "1e3", "4".
//
// Exact: a decimal number scaled to nanos, 128 bits wide, with the suffix family it was written in,
// so that it prints canonically as Kubernetes does ("1024Mi" -> "1Gi", "0.5" -> "500m"). What is
// finer than a nano is rounded up, what is over 2^63-1 is capped, as upstream. A plain value. Pure.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

class Quantity {
 public:
  enum class Format : uint8_t { DecimalSI, BinarySI, DecimalExponent };

  constexpr Quantity() = default;  ///< 0
  static Quantity of(int64_t units, Format format = Format::DecimalSI);
  static Quantity of_milli(int64_t thousandths);
  static Quantity of_bytes(int64_t bytes) { return of(bytes, Format::BinarySI); }
  /// InvalidArgument: "quantities must match the regular expression …".
  static base::Result<Quantity> parse(std::string_view text);
  /// A string or a number of JSON.
  static base::Result<Quantity> parse(const base::Json& value);
  /// As parse; 0 where the text is no quantity (validation has spoken before).
  static Quantity or_zero(const base::Json& value);

  /// Canonical text.
  std::string to_string() const;
  int64_t value() const;        ///< whole units, rounded up, capped to int64
  int64_t milli_value() const;  ///< thousandths, rounded up, capped to int64
  double to_double() const;
  bool is_zero() const { return nanos_ == 0; }
  bool is_negative() const { return nanos_ < 0; }
  bool is_whole() const;  ///< without a fraction

  friend std::strong_ordering operator<=>(const Quantity& a, const Quantity& b) {
    return a.nanos_ < b.nanos_   ? std::strong_ordering::less
           : a.nanos_ > b.nanos_ ? std::strong_ordering::greater
                                 : std::strong_ordering::equal;
  }
  friend bool operator==(const Quantity& a, const Quantity& b) { return a.nanos_ == b.nanos_; }
  /// The format of the left side wins, of the right side where the left is 0.
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }
  friend Quantity operator*(Quantity a, int64_t k);

 private:
  __extension__ using Nanos = __int128;
  static Quantity from_nanos(Nanos nanos, Format format);
  Nanos nanos_ = 0;  ///< within +-(2^63-1) * 10^9
  Format format_ = Format::DecimalSI;
};

}  // namespace pelton::api
