// Blocks of queries in registers as pairs of bf16, where `fast` allows that: queries, keys, weights and
// values are rounded once, sums are f32. Twice the multiply-adds of f32 per instruction.
//
// Floor per 2 keys x 16 queries of dimension D: 2 D multiplies, half of them for the scores. Exponentials
// take about 24 cycles of the same pipes, a fifth of that at D = 64.
#pragma once
#include "attention_f32.h"

#if INGOT_BF16_PAIRS

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kPairKeys =
    8;  // blocks begin and end at multiples of it: tiles are full, and what a row adds up together is its own
constexpr int64_t kPairVecs =
    3;  // vectors of queries whose scores stay in the first-level cache until they have been used

// B [vector][D / 2]: dimensions 2t and 2t + 1 in row t, a query per lane.
inline void prepare_query_pairs(const Attention& a, int64_t n, int64_t vecs, Block& b) {
  uint8_t* row = b.q;
  for (int64_t v = 0; v < vecs; v++)
    for (int64_t d0 = 0; d0 < a.Dh; d0 += kW) {
      vf x[kW];
      load_queries(a, b, v, n, d0, x);
      for (int d = 0; d < kW; d += 2, row += 64) storeb(row, bf16_pairs(x[d], x[d + 1]));
    }
  std::memset(b.out, 0, size_t(vecs * b.out_step) * 4);
}

// Keys row by row; values in rows of two keys side by side.
template <int Form>
void load_pairs(const Attention& a, int64_t head, int64_t j, int64_t n, const Seen& seen, Block& b) {
  const uint8_t* at[kBlockKeys];
  find_keys(a, a.k, head, j, n, seen, at);
  uint8_t* to = b.keys;
  for (int64_t i = 0; i < n; i++)
    for (int64_t d = 0; d < a.Dh; d += kW, to += 2 * kW)
      storeb(to, (vh)_mm512_cvtneps_pbh((__m512)load_dims<Form>(a, at[i], d)));
  find_keys(a, a.v, head, j, n, seen, at);
  to = b.values;
  for (int64_t i = 0; i < n; i += 2)
    for (int64_t d = 0; d < a.Dh; d += kW, to += 64)
      storeb(to, bf16_pairs(load_dims<Form>(a, at[i], d), load_dims<Form>(a, at[i + 1], d)));
}

// c[v][m] (+)= sum over k of a[m * am + k * ak] . b[v][k], products of pairs: 8 rows and NV vectors, which
// are `b_step` and `c_step` apart.
template <int NV>
INGOT_INLINE void pair_tile(const int32_t* a, int64_t am, int64_t ak, const int32_t* b, int64_t b_step,
                            float* c, int64_t c_step, int64_t K, bool accumulate) {
  vf acc[8][NV];
  for (int m = 0; m < 8; m++)
    for (int v = 0; v < NV; v++) acc[m][v] = accumulate ? load(c + v * c_step + m * kW) : vf{};
  for (int64_t k = 0; k < K; k++) {
    vi bv[NV];
    for (int v = 0; v < NV; v++) bv[v] = loadi(b + v * b_step + k * kW);
    for (int m = 0; m < 8; m++) {
      const vi x = set1i(a[m * am + k * ak]);
      for (int v = 0; v < NV; v++) acc[m][v] = dot_pairs(acc[m][v], x, bv[v]);
    }
  }
  for (int m = 0; m < 8; m++)
    for (int v = 0; v < NV; v++) store(c + v * c_step + m * kW, acc[m][v]);
}

template <int NV> void attend_vectors(const Attention& a, int64_t j, int64_t n, int64_t v, Block& b) {
  const Seen seen(b, v, NV);
  const int64_t begin = max64(0, seen.lo - j) / kPairKeys * kPairKeys,
                end = min64(n, ceil_div(seen.hi - j, kPairKeys) * kPairKeys);
  if (begin >= end) return;
  const auto words = [](const uint8_t* p) { return reinterpret_cast<const int32_t*>(p); };
  const int64_t half = a.Dh / 2, q_step = half * kW;
  for (int64_t i = begin; i < end; i += 8)
    pair_tile<NV>(words(b.keys) + i * half, half, 1, words(b.q) + v * q_step, q_step, b.scores + i * kW,
                  b.score_step, half, false);
  for (int64_t i = 0; i < NV; i++)
    softmax_vector<Weights::kPairs>(a, b, v + i, b.scores + i * b.score_step, j, begin, end, seen);
  const int32_t* weights = reinterpret_cast<const int32_t*>(b.scores) + begin * kW;
  for (int64_t d = 0; d < a.Dh; d += 8)
    pair_tile<NV>(words(b.values) + begin / 2 * a.Dh + d, 1, a.Dh, weights, b.score_step,
                  b.out + v * b.out_step + d * kW, b.out_step, (end - begin) / 2, true);
}

// The block's queries against the keys of one block of keys, those from j on.
inline void attend_key_pairs(const Attention& a, int64_t head, int64_t j, int64_t vecs, const Seen& seen,
                             Block& b) {
  const int64_t start = max64(j, seen.lo / kPairKeys * kPairKeys),
                n = ceil_div(min64(j + kBlockKeys, seen.hi) - start, kPairKeys) * kPairKeys;
  with_form(a.form, [&](auto form) { load_pairs<form()>(a, head, start, n, seen, b); });
  int64_t v = 0;
  for (; v + kPairVecs <= vecs; v += kPairVecs) attend_vectors<kPairVecs>(a, start, n, v, b);
  for (; v < vecs; v++) attend_vectors<1>(a, start, n, v, b);
}

}  // namespace
}  // namespace ingot::INGOT_NS

#endif
