// Sizes and traits of the packed weight layouts (docs/layouts.md), free of SIMD.
#pragma once
#include <cstdint>
#include <cstring>

#include "layout.h"

namespace ingot::INGOT_NS {

constexpr int kPanelRows = 16;
constexpr int kBlock = 32;  // columns per block of a quantised layout

inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }
inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

constexpr int code_bits(int code) { return traits(code).bits; }
constexpr bool has_minimum(int code) { return traits(code).minimum; }
// Codes that are multiplied with int8 activations: integers, as they are or by a table.
constexpr bool has_integers(int code) { return !is_float_layout(code) && !traits(code).e4m3; }
// Bits of the integers that `dot` sees.
constexpr int dot_bits(int code) { return traits(code).table ? 8 : traits(code).bits; }
// Scales per 32 columns.
constexpr int scales_per_block(int code) { return traits(code).groups == 16 ? 2 : 1; }
// What is subtracted from the unsigned codes: a power of two; 0 for layouts with a minimum. Numbers of a
// table are stored 128 up.
constexpr int zero_of(int code) { return traits(code).table ? 128 : traits(code).zero; }
constexpr int log2_of(int x) { return x <= 1 ? 0 : 1 + log2_of(x / 2); }
constexpr int zero_shift(int code) { return log2_of(zero_of(code)); }

// The first layout that the same code reads: what else differs (tables, units, types of scales) is data.
constexpr int kernel_form(int code) {
  const LayoutTraits& t = traits(code);
  for (int c = 0; c < code; c++) {
    const LayoutTraits& o = traits(c);
    if (t.bits && o.bits == t.bits && o.zero == t.zero && o.minimum == t.minimum && o.table == t.table &&
        o.e4m3 == t.e4m3 && o.steps == t.steps && scales_per_block(c) == scales_per_block(code))
      return c;
  }
  return code;
}

// Numbers of the tables, as unsigned bytes 128 up and as signed bytes.
struct NumberTables {
  alignas(16) uint8_t up[kLayoutCount][16];
  alignas(16) uint8_t plain[kLayoutCount][16];
};
constexpr NumberTables make_number_tables() {
  NumberTables tables{};
  for (int c = 0; c < kLayoutCount; c++)
    for (int i = 0; i < 16; i++) {
      tables.up[c][i] = uint8_t(kLayouts[c].numbers[i] + 128);
      tables.plain[c][i] = uint8_t(kLayouts[c].numbers[i]);
    }
  return tables;
}
constexpr NumberTables kNumberTables = make_number_tables();

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
inline const char* describe_weights(Weights& w, const uint8_t* data, int64_t N, int64_t K, int layout,
                                    int group, int meta) {
  if (N < 1 || N >= kMaxRows) return "the number of weight rows is out of range";
  if (K < 1 || K > kMaxColumns) return "K is out of range (1 to 131072)";
  LayoutForm form{};
  if (const char* problem = read_layout(form, layout, group, meta)) return problem;
  if (K % form.column_multiple()) return "K is not a multiple of the layout's group";
  w = {data, N, K, form.panel_bytes(K), form.codes_bytes(K), layout, form.group, form.scale};
  return nullptr;
}

// The same for what the params of a kernel, or of one segment, say: N, layout, group, metaDtype.
template <class View>
const char* describe_weights(Weights& w, const uint8_t* data, int64_t K, const View& a) {
  return describe_weights(w, data, a.N(), K, int(a.layout()), int(a.group()), a.meta_dtype());
}

}  // namespace ingot::INGOT_NS
