// Blocks of queries in AMX tiles of bf16. `fast` rounds every operand once. Otherwise they are as accurate as
// f32: every operand is split into a bf16 and the bf16 of what that lost, and of the four products only the
// one of both losses (2^-18 of the result) is left out. f16 keys and values are exact that way.
//
// Floor per 32 keys x 16 queries of dimension D (16 cycles per multiply of 16 x 16 x 32): scores 2 x D/32,
// values D/16 multiplies, 4 cycles per key and vector of queries at D = 64, three times that when split.
// Exponentials take about 10. In f32 registers the products take 64 cycles.
#pragma once
#include "attention_block.h"

#if INGOT_TILES

namespace ingot::INGOT_NS {
namespace {

constexpr int64_t kQueryStep = 32;      // queries of a block are a multiple of this: two tiles
constexpr int64_t kChunkKeys = 32;      // keys of a multiply's depth
constexpr int64_t kSplitTile =
    2048;  // bytes: a tile of 16 rows of 32 bf16, then the tile of what they lost, if wanted
constexpr int64_t kBlockChunks = kBlockKeys / kChunkKeys;

inline int64_t depth_tiles(const Attention& a) { return ceil_div(a.Dh, 32); }

// As many queries as keep a block in the second-level cache.
inline int64_t block_queries(const Attention& a) {
  return max64(kQueryStep, min64(kBlockQueries, 32768 / a.Dh / kQueryStep * kQueryStep));
}

inline Block& block_in(const Attention& a, uint8_t* scratch) {
  Block& b = *reinterpret_cast<Block*>(scratch);
  const int64_t queries = block_queries(a), dim = depth_tiles(a) * 32;
  b.ld = kW;
  b.score_step = kBlockKeys * kW;
  b.out_step = dim * kW;
  b.q = scratch + (sizeof(Block) + 63) / 64 * 64;
  b.out = reinterpret_cast<float*>(b.q + queries * dim * 4);
  b.scores = b.out + queries * dim;
  b.keys = reinterpret_cast<uint8_t*>(b.scores + queries * kBlockKeys);
  b.values = b.keys + kBlockKeys * dim * 4;
  return b;
}

// Two vectors side by side as bf16 pairs, and as pairs of what that lost.
template <bool Split> INGOT_INLINE void split(vf even, vf odd, vi& hi, vi& lo) {
  const auto pair = [](vf e, vf o) __attribute__((always_inline)) { return as_i(o) | (vi)((vu)e >> 16); };
  const vf e = round_bf16(even), o = round_bf16(odd);
  hi = pair(e, o);
  if constexpr (Split) lo = pair(round_bf16(even - e), round_bf16(odd - o));
}
template <bool Split> INGOT_INLINE void store_split(uint8_t* tile, int64_t row, vf even, vf odd) {
  vi hi, lo;
  split<Split>(even, odd, hi, lo);
  storeb(tile + row * 64, hi);
  if constexpr (Split) storeb(tile + 1024 + row * 64, lo);
}

// B tiles [vector][depth]: row t holds dimensions t and 16 + t of 32, a query per lane.
inline void prepare_queries(const Attention& a, int64_t n, int64_t vecs, Block& b) {
  uint8_t* tile = b.q;
  for (int64_t v = 0; v < vecs; v++)
    for (int64_t d0 = 0; d0 < a.Dh; d0 += 32, tile += kSplitTile) {
      vf even[kW], odd[kW];
      load_queries(a, b, v, n, d0, even);
      load_queries(a, b, v, n, d0 + kW, odd);
      for (int t = 0; t < kW; t++) store_split<true>(tile, t, even[t], odd[t]);
    }
  std::memset(b.out, 0, size_t(vecs * b.out_step) * 4);
}

// A tiles [16 keys][depth]: a key per row, dimensions t and 16 + t in pair t.
template <bool Split, int Form>
void prepare_keys(const Attention& a, const uint8_t* const* at, int64_t n, uint8_t* tile) {
  for (int64_t i = 0; i < n; i += 16)
    for (int64_t d = 0; d < a.Dh; d += 32, tile += kSplitTile)
      for (int r = 0; r < 16; r++)
        store_split<Split>(tile, r, load_dims<Form>(a, at[i + r], d), load_dims<Form>(a, at[i + r], d + 16));
}

// A tiles [16 dimensions][chunk]: a dimension per row, keys t and 16 + t of the chunk in pair t.
template <bool Split, int Form>
void prepare_values(const Attention& a, const uint8_t* const* at, int64_t n, uint8_t* tiles) {
  for (int64_t d = 0; d < depth_tiles(a) * 32; d += 16)
    for (int64_t i = 0; i < n; i += kChunkKeys) {
      uint8_t* tile = tiles + (d / 16 * kBlockChunks + i / kChunkKeys) * kSplitTile;
      vf hi[kW], lo[kW];
      for (int t = 0; t < 16; t++) {
        vi h, l;
        split<Split>(load_dims<Form>(a, at[i + t], d), load_dims<Form>(a, at[i + 16 + t], d), h, l);
        hi[t] = as_f(h);
        if constexpr (Split) lo[t] = as_f(l);
      }
      transpose(hi);
      for (int t = 0; t < 16; t++) storeb(tile + t * 64, hi[t]);
      if constexpr (!Split) continue;
      transpose(lo);
      for (int t = 0; t < 16; t++) storeb(tile + 1024 + t * 64, lo[t]);
    }
}

// Weights [32 keys][16 queries] of a chunk to a B tile in their place: keys t and 16 + t in row t.
template <bool Split> INGOT_INLINE void split_weights(float* chunk) {
  vi hi[16], lo[16];
  for (int t = 0; t < 16; t++) split<Split>(load(chunk + t * kW), load(chunk + (16 + t) * kW), hi[t], lo[t]);
  for (int t = 0; t < 16; t++) storeb(chunk + t * kW, hi[t]);
  for (int t = 0; t < 16 && Split; t++) storeb(chunk + (16 + t) * kW, lo[t]);
}

// c[i][j] (+)= a[i] b[j] over `depth` tiles for two A and two B; c[i] are 1 KiB apart, c[.][1] `c_step`
// floats from c[.][0].
template <bool Split>
void multiply(const uint8_t* a, int64_t a_step, const uint8_t* b, int64_t b_step, int64_t depth, float* c,
              int64_t c_step, bool first) {
  const uint8_t *a0 = a, *a1 = a + a_step, *b0 = b, *b1 = b + b_step;
  float *c00 = c, *c10 = c + 256, *c01 = c + c_step, *c11 = c01 + 256;
  asm volatile("" : : : "memory");  // tile loads do not say that they read memory
  if (first) {
    INGOT_TILE_ZERO(0);
    INGOT_TILE_ZERO(1);
    INGOT_TILE_ZERO(2);
    INGOT_TILE_ZERO(3);
  } else {
    INGOT_TILE_LOAD(0, c00, 64);
    INGOT_TILE_LOAD(1, c01, 64);
    INGOT_TILE_LOAD(2, c10, 64);
    INGOT_TILE_LOAD(3, c11, 64);
  }
#pragma GCC unroll 1
  for (int64_t t = 0; t < depth;
       t++, a0 += kSplitTile, a1 += kSplitTile, b0 += kSplitTile, b1 += kSplitTile) {
    INGOT_TILE_LOAD(4, a0, 64);
    if constexpr (!Split) {
      INGOT_TILE_LOAD(6, b0, 64);
      INGOT_TILE_DOT(0, 4, 6);
      INGOT_TILE_LOAD(7, b1, 64);
      INGOT_TILE_DOT(1, 4, 7);
      INGOT_TILE_LOAD(5, a1, 64);
      INGOT_TILE_DOT(2, 5, 6);
      INGOT_TILE_DOT(3, 5, 7);
      continue;
    }
    INGOT_TILE_LOAD(6, b0 + 1024, 64);
    INGOT_TILE_DOT(0, 4, 6);
    INGOT_TILE_LOAD(7, b1 + 1024, 64);
    INGOT_TILE_DOT(1, 4, 7);
    INGOT_TILE_LOAD(5, a1, 64);
    INGOT_TILE_DOT(2, 5, 6);
    INGOT_TILE_DOT(3, 5, 7);
    INGOT_TILE_LOAD(6, b0, 64);
    INGOT_TILE_DOT(0, 4, 6);
    INGOT_TILE_LOAD(7, b1, 64);
    INGOT_TILE_DOT(1, 4, 7);
    INGOT_TILE_DOT(2, 5, 6);
    INGOT_TILE_DOT(3, 5, 7);
    INGOT_TILE_LOAD(4, a0 + 1024, 64);
    INGOT_TILE_DOT(0, 4, 6);
    INGOT_TILE_DOT(1, 4, 7);
    INGOT_TILE_LOAD(5, a1 + 1024, 64);
    INGOT_TILE_DOT(2, 5, 6);
    INGOT_TILE_DOT(3, 5, 7);
  }
  INGOT_TILE_STORE(0, c00, 64);
  INGOT_TILE_STORE(1, c01, 64);
  INGOT_TILE_STORE(2, c10, 64);
  INGOT_TILE_STORE(3, c11, 64);
  asm volatile("" : : : "memory");
}

// The block's queries against the keys of one block of keys, those from j on. Chunks begin at multiples of 32
// keys, whatever the block sees: what is summed together for a row then does not depend on the rows beside
// it.
template <bool Split>
void attend_keys(const Attention& a, int64_t head, int64_t j, int64_t vecs, const Seen& seen, Block& b) {
  const auto clamp = [&](int64_t key) { return max64(0, min64(kBlockKeys, key - j)); };
  const auto begin_of = [&](const Seen& s) { return clamp(s.lo) / kChunkKeys; };
  const auto end_of = [&](const Seen& s) { return ceil_div(clamp(s.hi), kChunkKeys); };
  const int64_t depth = depth_tiles(a), first = begin_of(seen), chunks = end_of(seen) - first,
                n = chunks * kChunkKeys;
  const uint8_t* at[kBlockKeys];
  const int64_t start = j + first * kChunkKeys;
  find_keys(a, a.k, head, start, n, seen, at);
  with_form(a.form, [&](auto form) { prepare_keys<Split, form()>(a, at, n, b.keys); });
  find_keys(a, a.v, head, start, n, seen, at);
  with_form(a.form, [&](auto form) { prepare_values<Split, form()>(a, at, n, b.values); });
  for (int64_t v = 0; v < vecs; v += 2) {
    const Seen pair(b, v, 2);
    const int64_t begin = begin_of(pair) - first, end = end_of(pair) - first;
    if (begin >= end) continue;
    float* scores = b.scores + v * b.score_step;
    for (int64_t c = begin; c < end; c++)
      multiply<Split>(b.keys + c * 2 * depth * kSplitTile, depth * kSplitTile, b.q + v * depth * kSplitTile,
                      depth * kSplitTile, depth, scores + c * kChunkKeys * kW, b.score_step, true);
    for (int64_t i = v; i < v + 2; i++) {
      softmax_vector<Split ? Weights::kF32 : Weights::kRounded>(a, b, i, b.scores + i * b.score_step, start,
                                                                begin * kChunkKeys, end * kChunkKeys, pair);
      for (int64_t c = begin; c < end; c++)
        split_weights<Split>(b.scores + i * b.score_step + c * kChunkKeys * kW);
    }
    for (int64_t d = 0; d < 2 * depth; d += 2)
      multiply<Split>(b.values + (d * kBlockChunks + begin) * kSplitTile, kBlockChunks * kSplitTile,
               reinterpret_cast<uint8_t*>(scores + begin * kChunkKeys * kW), b.score_step * 4, end - begin,
               b.out + v * b.out_step + d * 256, b.out_step, false);
  }
}

}  // namespace
}  // namespace ingot::INGOT_NS

#endif
