// The pieces of sampling: the settings of a row, counter-based random numbers, fixed-point token weights, and
// the search for the place in the descending order where a cumulative weight is reached.
#pragma once
#include "sort_keys.h"
#include "vec_math.h"

namespace ingot::INGOT_NS {

// Settings of a row of logits, as plans write them: docs/cpu-kernels.md.
struct RowSettings {
  float temperature;
  int32_t top_k;
  float top_p, min_p;
  uint32_t seed, step;
  float repetition, presence, frequency;
  int32_t slot, mask, top;
};
static_assert(sizeof(RowSettings) == 48);

// First word of Philox4x32-10 for counter (step, 0, 0, 0) and key (seed, 0).
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
inline uint32_t philox(uint32_t seed, uint32_t step) {
  uint32_t c0 = step, c1 = 0, c2 = 0, c3 = 0, k0 = seed, k1 = 0;
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t(0xd2511f53u) * c0, b = uint64_t(0xcd9e8d57u) * c2;
    const uint32_t n0 = uint32_t(b >> 32) ^ c1 ^ k0, n2 = uint32_t(a >> 32) ^ c3 ^ k1;
    c1 = uint32_t(b);
    c3 = uint32_t(a);
    c0 = n0;
    c2 = n2;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return c0;
}

// A token's weight e^((x - max) / T) in units of 2^-40: integers add up to the same total in every order, so
// the result does not depend on how the vocabulary was shared out. Sums of 2^20 tokens stay below 2^61.
struct Weights {
  static constexpr double kOne = 0x1p40;
  static constexpr float kRange = 28.f;  // e^-28 < 2^-40: weights further down are 0
  static constexpr int kBuckets = 4096;

  float max, inverse_temperature, per_bucket;

  Weights(float max, float min, float temperature) : max(max) {
    temperature = std::max(temperature, 1e-6f);  // its inverse stays finite
    inverse_temperature = 1 / temperature;
    const float range = std::min(max - min, kRange * temperature);
    per_bucket = range > 0 ? float(kBuckets - 1) / range : 0.f;
    if (!(per_bucket <= 1e30f)) per_bucket = 1e30f;
  }
  vf weight(vf x) const { return vexp_nonpositive((x - max) * inverse_temperature); }
  static uint64_t fixed(float w) { return uint64_t(double(w) * kOne); }
  uint64_t of(float x) const { return fixed(weight(set1(x))[0]); }
  // Descending: bucket 0 holds the most likely tokens. Monotone, so that buckets are ranges of the order.
  vi bucket(vf x) const { return to_i(vmin((max - x) * per_bucket, set1(float(kBuckets - 1)))); }

  // Adds the weights of x[begin ... end) to their buckets.
  void histogram(const float* x, int64_t begin, int64_t end, uint64_t* sums) const {
    const float lowest = max - kRange / inverse_temperature;
    for (int64_t i = begin; i < end; i += kW) {
      const int lanes = int(min64(kW, end - i));
      const vf v = load_some(x + i, lanes);
      if (lanes == kW && !any(v >= set1(lowest))) continue;
      const vf w = weight(v);
      const vi b = bucket(v);
      for (int l = 0; l < lanes; l++) sums[b[l]] += fixed(w[l]);
    }
  }
  // The keys of one bucket in descending order; returns how many.
  int64_t collect(const float* x, int64_t n, int bucket_number, uint64_t* keys) const {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i += kW) {
      const int lanes = int(min64(kW, n - i));
      const vi match = bucket(load_some(x + i, lanes)) == set1i(bucket_number);
      if (!any(match)) continue;
      for (int l = 0; l < lanes; l++)
        if (match[l]) keys[count++] = sort_key(x[i + l], uint32_t(i + l));
    }
    sort_keys(keys, count);
    return count;
  }
};

// A run of tokens in descending order that starts after `before` of weight.
struct Segment {
  const uint64_t* keys;
  int64_t count;
  uint64_t before;
};

// Smallest number of tokens of the segment with which the cumulative weight reaches `target`, and that
// weight.
struct Cut {
  int64_t count;
  uint64_t total;
};
inline Cut cut_at(const Weights& w, const float* x, const Segment& s, uint64_t target) {
  Cut c{0, s.before};
  while (c.count < s.count) {
    c.total += w.of(x[key_place(s.keys[c.count++])]);
    if (c.total >= target) break;
  }
  return c;
}

}  // namespace ingot::INGOT_NS
