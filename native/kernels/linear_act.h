// Gate activations, vectorised, and writing sixteen results of a panel to a row of y.
#pragma once
#include "weights_simd.h"

namespace ingot::INGOT_NS {

// e^x to 2 ulp (2^n times a polynomial on [-ln2/2, ln2/2]); 0 below -87.3, e^88 above 88.
INGOT_INLINE vf exp_lanes(vf x) {
#if defined(__AVX512F__)
  const vf t = _mm512_min_ps(set1(88.0f), _mm512_max_ps(set1(-105.0f), x));  // these pass NaN on
  const vf n = (t * 1.44269504f + 0x1.8p23f) - 0x1.8p23f;
#else
  const vf low = set1(-87.33f), high = set1(88.0f);
  const vf t = x >= low ? (x > high ? high : x) : low;  // NaN too
  const vi whole = to_int_nearest(t * 1.44269504f);
  const vf n = to_float(whole);
#endif
  const vf r = fma(n, set1(2.12194440e-4f), fma(n, set1(-0.693359375f), t));
  vf p = set1(1.395047875e-03f);
  p = fma(p, r, set1(8.368884213e-03f));
  p = fma(p, r, set1(4.166620597e-02f));
  p = fma(p, r, set1(1.666651815e-01f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r * r, r) + 1.0f;
#if defined(__AVX512F__)
  return _mm512_scalef_ps(p, n);
#else
  const vf y = p * as_float((whole + 127) << 23);
  return x < low ? vf{} : x != x ? x : y;
#endif
}

// gelu with erf by Abramowitz & Stegun 7.1.26 (absolute error of erf below 1.5e-7).
INGOT_INLINE vf gelu_erf(vf x) {
  const vf z = vabs(x) * 0.70710678f;
  const vf t = 1.0f / (z * 0.3275911f + 1.0f);
  vf p = set1(1.061405429f);
  p = fma(p, t, set1(-1.453152027f));
  p = fma(p, t, set1(1.421413741f));
  p = fma(p, t, set1(-0.284496736f));
  p = fma(p, t, set1(0.254829592f));
  const vf tail = p * t * exp_lanes(-(z * z));  // 1 - erf(z)
  return x * (x < 0 ? tail * 0.5f : 1.0f - tail * 0.5f);
}

// 1 / x for x from 1 to e^88, error below 2^-23: a division of 16 lanes takes as long as all the rest of an
// activation.
INGOT_INLINE vf reciprocal(vf x) {
#if defined(__AVX512F__)
  const vf r = (vf)_mm512_rcp14_ps((__m512)x);
  return r * (2.0f - x * r);
#else
  return 1.0f / x;
#endif
}

INGOT_INLINE vf activate(vf x, int glu) {
  if (glu == kSilu) return x * reciprocal(exp_lanes(-x) + 1.0f);
  if (glu == kGeluErf) return gelu_erf(x);
  // x/2 (1 + tanh u) = x / (1 + e^-2u)
  const vf u = (x + x * x * x * 0.044715f) * 1.59576912f;
  return x * reciprocal(exp_lanes(-u) + 1.0f);
}

// Where the results of one matrix go.
struct Output {
  float* y;
  const float* bias;      // [N] or null
  const float* residual;  // as y, or null; may be y itself
  int64_t stride;         // of y and residual
  int64_t N;
};

// Finishes lanes 16p … of one row: sums -> y.
INGOT_INLINE void finish_row(const Output& o, int64_t row, int64_t p, const float* sums) {
  const int n = int(min64(kPanelRows, o.N - p * kPanelRows));
  const int64_t at = row * o.stride + p * kPanelRows;
  for (int part = 0; part < kParts; part++) {
    const int left = n - part * kW;
    if (left <= 0) return;
    vf v = load(sums + part * kW);
    if (o.bias) v += load_lanes(o.bias + p * kPanelRows + part * kW, left);
    if (o.residual) v += load_lanes(o.residual + at + part * kW, left);
    store_lanes(o.y + at + part * kW, v, left);
  }
}

// The same for a gated pair: y = act(gate + biasGate) * (up + biasUp) (+ residual).
INGOT_INLINE void finish_glu_row(const Output& o, const float* up_bias, int glu, int64_t row, int64_t p,
                                 const float* gate, const float* up) {
  const int n = int(min64(kPanelRows, o.N - p * kPanelRows));
  const int64_t at = row * o.stride + p * kPanelRows;
  for (int part = 0; part < kParts; part++) {
    const int left = n - part * kW;
    if (left <= 0) return;
    vf g = load(gate + part * kW), u = load(up + part * kW);
    if (o.bias) g += load_lanes(o.bias + p * kPanelRows + part * kW, left);
    if (up_bias) u += load_lanes(up_bias + p * kPanelRows + part * kW, left);
    vf v = activate(g, glu) * u;
    if (o.residual) v += load_lanes(o.residual + at + part * kW, left);
    store_lanes(o.y + at + part * kW, v, left);
  }
}

}  // namespace ingot::INGOT_NS
