// SPDX-License-Identifier: Apache-2.0
#include "api/quantity.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/strings.h"

namespace pelton::api {
namespace {

__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

constexpr Int128 kNano = 1'000'000'000;
constexpr Int128 kNanosMax = static_cast<Int128>(INT64_MAX) * kNano;

struct Suffix {
  std::string_view text;
  int exponent;  ///< of 10, or of 2 where binary
  Quantity::Format format;
};

using Format = Quantity::Format;
constexpr std::array kSuffixes = {
    Suffix{"", 0, Format::DecimalSI},   Suffix{"n", -9, Format::DecimalSI},
    Suffix{"u", -6, Format::DecimalSI}, Suffix{"m", -3, Format::DecimalSI},
    Suffix{"k", 3, Format::DecimalSI},  Suffix{"M", 6, Format::DecimalSI},
    Suffix{"G", 9, Format::DecimalSI},  Suffix{"T", 12, Format::DecimalSI},
    Suffix{"P", 15, Format::DecimalSI}, Suffix{"E", 18, Format::DecimalSI},
    Suffix{"Ki", 10, Format::BinarySI}, Suffix{"Mi", 20, Format::BinarySI},
    Suffix{"Gi", 30, Format::BinarySI}, Suffix{"Ti", 40, Format::BinarySI},
    Suffix{"Pi", 50, Format::BinarySI}, Suffix{"Ei", 60, Format::BinarySI},
};

base::Status bad() {
  return {base::Code::InvalidArgument, "Invalid",
          "quantities must match the regular expression "
          "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"};
}

// Digits of a number without its point, times 10^-scale.
struct Decimal {
  std::string digits;
  int scale = 0;
};

// value = digits * 10^exponent10 * 2^exponent2, in nanos, rounded away from zero, capped.
Int128 to_nanos(const Decimal& number, int exponent10, int exponent2) {
  // The cap is below 10^28: an int128 holds 38 digits, so every step is checked against 10^37.
  constexpr Uint128 kLimit = static_cast<Uint128>(kNanosMax) * 100'000'000;
  Uint128 value = 0;
  int scale = number.scale - exponent10 - 9;  // still to divide by 10^scale
  bool is_inexact = false;
  for (char digit : number.digits) {
    if (value > kLimit) {  // far over the cap already, or digits finer than matter
      --scale;
      is_inexact |= digit != '0';
      continue;
    }
    value = value * 10 + static_cast<Uint128>(digit - '0');
  }
  if (value == 0) return 0;
  for (; exponent2 > 0; --exponent2) {
    if (value > kLimit) {
      // Give up digits below the nano to make room for the binary factor.
      if (scale <= 0) return kNanosMax;
      is_inexact |= value % 10 != 0;
      value /= 10;
      --scale;
    }
    value *= 2;
  }
  for (; scale < 0; ++scale) {
    if (value > static_cast<Uint128>(kNanosMax)) return kNanosMax;
    value *= 10;
  }
  for (; scale > 0 && value > 0; --scale) {
    is_inexact |= value % 10 != 0;
    value /= 10;
  }
  if (is_inexact) ++value;
  return value > static_cast<Uint128>(kNanosMax) ? kNanosMax : static_cast<Int128>(value);
}

std::string digits_of(Uint128 value) {
  std::string text;
  do {
    text += static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value > 0);
  std::reverse(text.begin(), text.end());
  return text;
}

int64_t divide_up(Int128 nanos, Int128 unit) {
  Int128 result = nanos / unit;
  if (nanos > 0 && nanos % unit != 0) ++result;
  return static_cast<int64_t>(std::clamp<Int128>(result, INT64_MIN, INT64_MAX));
}

// Reads "[+-]?digits[.digits]"; returns what follows.
std::string_view read_number(std::string_view text, Decimal& number, bool& is_negative) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    is_negative = text[0] == '-';
    text.remove_prefix(1);
  }
  bool has_point = false;
  size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.' && !has_point) {
      has_point = true;
    } else if (c >= '0' && c <= '9') {
      number.digits += c;
      number.scale += has_point ? 1 : 0;
    } else {
      break;
    }
  }
  return text.substr(at);
}

}  // namespace

Quantity Quantity::from_nanos(Nanos nanos, Format format) {
  Quantity result;
  result.nanos_ = std::clamp(nanos, -kNanosMax, kNanosMax);
  result.format_ = format;
  return result;
}

Quantity Quantity::of(int64_t units, Format format) {
  return from_nanos(static_cast<Nanos>(units) * kNano, format);
}

Quantity Quantity::of_milli(int64_t thousandths) {
  return from_nanos(static_cast<Nanos>(thousandths) * 1'000'000, Format::DecimalSI);
}

base::Result<Quantity> Quantity::parse(std::string_view text) {
  Decimal number;
  bool is_negative = false;
  const std::string_view rest = read_number(text, number, is_negative);
  if (number.digits.empty() || text.size() > 256) return bad();
  int exponent10 = 0, exponent2 = 0;
  Format format = Format::DecimalSI;
  const auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(),
                                   [&](const Suffix& s) { return s.text == rest; });
  if (suffix != kSuffixes.end()) {
    format = suffix->format;
    (format == Format::BinarySI ? exponent2 : exponent10) = suffix->exponent;
  } else if (rest.size() > 1 && (rest[0] == 'e' || rest[0] == 'E')) {
    const auto digits = rest.substr(rest[1] == '+' ? 2 : 1);
    auto exponent = base::parse_int(digits);
    if (!exponent.ok() || (rest[1] == '+' && digits.starts_with('-'))) return bad();
    exponent10 = static_cast<int>(std::clamp<int64_t>(*exponent, -1000, 1000));
    format = Format::DecimalExponent;
  } else {
    return bad();
  }
  const Nanos nanos = to_nanos(number, exponent10, exponent2);
  return from_nanos(is_negative ? -nanos : nanos, format);
}

base::Result<Quantity> Quantity::parse(const base::Json& value) {
  if (value.is_string()) return parse(std::string_view(value.as_string()));
  if (value.is_number()) return parse(std::string_view(value.dump()));
  return bad();
}

Quantity Quantity::or_zero(const base::Json& value) {
  auto result = parse(value);
  return result.ok() ? *result : Quantity();
}

std::string Quantity::to_string() const {
  if (nanos_ == 0) return "0";
  const std::string sign = nanos_ < 0 ? "-" : "";
  const Uint128 nanos = static_cast<Uint128>(nanos_ < 0 ? -nanos_ : nanos_);
  const Uint128 nano = static_cast<Uint128>(kNano);
  // Below 1024, or with a fraction, a binary quantity prints in decimal, as upstream.
  if (format_ == Format::BinarySI && nanos % nano == 0 && nanos / nano >= 1024) {
    Uint128 units = nanos / nano;
    size_t power = 0;
    for (; power < 6 && units % 1024 == 0; ++power) units /= 1024;
    static constexpr std::string_view kBinary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    return sign + digits_of(units) + std::string(kBinary[power]);
  }
  Uint128 mantissa = nanos;
  int exponent = -9;
  while (mantissa % 1000 == 0 && exponent < 18) mantissa /= 1000, exponent += 3;
  std::string text = sign + digits_of(mantissa);
  if (exponent == 0) return text;
  if (format_ == Format::DecimalExponent) return text + "e" + std::to_string(exponent);
  static constexpr std::string_view kDecimal[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  return text + std::string(kDecimal[static_cast<size_t>(exponent + 9) / 3]);
}

int64_t Quantity::value() const {
  return divide_up(nanos_, kNano);
}

int64_t Quantity::milli_value() const {
  return divide_up(nanos_, 1'000'000);
}

double Quantity::to_double() const {
  return static_cast<double>(nanos_) * 1e-9;
}

bool Quantity::is_whole() const {
  return nanos_ % kNano == 0;
}

Quantity& Quantity::operator+=(const Quantity& other) {
  return *this = from_nanos(nanos_ + other.nanos_, is_zero() ? other.format_ : format_);
}

Quantity& Quantity::operator-=(const Quantity& other) {
  return *this = from_nanos(nanos_ - other.nanos_, is_zero() ? other.format_ : format_);
}

Quantity operator*(Quantity a, int64_t k) {
  Int128 product = 0;
  if (__builtin_mul_overflow(a.nanos_, static_cast<Int128>(k), &product)) {
    product = (a.nanos_ < 0) == (k < 0) ? kNanosMax : -kNanosMax;
  }
  return Quantity::from_nanos(product, a.format_);
}

}  // namespace pelton::api
