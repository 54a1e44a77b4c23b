// Activations: RMS norm, and int8 quantisation per 32 columns in the form the dot-product kernels read.
#pragma once
#include "weights_simd.h"

namespace ingot::INGOT_NS {

// 32 quantised activations. x ≈ scale q.
struct ActBlock {
  int8_t q[32];
  float scale;
  float fsum;           // scale * sum of q: what a minimum is multiplied by
  int32_t nsum8;        // -8 times the sum of q: a dot product with codes whose zero is 8 starts here
  int32_t nsum8_first;  // of the first 16
};
static_assert(sizeof(ActBlock) == 48);

// An input that is not finite makes every result of its row NaN: int8 could not carry it, and it must not vanish.
inline void quantize_row(const float* x, int64_t K, ActBlock* out) {
  constexpr int n = kBlock / kW;
  vf finite{};
  for (int64_t b = 0; b < K / kBlock; b++, x += kBlock) {
    vf v[n], m{};
    for (int i = 0; i < n; i++) v[i] = load(x + i * kW), m = vmax(m, vabs(v[i])), finite = fma(v[i], vf{}, finite);
    const float amax = max_lanes(m), inverse = amax > 0 ? 127.0f / amax : 0.0f;
    vi half[2] = {vi{}, vi{}};
    for (int i = 0; i < n; i++) {
      const vf scaled = v[i] * inverse;
      const vi q = to_int_nearest(vabs(scaled) < 128.0f ? scaled : vf{});  // NaN has no integer
      store_i8(out[b].q + i * kW, q);
      half[i * kW / 16] += q;
    }
    const int s0 = sum_lanes_i(half[0]), s = s0 + sum_lanes_i(half[1]);
    out[b].scale = amax / 127.0f;
    out[b].fsum = out[b].scale * float(s);
    out[b].nsum8 = -8 * s;
    out[b].nsum8_first = -8 * s0;
  }
  if (sum_lanes(finite) == 0) return;
  for (int64_t b = 0; b < K / kBlock; b++) out[b].scale = out[b].fsum = __builtin_nanf("");
}

// y = x * rsqrt(mean x^2 + eps) * (weight + offset); y may be x.
inline void rms_norm_row(const float* x, const float* weight, int64_t K, float eps, float offset, float* y) {
  vf sum[4] = {};
  int64_t k = 0;
  for (; k + 4 * kW <= K; k += 4 * kW)
    for (int i = 0; i < 4; i++) {
      const vf v = load(x + k + i * kW);
      sum[i] = fma(v, v, sum[i]);
    }
  float total = sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
  for (; k < K; k++) total += x[k] * x[k];
  const float r = 1.0f / __builtin_sqrtf(total / float(K) + eps);
  for (k = 0; k + kW <= K; k += kW) store(y + k, load(x + k) * r * (load(weight + k) + offset));
  for (; k < K; k++) y[k] = x[k] * r * (weight[k] + offset);
}

}  // namespace ingot::INGOT_NS
