// Products in pairs of bf16 on cores without tiles: FP8 codes, which no integers hold, and matrices of bf16.
// Exact in the codes; bf16_pairs.h says what is rounded.
#pragma once
#include "bf16_pairs.h"

namespace ingot::INGOT_NS {

// Rows of bf16 that f32 activations become: `low` elements behind the numbers rounded lies what that lost.
inline int64_t pairs_width(int64_t K) { return round_up(K, 32); }
inline int64_t pairs_stride(int64_t K) { return 2 * pairs_width(K) + 32; }
inline int64_t pairs_bytes(int64_t rows, int64_t K) { return rows * pairs_stride(K) * 2; }

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)

// A row of K numbers and what rounding lost of it; zeros up to whole blocks.
inline void split_row(const float* x, int64_t K, uint16_t* out) {
  uint16_t* low = out + pairs_width(K);
  for (int64_t k = 0; k < K; k += 32) {
    const int n = int(min64(32, K - k));
    const vf a = load_lanes(x + k, n), b = n > 16 ? load_lanes(x + k + 16, n - 16) : vf{};
    store_bf16(out + k, a, b);
    store_bf16(low + k, a - load_bf16(out + k), b - load_bf16(out + k + 16));
  }
}

INGOT_INLINE vf dot_pairs(vf sum, __m512i a, __m512i b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

// bf16 of the magnitudes of e4m3, subnormals and NaN included, by their bytes.
struct E4m3Bytes {
  alignas(64) uint8_t high[128], low[128];
};
constexpr E4m3Bytes make_e4m3_bytes() {
  E4m3Bytes t{};
  for (int c = 0; c < 128; c++) {
    int exponent = c >> 3, fraction = c & 7;
    if (exponent == 0 && fraction != 0) {
      for (exponent = 1; fraction < 8; exponent--) fraction *= 2;
      fraction &= 7;
    }
    const int bits = c == 127 ? 0x7FC0 : c == 0 ? 0 : (exponent + 120) << 7 | fraction << 4;
    t.high[c] = uint8_t(bits >> 8), t.low[c] = uint8_t(bits);
  }
  return t;
}
inline constexpr E4m3Bytes kE4m3Bytes = make_e4m3_bytes();

// Codes of one panel times R rows -> out [R][16]. A load has four columns of 16 lanes; interleaving the bytes
// of their bf16 leaves two pairs of columns side by side for each lane: sums are of lanes 0, 1, 4, 5, … and
// 2, 3, 6, 7, …, twice each.
template <int L, int R>
__attribute__((noinline)) void panel_dot_pairs(const Weights& w, const uint8_t* panel,
                                               const uint16_t* const* rows, float* out) {
  const int64_t low = pairs_width(w.K);
  const __m512i h0 = _mm512_load_si512(kE4m3Bytes.high), h1 = _mm512_load_si512(kE4m3Bytes.high + 64),
                l0 = _mm512_load_si512(kE4m3Bytes.low), l1 = _mm512_load_si512(kE4m3Bytes.low + 64),
                sign = _mm512_set1_epi8(char(0x80));
  const uint16_t* a[R];
  vf acc[R][2] = {};
  for (int r = 0; r < R; r++) a[r] = rows[r];
  for (int64_t b = 0; b < w.K / kBlock; b++) {
    const uint8_t* codes = panel + b * 512;
    prefetch_block(codes, 512);
    vf d[R][2] = {}, e[R][2] = {};  // of the numbers, and of what their rounding lost
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
      const __m512i x = load_codes(codes + 64 * i);
      const __m512i high = _mm512_ternarylogic_epi32(_mm512_permutex2var_epi8(h0, x, h1), x, sign, 0xF8),
                    below = _mm512_permutex2var_epi8(l0, x, l1);
      const __m512i first = _mm512_unpacklo_epi8(below, high), second = _mm512_unpackhi_epi8(below, high);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        int64_t word, rest;
        memcpy(&word, a[r] + 4 * i, 8);
        memcpy(&rest, a[r] + low + 4 * i, 8);
        const __m512i y = _mm512_set1_epi64(word), z = _mm512_set1_epi64(rest);
        d[r][0] = dot_pairs(d[r][0], first, y);
        d[r][1] = dot_pairs(d[r][1], second, y);
        vf(&sums)[2] = R > 2 ? d[r] : e[r];  // chains of their own while there are registers
        sums[0] = dot_pairs(sums[0], first, z);
        sums[1] = dot_pairs(sums[1], second, z);
      }
    }
    vf s, m;
    block_meta<L>(w, panel + w.codes_bytes, b, 0, 0, s, m);
    const vf scale[2] = {_mm512_unpacklo_ps(s, s), _mm512_unpackhi_ps(s, s)};
    for (int r = 0; r < R; r++) {
      for (int i = 0; i < 2; i++) acc[r][i] = fma(R > 2 ? d[r][i] : d[r][i] + e[r][i], scale[i], acc[r][i]);
      a[r] += kBlock;
    }
  }
  for (int r = 0; r < R; r++)
    store(out + r * 16,
          _mm512_shuffle_ps(acc[r][0], acc[r][1], 0x88) + _mm512_shuffle_ps(acc[r][0], acc[r][1], 0xDD));
}

constexpr int kPairRows = 12;          // tile: 12 rows x 32 lanes
constexpr int64_t kPairColumns = 256;  // K block: two panels are 16 KiB

// R rows x 32 lanes over n pairs of columns; panels [n][16][2].
template <int R>
__attribute__((noinline)) void pairs_tile(const uint16_t* b0, const uint16_t* b1, const uint16_t* const* rows,
                                          int64_t n, float* C, bool first) {
  const uint16_t* a[R];
  vf acc[R][2];
  for (int r = 0; r < R; r++) {
    a[r] = rows[r];
    for (int v = 0; v < 2; v++) acc[r][v] = first ? vf{} : load(C + r * 32 + v * 16);
  }
  for (int64_t k = 0; k < n; k++) {
    const __m512i w0 = _mm512_loadu_si512(b0 + k * 32), w1 = _mm512_loadu_si512(b1 + k * 32);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      int word;
      memcpy(&word, a[r] + 2 * k, 4);
      const __m512i x = _mm512_set1_epi32(word);
      acc[r][0] = dot_pairs(acc[r][0], w0, x);
      acc[r][1] = dot_pairs(acc[r][1], w1, x);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) store(C + r * 32 + v * 16, acc[r][v]);
}

#else

inline void split_row(const float*, int64_t, uint16_t*) {}
template <int L, int R>
void panel_dot_pairs(const Weights&, const uint8_t*, const uint16_t* const*, float*) {}

#endif

}  // namespace ingot::INGOT_NS
