// Sizes and traits of the packed weight layouts (docs/layouts.md), free of SIMD.
#pragma once
#include <cstdint>
#include <cstring>

#include "kernel.h"

namespace ingot::INGOT_NS {

constexpr int kPanelRows = 16;
constexpr int kBlock = 32;  // columns per block of a quantised layout

inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }
inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

constexpr bool is_float_layout(int code) { return code <= kBF16; }
constexpr int code_bits(int code) { return code == kQ8 || code == kQ8A ? 8 : code == kQ6K ? 6 : 4; }
constexpr bool has_minimum(int code) { return code == kQ4A || code == kQ8A || code == kQ4K; }
// Scales per 32 columns.
constexpr int scales_per_block(int code) { return code == kQ6K ? 2 : 1; }
// Code that stands for zero, as a power of two; 0 for layouts with a minimum.
constexpr int zero_shift(int code) { return code == kQ4 ? 3 : code == kQ8 ? 7 : code == kQ6K ? 5 : 0; }

// One packed matrix [N, K], or one of a stack of them.
struct Weights {
  const uint8_t* data;
  int64_t N, K, panel_bytes, codes_bytes;
  int layout, group, meta_dtype;
  int64_t panels() const { return div_up(N, kPanelRows); }
  int64_t bytes() const { return panels() * panel_bytes; }
  const uint8_t* panel(int64_t p) const { return data + p * panel_bytes; }
};

constexpr int64_t kMaxColumns = int64_t(1) << 17;
constexpr int64_t kMaxRows = int64_t(1) << 31;

// Null when the layout can hold [N, K]; the sizes stay far below 2^63 (N, K are bounded).
inline const char* describe_weights(Weights& w, const uint8_t* data, int64_t N, int64_t K, int layout, int group, int meta) {
  if (N < 1 || N >= kMaxRows) return "the number of weight rows is out of range";
  if (K < 1 || K > kMaxColumns) return "K is out of range (1 to 131072)";
  if (layout < kF32 || layout > kQ6K) return "unknown weight layout code";
  w = {data, N, K, 0, 0, layout, group, meta};
  int64_t meta_bytes = 0;
  if (is_float_layout(layout)) {
    w.codes_bytes = layout == kF32 ? K * 64 : layout == kF16 ? K * 32 : div_up(K, 2) * 64;
  } else {
    const bool superblocks = layout == kQ4K || layout == kQ6K;
    if (layout != kQ4A && layout != kQ8A) w.group = layout == kQ6K ? 16 : 32;
    else if (group != 32 && group != 64 && group != 128) return "the group must be 32, 64 or 128";
    else if (meta < dF32 || meta > dBF16) return "the type of the scales must be f32, f16 or bf16";
    if (K % (superblocks ? 256 : max64(w.group, 32))) return "K is not a multiple of the layout's group";
    w.codes_bytes = K / kBlock * (64 * code_bits(layout));
    if (layout == kQ4 || layout == kQ8) meta_bytes = K / kBlock * 32;
    else if (superblocks) meta_bytes = K / 256 * (layout == kQ4K ? 320 : 288);
    else meta_bytes = K / group * 32 * (meta == dF32 ? 4 : 2);
  }
  w.panel_bytes = round_up(w.codes_bytes + meta_bytes, 64);
  return nullptr;
}

// The same for what the params of a kernel, or of one segment, say: N, layout, group, metaDtype.
template <class View> const char* describe_weights(Weights& w, const uint8_t* data, int64_t K, const View& a) {
  return describe_weights(w, data, a.N(), K, int(a.layout()), int(a.group()), a.meta_dtype());
}

}  // namespace ingot::INGOT_NS
