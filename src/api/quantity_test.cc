// SPDX-License-Identifier: Apache-2.0
#include "api/quantity.h"

#include <gtest/gtest.h>

namespace pelton::api {
namespace {

Quantity quantity(std::string_view text) {
  auto result = Quantity::parse(text);
  EXPECT_TRUE(result.ok()) << text;
  return result.ok() ? *result : Quantity();
}

TEST(Quantity, PrintsCanonicallyAsKubernetes) {
  const std::pair<const char*, const char*> kCases[] = {
      {"0", "0"},
      {"0.5", "500m"},
      {"1", "1"},
      {"1000", "1k"},
      {"1024", "1024"},
      {"1024Mi", "1Gi"},
      {"1.5Gi", "1536Mi"},
      {"100m", "100m"},
      {"1000m", "1"},
      {"1e3", "1e3"},
      {"1E", "1E"},
      {"1Ei", "1Ei"},
      {"12e6", "12e6"},
      {"1500000u", "1500m"},
      {"0.0000000001", "1n"},
      {"-1.5", "-1500m"},
      {"+2", "2"},
      {".5", "500m"},
      {"5.", "5"},
      {"0Ki", "0"},
      {"1023Ki", "1023Ki"},
      {"512", "512"},
      {"0.5Ki", "512"},
      {"1e-3", "1e-3"},
      {"123456789012345678901234567890", "9223372036854775807"},
      {"16Ei", "9223372036854775807"},
      {"0.1Ki", "102400m"},
      {"00012", "12"},
      {"1.0", "1"},
      {"8589934592", "8589934592"},
  };
  for (const auto& [text, want] : kCases) EXPECT_EQ(quantity(text).to_string(), want) << text;
}

TEST(Quantity, RefusesWhatIsNone) {
  for (const char* text : {"", "a", "1.2.3", "1 Gi", "1gi", "--1", "1e", "Gi", ".", "+", "1e+-3",
                           "0x10", "1KI", "1e1.5"}) {
    EXPECT_FALSE(Quantity::parse(std::string_view(text)).ok()) << text;
  }
  EXPECT_FALSE(Quantity::parse(base::Json(true)).ok());
}

TEST(Quantity, ComparesAndAddsExactly) {
  EXPECT_EQ(quantity("1Gi"), quantity("1073741824"));
  EXPECT_LT(quantity("999m"), quantity("1"));
  EXPECT_EQ((quantity("0.1") + quantity("0.2")).to_string(), "300m");
  EXPECT_EQ((quantity("4Gi") - quantity("1Gi")).to_string(), "3Gi");
  EXPECT_EQ((Quantity() + quantity("2Gi")).to_string(), "2Gi") << "a zero takes the other's format";
  EXPECT_EQ((quantity("100m") * 25).to_string(), "2500m");
  EXPECT_TRUE((quantity("1") - quantity("2")).is_negative());
}

TEST(Quantity, RoundsUpToWholeUnits) {
  EXPECT_EQ(quantity("1500m").value(), 2);
  EXPECT_EQ(quantity("0.1m").milli_value(), 1);
  EXPECT_EQ(quantity("8Gi").value(), int64_t{8} << 30);
  EXPECT_TRUE(quantity("2").is_whole());
  EXPECT_FALSE(quantity("2500m").is_whole());
}

TEST(Quantity, ReadsNumbersOfJson) {
  EXPECT_EQ(Quantity::parse(base::Json(4))->to_string(), "4");
  EXPECT_EQ(Quantity::parse(base::Json(0.5))->to_string(), "500m");
  EXPECT_EQ(Quantity::or_zero(base::Json("nonsense")).to_string(), "0");
}

}  // namespace
}  // namespace pelton::api
