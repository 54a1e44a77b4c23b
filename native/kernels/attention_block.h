// Many rows: a block of queries (row, head) of one kv head against blocks of keys, with the queries along the
// vector lanes: scores^T and out^T. What the f32 and the tile way share.
#pragma once
#include <algorithm>

#include "amx.h"
#include "attention_core.h"

// Whether products of bf16 pairs in registers are there, and wanted.
#if defined(__AVX512BF16__) && !INGOT_TILES
#define INGOT_BF16_PAIRS 1
#else
#define INGOT_BF16_PAIRS 0
#endif

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kBlockKeys = 128;
// Tiles and pairs repay larger blocks: keys and values are converted again for each of them.
constexpr int64_t kBlockQueries = kHasTiles ? 256 : INGOT_BF16_PAIRS ? 192 : 96;
constexpr int64_t kBlockVecs = kBlockQueries / kW;

struct Block {
  float *scores, *out;  // of vector v: from v * score_step and v * out_step on, in rows `ld` apart
  int64_t score_step, out_step, ld;
  uint8_t *q, *keys, *values;              // as the products want them
  float m[kBlockQueries], l[kBlockQueries];
  int32_t lo[kBlockQueries], hi[kBlockQueries];  // visible keys of each query
  int64_t at[kBlockQueries];                     // where its row begins in q and y
};

// Keys seen by any and by all queries of some vectors.
struct Seen {
  int64_t lo = INT64_MAX, hi = 0, all_lo = 0, all_hi = INT64_MAX;
  Seen(const Block& b, int64_t first, int64_t vecs) {
    for (int64_t i = first * kW; i < (first + vecs) * kW; i++) {
      lo = min64(lo, b.lo[i]);
      hi = max64(hi, b.hi[i]);
      all_lo = max64(all_lo, b.lo[i]);
      all_hi = min64(all_hi, b.hi[i]);
    }
  }
};

// Dimensions d0 ... d0 + kW - 1 of vector v's queries, scaled, a vector per dimension; zeros beyond the n
// queries and Dh.
INGOT_INLINE void load_queries(const Attention& a, const Block& b, int64_t v, int64_t n, int64_t d0,
                               vf* out) {
  const int lanes = int(min64(kW, a.Dh - d0));
  for (int64_t i = 0; i < kW; i++)
    out[i] = v * kW + i >= n || lanes <= 0 ? vf{} : load_some(a.q + b.at[v * kW + i] + d0, lanes) * a.scale;
  transpose(out);
}

// Where keys j ... j + n - 1 are; null for those that no query sees: they need not exist.
inline void find_keys(const Attention& a, const uint8_t* cache, int64_t head, int64_t j, int64_t n,
                      const Seen& seen, const uint8_t** at) {
  for (int64_t i = 0; i < n; i++)
    at[i] = j + i < seen.lo || j + i >= seen.hi ? nullptr : a.at(cache, head, j + i);
}
template <int Form> INGOT_INLINE vf load_dims(const Attention& a, const uint8_t* p, int64_t d) {
  if (p == nullptr || d >= a.Dh) return vf{};
  return d + kW <= a.Dh ? load_kv<Form>(a.row, p, d) : load_kv_n<Form>(a.row, p, d, int(a.Dh - d));
}

inline void store_outputs(const Attention& a, int64_t head, int64_t q0, int64_t n, Block& b) {
  for (int64_t i = 0; i < n; i++) {
    if (a.sinks == nullptr) continue;
    const float sink = a.sinks[head * a.G + (q0 + i) % a.G];
    const float top = std::max(sink, b.m[i]);
    const float factor = b.m[i] <= kNoScore ? 0.f : std::exp(b.m[i] - top);
    // out / (l + e^(sink - m)), written without overflow when the sink is far above the scores
    b.l[i] = factor > 0 ? b.l[i] + std::exp(sink - top) / factor : __builtin_inff();
  }
  for (int64_t i0 = 0; i0 < n; i0 += kW) {
    const vf l = load(b.l + i0);
    const vf inverse = pick(l > set1(0), 1.f / l, set1(0));
    const float* out = b.out + i0 / kW * b.out_step;
    for (int64_t d0 = 0; d0 < a.Dh; d0 += kW) {
      const int lanes = int(min64(kW, a.Dh - d0));
      vf v[kW];
      for (int d = 0; d < kW; d++) v[d] = d < lanes ? load(out + (d0 + d) * b.ld) * inverse : vf{};
      transpose(v);
      for (int i = 0; i < int(min64(kW, n - i0)); i++) store_some(a.y + b.at[i0 + i] + d0, v[i], lanes);
    }
  }
}

constexpr float kLog2e = 1.44269504f;

// R rows of scores to 2^(log2(e) score - offset), 0 below 2^-126: interleaved, because one chain of them is
// mostly waiting. The exponent is at most 0; 2 ulp of its power.
template <int R> INGOT_INLINE void weights_of(const float* s, int64_t ld, vf offset, vf* p) {
  vf n[R], f[R];
  for (int i = 0; i < R; i++) {
    const vf y = vmax(fma(load(s + i * ld), set1(kLog2e), -offset), set1(-160.f));
    n[i] = rint_small(y);
    f[i] = y - n[i];
    p[i] = fma(set1(1.326472731e-03f), f[i], set1(9.671512991e-03f));
  }
  for (int i = 0; i < R; i++) p[i] = fma(p[i], f[i], set1(5.550733581e-02f));
  for (int i = 0; i < R; i++) p[i] = fma(p[i], f[i], set1(2.402224243e-01f));
  for (int i = 0; i < R; i++) p[i] = fma(p[i], f[i], set1(6.931470037e-01f));
  for (int i = 0; i < R; i++) {
    p[i] = fma(p[i], f[i], set1(1.f));
#if defined(__AVX512F__)
    p[i] = (vf)_mm512_scalef_ps((__m512)p[i], (__m512)n[i]);
#else
    p[i] = as_f(as_i(p[i] * pow2i(to_i(vmax(n[i], set1(-126.f))))) & (n[i] > set1(-126.f)));
#endif
  }
}

enum class Weights { kF32, kRounded, kPairs };  // rounded to bf16; and two of them side by side

INGOT_INLINE vf round_bf16(vf x) { return as_f((as_i(x) + 0x8000) & int32_t(0xffff0000)); }

// R rows of scores to weights. Added to `sum` as they are multiplied, in their order: what else a block holds
// must not show in it.
template <int R, bool Rounded> INGOT_INLINE void weigh(float* s, int64_t ld, vf offset, vf& sum) {
  vf p[R];
  weights_of<R>(s, ld, offset, p);
  for (int i = 0; i < R; i++) {
    if constexpr (Rounded) p[i] = round_bf16(p[i]);
    store(s + i * ld, p[i]);
    sum += p[i];
  }
}

#if INGOT_BF16_PAIRS
// Two vectors side by side as bf16.
INGOT_INLINE vi bf16_pairs(vf even, vf odd) {
  alignas(64) static constexpr int16_t kSides[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                     21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                     11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (vi)_mm512_permutexvar_epi16(_mm512_load_si512(kSides),
                                      (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even));
}
INGOT_INLINE vf dot_pairs(vf sum, vi a, vi b) {
  return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

// 4 rows of scores to 2 rows of pairs of weights.
INGOT_INLINE void weigh_pairs(const float* s, int64_t ld, float* pairs, vf offset, vf& sum) {
  vf p[4];
  weights_of<4>(s, ld, offset, p);
  for (int i = 0; i < 4; i += 2) {
    const vi pair = bf16_pairs(p[i], p[i + 1]);
    storeb(pairs + i / 2 * ld, pair);
    sum = dot_pairs(sum, pair, set1i(0x3f803f80));
  }
}
#endif

// Scores s of vector v, rows [begin, end) being keys from j0 on, to weights, or from row `begin` on to pairs
// of them; rescales what has been accumulated for it. `seen`: by it, and perhaps by its neighbours.
template <Weights As>
void softmax_vector(const Attention& a, Block& b, int64_t v, float* s, int64_t j0, int64_t begin, int64_t end,
                    const Seen& seen) {
  const int64_t i0 = v * kW, ld = b.ld;
  for (int64_t j = begin; j < end && a.softcap > 0; j++)
    store(s + j * ld, vtanh(load(s + j * ld) / a.softcap) * a.softcap);
  const vi lo = loadi(b.lo + i0), hi = loadi(b.hi + i0);
  const auto mask = [&](int64_t from, int64_t to) {
    for (int64_t j = from; j < to; j++) {
      const vi key = set1i(int32_t(j0 + j));
      store(s + j * ld, pick((key >= lo) & (key < hi), load(s + j * ld), set1(2 * kNoScore)));
    }
  };
  const int64_t cut = min64(seen.all_lo - j0, end);
  mask(begin, cut);
  mask(max64(max64(begin, cut), seen.all_hi - j0), end);
  const vf before = load(b.m + i0);
  vf top = before, other = before;  // two chains: one would wait for itself
  int64_t j = begin;
  for (; j + 2 <= end; j += 2) top = vmax(top, load(s + j * ld)), other = vmax(other, load(s + (j + 1) * ld));
  if (j < end) top = vmax(top, load(s + j * ld));
  top = vmax(top, other);
  const vf offset = top * kLog2e;
  vf sum{};
  j = begin;
  if constexpr (As == Weights::kPairs) {
#if INGOT_BF16_PAIRS
    for (; j < end; j += 4) weigh_pairs(s + j * ld, ld, s + (begin + (j - begin) / 2) * ld, offset, sum);
#endif
  } else {
    for (; j + 4 <= end; j += 4) weigh<4, As == Weights::kRounded>(s + j * ld, ld, offset, sum);
    for (; j < end; j++) weigh<1, As == Weights::kRounded>(s + j * ld, ld, offset, sum);
  }
  vf l = load(b.l + i0);
  if (any(top > before)) {
    const vf factor = vexp_nonpositive(before - top);
    l *= factor;
    float* out = b.out + v * b.out_step;
    for (int64_t d = 0; d < a.Dh; d++) store(out + d * ld, load(out + d * ld) * factor);
    store(b.m + i0, top);
  }
  store(b.l + i0, l + sum);
}

}  // namespace
}  // namespace ingot::INGOT_NS
