// Many rows: a block of queries (row, head) of one kv head against blocks of keys, with the queries along the vector
// lanes: scores^T and out^T. What the f32 and the tile way share.
#pragma once
#include <algorithm>

#include "amx.h"
#include "attention_core.h"

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kBlockKeys = 128;
// Tiles repay larger blocks: keys and values are converted again for each of them.
constexpr int64_t kBlockQueries = kHasTiles ? 256 : 96;
constexpr int64_t kBlockVecs = kBlockQueries / kW;

struct Block {
  float *scores, *out;                     // of vector v: from v * score_step and v * out_step on, in rows `ld` apart
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

// Dimensions d0 ... d0 + kW - 1 of vector v's queries, scaled, a vector per dimension; zeros beyond the n queries and Dh.
INGOT_INLINE void load_queries(const Attention& a, const Block& b, int64_t v, int64_t n, int64_t d0, vf* out) {
  const int lanes = int(min64(kW, a.Dh - d0));
  for (int64_t i = 0; i < kW; i++)
    out[i] = v * kW + i >= n || lanes <= 0 ? vf{} : load_some(a.q + b.at[v * kW + i] + d0, lanes) * a.scale;
  transpose(out);
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
      vf v[kW] = {};
      for (int d = 0; d < lanes; d++) v[d] = load(out + (d0 + d) * b.ld) * inverse;
      transpose(v);
      for (int i = 0; i < int(min64(kW, n - i0)); i++) store_some(a.y + b.at[i0 + i] + d0, v[i], lanes);
    }
  }
}

constexpr float kLog2e = 1.44269504f;

// R rows of scores to 2^(log2(e) score - offset), 0 below 2^-126: interleaved, because one chain of them is mostly waiting.
// The exponent is at most 0; 2 ulp of its power. Added to `sum` in their order: what else a block holds must not show in it.
template <int R> INGOT_INLINE void weigh(float* s, int64_t ld, vf offset, vf& sum) {
  vf n[R], f[R], p[R];
  for (int i = 0; i < R; i++) {
    const vf y = vmax(load(s + i * ld) * kLog2e - offset, set1(-160.f));
    n[i] = rint_small(y);
    f[i] = y - n[i];
    p[i] = 1.326472731e-03f * f[i] + 9.671512991e-03f;
  }
  for (int i = 0; i < R; i++) p[i] = p[i] * f[i] + 5.550733581e-02f;
  for (int i = 0; i < R; i++) p[i] = p[i] * f[i] + 2.402224243e-01f;
  for (int i = 0; i < R; i++) p[i] = p[i] * f[i] + 6.931470037e-01f;
  for (int i = 0; i < R; i++) {
    p[i] = p[i] * f[i] + 1.f;
#if defined(__AVX512F__)
    p[i] = (vf)_mm512_scalef_ps((__m512)p[i], (__m512)n[i]);
#else
    p[i] = as_f(as_i(p[i] * pow2i(to_i(vmax(n[i], set1(-126.f))))) & (n[i] > set1(-126.f)));
#endif
    store(s + i * ld, p[i]);
    sum += p[i];
  }
}

// Scores of vector v, rows [begin, end) being keys from j0 on, to weights; rescales what has been accumulated for it.
// `seen`: by it, and perhaps by its neighbours.
inline void softmax_vector(const Attention& a, Block& b, int64_t v, int64_t j0, int64_t begin, int64_t end, const Seen& seen) {
  float* s = b.scores + v * b.score_step;
  const int64_t i0 = v * kW, ld = b.ld;
  for (int64_t j = begin; j < end && a.softcap > 0; j++) store(s + j * ld, vtanh(load(s + j * ld) / a.softcap) * a.softcap);
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
  for (; j + 4 <= end; j += 4) weigh<4>(s + j * ld, ld, offset, sum);
  for (; j < end; j++) weigh<1>(s + j * ld, ld, offset, sum);
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
