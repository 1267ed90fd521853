// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"
#include "base/time.h"

namespace pelton::base {
namespace {

TEST(Time, ReadsBackWhatItWrites) {
  for (int64_t s : {int64_t{0}, int64_t{951782400}, int64_t{1798761599}, int64_t{-86401}}) {
    const Instant t = Instant::from_unix_seconds(s);
    EXPECT_EQ(parse_time(format_time(t)).value(), t) << s;
  }
  EXPECT_EQ(format_time(Instant::from_unix_seconds(951782400)), "2000-02-29T00:00:00Z");
  EXPECT_EQ(format_micro_time(Instant::from_unix_ns(1'500)), "1970-01-01T00:00:00.000001Z");
}

TEST(Time, ReadsFractionsAndOffsets) {
  EXPECT_EQ(parse_time("1970-01-01T01:00:00.25+01:00").value(), Instant::from_unix_ns(250'000'000));
  for (const char* bad : {"", "1970-01-01", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00",
                          "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx"}) {
    EXPECT_FALSE(parse_time(bad).ok()) << bad;
  }
}

TEST(Time, AgesReadAsKubectlShowsThem) {
  EXPECT_EQ(format_age(Duration::seconds(119)), "119s");
  EXPECT_EQ(format_age(Duration::seconds(150)), "2m30s");
  EXPECT_EQ(format_age(Duration::minutes(30)), "30m");
  EXPECT_EQ(format_age(Duration::hours(5)), "5h");
  EXPECT_EQ(format_age(Duration::hours(75)), "3d3h");
}

TEST(Strings, Base64GoesThereAndBack) {
  for (const char* text : {"", "a", "ab", "abc", "abcd"}) {
    EXPECT_EQ(base64_decode(base64_encode(text)).value(), text);
  }
  EXPECT_FALSE(base64_decode("a").ok());
  EXPECT_FALSE(base64_decode("ab=c").ok());
  EXPECT_FALSE(base64_decode("a b").ok());
}

TEST(Strings, AHashOfPiecesIsThatOfTheWhole) {
  std::string bytes(100'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 3);
  Hash64 hash;
  EXPECT_EQ(hash.value(), hash64(""));
  for (const size_t piece : {size_t{1}, size_t{200}, size_t{65'536}}) {
    hash.reset();
    for (size_t at = 0; at < bytes.size(); at += piece) hash.add(bytes.substr(at, piece));
    EXPECT_EQ(hash.value(), hash64(bytes)) << piece;
  }
}

TEST(Strings, PercentCodingGoesThereAndBack) {
  EXPECT_EQ(percent_decode("a%2Fb%zz%"), "a/b%zz%");
  EXPECT_EQ(percent_decode(percent_encode("a/b c%\xff")), "a/b c%\xff");
}

TEST(Strings, IntegersAreWholeTexts) {
  EXPECT_EQ(parse_int("-12").value(), -12);
  for (const char* bad : {"", " 1", "1 ", "1x", "99999999999999999999"}) {
    EXPECT_FALSE(parse_int(bad).ok()) << bad;
  }
}

TEST(Rng, StreamsOfDifferentNamesDiffer) {
  const Rng root(7);
  EXPECT_NE(root.fork("a").next(), root.fork("b").next());
  EXPECT_EQ(root.fork("a").next(), Rng(7).fork("a").next());
  Rng rng(1);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(rng.below(3), 3u);
}

}  // namespace
}  // namespace pelton::base
