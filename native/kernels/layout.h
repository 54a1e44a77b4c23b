// Sizes of the packed weight layouts (docs/layouts.md), from the table that tools/gen-layouts.mjs writes.
// Free of SIMD and of levels.
#pragma once
#include <cstdint>

#include "kernel.h"

namespace ingot {

constexpr int kSuperBlock = 256;  // columns of a meta record of layouts with steps

constexpr bool known_layout(int code) { return code >= 0 && code < kLayoutCount; }
constexpr const LayoutTraits& traits(int code) { return kLayouts[code]; }
constexpr bool is_float_layout(int code) { return traits(code).bits == 0; }
constexpr int scale_bytes(int type) { return type == dF32 ? 4 : type == dE8M0 || type == dE4M3 ? 1 : 2; }

// A layout with its free parameters: `group` and the type of the scales.
struct LayoutForm {
  int code, group, scale;
  const LayoutTraits& t() const { return traits(code); }
  int fields() const { return t().minimum ? 2 : 1; }  // a scale, and a minimum
  int record_columns() const { return t().steps ? kSuperBlock : group; }
  // Bytes of a record for one lane.
  int lane_bytes() const { return fields() * (scale_bytes(scale) + (t().steps ? kSuperBlock / group : 0)); }
  int64_t codes_bytes(int64_t K) const {
    if (is_float_layout(code)) return code == kF32 ? K * 64 : code == kF16 ? K * 32 : (K + 1) / 2 * 64;
    return K / 32 * (64 * t().bits);
  }
  int64_t meta_bytes(int64_t K) const {
    return is_float_layout(code) ? 0 : K / record_columns() * (16 * lane_bytes());
  }
  int64_t panel_bytes(int64_t K) const { return (codes_bytes(K) + meta_bytes(K) + 63) / 64 * 64; }
  int64_t column_multiple() const {
    if (is_float_layout(code)) return 1;
    return t().steps ? kSuperBlock : group < 32 ? 32 : group;
  }
};

// The only member of a set of powers of two, or 0.
constexpr int only(int set) { return (set & (set - 1)) == 0 ? set : 0; }

// Null when there is such a layout. What a layout leaves no choice of is taken from the table, whatever is
// asked for.
inline const char* read_layout(LayoutForm& form, int64_t code, int64_t group, int64_t scale) {
  if (code < 0 || code >= kLayoutCount) return "unknown weight layout code";
  const LayoutTraits& t = traits(int(code));
  form = {int(code), 1, dF16};
  if (t.bits == 0) return nullptr;
  form.group = only(t.groups) ? t.groups : int(group);
  if (group < 0 || group > kSuperBlock || (form.group & t.groups) == 0 || only(form.group) == 0)
    return "the layout has no such group (32, 64 or 128)";
  if (t.steps) return nullptr;
  if (only(t.scales)) {
    while (1 << form.scale != t.scales) form.scale = form.scale == dE4M3 ? 0 : form.scale + 1;
    return nullptr;
  }
  if (scale < 0 || scale > dE4M3 || ((1 << scale) & t.scales) == 0)
    return "the layout has no scales of this type";
  form.scale = int(scale);
  return nullptr;
}

}  // namespace ingot
