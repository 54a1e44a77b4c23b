// Reading packed panels: the codes of a 32-column block, its scales and minima, and whole panels as f32.
#pragma once
#include <utility>

#include "weights_simd.h"

namespace ingot::INGOT_NS {

// As zero_shift, for the codes that `dot` sees: signed 8-bit codes are centred already.
constexpr int dot_zero_shift(int layout) {
  return kSignedCodes && dot_bits(layout) == 8 ? 0 : zero_shift(layout);
}

// Where a dot product over codes with that zero starts, from -8 times the sum of the activations.
template <int Zero>
INGOT_INLINE vi dot_start(vi nsum8) {
  if constexpr (Zero == 0) return vi{};
  else if constexpr (Zero >= 3) return nsum8 << (Zero - 3);
  else return nsum8 >> (3 - Zero);
}

// Codes of block b for the lanes of vector `part`; c[i] holds columns 4i … 4i+3. Biased: as `dot` wants them.
// The block's planes follow each other: of 4 or 2 bits, then what is left of the bits.
template <int L, bool Biased>
INGOT_INLINE void block_codes(const Weights& w, const uint8_t* panel, int64_t b, int part, vb (&c)[8]) {
  constexpr int bits = code_bits(L);
  const uint8_t* p = panel + b * (64 * bits) + part * (4 * kW);
  if constexpr (bits == 8) {
    for (int i = 0; i < 8; i++) c[i] = Biased ? bias_codes(load_codes(p + 64 * i)) : load_codes(p + 64 * i);
    return;
  }
  constexpr int base = bits >= 4 ? 4 : 2;
  if constexpr (base == 4) {
    for (int i = 0; i < 4; i++) {
      const vb x = load_codes(p + 64 * i);
      c[2 * i] = low_nibbles(x);
      c[2 * i + 1] = high_nibbles(x);
    }
  }
  if constexpr (base == 2 || bits == 6) {
    constexpr int to = base == 2 ? 0 : 4, at = base == 2 ? 0 : 256;
    for (int h = 0; h < 2; h++) {
      const vb x = load_codes(p + at + 64 * h);
      for (int f = 0; f < 4; f++)
        c[4 * h + f] = join_bits<to>(base == 2 ? vb{} : c[4 * h + f], x, 2 * f, 3 << to);
    }
  }
  if constexpr (bits == 3 || bits == 5) {
    const vb x = load_codes(p + 64 * base);
    for (int i = 0; i < 8; i++) c[i] = join_bits<base>(c[i], x, i, 1 << base);
  }
  if constexpr (traits(L).table) {
    const uint8_t* table =
        Biased && kSignedCodes ? kNumberTables.plain[w.layout] : kNumberTables.up[w.layout];
    for (int i = 0; i < 8; i++) c[i] = look_up_codes(c[i], table);
  }
}

// Scale s (of half `half` of the block for groups of 16) and minimum m as stored; m untouched for layouts
// without one.
template <int L>
INGOT_INLINE void block_meta(const Weights& w, const uint8_t* meta, int64_t b, int half, int part, vf& s,
                             vf& m) {
  constexpr LayoutTraits t = traits(L);
  constexpr int halves = scales_per_block(L), fields = t.minimum ? 2 : 1;
  const int lane = part * kW;
  if constexpr (t.steps) {
    constexpr int groups = 8 * halves, units = 32 * fields;
    const uint8_t* p = meta + (b >> 3) * (units + 16 * groups * fields);
    const int64_t at = units + ((b & 7) * halves + (halves == 2 ? half : 0)) * 16 + lane;
    s = load_f16(reinterpret_cast<const uint16_t*>(p) + lane) * load_i8(p + at);
    if constexpr (t.minimum)
      m = load_f16(reinterpret_cast<const uint16_t*>(p) + 16 + lane) * (-load_i8(p + at + 16 * groups));
  } else if constexpr (!t.minimum && !t.table && !t.e4m3) {
    s = load_f16(reinterpret_cast<const uint16_t*>(meta + b * 32) + lane);
  } else {
    const int64_t group = halves == 2 ? 2 * b + half : w.group == 32 ? b : w.group == 64 ? b >> 1 : b >> 2;
    const int64_t at = group * (16 * fields) + lane;
    s = load_scale(meta, at, w.meta_dtype);
    if constexpr (t.minimum) m = load_scale(meta, at + 16, w.meta_dtype);
  }
  if constexpr (t.table || t.e4m3) s *= traits(w.layout).unit;
}

// The same for integer dot products: value = s (code - zero) + m with the codes `dot` sees.
template <int L>
INGOT_INLINE void dot_meta(const Weights& w, const uint8_t* meta, int64_t b, int half, int part, vf& s,
                           vf& m) {
  block_meta<L>(w, meta, b, half, part, s, m);
  if constexpr (kSignedCodes && code_bits(L) == 8 && has_minimum(L)) m = fma(s, set1(128.0f), m);
}

// The same for f32 weights: value = s code + m with unsigned codes; exact, s (code - zero) rounds once either
// way.
template <int L>
INGOT_INLINE void float_meta(const Weights& w, const uint8_t* meta, int64_t b, int half, int part, vf& s,
                             vf& m) {
  block_meta<L>(w, meta, b, half, part, s, m);
  if constexpr (!has_minimum(L)) m = s * float(-zero_of(L));
}

// 4-bit codes that are integers as they are.
constexpr bool plain_nibbles(int layout) { return code_bits(layout) == 4 && !traits(layout).table; }

// Calls use(k, p, values) for the 32 columns of a block and `Parts` parts from `part` on, which may reach
// into the panels that follow; dequantised exactly. Of 4-bit codes 8 columns of each part in turn, so that
// sums of several can be under way.
template <int L, int Parts, class Use>
INGOT_INLINE void block_floats(const Weights& w, const uint8_t* panel, int64_t b, int part, const Use& use) {
  const auto at = [&](int p)
                      __attribute__((always_inline)) { return panel + (part + p) / kParts * w.panel_bytes; };
  if constexpr (plain_nibbles(L)) {
    vf s[Parts], m[Parts];
    for (int p = 0; p < Parts; p++) {
      if constexpr (kLooksUpNibbles)
        block_meta<L>(w, at(p) + w.codes_bytes, b, 0, (part + p) % kParts, s[p], m[p]);
      else float_meta<L>(w, at(p) + w.codes_bytes, b, 0, (part + p) % kParts, s[p], m[p]);
    }
    const vf table = nibble_table(has_minimum(L) ? 0.0f : float(zero_of(L)));
    for (int i = 0; i < 4; i++)
      for (int p = 0; p < Parts; p++) {
        const vi word = load_i(at(p) + b * 256 + i * 64 + (part + p) % kParts * (4 * kW));
        for (int j = 0; j < 8; j++) {  // the low nibbles of the four bytes, then the high ones
          const int shift = j % 4 * 8 + j / 4 * 4;
          if constexpr (!kLooksUpNibbles) use(8 * i + j, p, fma(code_to_float(word, shift, 15), s[p], m[p]));
          else if constexpr (has_minimum(L))
            use(8 * i + j, p, fma(look_up_nibble(word, shift, table), s[p], m[p]));
          else use(8 * i + j, p, look_up_nibble(word, shift, table) * s[p]);
        }
      }
    return;
  }
  for (int p = 0; p < Parts; p++) {
    vb c[8];
    block_codes<L, false>(w, at(p), b, (part + p) % kParts, c);
    if constexpr (traits(L).e4m3 && kE4m3AsHalves) {
      vf s, m;
      block_meta<L>(w, at(p) + w.codes_bytes, b, 0, (part + p) % kParts, s, m);
      // Scales that 2^8 would make infinite are as rare as NaN.
      if (!holds_nan(c) && !(max_lanes(vabs(s)) >= 0x1p119f)) [[likely]] {
        for (int i = 0; i < 8; i++) {
          vf x[4];
          e4m3_columns(c[i], x);
          for (int j = 0; j < 4; j++) use(4 * i + j, p, x[j] * (s * 0x1p8f));
        }
        continue;
      }
    }
    for (int half = 0; half < 2; half++) {
      vf s, m;
      float_meta<L>(w, at(p) + w.codes_bytes, b, half, (part + p) % kParts, s, m);
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
          const vi word = reinterpret_cast<vi>(c[4 * half + i]);
          if constexpr (traits(L).e4m3) use(16 * half + 4 * i + j, p, e4m3_to_float(word, 8 * j) * s);
          // 127 times a scale is rounded, so the zero of a table is taken off before.
          else if constexpr (traits(L).table)
            use(16 * half + 4 * i + j, p, (code_to_float(word, 8 * j, 255) - set1(float(zero_of(L)))) * s);
          else use(16 * half + 4 * i + j, p, fma(code_to_float(word, 8 * j, 255), s, m));
        }
    }
  }
}

// Columns k and k+1 of a bf16 panel.
INGOT_INLINE void bf16_pair(const uint8_t* panel, int64_t k, int part, vf& even, vf& odd) {
  const vi x = load_i(panel + k * 32 + part * (4 * kW));
  even = as_float(x << 16);
  odd = as_float(x & int(0xFFFF0000));
}

// Columns [k0, k0 + n) of a panel as f32 [n][16]. k0 is even (a multiple of 32 for quantised layouts, as is
// n).
template <int L>
void unpack_floats(const Weights& w, const uint8_t* panel, int64_t k0, int64_t n, float* out) {
  if constexpr (L == kF32) {
    memcpy(out, panel + k0 * 64, size_t(n) * 64);
  } else if constexpr (L == kF16) {
    const uint16_t* p = reinterpret_cast<const uint16_t*>(panel) + k0 * 16;
    for (int64_t i = 0; i < n * 16; i += kW) store(out + i, load_f16(p + i));
  } else if constexpr (L == kBF16) {
    for (int64_t k = 0; k < n; k += 2)
      for (int part = 0; part < kParts; part++) {
        vf even, odd;
        bf16_pair(panel, k0 + k, part, even, odd);
        store(out + k * 16 + part * kW, even);
        if (k + 1 < n) store(out + k * 16 + 16 + part * kW, odd);
      }
  } else {
    for (int64_t b = 0; b < n / kBlock; b++)
      for (int part = 0; part < kParts; part++) {
        float* o = out + b * (kBlock * 16) + part * kW;
        block_floats<L, 1>(w, panel, k0 / kBlock + b, part,
                           [&](int k, int, vf x) __attribute__((always_inline)) { store(o + k * 16, x); });
      }
  }
}

// How far ahead of its use a line of a panel is asked for. With AVX-512 past the page of 4 KiB at which
// hardware prefetchers stop: one core reads 25 GB/s this way and 12 through the first-level cache (Zen 4,
// panels of 5 KB). Further loses where streams change every panel. Zen 3 reads 4 to 8 % faster with less.
constexpr int64_t kPrefetchBytes = kW == 16 ? 6144 : 2048;

INGOT_INLINE void prefetch_block(const uint8_t* p, int bytes) { prefetch_lines(p + kPrefetchBytes, bytes); }

// Calls f with the form that reads the layout as a compile-time constant: f.template operator()<L>().
// describe_weights has refused codes that are none.
template <class F, int... Codes>
INGOT_INLINE void with_layout_of(int layout, const F& f, std::integer_sequence<int, Codes...>) {
  const bool known = ((layout == Codes ? (f.template operator()<kernel_form(Codes)>(), true) : false) || ...);
  if (!known) __builtin_trap();
}
template <class F>
INGOT_INLINE void with_layout(int layout, const F& f) {
  with_layout_of(layout, f, std::make_integer_sequence<int, kLayoutCount>());
}

}  // namespace ingot::INGOT_NS
