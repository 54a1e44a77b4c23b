// Few rows: a panel streams through the core once and is used for all rows while it is in registers. Bound by
// memory bandwidth, so the code is a chain of whole cache-line loads with few instructions between them.
#pragma once
#include "linear_bf16.h"
#include "linear_quant.h"

namespace ingot::INGOT_NS {

// Integer dot products of one panel with R rows -> out [R][16].
template <int L, int R>
__attribute__((noinline)) void panel_dot(const Weights& w, const uint8_t* panel, const ActBlock* const* rows,
                                         float* out) {
  constexpr int bits = code_bits(L), dots = dot_bits(L), halves = scales_per_block(L),
                zero = dot_zero_shift(L);
  const uint8_t* meta = panel + w.codes_bytes;
  const ActBlock* a[R];
  for (int r = 0; r < R; r++) a[r] = rows[r];
  const int blocks = int(w.K / kBlock), distance = kPrefetchBytes / (64 * bits);
  const uint8_t* ahead = panel + distance / blocks * w.panel_bytes + distance % blocks * (64 * bits);
  int left = blocks - distance % blocks;  // blocks of the panel that `ahead` is in
  vf acc[R][kParts] = {};
  for (int64_t b = 0; b < blocks; b++) {
    prefetch_lines(ahead, 64 * bits);
    ahead += 64 * bits;
    if (--left == 0) ahead += w.panel_bytes - w.codes_bytes, left = blocks;
    if ((b & 1) == 0) __builtin_prefetch(meta + w.panel_bytes + b * 32, 0, 2);
    for (int part = 0; part < kParts; part++) {
      vb c[8];
      block_codes<L, true>(w, panel, b, part, c);
      vf s[halves], m[halves];
      for (int h = 0; h < halves; h++) dot_meta<L>(w, meta, b, h, part, s[h], m[h]);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const ActBlock& x = a[r][b];
        const vf scale = set1(x.scale);
        if constexpr (halves == 1) {
          const vi start = dot_start<zero>(set1i(x.nsum8));
          vi d = dot_begin<dots>(start);
          for (int i = 0; i < 8; i++) d = dot_step_once<dots>(d, c[i], x.q + 4 * i);
          acc[r][part] = fma(to_float(dot_end<dots>(d, start)), s[0] * scale, acc[r][part]);
          if constexpr (has_minimum(L)) acc[r][part] = fma(m[0], set1(x.fsum), acc[r][part]);
        } else {
          const vi first = set1i(x.nsum8_first);
          const vi start0 = dot_start<zero>(first), start1 = dot_start<zero>(set1i(x.nsum8) - first);
          vi d0 = dot_begin<dots>(start0), d1 = dot_begin<dots>(start1);
          for (int i = 0; i < 4; i++)
            d0 = dot_step_once<dots>(d0, c[i], x.q + 4 * i),
            d1 = dot_step_once<dots>(d1, c[4 + i], x.q + 16 + 4 * i);
          acc[r][part] = fma(to_float(dot_end<dots>(d0, start0)), s[0] * scale, acc[r][part]);
          acc[r][part] = fma(to_float(dot_end<dots>(d1, start1)), s[1] * scale, acc[r][part]);
          if constexpr (has_minimum(L)) {
            acc[r][part] = fma(m[0], set1(half_sum(x, 0)), acc[r][part]);
            acc[r][part] = fma(m[1], set1(half_sum(x, 1)), acc[r][part]);
          }
        }
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int part = 0; part < kParts; part++) store(out + r * 16 + part * kW, acc[r][part]);
}

// Panels of 4-bit codes that one row takes at once where every row is summed in one order: two vectors of
// sums wait for themselves.
template <int L>
constexpr int kExactPanels = !is_float_layout(L) && plain_nibbles(L) && kParts < 4 ? 4 / kParts : 1;

// f32 activations times dequantised weights, R rows -> out [R][16]; or one row and P panels -> out [P][16].
// `Steady` sums every row in the order of the columns, as the kernel for many rows does, so that a row is the
// same in any company; else few rows sum in several chains.
template <int L, int R, bool Steady, int P = 1>
__attribute__((noinline)) void panel_dot_f32(const Weights& w, const uint8_t* panel, const float* const* rows,
                                             float* out) {
  static_assert(P == 1 || R == 1);
  constexpr int chains = Steady || R > 2 ? 1
                         : R == 1        ? 4
                                         : 2;  // independent sums, to hide the latency of fma
  // Parts of the panels side by side, for the same reason, and so that columns of floats are read once.
  constexpr int together = R <= (is_float_layout(L) ? 4 : Steady ? 2 : 0) ? P * kParts : 1;
  const float* x[R];
  for (int r = 0; r < R; r++) x[r] = rows[r];
  for (int part0 = 0; part0 < P * kParts; part0 += together) {
    vf acc[R][together][chains] = {};
    const auto use = [&](int64_t k, int chain, int p, vf v) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) acc[r][p][chain] = fma(v, set1(x[r][k]), acc[r][p][chain]);
    };
    if constexpr (L == kF32 || L == kF16) {
      constexpr int bytes = L == kF32 ? 4 : 2;
      const auto use_column = [&](int64_t k, int chain) __attribute__((always_inline)) {
        for (int p = 0; p < together; p++) {
          const uint8_t* at = panel + (k * 16 + (part0 + p) * kW) * bytes;
          if constexpr (L == kF32) use(k, chain, p, load(reinterpret_cast<const float*>(at)));
          else use(k, chain, p, load_f16(reinterpret_cast<const uint16_t*>(at)));
        }
      };
      int64_t k = 0;
      for (; k + 4 <= w.K; k += 4) {
        prefetch_block(panel + k * 16 * bytes, 64 * bytes);
        for (int i = 0; i < 4; i++) use_column(k + i, i % chains);
      }
      for (; k < w.K; k++) use_column(k, 0);
    } else if constexpr (L == kBF16) {
      vf even, odd;
      int64_t k = 0;
      for (; k + 4 <= w.K; k += 4) {
        prefetch_block(panel + k * 32, 128);
        for (int i = 0; i < 4; i += 2)
          for (int p = 0; p < together; p++) {
            bf16_pair(panel, k + i, part0 + p, even, odd);
            use(k + i, i % chains, p, even);
            use(k + i + 1, (i + 1) % chains, p, odd);
          }
      }
      for (; k < w.K; k += 2)
        for (int p = 0; p < together; p++) {
          bf16_pair(panel, k, part0 + p, even, odd);
          use(k, 0, p, even);
          if (k + 1 < w.K) use(k + 1, 0, p, odd);
        }
    } else {
      for (int64_t b = 0; b < w.K / kBlock; b++) {
        for (int p = 0; p < P; p++)
          prefetch_block(panel + p * w.panel_bytes + b * (64 * code_bits(L)), 64 * code_bits(L));
        block_floats<L, together>(w, panel, b, part0, [&](int k, int p, vf v) __attribute__((always_inline)) {
          use(b * kBlock + k, k % chains, p, v);
        });
      }
    }
    for (int r = 0; r < R; r++)
      for (int p = 0; p < together; p++) {
        vf sum = acc[r][p][0];
        for (int i = 1; i < chains; i++) sum += acc[r][p][i];
        store(out + r * 16 + (part0 + p) * kW, sum);
      }
  }
}

// Activation rows as a kernel has prepared them; any form may be absent.
struct Acts {
  const ActBlock* q;
  int64_t q_stride;  // blocks
  const float* x;
  int64_t x_stride;                 // elements
  const uint16_t* pairs = nullptr;  // bf16_pairs.h
  int64_t pairs_stride = 0;         // elements
};

INGOT_INLINE bool uses_int8(const Weights& w, bool exact) { return !exact && has_integers(w.layout); }

// How many of `left` panels few_rows takes at once.
inline int panels_at_once(const Weights& w, int64_t rows, bool exact, int64_t left) {
  int n = 1;
  if (exact && rows == 1)
    with_layout(w.layout, [&]<int L>() { n = left >= kExactPanels<L> ? kExactPanels<L> : 1; });
  return n;
}

// Panel p times `count` rows of acts (rows index[i], or i when index is null) -> out [count][16]; or one row
// and as many `panels` as panels_at_once says -> out [panels][16].
inline void few_rows(const Weights& w, int64_t p, const Acts& acts, const int32_t* index, int count,
                     bool exact, float* out, int panels = 1) {
  const uint8_t* panel = w.panel(p);
  const auto rows_of = [&](int begin, int n, auto** rows, auto* base, int64_t stride) {
    for (int i = 0; i < n; i++) rows[i] = base + (index ? index[begin + i] : begin + i) * stride;
  };
  with_layout(w.layout, [&]<int L>() {
    for (int i = 0; i < count;) {
      const int left = count - i, n = left >= 8 && kFewRows >= 8   ? 8
                                      : left >= 4 && kFewRows >= 4 ? 4
                                      : left >= 2                  ? 2
                                                                   : 1;
      float* o = out + i * 16;
      if constexpr (has_integers(L)) {
        if (!exact) {
          const ActBlock* rows[8];
          rows_of(i, n, rows, acts.q, acts.q_stride);
          if (n == 1) panel_dot<L, 1>(w, panel, rows, o);
          else if (n == 2) panel_dot<L, 2>(w, panel, rows, o);
          else if (n == 4) { if constexpr (kFewRows >= 4) panel_dot<L, 4>(w, panel, rows, o); }
          else if constexpr (kFewRows >= 8) panel_dot<L, 8>(w, panel, rows, o);
          i += n;
          continue;
        }
      }
      if constexpr (pairs_few(L)) {
        if (!exact) {
          const uint16_t* rows[8];
          rows_of(i, n, rows, acts.pairs, acts.pairs_stride);
          if (n == 1)
            panel_dot_pairs<L, 1>(w, panel, rows, o);
          else if (n == 2)
            panel_dot_pairs<L, 2>(w, panel, rows, o);
          else
            panel_dot_pairs<L, 4>(w, panel, rows, o);
          i += n < 4 ? n : 4;
          continue;
        }
      }
      const float* rows[8];
      rows_of(i, n, rows, acts.x, acts.x_stride);
      const auto dot = [&]<int R>() {
        if constexpr (has_integers(L) || pairs_few(L))
          panel_dot_f32<L, R, true>(w, panel, rows, o);  // not exact went elsewhere
        else if (exact)
          panel_dot_f32<L, R, true>(w, panel, rows, o);
        else
          panel_dot_f32<L, R, false>(w, panel, rows, o);
      };
      if (panels > 1) panel_dot_f32<L, 1, true, kExactPanels<L>>(w, panel, rows, o);
      else if (n == 1) dot.template operator()<1>();
      else if (n == 2) dot.template operator()<2>();
      else if (n == 4) { if constexpr (kFewRows >= 4) dot.template operator()<4>(); }
      else if constexpr (kFewRows >= 8) dot.template operator()<8>();
      i += n;
    }
  });
}

}  // namespace ingot::INGOT_NS
