// Softmax of a short row, such as the router's.
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

// y may be x when it is not the logarithm that is wanted. A row of -infinity only gives NaN, as 0 / 0 does.
inline void softmax_row(const float* x, float* y, int64_t n, bool log) {
  const float top = row_max(x, n);
  vf sums{};
  double total = 0;
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    vf e = vexp(load_some(x + i, lanes) - top);
    if (!log) store_some(y + i, e, lanes);
    if (lanes < kW) e = pick(first_lanes(lanes), e, vf{});
    sums += e;
    if (i / kW % 256 == 255) {  // keeps the f32 partial sums short on vocabulary-sized rows
      total += hsum(sums);
      sums = vf{};
    }
  }
  total += hsum(sums);
  const float shift = float(double(top) + std::log(total)), factor = float(1 / total);
  for (int64_t i = 0; i < n; i += kW) {
    const int lanes = int(min64(kW, n - i));
    store_some(y + i, log ? load_some(x + i, lanes) - shift : load_some(y + i, lanes) * factor, lanes);
  }
}

}  // namespace ingot::INGOT_NS
