// The largest element of a row, and the softmax of a short one, such as the router's.
#pragma once
#include "vec_math.h"

namespace ingot::INGOT_NS {

inline float row_max(const float* x, int64_t n) {
  float top = x[0];
  int64_t i = 0;
  if (n >= kW) {
    vf m = load(x);
    for (i = kW; i + kW <= n; i += kW) m = vmax(m, load(x + i));
    top = hmax(m);
  }
  for (; i < n; i++) top = x[i] > top ? x[i] : top;
  return top;
}

// A row of -infinity only gives NaN, as 0 / 0 does.
inline void softmax_in_place(float* x, int64_t n) {
  const float top = row_max(x, n);
  vf sums{};
  double total = 0;
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    vf e = vexp(load_some(x + i, lanes) - top);
    store_some(x + i, e, lanes);
    if (lanes < kW) e = pick(first_lanes(lanes), e, vf{});
    sums += e;
    if (i / kW % 256 == 255) {  // keeps the f32 partial sums short
      total += hsum(sums);
      sums = vf{};
    }
  }
  total += hsum(sums);
  const float factor = float(1 / total);
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    store_some(x + i, load_some(x + i, lanes) * factor, lanes);
  }
}

}  // namespace ingot::INGOT_NS
