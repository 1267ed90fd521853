// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/copy.h"

#include <algorithm>
#include <cstring>

#include "decide/checkpoint/manifest.h"

// Its inner functions are needed: the loop below is xxHash3's with a store in it.
#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pelton::checkpoint {
namespace {

#if defined(__x86_64__)
#define PELTON_AVX2 __attribute__((target("avx2")))

constexpr size_t kStripe = 64, kStripesPerBlock = 16, kBlock = kStripe * kStripesPerBlock;
constexpr size_t kPrefetch = 1024;  // bytes ahead; measured best of 512, 1024 and 2048

inline const __m256i* vector_at(const void* p) {
  return static_cast<const __m256i*>(p);
}

/// xxHash3's eight accumulators, for inputs of more than 240 bytes.
struct Accumulators {
  __m256i low, high;
};

PELTON_AVX2 inline __m256i mixed(__m256i sum, __m256i value, const uint8_t* secret) {
  const __m256i keyed = _mm256_xor_si256(value, _mm256_loadu_si256(vector_at(secret)));
  const __m256i product = _mm256_mul_epu32(keyed, _mm256_shuffle_epi32(keyed, 0x31));
  return _mm256_add_epi64(_mm256_add_epi64(sum, _mm256_shuffle_epi32(value, 0x4e)), product);
}

/// Mixes one stripe.
PELTON_AVX2 inline void add_stripe(Accumulators& sums, const char* from, const uint8_t* secret) {
  sums.low = mixed(sums.low, _mm256_loadu_si256(vector_at(from)), secret);
  sums.high = mixed(sums.high, _mm256_loadu_si256(vector_at(from + 32)), secret + 32);
}

/// Mixes one stripe, and stores as much of what lies `shift` bytes further on past the cache (what
/// is stored has to be aligned, and what is mixed does not).
template <bool kIsShifted>
PELTON_AVX2 inline void add_and_store(Accumulators& sums, char* to, const char* from, size_t shift,
                                      const uint8_t* secret) {
  const __m256i low = _mm256_loadu_si256(vector_at(from));
  const __m256i high = _mm256_loadu_si256(vector_at(from + 32));
  auto* const out = reinterpret_cast<__m256i*>(to);
  if (kIsShifted) {
    _mm256_stream_si256(out, _mm256_loadu_si256(vector_at(from + shift)));
    _mm256_stream_si256(out + 1, _mm256_loadu_si256(vector_at(from + shift + 32)));
  } else {
    _mm256_stream_si256(out, low);
    _mm256_stream_si256(out + 1, high);
  }
  sums.low = mixed(sums.low, low, secret);
  sums.high = mixed(sums.high, high, secret + 32);
}

PELTON_AVX2 inline __m256i scrambled(__m256i sum, const uint8_t* secret) {
  const __m256i prime = _mm256_set1_epi32(static_cast<int>(XXH_PRIME32_1));
  __m256i x = _mm256_xor_si256(sum, _mm256_srli_epi64(sum, 47));
  x = _mm256_xor_si256(x, _mm256_loadu_si256(vector_at(secret)));
  const __m256i high = _mm256_mul_epu32(_mm256_shuffle_epi32(x, 0x31), prime);
  return _mm256_add_epi64(_mm256_mul_epu32(x, prime), _mm256_slli_epi64(high, 32));
}

PELTON_AVX2 inline void scramble(Accumulators& sums, const uint8_t* secret) {
  sums.low = scrambled(sums.low, secret);
  sums.high = scrambled(sums.high, secret + 32);
}

/// `size` is more than one block; `shift` bytes after `to` is a multiple of 32.
template <bool kIsShifted>
PELTON_AVX2 uint64_t copy_and_hash_avx2(char* to, const char* from, size_t size, size_t shift) {
  const uint8_t* const secret = XXH3_kSecret;
  const uint8_t* const last_secret = secret + sizeof(XXH3_kSecret) - kStripe;
  alignas(32)
      uint64_t sums_in_memory[8] = {XXH_PRIME32_3, XXH_PRIME64_1, XXH_PRIME64_2, XXH_PRIME64_3,
                                    XXH_PRIME64_4, XXH_PRIME32_2, XXH_PRIME64_5, XXH_PRIME32_1};
  Accumulators sums{_mm256_load_si256(vector_at(sums_in_memory)),
                    _mm256_load_si256(vector_at(sums_in_memory + 4))};
  const char* const last = from + size - kStripe;
  std::memcpy(to, from, shift);
  to += shift;
  size_t left = size;
  for (; left > kBlock + shift; left -= kBlock) {
    for (size_t i = 0; i < kStripesPerBlock; ++i, from += kStripe, to += kStripe) {
      _mm_prefetch(from + kPrefetch, _MM_HINT_NTA);
      add_and_store<kIsShifted>(sums, to, from, shift, secret + 8 * i);
    }
    scramble(sums, last_secret);
  }
  std::memcpy(to, from + shift, left - shift);
  for (; left > kBlock; left -= kBlock) {
    for (size_t i = 0; i < kStripesPerBlock; ++i, from += kStripe) {
      add_stripe(sums, from, secret + 8 * i);
    }
    scramble(sums, last_secret);
  }
  for (size_t i = 0; left > kStripe; ++i, left -= kStripe, from += kStripe) {
    add_stripe(sums, from, secret + 8 * i);
  }
  add_stripe(sums, last, last_secret - 7);
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums_in_memory), sums.low);
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums_in_memory + 4), sums.high);
  _mm_sfence();
  return XXH3_mergeAccs(reinterpret_cast<const xxh_u64*>(sums_in_memory), secret + 11,
                        static_cast<uint64_t>(size) * XXH_PRIME64_1);
}

bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}
#endif

}  // namespace

uint64_t copy_and_hash(char* to, const char* from, size_t size) {
#if defined(__x86_64__)
  if (size > kBlock && has_avx2()) {
    const size_t shift = (32 - reinterpret_cast<uintptr_t>(to) % 32) % 32;
    return shift == 0 ? copy_and_hash_avx2<false>(to, from, size, 0)
                      : copy_and_hash_avx2<true>(to, from, size, shift);
  }
#endif
  // What is checked is what was copied: the source may be changed by others.
  if (size != 0) std::memcpy(to, from, size);
  return XXH3_64bits(to, size);
}

std::vector<uint64_t> copy_and_hash_chunks(char* to, const char* from, size_t size) {
  std::vector<uint64_t> sums;
  constexpr size_t kChunk = decide::checkpoint::kChunkBytes;
  sums.reserve(size / kChunk + 1);
  for (size_t at = 0; at < size; at += kChunk) {
    sums.push_back(copy_and_hash(to + at, from + at, std::min(kChunk, size - at)));
  }
  return sums;
}

}  // namespace pelton::checkpoint
