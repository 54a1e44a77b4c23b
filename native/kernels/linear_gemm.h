// Many rows: a pair of panels is unpacked once per K block into worker scratch and used for all rows by a
// register-blocked kernel. Sums go to C [rows][32]: lanes 0-15 of the first panel, 16-31 of the second.
#pragma once
#include "linear_gemm_i8mm.h"
#include "linear_gemv.h"

namespace ingot::INGOT_NS {

constexpr int64_t kIntColumns = 1024;   // K block of the int8 kernel: two panels of codes are 32 KiB
constexpr int64_t kFloatColumns = 128;  // K block of the f32 kernel
constexpr int kVectors = 2 * kParts;    // vectors across a pair

// An unpacked block of one panel: codes [8][64], then scales [1 or 2][16], then minimums likewise.
template <int L>
constexpr int kUnpackedBlock = 512 + 64 * scales_per_block(L) * (has_minimum(L) ? 2 : 1);

// The first layout whose unpacked blocks are multiplied alike.
constexpr int unpacked_form(int layout) {
  for (int c = 0; c < layout; c++)
    if (has_integers(c) && (dot_bits(c) <= 4) == (dot_bits(layout) <= 4) &&
        (dot_bits(c) == 8) == (dot_bits(layout) == 8) && zero_of(c) == zero_of(layout) &&
        has_minimum(c) == has_minimum(layout) && scales_per_block(c) == scales_per_block(layout))
      return c;
  return layout;
}

template <int L>
void unpack_block_range(const Weights& w, const uint8_t* panel, int64_t b0, int64_t n, uint8_t* out) {
  constexpr int halves = scales_per_block(L);
  for (int64_t b = b0; b < b0 + n; b++, out += kUnpackedBlock<L>)
    for (int part = 0; part < kParts; part++) {
      vb c[8];
      block_codes<L, true>(w, panel, b, part, c);
      if constexpr (kHasMatrixInt8) store_matrix_codes(out, c, part);
      else
        for (int i = 0; i < 8; i++) store_codes(out + 64 * i + 4 * kW * part, c[i]);
      float* f = reinterpret_cast<float*>(out + 512) + part * kW;
      vf s, m;
      for (int h = 0; h < halves; h++) {
        dot_meta<L>(w, panel + w.codes_bytes, b, h, part, s, m);
        store(f + 16 * h, s);
        if constexpr (has_minimum(L)) store(f + 16 * (halves + h), m);
      }
    }
}

// R rows x kTileParts vectors over `blocks` blocks. b[v]: vector v's bytes in its panel's unpacked blocks.
template <int L, int R>
__attribute__((noinline)) void int8_tile(const uint8_t* const* panels, const ActBlock* const* rows,
                                         int64_t blocks, float* const* C, bool first) {
  constexpr int V = kTileParts, bits = dot_bits(L), halves = scales_per_block(L), zero = dot_zero_shift(L);
  const uint8_t* b[V];
  const ActBlock* a[R];
  vf acc[R][V];
  for (int v = 0; v < V; v++) b[v] = panels[v];
  for (int r = 0; r < R; r++) {
    a[r] = rows[r];
    for (int v = 0; v < V; v++) acc[r][v] = first ? vf{} : load(C[r] + v * kW);
  }
  for (int64_t k = 0; k < blocks; k++) {
#pragma GCC unroll 2
    for (int h = 0; h < halves; h++) {
      vi d[R][V], start[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        start[r] = vi{};
        if constexpr (zero != 0) {
          start[r] = set1i(halves == 1 ? a[r]->nsum8 : a[r]->nsum8_first);
          if constexpr (halves == 2) start[r] = h == 0 ? start[r] : set1i(a[r]->nsum8) - start[r];
          start[r] = dot_start<zero>(start[r]);
        }
        for (int v = 0; v < V; v++) d[r][v] = dot_begin<bits>(start[r]);
      }
#pragma GCC unroll 8
      for (int i = h * 8 / halves; i < (h + 1) * 8 / halves; i++) {
        vb w[V];
        for (int v = 0; v < V; v++) w[v] = load_codes(b[v] + 64 * i);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
          for (int v = 0; v < V; v++)
            d[r][v] = dot_step<bits>(d[r][v], w[v], a[r]->q + 4 * i);
      }
      vf s[V];
      for (int v = 0; v < V; v++) s[v] = load(reinterpret_cast<const float*>(b[v] + 512 + 64 * h));
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const vf scale = set1(a[r]->scale);
        for (int v = 0; v < V; v++)
          acc[r][v] = fma(to_float(dot_end<bits>(d[r][v], start[r])), s[v] * scale, acc[r][v]);
      }
    }
    if constexpr (has_minimum(L)) {
#pragma GCC unroll 2
      for (int h = 0; h < halves; h++) {
        vf m[V];
        for (int v = 0; v < V; v++)
          m[v] = load(reinterpret_cast<const float*>(b[v] + 512 + 64 * (halves + h)));
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
          const vf sum = set1(halves == 1 ? a[r]->fsum : half_sum(*a[r], h));
          for (int v = 0; v < V; v++) acc[r][v] = fma(m[v], sum, acc[r][v]);
        }
      }
    }
    for (int v = 0; v < V; v++) b[v] += kUnpackedBlock<L>;
    for (int r = 0; r < R; r++) a[r]++;
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(C[r] + v * kW, acc[r][v]);
}

// R rows x 2 vectors of f32 over n columns; panels [n][16].
template <int R>
__attribute__((noinline)) void f32_tile(const float* b0, const float* b1, const float* const* rows, int64_t n,
                                        float* C, bool first) {
  const float* a[R];
  vf acc[R][2];
  for (int r = 0; r < R; r++) {
    a[r] = rows[r];
    for (int v = 0; v < 2; v++) acc[r][v] = first ? vf{} : load(C + r * 32 + v * kW);
  }
  for (int64_t k = 0; k < n; k++) {
    const vf w0 = load(b0 + k * 16), w1 = load(b1 + k * 16);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const vf x = set1(a[r][k]);
      acc[r][0] = fma(w0, x, acc[r][0]);
      acc[r][1] = fma(w1, x, acc[r][1]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < 2; v++) store(C + r * 32 + v * kW, acc[r][v]);
}

// Calls f.operator()<R>() for the runtime n in [1, Max].
template <int Max, class F>
INGOT_INLINE void with_rows(int n, const F& f) {
  if constexpr (Max > 1) {
    if (n < Max) return with_rows<Max - 1>(n, f);
  }
  f.template operator()<Max>();
}

// A pair of panels: neighbours of one matrix, or gate and up; `second` may equal `first` (its lanes repeat).
// The int8 and f32 kernels want both in one layout.
struct PanelPair {
  const Weights *w, *w2;
  const uint8_t *first, *second;
};

template <int L>
void gemm_int8(const PanelPair& pair, const Acts& acts, const int32_t* index, int64_t count, uint8_t* scratch,
               float* C) {
  constexpr int kRows = tile_rows(dot_bits(L)), form = unpacked_form(L);
  static_assert(kUnpackedBlock<L> == kUnpackedBlock<form>);
  const Weights& w = *pair.w;
  uint8_t* unpacked[2] = {scratch, scratch};
  if (pair.second != pair.first) unpacked[1] += kIntColumns / kBlock * kUnpackedBlock<L>;
  for (int64_t k0 = 0; k0 < w.K; k0 += kIntColumns) {
    const int64_t blocks = min64(kIntColumns, w.K - k0) / kBlock;
    unpack_block_range<L>(w, pair.first, k0 / kBlock, blocks, unpacked[0]);
    if (pair.second != pair.first) unpack_block_range<L>(w, pair.second, k0 / kBlock, blocks, unpacked[1]);
    for (int64_t r0 = 0; r0 < count; r0 += kRows) {
      const int n = int(min64(kRows, count - r0));
      const ActBlock* rows[kRows];
      float* sums[kRows];
      for (int r = 0; r < n; r++)
        rows[r] = acts.q + (index ? index[r0 + r] : r0 + r) * acts.q_stride + k0 / kBlock;
      if constexpr (kHasMatrixInt8) {
        for (int panel = 0; panel < 2; panel++) {
          for (int r = 0; r < n; r++) sums[r] = C + (r0 + r) * 32 + panel * 16;
          matrix_rows<form, kUnpackedBlock<form>>(unpacked[panel], rows, n, blocks, sums, k0 == 0);
        }
        continue;
      }
      for (int v0 = 0; v0 < kVectors; v0 += kTileParts) {
        const uint8_t* panels[kTileParts];
        for (int v = 0; v < kTileParts; v++)
          panels[v] = unpacked[(v0 + v) / kParts] + (v0 + v) % kParts * (4 * kW);
        for (int r = 0; r < n; r++) sums[r] = C + (r0 + r) * 32 + v0 * kW;
        with_rows<kRows>(n, [&]<int R>() { int8_tile<form, R>(panels, rows, blocks, sums, k0 == 0); });
      }
    }
  }
}

template <int L>
void gemm_f32(const PanelPair& pair, const Acts& acts, const int32_t* index, int64_t count, uint8_t* scratch,
              float* C) {
  const Weights& w = *pair.w;
  float* unpacked[2] = {reinterpret_cast<float*>(scratch), reinterpret_cast<float*>(scratch)};
  if (pair.second != pair.first) unpacked[1] += kFloatColumns * 16;
  for (int64_t k0 = 0; k0 < w.K; k0 += kFloatColumns) {
    const int64_t n = min64(kFloatColumns, w.K - k0);
    unpack_floats<L>(w, pair.first, k0, n, unpacked[0]);
    if (pair.second != pair.first) unpack_floats<L>(w, pair.second, k0, n, unpacked[1]);
    for (int64_t r0 = 0; r0 < count; r0 += kFloatRows) {
      const int m = int(min64(kFloatRows, count - r0));
      const float* rows[kFloatRows];
      for (int r = 0; r < m; r++) rows[r] = acts.x + (index ? index[r0 + r] : r0 + r) * acts.x_stride + k0;
      for (int v = 0; v < kVectors; v += 2) {
        const float* b[2];
        for (int i = 0; i < 2; i++) b[i] = unpacked[(v + i) / kParts] + (v + i) % kParts * kW;
        with_rows<kFloatRows>(
            m, [&]<int R>() { f32_tile<R>(b[0], b[1], rows, n, C + r0 * 32 + v * kW, k0 == 0); });
      }
    }
  }
}

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)

// Activations rounded to bf16 times scaled weights rounded to bf16.
template <int L>
void gemm_pairs(const PanelPair& pair, const Acts& acts, const int32_t* index, int64_t count,
                uint8_t* scratch, float* C) {
  const Weights& w = *pair.w;
  uint16_t* unpacked[2] = {reinterpret_cast<uint16_t*>(scratch), reinterpret_cast<uint16_t*>(scratch)};
  if (pair.second != pair.first) unpacked[1] += kPairColumns * 16;
  for (int64_t k0 = 0; k0 < w.K; k0 += kPairColumns) {
    const int64_t n = min64(kPairColumns, w.K - k0);
    unpack_tiles<L>(w, pair.first, k0, n, unpacked[0], kTileElements);
    if (pair.second != pair.first) unpack_tiles<L>(w, pair.second, k0, n, unpacked[1], kTileElements);
    for (int64_t r0 = 0; r0 < count; r0 += kPairRows) {
      const int m = int(min64(kPairRows, count - r0));
      const uint16_t* rows[kPairRows];
      for (int r = 0; r < m; r++)
        rows[r] = acts.pairs + (index ? index[r0 + r] : r0 + r) * acts.pairs_stride + k0;
      with_rows<kPairRows>(m, [&]<int R>() {
        pairs_tile<R>(unpacked[0], unpacked[1], rows, div_up(n, 2), C + r0 * 32, k0 == 0);
      });
    }
  }
}

#endif

}  // namespace ingot::INGOT_NS
