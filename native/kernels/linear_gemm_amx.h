// Many rows on AMX: activations once as bf16 A tiles, each panel pair unpacked once per K block to bf16 B
// tiles, 2 x 2 tiles of f32 results. Why bf16 also for 4- and 8-bit weights: with a scale per 32 columns an
// int8 tile holds only one block per multiply (half its depth) and every 16 x 16 result must leave the tile,
// be converted, scaled and added: about 40 vector cycles per block against 16 for the bf16 multiply that
// needs none of it.
#pragma once
#include "linear_gemm.h"
#include "linear_prepare.h"

namespace ingot::INGOT_NS {

// bf16 activations: row i is row i % 16 of tile group i / 16; a group is [depth][16][32] (depth tiles of 1
// KiB).
struct TileActs {
  const uint16_t* data;
  int64_t depth;  // tiles along K
};

#if !INGOT_TILES

constexpr int64_t kTilePairs = 1;
inline int64_t tile_bytes(int64_t, int64_t) { return 0; }
inline TileActs prepare_tiles(const float*, const int32_t*, int64_t, int64_t, const Norm&, const Need&, Ctx&,
                              Arena&) {
  return {};
}
inline void gemm_tiles(const PanelPair*, int64_t, const TileActs&, int64_t, int64_t, uint8_t*, float*) {}

#else

constexpr int64_t kTilePairs = 4;  // panel pairs that share a pass over the activations
// K block. Tiles come from L2 nearly as fast as they multiply (58 cycles a step against 46), but every block
// loads and stores its sums again, which costs more than a step's loads: long blocks win as long as B (512
// KiB) stays in L2.
constexpr int64_t kTileColumns = 2048;

inline int64_t tile_bytes(int64_t rows, int64_t K) { return round_up(rows, 16) * round_up(K, 32) * 2; }

// Rows of x (order[i], -1 for a row of zeros, or i when order is null; `rows` of them) as A tiles in team
// memory, shared out over the workers by tile group.
inline TileActs prepare_tiles(const float* x, const int32_t* order, int64_t rows, int64_t K, const Norm& norm,
                              const Need& need, Ctx& c, Arena& arena) {
  TileActs tiles{nullptr, div_up(K, 32)};
  if (!need.tiles) return tiles;
  uint16_t* data = arena.take<uint16_t>(tile_bytes(rows, K));
  tiles.data = data;
  float* row = reinterpret_cast<float*>(c.scratch);  // padded with zeros to whole tiles
  int64_t begin, end;
  c.range(div_up(rows, 16), begin, end);
  for (int64_t i = begin * 16; i < end * 16; i++) {
    uint16_t* out = data + i / 16 * tiles.depth * kTileElements + i % 16 * 32;
    const int64_t source = i >= rows ? -1 : order ? order[i] : i;
    const float* from = x + source * K;
    if (source < 0 || K % 32 || norm.weight) {
      memset(row + K / 32 * 32, 0, 128);
      if (source < 0) memset(row, 0, size_t(K) * 4);
      else if (norm.weight) normalize_row(from, norm.weight, norm.eps, norm.offset, row, K);
      else memcpy(row, from, size_t(K) * 4);
      from = row;
    }
    for (int64_t t = 0; t < tiles.depth; t++)
      store_bf16(out + t * kTileElements, load(from + t * 32), load(from + t * 32 + 16));
  }
  return tiles;
}

// Memory that a later tile block will need: 1 KiB is asked for per step, the hardware does not see tile
// streams coming.
struct Ahead {
  const uint8_t* activations;
  const uint8_t* codes[2];  // 256 bytes of each, spread over the block
};

INGOT_INLINE void fetch_lines(const uint8_t* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(p) + i, _MM_HINT_T1);
}

// 32 rows (16 when there is no second group) x 32 lanes over `depth` tiles. B: pairs of tiles, 2 KiB per
// step.
__attribute__((noinline)) inline void tile_block(const uint16_t* a0, const uint16_t* a1, const uint16_t* b,
                                                 int64_t depth, float* C, bool first, const Ahead& ahead) {
  fetch_lines(ahead.codes[0], 256);
  fetch_lines(ahead.codes[1], 256);
  const uint8_t* next = ahead.activations;
  constexpr int64_t stride = 32 * 4;
  float *c0 = C, *c1 = C + 16 * 32;
  if (first) {
    INGOT_TILE_ZERO(0);
    INGOT_TILE_ZERO(1);
    INGOT_TILE_ZERO(2);
    INGOT_TILE_ZERO(3);
  } else {
    INGOT_TILE_LOAD(0, c0, stride);
    INGOT_TILE_LOAD(1, c0 + 16, stride);
    if (a1) {
      INGOT_TILE_LOAD(2, c1, stride);
      INGOT_TILE_LOAD(3, c1 + 16, stride);
    }
  }
  if (a1) {
#pragma GCC unroll 1
    for (int64_t t = 0; t < depth;
         t++, a0 += kTileElements, a1 += kTileElements, b += 2 * kTileElements, next += 1024) {
      fetch_lines(next, 1024);
      INGOT_TILE_LOAD(4, a0, 64);
      INGOT_TILE_LOAD(6, b, 64);
      INGOT_TILE_LOAD(7, b + kTileElements, 64);
      INGOT_TILE_DOT(0, 4, 6);
      INGOT_TILE_LOAD(5, a1, 64);
      INGOT_TILE_DOT(1, 4, 7);
      INGOT_TILE_DOT(2, 5, 6);
      INGOT_TILE_DOT(3, 5, 7);
    }
    INGOT_TILE_STORE(2, c1, stride);
    INGOT_TILE_STORE(3, c1 + 16, stride);
  } else {
#pragma GCC unroll 1
    for (int64_t t = 0; t < depth; t++, a0 += kTileElements, b += 2 * kTileElements) {
      INGOT_TILE_LOAD(4, a0, 64);
      INGOT_TILE_LOAD(6, b, 64);
      INGOT_TILE_LOAD(7, b + kTileElements, 64);
      INGOT_TILE_DOT(0, 4, 6);
      INGOT_TILE_DOT(1, 4, 7);
    }
  }
  INGOT_TILE_STORE(0, c0, stride);
  INGOT_TILE_STORE(1, c0 + 16, stride);
}

// Where the codes of column k are in a panel.
INGOT_INLINE int64_t code_offset(const Weights& w, int64_t k) { return w.codes_bytes * k / w.K; }

// C [pairs][round_up(count, 16)][32] = rows r0 … of the tiles times `pairs` panel pairs. r0 is a multiple
// of 16. Several pairs share one pass over the activations, which may have to come from the shared cache.
inline void gemm_tiles(const PanelPair* pairs, int64_t n_pairs, const TileActs& tiles, int64_t r0,
                       int64_t count, uint8_t* scratch, float* C) {
  uint16_t* B = reinterpret_cast<uint16_t*>(scratch);
  constexpr int64_t pair_elements = kTileColumns / 32 * 2 * kTileElements;
  const int64_t K = pairs[0].w->K, groups = div_up(count, 16), group_elements = tiles.depth * kTileElements;
  const auto unpack = [&](const Weights& w, const uint8_t* panel, int64_t k0, int64_t n, uint16_t* out) {
    with_layout(w.layout, [&]<int L>() { unpack_tiles<L>(w, panel, k0, n, out, 2 * kTileElements); });
  };
  for (int64_t k0 = 0; k0 < K; k0 += kTileColumns) {
    const int64_t n = min64(kTileColumns, K - k0), depth = div_up(n, 32);
    for (int64_t q = 0; q < n_pairs; q++) {
      unpack(*pairs[q].w, pairs[q].first, k0, n, B + q * pair_elements);
      unpack(*pairs[q].w2, pairs[q].second, k0, n, B + q * pair_elements + kTileElements);
    }
    asm volatile("" : : : "memory");  // tile loads do not say that they read memory
    const uint16_t* a = tiles.data + r0 / 16 * group_elements + k0 / 32 * kTileElements;
    for (int64_t g = 0; g < groups; g += 2, a += 2 * group_elements)
      for (int64_t q = 0; q < n_pairs; q++) {
        // One of the next two groups' blocks of A, and a piece of the next block of codes, per tile block.
        const uint8_t* rows = reinterpret_cast<const uint8_t*>(a + (2 + q % 2) * group_elements);
        const int64_t code = code_offset(*pairs[q].w, k0 + n) + g * 128;
        const Ahead ahead{rows, {pairs[q].first + code, pairs[q].second + code}};
        tile_block(a, g + 1 < groups ? a + group_elements : nullptr, B + q * pair_elements, depth,
                   C + (q * groups + g) * 16 * 32, k0 == 0, ahead);
      }
    asm volatile("" : : : "memory");
  }
}

#endif

}  // namespace ingot::INGOT_NS
