// Numbers of bf16 for the instructions that multiply pairs of them: activations, and panels unpacked to pairs
// of columns.
#pragma once
#include "amx.h"
#include "weights_unpack.h"

namespace ingot::INGOT_NS {

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)
constexpr bool kBf16Dots = true;  // dot products of pairs, and bytes by tables of 128
#else
constexpr bool kBf16Dots = false;
#endif

// Layouts that `fast` multiplies as bf16 without tiles. Few rows: codes become bf16 exactly, activations are
// two bf16, as exact as 17 bits.
constexpr bool pairs_few(int layout) { return kBf16Dots && traits(layout).e4m3; }
// Many rows: one rounding of the activations, and one of scaled weights, as with tiles.
constexpr bool pairs_many(int layout) { return pairs_few(layout) || (kBf16Dots && layout == kBF16); }

#if INGOT_TILES || defined(__AVX512BF16__)

constexpr int64_t kTileElements = 512;  // 32 columns of 16 rows

#if defined(__AVX512BF16__)

INGOT_INLINE void store_bf16(uint16_t* out, vf low, vf high) {
  _mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

// Two columns of 16 rows -> one row of a B tile: pairs side by side in every lane.
INGOT_INLINE void store_pair(uint16_t* out, vf even, vf odd) {
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                              23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(interleave, (__m512i)_mm512_cvtne2ps_pbh(odd, even)));
}

#else  // emulated on a CPU that has none of it

INGOT_INLINE uint16_t bf16_of(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  if (x != x) return uint16_t(u >> 16 | 64);
  return uint16_t((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
INGOT_INLINE void store_bf16(uint16_t* out, vf low, vf high) {
  for (int i = 0; i < 16; i++) out[i] = bf16_of(low[i]), out[16 + i] = bf16_of(high[i]);
}
INGOT_INLINE void store_pair(uint16_t* out, vf even, vf odd) {
  for (int i = 0; i < 16; i++) out[2 * i] = bf16_of(even[i]), out[2 * i + 1] = bf16_of(odd[i]);
}

#endif

// Columns [k0, k0 + n) of a panel as B tiles, `step` elements apart; a last partial tile is filled with
// zeros.
template <int L>
void unpack_tiles(const Weights& w, const uint8_t* panel, int64_t k0, int64_t n, uint16_t* out,
                  int64_t step) {
  if constexpr (is_float_layout(L)) {
    alignas(64) float columns[32 * 16];
    for (int64_t k = 0; k < n; k += 32, out += step) {
      const int64_t m = min64(32, n - k);
      if (L == kBF16) {  // already in pairs
        memcpy(out, panel + (k0 + k) * 32, size_t(round_up(m, 2)) * 32);
        memset(out + round_up(m, 2) * 16, 0, size_t(32 - round_up(m, 2)) * 32);
        continue;
      }
      unpack_floats<L>(w, panel, k0 + k, m, columns);
      memset(columns + m * 16, 0, size_t(32 - m) * 64);
      for (int i = 0; i < 32; i += 2)
        store_pair(out + i * 16, load(columns + i * 16), load(columns + i * 16 + 16));
    }
  } else {
    for (int64_t b = k0 / kBlock; b < (k0 + n) / kBlock; b++, out += step) {
      vf even{};
      block_floats<L, 1>(w, panel, b, 0, [&](int k, int, vf x) __attribute__((always_inline)) {
        if (k & 1)
          store_pair(out + (k - 1) * 16, even, x);
        else
          even = x;
      });
    }
  }
}

#endif

}  // namespace ingot::INGOT_NS
