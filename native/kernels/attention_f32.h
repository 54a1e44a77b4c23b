// Blocks of queries in f32 registers, for CPUs without tiles.
#pragma once
#include "attention_block.h"
#include "matmul_f32.h"

#if !INGOT_TILES

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kQueryStep = 16;  // queries of a block are a multiple of this

constexpr int64_t kFloatQueries = 96;
#if INGOT_BF16_PAIRS
inline bool in_pairs(const Attention& a) { return a.fast && a.Dh % kW == 0; }
inline int64_t block_queries(const Attention& a) { return in_pairs(a) ? kBlockQueries : kFloatQueries; }
#else
inline int64_t block_queries(const Attention&) { return kFloatQueries; }
#endif

inline Block& block_in(const Attention& a, uint8_t* scratch) {
  Block& b = *reinterpret_cast<Block*>(scratch);
  float* p = reinterpret_cast<float*>(scratch + (sizeof(Block) + 63) / 64 * 64);
  const int64_t dim = padded(a.Dh);
  b.score_step = b.out_step = kW;
  b.ld = kFloatQueries;
#if INGOT_BF16_PAIRS
  if (in_pairs(a)) b.score_step = kBlockKeys * kW, b.out_step = a.Dh * kW, b.ld = kW;
#endif
  b.q = reinterpret_cast<uint8_t*>(p);
  b.out = p + dim * kBlockQueries;
  b.scores = b.out + dim * kBlockQueries;
  b.keys = reinterpret_cast<uint8_t*>(b.scores + kBlockKeys * kBlockQueries);
  b.values = b.keys + kBlockKeys * dim * 4;
  return b;
}

inline void prepare_queries(const Attention& a, int64_t n, int64_t vecs, Block& b) {
  float* q = reinterpret_cast<float*>(b.q);
  for (int64_t v = 0; v < vecs; v++)
    for (int64_t d0 = 0; d0 < a.Dh; d0 += kW) {
      vf x[kW];
      load_queries(a, b, v, n, d0, x);
      for (int d = 0; d < int(min64(kW, a.Dh - d0)); d++) store(q + (d0 + d) * kFloatQueries + v * kW, x[d]);
    }
  std::memset(b.out, 0, size_t(a.Dh * kFloatQueries) * 4);
}

inline const float* load_keys(const Attention& a, const uint8_t* cache, int64_t head, int64_t j, int64_t n,
                              uint8_t* memory) {
  float* out = reinterpret_cast<float*>(memory);
  for (int64_t i = 0; i < n;) {
    const int64_t count = a.run(j + i, n - i), elements = count * a.Dh;
    const uint8_t* from = a.at(cache, head, j + i);
    float* to = out + i * a.Dh;
    if (a.form == rF32) {
      std::memcpy(to, from, size_t(elements) * 4);
    } else if (a.form == rF16) {
      const auto* h = reinterpret_cast<const uint16_t*>(from);
      int64_t e = 0;
      for (; e + kW <= elements; e += kW) store(to + e, load_f16(h + e));
      if (e < elements) store_n(to + e, load_f16_n(h + e, int(elements - e)), int(elements - e));
    } else {
      with_form(a.form, [&](auto form) {
        for (int64_t r = 0; r < count; r++, from += a.row.bytes)
          for (int64_t d = 0; d < a.Dh; d += kW, to += kW) store(to, load_kv<form()>(a.row, from, d));
      });
    }
    i += count;
  }
  return out;
}

// The block's queries against the keys of one block of keys, those from j on.
inline void attend_keys(const Attention& a, int64_t head, int64_t j, int64_t vecs, const Seen& seen,
                        Block& b) {
  const int64_t start = max64(j, seen.lo), n = min64(j + kBlockKeys, seen.hi) - start;
  const float* keys = load_keys(a, a.k, head, start, n, b.keys);
  gemm_block(keys, a.Dh, 1, reinterpret_cast<float*>(b.q), kFloatQueries, b.scores, kFloatQueries, n, vecs,
             a.Dh, false);
  for (int64_t v = 0; v < vecs; v++)
    softmax_vector<Weights::kF32>(a, b, v, b.scores + v * b.score_step, start, 0, n, seen);
  const float* values = load_keys(a, a.v, head, start, n, b.values);
  gemm_block(values, 1, a.Dh, b.scores, kFloatQueries, b.out, kFloatQueries, a.Dh, vecs, n, true);
}

}  // namespace
}  // namespace ingot::INGOT_NS

#endif
