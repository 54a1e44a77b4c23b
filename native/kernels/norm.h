// Sums over a row and the row-wise normalisations built on them.
#pragma once
#include <cmath>

#include "vec.h"

namespace ingot::INGOT_NS {

// Sum of f(x[i]) over a row, in four vectors of partial sums. f maps a vector of values and must map 0 to 0.
template <class F> INGOT_INLINE float row_sum(const float* x, int64_t n, F f) {
  vf s[4] = {};
  int64_t i = 0;
  for (; i + 4 * kW <= n; i += 4 * kW)
    for (int v = 0; v < 4; v++) s[v] += f(load(x + i + v * kW));
  for (; i + kW <= n; i += kW) s[0] += f(load(x + i));
  if (i < n) s[1] += pick(first_lanes(int(n - i)), f(load_n(x + i, int(n - i))), vf{});
  return hsum((s[0] + s[1]) + (s[2] + s[3]));
}

// y = x * factor * (w + offset); w may be null. y may be x.
INGOT_INLINE void scale_row(const float* x, const float* w, float factor, float offset, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kW <= n; i += kW) {
    const vf v = load(x + i) * factor;
    store(y + i, w == nullptr ? v : v * (load(w + i) + offset));
  }
  if (i < n) {
    const int lanes = int(n - i);
    const vf v = load_n(x + i, lanes) * factor;
    store_n(y + i, w == nullptr ? v : v * (load_n(w + i, lanes) + offset), lanes);
  }
}

// y = x / sqrt(mean(x^2) + eps) * (w + offset).
INGOT_INLINE void rms_norm_row(const float* x, const float* w, float eps, float offset, float* y, int64_t n) {
  const float mean = row_sum(x, n, [](vf v) { return v * v; }) / float(n);
  scale_row(x, w, 1.f / std::sqrt(mean + eps), offset, y, n);
}

}  // namespace ingot::INGOT_NS
